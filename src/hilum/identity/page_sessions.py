"""Who is signed in at the page, and sign-ins that are under way. Cookies are kept as digests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.caller import PERSON, STATED_PURPOSES, Caller
from hilum.authoring.estate_identity import LOCAL
from hilum.identity.digests import digest
from hilum.identity.sessions import Lifetimes, end

SIGN_IN_LIVES = timedelta(minutes=10)
_SEEN_EVERY = timedelta(seconds=30)


@dataclass(frozen=True)
class PageSession:
    """One person at the page; ``issuer`` is the name of the provider."""

    caller: Caller
    name: str
    issuer: str


async def begin_sign_in(
    connection: asyncpg.Connection, state: str, *, browser: str, issuer: str, return_to: str, now: datetime
) -> None:
    """Remember what was asked of the provider, and by which browser."""
    await connection.execute(
        "INSERT INTO hilum.page_sign_in (state, browser, issuer, return_to, expires_at) VALUES ($1, $2, $3, $4, $5)",
        digest(state), digest(browser), issuer, return_to, now + SIGN_IN_LIVES,
    )  # fmt: skip


async def end_sign_in(
    connection: asyncpg.Connection, state: str, *, browser: str, now: datetime
) -> tuple[str, str] | None:
    """The issuer and where to go, once, for the browser that began it; None for anything else."""
    row = await connection.fetchrow(
        "DELETE FROM hilum.page_sign_in WHERE state = $1 AND browser = $2 AND expires_at > $3 RETURNING issuer, return_to",
        digest(state), digest(browser), now,
    )  # fmt: skip
    return None if row is None else (row["issuer"], row["return_to"])


async def begin(
    connection: asyncpg.Connection,
    session: PageSession,
    *,
    cookie: str,
    earlier: str | None,
    now: datetime,
    lifetimes: Lifetimes,
) -> None:
    """Sign a person in with a cookie of this sign-in's own; what the browser was signed in as before ends."""
    caller = session.caller
    if earlier is not None:
        await connection.execute("DELETE FROM hilum.page_session WHERE cookie = $1", digest(earlier))
    await connection.execute(
        """INSERT INTO hilum.page_session (cookie, issuer, person, name, roles, facilities, supplier, department, sid,
                                           created_at, last_seen_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11)""",
        digest(cookie), session.issuer, caller.id, session.name, sorted(caller.roles), sorted(caller.facilities),
        caller.supplier, caller.department, caller.session, now, now + lifetimes.absolute,
    )  # fmt: skip
    detail = {"issuer": session.issuer, "roles": sorted(caller.roles)}
    await append(connection, [Entry(now, caller.actor, "page.signed_in", f"person/{caller.id}", detail)])


async def by_cookie(
    connection: asyncpg.Connection, cookie: str, *, now: datetime, lifetimes: Lifetimes
) -> PageSession | None:
    """Who this is, unless the session was idle for too long, has come of age or was ended anywhere."""
    row = await connection.fetchrow(
        """SELECT p.*, p.last_seen_at < $4 AS is_stale FROM hilum.page_session p
            WHERE p.cookie = $1 AND p.expires_at > $2 AND p.last_seen_at > $3
              AND NOT EXISTS (SELECT FROM hilum.identity_revocation r
                               WHERE r.subject = 'person:' || p.person AND r.at >= p.created_at)
              AND (p.sid = '' OR NOT EXISTS (SELECT FROM hilum.issuer_session s
                               WHERE s.id = p.sid AND s.ended_at IS NOT NULL))""",
        digest(cookie), now, now - lifetimes.idle, now - _SEEN_EVERY,
    )  # fmt: skip
    if row is None:
        return None
    if row["is_stale"]:  # Not with every page: a look is no reason to write.
        await connection.execute(
            "UPDATE hilum.page_session SET last_seen_at = $2 WHERE cookie = $1", row["cookie"], now
        )
    caller = Caller(
        PERSON, row["person"], issuer=row["issuer"], roles=frozenset(row["roles"]), facilities=frozenset(row["facilities"]),
        supplier=row["supplier"], department=row["department"], session=row["sid"], purpose=row["purpose"],
    )  # fmt: skip
    return PageSession(caller, row["name"], row["issuer"])


async def choose_purpose(connection: asyncpg.Connection, cookie: str, purpose: str, *, now: datetime) -> None:
    """Why this person looks from now on, in this session alone: one of ``STATED_PURPOSES``. Nothing when it is that already.

    ValueError for any other word; inside the caller's transaction.
    """
    if purpose not in STATED_PURPOSES:
        raise ValueError("nobody chooses this as the purpose of a session")
    row = await connection.fetchrow(
        "SELECT person, purpose, issuer FROM hilum.page_session WHERE cookie = $1 FOR UPDATE", digest(cookie)
    )
    if row is None or row["purpose"] == purpose:
        return
    await connection.execute("UPDATE hilum.page_session SET purpose = $2 WHERE cookie = $1", digest(cookie), purpose)
    detail = {"purpose": purpose, "before": row["purpose"], "issuer": row["issuer"]}
    entry = Entry(now, f"person:{row['person']}", "purpose.chosen", f"person/{row['person']}", detail)
    await append(connection, [entry])


async def sign_out(connection: asyncpg.Connection, cookie: str, *, now: datetime) -> None:
    """End the session, and with the embedded issuer everything that this sign-in opened anywhere."""
    row = await connection.fetchrow(
        "DELETE FROM hilum.page_session WHERE cookie = $1 RETURNING person, sid, issuer", digest(cookie)
    )
    if row is None:
        return
    if row["issuer"] == LOCAL and row["sid"]:
        await end(connection, row["sid"], now=now, by=f"person:{row['person']}")
    entry = Entry(now, f"person:{row['person']}", "page.signed_out", f"person/{row['person']}")
    await append(connection, [entry])
