"""What the connector relies on in Tryton, and what the ERP's own models say of it (see ``governance.drift``).

``relies_on.toml`` lists, for each operation, the fields it asks for, the fields it gives and the buttons it presses. The
ERP is asked for its definitions by ``fields_get`` and ``ir.model.button``: types, targets of relations, closed selections.
A field or model it does not define has no part in the description, which is how its disappearance is found.
"""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from typing import Any

from hilum.authoring.failures import ErpRefused
from hilum.connectors.tryton.client import TrytonRest

Part = dict[str, Any]
_SIDES = {"asks": "asked", "gives": "given"}


def relies_on() -> dict[str, dict[str, dict[str, list[str]]]]:
    """Operation to model to ``asks``, ``gives`` and ``presses``."""
    text = files("hilum.connectors.tryton").joinpath("relies_on.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


async def describe(rest: TrytonRest) -> dict[str, Any]:
    """The parts of the ERP that the connector's operations rely on, as the ERP defines them now."""
    models = _Models(rest)
    parts: dict[str, Part] = {}
    for operation, wanted in relies_on().items():
        for model, uses in wanted.items():
            for use, side in _SIDES.items():
                for path in uses.get(use, ()):
                    async for name, part in models.along(model, path):
                        _add(parts, name, part, side, operation)
            for button in uses.get("presses", ()):
                if button in await models.buttons(model):
                    _add(parts, f"{model} button {button}", {"type": "button"}, "given", operation)
    return {"source": "tryton", "parts": parts}


def _add(parts: dict[str, Part], name: str, part: Part, side: str, operation: str) -> None:
    known = parts.get(name)
    if known is None:
        parts[name] = {**part, "side": side, "relied_on_by": [operation]}
        return
    if known["side"] != side:
        known["side"] = "both"
    known["relied_on_by"] = sorted({*known["relied_on_by"], operation})


class _Models:
    """The ERP's definitions, each model asked for once."""

    def __init__(self, rest: TrytonRest) -> None:
        self._rest = rest
        self._fields: dict[str, dict[str, Any]] = {}
        self._buttons: dict[str, set[str]] = {}

    async def along(self, model: str, path: str) -> AsyncIterator[tuple[str, Part]]:
        """Every field on a dotted path, as far as it leads: ``lines.account.code`` is three fields of three models."""
        at: str | None = model
        for name in path.split("."):
            definition = (await self.fields(at)).get(name) if at is not None else None
            if definition is None:
                return
            yield f"{at}.{name}", _part(definition)
            at = definition.get("relation")

    async def fields(self, model: str) -> dict[str, Any]:
        if model not in self._fields:
            try:
                self._fields[model] = await self._rest.definitions(model)
            except ErpRefused:
                self._fields[model] = {}  # The ERP fails on a model that it does not have.
        return self._fields[model]

    async def buttons(self, model: str) -> set[str]:
        if model not in self._buttons:
            found = await self._rest.search("ir.model.button", [("model", "=", model)], ["name"])
            self._buttons[model] = {button["name"] for button in found}
        return self._buttons[model]


def _part(definition: dict[str, Any]) -> Part:
    relation, selection = definition.get("relation"), definition.get("selection")
    part: Part = {"type": definition["type"] + (f" of {relation}" if relation else "")}
    if definition.get("required"):
        part["required"] = True
    if isinstance(selection, list):
        # A selection that is a method's name is open: its values are found while it is used.
        part["values"] = sorted(_codes(selection))
    return part


def _codes(selection: list[Any]) -> Iterator[str]:
    for code, _ in selection:
        if code is not None:
            yield str(code)
