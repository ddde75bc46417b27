"""What of a thread may be shown: protected health information is masked by the contract, and wherever it turns up again.

A contract marks the fields that are protected. Their values come back where no contract speaks, in the command to
billing, in a journal's step, in an error's text: so a veil remembers what it has masked and masks it there as well.
Where no contract is known, nothing is shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hilum.authoring.classification import PROTECTED, data_class_of
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
_PROTECTED_NAMES = frozenset({"mrn", "patient", "patient_name", "birth_date", "date_of_birth", "ssn"})


def masked(text: str) -> str:
    """``***`` and the last two characters, so that two people can tell that they speak of the same account."""
    return MASK + text[-_KEPT:] if len(text) >= _SHORTEST_KEPT else MASK


class Veil:
    """Masks one thread. ``contracts`` by event type; ``lifted`` shows everything."""

    def __init__(self, contracts: Mapping[str, type[Contract]], *, lifted: bool = False) -> None:
        self._contracts = contracts
        self._lifted = lifted
        self._known: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None
        self._blind = False

    def event(self, kind: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """A payload as it may be shown. What is masked in it is masked from now on in ``data`` and ``text`` too."""
        if self._lifted:
            return dict(payload)
        contract = self._contracts.get(kind)
        if contract is None:
            self._blind = True
            return {name: _covered(value) for name, value in payload.items()}
        protected = {
            name for name, field in contract.model_fields.items() if _is_protected(field.metadata, field.annotation)
        }
        shown: dict[str, Any] = {}
        for name, value in payload.items():
            # A field that this version of the contract does not know: nobody has said that it is harmless.
            if name in protected or name not in contract.model_fields:
                self._learn(value)
                shown[name] = _covered(value)
            else:
                shown[name] = value
        return shown

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
        """The detail of an audit entry: written without protected data by rule, masked again to be sure."""
        return dict(detail) if self._lifted else dict(self._data(detail))

    def text(self, text: str) -> str:
        """A sentence as it may be shown."""
        if self._lifted or not self._known:
            return text
        if self._pattern is None:
            sought = sorted((v for v in self._known if len(v) >= _SHORTEST_SOUGHT), key=len, reverse=True)
            self._pattern = re.compile(
                r"(?<![\w])(" + "|".join(map(re.escape, sought)) + r")(?![\w])" if sought else r"(?!)"
            )
        return self._pattern.sub(lambda found: self._known[found[0]], text)

    def _data(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {n: _covered(inner) if n in _PROTECTED_NAMES else self._data(inner) for n, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._data(inner) for inner in value]
        if isinstance(value, str):
            return self._known[value] if value in self._known else self.text(value)
        return value

    def _learn(self, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                if name != "authority":
                    self._learn(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                self._learn(inner)
        elif value is not None and not isinstance(value, bool) and str(value):
            self._known[str(value)] = masked(str(value))
            self._pattern = None


def _is_protected(marks: Sequence[Any], annotation: Any) -> bool:
    """Marked itself, or in any part of its type: ``Annotated[str, Phi] | None`` keeps its mark inside the union."""
    return data_class_of(marks, annotation) in PROTECTED


def _covered(value: Any) -> Any:
    """Every value masked but an identifier's authority: which hospital issued a number is not the patient's secret."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {name: inner if name == "authority" else _covered(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_covered(inner) for inner in value]
    return masked(value) if isinstance(value, str) else MASK
