"""What may stand in an element, told as a table: which children in which order and number, which attributes, of which type.

A table is text, one element a line::

    Money = ; @currency!:currency @alternateAmount:decimal ; :decimal
    ItemOut = ItemID! (ItemDetail|BlanketItemDetail)? Comments? Extrinsic* ; @quantity!:decimal @lineNumber:count

Children stand in that order; ``!`` is exactly one, ``?`` at most one, ``*`` any number, ``+`` at least one; of ``(A|B)``
either may stand there. Then the attributes (``!`` where required), then the type of the text. An element without a line is open.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache

from hilum.formats.findings import Finding
from hilum.formats.xml import MAX_FINDINGS, Element, finding_at, text_of

_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,28}(?:\.[0-9]{0,28})?|\.[0-9]{1,28})")
_COUNT = re.compile(r"[0-9]{1,18}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?=\Z|[Z+-])")
_ZONE = re.compile(r"(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])?")
_DATETIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})?")


def decimal_in(text: str | None) -> Decimal | None:
    """The number an ``xs:decimal`` writes; None where it is no such number (also NaN, exponents and 10^29 and more)."""
    if text is None or _DECIMAL.fullmatch(text) is None:
        return None
    return Decimal(text)


def is_date(text: str) -> bool:
    """Whether it is a day of the calendar as ``xs:date`` writes it, with or without a time zone."""
    if _DATE.match(text) is None or _ZONE.fullmatch(text[10:]) is None:
        return False
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True


def is_datetime(text: str) -> bool:
    """Whether it is an ISO 8601 date and time, or the day alone, which cXML also lets a sender write."""
    if is_date(text):
        return True
    if (match := _DATETIME.fullmatch(text)) is None:
        return False
    try:
        datetime.fromisoformat(f"{match[1]}T{match[2]}")
    except ValueError:
        return False
    return True


def is_time(text: str) -> bool:
    """Whether it is a time of day as ``xs:time`` writes it."""
    return _TIME.fullmatch(text) is not None


Check = Callable[[str], bool]

# Named types of a table: the test, and what the finding says was wanted.
TYPES: Mapping[str, tuple[Check, str]] = {
    "text": (lambda text: bool(text.strip()), "a text that is not empty"),
    "decimal": (lambda text: decimal_in(text) is not None, "a decimal number"),
    "count": (lambda text: _COUNT.fullmatch(text) is not None, "a whole number"),
    "date": (is_date, "a date YYYY-MM-DD"),
    "datetime": (is_datetime, "an ISO 8601 date and time"),
    "time": (is_time, "a time hh:mm:ss"),
    "bool": (lambda text: text in ("true", "false", "1", "0"), "true or false"),
    "yesno": (lambda text: text in ("yes", "no"), "yes or no"),
    "yes": (lambda text: text == "yes", "yes, or no attribute at all"),
}


@dataclass(frozen=True, slots=True)
class Slot:
    """One place in the order of an element's children."""

    names: tuple[str, ...]
    least: int
    most: int | None

    def __str__(self) -> str:
        return " or ".join(self.names)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: its name, whether it must stand, its type (a name of ``TYPES``, or the allowed words)."""

    name: str
    required: bool
    type: str | None
    words: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Model:
    """What one element may hold."""

    slots: tuple[Slot, ...]
    slot_of: Mapping[str, int]
    attributes: tuple[Attribute, ...]
    text: str | None


Table = Mapping[str, Model]

_SLOT = re.compile(r"\(([\w|]+)\)([!?*+])|(\w+)([!?*+])")
_ATTRIBUTE = re.compile(r"@(\w+)(!?)(?::(\w+)|=([\w|]+))?")
_NUMBERS: Mapping[str, tuple[int, int | None]] = {"!": (1, 1), "?": (0, 1), "*": (0, None), "+": (1, None)}


@lru_cache(maxsize=16)
def table(text: str) -> Table:
    """The table that a text of lines writes; a line it cannot read is a ``ValueError``, for it is ours."""
    models: dict[str, Model] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if not (line := line.strip()) or line.startswith("#"):
            continue
        name, _, rest = line.partition("=")
        children, attributes, kind = (
            [part.strip() for part in re.split(r"(?<=\s);(?=\s)", f" {rest} ")] + ["", "", ""]
        )[:3]
        model = _model(children, attributes, kind)
        for one in name.strip().split(","):
            models[one.strip()] = model
    return models


def _model(children: str, attributes: str, kind: str) -> Model:
    slots: list[Slot] = []
    for part in children.split():
        if (match := _SLOT.fullmatch(part)) is None:
            raise ValueError(f"no child: {part}")
        least, most = _NUMBERS[match[2] or match[4]]
        slots.append(Slot(tuple((match[1] or match[3]).split("|")), least, most))
    told: list[Attribute] = []
    for part in attributes.split():
        if (match := _ATTRIBUTE.fullmatch(part)) is None:
            raise ValueError(f"no attribute: {part}")
        words = frozenset(match[4].split("|")) if match[4] else None
        told.append(Attribute(match[1], bool(match[2]), match[3], words))
    slot_of = {name: at for at, slot in enumerate(slots) for name in slot.names}
    return Model(tuple(slots), slot_of, tuple(told), kind.lstrip(":") or None)


def check(
    root: Element,
    models: Table,
    naming: Callable[[Element], str],
    *,
    types: Mapping[str, tuple[Check, str]] = TYPES,
    model_of: Mapping[str, str] | None = None,
    opaque: frozenset[str] = frozenset(),
    unknown: str = "error",
    each: Callable[[Element, str, list[Finding]], None] | None = None,
) -> list[Finding]:
    """Findings of the tree against the table, at most ``MAX_FINDINGS``, in document order of the parents.

    ``naming`` is the name a table knows an element by, ``model_of`` where two names share a line, ``opaque`` elements whose
    inside is nobody's business, ``unknown`` the severity of a child that the table of its parent does not have, ``each`` is
    called for every element besides. Codes: ``missing``, ``repeated``, ``order``, ``unexpected``, ``type``, ``code``.
    """
    alias = model_of or {}
    found: list[Finding] = []
    todo = [root]
    while todo and len(found) < MAX_FINDINGS:
        element = todo.pop()
        name = naming(element)
        if each is not None:
            each(element, name, found)
        if name in opaque:
            continue
        children = list(element)
        model = models.get(alias.get(name, name))
        if model is not None:
            if model.slots or children:
                _check_children(element, children, model, naming, unknown, found)
            if model.attributes:
                _check_attributes(element, model, types, found)
            if model.text is not None:
                _check_text(element, model.text, types, found)
        children.reverse()
        todo.extend(children)
    return found[:MAX_FINDINGS]


def _check_children(
    element: Element,
    children: list[Element],
    model: Model,
    naming: Callable[[Element], str],
    unknown: str,
    found: list[Finding],
) -> None:
    at = 0
    counts: dict[int, int] = {}
    for child in children:
        if len(found) >= MAX_FINDINGS:
            return
        slot = model.slot_of.get(naming(child))
        if slot is None:
            if model.slots:
                found.append(finding_at(child, "unexpected", "This element is not known here", unknown))
            continue
        counts[slot] = count = counts.get(slot, 0) + 1
        most = model.slots[slot].most
        if most is not None and count == most + 1:
            found.append(finding_at(child, "repeated", f"At most {most} of {model.slots[slot]} may stand here"))
        if slot < at:
            found.append(finding_at(child, "order", f"{model.slots[slot]} must stand before {model.slots[at]}"))
        else:
            at = slot
    for number, slot_ in enumerate(model.slots):
        if slot_.least and not counts.get(number):
            found.append(finding_at(element, "missing", f"{slot_} is required here"))


def _check_attributes(
    element: Element, model: Model, types: Mapping[str, tuple[Check, str]], found: list[Finding]
) -> None:
    for attribute in model.attributes:
        value = element.get(attribute.name)
        if value is None:
            if attribute.required:
                found.append(
                    finding_at(
                        element, "missing", f"The attribute {attribute.name} is required", attribute=attribute.name
                    )
                )
        elif attribute.words is not None:
            if value not in attribute.words:
                wanted = ", ".join(sorted(attribute.words))
                found.append(finding_at(element, "code", f"The value is none of {wanted}", attribute=attribute.name))
        elif attribute.type is not None:
            right, wanted = types[attribute.type]
            if not right(value.strip()):
                found.append(finding_at(element, "type", f"The value is not {wanted}", attribute=attribute.name))


def _check_text(element: Element, kind: str, types: Mapping[str, tuple[Check, str]], found: list[Finding]) -> None:
    right, wanted = types[kind]
    text = text_of(element)
    if text is None:
        if len(element) == 0:
            found.append(finding_at(element, "missing", f"It is empty and must be {wanted}"))
    elif not right(text):
        found.append(finding_at(element, "type", f"The text is not {wanted}"))
