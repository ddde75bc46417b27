"""What the runtime expects of a connector, whatever it speaks."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol


class Connector(Protocol):
    """One system, reached. Operations of its role are async methods of the same names.

    Every failure is ``Unavailable`` (time must pass) or a ``Rejected`` (a person must decide).
    ``find_<command>(..., key=...)`` answers with the earlier effect of that key, finishing a draft that was left
    behind, or None when there is none. A command the system itself makes idempotent needs none and is named in
    ``idempotent_commands``.
    """

    idempotent_commands: ClassVar[frozenset[str]]

    async def ping(self) -> None:
        """Return when the system answers; raise ``Unavailable`` when it does not."""

    async def close(self) -> None:
        """Give back connections."""


class FeedConnector(Protocol):
    """A system that takes a feed's bytes."""

    async def send(self, body: bytes, *, key: str, content_type: str) -> str:
        """Deliver once more or for the first time: the system drops what it has under ``key``. Returns its receipt."""


CommandResult = Any
