"""Where threads happened, as policies ask: by the case, the event, or the events that were made of a message."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import asyncpg

from hilum.audit.thread import Address, Found
from hilum.security.decisions import Resource


async def facilities_of(
    connection: asyncpg.Connection, addresses: Collection[Address]
) -> dict[Address, frozenset[str]]:
    """The facilities of each of these cases, events and messages: ``""`` of what is of no one facility, none of what is gone.

    A message happened where its events did; one that repeats another, where that one did.
    """
    found: dict[Address, set[str]] = {address: set() for address in addresses}
    rows = await connection.fetch(
        "SELECT 'c/' || id AS address, facility FROM hilum.flow_case WHERE id = ANY($1)",
        [address[2:] for address in addresses if address.startswith("c/")],
    )
    for address in addresses:
        if address.startswith("h/"):
            found[address].add(address.split("/", 2)[1])
    rows += await connection.fetch(
        """SELECT p.address, e.facility FROM unnest($1::text[], $2::int[], $3::bigint[]) AS p(address, shard, seq)
             JOIN hilum.event AS e ON e.shard = p.shard AND e.seq = p.seq""",
        *_numbered(addresses, "e/"),
    )
    rows += await connection.fetch(
        """WITH asked AS (
               SELECT p.address, p.shard, p.seq, m.copy_of FROM unnest($1::text[], $2::int[], $3::bigint[]) AS p(address, shard, seq)
                 LEFT JOIN hilum.message AS m ON m.shard = p.shard AND m.seq = p.seq),
           first AS (
               SELECT address, left(copy_of, 2) AS kind, split_part(copy_of, '/', 2)::int AS shard, split_part(copy_of, '/', 3)::bigint AS seq
                 FROM asked WHERE copy_of ~ '^[em]/[0-9]+/[0-9]+$')
           SELECT a.address, e.facility FROM asked AS a JOIN hilum.event AS e ON e.shard = a.shard AND e.message_seq = a.seq
           UNION SELECT f.address, e.facility FROM first AS f JOIN hilum.event AS e ON e.shard = f.shard AND e.seq = f.seq WHERE f.kind = 'e/'
           UNION SELECT f.address, e.facility FROM first AS f JOIN hilum.event AS e ON e.shard = f.shard AND e.message_seq = f.seq
                  WHERE f.kind = 'm/'""",
        *_numbered(addresses, "m/"),
    )  # fmt: skip
    for row in rows:
        found[row["address"]].add(row["facility"])
    return {address: frozenset(places) for address, places in found.items()}


def threads_at(places: Mapping[Address, Collection[str]], *addresses: Address) -> list[Resource]:
    """These threads as policies see them: one for each facility, so that who reads it may read it at all of them."""
    return [
        Resource("Thread", address, {"facility": facility if facility else None})
        for address in addresses
        for facility in (sorted(places[address]) if places[address] else [""])
    ]


def addresses_in(found: Found) -> list[Address]:
    """Every thread that was found, told in full or in one line."""
    return [*(thread.address for thread in found.threads), *(summary.address for summary in found.summaries)]


def only_readable(
    found: Found, places: Mapping[Address, Collection[str]], may_read: Callable[[Resource], bool]
) -> Found:
    """What was found, without what may not be read: not even its title, and not in the count."""
    readable = {
        address for address in addresses_in(found) if all(may_read(about) for about in threads_at(places, address))
    }
    threads = [thread for thread in found.threads if thread.address in readable]
    summaries = [summary for summary in found.summaries if summary.address in readable]
    hidden = len(found.threads) - len(threads) + len(found.summaries) - len(summaries)
    return replace(found, threads=threads, summaries=summaries, total=found.total - hidden)


def _numbered(addresses: Collection[Address], letter: str) -> tuple[list[Address], Sequence[int], Sequence[int]]:
    """The addresses of one letter with their shards and numbers."""
    ours = [address for address in addresses if address.startswith(letter)]
    parts = [address.split("/") for address in ours]
    return ours, [int(part[1]) for part in parts], [int(part[2]) for part in parts]
