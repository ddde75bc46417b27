"""Comparing secrets, and base64url: the two things every protocol here does."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode


def base64url(data: bytes) -> str:
    """Without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def is_same(given: str | None, expected: str) -> bool:
    """Compared in constant time; nothing is never the same."""
    return given is not None and hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass")
    )
