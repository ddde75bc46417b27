"""`hilum validate`: what is wrong with files of any format, in the codes of their standards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from hilum.cli.documents import (
    FilesArgument,
    FormatOption,
    LayoutOption,
    Opened,
    Outcome,
    concluded,
    opened,
    plain,
    wish,
)
from hilum.cli.findings import JsonList, finding_line, told
from hilum.cli.parse import read
from hilum.cli.platform import JsonOption, console, usage
from hilum.formats import tabular
from hilum.formats.findings import Finding, FormatError
from hilum.formats.recognition import FORMATS

CodesOption = Annotated[
    Path | None,
    typer.Option("--codes", help="Code lists (CARC, RARC, status ...) for X12, as CSV with the columns list and code."),
]
Codes = Mapping[str, Collection[str]]

_MOST_LISTED = 5_000
"""Of one file; the counts go on, but nobody reads further. Amounts that do not balance are listed apart from the others."""


def validate(
    files: FilesArgument,
    format_name: FormatOption = None,
    layout: LayoutOption = None,
    codes: CodesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with HL7 v2, X12, FHIR, cXML, UBL, BAI2, tables and labels: file, line, place and the standard's code.

    Exit 0 when nothing is, or only warnings are told, 1 on errors, 2 when a file cannot be read.

    Example: hilum validate remittance.835 orders/*.edi
    """
    wished, lists = wish(format_name, layout), code_lists(codes)
    with concluded() as outcome, JsonList("files", as_json) as listed:
        for file in opened(files, wished, outcome):
            _report(file, lists, outcome, listed, as_json)


def _report(file: Opened, codes: Codes | None, outcome: Outcome, listed: JsonList, as_json: bool) -> None:
    out = console()
    counts: Counter[str] = Counter()
    kept: list[dict[str, Any]] = []
    balances = listed_here = 0
    with outcome.about(file.name):
        for finding in _findings(file, codes):
            counts[finding.severity] += 1
            unbalanced = finding.severity == "error" and finding.details().get("level") == "balance"
            balances += unbalanced
            if (balances if unbalanced else counts.total()) > _MOST_LISTED:
                continue
            listed_here += 1
            if as_json:
                kept.append(told(finding))
            else:
                out.print(finding_line(file.name, finding), soft_wrap=True)
        outcome.errors |= counts["error"] > 0
        if as_json:
            said = {"file": file.name, "format": file.format.name}
            listed.add(said | {"errors": counts["error"], "warnings": counts["warning"], "findings": kept})
            return
        if counts.total() > listed_here:
            out.print(f"{plain(file.name)}: {counts.total() - listed_here} more", markup=False, soft_wrap=True)
        verdict = Text(f"{plain(file.name)}: {file.format.title}, ")
        verdict.append(_counted(counts), style="red" if counts["error"] else "green")
        if balances:
            verdict.append(f", {balances} where amounts do not balance", style="red")
        out.print(verdict, soft_wrap=True)


def _findings(file: Opened, codes: Codes | None) -> Iterator[Finding]:
    """All findings of a file; one that cannot be read is a finding too. X12 and tables are read as they come."""
    try:
        if file.format.name == "x12":
            for _, found in checked_transactions(file, file.chunks(), codes):
                yield from found
        elif file.format.name == "table":
            for _, rows_found in tabular.rows(file.chunks(), layout_of(file)):
                yield from rows_found
        else:
            yield from read(file)[1]
    except FormatError as error:
        yield error.finding


def checked_transactions(
    file: Opened, chunks: Iterator[bytes], codes: Codes | None
) -> Iterator[tuple[Any | None, list[Finding]]]:
    """Each X12 transaction with what is wrong with it, as soon as it was read; None for findings on groups and interchanges."""
    x12 = file.module
    around: list[Finding] = []
    report: Callable[[Finding], None] = around.append
    for transaction in x12.transactions(chunks, report):
        if around:
            yield None, around.copy()
            around.clear()
        yield transaction, [*transaction.envelope_findings, *x12.check(transaction, codes)]
    if around:
        yield None, around


def layout_of(file: Opened) -> tabular.Layout:
    """The layout declared, or the one the table's start seems to have."""
    return tabular.parse(file.head, file.wish.layout, delimiter=file.delimiter).layout


def code_lists(path: Path | None) -> Codes | None:
    """Code lists by name from the user's file; exit 2 with a sentence when it is none."""
    if path is None:
        return None
    try:
        x12 = FORMATS["x12"].module
        lists: Codes = x12.read_codes(path.read_bytes())
        if unknown := sorted(set(lists) - x12.list_names()):
            names = ", ".join(plain(name[:40]) for name in unknown[:10])
            typer.echo(f"{path}: no X12 table asks for {names}; they are not looked into", err=True)
        return lists
    except OSError as error:
        usage(f"{path} cannot be read: {error.strerror}")
    except FormatError as wrong:
        usage(f"{path}: {wrong.text}" + (f" on line {wrong.line}" if wrong.line is not None else ""))


def _counted(counts: Counter[str]) -> str:
    said = [
        f"{counts[severity]} {name if counts[severity] == 1 else plural}"
        for severity, name, plural in (
            ("error", "error", "errors"),
            ("warning", "warning", "warnings"),
            ("information", "note", "notes"),
        )
        if counts[severity]
    ]
    return ", ".join(said) if said else "nothing wrong"
