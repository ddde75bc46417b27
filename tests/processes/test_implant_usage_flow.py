"""The flow, read as the business process: which steps, in which order, with which figures."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from hilum.model import (
    AccountNumber,
    ChargeCode,
    ContractPrice,
    DepartmentCode,
    DocumentRef,
    FacilityCode,
    ItemNumber,
    Journal,
    LocationCode,
    Money,
    Movement,
    Replenishment,
    Shelf,
)
from hilum.processes.implant_usage import ImplantUsed, NoContractPrice, UnknownDepartment, UnknownItem, implant_usage
from hilum.testing.rehearsal import Rehearsal, rehearse

CROSSWALKS = {
    "charge_code_to_item": {"IMP-1001": "KNEE-99"},
    "device_to_item": {"00851234500030": "STENT-12"},
    "department_to_location": {"OR": "STM-OR1"},
    "department_to_cost_centre": {"OR": "CC-ORTHO"},
}


def used(**changes: Any) -> ImplantUsed:
    given: dict[str, Any] = {
        "usage_id": "U-1",
        "charge_code": ChargeCode("IMP-1001"),
        "quantity": 1,
        "account": AccountNumber("ACC-7", "ST-MARY"),
        "department": DepartmentCode("OR"),
        "facility": FacilityCode("ST-MARY"),
        "used_at": datetime(2026, 3, 2, 15, 4, tzinfo=UTC),
        "charge_usd": Decimal("6200.00"),
    }
    return ImplantUsed(**(given | changes))


def theatre(event: ImplantUsed, *, on_hand: int = 5, price: str | None = "4810.00") -> Rehearsal:
    """The flow against a shelf that holds ``on_hand`` after the movement, reorder point 2 and par level 6."""

    def take(movement: Movement) -> Shelf:
        return Shelf(
            location=movement.location, item=movement.item, on_hand_each=on_hand, reorder_point_each=2,
            par_level_each=6, last_receipt="R-9", movement="MV-1",
        )  # fmt: skip

    def contract_price(item: ItemNumber, on: date) -> ContractPrice | None:
        return None if price is None else ContractPrice(item=item, unit_price=Money.usd(price), supplier="Orthovia")

    def document(kind: str) -> Any:
        return lambda **_: DocumentRef(system="x", type=kind, number="1")

    systems = {
        "stock": SimpleNamespace(take=take),
        "erp": SimpleNamespace(
            contract_price=contract_price,
            order_replenishment=document("purchase order"),
            post_journal=document("journal"),
        ),
        "billing": SimpleNamespace(charge_usage=document("charge")),
    }
    return rehearse(implant_usage, event, systems=systems, crosswalks=CROSSWALKS)


def given_to(done: Rehearsal, operation: str) -> Any:
    [arguments] = [a for _, name, a in done.commands if name == operation]
    return next(iter(arguments.values()))


def test_a_usage_is_counted_priced_costed_and_charged_in_that_order() -> None:
    assert theatre(used()).steps == [
        "known_item",
        "take_from_stock",
        "contract_price",
        "attribute_cost",
        "tell_billing",
    ]


@pytest.mark.parametrize(
    ("on_hand", "ordered"),
    [
        pytest.param(3, None, id="above the reorder point: wait"),
        pytest.param(2, 4, id="at the reorder point: fill up to par"),
        pytest.param(1, 5, id="below it: fill up to par"),
        pytest.param(0, 6, id="empty: the whole par level"),
    ],
)
def test_a_shelf_is_replenished_at_its_reorder_point(on_hand: int, ordered: int | None) -> None:
    done = theatre(used(), on_hand=on_hand)
    assert ("replenish" in done.steps) is (ordered is not None)
    if ordered is not None:
        request: Replenishment = given_to(done, "order_replenishment")
        assert (request.quantity_each, request.location) == (ordered, LocationCode("STM-OR1"))


def test_one_order_is_asked_for_between_two_receipts_whoever_finds_the_shelf_low() -> None:
    first, second = theatre(used(), on_hand=2), theatre(used(usage_id="U-2"), on_hand=1)
    assert [k for k in first.keys if k] == [k for k in second.keys if k] == ["replenish/STM-OR1/KNEE-99/R-9"]


def test_the_cost_is_quantity_times_contract_price_on_the_departments_cost_centre() -> None:
    journal: Journal = given_to(theatre(used(quantity=3)), "post_journal")
    expense, inventory = journal.lines
    assert (expense.account, expense.debit, str(expense.cost_centre)) == ("5100", Decimal("14430.00"), "CC-ORTHO")
    assert (inventory.account, inventory.credit) == ("1300", Decimal("14430.00"))


def test_every_used_unit_leaves_the_shelf() -> None:
    movement: Movement = given_to(theatre(used(quantity=3)), "take")
    assert (movement.quantity_each, movement.reference) == (3, "U-1")


def test_the_device_identifier_wins_over_the_typed_charge_code() -> None:
    movement: Movement = given_to(theatre(used(device_identifier="00851234500030")), "take")
    assert movement.item == ItemNumber("STENT-12")


def test_an_unknown_device_falls_back_to_the_charge_code() -> None:
    movement: Movement = given_to(theatre(used(device_identifier="00000000000000")), "take")
    assert movement.item == ItemNumber("KNEE-99")


def test_an_unknown_item_stops_before_anything_moves() -> None:
    with pytest.raises(UnknownItem) as stopped:
        theatre(used(charge_code=ChargeCode("IMP-2050")))
    assert (stopped.value.cause, stopped.value.queue, stopped.value.at_risk_usd) == (
        "IMP-2050",
        "item-master",
        Decimal("6200.00"),
    )


def test_an_unknown_department_names_department_and_hospital() -> None:
    with pytest.raises(UnknownDepartment, match="HYBRID at ST-MARY"):
        theatre(used(department=DepartmentCode("HYBRID")))


def test_without_a_contract_price_nothing_is_costed_at_zero() -> None:
    with pytest.raises(NoContractPrice):
        theatre(used(), price=None)
