"""Whether whoever sits at the terminal may do what they ask: the policies the platform runs with, as for any other door.

The terminal's person is who the operating system says, with the roles of the estate's ``[terminal]``: administrator unless
it says otherwise. ``--as`` names somebody else in the record and takes that person's roles; only administrators may use it,
and the login stands beside that name in every entry and counts with it wherever two people are needed.
Whoever holds the database's own password or root on this machine is beyond any policy: the audit log's published heads are
what holds them to account.
"""

from __future__ import annotations

import os
import pwd
import socket
import tomllib
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import orjson
from pydantic import ValidationError

from hilum.audit.access import DENIAL, Access
from hilum.authoring.caller import PERSON, Caller
from hilum.authoring.estate_policy import TerminalSpec
from hilum.cli.accesses import record
from hilum.cli.platform import now, refused, usage
from hilum.model.where import NOTHING, Where
from hilum.runtime import break_glass
from hilum.runtime.policy_versions import in_force
from hilum.security.decisions import Resource
from hilum.security.policies import Policies
from hilum.security.policies.explaining import explain
from hilum.security.policies.texts import PoliciesRefused

ADMINISTRATOR = "administrator"


def login() -> str:
    """Who the operating system says this is; behind sudo, who began it. The environment's own word does not count."""
    user = pwd.getpwuid(os.getuid()).pw_name
    return os.environ.get("SUDO_USER", user) if os.getuid() == 0 else user


def terminal_caller(data: Path, actor: str = "", purpose: str = "operations", estate: Path | None = None) -> Caller:
    """The terminal's person, or ``actor`` (``--as``) where an administrator speaks for somebody else; exit 1 where not."""
    spec, facilities = _terminal(data, estate)
    who = login()
    named = actor.removeprefix(f"{PERSON}:")
    if named and named != who and ADMINISTRATOR not in spec.people.get(who, spec.roles):
        refused(f"{who} is no administrator of this terminal, so --as {named} is not for {who}")
    name = named if named else who
    places = facilities if spec.facilities is None else spec.facilities
    return Caller(
        PERSON, name, issuer=f"terminal:{socket.gethostname()}", roles=frozenset(spec.people.get(name, spec.roles)),
        facilities=frozenset(places), purpose=purpose, login=f"{PERSON}:{who}",
    )  # fmt: skip


async def policies_here(pool: asyncpg.Pool) -> Policies:
    """What the platform runs with; before its first start, what ships with it."""
    async with pool.acquire() as connection:
        found = await in_force(connection)
    try:
        return Policies({} if found is None else found.files)
    except PoliciesRefused as unusable:
        usage(f"the policies in force cannot be read, so nothing is decided: {unusable.problems[0]}")


async def under_grant(pool: asyncpg.Pool, caller: Caller) -> Caller:
    """The caller under the newest of their break-glass grants in force; as they were when there is none."""
    async with pool.acquire() as connection:
        held = await break_glass.of_person(connection, caller.actor, now=now())
    return break_glass.under(caller, held[0]) if held else caller


async def use_grant(pool: asyncpg.Pool, caller: Caller, operation: str, subjects: Sequence[str]) -> None:
    """Record what is about to be looked at under a break-glass grant; nothing when the caller is under none."""
    if caller.break_glass is None:
        return
    async with pool.acquire() as connection, connection.transaction():
        for subject in subjects:
            await break_glass.used(
                connection, int(caller.break_glass), actor=caller.actor, operation=operation, subject=subject, now=now()
            )


async def permit(
    pool: asyncpg.Pool, caller: Caller, action: str, about: Sequence[Resource], *, operation: str
) -> Policies:
    """Go on only when the policies allow ``action`` on everything in ``about``; otherwise the denial is recorded, and the
    command ends with exit code 1 and the reason."""
    policies = await policies_here(pool)
    for resource in about:
        told = explain(policies, caller, action, resource)
        if not told.decision:
            denied = Access(
                caller, DENIAL, operation, resource.type, (f"{resource.type}/{resource.id or '*'}",),
                policies=told.decision.policies, policy_version=policies.version,
            )  # fmt: skip
            await record(pool, denied)
            refused(told.sentence(caller.actor, action, resource))
    return policies


async def listed(
    pool: asyncpg.Pool, caller: Caller, resource_type: str, *, operation: str, action: str = "list"
) -> Where:
    """Which records of a type a list shows this caller: the condition that the policies leave, to be read with. Where no
    record could be shown the denial is recorded and the command ends with exit code 1 and the reason."""
    where = (await policies_here(pool)).where(caller, action, resource_type)
    if where == NOTHING:
        await permit(pool, caller, action, [Resource(resource_type)], operation=operation)
    return where


def _terminal(data: Path, estate: Path | None) -> tuple[TerminalSpec, tuple[str, ...]]:
    """``[terminal]`` and the facilities of the estate that runs here, or else of the one named.

    What runs here comes first: otherwise whoever may write a file would make an estate that makes them administrator and
    name it with ``--estate``. Without any estate whoever is at the machine administers it. An estate that is there and
    cannot be read gives nobody anything: it may have said less.
    """
    try:
        folder = Path(orjson.loads((data / "runtime.json").read_bytes())["estate"])
    except (FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError):
        if estate is None:
            return TerminalSpec(), ()
        folder = estate
    try:
        document = tomllib.loads((folder / "estate.toml").read_text(encoding="utf-8"))
        spec = TerminalSpec.model_validate(document.get("terminal", {}))
        return spec, tuple(document.get("facilities", {}))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError):
        return TerminalSpec(roles=()), ()
