"""`hilum check ESTATE`: refuse an estate that is not governed, with the place and what to do."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hilum.cli.platform import now
from hilum.governance.catalogue import catalogue, contract_schema
from hilum.governance.check import Report, accept_samples, check_estate
from hilum.governance.loader import load_estate

EstateFolder = Annotated[Path, typer.Argument(help="The estate's folder.", exists=True, file_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Write the report and the catalogue as JSON.")]
AcceptSamples = Annotated[
    bool,
    typer.Option(
        "--accept-samples",
        help="Write what the mappings now make of their samples as what is expected; read the difference before you commit it.",
    ),
]


def check_command(known_connectors: Collection[str] | None) -> Callable[..., None]:
    """The command, for an installation that has these kinds of connector (None: any name passes)."""

    def check(estate: EstateFolder, as_json: AsJson = False, accept: AcceptSamples = False) -> None:
        """Check an estate: owners, contracts, flows, mappings with golden samples, crosswalks, queues, secrets.

        Exit code 0 when the estate is accepted, 1 when it is refused. Every finding says where and what to do.
        """
        console = Console(soft_wrap=True)
        written = accept_samples(estate) if accept else []
        report = check_estate(estate, known_connectors, today=now().date())
        if as_json:
            typer.echo(_document(estate, report, written))
        else:
            for name in written:
                console.print(f"[yellow]wrote[/] {escape(name)}")
            _show(console, report)
        if not report.accepted:
            raise typer.Exit(1)

    return check


check = check_command(None)


def _document(estate: Path, report: Report, written: list[str]) -> str:
    document: dict[str, object] = {
        "estate": report.estate,
        "accepted": report.accepted,
        "problems": [asdict(problem) for problem in report.problems],
        "warnings": [asdict(warning) for warning in report.warnings],
        "facts": report.facts,
        "samples_written": written,
    }
    if report.accepted:
        loaded = load_estate(estate)
        document["catalogue"] = catalogue(loaded)
        document["schemas"] = {name: contract_schema(contract) for name, contract in loaded.contracts.items()}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _show(console: Console, report: Report) -> None:
    for colour, heading, findings in (("red", "refused", report.problems), ("yellow", "warning", report.warnings)):
        for finding in findings:
            console.print(f"[bold {colour}]{heading}[/] [bold]{escape(finding.where)}[/]")
            console.print(f"  {escape(finding.what)}", highlight=False)
            console.print(f"  [dim]→[/] {escape(finding.do)}\n", highlight=False)
    table = Table(title=f"Estate {report.estate}", title_justify="left", show_header=False)
    for name, count in report.facts.items():
        table.add_row(name, str(count))
    console.print(table)
    if report.accepted:
        console.print(f"[green]accepted[/]: {report.estate} is governed.")
    else:
        console.print(f"[red]refused[/]: {len(report.problems)} problem(s) in {report.estate}.")
