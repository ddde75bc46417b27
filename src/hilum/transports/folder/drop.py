"""The watch over one folder: claim, read, cut, take in, write a receipt, put away.

A file has one owner at each moment: its sender while it lies in the folder, this process from the claim (one rename) on,
nobody once it is done. A process that dies on the way leaves the file claimed; the next one goes on with it and asks which
of its messages were stored since the claim, so that none is taken in twice. Identity: SHA-256 of the file and position.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from itertools import count

import orjson

from hilum.transports.folder.messages import Bounds, Part, cut
from hilum.transports.folder.places import STAMP, FileChanges, FileRefused, Folders, Found, claimed_at, kept_name

__all__ = ["FolderDrop", "Part", "Taken"]

log = logging.getLogger(__name__)

AT_ONCE = 500
LISTED = 1000
"""So many messages a receipt names one by one; of a larger file, those that were refused."""

_PURGE_EVERY_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one message: ``accepted``, ``duplicate`` or ``refused``, and where it is stored."""

    status: str
    reference: str
    detail: str = ""


Take = Callable[[Part, str], Awaitable[Taken]]
Stored = Callable[[Sequence[str], datetime], Awaitable[Mapping[str, Taken]]]
"""Which of these identities were stored since then."""


Ended = Callable[[str, str, Mapping[str, int]], Awaitable[None]]
"""Told of each file before it is put away: its own name, why it was refused (empty when it was not), messages by outcome."""

KeepsSince = Callable[[], Awaitable[datetime | None]]
"""From when on files that were put away are kept; None: all of them."""


def _nothing(name: str) -> None:
    """Where nobody orders faults."""


async def _everything() -> datetime | None:
    """Where nobody says how long files are kept."""
    return None


async def _nobody(name: str, problem: str, counts: Mapping[str, int]) -> None:
    """Where nobody waits for a file's end."""


