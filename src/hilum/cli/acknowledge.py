"""`hilum ack`: the acknowledgement that a file earns, as its sender would get it."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from hilum.cli.documents import (
    FilesArgument,
    FormatOption,
    Opened,
    concluded,
    opened,
    wish,
)
from hilum.cli.findings import JsonList, finding_line, told
from hilum.cli.platform import JsonOption, now, usage
from hilum.cli.validate import Codes, CodesOption, code_lists
from hilum.formats.findings import Finding, FormatError

# An acknowledgement earns none, or two systems would thank each other for ever.
_ANSWERS = frozenset({"ACK", "MCF"})
_REJECTED = frozenset({"200", "201", "202", "203"})
KINDS = ("999", "997", "TA1")

OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write the acknowledgements to this file, byte for byte.")
]
KindOption = Annotated[
    str | None, typer.Option("--kind", help=f"For X12: {', '.join(KINDS)}; otherwise what is usual.")
]
NumberOption = Annotated[
    int | None,
    typer.Option(
        "--control-number",
        min=1,
        max=999_999_999,
        help="The first control number of the answers; from the clock otherwise.",
    ),
]


def ack(
    files: FilesArgument,
    format_name: FormatOption = None,
    kind: KindOption = None,
    codes: CodesOption = None,
    control_number: NumberOption = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the 999, 997, TA1, HL7 ACK, OperationOutcome or cXML Response that each file earns, ready to be sent.

    Why goes to standard error. Exit 0 when everything is accepted, 1 when something is not, 2 when a file cannot be read.

    Example: hilum ack claims.837 > answer.999
    """
    if kind is not None and kind not in KINDS:
        usage(f"--kind {kind} is none of {', '.join(KINDS)}")
    wished, lists = wish(format_name, None), code_lists(codes)
    at = now()
    number = control_number if control_number is not None else int(f"{at:%j%H%M%S}")
    answers: list[bytes] = []
    with concluded() as outcome, JsonList("files", as_json) as listed:
        for file in opened(files, wished, outcome):
            with outcome.about(file.name):
                if not file.format.offers("acknowledge"):
                    outcome.refuse(file.name, f"{file.format.title} has no acknowledgement")
                    continue
                answer, found, used = _answer(file, kind, lists, number, at)
                number = (number + used - 1) % 999_999_999 + 1
                accepted = not any(finding.severity == "error" for finding in found)
                outcome.errors |= not accepted
                for finding in found:
                    outcome.told.print(finding_line(file.name, finding), soft_wrap=True)
                if answer is None:
                    outcome.refuse(file.name, "this earns no acknowledgement")
                    continue
                answers.append(answer)
                if as_json:
                    said = {"file": file.name, "format": file.format.name, "accepted": accepted}
                    text = answer.decode("utf-8", "replace")
                    listed.add(said | {"acknowledgement": text, "findings": [told(finding) for finding in found]})
                elif output is None:
                    _write(answer)
        if output is not None:
            try:
                output.write_bytes(b"".join(answers))
            except OSError as error:
                usage(f"{output} cannot be written: {error.strerror}")


def _answer(
    file: Opened, kind: str | None, codes: Codes | None, number: int, at: datetime
) -> tuple[bytes | None, list[Finding], int]:
    """The bytes of the answer, None when the document earns none; what is wrong with it; how many control numbers it took."""
    module, name = file.module, file.format.name
    document: Any = None
    try:
        if name == "x12":
            document, found = module.received(file.chunks(), codes)
        else:
            document = module.parse(file.whole())
            found = module.validate(document)
    except FormatError as error:
        found = [error.finding]
    if name == "hl7v2":
        return _hl7(module, document, found, number, at), found, 1
    if name == "x12":
        if document is None:
            return None, found, 0  # Without an ISA nobody knows whom to answer.
        if not any(interchange.groups or not interchange.acknowledgements for interchange in document.interchanges):
            return None, found, 0  # Nothing but TA1 segments.
        try:
            answer = module.acknowledge(document, found, kind=kind, control_number=number, now=at)
        except FormatError as nothing:
            return None, [*found, nothing.finding], 0
    elif name == "cxml":
        if document is not None and document.kind == "Response":
            return None, found, 0
        answer = module.acknowledge(document, found, payload_id=f"{number}@hilum", timestamp=at.isoformat())
    else:
        answer = module.acknowledge(document, found)
    return module.write(answer), found, len(answer.interchanges) if name == "x12" else 1


def _hl7(module: Any, document: Any, found: list[Finding], number: int, at: datetime) -> bytes | None:
    """One ACK a message, in the order of the file; None when nothing is due: for acknowledgements, and by MSH-15 and MSH-16."""
    if document is None:
        return bytes(module.acknowledge(None, "AR", found, control_id=str(number), timestamp=at))
    messages = document.messages if isinstance(document, module.Batch) else [document]
    answers = []
    for place, message in enumerate(messages):
        if (message.type or "").partition("^")[0] in _ANSWERS:
            continue
        own = found if message is document else module.validate(message)
        wrong = [finding for finding in own if finding.severity == "error"]
        # What is not supported is rejected, what is wrong is an error (HL7 v2.5.1 ch. 2.9.2).
        code = "AA" if not wrong else "AR" if any(finding.code in _REJECTED for finding in wrong) else "AE"
        header = message.header
        if not header.accept_due(not wrong) and not header.application_due(not wrong):
            continue  # By MSH-15 and MSH-16 the sender wants to hear nothing of this.
        answers.append(module.acknowledge(message, code, wrong, control_id=f"{number}{place:03}", timestamp=at))
    return b"".join(answers) if answers else None


def _write(answer: bytes) -> None:
    """Bytes as they are: an acknowledgement's line ends are part of its format."""
    if sys.stdout is not None:
        sys.stdout.flush()
        typer.echo(answer, nl=False)
