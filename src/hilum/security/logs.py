"""Logging without payloads: one line for each record, resolved secrets masked, errors without their values.

What this promises: a resolved secret never appears, and an exception is logged by its class and the lines it came
through, not by its text, unless its class is one whose texts carry no data. What it cannot promise is to recognise
protected health information that somebody writes into a message: there is no pattern for a name. So nothing in
Hilum logs a payload, and the tests look for the simulated patients in everything that was logged.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import IO, Any

from hilum.authoring.failures import Unavailable

MASK = "***"
_SHORTEST_SECRET = 4
"""A shorter value would be found inside ordinary words, and masking those would hide the log, not the secret."""

_secrets: frozenset[str] = frozenset()
_lock = threading.Lock()

_Failure = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def keep_out_of_logs(value: str) -> None:
    """Mask ``value`` wherever it would appear in a log record of this process."""
    global _secrets
    if len(value) >= _SHORTEST_SECRET:
        with _lock:
            _secrets = _secrets | {value}


class PhiFilter(logging.Filter):
    """Masks resolved secrets and takes the texts of exceptions out of records before any handler sees them."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            message += "\n" + describe(record.exc_info)
        for secret in sorted(_secrets, key=len, reverse=True):
            message = message.replace(secret, MASK)
        record.msg, record.args, record.exc_info, record.exc_text = message, (), None, None
        return True


def describe(failure: _Failure) -> str:
    """An exception and its causes: classes and lines of code. Its text only where the class keeps data out of it."""
    error = failure[1]
    lines: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        text = f": {error}" if isinstance(error, Unavailable | OSError) else ""
        lines.append(f"{type(error).__module__}.{type(error).__qualname__}{text}")
        frames = traceback.extract_tb(error.__traceback__)
        lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        error = error.__cause__ if error.__cause__ is not None or error.__suppress_context__ else error.__context__
    return "\n".join(lines)


# They log an address for each request, and addresses hold what was asked for; or every start and stop.
_CHATTY = ("httpx", "httpx2", "httpcore", "httpcore2", "uvicorn", "uvicorn.error", "uvicorn.access")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": _instant(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(line, ensure_ascii=False)


class _PlainLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{_instant(record)} {record.levelname.lower():8} {record.name}: {record.getMessage()}"


def install_logging(
    level: int | str = logging.INFO, *, json_lines: bool = False, stream: IO[str] | None = None
) -> None:
    """Send the records of every logger of the process to ``stream`` (standard error), and nowhere else."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(_JsonLines() if json_lines else _PlainLines())
    handler.addFilter(PhiFilter())  # On the handler: a logger's filter would not see what its children log.
    root = logging.getLogger()
    for earlier in list(root.handlers):
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(level)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def _instant(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
