"""Collecting: events that come by the thousand become lines of the platform's books, in bulk and each exactly once.

A collection reads each shard in order. Lines and cursor commit together, so a crash repeats nothing and loses nothing, and the
number of a charge is its key: told twice, it stands once. What cannot be placed is kept aside with its cause; all of one cause at one
facility are one part of one work item, and are placed again when it is released.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import asyncpg
from pydantic import ValidationError

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.collecting import Collection
from hilum.authoring.estate import Estate
from hilum.authoring.failures import Rejected
from hilum.authoring.revenue import NoPostingRule
from hilum.authoring.running import NotRunning, running_in
from hilum.masterdata.book import CrosswalkBook
from hilum.masterdata.posting_tables import read_book
from hilum.masterdata.tables import TableUnreadable
from hilum.model.charge import Charge, ChargePlace
from hilum.model.identifiers import AccountNumber
from hilum.model.posting import FinancialMovement, NoRule, PostingBook
from hilum.runtime import charge_books, work_items
from hilum.runtime.charge_books import Collected, Place
from hilum.runtime.fault_points import point
from hilum.security.sealing.protected import Protection
from hilum.store import sealed_places
from hilum.store.sealed import NotOurs, Shredded

log = logging.getLogger(__name__)

BATCH_EVENTS = 2000
CHARGE = "charge"
"""The kind of the movements that charges make."""
_ACTOR = "system:collecting"


class UnreadableCharge(Rejected, queue="integration", due_hours=2):
    """Correct the contract or the collection, deploy it, then release: the events named here are read again."""


@dataclass
class _Looking:
    """The run of a placing: crosswalks and nothing else."""

    book: CrosswalkBook

    def step(self, *_: Any, **__: Any) -> Any:
        raise NotRunning("A collection has no steps: it is a pure function of its event.")

    ask = command = step

    def lookup(self, crosswalk: str, value: str, facility: str, on: datetime | None) -> str | None:
        return self.book.lookup(crosswalk, value, facility, on)


@dataclass
class _Kept:
    """What a batch could not place: by (facility, cause) who must decide and how, for its work item."""

    causes: dict[tuple[str, str], Rejected] = field(default_factory=dict)

    def add(self, facility: str, rejected: Rejected) -> str:
        cause = f"{type(rejected).__name__}:{rejected.cause}"
        self.causes.setdefault((facility, cause), rejected)
        return cause


class Collector:
    """Runs all collections of this process; another process passes over a shard that this one reads."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        estate: Estate,
        protection: Protection,
        book: CrosswalkBook,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._pool = pool
        self._estate = estate
        self._protection = protection
        self._book = book
        self._clock = clock

    async def run_once(self) -> int:
        """One batch of each shard and of what was released; how many events were read and charges placed again."""
        collections = self._estate.collections.values()
        if not collections:
            return 0
        shards = [row["shard"] for row in await self._pool.fetch("SELECT shard FROM intake_shard ORDER BY shard")]
        done = 0
        for collection in collections:
            done += await self._again(collection) + await self._unread(collection)
            for shard in shards:
                done += await self._shard(collection, shard)
        return done

    async def _shard(self, collection: Collection, shard: int) -> int:
        consumer = f"collect:{collection.name}"
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO consumer_cursor (consumer, shard) VALUES ($1, $2) ON CONFLICT DO NOTHING", consumer, shard
            )
            # The row's lock makes one collector at a time.
            cursor = await connection.fetchval(
                "SELECT seq FROM consumer_cursor WHERE consumer = $1 AND shard = $2 FOR UPDATE SKIP LOCKED",
                consumer,
                shard,
            )
            if cursor is None:
                return 0
            until = await connection.fetchval("SELECT event_seq FROM intake_shard WHERE shard = $1", shard)
            until = min(until, cursor + BATCH_EVENTS)
            if until <= cursor:
                return 0
            events = await connection.fetch(
                """SELECT $1::int AS shard, seq, at, type, facility, payload FROM event
                    WHERE shard = $1 AND seq > $2 AND seq <= $3 AND type = ANY($4) ORDER BY seq""",
                shard, cursor, until, [contract.type_name() for contract in collection.on],
            )  # fmt: skip
            added = await self._collect(connection, collection, events)
            if added:
                detail = {"collection": collection.name, "charges": added, "until": until}
                await append(
                    connection,
                    [Entry(self._clock(), _ACTOR, "charges.collected", f"l/{collection.name}/{shard}", detail)],
                )
            point("collect.before_commit")
            await connection.execute(
                "UPDATE consumer_cursor SET seq = $3 WHERE consumer = $1 AND shard = $2", consumer, shard, until
            )
        point("collect.after_commit")
        return int(until - cursor)

    async def _collect(
        self, connection: asyncpg.Connection, collection: Collection, events: list[asyncpg.Record]
    ) -> int:
        """Write down what these events charge; what cannot be read or placed is kept aside. How many charges were new."""
        if not events:
            return 0
        # What a steward has mapped by now counts for what is read now.
        await self._book.refresh()
        sealer = self._protection.sealer
        await sealer.load(*(record["payload"] for record in events))
        contracts = {contract.type_name(): contract for contract in collection.on}
        kept = _Kept()
        unread: list[tuple[asyncpg.Record, str]] = []
        found: list[tuple[Charge, Place]] = []
        for record in events:
            try:
                place = sealed_places.event_payload(record["shard"], record["seq"])
                event = contracts[record["type"]].model_validate_json(sealer.read(record["payload"], place))
                charge = collection.function(event)
            except (ValidationError, NotOurs, Shredded) as error:
                unread.append((record, kept.add(record["facility"], _unreadable(collection, error))))
            except Exception as error:
                # A defect that this event meets keeps this event, and nothing else.
                log.exception("defect in collection %s", collection.name)
                unread.append((record, kept.add(record["facility"], _unreadable(collection, error))))
            else:
                if charge is not None:
                    found.append((charge, Place(record["shard"], record["seq"], record["at"])))
        placing = self._placing(collection, kept)
        lines = []
        for charge, at in found:
            placed, cause = placing(charge)
            lines.append(Collected(charge, self._token(charge.account), at, placed, cause))
        added = await charge_books.add(connection, collection.name, lines, now=self._clock())
        await connection.executemany(
            """INSERT INTO charge_unread (collection, event_shard, event_seq, event_at, facility, cause) VALUES ($1, $2, $3, $4, $5, $6)
               ON CONFLICT (collection, event_shard, event_seq) DO UPDATE SET state = 'held', cause = excluded.cause""",
            [(collection.name, r["shard"], r["seq"], r["at"], r["facility"], cause) for r, cause in unread],
        )  # fmt: skip
        await self._tell(connection, collection, kept)
        return added

    def _placing(
        self, collection: Collection, kept: _Kept
    ) -> Callable[[Charge], tuple[ChargePlace | None, str | None]]:
        """Where charges belong, looked up once for all that are alike."""
        book = self._posting_book()
        known: dict[tuple[Any, ...], tuple[ChargePlace | None, str | None]] = {}
        looking = _Looking(self._book)

        def placing(charge: Charge) -> tuple[ChargePlace | None, str | None]:
            like = (
                charge.charge_class,
                charge.code,
                charge.facility,
                charge.department,
                charge.payer,
                charge.service_on,
            )
            answer = known.get(like)
            if answer is None:
                answer = known[like] = self._placed(collection, charge, looking, book, kept)
            return answer

        return placing

    def _placed(
        self, collection: Collection, charge: Charge, looking: _Looking, book: PostingBook | None, kept: _Kept
    ) -> tuple[ChargePlace | None, str | None]:
        leave = running_in(looking)
        try:
            place = collection.placed(charge)
            if book is not None:
                rule_needed(book, charge, place)
        except Rejected as rejected:
            return None, kept.add(charge.facility, rejected)
        except Exception as error:
            log.exception("defect in placing a charge of collection %s", collection.name)
            return None, kept.add(charge.facility, _unreadable(collection, error))
        finally:
            leave()
        return place, None

    def _posting_book(self) -> PostingBook | None:
        """None while the tables cannot be used: staging says so to whoever must mend them."""
        try:
            return read_book(self._estate.root)
        except TableUnreadable:
            return None

    async def _again(self, collection: Collection) -> int:
        """Place again what was released."""
        async with self._pool.acquire() as connection, connection.transaction():
            charges = await charge_books.to_place_again(connection, collection.name, BATCH_EVENTS)
            if not charges:
                return 0
            # Whoever released it has just corrected a crosswalk: the book in memory may be older.
            await self._book.refresh()
            kept = _Kept()
            placing = self._placing(collection, kept)
            await charge_books.place_again(connection, [(each.number, *placing(each)) for each in charges])
            await self._tell(connection, collection, kept)
        return len(charges)

    async def _unread(self, collection: Collection) -> int:
        """Read again the events that were released."""
        async with self._pool.acquire() as connection, connection.transaction():
            events = await connection.fetch(
                """WITH mine AS (
                       SELECT * FROM charge_unread WHERE collection = $1 AND state = 'again' LIMIT $2 FOR UPDATE SKIP LOCKED)
                   SELECT e.shard, e.seq, e.at, e.type, e.facility, e.payload FROM mine m
                     JOIN event e ON e.shard = m.event_shard AND e.seq = m.event_seq AND e.at = m.event_at""",
                collection.name, BATCH_EVENTS,
            )  # fmt: skip
            if not events:
                return 0
            # Those that are unreadable still are written down again.
            await connection.executemany(
                "DELETE FROM charge_unread WHERE collection = $1 AND event_shard = $2 AND event_seq = $3",
                [(collection.name, r["shard"], r["seq"]) for r in events],
            )
            await self._collect(connection, collection, events)
        return len(events)

    async def _tell(self, connection: asyncpg.Connection, collection: Collection, kept: _Kept) -> None:
        if kept.causes:
            await tell_held(connection, self._estate, kept.causes, owner=collection.owner, now=self._clock())

    def _token(self, account: AccountNumber | None) -> str | None:
        return self._protection.searched(AccountNumber.kind, account.value) if account is not None else None


