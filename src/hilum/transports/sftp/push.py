"""A folder on a partner's SFTP server into which we put files: each appears whole, in one step, and once."""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Literal

import asyncssh

from hilum.transports.sftp.connection import NotReached

_GONE = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)


class SftpOutbox:
    """Puts files into ``folder`` of a partner. Hidden names (``.NAME.part``) are on their way.

    NotReached when the server is away, cut us off, or will not have the file.
    """

    way: Literal["sftp"] = "sftp"

    def __init__(
        self,
        system: str,
        folder: str,
        *,
        connect: Callable[[], AbstractAsyncContextManager[asyncssh.SFTPClient]],
        timeout_seconds: float = 30.0,
    ) -> None:
        self._system = system
        self._folder = folder.encode()
        self._connect = connect
        self._timeout_seconds = timeout_seconds

    async def put(self, name: str, data: bytes) -> None:
        """Bytes under a hidden name, on the server's disk where it offers that."""
        async with self._connect() as session, asyncio.timeout(self._timeout_seconds):
            async with session.open(self._hidden(name), "wb") as remote:
                await remote.write(data)
                with contextlib.suppress(asyncssh.SFTPOpUnsupported):
                    await remote.fsync()
            there = await session.lstat(self._hidden(name))
            if there.size != len(data):
                raise NotReached(self._system, f"{there.size} of {len(data)} bytes arrived")

    async def show(self, name: str) -> None:
        """From the hidden name to its own; nothing when that has happened before."""
        async with self._connect() as session, asyncio.timeout(self._timeout_seconds):
            with contextlib.suppress(*_GONE):
                await session.rename(self._hidden(name), posixpath.join(self._folder, name.encode()))

    def _hidden(self, name: str) -> bytes:
        return posixpath.join(self._folder, f".{name}.part".encode())
