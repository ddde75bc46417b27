"""Billing's answers, and what billing wrote down."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.connectors.benches import billing_at, noon, usage

from hilum.authoring import Refused, Unavailable
from hilum.connectors.billing_hl7v2 import BillingHl7, control_id
from hilum.formats import hl7v2
from hilum.model import ChargeableUsage, DocumentRef
from hilum.testing.neighbours.launch import simulated_billing
from hilum.testing.neighbours.process import Neighbour


@pytest.fixture
def billing(tmp_path: Path) -> Iterator[Neighbour]:
    with simulated_billing(tmp_path) as neighbour:
        yield neighbour


def charge(billing: Neighbour, what: ChargeableUsage) -> DocumentRef:
    async def story() -> DocumentRef:
        connector = billing_at(billing)
        try:
            return await connector.charge_usage(what, key=f"{what.usage_id}/tell_billing")
        finally:
            await connector.close()

    return asyncio.run(story())


def answered_with(acknowledgement: str) -> Exception:
    """What the connector raises when billing answers so."""

    async def exchange(message: bytes) -> bytes:
        sent = hl7v2.header_of(message).control_id
        header = "MSH|^~\\&|BILLING|LAKESHORE|HILUM|ST-MARY|20260302120000||ACK|B1|P|2.5.1"
        return "\r".join([header, acknowledgement.replace("ID", sent or ""), ""]).encode()

    with pytest.raises((Refused, Unavailable)) as raised:
        asyncio.run(BillingHl7(exchange, clock=noon).charge_usage(usage("U-1"), key="U-1"))
    return raised.value


def test_a_charge_arrives_with_everything_that_was_used(billing: Neighbour) -> None:
    document = charge(billing, usage("U-1"))

    assert (document.type, document.number, document.state) == ("charge", "CH-000001", "new")
    written = billing.ask("GET", "/charges?usage_id=U-1")[0]
    expected = {
        "account": "SYN-A-1", "authority": "ST-MARY", "code": "IMP-1001", "quantity": 2, "unit_cost": "4810.00",
        "description": "Knee system total & cemented", "department": "OR", "facility": "ST-MARY",
    }  # fmt: skip
    assert {name: written[name] for name in expected} == expected


def test_a_transaction_id_used_for_another_charge_is_refused_with_billings_reason(billing: Neighbour) -> None:
    charge(billing, usage("U-1"))

    with pytest.raises(Refused) as raised:
        charge(billing, usage("U-1", account="SYN-A-2"))

    assert raised.value.cause == "billing answered AE 205 at FT1-2"
    assert raised.value.detail == "the transaction id was used for another charge"


@pytest.mark.parametrize(
    ("acknowledgement", "kind"),
    [
        ("MSA|AE|ID\rERR||PID^1^18|101^Required field missing^HL70357|E", Refused),
        ("MSA|AR|ID\rERR||MSH^1^9|200^Unsupported message type^HL70357|E", Refused),
        ("MSA|AE|ID\rERR|||207^Application internal error^HL70357|E", Refused),
        ("MSA|AE|ID\rERR|||206^Application record locked^HL70357|E", Unavailable),
        ("MSA|AR|ID\rERR|||207^Application internal error^HL70357|E", Unavailable),
        ("MSA|CE|ID", Refused),
        ("MSA|AR|ID", Refused),
    ],
)
def test_a_refusal_is_told_from_a_system_that_cannot_now(acknowledgement: str, kind: type[Exception]) -> None:
    assert type(answered_with(acknowledgement)) is kind


def test_free_text_of_an_acknowledgement_is_not_repeated_for_it_may_name_the_patient() -> None:
    error = answered_with(
        "MSA|AE|ID|no such patient Zztest\rERR||PID^1^18|204^Unknown key identifier|E||||Zztest is unknown"
    )

    assert "Zztest" not in str(error)
    assert "204" in str(error)


def test_the_control_id_is_the_keys_own_and_fits_the_field() -> None:
    key = "implant_usage/U-1234567890/tell_billing/1"

    assert control_id(key) == control_id(key) != control_id(key + "x")
    assert len(control_id(key)) <= 20
