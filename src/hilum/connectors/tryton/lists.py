"""Lists of the ERP's records, page by page: by ascending number, so that what is added meanwhile comes last.

A page begins behind the last record of the one before it, not at a count of records: nothing is shown twice or left out
because something was added or removed. A record whose transaction began earlier and ends later than the page is read may
have a lower number and is then on no further page; who needs every change takes events, not lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from hilum.authoring.api import Page, PageRequest
from hilum.authoring.paging import cursor_after, number_in, size_of
from hilum.connectors.tryton.client import Record, TrytonRest
from hilum.connectors.tryton.where import Column, Domain, both, domain_of
from hilum.model.where import Where

Noun = TypeVar("Noun")


@dataclass(frozen=True)
class Listing:
    """One list: its name in cursors, the model behind it, which of its records belong to it, and what is read of each."""

    name: str
    model: str
    belongs: Domain
    columns: Mapping[str, Column]
    fields: tuple[str, ...]

    async def page(
        self, rest: TrytonRest, where: Where, page: PageRequest, **context: Any
    ) -> tuple[list[Record], str | None]:
        """The page's records and the cursor of the next. The ERP itself searches by ``where``."""
        after, size = number_in(self.name, page), size_of(page)
        allowed = domain_of(where, self.columns)
        if allowed is None:
            return [], None
        domain = both([self.belongs, allowed, [("id", ">", after)]])
        found = await rest.search(self.model, domain, self.fields, limit=size + 1, **context)
        following = cursor_after(self.name, str(found[size - 1]["id"])) if len(found) > size else None
        return found[:size], following

    async def one(self, rest: TrytonRest, where: Where, **context: Any) -> Record | None:
        """The first record that belongs to the list and that ``where`` matches."""
        wanted = domain_of(where, self.columns)
        if wanted is None:
            return None
        found = await rest.search(self.model, both([self.belongs, wanted]), self.fields, limit=1, **context)
        return found[0] if found else None


def told(found: tuple[list[Record], str | None], noun: Callable[[Record], Noun]) -> Page[Noun]:
    """A page of nouns."""
    records, following = found
    return Page(tuple(noun(record) for record in records), following)
