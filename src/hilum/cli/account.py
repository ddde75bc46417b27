"""`hilum account`: people's accounts at the embedded issuer. Nobody gets a password, everybody gets a link."""

from __future__ import annotations

import secrets
import tomllib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import asyncpg
import typer
from rich.markup import escape
from rich.table import Table

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.estate import Estate
from hilum.authoring.estate_identity import IdentitySpec
from hilum.cli.permission import listed, permit, terminal_caller
from hilum.cli.platform import (
    DEFAULT_DATA,
    AsOption,
    DataOption,
    JsonOption,
    UrlOption,
    ask,
    console,
    moment,
    now,
    print_json,
    refused,
    the_estate,
    usage,
)
from hilum.cli.service_key import service_key
from hilum.governance.loader import ESTATE_FILE
from hilum.identity import accounts
from hilum.identity.accounts import ADMINISTRATOR, AccountProblem
from hilum.identity.places import ISSUER, place
from hilum.identity.sessions import end_all_of
from hilum.security.decisions import Resource
from hilum.security.identity.callers import account_of
from hilum.security.identity.revocations import revoke

account_app = typer.Typer(
    name="account",
    help="Invite people, see who has an account, reset and disable accounts; register programs' keys.",
    no_args_is_help=True,
)
account_app.command("service-key")(service_key)

T = TypeVar("T")

LoginArgument = Annotated[str, typer.Argument(metavar="LOGIN")]
FIRST = "admin"
"""The login of the first administrator, who then invites the others by their names."""


