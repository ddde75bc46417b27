"""Nobody looks unsigned, everybody sees what the policies let them see, and decisions on the page carry a name."""

from __future__ import annotations

import re

import asyncpg
import orjson
import pytest
from tests.tower.lakeshore_day import PATIENT, wall
from tests.tower.test_pages import Browser, words

from hilum.identity import accounts, sessions

LOOKING = """
@id("stewards") @because("Stewards see the item master's queue and let it go on.")
permit (principal, action in [Hilum::Action::"read", Hilum::Action::"list", Hilum::Action::"release"], resource is Hilum::WorkItem)
when { principal.roles.contains("data-steward") && resource has queue && resource.queue == "item-master" };

@id("everyone-how-it-stands") @because("How it stands is for all.")
permit (principal, action == Hilum::Action::"read", resource is Hilum::Dashboard);

@id("threads-of-ones-place") @because("Threads are for the people of their facility.")
permit (principal, action == Hilum::Action::"read", resource is Hilum::Thread)
when { principal.roles.contains("revenue-analyst") && resource has facility && principal.facilities.contains(resource.facility) };

@id("revenue-searches") @because("Revenue searches; what is found is theirs to read or not.")
permit (principal, action == Hilum::Action::"search", resource is Hilum::Thread)
when { principal.roles.contains("revenue-analyst") };

@id("analysts-see-patients") @because("Revenue works with accounts.")
permit (principal, action == Hilum::Action::"see", resource is Hilum::Thread)
when { principal.roles.contains("revenue-analyst") && resource has facility && principal.facilities.contains(resource.facility) };
"""
POLICIES = {"policies/page.cedar": LOOKING}
STEWARD = ("data-steward",)
REVENUE = ("revenue-analyst",)


def entries(browser: Browser) -> list[dict[str, object]]:
    async def read() -> list[dict[str, object]]:
        rows = await browser.pool.fetch("SELECT entry FROM hilum.audit_entry ORDER BY shard, seq")
        return [orjson.loads(row["entry"]) for row in rows]

    found: list[dict[str, object]] = browser.run(read)
    return found


def test_who_is_not_signed_in_is_led_to_the_sign_in_and_sees_nothing(morning_url: str) -> None:
    with Browser(morning_url, login=None) as stranger:
        for path in ("/", "/queue", "/queue/2", "/trace", "/trace/c/implant_usage/U-1"):
            status, headers, text = stranger.ask("GET", path)
            assert (status, text) == (303, "") and headers["location"].startswith("/sign-in?to=%2F")
        for path in ("/queue/2/release", "/queue/2/skip", "/trace", "/sign-out"):
            status, _, text = stranger.ask("POST", path, b"key=U-1&form=guessed")
            assert status == 401 and "Nobody is signed in" in text
        stranger.opens("/metrics", 404)
        stranger.opens("/health", 404)
        stranger.cookies["hilum_page"] = "guessed"
        assert stranger.ask("GET", "/")[0] == 303


def test_a_sign_in_leads_back_to_the_page_that_was_asked_for_and_nowhere_else(morning_url: str) -> None:
    with Browser(morning_url) as browser:
        for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/a b"):
            _, headers, _ = browser.ask("GET", f"/sign-in?to={elsewhere}".replace(" ", "%20"))
            assert "location" in headers
        targets = browser.run(lambda: browser.pool.fetch("SELECT return_to FROM hilum.page_sign_in"))
        assert {row["return_to"] for row in targets} == {"/"}


def test_the_page_says_who_is_signed_in_and_signing_out_ends_it_everywhere(morning_url: str) -> None:
    with Browser(morning_url) as browser:
        page = browser.opens("/")
        assert "person:ana, administrator" in page
        cookie = browser.cookies["hilum_page"]
        status, _, text = browser.sends(page, "/sign-out")
        assert status == 200 and "Nobody is signed in with this browser" in text
        browser.cookies["hilum_page"] = cookie
        assert browser.ask("GET", "/")[0] == 303, "the cookie that was kept opens nothing"
        alive = browser.run(
            lambda: browser.pool.fetchval("SELECT count(*) FROM hilum.issuer_session WHERE ended_at IS NULL")
        )
        actions = [e["action"] for e in entries(browser)]
    assert alive == 0
    assert {"page.signed_in", "page.signed_out", "session.ended"} <= set(actions)


