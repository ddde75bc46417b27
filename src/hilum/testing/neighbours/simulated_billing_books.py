"""What the simulated billing system writes down: accounts and charges in one SQLite file, synced before an AA."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from hilum.testing.neighbours.simulated_hl7 import Message
from hilum.testing.neighbours.simulated_search import Search, sql_of

_SCHEMA = """
CREATE TABLE IF NOT EXISTS account (
    number TEXT NOT NULL, authority TEXT NOT NULL, mrn TEXT NOT NULL DEFAULT '', facility TEXT NOT NULL DEFAULT '',
    location TEXT NOT NULL DEFAULT '', status TEXT NOT NULL, history TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (number, authority));
CREATE TABLE IF NOT EXISTS told (
    number TEXT NOT NULL, authority TEXT NOT NULL, at TEXT NOT NULL, place INTEGER NOT NULL, trigger TEXT NOT NULL,
    facility TEXT NOT NULL, mrn TEXT NOT NULL, location TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS told_account ON told (number, authority);
CREATE INDEX IF NOT EXISTS told_mrn ON told (mrn);
CREATE INDEX IF NOT EXISTS account_mrn ON account (mrn);
CREATE TABLE IF NOT EXISTS merged (
    kind TEXT NOT NULL, number TEXT NOT NULL, authority TEXT NOT NULL, into_number TEXT NOT NULL, into_authority TEXT NOT NULL,
    PRIMARY KEY (kind, number, authority));
CREATE TABLE IF NOT EXISTS coverage (
    account TEXT NOT NULL, authority TEXT NOT NULL, insurer TEXT NOT NULL, day TEXT NOT NULL, status TEXT NOT NULL,
    plan TEXT NOT NULL, PRIMARY KEY (account, authority, insurer, day));
CREATE TABLE IF NOT EXISTS charge (
    number INTEGER PRIMARY KEY AUTOINCREMENT, usage_id TEXT NOT NULL, kind TEXT NOT NULL, account TEXT NOT NULL,
    authority TEXT NOT NULL, code TEXT NOT NULL, description TEXT NOT NULL, quantity NUMERIC NOT NULL,
    unit_cost TEXT NOT NULL, amount TEXT NOT NULL, day TEXT NOT NULL, payer TEXT NOT NULL, department TEXT NOT NULL,
    facility TEXT NOT NULL, at TEXT NOT NULL, received INTEGER NOT NULL DEFAULT 1, UNIQUE (usage_id, kind));
CREATE INDEX IF NOT EXISTS charge_day ON charge (day);
CREATE TABLE IF NOT EXISTS payment (
    number INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, authority TEXT NOT NULL, amount TEXT NOT NULL,
    at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS settlement (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, source TEXT NOT NULL, facility TEXT NOT NULL,
    state TEXT NOT NULL, said TEXT NOT NULL, amount TEXT NOT NULL, received INTEGER NOT NULL DEFAULT 1);
CREATE TABLE IF NOT EXISTS seen (sender TEXT NOT NULL, control_id TEXT NOT NULL, PRIMARY KEY (sender, control_id));
"""

# In the order in which things of one time happen: what began, what changed, what was taken back.
_TRIGGERS = ("A05", "A01", "A04", "A06", "A07", "A02", "A08", "A03", "A12", "A13", "A11", "A38")
_TAKES_BACK = {"A12": ("A02",), "A13": ("A03",), "A11": ("A01", "A04"), "A38": ("A05",)}


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
        """ADT of one account. A message of the same sender and control id is taken once.

        What the account is follows from all that was told of it, by the events' own times: a cancellation that came before
        what it cancels counts all the same.
        """
        trigger = message.get("MSH", 9, 2)
        number, authority = _account(message)
        with self._transaction() as db:
            if not self._is_news(message):
                return
            told = (
                number, authority, _instant(message), _TRIGGERS.index(trigger), trigger, message.get("MSH", 4),
                self._survivor("mrn", message.get("PID", 3), message.get("PID", 3, 4))[0], message.get("PV1", 3),
            )  # fmt: skip
            db.execute("INSERT INTO told VALUES (?, ?, ?, ?, ?, ?, ?, ?)", told)
            self._refold(number, authority)
            self._note_coverage(message, number, authority)

    def merge(self, message: Message) -> None:
        """ADT^A40, A41: patients, accounts or both. What was merged is found by its survivor from then on."""
        pid, lines = message.all("PID"), message.all("MRG")
        if not pid or not lines:
            raise Invalid("100", "a merge names the survivor in PID and the merged in MRG", "MRG", 0)
        with self._transaction() as db:
            if not self._is_news(message):
                return
            for kind, of, field in (("mrn", 3, 1), ("account", 18, 3)):
                old, new = message.part(lines[0], field), message.part(pid[0], of)
                ids = (message.part(lines[0], field, 4), message.part(pid[0], of, 4))
                if old and new and (old, ids[0]) != (new, ids[1]):
                    db.execute(
                        "INSERT INTO merged VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                        (kind, old, ids[0], new, ids[1]),
                    )
                    if kind == "mrn":
                        db.execute("UPDATE told SET mrn = ? WHERE mrn = ?", (new, old))
                        db.execute("UPDATE account SET mrn = ? WHERE mrn = ?", (new, old))
                    else:
                        self._refold(new, ids[1])
                        self._refold(old, ids[0])

    def _is_news(self, message: Message) -> bool:
        sender = f"{message.get('MSH', 3)}|{message.get('MSH', 4)}"
        found = self._db.execute(
            "INSERT INTO seen VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING 1", (sender, message.control_id)
        ).fetchone()
        return found is not None

    def _refold(self, number: str, authority: str) -> None:
        """The account's row by everything told of it."""
        rows = self._db.execute(
            "SELECT rowid, * FROM told WHERE number = ? AND authority = ? ORDER BY at, place, rowid",
            (number, authority),
        ).fetchall()
        standing: list[sqlite3.Row] = []
        cancelled = False
        for row in rows:
            taken_back = _TAKES_BACK.get(row["trigger"])
            if taken_back is None:
                standing.append(row)
                continue
            cancelled = cancelled or row["trigger"] in ("A11", "A38")
            place = next((i for i in reversed(range(len(standing))) if standing[i]["trigger"] in taken_back), None)
            if place is not None:
                del standing[place]
        begun = [row["trigger"] for row in standing if row["trigger"] in ("A01", "A04", "A05", "A06", "A07")]
        turns = [row["trigger"] for row in standing if row["trigger"] not in ("A08", "A05")]
        status = "provisional"
        if cancelled and not begun:
            status = "cancelled"
        elif turns:
            status = "discharged" if turns[-1] == "A03" else "open"
        elif begun:
            status = "expected"
        if self._survivor("account", number, authority) != (number, authority):
            status = "merged"
        last = rows[-1] if rows else None
        self._db.execute(
            """INSERT INTO account (number, authority, mrn, facility, location, status, history)
               VALUES (:number, :authority, :mrn, :facility, :location, :status, :history)
               ON CONFLICT (number, authority) DO UPDATE SET
                   mrn = coalesce(nullif(excluded.mrn, ''), mrn),
                   facility = coalesce(nullif(excluded.facility, ''), facility),
                   location = coalesce(nullif(excluded.location, ''), location), status = excluded.status,
                   history = excluded.history""",
            {
                "number": number,
                "authority": authority,
                "mrn": last["mrn"] if last is not None else "",
                "facility": last["facility"] if last is not None else "",
                "location": next((row["location"] for row in reversed(standing) if row["location"]), ""),
                "status": status,
                "history": " ".join(row["trigger"] for row in sorted(rows, key=lambda row: row["rowid"])),
            },
        )

    def _survivor(self, kind: str, number: str, authority: str) -> tuple[str, str]:
        here = (number, authority)
        for _ in range(100):
            found = self._db.execute(
                "SELECT into_number, into_authority FROM merged WHERE kind = ? AND number = ? AND authority = ?",
                (kind, *here),
            ).fetchone()
            if found is None:
                break
            here = (found["into_number"], found["into_authority"])
        return here

    def _note_coverage(self, message: Message, number: str, authority: str) -> None:
        """IN1-45 says what is known of a coverage, for the day in IN1-26."""
        for insurance in message.all("IN1"):
            status = message.part(insurance, 45)
            if status:
                self._db.execute(
                    """INSERT INTO coverage VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account, authority, insurer, day)
                       DO UPDATE SET status = excluded.status, plan = excluded.plan""",
                    (
                        number, authority, message.part(insurance, 3), message.part(insurance, 26), status,
                        message.part(insurance, 2),
                    ),
                )  # fmt: skip

    def coverages(self) -> list[dict[str, Any]]:
        rows = self._db.execute("SELECT * FROM coverage ORDER BY authority, account, insurer, day")
        return [dict(row) for row in rows]

    def settle(self, key: str, note: dict[str, Any]) -> int:
        """Keep the news of a posting; the same key again is the same news. Returns billing's own number of it."""
        with self._transaction() as db:
            (number,) = db.execute(
                """INSERT INTO settlement (key, source, facility, state, said, amount) VALUES (?, ?, ?, ?, ?, ?)
                   ON CONFLICT (key) DO UPDATE SET received = received + 1 RETURNING number""",
                (key, note["source"], note["facility"], note["state"], note["said"], str(note["amount_usd"])),
            ).fetchone()
        return int(number)

    def settlements(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self._db.execute("SELECT * FROM settlement ORDER BY number")]

    def charge(self, message: Message) -> list[Charged]:
        """DFT^P03: every FT1 is a charge or a credit, all or none; one whose FT1-2 is known is not charged again."""
        number, authority = _account(message)
        lines = message.all("FT1")
        if not lines:
            raise Invalid("100", "a charge without FT1", "FT1", 0)
        with self._transaction() as db:
            # A charge may come before its account's registration: the account is opened on its behalf.
            db.execute(
                """INSERT INTO account (number, authority, facility, status) VALUES (?, ?, ?, 'provisional')
                   ON CONFLICT DO NOTHING""",
                (number, authority, message.get("MSH", 4)),
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
        kind = message.part(line, 6) or "CG"
        if kind not in ("CG", "CR"):
            raise Invalid("102", "the transaction is neither a charge nor a credit", "FT1", 6)
        quantity, unit_cost = _quantity(message.part(line, 10)), _amount(message.part(line, 22))
        said = message.part(line, 11)
        amount = Decimal(_amount(said, 11)) if said else Decimal(str(quantity)) * Decimal(unit_cost)
        given: dict[str, Any] = {
            "kind": kind,
            "amount": f"{-abs(amount) if kind == 'CR' else amount:.2f}",
            "day": message.part(line, 4)[:8],
            "payer": message.part(line, 14),
            "account": number,
            "authority": authority,
            "code": code,
            "quantity": quantity,
            "unit_cost": unit_cost,
            "department": message.part(line, 13),
            "facility": message.get("MSH", 4),
        }
        known = db.execute("SELECT * FROM charge WHERE usage_id = ? AND kind = ?", (usage_id, kind)).fetchone()
        if known is not None:
            if any(known[name] != value for name, value in given.items()):
                raise Invalid("205", "the transaction id was used for another charge", "FT1", 2)
            db.execute("UPDATE charge SET received = received + 1 WHERE number = ?", (known["number"],))
            return Charged(_number(known["number"]), usage_id, True)
        row = db.execute(
            """INSERT INTO charge (usage_id, kind, account, authority, code, description, quantity, unit_cost, amount, day, payer,
                                   department, facility, at)
               VALUES (:usage_id, :kind, :account, :authority, :code, :description, :quantity, :unit_cost, :amount, :day, :payer,
                       :department, :facility, :at)
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

    # -- the REST interface

    def lookup(self, number: str, authority: str) -> dict[str, Any] | None:
        """The account of a number, or what it was merged into: its handle, which says nothing about the patient, and where it stands."""
        return self._one("number = ? AND authority = ?", self._survivor("account", number, authority))

    def by_handle(self, handle: str) -> dict[str, Any] | None:
        return self._one("rowid = ?", (_row(handle),))

    def search(self, asked: Search) -> dict[str, Any]:
        """Accounts by ``facility`` and ``status``, oldest first; ``next`` is where to go on, null at the end."""
        text, values = sql_of(asked.filter, {"facility": "nullif(facility, '')", "status": "status"})
        after = _row(asked.after) if asked.after is not None else 0
        rows = self._db.execute(
            f"SELECT rowid, * FROM account WHERE rowid > ? AND {text} ORDER BY rowid LIMIT ?",
            (after, *values, asked.limit + 1),
        ).fetchall()
        found = [_told(row) for row in rows[: asked.limit]]
        return {"accounts": found, "next": found[-1]["handle"] if len(rows) > asked.limit else None}

    def balance(self, handle: str) -> dict[str, Any] | None:
        """Charges, payments and what is left, in USD."""
        account = self.by_handle(handle)
        if account is None:
            return None
        charges = payments = Decimal("0.00")
        for of in self._merged_into(account["number"], account["authority"]):
            charged = self._db.execute("SELECT amount FROM charge WHERE account = ? AND authority = ?", of)
            paid = self._db.execute("SELECT amount FROM payment WHERE account = ? AND authority = ?", of)
            charges += sum((Decimal(row["amount"]) for row in charged), Decimal("0.00"))
            payments += sum((Decimal(row["amount"]) for row in paid), Decimal("0.00"))
        return {**account, "charges": str(charges), "payments": str(payments), "balance": str(charges - payments)}

    def charge_totals(self, day: str) -> list[dict[str, Any]]:
        """What was charged for services of a day (YYYYMMDD), credits taken off: by facility and plan."""
        totals: dict[tuple[str, str], tuple[int, Decimal]] = {}
        for row in self._db.execute("SELECT facility, payer, amount FROM charge WHERE day = ?", (day,)):
            count, amount = totals.get((row["facility"], row["payer"]), (0, Decimal("0.00")))
            totals[row["facility"], row["payer"]] = count + 1, amount + Decimal(row["amount"])
        return [
            {"facility": facility, "payer": payer, "charges": count, "amount": str(amount)}
            for (facility, payer), (count, amount) in sorted(totals.items())
        ]

    def charges_on(self, day: str, facility: str, after: int, limit: int) -> list[dict[str, Any]]:
        """Charges and credits of a facility for services of a day (YYYYMMDD), behind the one numbered ``after``."""
        rows = self._db.execute(
            "SELECT * FROM charge WHERE day = ? AND facility = ? AND number > ? ORDER BY number LIMIT ?",
            (day, facility, after, limit),
        )
        return [dict(row) for row in rows]

    def _merged_into(self, number: str, authority: str) -> list[tuple[str, str]]:
        """The account and all that were merged into it, chains included."""
        merged = self._db.execute("SELECT number, authority FROM merged WHERE kind = 'account'").fetchall()
        old = [(row["number"], row["authority"]) for row in merged]
        return [(number, authority), *(of for of in old if self._survivor("account", *of) == (number, authority))]

    def pay(self, handle: str, amount: Decimal) -> bool:
        """A payment on an account; False when there is no such account."""
        account = self.by_handle(handle)
        if account is None:
            return False
        with self._transaction() as db:
            db.execute(
                "INSERT INTO payment (account, authority, amount, at) VALUES (?, ?, ?, ?)",
                (account["number"], account["authority"], f"{amount:.2f}", self._clock().isoformat()),
            )
        return True

    def _one(self, condition: str, values: tuple[Any, ...]) -> dict[str, Any] | None:
        row = self._db.execute(f"SELECT rowid, * FROM account WHERE {condition}", values).fetchone()
        return _told(row) if row is not None else None


def _told(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "handle": f"AC-{row['rowid']:06}",
        "number": row["number"],
        "authority": row["authority"],
        "facility": row["facility"] if row["facility"] else None,
        "status": row["status"],
    }


def _row(handle: str) -> int:
    """The row of a handle; -1, which no row has, for what is no handle."""
    number = handle.removeprefix("AC-")
    row = int(number) if number.isascii() and number.isdecimal() and len(number) < 16 else -1
    return row if handle == f"AC-{row:06}" else -1


def _account(message: Message) -> tuple[str, str]:
    number = message.get("PID", 18)
    if not number:
        raise Invalid("101", "the account number is required", "PID", 18)
    return number, message.get("PID", 18, 4) or message.get("MSH", 4)


def _instant(message: Message) -> str:
    """The event's own time (EVN-2), comparable as text; without an offset it is taken as it is."""
    text = message.get("EVN", 2) or message.get("MSH", 7)
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S%z").astimezone(UTC).strftime("%Y%m%d%H%M%S")
    except ValueError:
        return text


def _quantity(text: str) -> int | float:
    try:
        quantity = Decimal(text)
    except InvalidOperation:
        quantity = Decimal(0)
    if not quantity.is_finite() or quantity <= 0:
        raise Invalid("102", "the quantity is not a number above zero", "FT1", 10)
    return int(quantity) if quantity == int(quantity) else float(quantity)


def _amount(text: str, field: int = 22) -> str:
    if not text:
        return "0"
    try:
        return f"{Decimal(text):.2f}"
    except InvalidOperation:
        raise Invalid("102", "the amount is not a number", "FT1", field) from None


def _number(number: int) -> str:
    return f"CH-{number:06}"
