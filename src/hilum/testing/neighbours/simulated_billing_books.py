"""What the simulated billing system writes down: accounts and charges in one SQLite file, synced before an AA."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from hilum.testing.neighbours.simulated_hl7 import Message

_SCHEMA = """
CREATE TABLE IF NOT EXISTS account (
    number TEXT NOT NULL, authority TEXT NOT NULL, mrn TEXT NOT NULL DEFAULT '', facility TEXT NOT NULL DEFAULT '',
    location TEXT NOT NULL DEFAULT '', status TEXT NOT NULL, history TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (number, authority));
CREATE TABLE IF NOT EXISTS charge (
    number INTEGER PRIMARY KEY AUTOINCREMENT, usage_id TEXT NOT NULL UNIQUE, account TEXT NOT NULL,
    authority TEXT NOT NULL, code TEXT NOT NULL, description TEXT NOT NULL, quantity INTEGER NOT NULL,
    unit_cost TEXT NOT NULL, department TEXT NOT NULL, facility TEXT NOT NULL, at TEXT NOT NULL,
    received INTEGER NOT NULL DEFAULT 1);
CREATE TABLE IF NOT EXISTS seen (sender TEXT NOT NULL, control_id TEXT NOT NULL, PRIMARY KEY (sender, control_id));
"""

_STATUS = {"A01": "open", "A04": "open", "A02": "open", "A03": "discharged"}


class Invalid(Exception):
    """A message billing does not take: a code of HL7 table 0357, where, and why."""

    def __init__(self, code: str, text: str, segment: str, field: int) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.segment = segment
        self.field = field


@dataclass(frozen=True)
class Charged:
    """One charge as billing numbers it; ``known``: it had been charged before."""

    number: str
    usage_id: str
    known: bool


class BillingBooks:
    """Accounts and charges."""

    def __init__(self, file: Path, *, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def account(self, message: Message) -> None:
        """ADT: the account's whereabouts. A message of the same sender and control id is taken once."""
        trigger = message.get("MSH", 9, 2)
        number, authority = _account(message)
        sender = f"{message.get('MSH', 3)}|{message.get('MSH', 4)}"
        with self._transaction() as db:
            seen = db.execute(
                "INSERT INTO seen VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING 1", (sender, message.control_id)
            ).fetchone()
            if seen is None:
                return
            db.execute(
                """INSERT INTO account (number, authority, mrn, facility, location, status, history)
                   VALUES (:number, :authority, :mrn, :facility, :location, :status, :trigger)
                   ON CONFLICT (number, authority) DO UPDATE SET
                       mrn = coalesce(nullif(excluded.mrn, ''), mrn), facility = excluded.facility,
                       location = coalesce(nullif(excluded.location, ''), location), status = excluded.status,
                       history = trim(history || ' ' || excluded.history)""",
                {
                    "number": number,
                    "authority": authority,
                    "mrn": message.get("PID", 3),
                    "facility": message.get("MSH", 4),
                    "location": message.get("PV1", 3),
                    "status": _STATUS[trigger],
                    "trigger": trigger,
                },
            )

    def charge(self, message: Message) -> list[Charged]:
        """DFT^P03: every FT1 is a charge, all or none; one whose FT1-2 is known is not charged again."""
        number, authority = _account(message)
        lines = message.all("FT1")
        if not lines:
            raise Invalid("100", "a charge without FT1", "FT1", 0)
        with self._transaction() as db:
            # A charge may come before its account's registration: the account is opened on its behalf.
            db.execute(
                "INSERT INTO account (number, authority, status) VALUES (?, ?, 'provisional') ON CONFLICT DO NOTHING",
                (number, authority),
            )
            return [self._line(db, message, line, number, authority) for line in lines]

    def _line(
        self, db: sqlite3.Connection, message: Message, line: Sequence[str], number: str, authority: str
    ) -> Charged:
        usage_id = message.part(line, 2)
        if not usage_id:
            raise Invalid("101", "the transaction id is required", "FT1", 2)
        code = message.part(line, 7)
        if not code:
            raise Invalid("101", "the transaction code is required", "FT1", 7)
        given: dict[str, Any] = {
            "account": number,
            "authority": authority,
            "code": code,
            "quantity": _quantity(message.part(line, 10)),
            "unit_cost": _amount(message.part(line, 22)),
            "department": message.part(line, 13),
            "facility": message.get("MSH", 4),
        }
        known = db.execute("SELECT * FROM charge WHERE usage_id = ?", (usage_id,)).fetchone()
        if known is not None:
            if any(known[name] != value for name, value in given.items()):
                raise Invalid("205", "the transaction id was used for another charge", "FT1", 2)
            db.execute("UPDATE charge SET received = received + 1 WHERE usage_id = ?", (usage_id,))
            return Charged(_number(known["number"]), usage_id, True)
        row = db.execute(
            """INSERT INTO charge (usage_id, account, authority, code, description, quantity, unit_cost, department, facility, at)
               VALUES (:usage_id, :account, :authority, :code, :description, :quantity, :unit_cost, :department, :facility, :at)
               RETURNING number""",
            {
                "usage_id": usage_id,
                "description": message.part(line, 7, 2),
                "at": self._clock().isoformat(),
                **given,
            },
        ).fetchone()
        return Charged(_number(row["number"]), usage_id, False)

    def charges(self, usage_id: str | None = None) -> list[dict[str, Any]]:
        rows = self._db.execute("SELECT * FROM charge WHERE ?1 IS NULL OR usage_id = ?1 ORDER BY number", (usage_id,))
        return [{**dict(row), "number": _number(row["number"])} for row in rows]

    def accounts(self) -> list[dict[str, Any]]:
        rows = self._db.execute("SELECT * FROM account ORDER BY authority, number")
        return [{**dict(row), "history": row["history"].split()} for row in rows]


def _account(message: Message) -> tuple[str, str]:
    number = message.get("PID", 18)
    if not number:
        raise Invalid("101", "the account number is required", "PID", 18)
    return number, message.get("PID", 18, 4) or message.get("MSH", 4)


def _quantity(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise Invalid("102", "the quantity is not a whole number above zero", "FT1", 10)
    return int(text)


def _amount(text: str) -> str:
    if not text:
        return "0"
    try:
        return f"{Decimal(text):.2f}"
    except InvalidOperation:
        raise Invalid("102", "the unit cost is not a number", "FT1", 22) from None


def _number(number: int) -> str:
    return f"CH-{number:06}"
