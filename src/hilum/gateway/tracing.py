"""Traces across programs: W3C Trace Context in (``traceparent``) and out (``traceresponse``)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

# A later version may append more; what this version knows stands first (W3C Trace Context section 3.2.2).
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace that a request belongs to, and this door's own part (span) of it."""

    trace_id: str
    span_id: str
    flags: str

    @property
    def response(self) -> bytes:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}".encode()


def trace_of(traceparent: bytes | None, token: Callable[[int], bytes]) -> Trace:
    """The caller's trace, or a new one when it sent none that can be read. ``token`` gives so many random bytes."""
    span = token(8).hex()
    if traceparent is not None and len(traceparent) <= _LONGEST:
        found = _TRACEPARENT.fullmatch(traceparent)
        if found is not None and found[1].strip(b"0") and found[2].strip(b"0"):
            return Trace(found[1].decode(), span, found[3].decode())
    return Trace(token(16).hex(), span, "00")
