"""`hilum parse`: look into HL7 v2 messages without a platform; what identifies a patient is masked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from hilum.cli.platform import JsonOption, console, print_json, refused, usage
from hilum.formats import hl7v2
from hilum.security.redaction import mask

# Segments about the patient, relatives, guarantors and insured persons (HL7 v2.5.1 ch. 3 and 6), and site-defined ones.
_PROTECTED_SEGMENTS = frozenset({"PID", "PD1", "NK1", "GT1", "IN1", "IN2", "IN3", "MRG", "ACC", "ROL", "CON", "ARV"})
_PROTECTED_FIELDS = {
    "PV1": frozenset({"5", "19", "22", "50"}), "OBX": frozenset({"5"}), "NTE": frozenset({"3"}), "QRD": frozenset({"8"}),
    "QPD": frozenset({"3", "4", "5"}), "FT1": frozenset({"23"}), "TXA": frozenset({"12", "16"}), "OBR": frozenset({"13", "39"}),
}  # fmt: skip
# The set id, and codes that say nothing about who the person is.
_HARMLESS = {
    "PID": frozenset({"1", "31", "32", "35"}),
    "NK1": frozenset({"1"}),
    "GT1": frozenset({"1"}),
    "IN1": frozenset({"1"}),
}

FileArgument = Annotated[
    str, typer.Argument(metavar="FILE|-", help="A file of one or many HL7 v2 messages; - reads standard input.")
]
ShowPhi = Annotated[
    bool, typer.Option("--show-phi", help="Show protected health information, which is masked otherwise.")
]


def parse(file: FileArgument, show_phi: ShowPhi = False, as_json: JsonOption = False) -> None:
    """Show HL7 v2 messages field by field, with what is wrong with them in the codes of table 0357.

    Patient data is masked unless --show-phi. Exit 0 when every message reads without an error, 1 when one does not,
    2 when the file cannot be read.

    Example: hilum parse estates/lakeshore/samples/implants_charged.hl7
    """
    data = _read(file)
    shown, bad = [], False
    for raw in _messages(data):
        try:
            message = hl7v2.Message.parse(raw)
            findings = hl7v2.validate(message)
            tree = hl7v2.tree(message)
        except hl7v2.HL7Error as error:
            bad = True
            shown.append(
                {
                    "type": None,
                    "findings": [
                        {"severity": "error", "code": error.code, "text": error.text, "location": error.location}
                    ],
                    "segments": [],
                }
            )
            continue
        bad = bad or any(f.severity == "error" for f in findings)
        tree["findings"] = [
            {"severity": f.severity, "code": f.code, "text": f.text, "location": f.location} for f in findings
        ]
        shown.append(tree if show_phi else _masked(tree))
    if not shown:
        refused(f"{file} holds no message")
    if as_json:
        print_json({"file": file, "messages": shown})
    else:
        for number, tree in enumerate(shown, start=1):
            _show(number, tree)
    raise typer.Exit(1 if bad else 0)


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        usage(f"{file} cannot be read: {error.strerror}")


def _messages(data: bytes) -> Iterator[bytes]:
    try:
        yield from hl7v2.split_messages(data)
    except hl7v2.HL7ParseError as error:
        where = f" at {error.location}" if error.location else ""
        refused(f"this is no HL7 v2: {error.code}: {error.text}{where}")


def _masked(tree: dict[str, Any]) -> dict[str, Any]:
    segments = []
    for segment in tree["segments"]:
        name = segment["segment"]
        fields = {
            number: _mask(value) if _protected(name, number) else value for number, value in segment["fields"].items()
        }
        segments.append({**segment, "fields": fields})
    return {**tree, "segments": segments}


def _protected(segment: str, field: str) -> bool:
    if field in _HARMLESS.get(segment, ()):
        return False
    return segment in _PROTECTED_SEGMENTS or segment.startswith("Z") or field in _PROTECTED_FIELDS.get(segment, ())


def _mask(value: Any) -> Any:
    if isinstance(value, dict):
        return {place: _mask(part) for place, part in value.items()}
    if isinstance(value, list):
        return [_mask(part) for part in value]
    return mask(value) if isinstance(value, str) else value


def _show(number: int, tree: dict[str, Any]) -> None:
    out = console()
    if tree["type"] is not None:
        told = "".join(
            f", {name.replace('_', ' ')} {tree[name]}" for name in ("control_id", "version") if tree[name] is not None
        )
        out.rule(f"[bold]{number}. {escape(str(tree['type']))}[/][dim]{escape(told)}[/]", align="left", style="dim")
    else:
        out.rule(f"[bold]{number}. unreadable[/]", align="left", style="dim")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for segment in tree["segments"]:
        for field, repetitions in segment["fields"].items():
            for place, repetition in enumerate(repetitions, start=1):
                path = f"{segment['segment']}-{field}" + (f"[{place}]" if len(repetitions) > 1 else "")
                for leaf, text in _leaves(path, repetition):
                    table.add_row(escape(leaf), escape(text))
        table.add_section()
    out.print(table)
    for finding in tree["findings"]:
        where = f" at {finding['location']}" if finding["location"] is not None else ""
        colour = "red" if finding["severity"] == "error" else "yellow"
        out.print(f"[{colour}]{finding['severity']} {finding['code']}[/] {escape(finding['text'] + where)}")


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for place, part in value.items():
            yield from _leaves(f"{path}.{place}", part)
    else:
        yield path, '""' if value is None else str(value)
