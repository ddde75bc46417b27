"""Authorization codes and refresh tokens (RFC 6749, RFC 7636, RFC 9700): good once, and presented twice, good for nothing.

A code or refresh token that comes a second time was stolen from one of the two who presented it. Which one cannot be
known, so all that grew from it ends: the refresh tokens of its family and, by the session, the access tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.identity.digests import base64url, digest, is_same
from hilum.identity.sessions import end

CODE_LIVES = timedelta(seconds=60)


class GrantRefused(Exception):
    """``invalid_grant``; the text is for the log and the audit, the client learns nothing more."""


@dataclass(frozen=True)
class Grant:
    """What a code or a refresh token stands for."""

    client: str
    session: str
    account: str
    began_at: datetime
    scope: str
    audience: tuple[str, ...]
    nonce: str | None
    family: bytes


async def new_code(
    connection: asyncpg.Connection,
    code: str,
    *,
    client: str,
    session: str,
    redirect_uri: str,
    challenge: str,
    nonce: str | None,
    scope: str,
    audience: tuple[str, ...],
    now: datetime,
) -> None:
    """Keep a code; what it was given for has to be said again to redeem it."""
    await connection.execute(
        """INSERT INTO hilum.authorization_code
           (code, client, session, redirect_uri, challenge, nonce, scope, audience, issued_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)""",
        digest(code), client, session, redirect_uri, challenge, nonce, scope, list(audience), now, now + CODE_LIVES,
    )  # fmt: skip


async def redeem(
    connection: asyncpg.Connection, code: str, *, client: str, redirect_uri: str, verifier: str, now: datetime
) -> Grant:
    """Use a code up, also by a wrong attempt: whoever holds it does not get to try again.

    In the caller's transaction, which commits even when this raises ``GrantRefused``.
    """
    row = await connection.fetchrow(
        """SELECT c.*, s.account, s.created_at AS began_at, s.ended_at FROM hilum.authorization_code c
             JOIN hilum.issuer_session s ON s.id = c.session WHERE c.code = $1 FOR UPDATE OF c""",
        digest(code),
    )
    if row is None:
        raise GrantRefused("the code is not known")
    if row["used_at"] is not None:
        await _stolen(connection, row["session"], "grant.code_replayed", row["client"], now)
        raise GrantRefused("the code was used before")
    await connection.execute("UPDATE hilum.authorization_code SET used_at = $2 WHERE code = $1", row["code"], now)
    challenge = base64url(sha256(verifier.encode("utf-8", "surrogatepass")).digest())
    if row["expires_at"] <= now or row["ended_at"] is not None:
        raise GrantRefused("the code has expired")
    if not is_same(client, row["client"]) or not is_same(redirect_uri, row["redirect_uri"]):
        raise GrantRefused("the code was given to another client")
    if not is_same(challenge, row["challenge"]):
        raise GrantRefused("the verifier does not fit the challenge")
    return _grant(row, row["code"])


async def new_refresh(
    connection: asyncpg.Connection, token: str, grant: Grant, *, now: datetime, expires_at: datetime
) -> None:
    """The next refresh token of a family; it ends with the session."""
    await connection.execute(
        """INSERT INTO hilum.refresh_token (token, family, client, session, scope, audience, issued_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
        digest(token), grant.family, grant.client, grant.session, grant.scope, list(grant.audience), now, expires_at,
    )  # fmt: skip


async def rotate(connection: asyncpg.Connection, token: str, *, client: str, now: datetime) -> Grant:
    """Use a refresh token up; the caller gives the next. Commits even when it raises, as ``redeem`` does."""
    row = await connection.fetchrow(
        """SELECT t.*, s.account, s.created_at AS began_at, s.ended_at, a.state, NULL AS nonce FROM hilum.refresh_token t
             JOIN hilum.issuer_session s ON s.id = t.session JOIN hilum.account a ON a.id = s.account
            WHERE t.token = $1 FOR UPDATE OF t""",
        digest(token),
    )
    if row is None or not is_same(client, row["client"]):
        raise GrantRefused("the refresh token is not known")
    if row["used_at"] is not None:
        await _stolen(connection, row["session"], "grant.refresh_replayed", row["client"], now)
        raise GrantRefused("the refresh token was used before")
    if (
        row["revoked_at"] is not None
        or row["ended_at"] is not None
        or row["expires_at"] <= now
        or row["state"] != "active"
    ):
        raise GrantRefused("the refresh token has expired")
    await connection.execute("UPDATE hilum.refresh_token SET used_at = $2 WHERE token = $1", row["token"], now)
    return _grant(row, row["family"])


async def revoke_refresh(connection: asyncpg.Connection, token: str, *, client: str, now: datetime) -> None:
    """RFC 7009: the token's whole session ends; a token that is not known, or another client's, changes nothing."""
    session = await connection.fetchval(
        "SELECT session FROM hilum.refresh_token WHERE token = $1 AND client = $2", digest(token), client
    )
    if session is not None:
        account = await connection.fetchval("SELECT account FROM hilum.issuer_session WHERE id = $1", session)
        await end(connection, session, now=now, by=f"person:{account}")


async def forget_old(connection: asyncpg.Connection, *, now: datetime) -> None:
    """Whatever can neither be used nor recognised as stolen any more."""
    await connection.execute("DELETE FROM hilum.authorization_code WHERE expires_at < $1", now - timedelta(days=1))
    await connection.execute("DELETE FROM hilum.refresh_token WHERE expires_at < $1", now - timedelta(days=1))
    await connection.execute("DELETE FROM hilum.issuer_session WHERE expires_at < $1", now - timedelta(days=90))
    await connection.execute("DELETE FROM hilum.assertion_seen WHERE expires_at < $1", now - timedelta(hours=1))
    await connection.execute("DELETE FROM hilum.identity_revocation WHERE expires_at < $1", now)
    await connection.execute("DELETE FROM hilum.one_time_link WHERE expires_at < $1", now - timedelta(days=1))
    await connection.execute("DELETE FROM hilum.page_sign_in WHERE expires_at < $1", now)
    await connection.execute("DELETE FROM hilum.page_session WHERE expires_at < $1", now)


async def _stolen(connection: asyncpg.Connection, session: str, action: str, client: str, now: datetime) -> None:
    await end(connection, session, now=now, by="system:issuer")
    await append(connection, [Entry(now, "system:issuer", action, f"session/{session}", {"client": client})])


def _grant(row: asyncpg.Record, family: bytes) -> Grant:
    return Grant(
        row["client"], row["session"], row["account"], row["began_at"], row["scope"], tuple(row["audience"]), row["nonce"], family
    )  # fmt: skip
