"""Public keys that the owners of services register: a program begins, or changes its key, without a change of the estate.

Only a service that the estate declares with ``registered_key = true`` has such keys. Private halves are never here. Whoever
registers a key may hold its private half, so they count as acting whenever the program does (``behind``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

import asyncpg
import orjson
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.identity.key_documents import one_public_key
from hilum.security.identity.keys import PublicKeys, VerificationKey
from hilum.security.identity.revocations import LONGEST_TOKEN

FRESH_SECONDS = 2.0
"""A key that was ended elsewhere is believed here no longer than this."""


def new_pair() -> tuple[bytes, bytes]:
    """A private key for ES256 (PEM, PKCS #8), and its public half (PEM, RFC 5280 SubjectPublicKeyInfo)."""
    private = generate_private_key(SECP256R1())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), public


async def register(
    connection: asyncpg.Connection, service: str, key: bytes, *, name: str, now: datetime, by: str,
    behind: Collection[str] = (), keep_others: bool = False,
) -> str:  # fmt: skip
    """Believe the service by this public key (PEM, or a JWK) from now on; its ``kid``.

    The keys it had end, unless ``keep_others``. ``KeyUnreadable``, which names the file as ``name``, for what is no public
    key of a kind that signs. Inside the caller's transaction, as everything here.
    """
    document = one_public_key(key, name)
    kid: str = document["kid"]
    if not keep_others:
        await end(connection, service, now=now, by=by, but=kid)
    await connection.execute(
        """INSERT INTO hilum.service_key AS k (service, kid, public_jwk, registered_by, behind, registered_at)
           VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (service, kid) DO UPDATE SET ended_at = NULL, ended_by = NULL, public_jwk = excluded.public_jwk,
               registered_by = excluded.registered_by, registered_at = excluded.registered_at,
               behind = ARRAY(SELECT DISTINCT unnest(k.behind || excluded.behind))""",
        service, kid, orjson.dumps(document).decode(), by, sorted({by, *behind}), now,
    )  # fmt: skip
    detail = {"key": kid, "keeps_others": keep_others}
    await append(connection, [Entry(now, by, "service.key_registered", f"service/{service}", detail)])
    return kid


async def end(connection: asyncpg.Connection, service: str, *, now: datetime, by: str, but: str = "") -> list[str]:
    """Believe the service by none of its registered keys any more, or only by ``but``; the ids of those that ended."""
    rows = await connection.fetch(
        """UPDATE hilum.service_key SET ended_at = $2, ended_by = $3
            WHERE service = $1 AND ended_at IS NULL AND kid <> $4 RETURNING kid""",
        service, now, by, but,
    )  # fmt: skip
    ended = sorted(row["kid"] for row in rows)
    if ended:
        await append(connection, [Entry(now, by, "service.keys_ended", f"service/{service}", {"keys": ended})])
    return ended


async def behind(connection: asyncpg.Connection, services: Collection[str], *, now: datetime) -> frozenset[str]:
    """Everyone who registered a key by which one of these services can be acting now."""
    rows = await connection.fetch(
        "SELECT behind FROM hilum.service_key WHERE service = ANY($1) AND (ended_at IS NULL OR ended_at > $2)",
        sorted(services), now - LONGEST_TOKEN,
    )  # fmt: skip
    return frozenset(who for row in rows for who in row["behind"])


class RegisteredKeys:
    """The registered keys of one service, as every process finds them (a ``KeySource``)."""

    def __init__(self, pool: asyncpg.Pool, service: str, *, monotonic: Callable[[], float]) -> None:
        self._pool = pool
        self._service = service
        self._monotonic = monotonic
        self._keys = PublicKeys({})
        self._read_at: float | None = None

    async def find(self, kid: str | None, algorithm: str) -> VerificationKey | None:
        if self._read_at is None or self._monotonic() - self._read_at > FRESH_SECONDS:
            rows = await self._pool.fetch(
                """SELECT public_jwk FROM hilum.service_key WHERE service = $1 AND ended_at IS NULL
                    ORDER BY registered_at DESC""",
                self._service,
            )
            self._keys = PublicKeys({"keys": [orjson.loads(row["public_jwk"]) for row in rows]})
            self._read_at = self._monotonic()
        return self._keys.at_hand(kid, algorithm)
