"""Standard Webhooks signatures, verified against the platform's own clock.

The specification (standard-webhooks 1.0, "Verifying signatures"): ``webhook-signature`` holds one or more
``v1,<base64 of HMAC-SHA256>`` separated by spaces, over ``id.timestamp.body``; the timestamp guards against replay.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from standardwebhooks import Webhook

_MOST_SIGNATURES = 10
"""A sender that changes its secret sends two; comparing thousands is work that an attacker would order."""

HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


class BadSignature(Exception):
    """The request is not shown to come from the holder of the secret; the text says which check failed."""


def verify(
    secret: str | Sequence[str], body: bytes, headers: Mapping[str, str], *, now: datetime, tolerance_seconds: float
) -> None:
    """Return when one of the signatures is good; raise ``BadSignature`` otherwise. Header names are lower case.

    ``secret`` may be several while the sender changes it: a signature by any of them is good.
    """
    secrets = [secret] if isinstance(secret, str) else list(secret)
    missing = [name for name in HEADERS if not headers.get(name)]
    if missing:
        raise BadSignature(f"the header {missing[0]} is missing")
    moment = _moment(headers["webhook-timestamp"])
    if abs(now - moment) > timedelta(seconds=tolerance_seconds):
        raise BadSignature(f"webhook-timestamp is more than {tolerance_seconds:g} s away from our clock")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadSignature("the body is not UTF-8, so nothing can have signed it as JSON") from None
    parts = headers["webhook-signature"].split(" ")
    if len(parts) > _MOST_SIGNATURES:
        raise BadSignature(f"webhook-signature holds more than {_MOST_SIGNATURES} signatures")
    expected = [_digest(Webhook(one).sign(headers["webhook-id"], moment, text)) for one in secrets]
    # Every candidate is compared, in constant time: a sender that rotates its secret signs with both.
    candidates = [_digest(part) for part in parts]
    good = [hmac.compare_digest(one, other) for one in expected for other in candidates if one and other is not None]
    if not any(good):
        raise BadSignature("webhook-signature does not match the body")


def _moment(text: str) -> datetime:
    if not (text.isascii() and text.isdigit() and len(text) <= 11):
        raise BadSignature("webhook-timestamp is not a number of seconds since 1970")
    return datetime.fromtimestamp(int(text), UTC)


def _digest(signature: str) -> bytes | None:
    """The bytes of a ``v1`` signature; None for other versions and for what is not base64."""
    version, comma, encoded = signature.partition(",")
    if version != "v1" or not comma:
        return None
    try:
        return b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
