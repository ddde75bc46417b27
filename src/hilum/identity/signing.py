"""The embedded issuer's signing keys: ES256, one signs at a time, and each verifies until its last token has died.

Public halves are rows, so that every process verifies with them. Private halves are files of the data directory with mode
0600 and are never in the database. The next key is published before it signs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import ECKey

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.estate_identity import IdentitySpec
from hilum.security.identity.keys import PublicKeys, VerificationKey

ALGORITHM = "ES256"
FOLDER = "identity"
"""Where private halves are, in the data directory."""
PUBLISHED_AHEAD = timedelta(hours=1)
_LOCK = 0x49_44_4B_59  # "IDKY": processes that maintain keys do it one after the other.
_FRESH_SECONDS = 2.0
_UNKNOWN_SECONDS = 0.25
"""A token by a key that is not known may be the first of a new one: the keys are read again, and no more often than this."""


@dataclass(frozen=True)
class SigningKey:
    """The key that signs now."""

    kid: str
    key: ECKey
    until: datetime


class SigningKeys:
    """Signs tokens, and finds the keys that verify them (a ``KeySource``).

    ``folder`` holds the private halves; None for a process that only verifies. ``longest_token`` is how long what was
    signed last may live.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        folder: Path | None,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        key_lives: timedelta,
        longest_token: timedelta,
    ) -> None:
        self._pool = pool
        self._folder = folder
        self._clock = clock
        self._monotonic = monotonic
        self._key_lives = key_lives
        self._longest_token = longest_token
        self._public = PublicKeys({})
        self._documents: list[dict[str, Any]] = []
        self._signing: SigningKey | None = None
        self._read_at: float | None = None

    @classmethod
    def of(
        cls, spec: IdentitySpec, pool: asyncpg.Pool, data: Path | None, *, clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> SigningKeys:  # fmt: skip
        """The embedded issuer's keys as the estate wants them; without a data directory only their public halves."""
        return cls(
            pool, data / FOLDER if data is not None else None, clock=clock, monotonic=monotonic,
            key_lives=timedelta(days=spec.key_days),
            longest_token=timedelta(minutes=spec.access_token_minutes, hours=1),
        )  # fmt: skip

    async def maintain(self) -> None:
        """Make what is missing: a key that signs now, and one to follow. Files of keys that sign no more are deleted."""
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            rows = await connection.fetch(
                "SELECT kid, signs_from, signs_until FROM hilum.signing_key WHERE signs_until > $1 ORDER BY signs_until",
                now,
            )
            ours = [row for row in rows if self._is_ours(row["kid"])]
            if not any(row["signs_from"] <= now for row in ours):
                await self._make(connection, now, now)
            elif ours[-1]["signs_until"] - now < PUBLISHED_AHEAD:
                await self._make(connection, ours[-1]["signs_until"], now)
            await connection.execute("DELETE FROM hilum.signing_key WHERE verifies_until < $1", now)
            await self._delete_retired(connection, now)
        await self._read()

    async def rotate(self, *, by: str, distrust: bool = False) -> str:
        """Sign with a new key from now on; ``distrust`` refuses what the old ones signed at once. The new key's id."""
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(
                """UPDATE hilum.signing_key SET signs_from = least(signs_from, $1), signs_until = $1, verifies_until = $2
                    WHERE signs_until > $1 OR ($3 AND verifies_until > $1)""",
                now, now if distrust else now + self._longest_token, distrust,
            )  # fmt: skip
            kid = await self._make(connection, now, now, by=by, distrusts=distrust)
            await self._delete_retired(connection, now)
        await self._read()
        return kid

    async def sign(self, claims: dict[str, Any], *, kind: str) -> str:
        """A compact JWS of type ``kind``."""
        key = await self._current()
        return jwt.encode({"alg": ALGORITHM, "kid": key.kid, "typ": kind}, claims, key.key, [ALGORITHM])

    async def published(self) -> dict[str, Any]:
        """The JWK Set (RFC 7517 section 5)."""
        await self._read_when_old()
        return {"keys": self._documents}

    async def find(self, kid: str | None, algorithm: str) -> VerificationKey | None:
        await self._read_when_old()
        found = self._public.at_hand(kid, algorithm)
        if found is None:
            await self._read_when_old(_UNKNOWN_SECONDS)
            found = self._public.at_hand(kid, algorithm)
        return found

    async def _current(self) -> SigningKey:
        await self._read_when_old()
        if self._signing is None or self._signing.until <= self._clock():
            await self.maintain()
        if self._signing is None:
            raise RuntimeError("there is no key to sign with, although one was just made")
        return self._signing

    async def _read_when_old(self, seconds: float = _FRESH_SECONDS) -> None:
        if self._read_at is None or self._monotonic() - self._read_at > seconds:
            await self._read()

    async def _read(self) -> None:
        now = self._clock()
        rows = await self._pool.fetch(
            "SELECT kid, public_jwk, signs_from, signs_until FROM hilum.signing_key WHERE verifies_until > $1 ORDER BY signs_from",
            now,
        )
        documents = [orjson.loads(row["public_jwk"]) for row in rows]
        if documents != self._documents:
            # A token that is known is verified again when its key is another object, so only keys that changed are made anew.
            self._documents = documents
            self._public = PublicKeys({"keys": documents})
        signing = [row for row in rows if row["signs_from"] <= now < row["signs_until"] and self._is_ours(row["kid"])]
        newest = signing[-1] if signing else None
        if newest is None:
            self._signing = None
        elif self._signing is None or self._signing.kid != newest["kid"]:
            assert self._folder is not None
            key = ECKey.import_key((self._folder / f"{newest['kid']}.pem").read_bytes())
            self._signing = SigningKey(newest["kid"], key, newest["signs_until"])
        self._read_at = self._monotonic()

    async def _make(
        self, connection: asyncpg.Connection, signs_from: datetime, now: datetime, *, by: str = "system:issuer",
        distrusts: bool = False,
    ) -> str:  # fmt: skip
        private = generate_private_key(SECP256R1())
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        key = ECKey.import_key(pem)
        kid = key.thumbprint()  # RFC 7638: the same key has the same name everywhere.
        document = {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": ALGORITHM}
        until = signs_from + self._key_lives
        self._write(kid, pem)
        await connection.execute(
            """INSERT INTO hilum.signing_key (kid, public_jwk, signs_from, signs_until, verifies_until)
               VALUES ($1, $2, $3, $4, $5)""",
            kid, orjson.dumps(document).decode(), signs_from, until, until + self._longest_token,
        )  # fmt: skip
        await append(connection, [Entry(now, by, "key.made", f"key/{kid}", {"distrusts_others": distrusts})])
        return kid

    def _is_ours(self, kid: str) -> bool:
        return self._folder is not None and (self._folder / f"{kid}.pem").exists()

    def _write(self, kid: str, pem: bytes) -> None:
        assert self._folder is not None, "a process that only verifies makes no keys"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(self._folder / f"{kid}.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            if os.geteuid() == 0:
                # Whoever rotates as root must not lock out the issuer, which reads the file as the folder's owner.
                owner = self._folder.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            os.fsync(file.fileno())

    async def _delete_retired(self, connection: asyncpg.Connection, now: datetime) -> None:
        """Private halves that will sign nothing any more, while nobody else makes one: a thief finds as little as possible."""
        assert self._folder is not None, "a process that only verifies has no private halves"
        rows = await connection.fetch("SELECT kid FROM hilum.signing_key WHERE signs_until > $1", now)
        kept = {row["kid"] for row in rows}
        for file in self._folder.glob("*.pem"):
            if file.stem not in kept:
                file.unlink(missing_ok=True)