class FolderDrop:
    """Watches one folder. ``take`` stores a message and returns once it is durable; ``stored`` knows what was.

    ``refused`` is told why a file was not taken, for the counts. ``moment`` is a clock of seconds that only goes on.
    """

    def __init__(
        self,
        folders: Folders,
        bounds: Bounds,
        *,
        take: Take,
        stored: Stored,
        refused: Callable[[str], None],
        clock: Callable[[], datetime],
        moment: Callable[[], float],
        pattern: str = "*",
        settle_seconds: float = 2.0,
        point: Callable[[str], None] = _nothing,
        keeps_since: KeepsSince = _everything,
        ended: Ended = _nobody,
    ) -> None:
        self._folders = folders
        self._bounds = bounds
        self._take = take
        self._stored = stored
        self._refused = refused
        self._clock = clock
        self._moment = moment
        self._pattern = pattern
        self._settle_seconds = settle_seconds
        self._point = point
        self._keeps_since = keeps_since
        self._ended = ended
        self._purged: float | None = None
        self._watched: dict[str, tuple[tuple[int, int, int], float]] = {}
        self._numbers = count(1)
        self._fresh: set[str] = set()

    async def run_once(self) -> int:
        """Go on with what was claimed, then claim and finish what is ready; how many files came to an end."""
        ended = 0
        for claimed in self._folders.claimed():
            ended += await self._bring_to_an_end(claimed)
        for found in self._ready():
            claimed = f"{self._clock().astimezone(UTC).strftime(STAMP)}-{next(self._numbers)}--{kept_name(found.name)}"
            if not self._folders.claim(found.name, claimed):
                continue
            self._point("folder.claimed")
            self._fresh.add(claimed)
            ended += await self._bring_to_an_end(claimed, found.problem)
        await self._purge()
        return ended

    def close(self) -> None:
        self._folders.close()

    async def _purge(self) -> None:
        """Dropped files hold what the messages in them hold, in clear: they go when those do."""
        now = self._moment()
        if self._purged is not None and now - self._purged < _PURGE_EVERY_SECONDS:
            return
        before = await self._keeps_since()
        self._purged = now
        gone = await asyncio.to_thread(self._folders.purge, before) if before is not None else 0
        if gone:
            log.info("%d files that were put away are past their retention and gone", gone)

    def _ready(self) -> list[Found]:
        """Files that have not changed for long enough, and whatever else lies there under a name that is expected."""
        now = self._moment()
        ready, watched = [], {}
        for found in self._folders.entries():
            if not fnmatchcase(found.name, self._pattern):
                continue
            seen = (found.inode, found.size_bytes, found.modified_ns)
            before, since = self._watched.get(found.name, (seen, now))
            since = since if before == seen else now
            watched[found.name] = (seen, since)
            if found.problem is not None or now - since >= self._settle_seconds:
                ready.append(found)
        self._watched = watched
        return ready

    async def _bring_to_an_end(self, claimed: str, problem: str | None = None) -> int:
        """One claimed file: 1 when it is done or refused, 0 when it is looked at again."""
        # Whether messages may have been stored before: by a process that died, or by us before something failed.
        again = claimed not in self._fresh
        self._fresh.discard(claimed)
        try:
            if problem is not None:
                raise FileRefused(problem)
            data = await asyncio.to_thread(self._folders.read, claimed, self._bounds.max_file_bytes)
            parts = await asyncio.to_thread(cut, data, self._bounds)
        except FileChanges:
            return 0
        except FileRefused as refused:
            await self._ended(_own_name(claimed), str(refused), {})
            self._refuse(claimed, str(refused))
            return 1
        digest = hashlib.sha256(data).hexdigest()
        taken = await self._take_in(parts, digest, claimed_at(claimed) if again else None)
        # Before the file is put away: a process that dies in between tells it again.
        await self._ended(_own_name(claimed), "", Counter(one.status for one in taken))
        self._finish(claimed, data, digest, taken)
        return 1

    async def _take_in(self, parts: Sequence[Part], digest: str, since: datetime | None) -> list[Taken]:
        """Every message of the file, stored; in their order, as far as one commit leaves a choice."""
        names = [f"file:{digest[:32]}#{part.position}" for part in parts]
        known: Mapping[str, Taken] = await self._stored(names, since) if since is not None else {}
        taken: list[Taken] = []
        for start in range(0, len(parts), AT_ONCE):
            batch = list(zip(parts, names, strict=True))[start : start + AT_ONCE]
            missing = [(part, name) for part, name in batch if name not in known]
            results = await asyncio.gather(*(self._take(part, name) for part, name in missing))
            made = {name: result for (_, name), result in zip(missing, results, strict=True)}
            taken += [known[name] if name in known else made[name] for _, name in batch]
        return taken

    def _finish(self, claimed: str, data: bytes, digest: str, taken: Sequence[Taken]) -> None:
        """The receipt first, then the file: whoever finds the file put away finds its receipt beside it."""
        counts = Counter(one.status for one in taken)
        listed = [
            {
                "position": n,
                "status": one.status,
                "message": one.reference,
                **({"detail": one.detail} if one.detail else {}),
            }
            for n, one in enumerate(taken, start=1)
            if len(taken) <= LISTED or one.status == "refused"
        ]
        receipt = {
            "file": _own_name(claimed), "sha256": digest, "bytes": len(data), "messages": len(taken), "counts": dict(counts),
            "claimed_at": claimed_at(claimed).isoformat(), "done_at": self._clock().isoformat(), "listed": listed[:LISTED],
        }  # fmt: skip
        self._point("folder.before_receipt")
        folder = self._folders.refused if counts["refused"] == len(taken) else self._folders.done
        self._folders.end(claimed, folder, claimed, orjson.dumps(receipt, option=orjson.OPT_INDENT_2))
        self._point("folder.moved")
        log.info("a dropped file %s was taken in: %s", digest[:16], dict(counts))

    def _refuse(self, claimed: str, why: str) -> None:
        note = orjson.dumps(
            {
                "file": _own_name(claimed), "refused": why, "claimed_at": claimed_at(claimed).isoformat(),
                "refused_at": self._clock().isoformat(),
            },
            option=orjson.OPT_INDENT_2,
        )  # fmt: skip
        if self._folders.is_plain(claimed):
            self._folders.end(claimed, self._folders.refused, claimed, note)
        else:
            self._folders.drop(claimed, claimed, note)
        self._refused(why)
        log.warning("a dropped file was refused: %s", why)


def _own_name(claimed: str) -> str:
    return claimed.partition("--")[2]
