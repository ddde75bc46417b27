"""Sessions at the embedded issuer: a browser that has signed in there. They end by being idle, by age, or by a word."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.identity.digests import digest
from hilum.security.identity.revocations import revoke


@dataclass(frozen=True)
class Session:
    """Who is signed in; ``id`` is what tokens call ``sid``."""

    id: str
    account: str
    began_at: datetime


@dataclass(frozen=True)
class Lifetimes:
    """How long a session lasts at most, and how long without being used."""

    absolute: timedelta
    idle: timedelta


async def begin(
    connection: asyncpg.Connection, account: str, *, sid: str, cookie: str, now: datetime, lifetimes: Lifetimes
) -> Session:
    """A new session with a new cookie: one that somebody planted in the browser before opens nothing."""
    await connection.execute(
        """INSERT INTO hilum.issuer_session (id, cookie, account, created_at, last_seen_at, expires_at)
           VALUES ($1, $2, $3, $4, $4, $5)""",
        sid, digest(cookie), account, now, now + lifetimes.absolute,
    )  # fmt: skip
    await append(connection, [Entry(now, f"person:{account}", "session.began", f"session/{sid}")])
    return Session(sid, account, now)


async def by_cookie(
    connection: asyncpg.Connection, cookie: str, *, now: datetime, lifetimes: Lifetimes
) -> Session | None:
    """The live session of a cookie, which counts as used; None when there is none any more."""
    row = await connection.fetchrow(
        """UPDATE hilum.issuer_session s SET last_seen_at = $2 FROM hilum.account a
            WHERE s.cookie = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND s.last_seen_at > $3
              AND a.id = s.account AND a.state = 'active'
           RETURNING s.id, s.account, s.created_at""",
        digest(cookie), now, now - lifetimes.idle,
    )  # fmt: skip
    return None if row is None else Session(row["id"], row["account"], row["created_at"])


async def is_known_browser(connection: asyncpg.Connection, cookie: str, account: str) -> bool:
    """Whether this person has signed in with this browser before, in a session that may long be over."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM hilum.issuer_session WHERE cookie = $1 AND account = $2)",
            digest(cookie),
            account,
        )
    )


async def is_live(connection: asyncpg.Connection, sid: str, *, now: datetime) -> bool:
    """Whether a session still stands: neither ended nor past its time, its account active."""
    return bool(
        await connection.fetchval(
            """SELECT EXISTS (SELECT FROM hilum.issuer_session s JOIN hilum.account a ON a.id = s.account
                WHERE s.id = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND a.state = 'active')""",
            sid, now,
        )
    )  # fmt: skip


async def end(connection: asyncpg.Connection, sid: str, *, now: datetime, by: str) -> bool:
    """Sign out everywhere: the browser, the page, tokens and what would renew them. False when it was over already."""
    account = await connection.fetchval(
        "UPDATE hilum.issuer_session SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL RETURNING account", sid, now
    )
    await connection.execute(
        "UPDATE hilum.refresh_token SET revoked_at = $2 WHERE session = $1 AND revoked_at IS NULL", sid, now
    )
    await connection.execute("DELETE FROM hilum.authorization_code WHERE session = $1", sid)
    await connection.execute("DELETE FROM hilum.page_session WHERE sid = $1", sid)
    if account is None:
        return False
    await revoke(connection, f"session:{sid}", now=now, by=by, reason="signed out")
    await append(connection, [Entry(now, by, "session.ended", f"session/{sid}", {"account": account})])
    return True


async def end_all_of(connection: asyncpg.Connection, account: str, *, now: datetime, by: str, reason: str) -> None:
    """Every session of an account, with the tokens given in it; whoever calls says so in the audit log.

    Tokens are called back by their session: what the person is called (``security.identity.callers``) is the estate's to
    say, and the account's bare name may be somebody else's, of the provider where the page signs in.
    """
    await connection.execute(
        """UPDATE hilum.refresh_token SET revoked_at = $2 WHERE revoked_at IS NULL
            AND session IN (SELECT id FROM hilum.issuer_session WHERE account = $1)""",
        account, now,
    )  # fmt: skip
    await connection.execute(
        """DELETE FROM hilum.authorization_code WHERE session IN
           (SELECT id FROM hilum.issuer_session WHERE account = $1)""",
        account,
    )
    await connection.execute(
        "DELETE FROM hilum.page_session WHERE sid IN (SELECT id FROM hilum.issuer_session WHERE account = $1)", account
    )
    ended = await connection.fetch(
        "UPDATE hilum.issuer_session SET ended_at = $2 WHERE account = $1 AND ended_at IS NULL RETURNING id",
        account,
        now,
    )
    for row in ended:
        await revoke(connection, f"session:{row['id']}", now=now, by=by, reason=reason)
