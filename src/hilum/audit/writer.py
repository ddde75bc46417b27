"""Appending entries in the transaction of the change they record."""

from collections.abc import Sequence

import asyncpg

from hilum.audit.entry import Entry, Sealed, sealed

# Up to here one statement is cheaper; beyond it COPY is, its second round trip included (measured, decision 0003).
_COPY_FROM = 64

_TAKE = """
    INSERT INTO hilum.audit_shard AS s (shard, next_seq) VALUES ($1, 1 + $2::bigint)
    ON CONFLICT (shard) DO UPDATE SET next_seq = s.next_seq + $2::bigint
    RETURNING s.next_seq - $2::bigint AS first_seq
"""

_TAKE_AND_INSERT = f"""
    WITH taken AS ({_TAKE})
    INSERT INTO hilum.audit_entry (shard, seq, subject, entry)
    SELECT $1, taken.first_seq + given.ordinal - 1, given.subject, given.entry
    FROM taken, unnest($3::text[], $4::bytea[]) WITH ORDINALITY AS given (subject, entry, ordinal)
    RETURNING seq
"""


async def append(connection: asyncpg.Connection, entries: Sequence[Entry | Sealed], *, shard: int = 0) -> list[int]:
    """Append entries to a shard, in order, and return their numbers in it.

    The connection has to be inside the transaction of the change: both commit or neither does. The shard's row stays
    locked until then, so append last, and let each intake process have a shard of its own. RuntimeError outside a
    transaction; MalformedEntry when an entry breaks its rules.
    """
    if not connection.is_in_transaction():
        raise RuntimeError("an audit entry is appended inside the transaction of the change it records")
    rows = sealed(entries)
    if not rows:
        return []
    if len(rows) < _COPY_FROM:
        subjects, texts = zip(*rows, strict=True)
        numbers = await connection.fetch(_TAKE_AND_INSERT, shard, len(rows), subjects, texts)
        return sorted(record["seq"] for record in numbers)
    first_seq: int = await connection.fetchval(_TAKE, shard, len(rows))
    await connection.copy_records_to_table(
        "audit_entry",
        schema_name="hilum",
        columns=("shard", "seq", "subject", "entry"),
        records=[(shard, seq, subject, entry) for seq, (subject, entry) in enumerate(rows, start=first_seq)],
    )
    return list(range(first_seq, first_seq + len(rows)))
