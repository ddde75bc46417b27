"""Who asks: the identity that a request was authenticated as, as handlers and policies see it."""

from __future__ import annotations

from dataclasses import dataclass, field

PERSON, SERVICE, WEBHOOK, ANONYMOUS = "person", "service", "webhook", "anonymous"


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
    purpose: str = "operations"
    """Why, in the words of HL7 PurposeOfUse as far as they fit: treatment, payment, operations, audit, emergency."""
    break_glass: str | None = None
    """The number of the break-glass grant under which this request is made."""
    break_glass_facility: str | None = None
    """The facility the grant is for."""
    break_glass_resource: str | None = None
    """The type of resource the grant is for; None for every type."""
    session: str = field(default="", compare=False)
    trace_id: str = field(default="", compare=False)

    @property
    def actor(self) -> str:
        """``person:ana``, ``service:ap-bot``: how the audit log and the limits name the caller."""
        return f"{self.kind}:{self.id}"


NOBODY = Caller(ANONYMOUS, "")
