"""A partner's home on our SFTP server: ``/inbox`` to put files into, ``/outbox`` to get them from, and nothing else.

There are no paths on disk for a partner to shape: a name is one entry of one of two folders whose descriptors we hold, so ``..``,
links and folders lead nowhere (CWE-22, CWE-59). An upload lies under a hidden name until its close: then it is synced, appears in
one step, and only then is the close acknowledged. Whoever breaks off leaves nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import posixpath
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import count
from pathlib import Path
from typing import NoReturn

import asyncssh
from asyncssh import FXF_APPEND, FXF_READ, FXF_WRITE

LONGEST_NAME_BYTES = 120
UNFINISHED = ("*.part", "*.tmp", "*.filepart", ".*")
"""Names under which clients upload before they rename: such a file is not taken until it has its own name."""
_HELD = ".~"
_UPLOADS = ".upload"
_numbers = count(1)


@dataclass(frozen=True)
class HomeLimits:
    """What one partner may put down: bytes of a file, files that lie there at once."""

    max_file_bytes: int
    max_files: int


class HomeFolders:
    """The two folders of a home, held open, made when they are missing."""

    def __init__(self, home: Path) -> None:
        self.descriptors: dict[str, int] = {}
        for name in ("inbox", "outbox"):
            place = home / name
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.descriptors[name] = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        for left in os.listdir(self.inbox):
            if left.startswith(".") and left.endswith(_UPLOADS):
                os.unlink(left, dir_fd=self.inbox)  # Nobody was told that this had come.

    @property
    def inbox(self) -> int:
        return self.descriptors["inbox"]

    def close(self) -> None:
        for descriptor in self.descriptors.values():
            os.close(descriptor)


@dataclass
class _Upload:
    descriptor: int
    hidden: str
    name: str
    size_bytes: int = 0
    spoilt: bool = False


@dataclass
class _Download:
    descriptor: int


class PartnerHome(asyncssh.SFTPServer):
    """One session in a partner's home. ``came`` is told of each file that is whole; ``over`` says that the client is gone."""

    def __init__(
        self,
        chan: asyncssh.SSHServerChannel[bytes],
        folders: HomeFolders,
        limits: HomeLimits,
        came: Callable[[int], None],
        over: Callable[[], bool],
    ) -> None:
        super().__init__(chan)
        self._folders = folders
        self._limits = limits
        self._came = came
        self._over = over

    # --- what lies there

    def _place(self, path: bytes) -> tuple[str, ...]:
        """() for the root, (folder,), or (folder, name). SFTPNoSuchFile for whatever else."""
        try:
            text = posixpath.normpath(posixpath.join("/", path.decode()))
        except UnicodeDecodeError:
            raise asyncssh.SFTPNoSuchFile("names are UTF-8") from None
        parts = tuple(part for part in text.split("/") if part)
        if len(parts) > 2 or (parts and parts[0] not in self._folders.descriptors):
            raise asyncssh.SFTPNoSuchFile("there is inbox and outbox, without folders")
        return parts

    def _file(self, path: bytes, folder: str, why: str) -> str:
        """The name of a file in one of the folders. SFTPPermissionDenied, with ``why``, anywhere else."""
        place = self._place(path)
        if len(place) != 2 or place[0] != folder:
            raise asyncssh.SFTPPermissionDenied(why)
        name = place[1]
        if not name.isprintable() or "\\" in name or len(name.encode()) > LONGEST_NAME_BYTES or name.startswith(_HELD):
            raise asyncssh.SFTPPermissionDenied(f"a name has at most {LONGEST_NAME_BYTES} printable bytes")
        if name.endswith(_UPLOADS) and name.startswith("."):
            raise asyncssh.SFTPPermissionDenied("this name is the server's own")
        return name

    def realpath(self, path: bytes) -> bytes:
        return ("/" + "/".join(self._place(path))).encode()

    def stat(self, path: bytes) -> asyncssh.SFTPAttrs:
        place = self._place(path)
        if len(place) < 2:
            return _folder_attributes()
        return _attributes(self._status(place[0], place[1]))

    def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:
        return self.stat(path)

    def _status(self, folder: str, name: str) -> os.stat_result:
        for kept in (name, _held(name)):
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(kept, dir_fd=self._folders.descriptors[folder], follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    return status
        raise asyncssh.SFTPNoSuchFile("there is no such file; what is whole is taken soon after it came")

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        place = self._place(path)
        if len(place) == 2:
            raise asyncssh.SFTPNoSuchFile("this is no folder")
        for name in (".", ".."):
            yield asyncssh.SFTPName(name.encode(), attrs=_folder_attributes())
        if not place:
            for name in self._folders.descriptors:
                yield asyncssh.SFTPName(name.encode(), attrs=_folder_attributes())
            return
        with os.scandir(self._folders.descriptors[place[0]]) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            name = entry.name.removeprefix(_HELD)
            if name == entry.name and name.startswith("."):
                continue
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    yield asyncssh.SFTPName(os.fsencode(name), attrs=_attributes(status))

    # --- reading and writing

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if pflags & FXF_WRITE:
            if pflags & (FXF_READ | FXF_APPEND):
                raise asyncssh.SFTPPermissionDenied("a file is put down whole: no appending and no resuming")
            return self._upload(self._file(path, "inbox", "files are put into /inbox"))
        name = self._file(path, "outbox", "files are got from /outbox")
        descriptor = os.open(
            name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._folders.descriptors["outbox"]
        )
        if not stat.S_ISREG(os.fstat(descriptor).st_mode) or name.startswith("."):
            os.close(descriptor)
            raise asyncssh.SFTPPermissionDenied("this is no file")
        return _Download(descriptor)

    def _upload(self, name: str) -> _Upload:
        if len(os.listdir(self._folders.inbox)) >= self._limits.max_files:
            raise asyncssh.SFTPFailure(f"{self._limits.max_files} files wait to be taken; come back later")
        hidden = f".{next(_numbers)}{_UPLOADS}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return _Upload(os.open(hidden, flags, 0o600, dir_fd=self._folders.inbox), hidden, name)

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        if not isinstance(file_obj, _Download):
            raise asyncssh.SFTPPermissionDenied("this file was opened for writing")
        return os.pread(file_obj.descriptor, size, offset)

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        if not isinstance(file_obj, _Upload):
            raise asyncssh.SFTPPermissionDenied("this file was opened for reading")
        if offset + len(data) > self._limits.max_file_bytes:
            file_obj.spoilt = True
            raise asyncssh.SFTPFailure(f"a file has at most {self._limits.max_file_bytes} bytes")
        try:
            written = os.pwrite(file_obj.descriptor, data, offset)
        except OSError:
            file_obj.spoilt = True
            raise
        if written < len(data):
            file_obj.spoilt = True
            raise asyncssh.SFTPFailure("the file could not be written whole")
        file_obj.size_bytes = max(file_obj.size_bytes, offset + len(data))
        return written

    async def close(self, file_obj: object) -> None:
        if isinstance(file_obj, _Download):
            os.close(file_obj.descriptor)
            return
        assert isinstance(file_obj, _Upload)
        whole = False
        try:
            if not file_obj.spoilt:
                await asyncio.to_thread(os.fsync, file_obj.descriptor)
                # The client that waits for this close is told nothing before it is done; one that is gone was never told.
                whole = not self._over()
        finally:
            os.close(file_obj.descriptor)
            if not whole:
                os.unlink(file_obj.hidden, dir_fd=self._folders.inbox)
        if file_obj.spoilt:
            raise asyncssh.SFTPFailure("the file was not taken: it was too large or could not be written")
        if whole:
            await self._appear(file_obj.hidden, file_obj.name, file_obj.size_bytes)

    async def _appear(self, hidden: str, name: str, size_bytes: int) -> None:
        """Under its own name in one step; under a name that keeps it from being taken where the client's says it is unfinished."""
        unfinished = _unfinished(name)
        kept = _held(name) if unfinished else name
        while not unfinished and _lies(kept, self._folders.inbox):
            # The one before was not taken yet: neither may replace the other.
            kept = f"{name}.{next(_numbers)}"
        os.rename(hidden, kept, src_dir_fd=self._folders.inbox, dst_dir_fd=self._folders.inbox)
        await asyncio.to_thread(os.fsync, self._folders.inbox)
        if not unfinished:
            self._came(size_bytes)

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        """What was put down under an unfinished name gets its own; nothing else is moved."""
        why = "only what was uploaded under a name such as NAME.part is renamed, within /inbox"
        old, new = self._file(oldpath, "inbox", why), self._file(newpath, "inbox", why)
        if not _unfinished(old) or not _lies(_held(old), self._folders.inbox):
            raise asyncssh.SFTPPermissionDenied(why)
        size = self._status("inbox", old).st_size
        await self._appear(_held(old), new, size)

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self.rename(oldpath, newpath)

    def remove(self, path: bytes) -> None:
        """What was got from the outbox, or is unfinished in the inbox. What is whole is ours."""
        place = self._place(path)
        if len(place) == 2 and place[0] == "outbox" and not place[1].startswith("."):
            self._status(*place)
            os.unlink(place[1], dir_fd=self._folders.descriptors["outbox"])
            return
        name = self._file(path, "inbox", "files are removed from /outbox")
        if not _unfinished(name) or not _lies(_held(name), self._folders.inbox):
            raise asyncssh.SFTPPermissionDenied("what is put down whole is not taken back")
        os.unlink(_held(name), dir_fd=self._folders.inbox)

    def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        assert isinstance(file_obj, _Upload | _Download)
        return _attributes(os.fstat(file_obj.descriptor))

    def fsync(self, file_obj: object) -> None:
        assert isinstance(file_obj, _Upload | _Download)
        os.fsync(file_obj.descriptor)

    # Clients set times and rights after an upload and give up when they may not: it is heard, and means nothing here.
    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        self._file(path, "inbox", "times and rights are the server's")

    def lsetstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        self.setstat(path, attrs)

    def fsetstat(self, file_obj: object, attrs: asyncssh.SFTPAttrs) -> None:
        """Heard, like ``setstat``."""

    # --- what there is not

    def map_path(self, path: bytes) -> bytes:
        _never("there are no paths here")

    def reverse_map_path(self, path: bytes) -> bytes:
        _never("there are no paths here")

    def open56(self, path: bytes, desired_access: int, flags: int, attrs: asyncssh.SFTPAttrs) -> object:
        _never("SFTP version 3 is spoken here")

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        _never("there is inbox and outbox, without folders")

    def rmdir(self, path: bytes) -> None:
        _never("there is inbox and outbox, without folders")

    def readlink(self, path: bytes) -> bytes:
        _never("there are no links here")

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        _never("there are no links here")

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        _never("there are no links here")

    def lock(self, file_obj: object, offset: int, length: int, flags: int) -> None:
        _never("there are no locks here")

    def unlock(self, file_obj: object, offset: int, length: int) -> None:
        _never("there are no locks here")

    def statvfs(self, path: bytes) -> asyncssh.SFTPVFSAttrs:
        _never("how full the disk is concerns nobody else")

    def fstatvfs(self, file_obj: object) -> asyncssh.SFTPVFSAttrs:
        _never("how full the disk is concerns nobody else")


def _never(why: str) -> NoReturn:
    raise asyncssh.SFTPPermissionDenied(why)


def _unfinished(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in UNFINISHED)


def _held(name: str) -> str:
    return _HELD + name


def _lies(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _attributes(status: os.stat_result) -> asyncssh.SFTPAttrs:
    return asyncssh.SFTPAttrs(
        size=status.st_size, permissions=stat.S_IFREG | 0o600, atime=int(status.st_mtime), mtime=int(status.st_mtime),
        uid=0, gid=0,
    )  # fmt: skip


def _folder_attributes() -> asyncssh.SFTPAttrs:
    return asyncssh.SFTPAttrs(size=0, permissions=stat.S_IFDIR | 0o700, atime=0, mtime=0, uid=0, gid=0)
