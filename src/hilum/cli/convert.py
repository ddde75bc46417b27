"""`hilum convert`: what files of any format say, as canonical JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from hilum.cli.documents import (
    FilesArgument,
    FormatOption,
    LayoutOption,
    Opened,
    Outcome,
    concluded,
    opened,
    wish,
)
from hilum.cli.findings import JsonList, finding_line, json_bytes
from hilum.cli.parse import read
from hilum.cli.platform import JsonOption
from hilum.cli.validate import Codes, CodesOption, checked_transactions, code_lists, layout_of
from hilum.formats import tabular
from hilum.formats.canonical import Canonical, Record, as_json
from hilum.formats.findings import Finding, FormatError

_SMALL_BYTES = 1 << 20


def convert(
    files: FilesArgument,
    format_name: FormatOption = None,
    layout: LayoutOption = None,
    codes: CodesOption = None,
    as_json_array: JsonOption = False,
) -> None:
    """Write canonical JSON, one document for each transaction, message, resource or row; amounts are decimal strings.

    It holds what the files hold, patients too. ``source`` says where each document comes from and how many errors its
    transaction has; what they are goes to standard error. A transaction that cannot be converted is told there and its
    neighbours go through. --json makes one array of all. Exit 0 when nothing is wrong, 1 on errors, 2 when a file cannot
    be read.

    Example: hilum convert remittance.835 | jq .claims
    """
    wished, lists = wish(format_name, layout), code_lists(codes)
    with concluded() as outcome, JsonList(None, as_json_array) as listed:
        for file in opened(files, wished, outcome):
            with outcome.about(file.name):
                if not file.format.offers("convert"):
                    outcome.refuse(file.name, f"{file.format.title} has no canonical shape")
                    continue
                for document, source in _converted(file, lists, outcome):
                    said = {"source": {"file": file.name} | source} | as_json(document)
                    if as_json_array:
                        listed.add(said)
                    else:
                        typer.echo(json_bytes(said))


Source = dict[str, Any]
"""Where in its file a document stands, and the errors of its transaction."""


def _converted(file: Opened, codes: Codes | None, outcome: Outcome) -> Iterator[tuple[Canonical, Source]]:
    if file.format.name == "x12":
        yield from _x12(file, codes, outcome)
    elif file.format.name == "table":
        for row, wrong in tabular.rows(file.chunks(), layout_of(file)):
            _tell(file, list(wrong), outcome)
            if row is not None and not any(finding.severity == "error" for finding in wrong):
                content = {name: value for name, value in row.values.items() if value is not None}
                yield Record(type="row", control_number=str(row.number), content=content), {"errors": 0}
    else:
        document, found = read(file)
        _tell(file, found, outcome)
        source = {"errors": _errors(found)}
        yield from ((made, source) for made in file.module.convert(document))


def _errors(found: list[Finding]) -> int:
    return sum(finding.severity == "error" for finding in found)


def _x12(file: Opened, codes: Codes | None, outcome: Outcome) -> Iterator[tuple[Canonical, Source]]:
    """Transaction by transaction; what one lacks is told, and the next one comes."""
    from hilum.formats.x12.conversion.acknowledgement import interchange_acknowledgement  # Loaded for X12 alone.

    data, chunks = file.whole_when_small(_SMALL_BYTES)
    if data is not None:
        # A TA1 stands outside of every transaction; files of them are small.
        for interchange in file.module.parse(data).interchanges:
            if (answer := interchange_acknowledgement(interchange)) is not None:
                yield answer, {"interchange": interchange.control_number, "errors": 0}
    for transaction, found in checked_transactions(file, chunks, codes):
        _tell(file, found, outcome)
        if transaction is None:
            continue
        source = {
            "line": transaction.first_line,
            "interchange": transaction.interchange_control,
            "group": transaction.group_control,
            "transaction": transaction.control_number,
            "errors": _errors(found),
        }
        try:
            yield from ((made, source) for made in file.module.convert_transaction(transaction))
        except FormatError as error:
            _tell(file, [error.finding], outcome)


def _tell(file: Opened, found: list[Finding], outcome: Outcome) -> None:
    for finding in found:
        outcome.errors |= finding.severity == "error"
        if finding.severity != "information":
            outcome.told.print(finding_line(file.name, finding), soft_wrap=True)
