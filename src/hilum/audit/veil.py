"""What of a thread may be shown: protected health information is masked by the contract, and wherever it turns up again.

A contract marks the fields that are protected, at any depth. Their values come back where no contract speaks, in the
command to billing, in a journal's step, in an error's text: so a veil remembers what it has masked and masks it there as
well. Where no contract is known, nothing is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from hilum.audit.protected_shape import NOTHING_KNOWN, Known, known_by
from hilum.authoring.contract import Contract

MASK = "***"
WITHHELD = "withheld: its contract is not at hand"
PROTECTED_KINDS = frozenset({"account", "mrn"})
"""Business keys that are protected themselves."""

_KEPT = 2
_SHORTEST_KEPT = 6
_SHORTEST_SOUGHT = (
    3  # A shorter value would be found inside ordinary words; as a whole value it is masked all the same.
)
_PROTECTED_NAMES = frozenset(
    {
        "account_number", "birth_date", "claim", "date_of_birth", "family_name", "given_name", "member_number", "mrn", "patient",
        "patient_name", "payer_claim", "ssn",
    }
)  # fmt: skip
"""Names that are a patient's in whatever shape they stand: commands and results are told in shapes without marks."""
_BEGINNING = re.compile(r"(?<![^\W_])\S")
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})")


def masked(text: str) -> str:
    """``***`` and the last two characters, so that two people can tell that they speak of the same account."""
    return MASK + text[-_KEPT:] if len(text) >= _SHORTEST_KEPT else MASK


class Veil:
    """Masks one thread. ``contracts`` by event type; ``lifted`` shows everything."""

    def __init__(self, contracts: Mapping[str, type[Contract]], *, lifted: bool = False) -> None:
        self._contracts = contracts
        self._lifted = lifted
        self._known = _KnownValues()
        self._blind = False

    def event(self, kind: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """A payload as it may be shown. What is masked in it is masked from now on in ``data`` and ``text`` too."""
        if self._lifted:
            return dict(payload)
        contract = self._contracts.get(kind)
        if contract is None:
            self._blind = True
            return {name: _covered(value) for name, value in payload.items()}
        return dict(self._shown(payload, known_by(contract)))

    def closed(self, why: str) -> dict[str, Any]:
        """A payload that nobody can read here: nothing tells what is protected in the rest, so nothing of it is shown."""
        self._blind = True
        return {"withheld": why}

    def data(self, value: Any) -> Any:
        """A request, a response or a step's result as it may be shown."""
        if self._lifted:
            return value
        if self._blind:
            return WITHHELD if value is not None else None
        return self._data(value)

    def recorded(self, detail: Mapping[str, Any]) -> dict[str, Any]:
        """What is written without protected data by rule (an audit entry, a failure's words), masked again to be sure."""
        return dict(detail) if self._lifted else dict(self._data(detail))

    def text(self, text: str) -> str:
        """A sentence as it may be shown."""
        return text if self._lifted else self._known.masked_in(text)

    def _shown(self, value: Any, known: Known) -> Any:
        """A value of which a shape speaks."""
        if known.is_protected:
            self._learn(value, known)
            return _covered(value, known)
        if isinstance(value, Mapping):
            # A field that this version of the contract does not know: nobody has said that it is harmless.
            return {name: self._shown(inner, known.member(name)) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._shown(inner, known) for inner in value]
        return value

    def _data(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return _named(
                (self._data(n), _covered(inner) if n in _PROTECTED_NAMES else self._data(inner))
                for n, inner in value.items()
            )
        if isinstance(value, list | tuple):
            return [self._data(inner) for inner in value]
        if isinstance(value, str):
            return masked(value) if self._known.has(value) else self._known.masked_in(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return MASK if self._known.has(str(value)) else value
        return value

    def _learn(self, value: Any, known: Known) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                if name != "authority":
                    if not known.names(name):
                        self._known.add(name)
                    self._learn(inner, known.member(name))
        elif isinstance(value, list | tuple):
            for inner in value:
                self._learn(inner, known)
        elif value is not None and not isinstance(value, bool):
            self._known.add(str(value))


class _KnownValues:
    """The protected values of a thread, found again in any text.

    A remittance has tens of thousands: they are looked up by where a word begins and how long they are, so that a text
    costs its own length and not theirs. Letters count alike in both cases.
    """

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._lengths: dict[str, list[int]] = {}

    def add(self, value: str) -> None:
        self._add(value.strip())
        if day := _DAY.fullmatch(value):
            self._add("".join(day.groups()))  # As HL7 and X12 write it.

    def _add(self, value: str) -> None:
        folded = _folded(value)
        if not folded or folded in self._values:
            return
        self._values.add(folded)
        if len(folded) >= _SHORTEST_SOUGHT:
            lengths = self._lengths.setdefault(folded[:_SHORTEST_SOUGHT], [])
            if len(folded) not in lengths:
                lengths.append(len(folded))
                lengths.sort(reverse=True)

    def has(self, value: str) -> bool:
        return _folded(value.strip()) in self._values

    def masked_in(self, text: str) -> str:
        """The text with every value that stands in it as words of its own masked; of two that begin alike the longer one."""
        if not self._lengths:
            return text
        folded, parts, end = _folded(text), [], 0
        for beginning in _BEGINNING.finditer(folded):
            start = beginning.start()
            if start < end:
                continue
            for length in self._lengths.get(folded[start : start + _SHORTEST_SOUGHT], ()):
                stop = start + length
                if folded[start:stop] in self._values and not folded[stop : stop + 1].isalnum():
                    parts += [text[end:start], masked(text[start:stop])]
                    end = stop
                    break
        return "".join([*parts, text[end:]]) if parts else text


def _folded(text: str) -> str:
    """In small letters, place for place: a letter whose small form is longer stays as it is."""
    small = text.lower()
    return small if len(small) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _covered(value: Any, known: Known = NOTHING_KNOWN) -> Any:
    """Every value masked but an identifier's authority: which hospital issued a number is not the patient's secret.

    Names that a shape declares are shown; other names in a mapping are data themselves.
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        return _named(
            (
                name if known.names(name) else masked(name),
                inner if name == "authority" else _covered(inner, known.member(name)),
            )
            for name, inner in value.items()
        )
    if isinstance(value, list | tuple):
        return [_covered(inner, known) for inner in value]
    return masked(value) if isinstance(value, str) else MASK


def _named(members: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping of these members: two names that look alike once they are masked are told apart by a number."""
    found: dict[str, Any] = {}
    for name, value in members:
        number, free = 1, name
        while free in found:
            number += 1
            free = f"{name} ({number})"
        found[free] = value
    return found
