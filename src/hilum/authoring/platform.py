"""The platform's own store, as a handler of an API sees it that takes a parameter called ``platform``.

@approvals.post("/approvals", resource="Approval", about=about_approval)
async def ask_for_approval(body: ApprovalRequest, caller: Caller, platform: Platform) -> Accepted[Asked]:
    taken = await platform.submit(ApprovalAsked(...), source="approvals", actor=caller.actor)
    return Accepted(Asked(address=taken.address), "/approvals/" + body.number)
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from hilum.authoring.contract import Contract
    from hilum.authoring.estate import Estate

T = TypeVar("T")


@dataclass(frozen=True)
class Submitted:
    """A fact that was taken in durably: ``address`` (``m/<shard>/<seq>``) is where its trace begins.

    ``known`` says that the same fact had been taken in before: it starts nothing a second time.
    """

    address: str
    known: bool


class Platform(Protocol):
    """What a handler may do with the platform itself. Everything but ``wait_for`` is for ``async`` handlers."""

    @property
    def pool(self) -> Any:
        """The ``asyncpg.Pool`` of the platform's store, schema ``hilum`` first. Keep transactions short."""

    @property
    def estate(self) -> Estate: ...

    @property
    def policies(self) -> Any:
        """The ``hilum.security.policies.Policies`` by which this door decides; there is no second set of them."""

    def now(self) -> datetime:
        """The platform's clock, in UTC."""

    async def submit(self, fact: Contract, *, source: str, actor: str) -> Submitted:
        """Take a fact in as an event: stored, then the flows and feeds of its contract start from it.

        ``source`` is the API that reports it. A fact with an identity that is known already starts nothing again, so a
        repeated request has no second effect. ``Rejected`` when the fact has none of its identities, ``Unavailable``
        when the store does not answer.
        """

    def wait_for(self, work: Awaitable[T]) -> T:
        """For a plain function: do asynchronous work on the platform's loop while this thread waits."""
