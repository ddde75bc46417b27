"""What of an estate is protected, by the classification of its contracts, and what is stored in its place.

Raw messages are always sealed: nobody knows what is in them. Events are sealed when their contract has a protected field;
a contract that this estate does not know may have one. Search keys of protected kinds, and ordering keys, case ids and
delivery keys that are made of protected fields, are tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel

from hilum.authoring.classification import PROTECTED, classification
from hilum.authoring.contract import Contract, getter, key_fields
from hilum.authoring.estate import Estate
from hilum.authoring.failures import Rejected, Unavailable
from hilum.model.identifiers import AccountNumber, Identifier, Mrn
from hilum.security.sealing.sealer import Sealer

INHERENTLY_PROTECTED = frozenset({Mrn.kind, AccountNumber.kind})
"""Kinds that are a patient's whatever contract they stand in."""
_SHORTEST_SOUGHT = 3
"""A shorter value would be found inside ordinary words."""
_KEPT, _SHORTEST_KEPT = 2, 6


@lru_cache(maxsize=1024)
def protected_paths(shape: type[BaseModel]) -> frozenset[str]:
    """The dotted paths of the fields of ``shape`` that are encrypted at rest: marked so, or inherently a patient's."""
    marked = {path for path, data_class in classification(shape).items() if data_class in PROTECTED}
    if issubclass(shape, Contract):
        marked.update(name for kind, name in key_fields(shape) if kind in INHERENTLY_PROTECTED)
    return frozenset(marked)


def is_protected(shape: type[BaseModel], path: str) -> bool:
    """Whether the value at ``path`` is, lies in, or contains a protected field."""
    return any(
        path == marked or path.startswith(marked + ".") or marked.startswith(path + ".")
        for marked in protected_paths(shape)
    )


class Protection:
    """One estate's protected data in one database: the sealer, and what has to go through it."""

    def __init__(self, sealer: Sealer, estate: Estate) -> None:
        self.sealer = sealer
        self._paths = {name: protected_paths(contract) for name, contract in estate.contracts.items()}
        self._open_types = frozenset(name for name, paths in self._paths.items() if not paths)
        self._tokened: dict[tuple[str, str], bool] = {}
        self._contracts = estate.contracts
        kinds = set(INHERENTLY_PROTECTED)
        for contract in estate.contracts.values():
            kinds.update(kind for kind, field in key_fields(contract) if is_protected(contract, field))
        self._kinds = frozenset(kinds)

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of search key that are stored as tokens."""
        return self._kinds

    def seals(self, event_type: str) -> bool:
        """Whether events of this type are sealed."""
        return event_type not in self._open_types

    def key_of(self, contract: type[Contract], path: str) -> Callable[[BaseModel], str | None]:
        """A reader of one field path, for keys: the text, or its token where the field is protected."""
        read = getter(path)
        if not is_protected(contract, path):
            return read
        sealer = self.sealer

        def tokened(event: BaseModel) -> str | None:
            value = read(event)
            return None if value is None else sealer.order_token(value)

        return tokened

    def ordered(self, event_type: str, path: str, key: str) -> str:
        """An event's ordering key, which the field at ``path`` gave, as it is stored. Without a path it may be anything."""
        tokened = self._tokened.get((event_type, path))
        if tokened is None:
            contract = self._contracts.get(event_type)
            tokened = not path or contract is None or is_protected(contract, path)
            self._tokened[event_type, path] = tokened
        return self.sealer.order_token(key) if tokened and key else key

    def search_values(self, key: str) -> list[str]:
        """What a search for ``key`` has to look for besides the text itself: its token of each protected kind."""
        return [self.sealer.search_token(kind, key) for kind in sorted(self.kinds)]

    async def opened(self, value: bytes, place: str) -> bytes:
        """``Sealer.opened``."""
        return await self.sealer.opened(value, place)

    async def opened_text(self, value: str, place: str) -> str:
        """``Sealer.read_text`` after loading its key."""
        await self.sealer.load(value)
        return self.sealer.read_text(value, place)

    def case_name(self, name: str) -> str:
        """The id of the case that people call ``flow/key``, were its key protected: ``flow/~token``."""
        flow, slash, key = name.partition("/")
        return f"{flow}/{self.sealer.order_token(key)}" if slash and key else name

    def searched(self, kind: str, value: str) -> str:
        """A search key as it is stored: of a protected kind its token, which says nothing and is found all the same.

        The value itself stands sealed in the event or command that it was found in, and goes with it.
        """
        return self.sealer.search_token(kind, value) if kind in self._kinds else value

    def scrubber(self, *things: Any) -> Scrubber:
        """What takes the protected values of events, commands and their parts out of other people's texts."""
        return Scrubber(value for thing in things for value in self.values(thing))

    def values(self, thing: Any) -> Iterator[str]:
        """The protected values of a contract, a model noun, or a mapping or sequence of them."""
        if isinstance(thing, Identifier):
            if thing.kind in self.kinds:
                yield thing.value
        elif isinstance(thing, BaseModel):
            marked = protected_paths(type(thing))
            for name in type(thing).model_fields:
                inner = getattr(thing, name)
                if name in marked:
                    yield from _all_texts(inner)
                else:
                    yield from self.values(inner)
        elif isinstance(thing, Mapping):
            for inner in thing.values():
                yield from self.values(inner)
        elif isinstance(thing, list | tuple):
            for inner in thing:
                yield from self.values(inner)


Failure = TypeVar("Failure", bound=Exception)


class Scrubber:
    """Replaces known protected values in a text by ``***`` and their last two characters."""

    def __init__(self, values: Iterable[str]) -> None:
        known = {value for value in values if len(value) >= _SHORTEST_SOUGHT}
        self._pattern = (
            re.compile("|".join(re.escape(v) for v in sorted(known, key=len, reverse=True)), re.IGNORECASE)
            if known
            else None
        )

    def __call__(self, text: str) -> str:
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: _masked(found[0]), text)

    def failure(self, told: Failure) -> Failure:
        """A system's or an author's own words, without what they repeat of the patient: they go into queues and logs."""
        if self._pattern is not None:
            if isinstance(told, Rejected):
                told.cause, told.detail = self(told.cause), self(told.detail)
            elif isinstance(told, Unavailable):
                told.reason = self(told.reason)
            told.args = tuple(self(arg) if isinstance(arg, str) else arg for arg in told.args)
        return told

    def tokened(self, text: str, token: Callable[[str], str]) -> str:
        """The text with each protected value replaced by its token: what it tells apart, it still tells apart."""
        return text if self._pattern is None else self._pattern.sub(lambda found: token(found[0]), text)


def _masked(text: str) -> str:
    return "***" + text[-_KEPT:] if len(text) >= _SHORTEST_KEPT else "***"


def _all_texts(value: Any) -> Iterator[str]:
    """Every text below a protected field, but an identifier's authority: which hospital issued it is no secret."""
    if isinstance(value, Identifier):
        yield value.value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _all_texts(getattr(value, name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _all_texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _all_texts(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