@account_app.command("invite")
def invite(
    login: LoginArgument,
    role: Annotated[
        list[str] | None, typer.Option("--role", help="A role of the estate's policies; several times.")
    ] = None,
    facility: Annotated[list[str] | None, typer.Option("--facility", help="A facility's code; several times.")] = None,
    name: Annotated[str, typer.Option("--name", help="As people know this person.")] = "",
    supplier: Annotated[str | None, typer.Option("--supplier", help="The supplier this person belongs to.")] = None,
    department: Annotated[
        str | None, typer.Option("--department", help="The department this person belongs to.")
    ] = None,
    who: AsOption = "",
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an account and print the link behind which its person chooses a password: once, within half an hour.

    Example: hilum account invite maria --role data-steward --facility ST-MARY
    """
    roles = tuple(role) if role is not None else ()
    facilities = tuple(facility) if facility is not None else ()
    _refuse_unknown_facilities(the_estate(None, data), facilities)

    async def work(connection: asyncpg.Connection, secret: str) -> None:
        await accounts.invite(
            connection, login, secret=secret, now=now(), by=terminal_caller(data, who).actor, name=name, roles=roles, facilities=facilities,
            supplier=supplier, department=department,
        )  # fmt: skip

    _link(data, database_url, login, who, work, as_json=as_json)


@account_app.command("reset")
def reset(
    login: LoginArgument,
    who: AsOption = "",
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a person out everywhere, make the password worthless and print a new link.

    Example: hilum account reset maria
    """

    async def work(connection: asyncpg.Connection, secret: str) -> None:
        await accounts.reset(connection, login, secret=secret, now=now(), by=terminal_caller(data, who).actor)

    _link(data, database_url, login, who, work, as_json=as_json)


@account_app.command("disable")
def disable(
    login: LoginArgument,
    who: AsOption = "",
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close an account; whoever is signed in with it is out within two seconds.

    Example: hilum account disable maria
    """

    async def work(connection: asyncpg.Connection) -> None:
        await accounts.disable(connection, login, now=now(), by=terminal_caller(data, who).actor)

    _change(data, database_url, login, who, work)
    _said(as_json, {"login": login, "state": "disabled"}, f"{login} is disabled and signed out.")


@account_app.command("sign-out")
def sign_out(
    login: LoginArgument,
    who: AsOption = "",
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """End every session of a person, of any provider; signing in again is possible.

    Example: hilum account sign-out maria
    """
    actor = terminal_caller(data, who).actor
    known = the_estate(None, data)
    account = account_of(known.identity if known is not None else IdentitySpec(), login)

    async def work(connection: asyncpg.Connection) -> None:
        if account is not None:
            await end_all_of(connection, account, now=now(), by=actor, reason="signed out at the terminal")
        await revoke(connection, f"person:{login}", now=now(), by=actor, reason="signed out at the terminal")
        await append(connection, [Entry(now(), actor, "person.signed_out", f"person/{login}")])

    _change(data, database_url, login, who, work)
    _said(as_json, {"login": login, "state": "signed out"}, f"{login} is signed out everywhere.")


@account_app.command("list")
def list_accounts(data: DataOption = DEFAULT_DATA, database_url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Show who has an account here.

    Example: hilum account list
    """

    caller = terminal_caller(data)

    async def work(pool: asyncpg.Pool) -> list[accounts.Account]:
        where = await listed(pool, caller, "Account", operation="cli.account.list")
        async with pool.acquire() as connection:
            return [account for account in await accounts.everyone(connection) if where.matches(_attributes(account))]

    found = ask(data, database_url, work)
    if as_json:
        print_json(found)
        return
    if not found:
        console().print(
            "Nobody has an account here. `hilum account invite LOGIN --role administrator` makes the first."
        )
        return
    table = Table(
        "login", "name", "state", "roles", "facilities", "since", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for one in found:
        table.add_row(
            one.id, escape(one.name), one.state, escape(", ".join(one.roles)), escape(", ".join(one.facilities)),
            moment(one.password_set_at if one.password_set_at is not None else one.created_at),
        )  # fmt: skip
    console().print(table)


def _attributes(account: accounts.Account) -> dict[str, str | None]:
    """An account as policies see it."""
    return {"supplier": account.supplier, "department": account.department, "author": account.created_by}


async def first_link(pool: asyncpg.Pool, *, by: str, facilities: Sequence[str] = ()) -> str | None:
    """A link for the first administrator while there is none; None when there is one, or people sign in elsewhere.

    Like whoever is at the terminal they are of every facility: what is bound to one would be hidden from them otherwise.
    """
    secret = secrets.token_urlsafe(32)
    async with pool.acquire() as connection, connection.transaction():
        if await accounts.has_administrator(connection):
            return None
        url = await place(connection, ISSUER)
        existing = await accounts.read(connection, FIRST)
        if url is None or (existing is not None and existing.state != "invited"):
            return None
        await accounts.invite(
            connection, FIRST, secret=secret, now=now(), by=by, name="Administrator", roles=(ADMINISTRATOR,),
            facilities=facilities,
        )  # fmt: skip
    return f"{url}/welcome/{secret}"


def first_sign_in(data: Path, url: str | None, estate: Path) -> str | None:
    """What `hilum up` prints while nobody can sign in who may invite the others."""
    # Only this table: the process that watches over the others stays small and runs no code of the estate.
    header = tomllib.loads((estate / ESTATE_FILE).read_text(encoding="utf-8"))
    if not IdentitySpec.model_validate(header.get("identity", {})).local_accounts:
        return None
    facilities = tuple(header.get("facilities", {}))
    return ask(data, url, lambda pool: first_link(pool, by=terminal_caller(data).actor, facilities=facilities))


def _link(
    data: Path,
    url: str | None,
    login: str,
    who: str,
    work: Callable[[asyncpg.Connection, str], Awaitable[None]],
    *,
    as_json: bool,
) -> None:
    secret = secrets.token_urlsafe(32)

    async def linked(connection: asyncpg.Connection) -> str | None:
        await work(connection, secret)
        return await place(connection, ISSUER)

    issuer = _change(data, url, login, who, linked)
    if issuer is None:
        usage("the embedded issuer has never run, so a link would lead nowhere: start the platform with `hilum up`")
    link = f"{issuer}/welcome/{secret}"
    minutes = int(accounts.LINK_LIVES.total_seconds() // 60)
    sentence = f"This link is for {login} alone. It opens once, within {minutes} minutes:\n  {link}"
    _said(as_json, {"login": login, "link": link, "minutes": minutes}, sentence)


def _change(data: Path, url: str | None, login: str, who: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """A change and its audit entry in one transaction; exit 1 when the account or the policies do not allow it."""
    caller = terminal_caller(data, who)

    async def changed(pool: asyncpg.Pool) -> T:
        await permit(pool, caller, "administer", [Resource("Account", login)], operation="cli.account")
        async with pool.acquire() as connection, connection.transaction():
            return await work(connection)

    try:
        return ask(data, url, changed)
    except AccountProblem as problem:
        refused(str(problem))


def _refuse_unknown_facilities(estate: Estate | None, facilities: tuple[str, ...]) -> None:
    if estate is None:
        return
    for facility in facilities:
        if facility not in estate.facilities:
            refused(f"{facility} is no facility of {estate.name}; it has {', '.join(sorted(estate.facilities))}")


def _said(as_json: bool, document: dict[str, object], sentence: str) -> None:
    if as_json:
        print_json(document)
    else:
        # A link is copied as a whole: nothing of it is marked up or folded.
        console().print(escape(sentence), soft_wrap=True)
