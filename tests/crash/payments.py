"""A hospital that payers send remittances to, and what the ERP's own people find in its books afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.crash.worlds import until

from hilum.testing.hospital import Hospital
from hilum.testing.neighbours.tryton_desk import Desk
from hilum.testing.remittances import PaidClaim, PayerRemittance, interchange

# The hospital's own day; before three in the morning the day before: what the night does at half past two has then been due.
TODAY = (datetime.now(ZoneInfo("America/Chicago")) - timedelta(hours=3)).date()
MARY, HARBOR = "1234567893", "1245319599"


def usd(text: str) -> Decimal:
    return Decimal(text)


KNEE = PaidClaim(
    "CLM-KNEE-99", usd("1500.00"), usd("1200.00"), [("CO", "45", usd("200.00")), ("PR", "2", usd("100.00"))]
)
DENIED = PaidClaim("CLM-PACER", usd("450.00"), usd("0"), [("CO", "197", usd("450.00"))], status="4")
TAKEN_BACK = PaidClaim(
    "CLM-HIP-40",
    usd("-300.00"),
    usd("-180.00"),
    [("CO", "45", usd("-100.00")), ("PR", "1", usd("-20.00"))],
    status="22",
)


@dataclass
class Payments:
    """A platform that payers send remittances to, and its ERP's books."""

    hospital: Hospital
    desk: Desk
    numbers: Iterator[int]

    @property
    def inbox(self) -> Path:
        return self.hospital.data / "inbox"

    def drops(self, *remittances: PayerRemittance, raw: bytes | None = None) -> int:
        """A file in the folder, waited for until it was taken in. The number of its interchange."""
        before = self.ended()
        number = self.drops_unseen(*remittances, raw=raw)
        until(lambda: self.ended() > before)
        self.hospital.settles()
        return number

    def drops_unseen(self, *remittances: PayerRemittance, raw: bytes | None = None) -> int:
        """A file in the folder, whatever becomes of it."""
        number = next(self.numbers)
        data = raw if raw is not None else interchange(remittances, control_number=number)
        (self.inbox / "remittances" / f"remit-{number}.835").write_bytes(data)
        return number

    def ended(self) -> int:
        """How many files were taken in or refused so far."""
        return sum(1 for end in ("done", "refused") for _ in (self.inbox / f"remittances.{end}").glob("*.835"))

    def books(self, source: str) -> dict[tuple[str, str], Decimal]:
        """What the ERP has posted for a source: (facility, account) to debit less credit."""
        sums: dict[tuple[str, str], Decimal] = {}
        for move in self._moves(source):
            facility = move["description"].rpartition("/")[2]
            for line in self.desk.read("account.move.line", move["lines"], ["account", "debit", "credit"]):
                key = (facility, self._accounts[line["account"]])
                sums[key] = sums.get(key, Decimal(0)) + line["debit"] - line["credit"]
        return sums

    def deposited(self) -> dict[tuple[str, str], Decimal]:
        """What the ERP has posted for all statements of this platform: (facility, account) to debit less credit."""
        sums: dict[tuple[str, str], Decimal] = {}
        # Another platform of the same tests may have posted statements of its own into this ERP.
        for row in self.hospital.query("SELECT source FROM posting_source WHERE starts_with(source, 'deposits/')"):
            for key, amount in self.books(row["source"]).items():
                sums[key] = sums.get(key, Decimal(0)) + amount
        return {key: amount for key, amount in sums.items() if amount}

    @cached_property
    def _accounts(self) -> dict[int, str]:
        accounts = self.desk.read("account.account", self.desk.search("account.account", []), ["code"])
        return {account["id"]: account["code"] for account in accounts}

    def days(self, source: str) -> list[date]:
        return sorted(move["date"] for move in self._moves(source))

    def _moves(self, source: str) -> list[dict[str, Any]]:
        found = self.desk.search("account.move", [("description", "like", f"{source}/%")])
        moves = self.desk.read("account.move", found, ["description", "state", "date", "lines"])
        assert {move["state"] for move in moves} <= {"posted"}
        return moves

    def waiting(self, cause: str) -> dict[str, Any]:
        [found] = self.hospital.query(
            "SELECT id, queue, title, at_risk_usd FROM work_item WHERE cause = $1 AND state = 'open'", cause
        )
        return found

    def state(self, number: str) -> str:
        [case] = self.hospital.query("SELECT state FROM flow_case WHERE id = $1", f"post_remittance/{number}")
        state: str = case["state"]
        return state
