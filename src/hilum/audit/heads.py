"""The published heads: an append-only file outside the database, so that a rewritten database is found out.

One JSON object a line, in the order of size, each line on disk before the next is written. The file is as good as
the place it is copied to: an auditor who keeps a copy holds evidence that no administrator of the platform can change.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from hilum.audit.signing import SignedHead, sync_directory

HEADS = "heads.jsonl"


class HeadsDamaged(Exception):
    """A line of a heads file that is no head; the text names the line."""


def head_line(head: SignedHead) -> bytes:
    return orjson.dumps(head.as_fields()) + b"\n"


class HeadsFile:
    """The heads file at a path; one process appends to it, any may read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def length(self) -> int:
        """Bytes now; reading up to here sees only what is published already. FileNotFoundError when there is none."""
        return self.path.stat().st_size

    def append(self, heads: Iterable[SignedHead]) -> None:
        """Write heads and wait until they are on disk."""
        self.append_lines(b"".join(head_line(head) for head in heads))

    def append_lines(self, lines: bytes) -> None:
        """Write whole lines, each a head with whatever else its reader understands, and wait until they are on disk."""
        existed = self.path.exists()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            if self._ends_torn(descriptor):
                # A line cut short by a crash is closed, not removed: what was written to this file stays.
                lines = b"\n" + lines
            view = memoryview(lines)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not existed:
            sync_directory(self.path.parent)

    @staticmethod
    def _ends_torn(descriptor: int) -> bool:
        size = os.fstat(descriptor).st_size
        return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"

    def last(self) -> SignedHead | None:
        """The newest head on file, None when there is none yet; HeadsDamaged when the last whole line is no head."""
        try:
            length = self.length()
        except FileNotFoundError:
            return None
        with self.path.open("rb") as file:
            file.seek(max(0, length - 8192))
            lines = file.read().split(b"\n")
        # After the last line feed stands nothing, or a torn line.
        for line in reversed(lines[:-1]):
            try:
                return _parse(line)
            except ValueError:
                if line and _could_be_torn(line):
                    continue
                raise HeadsDamaged(f"the last line of {self.path} is not a signed head") from None
        return None

    def read(self, length: int | None = None) -> Iterator[SignedHead]:
        """The heads in file order, up to ``length`` bytes; HeadsDamaged names the first line that is none."""
        for line in self.lines(length):
            yield _parse(line)

    def lines(self, length: int | None = None) -> Iterator[bytes]:
        """The lines of the heads in file order, each known to be one.

        A line that is the beginning of the line after it was cut short by a crash and written again: it is skipped.
        """
        remaining = self.length() if length is None else length
        torn: bytes | None = None
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                remaining -= len(line)
                if remaining < 0 or not line.endswith(b"\n"):
                    break
                line = line[:-1]
                if torn is not None and not line.startswith(torn):
                    raise HeadsDamaged(f"line {number - 1} of {self.path} is not a signed head")
                try:
                    _parse(line)
                except ValueError:
                    torn = line
                    continue
                torn = None
                yield line
            if torn is not None and not _could_be_torn(torn):
                raise HeadsDamaged(f"the last line of {self.path} is not a signed head")


def _parse(line: bytes) -> SignedHead:
    return SignedHead.from_fields(orjson.loads(line))


def _could_be_torn(line: bytes) -> bool:
    """Whether a crash can have left this: the beginning of a line, its end missing."""
    return b'{"size":'.startswith(line[:8]) and not line.endswith(b"}")
