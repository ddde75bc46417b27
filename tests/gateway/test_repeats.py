"""Repeats with the same key: shown as much as their caller may see now, on record, and done once whatever happened before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from tests.gateway.supply_door import SupplyDoor
from tests.gateway.supply_estate import Order

from hilum.runtime import fault_points

PO_1 = "/supply/v1/orders/PO-1"
NOTE = {"text": "call first"}


@pytest.fixture(autouse=True)
def no_fault_stays_armed() -> Iterator[None]:
    yield
    fault_points.disarm()


async def noted(one: SupplyDoor, token: str, key: str, method: str = "PUT", etag: str = '"1"') -> httpx2.Response:
    headers = {"authorization": f"Bearer {token}", "idempotency-key": key, "if-match": etag}
    return await one.ask(None, method, PO_1, body=NOTE, headers=headers)


def effects(one: SupplyDoor) -> int:
    return len(one.warehouse.read()["keys"])


def test_a_repeat_shows_what_its_caller_may_see_now_and_has_no_second_effect(door):
    async def story(one: SupplyDoor) -> None:
        bound = one.sso.token("zoe", groups=["buyers", "st-mary"], supplier="ORTHO")
        unbound = one.sso.token("zoe", groups=["buyers", "st-mary"])
        first = await noted(one, bound, "K-1")
        assert first.status_code == 200 and first.json()["bank_account"] == "DE-440010023"
        lost = await noted(one, unbound, "K-1")
        assert lost.status_code == 200 and lost.headers["idempotency-replayed"] == "true"
        assert lost.json() == {**first.json(), "bank_account": "***23"}
        # The tag says which view it is of: the caller has another representation of the same state.
        assert lost.headers["etag"] == '"2.confidential"' and first.headers["etag"] == '"2"'
        again = await noted(one, bound, "K-1")
        assert again.content == first.content and again.headers["etag"] == first.headers["etag"]
        assert effects(one) == 1

    door(story)


def test_who_may_no_longer_change_a_thing_gets_no_earlier_answer_about_it(door):
    async def story(one: SupplyDoor) -> None:
        assert (await noted(one, one.sso.token("zoe", groups=["buyers", "st-mary"]), "K-1")).status_code == 200
        moved = await noted(one, one.sso.token("zoe", groups=["buyers", "st-luke"]), "K-1")
        assert moved.status_code == 404 and "call first" not in moved.text
        assert effects(one) == 1

    door(story)


def test_who_sees_an_earlier_answer_again_is_on_record(door):
    async def story(one: SupplyDoor) -> None:
        token = one.sso.token("zoe", groups=["buyers", "st-mary"], supplier="ORTHO")
        for _ in range(3):
            await noted(one, token, "K-1")
        told = await one.accesses()
        assert [(a["action"], a["detail"]["more"].get("replayed", False)) for a in told] == [
            ("access.change", False), ("access.read", True), ("access.read", True),
        ]  # fmt: skip
        assert {a["actor"] for a in told} == {"person:zoe"}
        assert all(a["detail"]["shown"] == ["confidential"] for a in told)

    door(story)


def test_an_earlier_answer_that_cannot_be_recorded_is_not_given_again(door):
    async def story(one: SupplyDoor) -> None:
        token = one.sso.token("ana")
        await noted(one, token, "K-1")
        await one.pool.execute("ALTER FUNCTION record_accesses RENAME TO away")
        refused = await noted(one, token, "K-1")
        assert refused.status_code == 503 and "call first" not in refused.text

    door(story)


def test_what_is_kept_of_an_answer_is_sealed_and_holds_nothing_unmasked_in_the_open(door):
    async def story(one: SupplyDoor) -> None:
        await noted(one, one.sso.token("ana"), "K-1")
        row = await one.pool.fetchrow("SELECT * FROM api_idempotency")
        assert row["sealed"] and b"DE-440010023" not in row["body"] and b"DE-44" not in row["headers"]

    door(story)


def test_a_kept_refusal_is_given_again_and_recorded(door):
    async def story(one: SupplyDoor) -> None:
        token = one.sso.token("ana")
        answers = [await noted(one, token, "K-1", etag='"9"') for _ in range(2)]
        assert [a.status_code for a in answers] == [412, 412] and effects(one) == 0
        assert answers[1].headers["idempotency-replayed"] == "true"
        assert answers[1].headers["content-type"] == "application/problem+json"
        assert [a["detail"]["more"].get("replayed") for a in await one.accesses()] == [True]

    door(story)


def test_an_answer_without_a_body_and_one_with_a_place_are_given_again_whole(door):
    async def story(one: SupplyDoor) -> None:
        for _ in range(2):
            gone = await one.ask("ana", "DELETE", PO_1, headers={"idempotency-key": "K-1"})
            assert gone.status_code == 204 and gone.content == b""
            approved = await one.ask("ana", "POST", PO_1 + "/approvals", headers={"idempotency-key": "K-2"})
            assert approved.status_code == 202 and approved.headers["location"] == PO_1
        assert gone.headers["idempotency-replayed"] == approved.headers["idempotency-replayed"] == "true"

    door(story)


# --- a repeat after the effect was made and its answer lost ----------------------------------------------------------


def breaks(*points: str) -> None:
    def now() -> None:
        fault_points.disarm()
        raise OSError("the store is away")

    for one in points:
        fault_points.arm(one, now)


@pytest.mark.parametrize("method", ["PUT", "PATCH"], ids=["door-compares", "handler-compares"])
@pytest.mark.parametrize("where", ["effected", "handled"])
def test_a_repeat_after_503_is_answered_though_the_state_is_the_one_that_it_made(door, method: str, where: str):
    async def story(one: SupplyDoor) -> None:
        token = one.sso.token("ana")
        breaks(f"api.{where}:supply.{'annotate' if method == 'PUT' else 'change'}")
        lost = await noted(one, token, "K-1", method)
        assert lost.status_code == 503 and effects(one) == 1, "the effect was made, and nobody was told"
        if where == "handled":
            one.clock.ahead += timedelta(minutes=1)  # As after a crash: nobody gave the lease back.
        answer = await noted(one, token, "K-1", method)
        assert answer.status_code == 200 and answer.json()["revision"] == 2, answer.text
        assert effects(one) == 1
        kept = await noted(one, token, "K-1", method)
        assert kept.content == answer.content and kept.headers["idempotency-replayed"] == "true"

    door(story)


def test_a_repeat_after_an_answer_that_could_not_be_recorded_is_answered(door):
    async def story(one: SupplyDoor) -> None:
        token = one.sso.token("ana")
        await one.pool.execute("ALTER FUNCTION record_accesses RENAME TO away")
        assert (await noted(one, token, "K-1")).status_code == 503 and effects(one) == 1
        await one.pool.execute("ALTER FUNCTION away RENAME TO record_accesses")
        answer = await noted(one, token, "K-1")
        assert answer.status_code == 200 and answer.json()["revision"] == 2 and effects(one) == 1

    door(story)


def test_a_repeat_of_what_never_found_its_state_is_compared_again(door):
    """It broke before the comparison, so nothing was confirmed: somebody else's change in between counts."""

    async def story(one: SupplyDoor) -> None:
        token = one.sso.token("ana")
        one.warehouse.away = True
        assert (await noted(one, token, "K-1")).status_code == 503
        one.warehouse.away = False
        await one.pool.execute("UPDATE breaker SET state = 'closed', retry_at = NULL")
        one.warehouse.keep(Order(number="PO-1", revision=7, facility="ST-MARY", supplier="ORTHO"))
        one.clock.ahead += timedelta(seconds=30)
        changed = await noted(one, token, "K-1")
        assert changed.status_code == 412 and effects(one) == 0

    door(story)


def test_another_request_with_the_key_of_one_whose_state_was_found_is_refused(door):
    async def story(one: SupplyDoor) -> None:
        token = one.sso.token("ana")
        breaks("api.effected:supply.annotate")
        assert (await noted(one, token, "K-1")).status_code == 503
        other = await noted(one, token, "K-1", etag='"2"')
        assert other.status_code == 422 and other.json()["type"] == "/problems/key-reused"
        assert effects(one) == 1

    door(story)


def test_a_first_request_still_compares(door):
    async def story(one: SupplyDoor) -> None:
        token = one.sso.token("ana")
        told: list[Any] = [
            (await noted(one, token, f"K-{method}", method, '"9"')).status_code for method in ("PUT", "PATCH")
        ]
        assert told == [412, 412] and effects(one) == 0
        states = await one.pool.fetch("SELECT state, body FROM api_idempotency")
        assert {row["state"] for row in states} == {"answered"}

    door(story)
