"""Mappings, flows, steps and feeds: plain functions with what the platform must know about them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints

from hilum.authoring.contract import Contract
from hilum.authoring.running import current_run, is_running
from hilum.authoring.system import System

P = ParamSpec("P")
R = TypeVar("R")

BAI2, TABLE = "BAI2", "table"
"""What messages are called that have no type of their own: a bank's file, and delimited text."""

CRITICALITIES = ("critical", "high", "normal", "low")
"""In the order in which work is taken up when there is more than can be done."""


def criticality_rank(criticality: str) -> int:
    """0 for critical to 3 for low; the estate's check has refused every other word."""
    return CRITICALITIES.index(criticality)


@dataclass(eq=False)
class Mapping(Generic[R]):
    """A pure function from a source's message to one or more events. Called directly, it is that function."""

    function: Callable[[Any], R]
    source: System
    message: str
    name: str
    events: tuple[type[Contract], ...]
    version: int = 1

    def __call__(self, message: Any) -> R:
        return self.function(message)

    @property
    def accepts(self) -> Any:
        """The type of the message the function takes: ``Hl7`` or a pydantic model for JSON."""
        hints = get_type_hints(self.function)
        return next(hint for name, hint in hints.items() if name != "return")


def mapping(*, source: System, message: str, version: int = 1) -> Callable[[Callable[[Any], R]], Mapping[R]]:
    """Declare a mapping: ``message`` is the source's own name of the type, ``DFT^P03``, ``835``, ``consumption``, ``BAI2`` or ``table``."""

    def declare(function: Callable[[Any], R]) -> Mapping[R]:
        events = tuple(dict.fromkeys(_contracts(get_type_hints(function).get("return"))))
        return Mapping(function, source, message, function.__name__, events, version)

    return declare


def _contracts(shape: Any) -> Iterator[type[Contract]]:
    """The contracts in an annotation, in its order: ``list[ImplantUsed | ChargeRecorded]`` names two."""
    if isinstance(shape, type) and issubclass(shape, Contract):
        yield shape
    for part in getattr(shape, "__args__", ()):
        yield from _contracts(part)


@dataclass(eq=False)
class Flow:
    """A durable business process. Its function is the process: control flow here, work in the steps."""

    function: Callable[[Any], None]
    on: type[Contract]
    name: str
    key: str
    criticality: str
    owner: str
    recovery: str
    ordering: str
    version: int = 1

    def __call__(self, event: Any) -> None:
        self.function(event)


def flow(
    *,
    on: type[Contract],
    key: str = "",
    criticality: str = "",
    owner: str = "",
    recovery: str = "",
    ordering: str = "",
    version: int = 1,
) -> Callable[[Callable[[Any], None]], Flow]:
    """Declare a flow started by ``on``.

    ``key``: the field that identifies the business case; a second event with the same key starts nothing.
    ``ordering``: the field within which cases run one after the other (default: the key).
    ``recovery``: in a sentence, how a case that stopped is brought to its end.
    What is left out is refused by ``hilum check``, which can say where; declaring never fails.
    """

    def declare(function: Callable[[Any], None]) -> Flow:
        return Flow(function, on, function.__name__, key, criticality, owner, recovery, ordering or key, version)

    return declare


@dataclass(eq=False)
class Step(Generic[P, R]):
    """A step of a flow: journaled when the platform runs it, a plain function otherwise."""

    function: Callable[P, R]
    name: str

    def __post_init__(self) -> None:
        functools.update_wrapper(self, self.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if not is_running():
            return self.function(*args, **kwargs)
        result: R = current_run().step(self, args, kwargs)
        return result

    @functools.cached_property
    def returns(self) -> Any:
        """The annotated result, by which the journal reads the result back."""
        return get_type_hints(self.function).get("return", Any)


def step(function: Callable[P, R]) -> Step[P, R]:
    """Declare a step. Its arguments and result must be contracts, model nouns or plain values."""
    return Step(function, function.__name__)


@dataclass(eq=False)
class Feed:
    """A pure function from an event to the bytes one system receives of it, in order for each key."""

    function: Callable[[Any], bytes]
    on: tuple[type[Contract], ...]
    to: System
    name: str
    key: str
    criticality: str
    owner: str
    version: int = 1
    options: dict[str, str] = field(default_factory=dict)
    joins: str = ""

    def __call__(self, event: Any) -> bytes:
        return self.function(event)


def feed(
    *,
    on: type[Contract] | Sequence[type[Contract]],
    to: System,
    key: str = "",
    criticality: str = "normal",
    owner: str = "",
    version: int = 1,
    joins: str = "",
) -> Callable[[Callable[[Any], bytes]], Feed]:
    """Declare a feed: every event of these types goes to ``to``, in order within ``key``, keys in parallel.

    ``joins``: the field of a second key, for events that are about two, such as a merge. An event that has this field goes when
    all before it went, and none after it goes before; it waits behind either of its keys.
    """
    events = (on,) if inspect.isclass(on) else tuple(on)

    def declare(function: Callable[[Any], bytes]) -> Feed:
        return Feed(function, events, to, function.__name__, key, criticality, owner, version, joins=joins)

    return declare
