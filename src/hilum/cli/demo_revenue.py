"""The revenue side of the demo: the laboratory's charges, three claims, what a payer decided about them, and the bank's word for it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
from rich.table import Table

from hilum.cli.demo_check import Line
from hilum.runtime import closing
from hilum.testing.bank import Credited, statement
from hilum.testing.claims import SentClaim, claim_file, file_acknowledgement
from hilum.testing.hospital import Hospital
from hilum.testing.remittances import PaidClaim, interchange
from hilum.testing.revenue_day_access import charge_table
from hilum.testing.revenue_day_books import RevenueBooks, reckon
from hilum.testing.revenue_day_catalogue import HARBOR, HOSPITALS, LABORATORY, DayCharge
from hilum.testing.revenue_day_claims import BankLine, DayClaim, Payment

_PATIENCE_SECONDS = 60.0
_NEEDED = ("clearinghouse", "billing", "lab", "bank", "revenue", "cash", "claims")


@dataclass(frozen=True)
class Handful:
    """A few files of a revenue day, and the books that they must end in."""

    files: dict[str, bytes]  # By their places in the inbox.
    charged: int
    books: RevenueBooks


def is_played(estate: Path) -> bool:
    """Whether an estate has all systems that this needs."""
    return all((estate / "systems" / f"{name}.toml").exists() for name in _NEEDED)


def handful(on: date) -> Handful:
    """Six charges of the day, three claims of two weeks before, one payment that denies one of them, and its deposit."""
    before, hospital = on - timedelta(days=14), HOSPITALS[0]
    charges = [
        DayCharge(f"lab/DEMO-{number}", each.code, LABORATORY[number % 2], "GEN", Decimal(48 + number), on)
        for number, each in enumerate(HOSPITALS * 2, start=1)
    ]
    rows = [
        [each.number.removeprefix("lab/"), "CG", "", each.facility, f"SYN-E-{at}", "GEN", each.service.code, "Panel", "1",
         f"{each.amount:.2f}", f"{on}", HARBOR.number]
        for at, each in enumerate(charges, start=1)
    ]  # fmt: skip
    sent = [
        SentClaim(f"SYN-DEMO-{number}", Decimal(cents) / 100, day=before)
        for number, cents in enumerate((150_000, 48_000, 96_000), start=1)
    ]
    paid = [
        PaidClaim(sent[0].claim, sent[0].charge, Decimal("1200.00"), [("CO", "45", Decimal("200.00")), ("PR", "2", Decimal("100.00"))], day=before),
        PaidClaim(sent[1].claim, sent[1].charge, Decimal("0.00"), [("CO", "197", sent[1].charge)], "4", before),
    ]  # fmt: skip
    payment = Payment(hospital, HARBOR, "EFT-DEMO-1", on, datetime.combine(on, datetime.min.time(), UTC), paid)
    remittance = payment.remittance()
    deposit = Credited("BR-DEMO-1", remittance.total, trace=remittance.trace, company=HARBOR.company)
    files = {
        "claims/837-demo.x12": claim_file(sent, control_number=901, on=before),
        "remittances/999-demo.x12": file_acknowledgement(901, control_number=902, on=before),
        "remittances/835-demo.835": interchange([remittance], control_number=903),
        "bank/statement-demo.bai": statement([deposit], account=hospital.bank_account, day=on, number=904),
        "charges/lab-demo.csv": charge_table(rows),
    }
    states = ("paid", "denied", "received")
    claims = [
        DayClaim(
            each.claim, hospital, HARBOR, each.charge, state, each.charge if state == "denied" else Decimal(0), int(state == "denied")
        )
        for each, state in zip(sent, states, strict=True)
    ]  # fmt: skip
    bank = [BankLine(hospital, deposit, deposit.amount, "matched")]
    return Handful(files, len(charges), reckon(charges, claims, [payment], bank, cancelled_with_charges=0))


def drop(hospital: Hospital, played: Handful) -> None:
    """Put the files where their senders put them."""
    inbox = hospital.data / "inbox"
    for place, data in played.files.items():
        part = inbox / f"{Path(place).name}.part"
        (inbox / place).parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.rename(inbox / place)


def follow(hospital: Hospital, played: Handful, night: Callable[[], object]) -> None:
    """Wait until all of it stands in the books; ``night`` has the clock post the charges."""
    counted = "SELECT count(*) AS n FROM charge WHERE charge LIKE 'lab/DEMO-%'"
    _until(lambda: hospital.query(counted)[0]["n"] == played.charged, "the laboratory's charges")
    night()
    wanted = "SELECT count(DISTINCT kind) AS n FROM posting_source s JOIN posting_journal j USING (source) WHERE j.number IS NOT NULL"
    _until(lambda: hospital.query(wanted)[0]["n"] == 3, "journals of charges, remittance and deposit")
    hospital.settles(seconds=_PATIENCE_SECONDS)


def found(hospital: Hospital, played: Handful) -> list[Line]:
    """The revenue books against those that were reckoned, figure by figure."""
    rows = hospital.query(
        """SELECT account, sum(amount) AS amount FROM (
             SELECT debit AS account, abs(moved) AS amount FROM staged_entry WHERE debit <> ''
             UNION ALL SELECT credit, -abs(moved) FROM staged_entry WHERE credit <> '') AS sides
           GROUP BY account HAVING sum(amount) <> 0"""
    )
    balance = {row["account"]: row["amount"] for row in rows}
    claims = Counter(
        {(r["facility"], r["state"]): r["n"] for r in hospital.query("SELECT facility, state, count(*) AS n FROM claim GROUP BY 1, 2")}
    )  # fmt: skip
    cash = Counter(
        {(r["side"], r["state"]): r["n"] for r in hospital.query("SELECT side, state, count(*) AS n FROM cash_standing GROUP BY 1, 2")}
    )  # fmt: skip
    open_ = hospital.query("SELECT count(*) AS n FROM posting_journal WHERE number IS NULL")[0]["n"]
    books = played.books
    return [
        Line("revenue posted, by account", said(books.trial_balance), said(balance)),
        Line("claims, by state", said(books.claims), said(claims)),
        Line("deposits and remittances", said(books.cash), said(cash)),
        Line("journals of revenue that the ERP does not have", "0", str(open_)),
    ]


def summary(hospital: Hospital, on: date) -> dict[str, Any]:
    """What the demo says of revenue: journals by kind, claims by state, and what keeps the day's period from being final."""

    async def work(pool: asyncpg.Pool) -> list[closing.Checklist]:
        async with pool.acquire() as connection:
            period, now = closing.Period.of(on), datetime.now(UTC)
            return [await closing.checklist(connection, each.code, period, now=now) for each in HOSPITALS]

    return {
        "journals": hospital.query(
            """SELECT s.kind, count(*) AS journals, sum(j.total) AS usd FROM posting_journal j JOIN posting_source s USING (source)
                WHERE j.number IS NOT NULL GROUP BY s.kind ORDER BY s.kind"""
        ),
        "claims": hospital.query(
            "SELECT state, count(*) AS claims, sum(charge) AS usd FROM claim GROUP BY state ORDER BY state"
        ),
        "close": [
            {"facility": each.facility, "period": each.period, "line": line.title, "count": line.count,
             "usd": line.amount_usd, "blocks": line.blocks}
            for each in hospital.on_database(work) for line in each.lines if line.count
        ],
    }  # fmt: skip


