"""What opens a door is kept as its digest only: whoever reads the database can open none."""

from __future__ import annotations

import hmac
from hashlib import sha256

from hilum.security.identity.compare import base64url, is_same

__all__ = ["base64url", "derived", "digest", "is_same"]


def digest(secret: str) -> bytes:
    """SHA-256 of a secret with 128 bits of randomness or more; a password is no such secret."""
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


def derived(secret: str, purpose: str) -> str:
    """Another secret, from which the first cannot be found: a form's token from a session's cookie."""
    return base64url(hmac.new(secret.encode("utf-8", "surrogatepass"), purpose.encode(), sha256).digest())
