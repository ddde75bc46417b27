"""`hilum parse`: look into a file of any format without a platform; what identifies a patient is masked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from hilum.cli.documents import (
    FilesArgument,
    FormatOption,
    LayoutOption,
    Opened,
    ShowPhi,
    concluded,
    opened,
    plain,
    wish,
)
from hilum.cli.findings import JsonList, finding_text, told
from hilum.cli.platform import JsonOption, console
from hilum.formats.findings import Finding
from hilum.formats.outline import Outline
from hilum.security.redaction import mask

_MOST_CHARACTERS = 500
"""A longer value is cut in the tree; JSON has all of it."""


def parse(
    files: FilesArgument,
    show_phi: ShowPhi = False,
    format_name: FormatOption = None,
    layout: LayoutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is in HL7 v2, X12, FHIR, cXML, UBL, BAI2, tables and labels, and what is wrong with it in the standard's codes.

    Patient data is masked unless --show-phi. Exit 0 when all of it reads without an error, 1 when something does not,
    2 when a file cannot be read.

    Example: hilum parse estates/lakeshore/samples/implants_charged.hl7
    """
    wished = wish(format_name, layout)
    with concluded() as outcome, JsonList("files", as_json) as listed:
        out = console()
        for file in opened(files, wished, outcome):
            with outcome.about(file.name):
                document, findings = read(file)
                outcome.errors |= any(finding.severity == "error" for finding in findings)
                outline: Outline = file.module.outline(document)
                if as_json:
                    listed.add(
                        {
                            "file": file.name,
                            "format": file.format.name,
                            "outline": outline.as_json(None if show_phi else mask),
                            "findings": [told(finding) for finding in findings],
                        }
                    )
                else:
                    _show(out, file, outline, findings, show_phi)


def read(file: Opened) -> tuple[Any, list[Finding]]:
    """The document in a file and what is wrong with it; FormatError when it is none."""
    data = file.whole()
    if file.format.name == "table":
        document = file.module.parse(data, file.wish.layout, delimiter=file.delimiter)
    else:
        document = file.module.parse(data)
    return document, file.module.validate(document)


def _show(out: Console, file: Opened, outline: Outline, findings: list[Finding], show_phi: bool) -> None:
    out.rule(Text.assemble((plain(file.name), "bold"), (f"  {file.format.title}", "dim")), align="left", style="dim")
    # What goes into a file or a pipe needs no colours, and a claim file has tens of thousands of lines.
    coloured = out.is_terminal
    for guide, node in _lines(outline):
        parts = [(guide, "dim"), (plain(node.label), "cyan")]
        if node.value is not None:
            value = mask(node.value) if node.protected and not show_phi else node.value
            parts += [("  ", ""), (_short(plain(value)), "")]
        if node.note is not None:
            parts.append((f"  {plain(node.note)}", "dim"))
        if coloured:
            out.print(Text.assemble(*parts), soft_wrap=True)
        else:
            typer.echo("".join(text for text, _ in parts))
    for finding in findings:
        out.print(finding_text(finding), soft_wrap=True)


def _lines(root: Outline) -> Iterator[tuple[str, Outline]]:
    """Each node with the guide that stands before it, without recursion: a file decides how deep it is."""
    waiting = [("", "", root)]
    while waiting:
        guide, below, node = waiting.pop()
        yield guide, node
        last = len(node.children) - 1
        for place in range(last, -1, -1):
            branch, bar = ("└─ ", "   ") if place == last else ("├─ ", "│  ")
            waiting.append((below + branch, below + bar, node.children[place]))


def _short(text: str) -> str:
    if len(text) <= _MOST_CHARACTERS:
        return text
    return f"{text[:_MOST_CHARACTERS]}… ({len(text) - _MOST_CHARACTERS} more characters)"
