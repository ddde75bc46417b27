"""Cursors as callers see them: sealed, and good for one caller, one operation and one query only.

What the handler calls its cursor may name a record; to the outside it is noise. AES-GCM (NIST SP 800-38D) both hides it
and binds it: a cursor that was changed, borrowed from somebody else or used with another query does not open.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hilum.gateway.problems import Refusal

_NONCE_BYTES = 12


class Cursors:
    """``key`` has 32 bytes and is the same in every process of the door; ``token`` gives so many random bytes."""

    def __init__(self, key: bytes, token: Callable[[int], bytes]) -> None:
        self._cipher = AESGCM(key)
        self._token = token

    def sealed(self, cursor: str, bound_to: bytes) -> str:
        nonce = self._token(_NONCE_BYTES)
        return urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, cursor.encode(), bound_to)).decode().rstrip("=")

    def opened(self, cursor: str, bound_to: bytes) -> str:
        """``Refusal`` 400 for every cursor that this door did not give for just this."""
        try:
            data = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
            return self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], bound_to).decode()
        except (ValueError, InvalidTag):
            raise Refusal("bad-cursor") from None


def binding(operation: str, version: int, caller: str, query: Mapping[str, Any]) -> bytes:
    """What a cursor is bound to. The page's size may change on the way; what is looked for may not."""
    asked = {name: value for name, value in query.items() if name not in ("cursor", "limit")}
    return orjson.dumps([operation, version, caller, asked], option=orjson.OPT_SORT_KEYS)