def test_a_forged_form_does_nothing(morning_url: str) -> None:
    with Browser(morning_url) as browser:
        for body in (b"", b"form=", b"form=guessed", b"form=guessed&reason=x"):
            for path in ("/queue/2/release", "/queue/2/skip", "/sign-out"):
                status, _, text = browser.ask("POST", path, body)
                assert status == 403 and "not of this session" in text
        assert browser.run(lambda: browser.pool.fetchval("SELECT state FROM hilum.work_item WHERE id = 2")) == "open"
        browser.opens("/queue")


def test_a_steward_sees_and_releases_her_queue_and_no_other(morning_url: str) -> None:
    with Browser(morning_url, login="dora", roles=STEWARD, policies=POLICIES) as dora:
        queue, overview = words(dora.opens("/queue")), words(dora.opens("/"))
        assert "item-master" in queue and "1 decision, 2 cases" in queue
        for other in ("purchasing", "finance-master", "conflicts"):
            assert other not in queue and other not in overview
        others = dora.run(lambda: dora.pool.fetch("SELECT id FROM hilum.work_item WHERE queue <> 'item-master'"))
        assert others
        for row in others:
            dora.opens(f"/queue/{row['id']}", 403)
        page = dora.opens("/queue/2")
        status, headers, _ = dora.sends(page, "/queue/2/release")
        assert (status, headers["location"]) == (303, "/queue/2")
        assert "by person:dora" in words(dora.opens("/queue/2"))
        stale = page.replace("/queue/2/release", f"/queue/{others[0]['id']}/release")
        assert dora.sends(stale, f"/queue/{others[0]['id']}/release")[0] == 403, "another item by its number"
        assert dora.sends(page, "/queue/2/release")[0] == 409, "a second time"
        dora.opens("/trace/c/implant_usage/U-1", 403)
        found = entries(dora)
    released = [e for e in found if e["action"] == "work.released"]
    assert released and {e["actor"] for e in released} == {"person:dora"}
    looks = [e["detail"] for e in found if e["action"] == "access.read"]
    assert "tower.queue" in [look["operation"] for look in looks], "a list shows what waits as well"  # type: ignore[index]
    denied = [e for e in found if e["action"] == "access.denial"]
    assert len(denied) == len(others) + 2 and {e["actor"] for e in denied} == {"person:dora"}


def test_a_skip_needs_a_reason_that_stays_with_the_name(morning_url: str) -> None:
    with Browser(morning_url, login="dora", roles=STEWARD, policies=POLICIES) as dora:
        page = dora.opens("/queue/2")
        assert dora.sends(page, "/queue/2/skip", reason=" ")[0] == 400
        assert dora.sends(page, "/queue/2/skip", reason="<b>Test patient</b>")[0] == 303
        shown = dora.opens("/queue/2")
    assert "&lt;b&gt;Test patient&lt;/b&gt;" in shown and "person:dora" in shown


@pytest.mark.parametrize(("facility", "sees"), [("ST-MARY", True), ("HARBOR-VIEW", False)])
def test_who_works_with_accounts_sees_patients_of_her_own_hospital_and_no_thread_of_another(
    morning_url: str, facility: str, sees: bool
) -> None:
    with Browser(morning_url, login="rita", roles=REVENUE, facilities=(facility,), policies=POLICIES) as rita:
        page = rita.opens("/trace/c/implant_usage/U-1", 200 if sees else 403)
        found = rita.looks_for(f"key={PATIENT['account']}")[2]
        seen = entries(rita)
    assert (PATIENT["account"] in page) is sees
    assert ("implant_usage/U-1" in found) is sees
    reads = [e for e in seen if e["action"] == "access.read" and e["subject"] == "c/implant_usage/U-1"]
    assert bool(reads) is sees
    if sees:
        assert reads[0]["detail"]["shown"] == ["phi"] and "shown" in page  # type: ignore[index]
    assert PATIENT["account"] not in orjson.dumps(seen).decode()


