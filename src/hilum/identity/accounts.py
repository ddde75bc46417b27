"""People's accounts at the embedded issuer. Nobody has a password that somebody else has chosen.

An account is invited with a link that opens once, within half an hour; behind it the person sets a password. Each change
and its audit entry are one transaction; links are kept as digests.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.identity.digests import digest
from hilum.identity.sessions import end_all_of

LINK_LIVES = timedelta(minutes=30)
ADMINISTRATOR = "administrator"
_LOGIN = re.compile(r"[a-z][a-z0-9._-]{1,62}")


class AccountProblem(Exception):
    """What was asked for cannot be done with this account; the text says why and what to do."""


@dataclass(frozen=True)
class Account:
    """One person at the embedded issuer."""

    id: str
    name: str
    roles: tuple[str, ...]
    facilities: tuple[str, ...]
    supplier: str | None
    department: str | None
    state: str
    created_by: str
    created_at: datetime
    password_set_at: datetime | None


_COLUMNS = "id, name, roles, facilities, supplier, department, state, created_by, created_at, password_set_at"


def _account(row: asyncpg.Record) -> Account:
    return Account(**{**row, "roles": tuple(row["roles"]), "facilities": tuple(row["facilities"])})


async def read(connection: asyncpg.Connection, login: str) -> Account | None:
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM hilum.account WHERE id = $1", login)
    return None if row is None else _account(row)


async def everyone(connection: asyncpg.Connection) -> list[Account]:
    return [_account(row) for row in await connection.fetch(f"SELECT {_COLUMNS} FROM hilum.account ORDER BY id")]


async def has_administrator(connection: asyncpg.Connection) -> bool:
    """Whether somebody can sign in who may invite the others."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM hilum.account WHERE state = 'active' AND $1 = ANY (roles))", ADMINISTRATOR
        )
    )


async def invite(
    connection: asyncpg.Connection,
    login: str,
    *,
    secret: str,
    now: datetime,
    by: str,
    name: str = "",
    roles: Sequence[str] = (),
    facilities: Sequence[str] = (),
    supplier: str | None = None,
    department: str | None = None,
) -> None:
    """Make an account, or invite again one that was never taken up; ``secret`` goes into the link and nowhere else.

    An earlier link of this account opens nothing any more. In the caller's transaction.
    """
    if not _LOGIN.fullmatch(login):
        raise AccountProblem(
            f"{login!r} cannot be a login: 2 to 63 characters of a-z, 0-9, dot, underscore and hyphen, a letter first."
        )
    state = await connection.fetchval(
        """INSERT INTO hilum.account (id, name, roles, facilities, supplier, department, created_by, created_at, updated_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
           ON CONFLICT (id) DO UPDATE SET name = excluded.name, roles = excluded.roles, facilities = excluded.facilities,
              supplier = excluded.supplier, department = excluded.department, updated_at = excluded.updated_at
            WHERE account.state = 'invited'
           RETURNING state""",
        login, name, sorted(set(roles)), sorted(set(facilities)), supplier, department, by, now,
    )  # fmt: skip
    if state is None:
        raise AccountProblem(
            f"There is an account {login} already. `hilum account reset {login}` makes a new link for it."
        )
    await _new_link(connection, login, "invite", secret, now, by)
    detail = {"roles": sorted(set(roles)), "facilities": sorted(set(facilities))}
    await append(connection, [Entry(now, by, "account.invited", f"account/{login}", detail)])


async def reset(connection: asyncpg.Connection, login: str, *, secret: str, now: datetime, by: str) -> None:
    """A new link for an account; its password opens nothing any more, and whoever is signed in with it is signed out."""
    await _need(connection, login)
    await connection.execute(
        "UPDATE hilum.account SET password = NULL, state = 'invited', updated_at = $2 WHERE id = $1", login, now
    )
    await end_all_of(connection, login, now=now, by=by, reason="the account was reset")
    await _new_link(connection, login, "reset", secret, now, by)
    await append(connection, [Entry(now, by, "account.reset", f"account/{login}")])


async def disable(connection: asyncpg.Connection, login: str, *, now: datetime, by: str) -> None:
    """The account opens nothing from now on, in every process within two seconds."""
    await _need(connection, login)
    await connection.execute("UPDATE hilum.account SET state = 'disabled', updated_at = $2 WHERE id = $1", login, now)
    await connection.execute("DELETE FROM hilum.one_time_link WHERE account = $1", login)
    await end_all_of(connection, login, now=now, by=by, reason="the account was disabled")
    await append(connection, [Entry(now, by, "account.disabled", f"account/{login}")])


async def whose_link(connection: asyncpg.Connection, secret: str, *, now: datetime) -> Account | None:
    """The account behind a link that still opens; looking does not use it up, for previews look at links too."""
    row = await connection.fetchrow(
        f"""SELECT {", ".join("a." + c.strip() for c in _COLUMNS.split(","))}
              FROM hilum.one_time_link l JOIN hilum.account a ON a.id = l.account
             WHERE l.secret = $1 AND l.used_at IS NULL AND l.expires_at > $2 AND a.state = 'invited'""",
        digest(secret), now,
    )  # fmt: skip
    return None if row is None else _account(row)


async def take_up(connection: asyncpg.Connection, secret: str, *, password: str, now: datetime) -> str | None:
    """Use a link up and set the password (``passwords.stored``); the login, or None when the link opens nothing."""
    login: str | None = await connection.fetchval(
        """UPDATE hilum.one_time_link l SET used_at = $2 FROM hilum.account a
            WHERE l.secret = $1 AND l.used_at IS NULL AND l.expires_at > $2 AND a.id = l.account AND a.state = 'invited'
           RETURNING a.id""",
        digest(secret), now,
    )  # fmt: skip
    if login is None:
        return None
    await connection.execute(
        "UPDATE hilum.account SET password = $2, state = 'active', password_set_at = $3, updated_at = $3 WHERE id = $1",
        login, password, now,
    )  # fmt: skip
    await append(connection, [Entry(now, f"person:{login}", "account.password_set", f"account/{login}")])
    return login


async def kept_password(connection: asyncpg.Connection, login: str) -> str | None:
    """The stored password of an account that may sign in."""
    found: str | None = await connection.fetchval(
        "SELECT password FROM hilum.account WHERE id = $1 AND state = 'active'", login
    )
    return found


async def _need(connection: asyncpg.Connection, login: str) -> None:
    if await connection.fetchval("SELECT 1 FROM hilum.account WHERE id = $1 FOR UPDATE", login) is None:
        raise AccountProblem(f"There is no account {login}. `hilum account list` shows who has one.")


async def _new_link(
    connection: asyncpg.Connection, login: str, purpose: str, secret: str, now: datetime, by: str
) -> None:
    await connection.execute("DELETE FROM hilum.one_time_link WHERE account = $1", login)
    await connection.execute(
        """INSERT INTO hilum.one_time_link (secret, account, purpose, created_by, created_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6)""",
        digest(secret), login, purpose, by, now, now + LINK_LIVES,
    )  # fmt: skip
