"""Values as Tryton writes them in JSON: decimals and dates are objects tagged with ``__class__``.

Follows ``trytond.protocols.jsonrpc`` of series 8.2; the same encoding serves its REST and its JSON-RPC interface.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any


def dumps(value: Any) -> bytes:
    """Python to Tryton's JSON. Floats are written as they are: use them for quantities only, never for money."""
    return json.dumps(value, default=_tagged, ensure_ascii=False, separators=(",", ":")).encode()


def loads(text: bytes | str) -> Any:
    """Tryton's JSON to Python. ValueError when it is not JSON."""
    return json.loads(text, object_hook=_untagged)


def url_safe(value: Any) -> str:
    """JSON in URL-safe base64, for the domain (``d=``), the order (``o=``) and the context header of the REST API."""
    return urlsafe_b64encode(dumps(value)).decode()


def _tagged(value: object) -> dict[str, Any]:
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, datetime):
        return {
            "__class__": "datetime", "year": value.year, "month": value.month, "day": value.day, "hour": value.hour,
            "minute": value.minute, "second": value.second, "microsecond": value.microsecond,
        }  # fmt: skip
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    if isinstance(value, timedelta):
        return {"__class__": "timedelta", "seconds": value.total_seconds()}
    raise TypeError(f"Tryton has no JSON form for {type(value).__name__}")


def _untagged(found: dict[str, Any]) -> Any:
    match found.get("__class__"):
        case "Decimal":
            return Decimal(found["decimal"])
        case "date":
            return date(found["year"], found["month"], found["day"])
        case "datetime":
            parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
            return datetime(*(found[part] for part in parts))  # noqa: DTZ001 - Tryton's are naive, in UTC.
        case "timedelta":
            return timedelta(seconds=found["seconds"])
    return found