async def tell_held(
    connection: asyncpg.Connection,
    estate: Estate,
    causes: Mapping[tuple[str, str], Rejected],
    *,
    owner: str,
    now: datetime,
) -> None:
    """One work item for each cause, with a part for each facility: how many charges wait there, and their dollars."""
    sums = {(each.facility, each.cause): each for each in await charge_books.held(connection, causes)}
    for (facility, cause), rejected in causes.items():
        kept = sums.get((facility, cause))
        # The cause and the queue are those of a case that meets the same: one decision lets both go on.
        found = work_items.Exceptional(
            queue=type(rejected).queue,
            cause=cause,
            title=f"{type(rejected).title()}: {rejected.cause}",
            remedy=type(rejected).remedy(),
            due_hours=type(rejected).due_hours,
            subject=f"h/{facility}/{cause}",
            at_risk_usd=kept.at_risk_usd if kept is not None else Decimal(0),
            detail=f"{kept.charges} charges at {facility} wait" if kept is not None else rejected.detail,
            owner=estate.queues.get(type(rejected).queue, owner),
        )
        await work_items.tally(connection, found, now=now, actor=_ACTOR)


def movement_of(charge: Charge, place: ChargePlace) -> FinancialMovement:
    """What a charge moves in the books; its number is its line."""
    return FinancialMovement(
        kind=CHARGE, charge_class=place.charge_class, facility=charge.facility, payer_class=place.payer_class,
        payer=charge.payer, cost_centre=place.cost_centre, line=charge.number, amount=charge.amount,
    )  # fmt: skip


def rule_needed(book: PostingBook, charge: Charge, place: ChargePlace) -> None:
    """``NoPostingRule`` when nothing says between which accounts a charge goes, as it is staged and before."""
    try:
        book.rules.rule_for(movement_of(charge, place), charge.service_on)
    except NoRule as without:
        # The day is left out: one new row lets the charges of all days go on.
        raise NoPostingRule(str(without).rpartition(" on ")[0]) from without


def _unreadable(collection: Collection, error: Exception) -> UnreadableCharge:
    return UnreadableCharge(f"{collection.name}/{type(error).__name__}")
