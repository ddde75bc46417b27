"""How contract tests are shown in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape

from hilum.cli.platform import console, print_json
from hilum.governance.contract_tests import Report

_WORDS = {
    "same": "[green]● as recorded[/]",
    "additive": "[green]● has more than recorded[/]",
    "deprecated": "[yellow]◐ deprecated in part[/]",
    "breaking": "[red]✖ broken[/]",
    "unrecorded": "[yellow]○ not recorded[/]",
    "unavailable": "[red]✖ could not be asked[/]",
}
_KINDS = {"breaking": "[red]breaking[/]", "deprecated": "[yellow]deprecated[/]", "additive": "[dim]additive[/]"}


def show_reports(reports: Sequence[Report], *, recorded: bool, as_json: bool) -> None:
    """One line for each system, and below it one for each change with the operations that meet it."""
    if as_json:
        print_json(
            [
                {
                    "system": report.system,
                    "verdict": report.verdict,
                    "detail": report.detail,
                    "recorded": recorded and report.now is not None,
                    "changes": [vars(change) for change in report.changes],
                }
                for report in reports
            ]
        )
        return
    out = console()
    for report in reports:
        detail = f"  [dim]{escape(report.detail)}[/]" if report.detail and not recorded else ""
        out.print(f"[bold]{escape(report.system)}[/]  {_WORDS[report.verdict]}{detail}")
        for change in report.changes:
            out.print(f"  {_KINDS[change.kind]}  {escape(str(change))}")
        if recorded and report.now is not None:
            out.print(f"  recorded in descriptions/{escape(report.system)}.json ({len(report.now.parts)} parts)")
