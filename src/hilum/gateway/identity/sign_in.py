"""Signing in with login and password: the same words and the same work, whether the account exists or not."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.gateway.identity.issuer import Issuer
from hilum.identity import accounts, passwords, sessions
from hilum.identity.sessions import Session
from hilum.identity.throttle import Bucket

WRONG = "Login or password is wrong."
BUSY = "Too many attempts. Try again in a moment."

_AT_ONCE = asyncio.Semaphore(4)
"""Each comparison takes 32 MiB: without a bound, sign-ins would be a way to fill the memory."""


@dataclass(frozen=True)
class Attempt:
    """What was typed, and from where. ``earlier`` is the cookie of a session this browser has or had."""

    login: str
    password: str
    peer: str
    earlier: str | None


@dataclass(frozen=True)
class Outcome:
    """A session with its cookie, or a sentence for the person."""

    session: Session | None = None
    cookie: str = ""
    problem: str = ""
    wait_seconds: int = 0


async def sign_in(issuer: Issuer, attempt: Attempt) -> Outcome:
    """Compare, count and write down."""
    now = issuer.clock()
    known = False
    if attempt.earlier is not None:
        async with issuer.pool.acquire() as connection:
            known = await sessions.is_known_browser(connection, attempt.earlier, attempt.login)
    buckets = _buckets(attempt, known)
    wait = await issuer.throttle.take(buckets, now=now)
    if wait > 0:
        return Outcome(problem=BUSY, wait_seconds=math.ceil(wait))
    if not await _is_right(issuer, attempt):
        async with issuer.pool.acquire() as connection, connection.transaction():
            # A login that nobody has may be a password in the wrong field, so it is not written down.
            exists = await connection.fetchval("SELECT id FROM hilum.account WHERE id = $1", attempt.login)
            subject = f"account/{exists}" if exists is not None else "account/?"
            await append(connection, [Entry(now, f"anonymous:{attempt.peer}", "session.refused", subject)])
        return Outcome(problem=WRONG)
    await issuer.throttle.forgive(buckets[1:])  # Not the place's: others may be guessing from there.
    cookie, sid = issuer.secret(), issuer.secret()
    async with issuer.pool.acquire() as connection, connection.transaction():
        began = await sessions.begin(
            connection, attempt.login, sid=sid, cookie=cookie, now=now, lifetimes=issuer.settings.session
        )
    return Outcome(began, cookie)


async def _is_right(issuer: Issuer, attempt: Attempt) -> bool:
    async with issuer.pool.acquire() as connection:
        kept = await accounts.kept_password(connection, attempt.login)
    compared = passwords.nobodys() if kept is None else kept
    async with _AT_ONCE:
        same: bool = await issuer.in_thread(passwords.is_right, attempt.password, compared)
    return same and kept is not None


def _buckets(attempt: Attempt, known: bool) -> tuple[Bucket, ...]:
    """Five attempts, then one each half minute, for a login from one place; more for a place, and for a login from anywhere.

    A browser the person has used before is counted for itself, so that an attack elsewhere does not keep the person out.
    """
    place = Bucket(f"peer {attempt.peer}", 60, 2)
    if known:
        return (place, Bucket(f"browser {attempt.login} {attempt.earlier}", 5, 20))
    return (
        place,
        Bucket(f"login {attempt.login} from {attempt.peer}", 5, 30),
        Bucket(f"login {attempt.login}", 20, 6),
    )
