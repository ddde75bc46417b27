"""Denials on the whole platform and the real ERP: seen, decided, agreed to by somebody else, posted, and closed by later facts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import asyncpg
import pytest
from tests.crash.payments import TODAY, Payments, usd
from tests.crash.worlds import LAKESHORE, a_hospital, until

from hilum.authoring.caller import Caller
from hilum.authoring.estate import Estate
from hilum.runtime import approvals
from hilum.runtime.approval_desk import go_on
from hilum.security.policies import Policies
from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.claims import SentClaim, claim_file
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.remittances import PaidClaim, PayerRemittance

pytestmark = [pytest.mark.erp, pytest.mark.slow]

RITA = Caller(
    "person", "rita", roles=frozenset({"revenue-analyst"}), facilities=frozenset({"ST-MARY"}), purpose="payment"
)
SERVICE = TODAY - timedelta(days=30)


@pytest.fixture(scope="module")
def payments(
    erp: Tryton, postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Payments]:
    place = tmp_path_factory.mktemp("denials")
    with a_hospital(place, erp, postgres=postgres, template=migrated_template) as hospital, erp.desk() as desk:
        for folder in ("claims", "remittances"):
            (hospital.data / "inbox" / folder).mkdir(parents=True, exist_ok=True)
        yield Payments(hospital, desk, count(1))
        assert hospital.hilum("audit", "verify")["whole"]


def sends(payments: Payments, *claims: SentClaim, number: int, on: Any = SERVICE) -> None:
    payments.inbox.joinpath("claims", f"{number}.837").write_bytes(claim_file(claims, control_number=number, on=on))
    until(lambda: any((payments.inbox / "claims.done").glob(f"*{number}*.837")))
    payments.hospital.settles()


def denials(payments: Payments, *options: str) -> list[dict[str, Any]]:
    found: Any = payments.hospital.hilum("denials", "list", *options)
    return list(found)


def agrees(payments: Payments, *, approves: bool = True) -> None:
    """Rita, who had no part in it, decides about what waits."""

    async def work(pool: asyncpg.Pool) -> None:
        now = datetime.now(UTC)
        policies = Policies(
            {f"policies/{file.name}": file.read_text() for file in (LAKESHORE / "policies").glob("*.cedar*")}
        )
        async with pool.acquire() as connection, connection.transaction():
            [waiting] = await approvals.waiting(connection, now=now)
            decided = await approvals.decide(
                connection, waiting.id, caller=RITA, approves=approves, digest=waiting.digest, policies=policies,
                names=approvals.Names(Estate(LAKESHORE, "lakeshore")), now=now, reason="no appeal left",
            )  # fmt: skip
            await go_on(connection, decided, now=now, actor=RITA.actor)

    payments.hospital.on_database(work)


def case(payments: Payments, reference: str) -> str | None:
    rows = payments.hospital.query("SELECT state FROM flow_case WHERE id = $1", f"write_off/{reference}")
    return rows[0]["state"] if rows else None


def test_a_denial_is_given_up_when_somebody_else_agreed_and_stands_in_the_ledger(payments: Payments) -> None:
    sends(
        payments,
        SentClaim("SYN-PACER", usd("450.00"), day=SERVICE),
        SentClaim("SYN-MESH", usd("90.00"), day=SERVICE),
        number=905,
    )
    payments.drops(
        PayerRemittance(
            "EFT-D1",
            [
                PaidClaim("SYN-PACER", usd("450.00"), usd("0"), [("CO", "197", usd("450.00"))], status="4"),
                PaidClaim("SYN-MESH", usd("90.00"), usd("40.00"), [("CO", "29", usd("50.00"))]),
            ],
            paid_on=TODAY,
        )
    )
    large, small = sorted(denials(payments), key=lambda each: each["reason"])
    assert (large["reason"], large["amount"], large["cause"], large["state"]) == (
        "197",
        "450.00",
        "Authorisation is missing",
        "open",
    )
    assert large["due_on"] == str(SERVICE + timedelta(days=180))
    # Up to 250 dollars nobody is asked.
    made = payments.hospital.hilum("denials", "decide", str(small["number"]), "write-off", "--reason", "Filed too late")
    until(lambda: case(payments, made["reference"]) == "done")
    assert payments.books(f"write_off/{made['reference']}") == {
        ("ST-MARY", "4940"): usd("50.00"),
        ("ST-MARY", "1220"): -usd("50.00"),
    }
    # Above it somebody else has to agree.
    made = payments.hospital.hilum("denials", "decide", str(large["number"]), "write-off", "--reason", "No appeal left")
    until(lambda: case(payments, made["reference"]) == "waiting")
    assert payments.books(f"write_off/{made['reference']}") == {}
    assert [each["state"] for each in denials(payments)] == ["write_off_asked"]
    agrees(payments)
    until(lambda: case(payments, made["reference"]) == "done")
    assert payments.books(f"write_off/{made['reference']}") == {
        ("ST-MARY", "4940"): usd("450.00"),
        ("ST-MARY", "1220"): -usd("450.00"),
    }
    assert denials(payments) == []
    told = payments.hospital.hilum("claim", "show", "SYN-PACER")
    assert told["claim"]["state"] == "closed"
    sources = {journal["source"]: journal["number"] for journal in told["journals"]}
    assert set(sources) == {"remittance/HHP01/EFT-D1", f"write_off/{made['reference']}"}
    assert all(number.startswith("JE-") for number in sources.values())
    assert [denial["state"] for denial in told["denials"]] == ["written_off"]
    # The payer pays after all: somebody has to take the write-off back.
    again = PaidClaim("SYN-PACER", usd("450.00"), usd("400.00"), [("CO", "45", usd("50.00"))])
    payments.drops(PayerRemittance("EFT-D2", [again], paid_on=TODAY + timedelta(days=1)))
    item = payments.waiting("ClaimWriteOffOverturned:HHP01")
    assert (item["queue"], item["at_risk_usd"]) == ("claims", usd("450.00"))


def test_what_nobody_agrees_to_is_open_again_and_what_is_sent_again_closes(payments: Payments) -> None:
    sends(payments, SentClaim("SYN-VALVE", usd("900.00"), day=SERVICE), number=910)
    denied = PaidClaim("SYN-VALVE", usd("900.00"), usd("0"), [("CO", "16", usd("900.00"))], status="4")
    payments.drops(PayerRemittance("EFT-D3", [denied], paid_on=TODAY))
    [denial] = denials(payments, "--reason", "16")
    made = payments.hospital.hilum("denials", "decide", str(denial["number"]), "write-off", "--reason", "Too old")
    until(lambda: case(payments, made["reference"]) == "waiting")
    agrees(payments, approves=False)
    until(lambda: case(payments, made["reference"]) == "done")
    assert [each["state"] for each in denials(payments, "--reason", "16")] == ["open"]
    assert payments.books(f"write_off/{made['reference']}") == {}
    payments.hospital.hilum(
        "denials", "decide", str(denial["number"]), "resubmit", "--reason", "The missing number is known now"
    )
    sends(
        payments,
        SentClaim("SYN-VALVE", usd("900.00"), day=SERVICE, frequency="7", original="HH-SYN-VALVE"),
        number=911,
        on=TODAY + timedelta(days=1),
    )
    assert denials(payments, "--reason", "16") == []
    assert [each["state"] for each in denials(payments, "--reason", "16", "--all")] == ["resubmitted"]