def tables(said: dict[str, Any]) -> Iterator[Table]:
    """The summary as tables."""
    posted = Table("What", "How many", "USD", title="Revenue: journals in the ERP, and claims", title_justify="left")
    for each in said["journals"]:
        posted.add_row(f"journals of {each['kind'].replace('_', ' ')}", str(each["journals"]), f"{each['usd']:,.2f}")
    for each in said["claims"]:
        posted.add_row(f"claims {each['state'].replace('_', ' ')}", str(each["claims"]), f"{each['usd']:,.2f}")
    yield posted
    close = Table("Facility", "Line", "How many", "USD", title="What the close waits for", title_justify="left")
    for each in said["close"]:
        if each["blocks"]:
            close.add_row(each["facility"], each["line"], str(each["count"]), f"{each['usd']:,.2f}")
    yield close


def said(found: dict[Any, Any]) -> str:
    """Sums in cents' precision, counts as they are, in the order of their keys."""
    return ", ".join(
        f"{' '.join(key) if isinstance(key, tuple) else key} {value if isinstance(value, int) else format(value, '.2f')}"
        for key, value in sorted(found.items())
        if value
    )


def _until(what: Callable[[], bool], name: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not what():
        if time.monotonic() > deadline:
            raise SystemExit(f"{name} did not come to the books within {_PATIENCE_SECONDS:g} s; see the logs")
        time.sleep(0.1)
