"""Fetching what a partner has put out on their server: each file once, removed there only when it is safe here.

A file passes through three hands. It is *fetched* when its bytes lie on our disk and the ledger knows it; *taken* when whoever
watches our folder has stored its messages; *finished* when it is gone from where it lay at the partner's. A process that dies
between any two of these goes on from what the ledger knows. The name a partner chose never becomes a path of ours.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import posixpath
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, Protocol

import asyncssh

log = logging.getLogger(__name__)

FETCHED, TAKEN, REFUSED, FINISHED = "fetched", "taken", "refused", "finished"
MOST_LISTED = 10_000
_CHUNK_BYTES = 4 * 1024 * 1024
_KEPT_NAME_BYTES = 100
_GONE = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
_OVER = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is fetched: how large a file may be, and how many come in one round before others have their turn."""

    max_file_bytes: int
    files_a_round: int = 100


@dataclass(frozen=True)
class Policy:
    """Which files of which remote folder, and what becomes of them there once they are safe.

    ``archive`` is a folder of theirs, relative to ``path`` or absolute.
    """

    path: str
    pattern: str = "*"
    unfinished: tuple[str, ...] = ("*.part", "*.tmp", "*.filepart")
    after: Literal["archive", "remove", "keep"] = "archive"
    archive: str = "archive"
    settle_seconds: float = 10.0
    timeout_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A regular file as the partner's server lists it."""

    name: bytes
    size_bytes: int
    modified: int

    def identity(self, place: str) -> bytes:
        """What makes it the same file when it is found again: where it lies, its name, size and time."""
        said = b"\x1f".join((place.encode(), self.name, str(self.size_bytes).encode(), str(self.modified).encode()))
        return hashlib.blake2b(said, digest_size=16).digest()


class Ledger(Protocol):
    """What is known of a system's files, durable when a call returns."""

    async def known(self, files: Sequence[bytes]) -> Mapping[bytes, str]: ...

    async def fetched(self, file: bytes, size_bytes: int, sha256: bytes) -> None: ...

    async def refused(self, file: bytes, size_bytes: int, why: str) -> None: ...

    async def finished(self, file: bytes) -> None: ...

    async def gone(self, listed: Sequence[bytes]) -> None:
        """Files that were taken and are not listed any more are finished."""


def _nothing(name: str) -> None:
    """Where nobody orders faults."""


