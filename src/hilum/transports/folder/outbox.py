"""A folder from which a system takes its files: each appears whole, in one step, and once."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal


class FolderOutbox:
    """Puts files into ``folder``, which is made when it is missing. Hidden names (``.NAME.part``) are on their way.

    A folder that is made is the platform's user's alone; make it beforehand, with a group, for another program that collects.
    A link in its place is not followed.
    """

    way: Literal["folder"] = "folder"

    def __init__(self, folder: Path, *, mode: int = 0o640) -> None:
        self._folder = folder
        self._mode = mode

    async def put(self, name: str, data: bytes) -> None:
        """Bytes under a hidden name, safely on disk. OSError when they cannot be."""
        await asyncio.to_thread(self._put, name, data)

    async def show(self, name: str) -> None:
        """From the hidden name to its own; nothing when that has happened before."""
        await asyncio.to_thread(self._show, name)

    def _put(self, name: str, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._opened() as folder:
            descriptor = os.open(
                _hidden(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, self._mode,
                dir_fd=folder,
            )  # fmt: skip
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.fsync(folder)

    def _show(self, name: str) -> None:
        with self._opened() as folder, contextlib.suppress(FileNotFoundError):
            os.rename(_hidden(name), name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _hidden(name: str) -> str:
    return f".{name}.part"
