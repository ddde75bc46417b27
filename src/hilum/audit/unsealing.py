"""Opening what is sealed, for those who may show it: the bytes, or in a sentence why there are none."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from hilum.store.sealed import NotOurs, Shredded, is_sealed

NO_KEYS = "sealed: the keys are not at hand here"


class Opens(Protocol):
    """What a reader needs of the keys: ``security.sealing.protected.Protection`` is one."""

    @property
    def kinds(self) -> Collection[str]:
        """The kinds of search key that are stored as tokens."""

    async def opened(self, value: bytes, place: str) -> bytes:
        """The plain bytes; Shredded or NotOurs."""

    async def opened_text(self, value: str, place: str) -> str:
        """The same of a text column."""

    def search_values(self, key: str) -> list[str]:
        """The tokens under which ``key`` may stand in the search keys."""

    def case_name(self, name: str) -> str:
        """The id of a case that a person calls ``flow/key``, if its key were protected."""


@dataclass(frozen=True, slots=True)
class Closed:
    """There is something, and it is not shown. ``why`` is a sentence for people."""

    why: str


async def opened(protection: Opens | None, value: bytes, place: str) -> bytes | Closed:
    """What stands at ``place``, opened where it is sealed."""
    if not is_sealed(value):
        return value
    if protection is None:
        return Closed(NO_KEYS)
    try:
        return await protection.opened(value, place)
    except Shredded as shredded:
        return Closed(str(shredded))
    except NotOurs as foreign:
        return Closed(f"sealed: {foreign}")


async def opened_text(protection: Opens | None, value: str, place: str) -> str:
    """The text at ``place``, or why there is none."""
    if not is_sealed(value):
        return value
    if protection is None:
        return NO_KEYS
    try:
        return await protection.opened_text(value, place)
    except (Shredded, NotOurs) as closed:
        return str(closed)
