"""From what people call a thing to where its threads begin.

A thread begins at a case (``c/...``); where no flow ran, at the event (``e/...``); where nothing was made of the
bytes, at the message (``m/...``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg

from hilum.audit.thread import Address
from hilum.audit.unsealing import Opens

MOST_SUBJECTS = 2000
"""At most so many places of one key are followed; an item used every day has more."""

_PLACE = re.compile(r"([me])/(\d{1,9})/(\d{1,18})")
_FEED_PLACE = re.compile(r"f/[^/]+/(\d{1,9})/(\d{1,18})")
_NUMBERED = re.compile(r"([wr])/(\d{1,18})")


@dataclass(frozen=True, slots=True)
class Beginnings:
    """Where the threads of a key begin, the newest first, and what kinds of key it was."""

    kinds: tuple[str, ...]
    addresses: list[Address]
    more: bool = False


async def beginnings(connection: asyncpg.Connection, key: str, protection: Opens | None = None) -> Beginnings:
    """Where the threads of ``key`` begin; empty when nothing is known by it. Accounts are found with ``protection`` only."""
    kinds, subjects = await _subjects(connection, key, protection)
    more = len(subjects) > MOST_SUBJECTS
    return Beginnings(kinds, await _anchors(connection, subjects[:MOST_SUBJECTS]), more)


async def _subjects(
    connection: asyncpg.Connection, key: str, protection: Opens | None
) -> tuple[tuple[str, ...], list[Address]]:
    direct = await _direct(connection, key)
    if direct is None and protection is not None and "/" in key:
        direct = await _direct(connection, protection.case_name(key.removeprefix("c/")))
    if direct:
        return direct
    for spellings in _spellings(key):
        if protection is not None:
            tokens = [token for spelling in spellings for token in protection.search_values(spelling)]
            spellings = [*spellings, *await _merged_with(connection, tokens)]
        found = await _by_business_key(connection, spellings, None)
        if found[1]:
            return found
    # An item is not in the messages: they carry the charge codes and devices that crosswalks translate into it.
    codes = await connection.fetch("SELECT DISTINCT code FROM hilum.crosswalk_entry WHERE target = $1", key)
    if codes:
        found = await _by_business_key(connection, [r["code"] for r in codes], ["charge_code", "device", "item"])
        if found[1]:
            return ("item", *(f"{kind} by crosswalk" for kind in found[0])), found[1]
    return (), []


async def _merged_with(connection: asyncpg.Connection, tokens: list[str]) -> list[str]:
    """These tokens, and those of the numbers that were merged with theirs: a patient's history is found by any of them."""
    rows = await connection.fetch(
        """WITH RECURSIVE kin AS (
               SELECT unnest($1::text[]) AS here
               UNION
               SELECT CASE WHEN m.merged_number = kin.here THEN m.survivor_number ELSE m.merged_number END FROM kin
                 JOIN hilum.merged_identifier m ON m.merged_number = kin.here OR m.survivor_number = kin.here
           )
           SELECT here FROM kin""",
        tokens,
    )
    return [row["here"] for row in rows]


def _spellings(key: str) -> Iterable[list[str]]:
    """As it was typed, then in other letters, then without the authority of ``value@authority``."""
    yield [key]
    others = {key.upper(), key.lower()} - {key}
    if others:
        yield sorted(others)
    value, at, _ = key.partition("@")
    if at and value:
        yield [value]


async def _direct(connection: asyncpg.Connection, key: str) -> tuple[tuple[str, ...], list[Address]] | None:
    """An address, or the name of a case or delivery."""
    if _PLACE.fullmatch(key):
        table = "message" if key[0] == "m" else "event"
        _, shard, seq = key.split("/")
        if await connection.fetchval(
            f"SELECT 1 FROM hilum.{table} WHERE shard = $1 AND seq = $2", int(shard), int(seq)
        ):
            return (table,), [key]
        return None
    if feed := _FEED_PLACE.fullmatch(key):
        return ("event",), [f"e/{feed[1]}/{feed[2]}"]
    if numbered := _NUMBERED.fullmatch(key):
        return await _numbered(connection, numbered[1], int(numbered[2]))
    case = key.removeprefix("c/")
    if await connection.fetchval("SELECT 1 FROM hilum.flow_case WHERE id = $1", case):
        return ("case",), [f"c/{case}"]
    delivery = key.removeprefix("d/")
    if await connection.fetchval("SELECT 1 FROM hilum.delivery WHERE key = $1", delivery):
        return ("delivery",), [f"d/{delivery}"]
    return None


async def _numbered(connection: asyncpg.Connection, letter: str, number: int) -> tuple[tuple[str, ...], list[Address]]:
    if letter == "w":
        rows = await connection.fetch(
            "SELECT subject FROM hilum.work_item_case WHERE work_item = $1 ORDER BY at DESC, subject LIMIT $2",
            number,
            MOST_SUBJECTS + 1,
        )
        return ("work item",), [r["subject"] for r in rows]
    rows = await connection.fetch(
        "SELECT original AS subject FROM hilum.replay_result WHERE job = $1 ORDER BY ordinal LIMIT $2",
        number,
        MOST_SUBJECTS + 1,
    )
    return ("replay job",), [r["subject"] for r in rows]


