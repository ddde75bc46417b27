"""The folders of one drop, held open: every file is reached by its name within them, never by a path.

A name that a stranger chose is a single entry of a folder whose descriptor we hold, so ``..`` and links lead nowhere
(CWE-22, CWE-59). What is taken is a regular file with one name: a second name (hard link) is a second way to change it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_CLAIM = re.compile(r"\d{8}T\d{6}\.\d{6}Z-\d+--.")

STAMP = "%Y%m%dT%H%M%S.%fZ"
"""How the name of a claimed file begins."""
LONGEST_NAME_BYTES = 180
"""A file system takes 255; the rest is for what we put before and behind it."""


class FolderUnusable(ValueError):
    """A watched folder that must not or cannot be watched; the text says which and why."""


class FileRefused(Exception):
    """A file that is not taken. The text is a sentence without anything of its content."""


class FileChanges(Exception):
    """Somebody still writes the file: it is looked at again later."""


@dataclass(frozen=True)
class Found:
    """An entry of the watched folder. ``problem`` says why it is no file that could be taken, whatever it holds."""

    name: str
    inode: int
    size_bytes: int
    modified_ns: int
    problem: str | None


class Folders:
    """Descriptors of the watched folder and of ours beside it: claimed (``work``), ``done`` and ``refused``."""

    def __init__(self, inbox: int, work: int, done: int, refused: int) -> None:
        self.inbox, self.work, self.done, self.refused = inbox, work, done, refused

    def close(self) -> None:
        for descriptor in (self.inbox, self.work, self.done, self.refused):
            os.close(descriptor)

    def entries(self) -> list[Found]:
        """What lies in the watched folder, the oldest first. Subfolders and hidden names are nobody's delivery."""
        found = []
        with os.scandir(self.inbox) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # Gone already.
                if entry.name.startswith(".") or stat.S_ISDIR(status.st_mode):
                    continue
                found.append(
                    Found(entry.name, status.st_ino, status.st_size, status.st_mtime_ns, _problem(entry.name, status))
                )
        return sorted(found, key=lambda f: (f.modified_ns, f.name))

    def claimed(self) -> list[str]:
        """Files that were claimed and not brought to an end."""
        return sorted(name for name in os.listdir(self.work) if _CLAIM.match(name))

    def claim(self, name: str, as_name: str) -> bool:
        """Take a file out of the watched folder, in one step; False when somebody else did."""
        try:
            os.rename(name, as_name, src_dir_fd=self.inbox, dst_dir_fd=self.work)
        except FileNotFoundError:
            return False
        return True

    def read(self, name: str, most_bytes: int) -> bytes:
        """The bytes of a claimed file. ``FileRefused`` for what is no plain file or too large, ``FileChanges``."""
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.work)
        except PermissionError:
            raise FileRefused("the platform's user may not read it") from None
        except OSError as error:
            raise FileRefused(f"it cannot be opened ({error.strerror})") from None
        with os.fdopen(descriptor, "rb") as file:
            before = os.fstat(file.fileno())
            problem = _not_plain(before)
            if problem is not None:
                raise FileRefused(problem)
            with contextlib.suppress(PermissionError):  # A sender's own file stays as it is: our folders let nobody in.
                os.fchmod(file.fileno(), 0o600)
            if before.st_size > most_bytes:
                raise FileRefused(f"it has {before.st_size} bytes; at most {most_bytes} are taken")
            data = file.read(before.st_size + 1)
            after = os.fstat(file.fileno())
        seen = (before.st_size, before.st_mtime_ns)
        if len(data) != before.st_size or seen != (after.st_size, after.st_mtime_ns):
            raise FileChanges
        return data

    def end(self, name: str, folder: int, as_name: str, note: bytes) -> None:
        """Put a note beside where a claimed file goes, safely on disk, and move the file there."""
        self.write(folder, f"{as_name}.json", note)
        os.rename(name, as_name, src_dir_fd=self.work, dst_dir_fd=folder)

    def drop(self, name: str, as_name: str, note: bytes) -> None:
        """What is no file at all (a link, a pipe) is not kept: a note of it is."""
        self.write(self.refused, f"{as_name}.json", note)
        os.unlink(name, dir_fd=self.work)

    def is_plain(self, name: str) -> bool:
        return stat.S_ISREG(os.stat(name, dir_fd=self.work, follow_symlinks=False).st_mode)

    def purge(self, before: datetime) -> int:
        """Remove what was put away and was claimed before then, with its receipts; how many files."""
        gone = 0
        for folder in (self.done, self.refused):
            for name in os.listdir(folder):
                if _CLAIM.match(name) and claimed_at(name) < before:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=folder)
                        gone += 1
        return gone

    @staticmethod
    def write(folder: int, name: str, data: bytes) -> None:
        """Write a file whole or not at all."""
        part = f".{name[:200]}.part"
        descriptor = os.open(
            part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            os.unlink(part, dir_fd=folder)
            raise


def open_folder(path: str, data: Path, roots: Sequence[str], *, done: str = "", refused: str = "") -> Folders:
    """Open a watched folder and ours beside it (``<path>.work``, ``.done``, ``.refused``), made when they are missing.

    ``path`` is relative to ``data`` or inside one of ``roots``, also once its links are followed; else ``FolderUnusable``.
    """
    allowed = [data.resolve(), *(Path(root).resolve() for root in roots)]
    inbox = data / path
    if not Path(path).is_absolute():
        inbox.mkdir(parents=True, exist_ok=True, mode=0o700)
    places = [inbox, inbox.with_name(f"{inbox.name}.work")]
    places += [
        data / given if given else inbox.with_name(f"{inbox.name}.{which}")
        for given, which in ((done, "done"), (refused, "refused"))
    ]
    opened: list[int] = []
    try:
        for place in places:
            if place is not inbox:
                place.mkdir(parents=True, exist_ok=True, mode=0o700)
            real = place.resolve()
            if not any(real.is_relative_to(root) for root in allowed):
                raise FolderUnusable(f"{place} leads out of the platform's data and of the declared roots")
            opened.append(os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            status = os.fstat(opened[-1])
            if status.st_mode & stat.S_IWOTH:
                raise FolderUnusable(
                    f"{place}: every user of this machine can put files there; take the right from others"
                )
            if status.st_dev != os.fstat(opened[0]).st_dev:
                raise FolderUnusable(f"{place} must be on the same file system as {inbox}: files are moved in one step")
        _lock(opened[1], places[1])
    except FileNotFoundError:
        _close(opened)
        raise FolderUnusable(f"{inbox} does not exist; make it, owned by whoever drops files") from None
    except OSError as error:
        _close(opened)
        raise FolderUnusable(f"{inbox} cannot be watched: {error.strerror}") from None
    except FolderUnusable:
        _close(opened)
        raise
    return Folders(*opened)


def claimed_at(claimed: str) -> datetime:
    """When a file was claimed, which its name says ever since."""
    return datetime.strptime(claimed.partition("-")[0], STAMP).replace(tzinfo=UTC)


def kept_name(name: str) -> str:
    """A name under which a file can be kept and shown: its own, or one made of it when that is too long or unprintable."""
    if _bad_name(name) is None:
        return name
    return f"unnamed-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"


def _lock(folder: int, place: Path) -> None:
    """One process at a time: the descriptor stays open as long as the folder, and the lock with it."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FolderUnusable(f"{place} is watched by another process") from None


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _problem(name: str, status: os.stat_result) -> str | None:
    return _bad_name(name) or _not_plain(status)


def _bad_name(name: str) -> str | None:
    if not name.isprintable() or "\\" in name:
        return "its name has characters that no name should have"
    if len(os.fsencode(name)) > LONGEST_NAME_BYTES:
        return f"its name is longer than {LONGEST_NAME_BYTES} bytes"
    return None


def _not_plain(status: os.stat_result) -> str | None:
    kinds: tuple[tuple[Callable[[int], bool], str], ...] = (
        (stat.S_ISLNK, "a symbolic link"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"), (stat.S_ISDIR, "a folder"),
    )  # fmt: skip
    for is_kind, what in kinds:
        if is_kind(status.st_mode):
            return f"it is {what} and no file"
    if status.st_nlink > 1:
        return "it has a second name (hard link), by which it can be changed after it was taken"
    return None
