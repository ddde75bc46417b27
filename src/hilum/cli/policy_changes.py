"""A change of the policies and its approval: whoever wrote it does not let it pass."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import asyncpg
import typer

from hilum.authoring.estate import Estate
from hilum.cli.permission import permit, terminal_caller
from hilum.cli.platform import (
    DEFAULT_DATA,
    DataOption,
    JsonOption,
    UrlOption,
    ask,
    console,
    now,
    print_json,
    refused,
    usage,
)
from hilum.governance.loader import load_estate
from hilum.governance.problems import EstateRefused
from hilum.runtime import approvals
from hilum.runtime.approvals import Approval, ApprovalRefused, Names
from hilum.security.decisions import Resource
from hilum.security.policies import Policies

POLICY = "Policy"
EstateHere = Annotated[
    Path, typer.Option("--estate", envvar="HILUM_ESTATE", help="The estate's folder.", exists=True, file_okay=False)
]


def propose(
    estate: EstateHere = Path("estates/lakeshore"),
    days: Annotated[int, typer.Option(min=1, max=90, help="How long it may wait for an approval.")] = 14,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for approval of the estate's policies as they stand in its folder now.

    Example: hilum policy propose --estate estates/lakeshore
    """
    known, policies = _loaded(estate)
    caller = terminal_caller(data, estate=estate)

    async def work(pool: asyncpg.Pool) -> Approval:
        await permit(pool, caller, "create", [Resource(POLICY, known.name)], operation="cli.policy.propose")
        async with pool.acquire() as connection, connection.transaction():
            return await approvals.request(
                connection, kind=POLICY, subject=known.name, digest=policies.version, caller=caller,
                names=Names(known), now=now(), expires_at=now() + timedelta(days=days),
            )  # fmt: skip

    try:
        asked = ask(data, database_url, work)
    except ApprovalRefused as no:
        refused(str(no))
    if as_json:
        print_json(asked)
    else:
        console().print(
            f"Approval {asked.id} of {asked.digest[:19]} waits for somebody else: `hilum policy approve {asked.id}`."
        )


def approve(
    approval: Annotated[int, typer.Argument(metavar="APPROVAL", help="The number that `hilum policy propose` gave.")],
    estate: EstateHere = Path("estates/lakeshore"),
    reason: Annotated[str, typer.Option(help="What you looked at.")] = "",
    reject: Annotated[bool, typer.Option("--reject", help="Reject it instead.")] = False,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve proposed policies, as somebody else than their author. Exit 1 when it is refused.

    What is approved are the files in the folder: when they differ from what was proposed, nothing is approved.

    Example: hilum policy approve 4 --reason "compared with ticket 812; table tests read"
    """
    known, policies = _loaded(estate)
    caller = terminal_caller(data, estate=estate)

    async def work(pool: asyncpg.Pool) -> Approval:
        in_force = await permit(pool, caller, "approve", [Resource(POLICY, known.name)], operation="cli.policy.approve")
        async with pool.acquire() as connection, connection.transaction():
            return await approvals.decide(
                connection, approval, caller=caller, approves=not reject, digest=policies.version, policies=in_force,
                names=Names(known), now=now(), reason=reason,
            )  # fmt: skip

    try:
        decided = ask(data, database_url, work)
    except ApprovalRefused as no:
        refused(str(no))
    if as_json:
        print_json(decided)
    else:
        console().print(f"Approval {approval} is {decided.state}.")


def _loaded(estate: Path) -> tuple[Estate, Policies]:
    try:
        known = load_estate(estate)
    except EstateRefused as no:
        usage(f"the estate cannot be read: {no.problems[0]}")
    return known, Policies(known.policies)
