"""Acknowledgements: MSA and ERR (HL7 v2.5.1 ch. 2.9, 2.15.5 and 2.15.8)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Literal, NamedTuple, cast, get_args

from hilum.formats.findings import Severity
from hilum.formats.hl7v2.charsets import widened
from hilum.formats.hl7v2.delimiters import STANDARD, Delimiters, escaper
from hilum.formats.hl7v2.findings import MEANINGS, Code, Finding, HL7Error, HL7ParseError
from hilum.formats.hl7v2.header import Header
from hilum.formats.hl7v2.message import Message, Segment
from hilum.formats.hl7v2.paths import InvalidPath, Path, parse_path
from hilum.formats.hl7v2.structures import VERSIONS

AckCode = Literal["AA", "AE", "AR", "CA", "CE", "CR"]
Mode = Literal["asked", "original", "enhanced"]

_ACCEPT: dict[str, AckCode] = {"AA": "CA", "AE": "CE", "AR": "CR"}
_SEVERITIES = {"error": "E", "warning": "W", "information": "I"}
_SEVERITY_WORDS: dict[str, Severity] = {"E": "error", "F": "error", "W": "warning", "I": "information"}
# Longer than any identifier the standard allows (HD is 227 in 2.5.1): what is longer is no identifier to give back.
_ECHO_MAX_CHARACTERS = 250
_FALLBACK_VERSION = "2.5.1"
_FINDINGS_MAX = 100


def code_for(header: Header | None, code: AckCode, mode: Mode = "asked") -> AckCode:
    """The code in the mode that the sender asks for: AA, AE, AR become CA, CE, CR when MSH-15 asks for an accept."""
    enhanced = mode == "enhanced" or (mode == "asked" and header is not None and header.wants_accept)
    return _ACCEPT.get(code, code) if enhanced else code


def acknowledge(
    message: Message | Header | None,
    code: AckCode,
    findings: Sequence[Finding] = (),
    *,
    control_id: str,
    timestamp: datetime,
    mode: Mode = "asked",
) -> bytes:
    """The ACK that a message earns.

    ``message`` may be its header alone, or None when not even that could be read. Sender and receiver are swapped,
    delimiters, processing id, version and MSH-10 echoed as they came. ``findings`` become ERR segments in the form of
    the sender's version (ERR-1 before 2.5). In ``mode`` "asked", AA/AE/AR turn into CA/CE/CR when MSH-15 asks for an
    accept acknowledgement. ``control_id`` is the ACK's own number and ``timestamp`` its aware time.
    """
    header = message.header if isinstance(message, Message) else message
    delimiters, version, fields = _envelope(header, control_id, timestamp)
    separator = delimiters.field
    number = _echo(header, 10)
    answer = ["MSA", code_for(header, code, mode), number]
    if findings and version < (2, 7):
        answer.append(_text(findings[0].text, delimiters))
    lines = [separator.join(fields), separator.join(answer)]
    lines.extend(_errors(findings[:_FINDINGS_MAX], delimiters, version))
    data = ("\r".join(lines) + "\r").encode("latin-1")
    codec = header.answer_codec if header is not None else ""
    if codec:
        wide = header is not None and header.wide
        return widened(data, codec) if wide else data.decode().encode(codec)
    return data


class Receipt(NamedTuple):
    """What a received acknowledgement says of a message of ours."""

    code: AckCode
    control_id: str | None
    """MSA-2: the MSH-10 of the message that it answers."""
    findings: tuple[Finding, ...]
    """Its ERR segments, in either form."""

    @property
    def accepted(self) -> bool:
        """Whether the message was taken (AA, CA)."""
        return self.code in ("AA", "CA")

    @property
    def final(self) -> bool:
        """Whether nothing further is to come: an accept of the enhanced mode only says that the message is safe."""
        return self.code != "CA"


def receipt_of(answer: Message) -> Receipt:
    """Read a received acknowledgement; HL7Error when it has no MSA or its code is not of table 0008."""
    code = answer["MSA-1"]
    if code not in get_args(AckCode):
        raise HL7Error(Code.TABLE_VALUE, "the acknowledgement code is not in table 0008", "MSA-1")
    told = [finding for error in answer.segments("ERR") for finding in _told(error)]
    return Receipt(cast(AckCode, code), answer.get("MSA-2.1"), tuple(told))


def answers(answer: Message, sent: Message | Header) -> bool:
    """Whether an acknowledgement is that of ``sent``: MSA-2 is its MSH-10 (ch. 2.9.2)."""
    number = answer.get("MSA-2.1")
    return number is not None and number == sent.control_id


def error_codes(error: Segment) -> list[str]:
    """The codes of an ERR segment: ERR-3 from 2.5 on, before that the fourth component of each repetition of ERR-1."""
    if (code := error.get("3.1")) is not None:
        return [code]
    told = (error.get(f"1[{place}].4.1") for place in range(1, error.repetitions("1") + 1))
    return [code for code in told if code is not None]


def _told(error: Segment) -> Iterator[Finding]:
    """One ERR segment; its texts may hold values of the message, so only codes and places are taken."""
    severity = _SEVERITY_WORDS.get(error.get("4") or "E", "error")
    if error.get("3.1") is not None or error.get("2.1") is not None:
        steps = [error.get(f"2.{part}") for part in range(1, 7)]
        yield _finding(error.get("3.1"), steps, severity)
        return
    for place in range(1, max(error.repetitions("1"), 1) + 1):
        steps = [error.get(f"1[{place}].{part}") for part in (1, 2, 3)]
        yield _finding(error.get(f"1[{place}].4.1"), steps, severity)


def _finding(code: str | None, steps: list[str | None], severity: Severity) -> Finding:
    code = code or Code.INTERNAL_ERROR
    name, *numbers = [*steps, None, None, None][:6]
    text = MEANINGS.get(code, "the receiver has its own code for this")
    if name is None or re.fullmatch("[A-Z][A-Z0-9]{2}", name) is None:
        return Finding(str(code), text, None, severity)
    occurrence, field, repetition, component, subcomponent = (
        int(number) if number is not None and number.isdigit() and len(number) < 6 else 0 for number in numbers
    )
    where = Path(
        name, occurrence or 1, field, repetition or 1, component if field else 0, subcomponent if component else 0
    )
    return Finding(str(code), text, str(where), severity)


def _envelope(
    header: Header | None, control_id: str, timestamp: datetime
) -> tuple[Delimiters, tuple[int, ...], list[str]]:
    delimiters = _delimiters(header)
    version = _echo(header, 12)
    known = header.version if header is not None else None
    if known is None or known not in VERSIONS:
        version = known = _FALLBACK_VERSION
    numbers = _numbers(known)
    event = header.component(9, 2) if header is not None else ""
    mark = delimiters.component
    kind = ["ACK"]
    if mark and event and len(event) <= 20 and numbers >= (2, 2):
        kind = ["ACK", event, "ACK"] if numbers >= (2, 3, 1) else ["ACK", event]
    fields = [
        "MSH", delimiters.encoding,
        _echo(header, 5), _echo(header, 6), _echo(header, 3), _echo(header, 4),
        _text(timestamp.strftime("%Y%m%d%H%M%S%z" if numbers >= (2, 3) else "%Y%m%d%H%M%S"), delimiters),
        "", mark.join(kind), _text(control_id, delimiters), _echo(header, 11) or "P", version,
    ]  # fmt: skip
    charset = _echo(header, 18)
    if charset and numbers >= (2, 3):
        fields.extend(["", "", "", "", "", charset])
    return delimiters, numbers, fields


@lru_cache(maxsize=64)
def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _delimiters(header: Header | None) -> Delimiters:
    """The sender's, or the standard's where the sender's cannot carry an answer."""
    if header is None:
        return STANDARD
    try:
        return header.checked_delimiters()
    except HL7ParseError:
        separator = header.raw(1)
        return STANDARD if separator in STANDARD.encoding else STANDARD._replace(field=separator)