async def _by_business_key(
    connection: asyncpg.Connection, values: Sequence[str], kinds: list[str] | None
) -> tuple[tuple[str, ...], list[Address]]:
    rows = await connection.fetch(
        """SELECT kind, subject FROM hilum.business_key
            WHERE value = ANY($1::text[]) AND ($2::text[] IS NULL OR kind = ANY($2)) ORDER BY at DESC, subject DESC LIMIT $3""",
        list(values), kinds, MOST_SUBJECTS + 1,
    )  # fmt: skip
    return tuple(sorted({r["kind"] for r in rows})), list(dict.fromkeys(r["subject"] for r in rows))


async def _anchors(connection: asyncpg.Connection, subjects: Sequence[Address]) -> list[Address]:
    """The beginnings of the threads that pass through these places, without repetition, in their order."""
    leads: dict[Address, list[Address]] = {s: [s] for s in subjects}
    await _through_deliveries(connection, leads)
    await _through_messages(connection, leads)
    await _through_events(connection, leads)
    return list(dict.fromkeys(anchor for reached in leads.values() for anchor in reached))


async def _through_deliveries(connection: asyncpg.Connection, leads: dict[Address, list[Address]]) -> None:
    keys = [s[2:] for s in leads if s.startswith("d/")]
    if not keys:
        return
    rows = await connection.fetch(
        "SELECT key, case_id FROM hilum.delivery_case WHERE key = ANY($1::text[]) ORDER BY at DESC, case_id LIMIT $2",
        keys,
        MOST_SUBJECTS,
    )
    for key in keys:
        leads[f"d/{key}"] = [f"c/{r['case_id']}" for r in rows if r["key"] == key]


async def _through_messages(connection: asyncpg.Connection, leads: dict[Address, list[Address]]) -> None:
    """A message leads to its events; one without, to what it repeats or to what a replay made of it; else to itself."""
    for _ in range(
        3
    ):  # A replay of a replay of a resend is followed; longer chains lead to a message, which is told too.
        open_messages = {a for reached in leads.values() for a in reached if a.startswith("m/")}
        if not open_messages:
            return
        ways = await _ways(connection, sorted(open_messages))
        if not ways:
            return
        for subject, reached in leads.items():
            leads[subject] = [b for a in reached for b in ways.get(a, [a])]


async def _ways(connection: asyncpg.Connection, messages: list[Address]) -> dict[Address, list[Address]]:
    places = [m.split("/") for m in messages]
    shards, seqs = [int(p[1]) for p in places], [int(p[2]) for p in places]
    ways: dict[Address, list[Address]] = {}
    events = await connection.fetch(
        """SELECT e.shard, e.message_seq, e.seq FROM hilum.event e JOIN unnest($1::int[], $2::bigint[]) AS m(shard, seq)
               ON e.shard = m.shard AND e.message_seq = m.seq ORDER BY e.seq""",
        shards, seqs,
    )  # fmt: skip
    for row in events:
        ways.setdefault(f"m/{row['shard']}/{row['message_seq']}", []).append(f"e/{row['shard']}/{row['seq']}")
    originals = await connection.fetch(
        """SELECT m.shard, m.seq, m.copy_of FROM hilum.message m JOIN unnest($1::int[], $2::bigint[]) AS s(shard, seq)
               ON m.shard = s.shard AND m.seq = s.seq WHERE m.copy_of IS NOT NULL""",
        shards, seqs,
    )  # fmt: skip
    for row in originals:
        ways.setdefault(f"m/{row['shard']}/{row['seq']}", [row["copy_of"]])
    # A refused message that was replayed after its mapping was corrected has its events under the copy.
    made = await connection.fetch(
        """SELECT m.copy_of, e.shard, e.seq FROM hilum.message m JOIN hilum.event e ON e.shard = m.shard AND e.message_seq = m.seq
            WHERE m.copy_of = ANY($1::text[]) ORDER BY e.seq""",
        [m for m in messages if m not in ways],
    )
    for row in made:
        ways.setdefault(row["copy_of"], []).append(f"e/{row['shard']}/{row['seq']}")
    return ways


async def _through_events(connection: asyncpg.Connection, leads: dict[Address, list[Address]]) -> None:
    """An event leads to the case that it opened; else to itself."""
    events = sorted({a for reached in leads.values() for a in reached if a.startswith("e/")})
    if not events:
        return
    places = [e.split("/") for e in events]
    rows = await connection.fetch(
        """SELECT c.id, c.event_shard, c.event_seq FROM hilum.flow_case c JOIN unnest($1::int[], $2::bigint[]) AS e(shard, seq)
               ON c.event_shard = e.shard AND c.event_seq = e.seq ORDER BY c.position""",
        [int(p[1]) for p in places], [int(p[2]) for p in places],
    )  # fmt: skip
    ways: dict[Address, list[Address]] = {}
    for row in rows:
        ways.setdefault(f"e/{row['event_shard']}/{row['event_seq']}", []).append(f"c/{row['id']}")
    for subject, reached in leads.items():
        leads[subject] = [b for a in reached for b in ways.get(a, [a])]
