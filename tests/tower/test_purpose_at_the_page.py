"""People say at the page why they look; and who breaks the glass there sees it, ends it, and is reviewed by somebody else."""

from __future__ import annotations

from typing import Any

import asyncpg
import orjson
import pytest
from tests.tower.lakeshore_day import PATIENT, lakeshore
from tests.tower.test_pages import Browser, words
from tests.tower.test_people_at_the_page import entries

POLICIES = lakeshore().policies
THREAD = "/trace/c/implant_usage/U-1"  # At ST-MARY.
ACCOUNT = PATIENT["account"]
ASKED = {"reason": "charges stuck before surgery", "facility": "ST-MARY", "purpose": "emergency", "minutes": "5"}
EVERYWHERE = ("ST-MARY", "HARBOR-VIEW", "NORTH-POINT")


def somebody(url: str, login: str, role: str, *facilities: str) -> Browser:
    return Browser(url, login=login, roles=(role,), facilities=facilities, policies=POLICIES)


def details(browser: Browser, action: str) -> list[Any]:
    return [(e["actor"], e["detail"]) for e in entries(browser) if e["action"] == action]


def grants(browser: Browser) -> list[asyncpg.Record]:
    found: list[asyncpg.Record] = browser.run(lambda: browser.pool.fetch("SELECT * FROM hilum.break_glass ORDER BY id"))
    return found


def breaks(browser: Browser, **changes: str) -> tuple[int, str]:
    """Break the glass by the page's form; status and what the answer says."""
    page = browser.opens("/break-glass")
    status, headers, text = browser.sends(page, "/break-glass", **{**ASKED, **changes})
    assert status != 303 or headers["location"] == "/break-glass"
    return status, words(text)


def test_patients_are_shown_to_who_says_that_it_is_for_payment_and_masked_before_and_after(morning_url: str) -> None:
    with somebody(morning_url, "rita", "revenue-analyst", "ST-MARY") as rita:
        page = rita.opens(THREAD)
        assert ACCOUNT not in page and "<option selected>operations</option>" in page and "emergency" not in page
        status, headers, _ = rita.sends(page, "/purpose", purpose="payment", to=THREAD)
        assert (status, headers["location"]) == (303, THREAD)
        shown = rita.opens(THREAD)
        assert ACCOUNT in shown and "<option selected>payment</option>" in rita.opens("/trace"), "kept with the session"
        assert rita.sends(shown, "/purpose", purpose="payment")[0] == 303
        assert rita.sends(shown, "/purpose", purpose="treatment")[1]["location"] == "/"
        assert ACCOUNT not in rita.opens(THREAD)
        chosen = details(rita, "purpose.chosen")
        reads = [d for _, d in details(rita, "access.read")]
    assert [(who, d["before"], d["purpose"]) for who, d in chosen] == [
        ("person:rita", "operations", "payment"), ("person:rita", "payment", "treatment"),
    ]  # fmt: skip
    assert [(d["purpose"], "phi" in d.get("shown", ())) for d in reads] == [
        ("operations", False), ("payment", True), ("treatment", False),
    ]  # fmt: skip


def test_the_same_purpose_shows_nothing_to_another_role(morning_url: str) -> None:
    with somebody(morning_url, "dora", "data-steward", *EVERYWHERE) as dora:
        assert dora.sends(dora.opens("/trace"), "/purpose", purpose="payment")[0] == 303
        page = dora.opens(THREAD)
        assert ACCOUNT not in page and "<option selected>payment</option>" in page


def test_no_purpose_is_set_by_a_forged_form_or_to_what_is_none(morning_url: str) -> None:
    with somebody(morning_url, "rita", "revenue-analyst", "ST-MARY") as rita:
        page = rita.opens("/trace")
        for body in (b"purpose=payment", b"purpose=payment&form=guessed"):
            assert rita.ask("POST", "/purpose", body)[0] == 403
        for word in ("emergency", "Payment", "payment,treatment", "<b>x</b>", " "):
            status, _, text = rita.sends(page, "/purpose", purpose=word)
            assert status == 400 and "treatment, payment, operations, audit" in text
        for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example", "trace"):
            assert rita.sends(page, "/purpose", purpose="operations", to=elsewhere)[1]["location"] == "/"
        rita.opens("/purpose", 405)
        assert "<option selected>operations</option>" in rita.opens("/trace")
        assert details(rita, "purpose.chosen") == []


