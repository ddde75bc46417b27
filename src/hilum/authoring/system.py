"""Systems and the questions and commands they take."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from hilum.authoring.running import current_run

P = ParamSpec("P")
R = TypeVar("R")


class System:
    """An external application, by the name under which the estate describes it in ``systems/<name>.toml``.

    Roles (``Erp``, ``Stock``, ``Billing``) are subclasses whose methods are questions and commands.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @classmethod
    def operations(cls) -> dict[str, Callable[..., Any]]:
        """Name to signature-bearing function of every question and command of this role."""
        return {
            name: member
            for name, member in inspect.getmembers(cls, inspect.isfunction)
            if getattr(member, "__hilum_operation__", None)
        }


def question(stub: Callable[P, R]) -> Callable[P, R]:
    """Declare a question: it changes nothing, so it is simply asked again when it fails."""
    return _operation(stub, "question")


def command(stub: Callable[P, R]) -> Callable[P, R]:
    """Declare a command: it changes the system, carries a key, and has exactly one effect however often it is sent.

    The stub has a last keyword parameter ``key: str | None = None``; without a key the step's own identity is used.
    """
    if "key" not in inspect.signature(stub).parameters:
        raise TypeError(f"command {stub.__qualname__} needs a parameter `key: str | None = None`")
    return _operation(stub, "command")


def _operation(stub: Callable[P, R], kind: str) -> Callable[P, R]:
    signature = inspect.signature(stub)

    @functools.wraps(stub)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        arguments = dict(bound.arguments)
        system = cast(System, arguments.pop("self"))
        run = current_run()
        if kind == "question":
            return cast(R, run.ask(system, stub.__name__, arguments))
        key = cast("str | None", arguments.pop("key", None))
        return cast(R, run.command(system, stub.__name__, arguments, key))

    call.__hilum_operation__ = kind  # type: ignore[attr-defined]
    return call
