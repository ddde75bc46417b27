"""Master data as flows speak of it: what an owner tells, and the platform's own desk that keeps it (decision 0014)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from hilum.authoring.failures import Rejected
from hilum.authoring.system import System, command, question

Action = Literal["stated", "updated", "ended", "resumed"]


class NoAuthority(Rejected, queue="master-data", due_hours=24):
    """A system spoke of master data that another one owns; nothing of it was taken. Stop it there and skip this, or name it under [master] of the estate, load that, and release."""


class ListTooShort(Rejected, queue="master-data", due_hours=8):
    """A complete list lacks so much that it may be half a list; nothing was taken. Have its owner send it again and skip this one, or, when it is right, `hilum master accept` this item."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ToldRecord(_Part):
    """What an owner says of one record.

    ``stated`` says all of it; ``updated`` what it names, where None takes an attribute away; ``ended`` and ``resumed`` say
    whether it is in use. ``valid_from`` and ``valid_to`` are days, both inclusive; None in ``stated`` is without limit.
    """

    object: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    code: str = Field(min_length=1, max_length=200)
    facility: str = ""
    action: Action = "stated"
    name: str | None = None
    attributes: dict[str, str | None] = Field(default_factory=dict)
    valid_from: date | None = None
    valid_to: date | None = None
    effective_at: AwareDatetime | None = None  # From when it counts; None for when it was said.


class Scope(_Part):
    """What a complete list is complete for: all records of an object, at one facility or of the network."""

    object: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    facility: str = ""


class Telling(_Part):
    """What one system said at one time. ``complete``: the scopes in which whatever is missing is out of use."""

    number: str = Field(min_length=1, max_length=300)
    system: str
    said_at: AwareDatetime
    records: tuple[ToldRecord, ...]
    complete: tuple[Scope, ...] = ()


class Taken(_Part):
    """What a telling came to: records that are news, that were known, and that a complete list no longer has.

    ``refused`` names objects, with their facility, that the system has no authority for; ``too_short`` lists that lack too
    much. Of both nothing was taken.
    """

    news: int = 0
    known: int = 0
    gone: int = 0
    refused: tuple[str, ...] = ()
    too_short: tuple[str, ...] = ()


class MasterDesk(System):
    """The registry of master records: authoritative for what its owners said, and when."""

    @question
    def moment(self) -> datetime:
        """Now, by the platform's clock: asked before a list is read, so that the list is at least as new."""
        raise AssertionError("answered by the run")

    @command
    def tell(self, telling: Telling, key: str | None = None) -> Taken:
        """Take in what an owner said; doing it again changes nothing."""
        raise AssertionError("answered by the run")