def test_broken_glass_is_seen_opens_its_facility_and_is_ended_by_hand(morning_url: str) -> None:
    with somebody(morning_url, "hugo", "clinician-mobile", "HARBOR-VIEW") as hugo:
        hugo.opens(THREAD, 403)
        assert hugo.looks_for(f"key={ACCOUNT}")[0] == 403
        assert "No grant waits for you" in hugo.opens("/break-glass")
        assert breaks(hugo)[0] == 303
        [grant] = grants(hugo)
        page = hugo.opens(THREAD)
        assert ACCOUNT in page
        banner = words(page)
        assert f"The glass is broken for ST-MARY : grant {grant['id']} ends in" in banner and "for emergency" in banner
        assert 'action="/purpose"' not in page, "the grant says the purpose"
        assert "implant_usage/U-1" in hugo.looks_for(f"key={ACCOUNT}")[2]
        used = details(hugo, "break_glass.used")
        assert [d["subject"] for _, d in used] == ["c/implant_usage/U-1", "Thread"]
        assert grants(hugo)[0]["uses"] == 2
        reads = [d for _, d in details(hugo, "access.read")]
        assert {(d["purpose"], d["break_glass"]) for d in reads} == {("emergency", str(grant["id"]))}

        assert hugo.sends(page, f"/break-glass/{grant['id']}/end")[0] == 303
        assert "The glass is broken" not in hugo.opens("/break-glass")
        hugo.opens(THREAD, 403)
        assert hugo.sends(page, f"/break-glass/{grant['id']}/end")[0] == 409, "it has ended already"


def test_broken_glass_ends_by_itself(morning_url: str) -> None:
    with somebody(morning_url, "hugo", "clinician-mobile", "HARBOR-VIEW") as hugo:
        assert breaks(hugo)[0] == 303
        hugo.opens(THREAD)
        hugo.run(
            lambda: hugo.pool.execute(
                "UPDATE hilum.break_glass SET granted_at = granted_at - interval '5 min', expires_at = expires_at - interval '5 min'"
            )
        )
        assert "The glass is broken" not in hugo.opens(THREAD, 403)


def test_a_grant_for_one_hospital_shows_no_patient_of_another(morning_url: str) -> None:
    with somebody(morning_url, "rita", "revenue-analyst", "ST-MARY") as rita:
        assert rita.sends(rita.opens("/trace"), "/purpose", purpose="payment")[0] == 303
        assert breaks(rita, facility="HARBOR-VIEW")[0] == 303
        page = rita.opens(THREAD)
        assert ACCOUNT not in page and "The glass is broken for HARBOR-VIEW" in page
        [grant] = grants(rita)
        assert rita.sends(page, f"/break-glass/{grant['id']}/end")[0] == 303
        assert ACCOUNT in rita.opens(THREAD), "the purpose she chose holds again"


@pytest.mark.parametrize(
    ("changes", "status", "why"),
    [
        ({"reason": " "}, 400, "A reason is needed"),
        ({"minutes": "61"}, 409, "at most 60 minutes"),
        ({"minutes": "-5"}, 400, "Minutes are a whole number"),
        ({"minutes": "٣"}, 400, "Minutes are a whole number"),
        ({"purpose": "curiosity"}, 409, "is no purpose for it"),
        ({"facility": "ATLANTIS"}, 409, "there is no facility"),
    ],
)
def test_a_grant_that_should_not_be_is_refused_with_the_reason(
    morning_url: str, changes: dict[str, str], status: int, why: str
) -> None:
    with somebody(morning_url, "hugo", "clinician-mobile", "HARBOR-VIEW") as hugo:
        found, text = breaks(hugo, **changes)
        assert found == status and why.lower() in text.lower(), text
        assert grants(hugo) == []


def test_nobody_breaks_the_glass_without_the_policy_that_allows_it(morning_url: str) -> None:
    with somebody(morning_url, "dora", "data-steward", *EVERYWHERE) as dora:
        assert "Not for you" in dora.opens("/break-glass", 403)
        elsewhere = dora.opens("/trace").replace('action="/purpose"', 'action="/break-glass"')
        assert dora.sends(elsewhere, "/break-glass", **ASKED)[0] == 403
        assert grants(dora) == []
        denied = [d["operation"] for _, d in details(dora, "access.denial")]
    assert denied == ["tower.list", "tower.create"]
    with somebody(morning_url, "hugo", "clinician-mobile", "HARBOR-VIEW") as hugo:
        form = "&".join(f"{n}={v}" for n, v in ASKED.items()).encode()
        assert hugo.ask("POST", "/break-glass", form)[0] == 403
        assert hugo.ask("POST", "/break-glass", form + b"&form=guessed")[0] == 403
        assert grants(hugo) == []


