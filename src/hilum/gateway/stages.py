"""What the stages of a request's life use, and what they know of the request they are working on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from hilum.audit.access import CHANGE, DENIAL, Access, Beside, Tokens, sought
from hilum.authoring.api import PageRequest
from hilum.authoring.platform import Platform
from hilum.gateway.admission import Admission, Turn
from hilum.gateway.answers import Seen, Shown
from hilum.gateway.asked import Asked, Scope
from hilum.gateway.cursors import Cursors
from hilum.gateway.decisions import Decisions
from hilum.gateway.endpoints import Agreement, Endpoint
from hilum.gateway.idempotency import IdempotencyKeys
from hilum.gateway.incidents import Incidents
from hilum.gateway.ports import AccessLog, Allowances, Authenticator, Grants, StaleAnswers
from hilum.gateway.problems import Refusal
from hilum.gateway.running import Handlers
from hilum.model.where import EVERYTHING, Where
from hilum.security.decisions import Decision


@dataclass(frozen=True)
class Stages:
    """The parts of one process of the door. ``certificate`` reads the client certificate's digest from a connection."""

    authenticator: Authenticator
    allowances: Allowances
    admission: Admission
    decisions: Decisions
    keys: IdempotencyKeys
    handlers: Handlers
    shown: Shown
    cursors: Cursors
    accesses: AccessLog
    grants: Grants
    incidents: Incidents
    platform: Platform
    clock: Callable[[], datetime]
    token: Callable[[int], bytes]
    stale: StaleAnswers | None = None
    tokens: Tokens | None = None
    certificate: Callable[[Scope], str | None] = lambda scope: None

    async def run(self, life: Life, function: Callable[..., Any], arguments: Mapping[str, Any], key: str | None) -> Any:
        """Run a handler within what was agreed with this caller."""
        return await self.handlers.run(
            function, arguments, operation=life.endpoint.name, key=key,
            timeout_seconds=life.agreed.limits.timeout_seconds,
        )  # fmt: skip

    async def record(
        self,
        life: Life,
        kind: str,
        seen: Seen,
        decision: Decision | None,
        beside: Beside | None = None,
        *,
        replayed: bool = False,
    ) -> None:
        """Write down who saw or did what, in one commit with ``beside``; it is durable when this returns, and nothing is
        answered when it fails. ``replayed``: it is an earlier write's answer that was seen again."""
        endpoint, asked = life.endpoint, life.asked
        subjects = _subjects(endpoint, seen.subjects, self.tokens)
        if kind in (CHANGE, DENIAL) or replayed:
            subjects = _about(life, seen, self.tokens)
        given = {n: str(v) for n, v in life.query.items() if n not in ("cursor", "limit")}
        await self.accesses.record(
            Access(
                asked.caller,
                kind,
                endpoint.name,
                resource=endpoint.operation.resource,
                subjects=tuple(subjects),
                shown=frozenset(seen.shown),
                masked=frozenset(seen.masked),
                filter={n: v for n, v in given.items() if n not in endpoint.sought},
                sought={n: sought(n, v, self.tokens) for n, v in given.items() if n in endpoint.sought},
                found=seen.found if seen.found else None,
                peer=asked.peer,
                policies=decision.policies if decision is not None else (),
                policy_version=self.decisions.version,
                detail={"action": endpoint.operation.action, **({"replayed": True} if replayed else {})},
            ),
            beside=beside,
        )

    async def use_grant(self, life: Life, seen: Seen) -> None:
        """Record a use of the caller's break-glass grant, if they are under one. ``Refusal`` 403 when it ended meanwhile."""
        caller, endpoint = life.asked.caller, life.endpoint
        if caller.break_glass is None:
            return
        written = endpoint.operation.kind == "write"
        subjects = _about(life, seen, self.tokens) if written else _subjects(endpoint, seen.subjects, self.tokens)
        subject = subjects[0] if len(subjects) == 1 else endpoint.operation.resource
        if not await self.grants.used(caller, operation=endpoint.name, subject=subject):
            raise Refusal("grant-not-in-force")


@dataclass(slots=True)
class Life:
    """A request that was let in: what was agreed with its caller, what it holds, and what was found out about it."""

    asked: Asked
    endpoint: Endpoint
    agreed: Agreement
    turn: Turn
    arguments: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    shaped: BaseModel | None = None
    page: PageRequest | None = None
    body: bytes = b""
    about: Mapping[str, Any] = field(default_factory=dict)
    where: Where = EVERYTHING


def _about(life: Life, seen: Seen, tokens: Tokens | None) -> list[str]:
    """Addresses of what was changed, or refused: what the answer names, and what the policies were asked about.

    Where neither says, the last value of the path is the thing's id. Who looks for a thing finds who changed it, and who
    tried to, also where nothing protected was shown of it.
    """
    endpoint, about, values = life.endpoint, life.about, life.asked.values
    found = _subjects(endpoint, [*seen.subjects, *([seen.named] if seen.named else [])], tokens)
    id = str(about["id"]) if about.get("id") else values[-1] if values and not found else ""
    if id:
        kind = str(about.get("type", endpoint.operation.resource))
        guard = endpoint.guarded.get(kind)
        found.append(f"{kind}/{id if guard is None else sought(guard, id, tokens)}")
    return list(dict.fromkeys(found))


def _subjects(endpoint: Endpoint, seen: Sequence[str], tokens: Tokens | None) -> list[str]:
    """Addresses of what was seen; a protected number appears as its token."""
    if endpoint.subject_path is None:
        return []
    field_, protected = endpoint.subject_path
    kind = endpoint.operation.resource
    return [f"{kind}/{sought(field_, s, tokens) if protected else s}" for s in dict.fromkeys(seen)]
