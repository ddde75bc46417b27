"""Onboarding and department requests as their authors test them: what is screened, agreed to, ordered and made known."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from hilum.authoring.approving import ApprovalRejected, ApprovalStanding, NeedsApproval
from hilum.model import ContractPrice, DocumentRef, Item, ItemNumber, Money
from hilum.model.identifiers import DepartmentCode, FacilityCode
from hilum.model.procurement import Supplier
from hilum.processes.department_requests import (
    DepartmentRequested,
    NoPriceForRequest,
    RequestedLine,
    UnknownRequestedItem,
    department_request,
    request_digest,
)
from hilum.processes.supplier_onboarding import (
    AlreadySupplier,
    AppliedAddress,
    ExcludedParty,
    SupplierApplied,
    application_digest,
    onboard_supplier,
    screened_name,
)
from hilum.testing.rehearsal import rehearse

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HARBOR_ROAD = AppliedAddress(
    street="12 Harbor Rd", city="Lakeport", subdivision="MI", postal_code="49001", country="US"
)
EXCLUDED = {"excluded_parties": {"quack devices": "excluded 2024-05"}}
PLACES = {"department_to_location": {"OR": "STM-OR1"}, "department_to_cost_centre": {"OR": "CC-ORTHO"}}


class Desk:
    """An approval desk whose answers are given beforehand, the newest last."""

    def __init__(self, *states: str) -> None:
        self.states = list(states)
        self.asked: list[object] = []

    def ask(self, asked, key=None):
        self.asked.append(asked)
        return ApprovalStanding(number=len(self.asked), state="open")

    def standing(self, number):
        return ApprovalStanding.model_validate({"number": number, "state": self.states.pop(0)})


class Books:
    """An ERP with a few suppliers, items and prices."""

    def __init__(
        self, suppliers=(), prices=(("KNEE-99", "1000.00"), ("SCREW-3", "4.50")), items=("KNEE-99", "SCREW-3", "GAUZE")
    ):
        self.suppliers = {supplier.code: supplier for supplier in suppliers}
        self.prices = dict(prices)
        self.items = items

    def supplier(self, code):
        return self.suppliers.get(code)

    def create_supplier(self, supplier):
        self.suppliers[supplier.code] = supplier
        return DocumentRef(system="erp", type="supplier", number=supplier.code)

    def item(self, number):
        return Item(number=number, name=number.value) if number.value in self.items else None

    def contract_price(self, item, on):
        price = self.prices.get(item.value)
        return None if price is None else ContractPrice(item=item, unit_price=Money.usd(price), supplier="Orthovia")

    def order_replenishment(self, request):
        return DocumentRef(system="erp", type="order", number=f"PO-{request.item.value}")


def applied(**changes):
    told = {
        "application": "SA-1", "supplier": "NORTHSTAR", "name": "North Star Orthopedics LLC", "tax_number": "36-1234567",
        "tax_kind": "us_ein", "address": HARBOR_ROAD, "contact_name": "Nora Stern", "contact_email": "nora@northstar.example",
        "requested_by": "person:sam", "requested_at": NOON,
    }  # fmt: skip
    return SupplierApplied(**{**told, **changes})


def requested(*lines, **changes):
    told = {
        "request": "DR-1", "department": DepartmentCode(value="OR"), "facility": FacilityCode(value="ST-MARY"),
        "lines": tuple(RequestedLine(item=item, quantity_each=n) for item, n in lines), "requested_by": "person:rick",
        "requested_at": NOON,
    }  # fmt: skip
    return DepartmentRequested(**{**told, **changes})


def test_an_application_that_is_agreed_to_makes_the_supplier_known():
    books, desk = Books(), Desk("approved")
    done = rehearse(onboard_supplier, applied(), systems={"erp": books, "approvals": desk}, crosswalks=EXCLUDED)
    assert done.steps == ["screen", "approved", "make_known"]
    made = books.suppliers["NORTHSTAR"]
    assert (made.name, made.tax_identifiers[0].value, made.contacts[0].value) == (
        "North Star Orthopedics LLC", "36-1234567", "nora@northstar.example",
    )  # fmt: skip
    (asked,) = desk.asked
    assert (asked.kind, asked.subject, asked.requested_by, asked.supplier) == (
        "SupplierApplication", "SA-1", "person:sam", "NORTHSTAR",
    )  # fmt: skip


@pytest.mark.parametrize(("state", "raised"), [("open", NeedsApproval), ("rejected", ApprovalRejected)])
def test_an_application_nobody_agreed_to_makes_nothing_known(state, raised):
    books = Books()
    with pytest.raises(raised) as waits:
        rehearse(onboard_supplier, applied(), systems={"erp": books, "approvals": Desk(state)}, crosswalks=EXCLUDED)
    assert books.suppliers == {}
    assert waits.value.cause == "SupplierApplication SA-1"


def test_what_expired_is_asked_anew():
    desk = Desk("expired", "approved")
    rehearse(onboard_supplier, applied(), systems={"erp": Books(), "approvals": desk}, crosswalks=EXCLUDED)
    assert len(desk.asked) == 2


@pytest.mark.parametrize("name", ["Quack Devices", "QUACK DEVICES, Inc.", "Quack  Devices GmbH"])
def test_an_excluded_party_is_not_even_put_before_anybody(name):
    desk = Desk()
    with pytest.raises(ExcludedParty):
        rehearse(onboard_supplier, applied(name=name), systems={"erp": Books(), "approvals": desk}, crosswalks=EXCLUDED)
    assert desk.asked == []


def test_the_code_of_another_supplier_is_refused_and_that_of_the_same_one_is_not():
    same, other = (
        Supplier(code="NORTHSTAR", name="North Star Orthopedics"),
        Supplier(code="NORTHSTAR", name="Star Nursery"),
    )
    with pytest.raises(AlreadySupplier):
        rehearse(onboard_supplier, applied(), systems={"erp": Books([other]), "approvals": Desk()}, crosswalks=EXCLUDED)
    rehearse(
        onboard_supplier, applied(), systems={"erp": Books([same]), "approvals": Desk("approved")}, crosswalks=EXCLUDED
    )


def test_a_cause_and_a_detail_name_no_tax_number_and_no_person():
    with pytest.raises(NeedsApproval) as waits:
        rehearse(onboard_supplier, applied(), systems={"erp": Books(), "approvals": Desk("open")}, crosswalks=EXCLUDED)
    assert not {"36-1234567", "Nora", "nora@northstar.example"} & set(str(waits.value).split())


def test_the_digest_is_that_of_exactly_this_application():
    assert application_digest(applied()) == application_digest(applied())
    assert application_digest(applied()) != application_digest(applied(tax_number="36-7654321"))


@pytest.mark.parametrize(
    ("name", "screened"),
    [("Acme, Inc.", "acme"), ("ACME  Co", "acme"), ("Incas Ltd", "incas"), ("Müller GmbH", "müller")],
)
def test_names_are_screened_without_their_legal_form(name, screened):
    assert screened_name(name) == screened


def test_a_small_request_is_ordered_line_by_line_without_asking_anybody():
    desk = Desk()
    done = rehearse(
        department_request,
        requested(("KNEE-99", 2), ("SCREW-3", 10)),
        systems={"erp": Books(), "approvals": desk},
        crosswalks=PLACES,
    )
    assert desk.asked == []
    assert [(c[1], c[2]["request"].item.value, c[2]["request"].quantity_each) for c in done.commands] == [
        ("order_replenishment", "KNEE-99", 2), ("order_replenishment", "SCREW-3", 10),
    ]  # fmt: skip
    assert done.keys == ["request/DR-1/1", "request/DR-1/2"]


def test_what_costs_more_than_a_department_may_spend_is_agreed_to_first():
    desk = Desk("open")
    with pytest.raises(NeedsApproval) as waits:
        rehearse(
            department_request,
            requested(("KNEE-99", 3)),
            systems={"erp": Books(), "approvals": desk},
            crosswalks=PLACES,
        )
    assert (waits.value.at_risk_usd, desk.asked[0].amount_usd, desk.asked[0].department) == (
        Decimal("3000.00"),
        3000,
        "OR",
    )
    agreed = rehearse(
        department_request,
        requested(("KNEE-99", 3)),
        systems={"erp": Books(), "approvals": Desk("approved")},
        crosswalks=PLACES,
    )
    assert [c[1] for c in agreed.commands] == ["ask", "order_replenishment"]


def test_exactly_the_limit_needs_nobody():
    books = Books(prices=(("KNEE-99", "2500.00"),))
    rehearse(
        department_request, requested(("KNEE-99", 1)), systems={"erp": books, "approvals": Desk()}, crosswalks=PLACES
    )


@pytest.mark.parametrize(("item", "raised"), [("HIP-1", UnknownRequestedItem), ("GAUZE", NoPriceForRequest)])
def test_what_cannot_be_bought_waits_for_whoever_can_change_that(item, raised):
    with pytest.raises(raised) as waits:
        rehearse(
            department_request, requested((item, 1)), systems={"erp": Books(), "approvals": Desk()}, crosswalks=PLACES
        )
    assert waits.value.cause == item


def test_a_request_at_another_price_is_not_what_was_agreed_to():
    wanted = requested(("KNEE-99", 3))
    assert request_digest(wanted, Money.usd("3000.00")) != request_digest(wanted, Money.usd("3000.01"))
    assert ItemNumber(value="KNEE-99").value == wanted.lines[0].item
