"""Positions of the inventory platform, searched there by any condition, page by page."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connectors.benches import TOKEN

from hilum.authoring import PageRequest, Problem, Refused, Unavailable
from hilum.connectors.inventory_rest import InventoryRest
from hilum.model import InventoryPosition, ItemNumber, LocationCode
from hilum.model.where import EVERYTHING, NOTHING, AllOf, AnyOf, Equals, Has, Not, OneOf, Where
from hilum.model.where_json import as_json
from hilum.testing.neighbours.launch import simulated_inventory
from hilum.testing.neighbours.process import Neighbour

R = TypeVar("R")
WHERE = {"STM-OR1": "ST-MARY", "STM-CATH": "ST-MARY", "HBV-OR": "HARBOR-VIEW"}
SHELVES = [
    ("HBV-OR", "KNEE-99"), ("HBV-OR", "SCREW-3"), ("STM-CATH", "STENT-12"), ("STM-OR1", "KNEE-99"), ("VAN-1", "SCREW-3"),
]  # fmt: skip


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbour]:
    place: Path = tmp_path_factory.mktemp("inventory")
    token = place / "token"
    token.write_text(TOKEN)
    shelves = [
        {"location": location, "item": item, "on_hand": n, "reorder_point": 1, "par": 4}
        for n, (location, item) in enumerate(SHELVES)
    ]
    with simulated_inventory(place, token_file=token, positions=shelves, locations=WHERE) as neighbour:
        yield neighbour


Ask = Callable[[Callable[[InventoryRest], Coroutine[Any, Any, R]]], R]


@pytest.fixture(scope="module")
def ask(inventory: Neighbour) -> Iterator[Ask]:
    loop = asyncio.new_event_loop()
    connector = InventoryRest(inventory.url, TOKEN, timeout_seconds=2)
    yield lambda work: loop.run_until_complete(work(connector))
    loop.run_until_complete(connector.close())
    loop.close()


def attributes(position: InventoryPosition) -> dict[str, str | None]:
    facility = position.facility.value if position.facility is not None else None
    return {"location": position.location.value, "item": position.item.value, "facility": facility}


FIELDS = st.sampled_from(["location", "item", "facility", "colour"])
VALUES = st.sampled_from(["STM-OR1", "KNEE-99", "SCREW-3", "ST-MARY", "HARBOR-VIEW", "", "1", 1, True])
TEXTS = st.sampled_from(["STM-OR1", "KNEE-99", "ST-MARY", "HARBOR-VIEW", "' OR 1=1 --", "\x00", "é"])
CONDITIONS = st.recursive(
    st.one_of(
        st.builds(Equals, FIELDS, VALUES),
        st.builds(OneOf, FIELDS, st.frozensets(TEXTS, max_size=3)),
        st.builds(Has, FIELDS),
        st.sampled_from([EVERYTHING, NOTHING]),
    ),
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.lists(inner, max_size=3).map(lambda parts: AllOf(tuple(parts))),
        st.lists(inner, max_size=3).map(lambda parts: AnyOf(tuple(parts))),
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(where=CONDITIONS)
def test_positions_are_found_exactly_as_they_match(ask: Ask[Any], where: Where) -> None:
    everything = ask(lambda stock: stock.positions(EVERYTHING, PageRequest(100))).items
    assert [(p.location.value, p.item.value) for p in everything] == SHELVES
    found = ask(lambda stock: stock.positions(where, PageRequest(100))).items
    assert list(found) == [position for position in everything if where.matches(attributes(position))]


def test_pages_follow_each_other(ask: Ask[Any]) -> None:
    seen, cursor = [], None
    while True:
        page = ask(lambda stock, at=cursor: stock.positions(EVERYTHING, PageRequest(2, at)))
        assert len(page.items) <= 2
        seen += [(p.location.value, p.item.value) for p in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == SHELVES


def test_one_position_is_found_or_not(ask: Ask[Any]) -> None:
    found = ask(lambda stock: stock.position(LocationCode("STM-OR1"), ItemNumber("KNEE-99")))
    assert (found.on_hand_each, found.facility.value) == (3, "ST-MARY")
    assert ask(lambda stock: stock.position(LocationCode("VAN-1"), ItemNumber("SCREW-3"))).facility is None
    assert ask(lambda stock: stock.position(LocationCode("STM-OR1"), ItemNumber("HIP-40"))) is None


@pytest.mark.parametrize("cursor", ["", "!!!", "AAAA", "b3JkZXJzCjE"])
def test_a_foreign_cursor_is_a_problem(ask: Ask[Any], cursor: str) -> None:
    with pytest.raises(Problem) as raised:
        ask(lambda stock: stock.positions(EVERYTHING, PageRequest(2, cursor)))
    assert raised.value.status == 400


def test_a_platform_that_is_away_is_unavailable_and_one_that_refuses_is_a_persons(
    inventory: Neighbour, ask: Ask[Any]
) -> None:
    inventory.fault("busy", requests=1, path="/positions")
    with pytest.raises(Unavailable):
        ask(lambda stock: stock.positions(EVERYTHING, PageRequest(2)))

    async def with_a_stolen_token() -> None:
        stranger = InventoryRest(inventory.url, "stolen", timeout_seconds=2)
        try:
            await stranger.positions(EVERYTHING, PageRequest(2))
        finally:
            await stranger.close()

    with pytest.raises(Refused, match="answered 401 when its positions were read"):
        asyncio.run(with_a_stolen_token())


def test_a_condition_of_an_unknown_kind_is_refused_and_never_ignored() -> None:
    class Odd(Where):
        pass

    with pytest.raises(TypeError, match="Odd"):
        as_json(Not(Odd()))
