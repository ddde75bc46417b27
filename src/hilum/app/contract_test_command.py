"""`hilum contract-test`: a person's look at what vendors changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import orjson
import typer
import uvloop

from hilum.app.connectors import connect
from hilum.app.contract_tests import Observers
from hilum.authoring.estate import Estate
from hilum.authoring.failures import Rejected, Unavailable
from hilum.cli.contract_test import show_reports
from hilum.cli.platform import DEFAULT_DATA, DataOption, EstateOption, JsonOption, refused, the_estate, usage
from hilum.governance.contract_tests import Report, look_at
from hilum.governance.drift import record
from hilum.governance.overlay import overlaid
from hilum.security.secrets import SecretUnusable


def contract_test_command(
    system: Annotated[str, typer.Argument(metavar="[SYSTEM]", help="One system; all that can be tested without it.")] = "",
    to_record: Annotated[
        bool, typer.Option("--record", help="Accept what is found: write it into the estate's descriptions/.")
    ] = False,
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Compare systems with what is recorded of them in the estate, or record them anew. Changes nothing in the systems.

    Exit code 0 when all is as recorded or only more, 1 when something broke, is deprecated or was never recorded, 2 when
    a system could not be asked.

    Example: hilum contract-test erp --json
    """
    known = the_estate(estate, data)
    if known is None:
        usage(f"there is no estate here: name one with --estate, or start a platform with `hilum up --data {data}`")
    placed = _placed(known, data)
    try:
        reports = uvloop.run(_look(placed, data, system))
    except SecretUnusable as unusable:
        usage(str(unusable))
    if not reports:
        what = f"{system} is no system that can be tested" if system else "no system of the estate can be tested"
        refused(f"{what}: its connector describes nothing and it has no [sandbox] with `openapi`")
    if to_record:
        for report in reports:
            if report.now is not None:
                record(known.root, report.now)
    show_reports(reports, recorded=to_record, as_json=as_json)
    if any(report.now is None and report.verdict == "unavailable" for report in reports):
        raise typer.Exit(2)
    settled = {"same", "additive"}
    raise typer.Exit(0 if to_record or all(report.verdict in settled for report in reports) else 1)


def _placed(estate: Estate, data: Path) -> Estate:
    """The estate with the addresses of the platform that runs on ``data``, if one does."""
    try:
        runtime = orjson.loads((data / "runtime.json").read_bytes())
    except FileNotFoundError:
        return estate
    return overlaid(estate, Path(runtime["overlay"]) if runtime.get("overlay") else None)


async def _look(estate: Estate, data: Path, system: str) -> list[Report]:
    wanted = {name: spec for name, spec in estate.systems.items() if system in ("", name)}
    connections = connect(replace(estate, systems=wanted), data)
    observers = Observers(replace(estate, systems=wanted), data, connections)
    try:
        return [await look_at(estate, name, subject) for name, subject in observers.subjects.items()]
    except (Unavailable, Rejected) as failure:
        usage(str(failure))
    finally:
        await observers.close()
        await connections.close()
