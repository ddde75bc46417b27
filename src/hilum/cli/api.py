"""`hilum api`: what is published, who uses it, and what a change would break."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import asyncpg
import orjson
import typer
from rich.markup import escape
from rich.table import Table

from hilum.authoring.estate import Estate
from hilum.cli.permission import permit, terminal_caller
from hilum.cli.platform import (
    DEFAULT_DATA,
    DataOption,
    EstateOption,
    JsonOption,
    UrlOption,
    ask,
    console,
    moment,
    now,
    print_json,
    refused,
    usage,
)
from hilum.governance.asyncapi import asyncapi
from hilum.governance.loader import load_estate
from hilum.governance.openapi import openapi, published_operations
from hilum.governance.problems import EstateRefused
from hilum.governance.published import differences, record
from hilum.governance.usage import Use, usage_since
from hilum.security.decisions import Resource

api_app = typer.Typer(
    help="What is published at the door, who uses it, and what a change would break.", no_args_is_help=True
)

DEFAULT_ESTATE = Path("estates/lakeshore")
_STATES = {"published": "green", "deprecated": "yellow", "draft": "dim", "retired": "dim"}

Name = Annotated[str | None, typer.Argument(metavar="[API]", help="Only this API.")]
Version = Annotated[int | None, typer.Argument(metavar="[VERSION]", help="Only this version of it.")]
Folder = Annotated[Path, typer.Option("--estate", envvar="HILUM_ESTATE", help="The estate's folder.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write into this file instead of standard output.")]
Server = Annotated[str, typer.Option("--server", help="The door's address as callers know it.")]


@api_app.command("list")
def list_apis(estate: Folder = DEFAULT_ESTATE, as_json: JsonOption = False) -> None:
    """List every API and version with its state, owner, audience and number of operations.

    Example: hilum api list --estate estates/lakeshore
    """
    loaded = _estate(estate)
    lines = [
        {
            "api": name, "version": version, "state": life.state, "layer": spec.layer, "owner": spec.owner,
            "audience": list(spec.audience), "criticality": spec.criticality, "sunset_on": life.sunset_on,
            "operations": sum(1 for o in loaded.operations() if (o.api.name, o.version) == (name, version)),
        }
        for name, spec in sorted(loaded.api_specs.items(), key=lambda item: (item[1].layer, item[0]))
        for version, life in sorted(spec.versions.items())
    ]  # fmt: skip
    if as_json:
        print_json(lines)
        return
    table = Table("API", "version", "state", "layer", "owner", "audience", "operations", box=None, pad_edge=False)
    for line in lines:
        sunset = f" until {line['sunset_on']}" if line["sunset_on"] is not None else ""
        colour = _STATES[str(line["state"])]
        table.add_row(
            str(line["api"]), f"v{line['version']}", f"[{colour}]{line['state']}[/]{sunset}", str(line["layer"]),
            escape(str(line["owner"])), escape(", ".join(loaded.api_specs[str(line["api"])].audience)), str(line["operations"]),
        )  # fmt: skip
    console().print(table)


@api_app.command("openapi")
def openapi_command(
    name: Name = None,
    version: Version = None,
    estate: Folder = DEFAULT_ESTATE,
    server: Server = "/",
    output: Output = None,
) -> None:
    """Write the OpenAPI 3.1 document of everything published, of one API, or of one version.

    Example: hilum api openapi erp 2 -o erp.v2.json
    """
    loaded = _estate(estate)
    try:
        document = openapi(loaded, api=name, version=version, server_url=server)
    except LookupError as nothing:
        refused(str(nothing))
    _write(document, output)


@api_app.command("asyncapi")
def asyncapi_command(estate: Folder = DEFAULT_ESTATE, output: Output = None) -> None:
    """Write the AsyncAPI 3.0 document: what comes in, which events follow, who is fed.

    Example: hilum api asyncapi -o events.json
    """
    _write(asyncapi(_estate(estate)), output)


@api_app.command("record")
def record_command(
    name: Annotated[str, typer.Argument(metavar="API")],
    version: Annotated[int, typer.Argument()],
    estate: Folder = DEFAULT_ESTATE,
    breaking: Annotated[bool, typer.Option("--breaking", help="Record also what breaks its users. Know whom.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Record what a version publishes; `hilum check` holds every later change against it.

    A change that would break users is not recorded unless --breaking. Exit code 1 when it is refused.

    Example: hilum api record erp 2
    """
    loaded = _estate(estate)
    if not published_operations(loaded, api=name, version=version):
        refused(
            f"nothing is published as {name} v{version}; its state in apis/{name}.toml must be published or deprecated"
        )
    found = differences(loaded, name, version)
    broken = [change for change in found if change.breaking] if found is not None else []
    if broken and not breaking:
        for change in broken:
            console().print(f"[red]breaks users[/] {escape(change.where)}: {escape(change.what)}")
        refused("not recorded. Make it a new version, or say --breaking when nobody uses this one (`hilum api usage`).")
    place = record(loaded, name, version)
    if as_json:
        print_json(
            {"file": place.as_posix(), "changes": [asdict(change) for change in found] if found is not None else []}
        )
    else:
        console().print(f"Recorded {place.as_posix()}. Commit it with the estate.")


