"""Whether a message is what its type promises; findings in the codes of table 0357."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC
from itertools import islice

from hilum.formats.hl7v2.delimiters import NULL, Delimiters
from hilum.formats.hl7v2.findings import Code, Finding, HL7Error
from hilum.formats.hl7v2.message import Message, Segment
from hilum.formats.hl7v2.structures import (
    CONTROL_ID_MAX_CHARACTERS,
    FIELD_MAX_CHARACTERS,
    MANY,
    REQUIRED,
    STRUCTURES,
    TABLES,
    TYPES,
    UNLIMITED,
    VERSIONS,
    Profile,
)
from hilum.formats.hl7v2.timestamps import parse_timestamp

_FINDINGS_MAX = 200
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)", re.ASCII)
_SEQUENCE = re.compile(r"\d+", re.ASCII)


def validate(message: Message, profile: Profile | None = None) -> list[Finding]:
    """What is wrong with a message, at most 200 findings; an empty list when nothing is.

    Checks every message's version, processing id, required fields, first data types and lengths, and the segments that
    its type needs: those of ``profile``, or of ``STRUCTURES`` when none is given. Unknown types and Z segments are fine.
    """
    kind = message.type or ""
    structure = profile or STRUCTURES.get(kind) or STRUCTURES.get(kind.partition("^")[0])
    return list(islice(_findings(message, structure), _FINDINGS_MAX))


def _findings(message: Message, profile: Profile | None) -> Iterator[Finding]:
    version = message.version
    if version is not None and version not in VERSIONS:
        yield Finding(Code.UNSUPPORTED_VERSION, "the version is none of 2.1 to 2.8", "MSH-12.1")
    for path, (code, allowed, text) in TABLES.items():
        value = message.get(path)
        if value is not None and value not in allowed:
            yield Finding(code, text, path)
    if len(message.control_id or "") > CONTROL_ID_MAX_CHARACTERS:
        text = f"the control id is longer than {CONTROL_ID_MAX_CHARACTERS} characters"
        yield Finding(Code.DATA_TYPE, text, "MSH-10")
    if profile is not None:
        yield from _needs(message, profile)
    for segment in message:
        yield from _segment(segment, profile, message.delimiters)


def _needs(message: Message, profile: Profile) -> Iterator[Finding]:
    """Required segments are there, not too often, and first appear in the profile's order."""
    reached, before = 0, "MSH"
    for need in profile.needs:
        present = message.segments(need.name)
        if not present:
            yield Finding(Code.SEGMENT_SEQUENCE, f"{profile.name} needs a segment {need.name}", need.name)
            continue
        if need.most != MANY and len(present) > need.most:
            text = f"{profile.name} has {need.name} at most {need.most} time(s)"
            yield Finding(Code.SEGMENT_SEQUENCE, text, f"{need.name}({need.most + 1})")
        if present[0].position < reached:
            yield Finding(Code.SEGMENT_SEQUENCE, f"{need.name} comes after {before} in {profile.name}", need.name)
        reached, before = present[0].position, need.name


def _segment(segment: Segment, profile: Profile | None, delimiters: Delimiters) -> Iterator[Finding]:
    name = segment.name
    wanted = REQUIRED.get(name, ()) + (profile.fields.get(name, ()) if profile is not None else ())
    for path in wanted:
        if segment.get(path) is None:
            yield Finding(Code.REQUIRED_FIELD_MISSING, "a required field is missing", segment.path(path))
    for number, kind in TYPES.get(name, {}).items():
        for repetition, value in _first_components(segment.whole(number), delimiters):
            if (problem := _problem(value, kind)) is not None:
                yield Finding(Code.DATA_TYPE, problem, segment.path(f"{number}[{repetition}].1"))
    if len(segment.text) > FIELD_MAX_CHARACTERS:
        for number in range(1, segment.length + 1):
            if (name, number) not in UNLIMITED and len(segment.whole(number)) > FIELD_MAX_CHARACTERS:
                text = f"the field is longer than {FIELD_MAX_CHARACTERS} characters"
                yield Finding(Code.DATA_TYPE, text, segment.path(str(number)), "warning")


def _first_components(text: str, delimiters: Delimiters) -> Iterator[tuple[int, str]]:
    """The first component of each repetition that has one; split once, because a field may have a million repetitions."""
    for repetition, part in enumerate(text.split(delimiters.repetition) if delimiters.repetition else [text], 1):
        value = part.partition(delimiters.component)[0] if delimiters.component else part
        if value and value != NULL:
            yield repetition, value


def _problem(value: str, kind: str) -> str | None:
    """Why a value is not of its type, without the value; None when it is."""
    if kind == "TS":
        try:
            parse_timestamp(value, UTC)
        except HL7Error as wrong:
            return wrong.text
        return None
    if kind == "NM":
        return None if _NUMBER.fullmatch(value) else "the value is no number"
    return None if _SEQUENCE.fullmatch(value) else "the value is no sequence number"
