"""What the simulated inventory platform writes down: one SQLite file that survives its own kill -9.

Every change is one transaction, synced before it is answered. Quantities are units of issue (each).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from hilum.testing.neighbours.simulated_search import Search, sql_of

_SCHEMA = """
CREATE TABLE IF NOT EXISTS position (
    location TEXT NOT NULL, item TEXT NOT NULL,
    on_hand INTEGER NOT NULL CHECK (on_hand >= 0),
    reorder_point INTEGER NOT NULL, par INTEGER NOT NULL, last_receipt TEXT NOT NULL,
    PRIMARY KEY (location, item));
CREATE TABLE IF NOT EXISTS location (location TEXT PRIMARY KEY, facility TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS movement (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, location TEXT NOT NULL, item TEXT NOT NULL,
    quantity INTEGER NOT NULL, on_hand INTEGER NOT NULL, reference TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS movement_reference ON movement (reference);
CREATE TABLE IF NOT EXISTS answered (
    key TEXT PRIMARY KEY, digest BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS report (
    number INTEGER PRIMARY KEY AUTOINCREMENT, webhook_id TEXT NOT NULL UNIQUE, body BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, delivered INTEGER NOT NULL DEFAULT 0, last_status INTEGER);
"""


class Problem(Exception):
    """A refusal in the platform's own words: becomes an RFC 9457 document."""

    def __init__(self, status: int, name: str, title: str, **members: object) -> None:
        super().__init__(title)
        self.status = status
        self.name = name
        self.title = title
        self.members = members


class InventoryBooks:
    """Positions, movements, answered keys and consumption reports."""

    def __init__(self, file: Path, *, clock: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        self._clock = clock
        self._new_id = new_id
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

    @property
    def is_empty(self) -> bool:
        return self._db.execute("SELECT 1 FROM position LIMIT 1").fetchone() is None

    def stock(self, positions: Iterable[dict[str, Any]]) -> None:
        """Set shelves up, or set them anew: location, item, on_hand, reorder_point, par, last_receipt."""
        with self._transaction() as db:
            for given in positions:
                db.execute(
                    """INSERT INTO position VALUES (:location, :item, :on_hand, :reorder_point, :par, :last_receipt)
                       ON CONFLICT (location, item) DO UPDATE SET on_hand = excluded.on_hand,
                       reorder_point = excluded.reorder_point, par = excluded.par, last_receipt = excluded.last_receipt""",
                    given,
                )

    def locate(self, facilities: Mapping[str, str]) -> None:
        """Say at which facility each location is."""
        with self._transaction() as db:
            db.executemany("INSERT OR REPLACE INTO location VALUES (?, ?)", list(facilities.items()))

    def search(self, asked: Search) -> dict[str, Any]:
        """Positions with their facilities, by location and item; ``next`` is where to go on, null at the end."""
        columns = {"location": "p.location", "item": "p.item", "facility": "l.facility"}
        text, values = sql_of(asked.filter, columns)
        location, _, item = (asked.after if asked.after is not None else "").partition("\t")
        rows = self._db.execute(
            f"""SELECT p.*, l.facility FROM position p LEFT JOIN location l USING (location)
                WHERE (p.location, p.item) > (?, ?) AND {text} ORDER BY p.location, p.item LIMIT ?""",
            (location, item, *values, asked.limit + 1),
        ).fetchall()
        found = [dict(row) for row in rows[: asked.limit]]
        more = len(rows) > asked.limit
        return {"positions": found, "next": f"{found[-1]['location']}\t{found[-1]['item']}" if more else None}

    def take(self, given: dict[str, Any], key: str) -> tuple[bytes, bool]:
        """Take from a shelf under a key; the answer's bytes and whether it was answered before.

        Only what had an effect is remembered: a refusal is judged anew when the key is repeated, because the
        shelf may have been counted since.
        """
        digest = hashlib.sha256(orjson.dumps(given, option=orjson.OPT_SORT_KEYS)).digest()
        with self._transaction() as db:
            known = db.execute("SELECT digest, body FROM answered WHERE key = ?", (key,)).fetchone()
            if known is not None:
                if known["digest"] != digest:
                    raise Problem(422, "key-reused", "The idempotency key was used for another movement")
                body: bytes = known["body"]
                return body, True
            answer = self._move("take", given, -given["quantity"])
            body = orjson.dumps(answer)
            db.execute("INSERT INTO answered VALUES (?, ?, ?)", (key, digest, body))
            return body, False

    def receive(self, given: dict[str, Any]) -> dict[str, Any]:
        """Stock received; the same receipt for the same shelf twice is received once."""
        with self._transaction() as db:
            known = db.execute(
                "SELECT 1 FROM movement WHERE kind = 'receive' AND reference = ? AND location = ? AND item = ?",
                (given["receipt"], given["location"], given["item"]),
            ).fetchone()
            if known is None:
                self._move("receive", {**given, "reference": given["receipt"]}, given["quantity"])
                db.execute(
                    "UPDATE position SET last_receipt = ? WHERE location = ? AND item = ?",
                    (given["receipt"], given["location"], given["item"]),
                )
            return self.positions(given["location"], given["item"])[0]

    def count(self, given: dict[str, Any]) -> dict[str, Any]:
        """A physical count: what lies there is what is on hand."""
        with self._transaction():
            now = self._position(given["location"], given["item"])["on_hand"]
            self._move("count", {"reference": "", "reason": "count", **given}, given["on_hand"] - now)
            return self.positions(given["location"], given["item"])[0]

    def positions(self, location: str | None = None, item: str | None = None) -> list[dict[str, Any]]:
        rows = self._db.execute(
            """SELECT * FROM position WHERE (?1 IS NULL OR location = ?1) AND (?2 IS NULL OR item = ?2)
               ORDER BY location, item""",
            (location, item),
        )
        return [dict(row) for row in rows]

    def movements(self, reference: str | None = None) -> list[dict[str, Any]]:
        rows = self._db.execute(
            "SELECT * FROM movement WHERE ?1 IS NULL OR reference = ?1 ORDER BY number", (reference,)
        )
        return [{**dict(row), "number": _number(row["number"])} for row in rows]

    def report(self, body: bytes) -> str:
        """Write a consumption report down before anyone is told; its webhook id, the same on every attempt."""
        webhook_id = f"rpt_{self._new_id()}"
        with self._transaction() as db:
            db.execute("INSERT INTO report (webhook_id, body) VALUES (?, ?)", (webhook_id, body))
        return webhook_id

    def undelivered(self) -> list[tuple[str, bytes]]:
        rows = self._db.execute("SELECT webhook_id, body FROM report WHERE NOT delivered ORDER BY number")
        return [(row["webhook_id"], row["body"]) for row in rows]

    def attempted(self, webhook_id: str, status: int | None) -> None:
        """Note an attempt; a status of 2xx ends it. None: nobody answered."""
        with self._transaction() as db:
            db.execute(
                "UPDATE report SET attempts = attempts + 1, last_status = ?, delivered = ? WHERE webhook_id = ?",
                (status, status is not None and 200 <= status < 300, webhook_id),
            )

    def reports(self) -> list[dict[str, Any]]:
        rows = self._db.execute("SELECT webhook_id, attempts, delivered, last_status FROM report ORDER BY number")
        return [{**dict(row), "delivered": bool(row["delivered"])} for row in rows]

    def _position(self, location: str, item: str) -> dict[str, Any]:
        found = self.positions(location, item)
        if not found:
            raise Problem(404, "no-such-shelf", "There is no such shelf", location=location, item=item)
        return found[0]

    def _move(self, kind: str, given: dict[str, Any], change: int) -> dict[str, Any]:
        """Change one shelf and say how it stands after it. Runs inside a transaction."""
        shelf = self._position(given["location"], given["item"])
        after = shelf["on_hand"] + change
        if after < 0:
            raise Problem(409, "insufficient", "The shelf holds less than that", on_hand=shelf["on_hand"])
        self._db.execute(
            "UPDATE position SET on_hand = ? WHERE location = ? AND item = ?", (after, given["location"], given["item"])
        )
        row = self._db.execute(
            """INSERT INTO movement (kind, location, item, quantity, on_hand, reference, reason, at)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING number""",
            (
                kind, given["location"], given["item"], change, after,
                given["reference"], given.get("reason", kind), self._clock().isoformat(),
            ),
        ).fetchone()  # fmt: skip
        return {**shelf, "on_hand": after, "movement": _number(row["number"])}


def _number(number: int) -> str:
    return f"MV-{number:06}"