@api_app.command("changes")
def changes_command(
    name: Annotated[str, typer.Argument(metavar="API")],
    version: Annotated[int, typer.Argument()],
    estate: Folder = DEFAULT_ESTATE,
    as_json: JsonOption = False,
) -> None:
    """Show what changed since a version was recorded. Exit code 1 when something would break its users.

    Example: hilum api changes erp 2
    """
    loaded = _estate(estate)
    if not published_operations(loaded, api=name, version=version):
        refused(f"nothing is published as {name} v{version}")
    found = differences(loaded, name, version)
    if found is None:
        refused(f"{name} v{version} was never recorded: run `hilum api record {name} {version}`")
    if as_json:
        print_json([asdict(change) for change in found])
    else:
        for change in found:
            mark = "[red]breaks users[/]" if change.breaking else "[green]harmless[/]    "
            console().print(f"{mark} {escape(change.where)}: {escape(change.what)}")
        if not found:
            console().print("Nothing changed since it was recorded.")
    raise typer.Exit(1 if any(change.breaking for change in found) else 0)


@api_app.command("usage")
def usage_command(
    name: Name = None,
    version: Version = None,
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="Of so many days.")] = 30,
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who used which operation of which version: whom retiring it would break.

    Example: hilum api usage erp 1 --days 90
    """
    since = now().date() - timedelta(days=days)

    caller = terminal_caller(data, estate=estate)

    async def work(pool: asyncpg.Pool) -> list[Use]:
        await permit(pool, caller, "list", [Resource("Api")], operation="cli.api.usage")
        async with pool.acquire() as connection:
            return await usage_since(connection, since, api=name, version=version)

    found = ask(data, database_url, work)
    if as_json:
        print_json(found)
        return
    if not found:
        console().print(f"Nobody called it in the last {days} days.")
        return
    table = Table("consumer", "API", "operation", "requests", "refused", "faults", "last", box=None, pad_edge=False)
    for use in found:
        table.add_row(
            escape(use.consumer), f"{use.api} v{use.version}", use.operation, str(use.requests), str(use.refusals),
            str(use.faults), moment(use.last_at),
        )  # fmt: skip
    console().print(table)


def _estate(folder: Path) -> Estate:
    if not folder.is_dir():
        usage(f"{folder} is no folder; name the estate with --estate")
    try:
        return load_estate(folder)
    except EstateRefused as problems:
        usage(f"the estate cannot be read; `hilum check {folder}` says why ({len(problems.problems)} problems)")


def _write(document: object, output: Path | None) -> None:
    if output is None:
        print_json(document)
        return
    output.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    console().print(f"Wrote {output}.")
