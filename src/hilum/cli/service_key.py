"""`hilum account service-key`: the key by which a program proves itself, registered by whoever owns the program."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from rich.markup import escape

from hilum.authoring.caller import PERSON, Caller
from hilum.authoring.estate import Estate
from hilum.authoring.estate_identity import ServiceSpec
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
from hilum.identity import service_keys
from hilum.identity.key_documents import KeyUnreadable
from hilum.identity.places import ISSUER, place
from hilum.runtime.approvals import Names
from hilum.security.decisions import Resource
from hilum.security.identity.revocations import revoke


def service_key(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service, as the estate's services/ names it.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Make a key pair; write the private half here, readable by you alone.")
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", help="Register this public key instead: PEM or JWK.", dir_okay=False)
    ] = None,
    end: Annotated[
        bool, typer.Option("--end", help="End all its keys instead, and call back the tokens it has.")
    ] = False,
    keep_others: Annotated[
        bool, typer.Option("--keep-others", help="Let its other keys go on: an assertion then names its `kid`.")
    ] = False,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register the key by which a program gets its tokens (private_key_jwt, RFC 7523). Its other keys end.

    For services with `registered_key = true`. The private half is written to --out and nowhere else, and never again.

    Example: hilum account service-key ap-bot --out ap-bot.key.pem
    """
    if (out is not None) + (public_key is not None) + end != 1:
        usage("give one of --out, --public-key and --end")
    caller = terminal_caller(data, who, estate=estate)
    known = the_estate(estate, data)

    async def work(pool: asyncpg.Pool) -> tuple[list[str], str | None]:
        spec = known.services.get(service) if known is not None else None
        about = Resource("Key", f"service/{service}", {"kind": "service", "owner": _owner(spec)})
        await permit(pool, caller, "update", [about], operation="cli.account.service-key")
        _refuse_unfit(known, spec, service, out)
        assert known is not None
        async with pool.acquire() as connection, connection.transaction():
            issuer = await place(connection, ISSUER)
            if end:
                ended = await service_keys.end(connection, service, now=now(), by=caller.actor)
                await revoke(connection, f"service:{service}", now=now(), by=caller.actor, reason="its keys were ended")
                return ended, issuer
            return [await _register(connection, known, service, caller, out, public_key, keep_others)], issuer

    try:
        keys, issuer = ask(data, database_url, work)
    except KeyUnreadable as unreadable:
        usage(str(unreadable))
    if as_json:
        print_json({"service": service, "ended" if end else "registered": keys, "issuer": issuer})
    elif end:
        console().print(f"{len(keys)} keys of {service} have ended, and the tokens it had are refused.")
    else:
        where = f" Its private half is in {out}." if out is not None else ""
        console().print(escape(f"{service} proves itself by the key {keys[0]} from now on.{where}"), soft_wrap=True)
        if issuer is not None:
            console().print(
                escape(f"It asks for tokens at {issuer}/token; docs/identity.md shows how."), soft_wrap=True
            )


async def _register(
    connection: asyncpg.Connection, known: Estate, service: str, caller: Caller, out: Path | None,
    public_key: Path | None, keep_others: bool,
) -> str:  # fmt: skip
    behind = Names(known).behind_caller(caller)
    name = "the new key"
    if out is not None:
        private, public = service_keys.new_pair()
        _write(out, private)
    else:
        assert public_key is not None
        name, public = public_key.name, _read(public_key)
    return await service_keys.register(
        connection, service, public, name=name, now=now(), by=caller.actor, behind=behind, keep_others=keep_others
    )


def _owner(spec: ServiceSpec | None) -> str | None:
    """The owner as an actor, where the estate names a person; a department owns nothing that a policy could compare."""
    return spec.owner if spec is not None and spec.owner.startswith(f"{PERSON}:") else None


def _refuse_unfit(known: Estate | None, spec: ServiceSpec | None, service: str, out: Path | None) -> None:
    if known is None:
        usage("no platform runs here: give --estate, which says what services there are")
    if spec is None:
        refused(f"the estate has no service {service}; it has {', '.join(sorted(known.services)) or 'none'}")
    if not spec.registered_key:
        refused(
            f"{service} proves itself otherwise; write `registered_key = true` into services/{service}.toml to let its owner "
            "register its keys"
        )
    if out is not None and out.resolve().is_relative_to(known.root.resolve()):
        refused(f"{out} is in the estate, which is shared: write the private key where only the program reads it")


def _write(out: Path, private: bytes) -> None:
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(private)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        usage(f"{out} exists already: a private key is never overwritten")
    except OSError as problem:
        usage(f"{out} cannot be written: {problem.strerror}")


def _read(public_key: Path) -> bytes:
    try:
        return public_key.read_bytes()
    except OSError as problem:
        usage(f"{public_key} cannot be read: {problem.strerror}")
