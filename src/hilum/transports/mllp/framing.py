"""MLLP Release 1: a message stands between <VT> and <FS><CR>."""

from __future__ import annotations

START = b"\x0b"
END = b"\x1c\r"
START_BYTE = START[0]


def frame(message: bytes) -> bytes:
    """The message in its frame."""
    return b"\x0b%b\x1c\r" % message
