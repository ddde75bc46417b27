"""The one door to encryption at rest: seal, open, and tokens by which what is sealed is found again.

::

    await sealer.ready("answer", at)                      # asks the database at most once in a while
    row = sealer.seal(body, "answer", f"answer/{key}", at)
    ...
    await sealer.load(row)
    body = sealer.open(row, f"answer/{key}")              # Shredded, NotOurs, or the bytes

A place names table, column and row; it goes into what is authenticated, so that sealed values cannot be swapped.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import blake2b, sha256
from hmac import digest as hmac_digest

import asyncpg
from cryptography.exceptions import InvalidTag

from hilum.security.sealing.keyring import Keyring
from hilum.security.sealing.wrapping import KeyWrapper
from hilum.store.sealed import (
    BODY_AT,
    NONCE_BYTES,
    KeyNotAtHand,
    NotOurs,
    binding,
    from_text,
    header,
    is_sealed,
    key_id_of,
    nonce_of,
    to_text,
)

Sealing = Callable[[bytes, str], bytes]
TOKEN_BYTES = 16
TOKEN_MARK = "~"
"""How a token begins as text: it stands where a value of a person would."""


class Sealer:
    """Seals and opens with the keys of one database. Made by ``open_sealer``."""

    def __init__(self, keyring: Keyring, index_key: bytes) -> None:
        self.keyring = keyring
        self._search = _Hmac(_derived(index_key, "search"))
        self._order = _Hmac(_derived(index_key, "order"))
        self._fact = blake2b(key=_derived(index_key, "fact"), digest_size=TOKEN_BYTES)

    # --- values

    async def ready(self, data_class: str, at: datetime, values: int = 1) -> None:
        """Have a key with which ``values`` values of this class may be sealed; fast when there is one already."""
        await self.keyring.ready(data_class, at, values)

    def sealing(self, data_class: str, at: datetime) -> Sealing:
        """``seal`` for many values of one class and time, of which ``ready`` was told: ``(plain, place) -> sealed``."""
        key = self.keyring.current(data_class, at)
        beginning, encrypt = header(key.id), key.cipher.encrypt
        random, used = b"", 0

        def seal(plain: bytes, place: str) -> bytes:
            nonlocal random, used
            if key.left <= 0:
                raise KeyNotAtHand(f"more {data_class} values than ready() was asked for")
            key.left -= 1
            if used == len(random):
                # The first value asks for its own nonce; who seals more takes the next at once, each used once.
                random, used = os.urandom(NONCE_BYTES * (64 if random else 1)), 0
            nonce = random[used : used + NONCE_BYTES]
            used += NONCE_BYTES
            return beginning + nonce + encrypt(nonce, plain, binding(data_class, place))

        return seal

    def seal(self, plain: bytes, data_class: str, place: str, at: datetime) -> bytes:
        """Seal for one place. KeyNotAtHand when ``ready`` did not come first."""
        return self.sealing(data_class, at)(plain, place)

    async def load(self, *values: bytes | str | None) -> None:
        """Have the keys of these stored values at hand; what is missing or not sealed needs none."""
        ids = {key_id_of(_bytes(value)) for value in values if value is not None and is_sealed(value)}
        if ids:
            await self.keyring.load(ids)

    def open(self, value: bytes, place: str) -> bytes:
        """The plain bytes. Shredded when their key was destroyed, NotOurs when they were changed or stand elsewhere,
        KeyNotAtHand when ``load`` did not come first."""
        number = key_id_of(value)
        cipher = self.keyring.cipher(number)
        row = self.keyring.row(number)
        if row is None:
            raise KeyNotAtHand(f"the data key {number} is not loaded")
        try:
            return cipher.decrypt(nonce_of(value), value[BODY_AT:], binding(row.data_class, place))
        except InvalidTag:
            raise NotOurs(f"{place}: the sealed value was changed, or was sealed for another place") from None

    def read(self, value: bytes, place: str) -> bytes:
        """``open`` for a column that may hold what an earlier release stored, or what needed no sealing, as it is."""
        return self.open(value, place) if is_sealed(value) else value

    async def sealed(self, plain: bytes, data_class: str, place: str, at: datetime) -> bytes:
        await self.ready(data_class, at)
        return self.seal(plain, data_class, place, at)

    async def opened(self, value: bytes, place: str) -> bytes:
        await self.load(value)
        return self.read(value, place)

    def seal_text(self, plain: str, data_class: str, place: str, at: datetime) -> str:
        """For text columns: ``sealed:`` and base64url."""
        return to_text(self.seal(plain.encode(), data_class, place, at))

    def read_text(self, value: str, place: str) -> str:
        return self.open(from_text(value), place).decode() if is_sealed(value) else value

    # --- tokens

    def token(self, kind: str, value: str) -> bytes:
        """The blind index of a value people search by: HMAC-SHA-256 over kind and normalised value, the first 16 bytes."""
        return self._search.digest(f"{kind}\x1f{normalised(value)}".encode())[:TOKEN_BYTES]

    def search_token(self, kind: str, value: str) -> str:
        """``token`` as text, to stand in a key column."""
        return _text(self.token(kind, value))

    def order_token(self, value: str) -> str:
        """What stands for a protected value in ordering keys, case ids and delivery keys: exact, nothing normalised."""
        return _text(self._order.digest(value.encode())[:TOKEN_BYTES])

    def fact(self, digest: bytes) -> bytes:
        """The keyed form of a 128-bit digest of an identity: 01 and 16 bytes. Without the key nobody can try numbers."""
        keyed = self._fact.copy()
        keyed.update(digest)
        return b"\x01" + keyed.digest()


async def open_sealer(pool: asyncpg.Pool, wrapper: KeyWrapper, clock: Callable[[], datetime]) -> Sealer:
    """The sealer of the database behind ``pool``; makes the index key at the very first start.

    KeysLost when the wrapper cannot unwrap what the database has: nothing is made anew then.
    """
    keyring = Keyring(pool, wrapper, clock)
    living = [row for row in await keyring.rows() if row.wrapped is not None]
    index = [row for row in living if row.data_class == "index"]
    if not index:
        await keyring.ready("index", clock().astimezone(UTC), 1)
        index = [row for row in await keyring.rows() if row.data_class == "index" and row.wrapped is not None]
    return Sealer(keyring, await keyring.material(index[0]))


def normalised(value: str) -> str:
    """As values are compared when people search: compatibility forms (NFKC), no space around, upper case."""
    if not value.isascii():  # ASCII is its own compatibility form.
        value = unicodedata.normalize("NFKC", value)
    return value.strip().upper()


class _Hmac:
    """HMAC-SHA-256 (RFC 2104) whose key was hashed once: what intake does for every search key costs a quarter so."""

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(64, b"\0")
        self._inner = sha256(bytes(octet ^ 0x36 for octet in padded))
        self._outer = sha256(bytes(octet ^ 0x5C for octet in padded))

    def digest(self, message: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


def _derived(index_key: bytes, purpose: str) -> bytes:
    return hmac_digest(index_key, f"hilum index/{purpose}".encode(), sha256)


def _text(token: bytes) -> str:
    return TOKEN_MARK + token.hex()


def _bytes(value: bytes | str) -> bytes:
    return from_text(value) if isinstance(value, str) else value
