"""Idempotency keys, entity tags, cursors: what makes a door safe to use again."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from tests.gateway.supply_door import SupplyDoor
from tests.gateway.supply_estate import Order

from hilum.audit.lineage import search

REQUEST = {"facility": "ST-MARY", "supplier": "ORTHO", "amount": 12.5}
PLACE = "/supply/v1/orders"


def test_the_same_key_gets_the_same_answer_and_has_one_effect(door):
    async def story(one: SupplyDoor) -> None:
        key = {"idempotency-key": "K-1"}
        first = await one.ask("ana", "POST", PLACE, body=REQUEST, headers=key)
        again = await one.ask("ana", "POST", PLACE, body=REQUEST, headers={"idempotency-key": '"K-1"'})
        assert first.status_code == again.status_code == 201
        assert first.content == again.content
        assert first.headers["location"] == again.headers["location"] == "/supply/v1/orders/PO-4"
        assert "idempotency-replayed" not in first.headers and again.headers["idempotency-replayed"] == "true"
        assert len(one.warehouse.read()["keys"]) == 1
        other = await one.ask("ana", "POST", PLACE, body={**REQUEST, "amount": 13}, headers=key)
        assert other.status_code == 422 and other.json()["type"] == "/problems/key-reused"
        elsewhere = await one.ask("svc-ap-bot", "POST", PLACE, body=REQUEST, headers=key)
        assert elsewhere.status_code == 201 and elsewhere.json()["number"] == "PO-5"

    door(story)


def test_a_write_that_makes_something_needs_a_key(door):
    async def story(one: SupplyDoor) -> None:
        token = {"authorization": f"Bearer {one.sso.token('ana')}", "content-type": "application/json"}
        none = await one.client.post(PLACE, json=REQUEST, headers=token)
        assert none.status_code == 400 and none.json()["type"] == "/problems/idempotency-key-missing"
        for key in ("", "x" * 256, "two words", '""'):
            answer = await one.ask("ana", "POST", PLACE, body=REQUEST, headers={"idempotency-key": key})
            assert answer.status_code == 400, key
        twice = [*token.items(), ("idempotency-key", "a"), ("idempotency-key", "b")]
        assert (await one.client.post(PLACE, json=REQUEST, headers=twice)).status_code == 400
        searched = await one.client.post("/billing/v1/accounts/search", json={"patient": "x"}, headers={
            **token, "authorization": f"Bearer {one.sso.token('dora')}"})  # fmt: skip
        assert searched.status_code == 404  # Changes nothing, so it needs no key.

    door(story)


def test_what_a_program_did_is_found_by_those_who_look(door):
    """A command of an API stands in the same tables as those of flows; the trace must bear that there is no case."""

    async def story(one: SupplyDoor) -> None:
        await one.ask("ana", "POST", PLACE, body=REQUEST, headers={"idempotency-key": "K-1"})
        delivery = await one.pool.fetchrow("SELECT * FROM delivery")
        assert delivery["state"] == "done" and delivery["key"].startswith("api/supply.place@v1/")
        assert "K-1" not in delivery["key"]
        async with one.pool.acquire() as connection:
            for address in (f"d/{delivery['key']}", f"c/{delivery['case_id']}"):
                found = await search(connection, address, estate=one.stages.platform.estate)
                assert found.total <= 1

    door(story)


def test_many_at_once_with_one_key_have_one_effect(door):
    async def story(one: SupplyDoor) -> None:
        one.warehouse.slow_seconds = 0.05
        key = {"idempotency-key": "K-2"}
        answers = await asyncio.gather(*(one.ask("ana", "POST", PLACE, body=REQUEST, headers=key) for _ in range(12)))
        assert {a.status_code for a in answers} <= {201, 409}
        assert any(a.status_code == 201 for a in answers)
        waiting = [a for a in answers if a.status_code == 409]
        assert waiting and all(int(a.headers["retry-after"]) >= 1 for a in waiting)
        assert len(one.warehouse.read()["keys"]) == 1

    door(story)


def test_what_a_business_rule_refused_is_kept_and_what_time_must_heal_is_not(door):
    async def story(one: SupplyDoor) -> None:
        closed = {**REQUEST, "supplier": "CLOSED"}
        for _ in range(2):
            refused = await one.ask("ana", "POST", PLACE, body=closed, headers={"idempotency-key": "K-3"})
            assert refused.status_code == 422 and refused.json()["cause"] == "2026-10"
            assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["idempotency-replayed"] == "true"
        one.warehouse.away = True
        away = await one.ask("ana", "POST", PLACE, body=REQUEST, headers={"idempotency-key": "K-4"})
        assert away.status_code == 503
        one.warehouse.away = False
        await one.pool.execute("UPDATE breaker SET state = 'closed', retry_at = NULL")
        one.clock.ahead = timedelta(seconds=2)
        healed = await one.ask("ana", "POST", PLACE, body=REQUEST, headers={"idempotency-key": "K-4"})
        assert healed.status_code == 201
        assert len(one.warehouse.read()["keys"]) == 1

    door(story)


def test_a_kept_answer_is_sealed_and_forgotten_after_its_time(door):
    async def story(one: SupplyDoor) -> None:
        key = {"idempotency-key": "PATIENT-NAME"}
        await one.ask("ana", "POST", PLACE, body=REQUEST, headers=key)
        row = await one.pool.fetchrow("SELECT * FROM api_idempotency")
        assert row["sealed"] and b"ST-MARY" not in row["body"]
        assert "PATIENT-NAME" not in str(dict(row))
        assert await one.stages.keys.forget_expired() == 0
        one.clock.ahead = timedelta(hours=25)
        assert await one.stages.keys.forget_expired() == 1

    door(story)


def test_an_unchanged_order_is_not_sent_again(door):
    async def story(one: SupplyDoor) -> None:
        path = "/supply/v1/orders/PO-1"
        etag = (await one.ask("ana", "GET", path)).headers["etag"]
        same = await one.ask("ana", "GET", path, headers={"if-none-match": f'"other", W/{etag}'})
        assert same.status_code == 304 and same.content == b"" and same.headers["etag"] == etag
        assert (await one.ask("ana", "GET", path, headers={"if-none-match": '"other"'})).status_code == 200
        assert (await one.ask("ana", "GET", path, headers={"if-none-match": "unquoted"})).status_code == 400
        # Who sees more has another representation of the same state.
        unmasked = await one.ask("otto", "GET", path, headers={"if-none-match": etag})
        assert unmasked.status_code == 200 and unmasked.json()["bank_account"] == "DE-440010023"

    door(story)


def test_a_change_needs_the_state_it_was_made_on(door):
    async def story(one: SupplyDoor) -> None:
        path, note = "/supply/v1/orders/PO-1", {"text": "call first"}
        for method in ("PUT", "PATCH"):
            one.warehouse.keep(Order(number="PO-1", revision=5, facility="ST-MARY", supplier="ORTHO"))
            missing = await one.ask("ana", method, path, body=note)
            assert missing.status_code == 428 and missing.json()["type"] == "/problems/precondition-required"
            etag = (await one.ask("ana", "GET", path)).headers["etag"]
            old = await one.ask("ana", method, path, body=note, headers={"if-match": '"4"'})
            assert old.status_code == 412 and old.json()["type"] == "/problems/changed-meanwhile"
            several = await one.ask("ana", method, path, body=note, headers={"if-match": '"4", "5"'})
            assert several.status_code == 400
            done = await one.ask("ana", method, path, body=note, headers={"if-match": etag})
            assert done.status_code == 200 and done.json()["revision"] == 6 and done.headers["etag"].startswith('"6')
            late = await one.ask("ana", method, path, body=note, headers={"if-match": etag})
            assert late.status_code == 412
            any_state = await one.ask("ana", method, path, body=note, headers={"if-match": "*"})
            assert any_state.status_code == 200 and any_state.json()["revision"] == 7

    door(story)


def test_a_digest_of_an_answer_tells_nothing_about_it(door):
    async def story(one: SupplyDoor) -> None:
        path = "/billing/v1/accounts/A-1001"
        masked = (await one.ask("emil", "GET", path)).headers["etag"]
        shown = (await one.ask("dora", "GET", path)).headers["etag"]
        assert masked != shown and masked.strip('"').split(".")[0] == shown.strip('"')
        assert (await one.ask("dora", "GET", path)).headers["cache-control"] == "no-store"

    door(story)


def test_a_list_is_gone_through_page_by_page(door):
    async def story(one: SupplyDoor) -> None:
        for n in range(4, 10):
            one.warehouse.keep(Order(number=f"PO-{n}", revision=1, facility="ST-MARY", supplier="ORTHO"))
        seen: list[str] = []
        address = f"{PLACE}?limit=2&supplier=ORTHO"
        while True:
            answer = await one.ask("ana", "GET", address)
            seen += [o["number"] for o in answer.json()["items"]]
            if answer.json()["next"] is None:
                assert "link" not in answer.headers
                break
            link = answer.headers["link"]
            assert link.startswith("</supply/v1/orders?") and link.endswith('>; rel="next"')
            address = link[1:].partition(">")[0]
            query = parse_qs(urlsplit(address).query)
            assert query["cursor"] == [answer.json()["next"]] and query["supplier"] == ["ORTHO"]
        assert seen == ["PO-1", "PO-4", "PO-5", "PO-6", "PO-7", "PO-8", "PO-9"]

    door(story)


def test_a_cursor_is_good_for_one_caller_and_one_question(door):
    async def story(one: SupplyDoor) -> None:
        cursor = (await one.ask("ana", "GET", f"{PLACE}?limit=1")).json()["next"]
        assert (await one.ask("ana", "GET", f"{PLACE}?limit=2&cursor={cursor}")).status_code == 200
        swapped = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
        refused = {
            "somebody else's": ("ben", f"{PLACE}?limit=1&cursor={cursor}"),
            "another list's": ("ana", f"/supply/v1/leaking?limit=1&cursor={cursor}"),
            "another question's": ("ana", f"{PLACE}?limit=1&supplier=ORTHO&cursor={cursor}"),
            "changed": ("ana", f"{PLACE}?limit=1&cursor={swapped}"),
            "cut": ("ana", f"{PLACE}?limit=1&cursor={cursor[:10]}"),
            "made up": ("ana", f"{PLACE}?limit=1&cursor=MQ"),
        }
        for why, (who, path) in refused.items():
            answer = await one.ask(who, "GET", path)
            assert answer.status_code == 400 and answer.json()["type"] == "/problems/bad-cursor", why

    door(story)
