"""A sealed value: AES-256-GCM (NIST SP 800-38D) over the plain bytes, bound to the place where it stands.

::

    3 bytes   magic, 93 48 53
    1 byte    version, 01
    8 bytes   data key id, unsigned, big-endian
    12 bytes  nonce, random (SP 800-38D section 8.2.2)
    n bytes   ciphertext
    16 bytes  tag

The additional data is the data class and the place (``message.raw/1/7``): a value that is copied to another row, column
or key does not open there. As text it is ``sealed:`` and the same bytes in base64url.
"""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode

MAGIC = b"\x93HS\x01"
TEXT_MAGIC = "sealed:"
NONCE_BYTES = 12
TAG_BYTES = 16
_HEADER = struct.Struct(">4sQ")
_NONCE_AT = _HEADER.size
BODY_AT = _NONCE_AT + NONCE_BYTES
OVERHEAD_BYTES = BODY_AT + TAG_BYTES
"""How much longer a sealed value is than its plain bytes."""

PLAIN_LENGTH = (
    "length({0}) - CASE WHEN substring({0} FROM 1 FOR 4) = '\\x93485301'::bytea THEN "
    + str(OVERHEAD_BYTES)
    + " ELSE 0 END"
)
"""SQL for the length of a column's plain bytes, sealed or not: ``PLAIN_LENGTH.format("t.raw")``."""


class CannotOpen(RuntimeError):
    """A sealed value that does not open here and now. Not a ValueError: no reader may take it for bad data."""


class NotOurs(CannotOpen):
    """The bytes are no sealed value, were changed, stand in another place than they were sealed for, or have a foreign key."""


class Shredded(CannotOpen):
    """The key was destroyed on purpose; nobody can read this any more. ``certificate`` says by which decision."""

    def __init__(self, certificate: str) -> None:
        super().__init__(f"shredded under certificate {certificate}")
        self.certificate = certificate


class KeyNotAtHand(CannotOpen):
    """The key exists, or may, but is not loaded in this process: ``await load()`` or ``await ready()`` comes first."""


def is_sealed(value: bytes | str) -> bool:
    """Whether a stored value is sealed; what an earlier release stored is not."""
    return value.startswith(TEXT_MAGIC) if isinstance(value, str) else value[:4] == MAGIC


def header(key_id: int) -> bytes:
    return _HEADER.pack(MAGIC, key_id)


def key_id_of(value: bytes) -> int:
    """The data key that sealed ``value``; NotOurs when it is no sealed value."""
    if len(value) < OVERHEAD_BYTES or value[:4] != MAGIC:
        raise NotOurs("this is not a sealed value of Hilum, or it was cut short")
    key_id: int = _HEADER.unpack_from(value)[1]
    return key_id


def nonce_of(value: bytes) -> bytes:
    return value[_NONCE_AT:BODY_AT]


def binding(data_class: str, place: str) -> bytes:
    """The additional data of a value: what it is and where it stands."""
    return f"{data_class}\x1f{place}".encode()


def to_text(value: bytes) -> str:
    return TEXT_MAGIC + urlsafe_b64encode(value).decode()


def from_text(value: str) -> bytes:
    """The sealed bytes of a text; NotOurs when it is none."""
    if not value.startswith(TEXT_MAGIC):
        raise NotOurs("this is not a sealed text of Hilum")
    try:
        return urlsafe_b64decode(value[len(TEXT_MAGIC) :])
    except ValueError as error:
        raise NotOurs("this sealed text was damaged") from error
