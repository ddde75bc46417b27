"""What opens a door is kept as its digest only: whoever reads the database can open none."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256


def digest(secret: str) -> bytes:
    """SHA-256 of a secret with 128 bits of randomness or more; a password is no such secret."""
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


def derived(secret: str, purpose: str) -> str:
    """Another secret, from which the first cannot be found: a form's token from a session's cookie."""
    return base64url(hmac.new(secret.encode("utf-8", "surrogatepass"), purpose.encode(), sha256).digest())


def base64url(data: bytes) -> str:
    """Without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def is_same(given: str | None, expected: str) -> bool:
    """Compared in constant time; nothing is never the same."""
    return given is not None and hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass")
    )
