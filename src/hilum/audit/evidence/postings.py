"""What a package says of postings: each staged amount with its place in its source, the rule that gave it its accounts, the journal it
stands in, and the tables as they were when it was staged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

from hilum.audit.thread import Thread
from hilum.audit.thread_access import addresses_of

MOST_LINES = 100_000
"""Lines of one package; beyond it each source has its sums by rule only."""


@dataclass(frozen=True)
class Postings:
    """``sources`` one by one, ``tables`` by digest and file name, and the audit entries about them as (shard, seq)."""

    sources: list[dict[str, Any]]
    tables: dict[str, dict[str, str]]
    places: set[tuple[int, int]]


async def postings_of(connection: asyncpg.Connection, threads: Sequence[Thread]) -> Postings:
    """Everything that the cases of these threads staged. No claim and no account is in it, not even as a token."""
    cases = sorted({a.removeprefix("c/") for thread in threads for a in addresses_of(thread) if a.startswith("c/")})
    rows = await connection.fetch(
        """SELECT source, kind, reference, payer, on_day, amount, encode(tables, 'hex') AS tables, entries, staged_at, staged_by
             FROM hilum.posting_source WHERE regexp_replace(staged_by, '/[^/]*$', '') = ANY($1) ORDER BY staged_at, source""",
        cases,
    )  # fmt: skip
    names = [row["source"] for row in rows]
    journals = await _by_source(
        connection,
        """SELECT source, facility, total, number, document, posted_on, posted_at FROM hilum.posting_journal
            WHERE source = ANY($1) ORDER BY source, facility""",
        names,
    )
    rules = await _by_source(
        connection,
        """SELECT source, rule, debit, credit, count(*) AS entries, sum(moved) AS moved FROM hilum.staged_entry
            WHERE source = ANY($1) GROUP BY source, rule, debit, credit ORDER BY source, rule, debit""",
        names,
    )
    lines: dict[str, list[dict[str, Any]]] | None = None
    if sum(row["entries"] for row in rows) <= MOST_LINES:
        lines = await _by_source(
            connection,
            """SELECT source, line, kind, reason, charge_class, facility, payer_class, payer, cost_centre, moved, debit, credit, rule
                 FROM hilum.staged_entry WHERE source = ANY($1) ORDER BY source, line""",
            names,
        )
    sources = [
        {
            **dict(row),
            "journals": journals.get(row["source"], []),
            "by_rule": rules.get(row["source"], []),
            "lines": lines.get(row["source"], []) if lines is not None else f"more than {MOST_LINES} in this package",
        }
        for row in rows
    ]
    kept = await connection.fetch(
        "SELECT encode(digest, 'hex') AS digest, texts FROM hilum.posting_tables WHERE encode(digest, 'hex') = ANY($1)",
        sorted({row["tables"] for row in rows}),
    )
    told = await connection.fetch(
        "SELECT shard, seq FROM hilum.audit_entry WHERE subject = ANY($1)", [f"source/{name}" for name in names]
    )
    return Postings(
        sources,
        {row["digest"]: orjson.loads(row["texts"]) for row in kept},
        {(row["shard"], row["seq"]) for row in told},
    )


async def _by_source(connection: asyncpg.Connection, query: str, names: list[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in await connection.fetch(query, names):
        fields = dict(row)
        found[fields.pop("source")].append(fields)
    return found
