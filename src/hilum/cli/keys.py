"""`hilum keys`: how the keys at rest stand, rotating them, and destroying what must never be read again."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Annotated, TypeVar

import asyncpg
import typer
from rich.markup import escape
from rich.table import Table

from hilum.cli.accesses import open_keys
from hilum.cli.permission import permit, terminal_caller
from hilum.cli.platform import (
    DEFAULT_DATA,
    AsOption,
    DataOption,
    EstateOption,
    JsonOption,
    UrlOption,
    ask,
    console,
    now,
    print_json,
    refused,
    the_estate,
    usage,
)
from hilum.identity.signing import FOLDER, SigningKeys
from hilum.runtime.key_keeping import SHREDDABLE, KeyKeeping, KeyStanding, ShredRefused
from hilum.security.decisions import Resource
from hilum.security.sealing.keyring import DestroyedKeys
from hilum.security.sealing.wrapping import KeysUnusable
from hilum.security.secrets import SecretUnusable

keys_app = typer.Typer(
    name="keys", help="See, rotate and destroy the keys under which everything at rest is sealed.", no_args_is_help=True
)
T = TypeVar("T")

ClassOption = Annotated[
    str | None, typer.Option("--class", help="Only this class of data: message, event, delivery ...")
]


def _keep(
    data: Path,
    url: str | None,
    estate: Path | None,
    who: str,
    work: Callable[[KeyKeeping], Awaitable[T]],
    action: str = "administer",
) -> T:
    known = the_estate(estate, data)

    caller = terminal_caller(data, who, estate=estate)

    async def kept(pool: asyncpg.Pool) -> T:
        await permit(pool, caller, action, [Resource("Key")], operation=f"cli.keys.{action}")
        sealer = await open_keys(pool, data, known)
        return await work(KeyKeeping(pool, sealer.keyring, actor=caller.actor, clock=now))

    try:
        return ask(data, url, kept)
    except (KeysUnusable, SecretUnusable) as unusable:
        usage(str(unusable))
    except ShredRefused as no:
        refused(str(no))


@keys_app.command("status")
def status(
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which key wraps the data keys, and the data keys of each class.

    Example: hilum keys status
    """

    async def work(keeping: KeyKeeping) -> KeyStanding:
        return await keeping.standing()

    found = _keep(data, database_url, estate, "", work, "read")
    if as_json:
        print_json(found)
        return
    out = console()
    out.print(f"[bold]wrapped by[/] {escape(found.wrapper)}")
    for name, count in found.wrapped_by.items():
        if name != found.wrapper:
            out.print(f"[yellow]{count} data keys are still wrapped by {escape(name)}: hilum keys rotate[/]")
    table = Table(
        "class", "a key for each", "keys", "from", "to", "destroyed", "values, at most", box=None, pad_edge=False
    )
    for line in found.classes:
        first, last = (
            str(p) if p is not None and line.period != "none" else "–" for p in (line.first_period, line.last_period)
        )
        period = line.period if line.period != "none" else "all time"
        table.add_row(line.data_class, period, str(line.living), first, last, str(line.destroyed), f"{line.values:,}")
    out.print(table)


@keys_app.command("rotate")
def rotate(
    forget: Annotated[
        bool, typer.Option("--forget", help="Destroy the old wrapping keys: older database backups become unreadable.")
    ] = False,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new key-encryption key and wrap every data key with it. No stored value is touched; the platform goes on.

    Example: hilum keys rotate
    """

    async def work(keeping: KeyKeeping) -> tuple[str, int, list[str]]:
        return await keeping.rotate(forget=forget)

    new, changed, gone = _keep(data, database_url, estate, who, work)
    if as_json:
        print_json({"key": new, "rewrapped": changed, "destroyed": gone})
        return
    console().print(
        f"{changed} data keys are wrapped by {escape(new)} now. Back the key up before the next backup of the data."
    )
    if gone:
        console().print(f"Destroyed: {escape(', '.join(gone))}")


@keys_app.command("rotate-data")
def rotate_data(
    data_class: ClassOption = None,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the present data keys seal nothing new; what they sealed still opens. Processes follow within seconds.

    Example: hilum keys rotate-data --class message
    """

    async def work(keeping: KeyKeeping) -> int:
        return await keeping.rotate_data(data_class)

    retired = _keep(data, database_url, estate, who, work)
    if as_json:
        print_json({"class": data_class, "retired": retired})
    else:
        console().print(f"{retired} data keys seal nothing new from now on.")


@keys_app.command("rotate-issuer")
def rotate_issuer(
    distrust: Annotated[
        bool,
        typer.Option("--distrust", help="Refuse at once what the old keys signed: after a theft. All sign in anew."),
    ] = False,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the embedded issuer sign with a new key. Tokens of the old one are good until the longest of them has expired.

    It changes by itself every `key_days`; this is for doing so now. Processes follow within two seconds.

    Example: hilum keys rotate-issuer
    """
    caller = terminal_caller(data, who, estate=estate)
    known = the_estate(estate, data)

    async def work(pool: asyncpg.Pool) -> tuple[str, int]:
        await permit(pool, caller, "administer", [Resource("Key", "issuer")], operation="cli.keys.rotate-issuer")
        if known is None:
            usage("no platform runs here: give --estate, which says how long tokens live")
        if not (data / FOLDER).is_dir():
            usage(f"no issuer has ever run on {data}: its keys are where `hilum up` keeps them, so give its --data")
        keys = SigningKeys.of(known.identity, pool, data, clock=now, monotonic=time.monotonic)
        kid = await keys.rotate(by=caller.actor, distrust=distrust)
        return kid, len((await keys.published())["keys"])

    kid, published = ask(data, database_url, work)
    if as_json:
        print_json({"key": kid, "published": published})
        return
    old = "Tokens of older keys are refused." if distrust else "Tokens of older keys are good until they expire."
    console().print(f"The issuer signs with {escape(kid)} from now on; {published} keys verify. {old}")


@keys_app.command("shred")
def shred(
    data_class: Annotated[str, typer.Option("--class", help=f"What is destroyed: {', '.join(SHREDDABLE)}.")],
    before: Annotated[str, typer.Option("--before", help="Every period that ended by this day (UTC), as 2026-08-01.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; an auditor reads it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Destroy data keys: what they sealed can be read by nobody any more, here and in every copy that is sealed.

    Retention does this by itself; this is for what must go sooner. Exit 1 while a legal hold stands.

    Example: hilum keys shred --class message --before 2026-08-01 --reason "erasure order 7"
    """
    try:
        day = date.fromisoformat(before)
    except ValueError:
        usage(f"--before {before} is no day such as 2026-08-01")
    if not yes and not as_json:
        typer.confirm(
            f"Everything stored as {data_class} before {day} becomes unreadable for ever. Destroy its keys?", abort=True
        )

    async def work(keeping: KeyKeeping) -> DestroyedKeys:
        return await keeping.shred(data_class, day, reason=reason)

    gone = _keep(data, database_url, estate, who, work)
    if as_json:
        print_json(gone)
    else:
        console().print(f"{len(gone.ids)} keys are destroyed under certificate {gone.certificate}.")
