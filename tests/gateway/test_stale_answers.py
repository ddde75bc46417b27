"""Earlier answers: never for another's eyes, never older than agreed, never in the place of a refusal."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hilum.authoring.api import Api, Operation, Page, PageRequest
from hilum.authoring.caller import SERVICE, Caller
from hilum.authoring.contract import Contract
from hilum.authoring.failures import Refused, Throttled, Unavailable
from hilum.gateway.ports import KeptAnswer
from hilum.gateway.stale import MOST_BYTES_EACH, StaleMemory, allows_stale, question_key, stale_headers
from hilum.model.where import EVERYTHING, Equals, OneOf, Where, all_of
from hilum.testing.clock import StoppedClock

erp = Api("erp")
AP_BOT = Caller(SERVICE, "ap-bot", "hilum", frozenset({"ap"}), frozenset({"ST-MARY", "HARBOR-VIEW"}))
ST_MARY = Equals("facility", "ST-MARY")


class PurchaseOrder(Contract, version=1):
    """An order, as short as a test needs it."""

    number: str


@erp.list("/orders", resource="Order", stale_seconds=300)
def list_orders(where: Where, page: PageRequest) -> Page[PurchaseOrder]:
    """Orders."""
    raise AssertionError


@erp.get("/orders/mine", resource="Order", stale_seconds=300)
def my_orders(caller: Caller) -> PurchaseOrder:
    """One's own."""
    raise AssertionError


@erp.post("/orders", resource="Order", stale_seconds=300)
def place_order(body: PurchaseOrder) -> PurchaseOrder:
    """An order."""
    raise AssertionError


@erp.get("/orders/{number}", resource="Order")
def read_order(number: str) -> PurchaseOrder:
    """One."""
    raise AssertionError


OPERATIONS: dict[str, Operation] = {operation.function.__name__: operation for operation in erp.operations}


def key(caller: Caller = AP_BOT, operation: str = "list_orders", **asked: Any) -> str:
    told: dict[str, Any] = {"path": {}, "page": PageRequest(), "where": ST_MARY, "policy_version": "p1", **asked}
    return question_key(OPERATIONS[operation], caller, **told)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"where": EVERYTHING}, id="another condition"),
        pytest.param({"where": Equals("facility", "HARBOR-VIEW")}, id="another facility"),
        pytest.param({"where": all_of([ST_MARY, Equals("supplier", "SUP-7")])}, id="a narrower condition"),
        pytest.param({"caller": replace(AP_BOT, roles=frozenset({"ap", "auditor"}))}, id="another role"),
        pytest.param({"caller": replace(AP_BOT, facilities=frozenset({"ST-MARY"}))}, id="other facilities"),
        pytest.param({"caller": replace(AP_BOT, supplier="SUP-7")}, id="bound to a supplier"),
        pytest.param({"caller": replace(AP_BOT, purpose="audit")}, id="another purpose"),
        pytest.param({"caller": replace(AP_BOT, break_glass="BG-1")}, id="a broken glass"),
        pytest.param({"policy_version": "p2"}, id="other policies"),
        pytest.param({"page": PageRequest(limit=10)}, id="another page"),
        pytest.param({"page": PageRequest(cursor="x")}, id="the next page"),
        pytest.param({"path": {"number": "PO-1"}}, id="another path"),
        pytest.param({"operation": "my_orders"}, id="another operation"),
    ],
)
def test_who_sees_otherwise_or_asks_otherwise_has_an_answer_of_its_own(other: dict[str, Any]) -> None:
    assert key(**other) != key()


def test_two_callers_who_see_the_same_share_an_answer_but_not_where_the_handler_looks_at_them() -> None:
    other = replace(AP_BOT, id="ap-bot-2", session="s2", trace_id="t2")
    assert key(other) == key()
    assert key(other, "my_orders") != key(AP_BOT, "my_orders")


def test_the_order_of_a_set_makes_no_other_question() -> None:
    names = [f"H-{n}" for n in range(20)]
    assert key(where=OneOf("facility", frozenset(names))) == key(where=OneOf("facility", frozenset(reversed(names))))


@pytest.mark.parametrize(
    ("operation", "failure", "allowed"),
    [
        ("list_orders", Unavailable("erp", "answered 503"), True),
        ("list_orders", Throttled("erp", "answered 429", 5), True),
        ("list_orders", TimeoutError(), True),
        ("list_orders", Refused("unknown supplier"), False),
        ("list_orders", ZeroDivisionError(), False),
        ("read_order", Unavailable("erp", "answered 503"), False),
        ("place_order", Unavailable("erp", "answered 503"), False),
    ],
)
def test_only_time_that_must_pass_is_bridged_and_only_where_the_contract_allows(
    operation: str, failure: Exception, allowed: bool
) -> None:
    assert allows_stale(OPERATIONS[operation], failure) is allowed


def memory(clock: StoppedClock, **settings: Any) -> StaleMemory:
    return StaleMemory(clock=clock, **{"longest_seconds": 300.0, **settings})


def test_an_answer_is_given_until_it_is_too_old() -> None:
    async def story() -> None:
        clock = StoppedClock()
        kept = memory(clock)
        await kept.keep("k", KeptAnswer(b"[1]", clock()))
        clock.passes(seconds=120)
        found = await kept.find("k", 300)
        assert found is not None
        assert stale_headers(found, clock()) == {
            "Age": "120", "Cache-Status": "hilum; hit; ttl=-120; detail=unavailable", "Hilum-Stale": "true",
        }  # fmt: skip
        assert await kept.find("k", 60) is None, "another operation agreed on less"
        clock.passes(seconds=181)
        assert await kept.find("k", 300) is None
        assert await kept.find("other", 300) is None

    asyncio.run(story())


def test_nothing_stays_in_memory_longer_than_anybody_may_get_it() -> None:
    async def story() -> None:
        clock = StoppedClock()
        kept = memory(clock)
        for number in range(10):
            await kept.keep(f"k{number}", KeptAnswer(b"SYN-PATIENT", clock()))
        clock.passes(seconds=301)
        await kept.keep("new", KeptAnswer(b"[]", clock()))
        assert kept.bytes_kept == 2

    asyncio.run(story())


def test_memory_is_bounded_and_the_oldest_go_first() -> None:
    async def story() -> None:
        clock = StoppedClock()
        kept = memory(clock, most_bytes=1000)
        for number in range(50):
            await kept.keep(f"k{number}", KeptAnswer(b"x" * 100, clock()))
            await kept.keep("often", KeptAnswer(b"y" * 100, clock()))
        assert kept.bytes_kept <= 1000
        assert await kept.find("often", 300) is not None
        assert await kept.find("k0", 300) is None
        await memory(clock).keep("big", KeptAnswer(b"x" * (MOST_BYTES_EACH + 1), clock()))
        large = memory(clock)
        await large.keep("big", KeptAnswer(b"small", clock()))
        await large.keep("big", KeptAnswer(b"x" * (MOST_BYTES_EACH + 1), clock()))
        assert await large.find("big", 300) is None, "and what it replaced is no newest answer either"
        assert large.bytes_kept == 0

    asyncio.run(story())


def test_an_answer_from_a_clock_that_was_ahead_has_no_negative_age() -> None:
    clock = StoppedClock()
    ahead = KeptAnswer(b"", clock() + timedelta(seconds=5))
    assert stale_headers(ahead, clock())["Age"] == "0"
