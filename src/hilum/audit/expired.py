"""What retention says, in the log itself, that it removed: of such messages nobody expects to find the bytes."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

import asyncpg

from hilum.audit.entry import MESSAGE_EXPIRED, MalformedEntry, parse


@dataclass
class Expired:
    """Which messages left with their days. ``through``: all up to this number of a shard; ``runs``: from one to another.

    Runs are what a wrong clock had dated: their neighbours by number arrived on other days and are still expected.
    """

    through: dict[int, int] = field(default_factory=dict)
    runs: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    def covers(self, shard: int, seq: int) -> bool:
        """Whether an entry says that this message was removed."""
        if seq <= self.through.get(shard, 0):
            return True
        runs = self.runs.get(shard, [])
        place = bisect_right(runs, (seq, 2**63))
        return place > 0 and runs[place - 1][1] >= seq

    def add(self, shard: int, first: int | None, last: int) -> None:
        """``first`` is None where everything up to ``last`` left."""
        if first is None:
            self.through[shard] = max(last, self.through.get(shard, 0))
        else:
            self.runs.setdefault(shard, []).append((first, last))

    def sort(self) -> None:
        """Make the runs of each shard ascending and apart, as ``covers`` needs them."""
        for shard, runs in self.runs.items():
            apart: list[tuple[int, int]] = []
            for first, last in sorted(runs):
                if apart and first <= apart[-1][1] + 1:
                    apart[-1] = (apart[-1][0], max(last, apart[-1][1]))
                else:
                    apart.append((first, last))
            self.runs[shard] = apart


async def read_expired(connection: asyncpg.Connection) -> Expired:
    """What the entries of the log say. One that cannot be read says nothing: the tree reports it."""
    # A message's shard is that of the intake which wrote it, and the intake's entries are in the shard of that number.
    records = await connection.fetch(
        "SELECT entry FROM hilum.audit_entry WHERE subject = ANY (SELECT 'm/' || shard FROM hilum.audit_shard)"
    )
    found = Expired()
    for record in records:
        try:
            fields = parse(record["entry"])
            last = fields["detail"]["through_seq"]
        except (MalformedEntry, KeyError):
            continue
        shard, first = fields["subject"].removeprefix("m/"), fields["detail"].get("from_seq")
        written = fields["action"] == MESSAGE_EXPIRED and shard.isdecimal() and type(last) is int
        if written and (first is None or type(first) is int):
            found.add(int(shard), first, last)
    found.sort()
    return found