class SftpFetch:
    """One system's remote folder. ``inbox`` is our watched folder; ``connect`` opens a session; ``identify`` keys identities.

    ``failed`` is told why a file was not fetched, for the counts; ``moment`` is a clock of seconds that only goes on.
    """

    def __init__(
        self,
        place: str,
        policy: Policy,
        bounds: Bounds,
        inbox: Path,
        ledger: Ledger,
        *,
        connect: Callable[[], AbstractAsyncContextManager[asyncssh.SFTPClient]],
        identify: Callable[[bytes], bytes],
        failed: Callable[[str], None],
        moment: Callable[[], float],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        point: Callable[[str], None] = _nothing,
    ) -> None:
        self._place = place
        self._policy = policy
        self._bounds = bounds
        self._inbox = inbox
        self._ledger = ledger
        self._connect = connect
        self._identify = identify
        self._failed = failed
        self._moment = moment
        self._pause = pause
        self._point = point
        self._seen: dict[RemoteFile, float] = {}
        self._restored = False

    async def run_once(self) -> int:
        """One visit: finish what was taken, fetch what has settled. How many files went on by a step."""
        if not self._restored:
            await self._restore()
            self._restored = True
        async with self._connect() as session:
            listed = await self._list(session)
            if any(self._age(file) < self._policy.settle_seconds for file in listed):
                # What was put there since the last visit is looked at twice, or it would wait for a whole round more.
                await self._pause(self._policy.settle_seconds)
                listed = await self._list(session)
            return await self._treat(session, listed)

    async def _treat(self, session: asyncssh.SFTPClient, listed: Sequence[RemoteFile]) -> int:
        files = {self._identify(file.identity(self._place)): file for file in listed}
        known = await self._ledger.known(list(files))
        await self._ledger.gone(list(files))
        steps = fetched = 0
        for identity, file in files.items():
            state = known.get(identity)
            try:
                if state in (TAKEN, REFUSED):
                    steps += await self._finish(session, identity, file)
                elif self._due(state, file) and fetched < self._bounds.files_a_round:
                    done = await self._fetch(session, identity, file)
                    fetched += done
                    steps += done
            except _OVER:
                raise
            except _GONE:
                continue  # Somebody took it away meanwhile.
            except asyncssh.SFTPError as error:
                # One file that may not be read or moved keeps no other from coming. Its name stays out of the log.
                self._failed(type(error).__name__)
                log.warning("a file of %s: the server refused (%s)", self._place, type(error).__name__)
        return steps

    def _due(self, state: str | None, file: RemoteFile) -> bool:
        """Whether it is to be fetched. What was finished and lies there again was put there again; its facts are known then."""
        fresh = state is None or (state == FINISHED and self._policy.after != "keep")
        return fresh and self._age(file) >= self._policy.settle_seconds

    # --- what lies there

    async def _list(self, session: asyncssh.SFTPClient) -> list[RemoteFile]:
        """Regular files under names that are expected, the oldest first. Links and folders are nobody's delivery."""
        found: list[RemoteFile] = []
        seen = 0
        async with asyncio.timeout(self._policy.timeout_seconds):
            async for entry in session.scandir(self._policy.path.encode()):
                seen += 1
                if seen > MOST_LISTED:
                    log.warning("%s: more than %d entries; the rest is looked at later", self._place, MOST_LISTED)
                    break
                name = entry.filename if isinstance(entry.filename, bytes) else entry.filename.encode()
                said = entry.attrs
                if not self._wanted(name) or said.permissions is None or not stat.S_ISREG(said.permissions):
                    continue
                if said.size is None or said.size < 0:
                    continue
                found.append(RemoteFile(name, said.size, said.mtime if said.mtime is not None else 0))
        now = self._moment()
        self._seen = {file: self._seen.get(file, now) for file in found}
        return sorted(found, key=lambda file: (file.modified, file.name))

    def _wanted(self, name: bytes) -> bool:
        text = name.decode("utf-8", "surrogateescape")
        if not text or text.startswith(".") or "/" in text or "\0" in text:
            return False
        return fnmatchcase(text, self._policy.pattern) and not any(
            fnmatchcase(text, unfinished) for unfinished in self._policy.unfinished
        )

    def _age(self, file: RemoteFile) -> float:
        """For how long its size and time have not changed."""
        now = self._moment()
        return now - self._seen.get(file, now)

    def _path(self, name: bytes) -> bytes:
        return posixpath.join(self._policy.path.encode(), name)

    # --- fetching

    async def _fetch(self, session: asyncssh.SFTPClient, identity: bytes, file: RemoteFile) -> int:
        """Bring the bytes here; 0 when it is looked at again later."""
        if file.size_bytes > self._bounds.max_file_bytes:
            await self._refuse(identity, file.size_bytes)
            return 0
        part = self._inbox / f".{identity.hex()}.part"
        digest = hashlib.sha256()
        size = 0
        try:
            with part.open("wb") as out:
                os.fchmod(out.fileno(), 0o600)
                async with session.open(self._path(file.name), "rb") as remote:
                    while size <= file.size_bytes:
                        async with asyncio.timeout(self._policy.timeout_seconds):
                            chunk = await remote.read(_CHUNK_BYTES, size)
                        if not chunk:
                            break
                        data = chunk if isinstance(chunk, bytes) else chunk.encode()
                        digest.update(data)
                        await asyncio.to_thread(out.write, data)
                        size += len(data)
                after = await session.lstat(self._path(file.name))
                out.flush()
                await asyncio.to_thread(os.fsync, out.fileno())
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        if size != file.size_bytes or (after.size, after.mtime) != (file.size_bytes, file.modified):
            # It grew while it was read: what came is a piece of it.
            part.unlink()
            self._seen.pop(file, None)
            return 0
        _safe(self._inbox)
        self._point("sftp.before_fetched")
        await self._ledger.fetched(identity, size, digest.digest())
        self._point("sftp.fetched")
        self._arrive(part, identity, file.name)
        self._point("sftp.arrived")
        log.info("a file of %s was fetched: %d bytes, %s", self._place, size, digest.hexdigest()[:16])
        return 1

    async def _refuse(self, identity: bytes, size_bytes: int) -> None:
        why = f"it has {size_bytes} bytes; at most {self._bounds.max_file_bytes} are taken"
        if identity not in await self._ledger.known([identity]):
            self._failed(why)
            log.warning("a file of %s was refused: %s", self._place, why)
        await self._ledger.refused(identity, size_bytes, why)

    def _arrive(self, part: Path, identity: bytes, name: bytes = b"") -> None:
        """From a hidden name to one that the watch takes: in one step, and safely on disk."""
        os.rename(part, self._inbox / local_name(identity, name))
        _safe(self._inbox)

    async def _restore(self) -> None:
        """What a process that died left behind: whole files go on, pieces are fetched again."""
        for part in sorted(self._inbox.glob(".*.part")):
            try:
                identity = bytes.fromhex(part.name[1:].removesuffix(".part"))
            except ValueError:
                continue
            if (await self._ledger.known([identity])).get(identity) == FETCHED:
                self._arrive(part, identity)
            else:
                part.unlink()

    # --- what becomes of it there

    async def _finish(self, session: asyncssh.SFTPClient, identity: bytes, file: RemoteFile) -> int:
        if file.size_bytes > self._bounds.max_file_bytes:
            return 0  # It was never fetched: it stays where it is until somebody has looked.
        path = self._path(file.name)
        now = await session.lstat(path)
        if (now.size, now.mtime) != (file.size_bytes, file.modified):
            return 0  # Another file lies there under its name by now; it is seen as what it is on the next visit.
        self._point("sftp.before_finish")
        if self._policy.after == "remove":
            await session.remove(path)
        elif self._policy.after == "archive":
            await self._archive(session, path, identity, file.name)
        self._point("sftp.before_finished")
        await self._ledger.finished(identity)
        self._point("sftp.finished")
        return 1

    async def _archive(self, session: asyncssh.SFTPClient, path: bytes, identity: bytes, name: bytes) -> None:
        folder = posixpath.join(self._policy.path.encode(), self._policy.archive.encode())
        if not await session.isdir(folder):
            await session.mkdir(folder)
        try:
            await session.rename(path, posixpath.join(folder, name))
        except _GONE:
            raise
        except asyncssh.SFTPError:
            # A file of this name lies there already; SFTP version 3 replaces nothing.
            await session.rename(path, posixpath.join(folder, name + b"." + identity.hex()[:12].encode()))


def local_name(identity: bytes, name: bytes = b"") -> str:
    """The name of a fetched file here: by it the ledger knows it, and a person finds the partner's own beside it."""
    shown = "".join(c if c.isalnum() or c in "._-" else "_" for c in name.decode("utf-8", "replace"))
    shown = shown.encode()[:_KEPT_NAME_BYTES].decode("utf-8", "ignore")
    return f"{identity.hex()}-{shown}" if shown else identity.hex()


def identity_in(name: str) -> bytes | None:
    """The identity that a file's local name begins with; None for a file that came another way."""
    try:
        found = bytes.fromhex(name.partition("-")[0])
    except ValueError:
        return None
    return found if len(found) >= 16 else None


def _safe(folder: Path) -> None:
    """The folder's own entries, safely on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
