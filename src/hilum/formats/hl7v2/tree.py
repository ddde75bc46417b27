"""A message as plain lists and dictionaries, for JSON and for people."""

from __future__ import annotations

from typing import Any, TypeAlias

from hilum.formats.hl7v2.delimiters import NULL, unescaper
from hilum.formats.hl7v2.message import Message

Value: TypeAlias = "str | dict[str, Any] | None"

# Numbers as keys, made once: a message has a hundred of them.
_KEYS = tuple(str(number) for number in range(512))
# Stands for a delimiter that MSH-2 does not declare: no segment has a line end inside.
_NEVER = "\r"


def tree(message: Message) -> dict[str, Any]:
    """``{"type", "control_id", "version", "segments": [{"segment", "position", "fields": {"3": [repetition, ...]}}]}``.

    A repetition is a text, or its components by number, and a component a text or its subcomponents by number. What is
    absent or empty is not there; the HL7 null is None. Texts are decoded; the keys are those of paths. It holds PHI.
    """
    marks = message.delimiters
    component, subcomponent = marks.component or _NEVER, marks.subcomponent or _NEVER
    repeats, mark = marks.repetition or _NEVER, marks.escape or _NEVER
    unescape = unescaper(marks, message.codec)

    def below(text: str) -> Value:
        """A component: a text, or its subcomponents."""
        if subcomponent in text:
            return {
                _key(place): None if part == NULL else unescape(part) if mark in part else part
                for place, part in enumerate(text.split(subcomponent), 1)
                if part
            }
        return None if text == NULL else unescape(text) if mark in text else text

    def repetition(text: str) -> Value:
        if component not in text:
            return below(text)
        found: dict[str, Value] = {}
        for place, part in enumerate(text.split(component), 1):
            if part:
                # Most components are words: one look tells, without a call.
                found[_KEYS[place] if place < 512 else str(place)] = part if part.isalnum() else below(part)
        return found

    segments = []
    for position, name in enumerate(message.names(), 1):
        header = name in ("MSH", "FHS", "BHS")
        fields: dict[str, list[Value]] = {}
        for number, text in enumerate(message.fields(position - 1)):
            if text and number:
                if text.isalnum() or (header and number < 3):
                    fields[_KEYS[number] if number < 512 else str(number)] = [text]
                elif repeats in text:
                    fields[_key(number)] = [repetition(part) for part in text.split(repeats)]
                else:
                    fields[_key(number)] = [repetition(text)]
        segments.append({"segment": name, "position": position, "fields": fields})
    said = message.header
    return {
        "type": said.type,
        "control_id": said.control_id,
        "version": said.version,
        "segments": segments,
    }


def _key(place: int) -> str:
    return _KEYS[place] if place < 512 else str(place)
