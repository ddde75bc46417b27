"""Earlier answers, given only when the system behind does not answer, and marked as what they are.

What is kept is the handler's own answer before masking: each caller's masks and policies are applied anew when it is given.
The key holds the question *and* what the caller may see, so two callers whose conditions, roles or bindings differ never
share an answer, even where a handler looked at its caller. Answers live in the memory of one process and nowhere else: some
hold protected data, which must not lie in a second place for the sake of an outage, and a process that asks a system is
soon warm itself. Memory is bounded, and nothing outlives the longest age any operation allows.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from pydantic import BaseModel

from hilum.authoring.api import Operation, PageRequest
from hilum.authoring.caller import Caller
from hilum.authoring.failures import Unavailable
from hilum.gateway.ports import KeptAnswer
from hilum.model.where import EVERYTHING, Where

MOST_BYTES = 64 * 1024 * 1024
MOST_BYTES_EACH = 1024 * 1024


class StaleMemory:
    """The newest answer to each question, in this process, least recently kept dropped first."""

    def __init__(self, *, clock: Callable[[], datetime], longest_seconds: float, most_bytes: int = MOST_BYTES) -> None:
        """``longest_seconds``: the greatest ``stale_seconds`` of all operations; older answers are of no use to anyone."""
        self._clock = clock
        self._longest = timedelta(seconds=longest_seconds)
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, KeptAnswer] = OrderedDict()
        self._bytes = 0

    async def keep(self, key: str, answer: KeptAnswer) -> None:
        """Remember the newest answer to a question; one larger than ``MOST_BYTES_EACH`` is not kept."""
        self._drop(key)
        self._drop_old()
        if len(answer.body) > min(MOST_BYTES_EACH, self._most_bytes):
            return
        self._kept[key] = answer
        self._bytes += len(answer.body)
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    async def find(self, key: str, max_age_seconds: float) -> KeptAnswer | None:
        """The newest answer, unless it is older than that."""
        found = self._kept.get(key)
        if found is None or self._clock() - found.at > timedelta(seconds=max_age_seconds):
            return None
        return found

    @property
    def bytes_kept(self) -> int:
        return self._bytes

    def _drop_old(self) -> None:
        oldest = self._clock() - self._longest
        while self._kept and next(iter(self._kept.values())).at < oldest:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._bytes -= len(gone.body)


def allows_stale(operation: Operation, failure: BaseException) -> bool:
    """Whether an earlier answer may stand in: the contract allows it, nothing is changed, and time must pass.

    A refusal, a defect or an answer outside its contract is never papered over.
    """
    return (
        operation.stale_seconds > 0
        and operation.method in ("GET", "HEAD")
        and isinstance(failure, Unavailable | TimeoutError)
    )


def question_key(
    operation: Operation,
    caller: Caller,
    *,
    path: Mapping[str, Any],
    query: BaseModel | None = None,
    page: PageRequest | None = None,
    where: Where = EVERYTHING,
    policy_version: str,
) -> str:
    """A digest of what is asked and of what this caller may see; the same for two callers only when they see the same."""
    scope: dict[str, Any] = {
        "kind": caller.kind,
        "roles": sorted(caller.roles),
        "facilities": sorted(caller.facilities),
        "supplier": caller.supplier,
        "department": caller.department,
        "purpose": caller.purpose,
        "break_glass": caller.break_glass,
    }
    if "caller" in operation.parameters:
        scope |= {"issuer": caller.issuer, "id": caller.id}
    asked = {
        "operation": operation.route,
        "method": operation.method,
        "path": dict(path),
        "query": query.model_dump(mode="json") if query is not None else None,
        "page": [page.limit, page.cursor] if page is not None else None,
        "where": _canonical(where),
        "policies": policy_version,
        "scope": scope,
    }
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()


def _canonical(value: Any) -> Any:
    """A condition as JSON: its kinds and values, sets in order."""
    if is_dataclass(value):
        return [type(value).__name__, *(_canonical(getattr(value, f.name)) for f in fields(value))]
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_canonical(part) for part in value]
    return value


def stale_headers(answer: KeptAnswer, now: datetime) -> Mapping[str, str]:
    """How an earlier answer is marked: ``Age`` (RFC 9111 section 5.1), ``Cache-Status`` (RFC 9211) and ``Hilum-Stale``.

    The body is what it was. ``ttl`` is negative, for these answers are given only when fresh ones cannot be had; ``Warning``
    is obsolete (RFC 9111 section 5.5).
    """
    age = max(int((now - answer.at).total_seconds()), 0)
    return {"Age": str(age), "Cache-Status": f"hilum; hit; ttl=-{age}; detail=unavailable", "Hilum-Stale": "true"}