def test_somebody_else_reviews_a_grant_and_never_whoever_had_it(morning_url: str) -> None:
    with (
        somebody(morning_url, "hugo", "clinician-mobile", "HARBOR-VIEW") as hugo,
        somebody(morning_url, "carl", "compliance-auditor", *EVERYWHERE) as carl,
        somebody(morning_url, "nora", "clinician-mobile", "HARBOR-VIEW") as nora,
    ):
        assert breaks(hugo, reason="<b>stuck</b>")[0] == 303
        [grant] = grants(hugo)
        end, review = f"/break-glass/{grant['id']}/end", f"/break-glass/{grant['id']}/review"
        verdict = {"finding": "one thread, as the reason says", "verdict": "justified"}

        # Another's grant opens nothing to others, is not theirs to end, and is not listed for them.
        for other in (nora, carl):
            assert "The glass is broken" not in other.opens("/break-glass")
        nora.opens(THREAD, 403)
        assert "person:hugo" not in nora.opens("/break-glass")
        forms = nora.opens("/break-glass").replace('action="/break-glass"', f'action="{end}" action="{review}"')
        assert nora.sends(forms, end)[0] == 403 and nora.sends(forms, review, **verdict)[0] == 403

        waiting = carl.opens("/break-glass")
        assert "&lt;b&gt;stuck&lt;/b&gt;" in waiting and "person:hugo at ST-MARY for emergency" in words(waiting)
        assert f'action="{review}"' not in waiting, "it is in force"
        assert carl.sends(waiting.replace(end, review), review, **verdict)[0] == 409
        assert carl.sends(waiting, end)[0] == 303
        hugo.opens(THREAD, 403)
        assert f'action="{review}"' not in hugo.opens("/break-glass")
        own = hugo.opens("/break-glass").replace('action="/break-glass"', f'action="{review}"')
        assert hugo.sends(own, review, **verdict)[0] == 403

        page = carl.opens("/break-glass")
        assert carl.sends(page, review, verdict="justified")[0] == 400
        assert carl.sends(page, review, finding="x", verdict="perhaps")[0] == 400
        assert carl.sends(page, review, **verdict)[0] == 303
        assert "No grant waits for you" in carl.opens("/break-glass")
        assert carl.sends(page, review, **verdict)[0] == 409
        assert carl.sends(page.replace(review, "/break-glass/77/review"), "/break-glass/77/review", **verdict)[0] == 404
        [after] = grants(carl)
        state = carl.run(
            lambda: carl.pool.fetchval("SELECT state FROM hilum.work_item WHERE id = $1", grant["work_item"])
        )
        listed = [d["subjects"] for who, d in details(carl, "access.search") if who == "person:carl"]
    assert (after["reviewed_by"], after["justified"], after["ended_by"]) == ("person:carl", True, "person:carl")
    assert state != "open" and [f"g/{grant['id']}"] in listed


def test_a_reviewer_who_also_has_a_role_that_asks_does_not_review_their_own(morning_url: str) -> None:
    both = ("operator", "privacy-officer")
    policies = {
        **POLICIES,
        "policies/privacy.cedar": '@id("privacy-reviews") @because("The privacy officer reviews.") permit (principal, '
        'action == Hilum::Action::"acknowledge", resource is Hilum::BreakGlass) when { principal.roles.contains("privacy-officer") };',
    }
    with Browser(morning_url, login="pia", roles=both, facilities=EVERYWHERE, policies=policies) as pia:
        assert breaks(pia)[0] == 303
        [grant] = grants(pia)
        page = pia.opens("/break-glass")
        assert "No grant waits for you" in page
        assert pia.sends(page, f"/break-glass/{grant['id']}/end")[0] == 303
        review = f"/break-glass/{grant['id']}/review"
        page = pia.opens("/break-glass").replace('action="/break-glass"', f'action="{review}"')
        assert pia.sends(page, review, finding="mine", verdict="justified")[0] == 403
        assert orjson.dumps([dict(g)["reviewed_by"] for g in grants(pia)]) == b"[null]"


def test_what_opens_the_glass_is_the_person_and_not_the_grant(morning_url: str) -> None:
    """A policy that lets whoever is under a grant ask for more lets nobody: asking is as oneself."""
    policies = {
        **POLICIES,
        "policies/more.cedar": '@id("more") @because("Carelessly written.") permit (principal is Hilum::Person, action == '
        'Hilum::Action::"create", resource is Hilum::BreakGlass) when { context.break_glass };',
    }
    with Browser(
        morning_url, login="hugo", roles=("clinician-mobile",), facilities=("HARBOR-VIEW",), policies=policies
    ) as hugo:
        assert breaks(hugo)[0] == 303
        page = hugo.opens("/break-glass").replace('action="/break-glass"', 'action="/break-glass" ')
        hugo.run(lambda: hugo.pool.execute("UPDATE hilum.page_session SET roles = '{}'"))
        assert hugo.sends(page, "/break-glass", **{**ASKED, "facility": "NORTH-POINT"})[0] == 403
        assert len(grants(hugo)) == 1
