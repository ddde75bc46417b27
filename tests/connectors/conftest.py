"""Every test with the real ERP also keeps ``relies_on.toml`` true: what an operation asks for has to be written there."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from hilum.connectors.tryton import TrytonErp, wire
from hilum.connectors.tryton.client import TrytonRest
from hilum.connectors.tryton.description import relies_on

RELIES_ON = relies_on()


@pytest.fixture(autouse=True)
def asks_for_nothing_unwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = TrytonRest._ask

    async def checked(
        self: TrytonRest,
        method: str,
        path: str,
        fields: Sequence[str],
        *,
        parameters: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Any:
        operation = _operation()
        if operation not in (None, "describe"):
            model, _, rest = path.partition("/")
            uses = RELIES_ON.get(operation, {}).get(model, {})
            searched = [name for key, value in parameters if key == "d" for name in _leaves(_domain(value))]
            given = _names(body) if body is not None and not rest else []
            lacking = {name for name in (*fields, *searched) if name not in uses.get("asks", ())}
            lacking |= {name for name in given if name not in uses.get("gives", ())}
            lacking |= {b for b in rest.split("/")[1:] if b not in uses.get("presses", ())}
            # What leads to a field that is written is written with it: `party` with `party.code`.
            lacking -= {"id", "__name__", *_hops(uses.get("asks", ()))}
            assert not lacking, f"write into relies_on.toml what {operation} needs of {model}: {sorted(lacking)}"
        return await asked(self, method, path, fields, parameters=parameters, body=body, context=context)

    monkeypatch.setattr(TrytonRest, "_ask", checked)


def _hops(paths: Iterable[str]) -> set[str]:
    parts = [path.split(".") for path in paths]
    return {".".join(part[:n]) for part in parts for n in range(1, len(part))}


def _operation() -> str | None:
    """The operation of the connector that is under way; None where a task of its own hides it."""
    name, frame = None, inspect.currentframe()
    while frame is not None:
        if isinstance(frame.f_locals.get("self"), TrytonErp):
            name = frame.f_code.co_name.removeprefix("find_")
        frame = frame.f_back
    return name


def _domain(value: str) -> Any:
    return wire.loads(base64.urlsafe_b64decode(value))


def _leaves(domain: Iterable[Any]) -> Iterator[str]:
    for clause in domain:
        if isinstance(clause, list):
            if len(clause) >= 3 and isinstance(clause[0], str) and clause[0] not in ("AND", "OR"):
                yield clause[0]
            else:
                yield from _leaves(clause)


def _names(body: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in body.items():
        yield prefix + name
        if isinstance(value, list) and value and isinstance(value[0], list) and value[0][0] == "create":
            for record in value[0][1]:
                yield from _names(record, f"{prefix}{name}.")
