"""A message as plain lists and dictionaries, for JSON and for people."""

from __future__ import annotations

from typing import Any, TypeAlias

from hilum.formats.hl7v2.delimiters import NULL, Delimiters, unescaper
from hilum.formats.hl7v2.message import Message, Segment

Value: TypeAlias = "str | dict[str, Any] | None"


def tree(message: Message) -> dict[str, Any]:
    """``{"type", "control_id", "version", "segments": [{"segment", "position", "fields": {"3": [repetition, ...]}}]}``.

    A repetition is a text, or its components by number, and a component a text or its subcomponents by number. What is
    absent or empty is not there; the HL7 null is None. Texts are decoded; the keys are those of paths. It holds PHI.
    """
    unescape = unescaper(message.delimiters, message.codec)

    def leaf(text: str) -> str | None:
        return None if text == NULL else unescape(text)

    def value(text: str, marks: tuple[str, ...]) -> Value:
        mark = marks[0] if marks else ""
        if mark and mark in text:
            return {str(place): value(part, marks[1:]) for place, part in enumerate(text.split(mark), 1) if part}
        return value(text, marks[1:]) if marks else leaf(text)

    def repetitions(text: str, delimiters: Delimiters) -> list[Value]:
        parts = text.split(delimiters.repetition) if delimiters.repetition else [text]
        return [value(part, (delimiters.component, delimiters.subcomponent)) for part in parts]

    def fields(segment: Segment) -> dict[str, Any]:
        found: dict[str, Any] = {}
        header = segment.name in ("MSH", "FHS", "BHS")
        for number in range(1, segment.length + 1):
            text = segment.whole(number)
            if text:
                found[str(number)] = [text] if header and number < 3 else repetitions(text, message.delimiters)
        return found

    return {
        "type": message.type,
        "control_id": message.control_id,
        "version": message.version,
        "segments": [
            {"segment": segment.name, "position": segment.position, "fields": fields(segment)} for segment in message
        ],
    }
