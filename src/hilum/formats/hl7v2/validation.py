"""Whether a message is what its version and its type promise; findings in the codes of table 0357."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from hilum.formats.findings import Severity
from hilum.formats.hl7v2.batch import Batch
from hilum.formats.hl7v2.delimiters import NULL
from hilum.formats.hl7v2.events import structure_of
from hilum.formats.hl7v2.findings import Code, Finding, MessageFinding
from hilum.formats.hl7v2.groups import plan_of
from hilum.formats.hl7v2.message import Message
from hilum.formats.hl7v2.rules import Place, rules_of, wrong_in
from hilum.formats.hl7v2.structures import ESSENTIAL, TABLES, VERSIONS, Profile
from hilum.formats.hl7v2.tables import MANY, tables_of

FINDINGS_MAX = 200
WARNINGS_MAX = 100
_LOOKED_AT_MAX = 20_000


def validate(document: Message | Batch, profile: Profile | None = None) -> list[Finding]:
    """What is wrong with a message, or with a batch and its messages: at most 200 findings (100 warnings), none when it is well.

    The tables of the version in MSH-12 say which fields are required, how often, of which type and how long they are, and
    the structure of the message's type which segments it needs in which order; ``profile`` asks for more than that. What is
    local is fine: Z segments, fields after a segment's last one, user-defined codes. Types and segments nobody knows are
    warnings. Lengths bind from 2.7 on; before that sites agree on them, so that a longer value is a warning.
    """
    if isinstance(document, Batch):
        return _bounded(_batch(document, profile))
    return _bounded(_message(document, profile, None))


def _bounded(findings: Iterator[Finding]) -> list[Finding]:
    """The first findings, in which errors are not crowded out by warnings."""
    kept: list[Finding] = []
    warnings = 0
    for finding in islice(findings, _LOOKED_AT_MAX):
        if finding.severity != "error":
            warnings += 1
            if warnings > WARNINGS_MAX:
                continue
        kept.append(finding)
        if len(kept) == FINDINGS_MAX:
            break
    return kept


def _batch(batch: Batch, profile: Profile | None) -> Iterator[Finding]:
    yield from batch.findings
    for message, (number, first) in zip(batch.messages, batch.places, strict=True):
        for finding in _bounded(_message(message, profile, number)):
            line = finding.line
            yield MessageFinding(
                finding.code, finding.text, finding.location, finding.severity,
                None if line is None else line + first - 1, number,
            )  # fmt: skip


def _message(message: Message, profile: Profile | None, number: int | None) -> Iterator[Finding]:
    found = _all(message, profile)
    first = next(found, None)
    if first is None:
        return
    lines = message.line_numbers()

    def told(wrong: tuple[str, str, str | None, Severity, int | None]) -> Finding:
        code, text, location, severity, position = wrong
        return MessageFinding(code, text, location, severity, None if position is None else lines[position], number)

    yield told(first)
    yield from map(told, found)


def _all(message: Message, profile: Profile | None) -> Iterator[tuple[str, str, str | None, Severity, int | None]]:
    """Code, text, location, severity and the segment's number from 0."""
    version = message.version
    tables = tables_of(version) if version is not None and version in VERSIONS else None
    if tables is None:
        if version is not None:
            yield Code.UNSUPPORTED_VERSION, "the version is none of 2.1 to 2.8", "MSH-12.1", "error", 0
        for path in ESSENTIAL:
            if message.get(path) is None:
                yield Code.REQUIRED_FIELD_MISSING, "a required field is missing", path, "error", 0
    for path, (code, allowed, text) in TABLES.items():
        value = message.get(path)
        if value is not None and value not in allowed:
            yield code, text, path, "error", None
    if profile is not None:
        yield from _needs(message, profile)
    if tables is not None and version is not None:
        yield from _structure(message, version)
        yield from _fields(message, version, profile)
    elif profile is not None:
        yield from _profile_fields(message, profile)


def _structure(message: Message, version: str) -> Iterator[tuple[str, str, str | None, Severity, int | None]]:
    kind = message.type
    if kind is None:
        return
    declared = message.structure
    structure = structure_of(version, kind, declared)
    if structure is None:
        tables = tables_of(version)
        code = kind.partition("^")[0]
        if code.startswith("Z") or kind.partition("^")[2].startswith("Z"):
            return
        if tables is not None and code in tables.codes:
            yield Code.UNSUPPORTED_EVENT, f"version {version} has no such event of this type", "MSH-9.2", "warning", 0
        else:
            yield Code.UNSUPPORTED_MESSAGE_TYPE, f"version {version} has no such type", "MSH-9.1", "warning", 0
        return
    _, problems = plan_of(structure, message.names())
    for problem in problems:
        severity: Severity = "error" if problem.severe else "warning"
        yield Code.SEGMENT_SEQUENCE, problem.text, problem.location, severity, problem.position


def _fields(
    message: Message, version: str, profile: Profile | None
) -> Iterator[tuple[str, str, str | None, Severity, int | None]]:
    marks = message.delimiters
    seen: dict[str, int] = {}
    for number, name in enumerate(message.names()):
        seen[name] = occurrence = seen.get(name, 0) + 1
        rules = rules_of(version, name)
        if rules is not None:
            for wrong in wrong_in(message.fields(number), rules, version, marks):
                yield wrong.code, wrong.text, _path(name, occurrence, wrong.place), wrong.severity, number
    if profile is not None:
        yield from _profile_fields(message, profile)


def _path(name: str, occurrence: int, place: Place) -> str:
    field, repetition, component, subcomponent = place
    return (
        name
        + (f"({occurrence})" if occurrence > 1 else "")
        + f"-{field}"
        + (f"[{repetition}]" if repetition > 1 else "")
        + (f".{component}" if component else "")
        + (f".{subcomponent}" if subcomponent else "")
    )


def _needs(message: Message, profile: Profile) -> Iterator[tuple[str, str, str | None, Severity, int | None]]:
    """Segments the profile asks for are there, not too often, and first appear in its order."""
    reached, before = 0, "MSH"
    for need in profile.needs:
        present = message.segments(need.name)
        if not present:
            yield Code.SEGMENT_SEQUENCE, f"{profile.name} needs a segment {need.name}", need.name, "error", None
            continue
        if need.most != MANY and len(present) > need.most:
            text = f"{profile.name} has {need.name} at most {need.most} time(s)"
            extra = present[need.most]
            yield Code.SEGMENT_SEQUENCE, text, f"{need.name}({need.most + 1})", "error", extra.position - 1
        if present[0].position < reached:
            text = f"{need.name} comes after {before} in {profile.name}"
            yield Code.SEGMENT_SEQUENCE, text, need.name, "error", present[0].position - 1
        reached, before = present[0].position, need.name


def _profile_fields(message: Message, profile: Profile) -> Iterator[tuple[str, str, str | None, Severity, int | None]]:
    for name, paths in profile.fields.items():
        for segment in message.segments(name):
            for path in paths:
                if segment.raw(path) in (None, "", NULL):
                    text = f"{profile.name} needs a value here"
                    yield Code.REQUIRED_FIELD_MISSING, text, segment.path(path), "error", segment.position - 1
