"""Who asks: the identity that a request was authenticated as, as handlers and policies see it."""

from __future__ import annotations

from dataclasses import dataclass, field

PERSON, SERVICE, WEBHOOK, ANONYMOUS = "person", "service", "webhook", "anonymous"

OPERATIONS, EMERGENCY = "operations", "emergency"
PURPOSES = ("treatment", "payment", OPERATIONS, "audit", EMERGENCY)
"""Why somebody asks, in the words of HL7 PurposeOfUse as far as they fit."""
STATED_PURPOSES = tuple(purpose for purpose in PURPOSES if purpose != EMERGENCY)
"""What a caller may say of itself. An emergency is what a break-glass grant is for, with its reason and its review."""


class Actor(str):
    """An actor's name that also knows through whose login of the terminal they act: the audit log keeps both.

    A text like any other actor's, so that it reaches every entry by the way that actors take anyway.
    """

    __slots__ = ("login",)
    login: str

    def __new__(cls, name: str, login: str) -> Actor:
        made = super().__new__(cls, name)
        made.login = login
        return made


@dataclass(frozen=True)
class Caller:
    """One authenticated caller of one request.

    ``id`` is unique within ``issuer``; ``actor`` is what the audit log names. Attributes come from the token's claims or
    the service's registration, never from the request. ``supplier`` and ``department`` bind the caller to its own records.
    """

    kind: str
    id: str
    issuer: str = ""
    roles: frozenset[str] = frozenset()
    facilities: frozenset[str] = frozenset()
    supplier: str | None = None
    department: str | None = None
    purpose: str = OPERATIONS
    """Why: one of ``PURPOSES``."""
    break_glass: str | None = None
    """The number of the break-glass grant under which this request is made."""
    break_glass_facility: str | None = None
    """The facility the grant is for."""
    break_glass_resource: str | None = None
    """The type of resource the grant is for; None for every type."""
    login: str = ""
    """Through whose login of the terminal the caller speaks (``person:jo``), whoever they say they are; empty elsewhere."""
    session: str = field(default="", compare=False)
    trace_id: str = field(default="", compare=False)

    @property
    def actor(self) -> str:
        """``person:ana``, ``service:ap-bot``: how the audit log and the limits name the caller."""
        name = f"{self.kind}:{self.id}"
        return Actor(name, self.login) if self.login else name


NOBODY = Caller(ANONYMOUS, "")