@pytest.mark.parametrize(("facility", "sees"), [("ST-MARY", True), ("HARBOR-VIEW", False)])
def test_events_of_another_hospital_are_not_even_listed(morning_url: str, facility: str, sees: bool) -> None:
    async def admit(pool: asyncpg.Pool) -> None:
        for number in range(9001, 9008):
            await pool.execute(
                """INSERT INTO hilum.event (shard, seq, at, type, version, key, facility, message_seq, mapping, payload)
                   VALUES (1, $1, $2, 'PatientAdmitted', 1, 'k', 'ST-MARY', $1, 'adt@1', '{}')""",
                number, wall(),
            )  # fmt: skip
            await pool.execute(
                "INSERT INTO hilum.business_key VALUES ('BED-12', 'bed', $1, $2)", f"e/1/{number}", wall()
            )

    with Browser(morning_url, login="rita", roles=REVENUE, facilities=(facility,), policies=POLICIES) as rita:
        rita.run(lambda: admit(rita.pool))
        page = rita.looks_for("key=BED-12")[2]
    assert ("PatientAdmitted" in page) is sees


def test_who_has_no_role_sees_that_and_it_is_written_down(morning_url: str) -> None:
    with Browser(morning_url, login="nobody-yet", roles=()) as somebody:
        for path in ("/", "/queue", "/queue/2", "/trace/c/implant_usage/U-1"):
            assert "Not for you" in somebody.opens(path, 403)
        denials = [e for e in entries(somebody) if e["action"] == "access.denial"]
    assert len(denials) == 4


@pytest.mark.parametrize("disabled", [True, False])
def test_who_is_disabled_or_signed_out_at_the_issuer_is_out_at_the_next_click(morning_url: str, disabled: bool) -> None:
    async def change(pool: asyncpg.Pool, disabled: bool) -> None:
        async with pool.acquire() as connection, connection.transaction():
            if disabled:
                await accounts.disable(connection, "ana", now=wall(), by="person:boss")
            else:
                sid = await connection.fetchval("SELECT id FROM hilum.issuer_session")
                await sessions.end(connection, sid, now=wall(), by="person:ana")

    with Browser(morning_url) as browser:
        browser.opens("/")
        browser.run(lambda: change(browser.pool, disabled))
        assert browser.ask("GET", "/")[0] == 303


def test_a_session_ends_by_itself_idle_or_old(morning_url: str) -> None:
    with Browser(morning_url) as browser:
        for column, age in (("last_seen_at", "31 minutes"), ("expires_at", "8 hours")):
            kept = browser.run(lambda: browser.pool.fetchrow("SELECT * FROM hilum.page_session"))
            browser.run(
                lambda column=column, age=age: browser.pool.execute(
                    f"UPDATE hilum.page_session SET {column} = {column} - interval '{age}'"
                )
            )
            assert browser.ask("GET", "/")[0] == 303, column
            browser.run(
                lambda kept=kept: browser.pool.execute(
                    "UPDATE hilum.page_session SET last_seen_at = $1, expires_at = $2",
                    kept["last_seen_at"],
                    kept["expires_at"],
                )
            )
        browser.opens("/")


def test_the_page_keeps_no_secret_that_would_let_its_reader_in(morning_url: str) -> None:
    with Browser(morning_url) as browser:
        page = browser.opens("/queue/2")
        form = re.search(r'name="form" value="([^"]+)"', page)
        assert form is not None
        rows = browser.run(lambda: browser.pool.fetch("SELECT t::text AS row FROM hilum.page_session t"))
        stored = "".join(row["row"] for row in rows)
        assert stored and browser.cookies["hilum_page"] not in stored and form[1] not in stored