def _echo(header: Header | None, number: int) -> str:
    """MSH-``number`` as it came, one character for each byte; "" when it is missing or no identifier at all."""
    text = header.raw(number) if header is not None else ""
    # MLLP's frame bytes inside a value would cut the answer in two.
    return text if len(text) <= _ECHO_MAX_CHARACTERS and "\x0b" not in text and "\x1c" not in text else ""


def _text(text: str, delimiters: Delimiters) -> str:
    """Our own words as a leaf; an answer is ASCII so that it is right in any character set."""
    plain = text.encode("ascii", "replace").decode()
    if not delimiters.escape:
        return "".join(" " if character in delimiters else character for character in plain)
    return escaper(delimiters)(plain)


def _errors(findings: Sequence[Finding], delimiters: Delimiters, version: tuple[int, ...]) -> list[str]:
    """ERR segments: one for each finding from 2.5 on; before that an answer has one at most, whose ERR-1 repeats."""
    if not findings or version < (2, 2):
        return []
    if version >= (2, 5):
        return [_error(finding, delimiters) for finding in findings]
    told = [_located(finding, delimiters) for finding in findings]
    value = delimiters.repetition.join(told) if delimiters.repetition else told[0]
    return [delimiters.field.join(["ERR", value])]


def _coded(finding: Finding) -> list[str]:
    """A code that is not of table 0357 is our own business and told as 207."""
    code = finding.code if finding.code in MEANINGS else "207"
    return [code, MEANINGS[code], "HL70357"]


def _located(finding: Finding, delimiters: Delimiters) -> str:
    """One repetition of ERR-1, data type ELD (2.4 ch. 2.16.4.1): segment, its occurrence, field, code."""
    where, coded = _place(finding.location), _coded(finding)
    place = [where.segment, str(where.occurrence), str(where.field or "")] if where is not None else ["", "", ""]
    inner = delimiters.subcomponent.join(coded) if delimiters.subcomponent else coded[0]
    return delimiters.component.join([*place, inner])


def _error(finding: Finding, delimiters: Delimiters) -> str:
    """One ERR segment as from 2.5 on."""
    where, coded = _place(finding.location), _coded(finding)
    component = delimiters.component
    location = component.join(_location(where)) if where is not None else ""
    severity = _SEVERITIES[finding.severity]
    text = _text(finding.text, delimiters)
    return delimiters.field.join(["ERR", "", location, component.join(coded), severity, "", "", "", text])


def _place(location: str | None) -> Path | None:
    try:
        return parse_path(location) if location else None
    except InvalidPath:
        return None


def _location(where: Path) -> list[str]:
    """ERR-2, data type ERL (ch. 2A.28): segment, its occurrence, field, repetition, component, subcomponent."""
    parts = [where.segment, str(where.occurrence)]
    if where.field:
        parts += [str(where.field), str(where.repetition)]
        parts += [str(part) for part in (where.component, where.subcomponent) if part]
    return parts
