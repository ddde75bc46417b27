"""A message as an outline for people, with what tells who a patient is marked (HL7 v2.5.1 ch. 3, 6 and 7)."""

from __future__ import annotations

from hilum.formats.hl7v2.batch import Batch
from hilum.formats.hl7v2.delimiters import unescaper
from hilum.formats.hl7v2.groups import Group, groups_of
from hilum.formats.hl7v2.message import Message, Segment
from hilum.formats.hl7v2.tables import field_names
from hilum.formats.outline import Outline

# Segments about the patient, relatives, guarantors and insured persons, and site-defined ones.
_PROTECTED_SEGMENTS = frozenset({"PID", "PD1", "NK1", "GT1", "IN1", "IN2", "IN3", "MRG", "ACC", "ROL", "CON", "ARV"})
_PROTECTED_FIELDS = {
    "PV1": frozenset({5, 19, 22, 50}), "OBX": frozenset({5}), "NTE": frozenset({3}), "QRD": frozenset({8}),
    "QPD": frozenset({3, 4, 5}), "FT1": frozenset({23}), "TXA": frozenset({12, 16}), "OBR": frozenset({13, 39}),
    "QID": frozenset({1}), "RDT": frozenset(range(1, 200)), "DSP": frozenset({3}), "AL1": frozenset({5}),
    "ERR": frozenset({7, 8, 9}),
}  # fmt: skip
# The set id, and codes that say nothing about who the person is.
_HARMLESS = {"PID": frozenset({1, 31, 32, 35}), "NK1": frozenset({1}), "GT1": frozenset({1}), "IN1": frozenset({1})}
_HEADERS = ("MSH", "FHS", "BHS")


def is_protected(segment: str, field: int) -> bool:
    """Whether a field may tell who a patient is: what is about persons, free text, and every field of a Z segment."""
    if field in _HARMLESS.get(segment, ()):
        return False
    return segment in _PROTECTED_SEGMENTS or segment.startswith("Z") or field in _PROTECTED_FIELDS.get(segment, ())


def outline(document: Message | Batch) -> Outline:
    """The message's groups, segments, fields and their parts, decoded; what is empty is left out, the null is ``""``.

    Labels are paths (``PID-3[2].4.1``), notes the standard's names of fields. A batch has its messages one below another.
    """
    if isinstance(document, Batch):
        return Outline(
            "batch", note=f"{document.total} messages", children=[_message(message) for message in document.messages]
        )
    return _message(document)


def _message(message: Message) -> Outline:
    about = [part for part in (message.control_id, message.version) if part is not None]
    return Outline(
        message.type or "message", note=", version ".join(about) or None, children=_items(groups_of(message), message)
    )


def _items(group: Group, message: Message) -> list[Outline]:
    return [
        Outline(item.name, children=_items(item, message)) if isinstance(item, Group) else _segment(item, message)
        for item in group.items
    ]


def _segment(segment: Segment, message: Message) -> Outline:
    name = segment.name
    label = name if segment.occurrence == 1 else f"{name}({segment.occurrence})"
    node = Outline(label)
    names = field_names().get(name, ())
    marks = message.delimiters
    for number in range(1, segment.length + 1):
        text = segment.whole(number)
        if not text:
            continue
        note = (names[number - 1] if number <= len(names) else "") or None
        protected = is_protected(name, number)
        header = name in _HEADERS and number < 3
        parts = [text] if header or not marks.repetition else text.split(marks.repetition)
        for place, part in enumerate(parts, 1):
            if part:
                path = f"{label}-{number}" + (f"[{place}]" if len(parts) > 1 else "")
                below = ("", "") if header else (marks.component, marks.subcomponent)
                node.children.append(_value(path, part, below, note, protected, message))
    return node


def _value(
    path: str, text: str, below: tuple[str, ...], note: str | None, protected: bool, message: Message
) -> Outline:
    if below and below[0] and below[0] in text:
        parts = enumerate(text.split(below[0]), 1)
        inside = [_value(f"{path}.{place}", part, below[1:], None, protected, message) for place, part in parts if part]
        return Outline(path, note=note, protected=protected, children=inside)
    if below:
        return _value(path, text, below[1:], note, protected, message)
    return Outline(path, unescaper(message.delimiters, message.codec)(text), note, protected)
