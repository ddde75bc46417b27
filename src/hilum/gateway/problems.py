"""Refusals as problem documents (RFC 9457): what is wrong, in words that repeat nothing of what was sent."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from hilum.authoring.api import Problem
from hilum.authoring.failures import Rejected
from hilum.gateway.tracing import Trace
from hilum.governance.api_problems import PROBLEM_MEDIA_TYPE, PROBLEM_TYPES

Headers = list[tuple[bytes, bytes]]

CONTENT_TYPE = PROBLEM_MEDIA_TYPE.encode()
_RESERVED = frozenset({"type", "title", "status", "detail", "instance", "trace_id"})
LONGEST_RETRY_SECONDS = 3600.0
_SLUG = re.compile(r"[^a-z0-9]+")


class Refusal(Exception):
    """The door says no: ``kind`` is one of the published problem types, which gives status, title and remedy."""

    def __init__(
        self, kind: str, detail: str = "", *, errors: Sequence[Mapping[str, str]] = (), headers: Sequence[tuple[str, str]] = ()
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.headers = headers

    @property
    def status(self) -> int:
        return PROBLEM_TYPES[self.kind].status


def retry_after(seconds: float) -> tuple[str, str]:
    """``Retry-After`` in whole seconds, never 0 (RFC 9110 section 10.2.3): who comes back at once comes too early.

    A vendor may have said anything; more than an hour is not passed on.
    """
    return "retry-after", str(max(1, math.ceil(min(seconds, LONGEST_RETRY_SECONDS))))


def of_refusal(refusal: Refusal, trace: Trace) -> bytes:
    found = PROBLEM_TYPES[refusal.kind]
    more: dict[str, Any] = {"remedy": found.remedy}
    if refusal.errors:
        more["errors"] = list(refusal.errors)
    return _document(
        found.uri, found.title, found.status, refusal.detail if refusal.detail else found.title, trace, more
    )


def of_problem(problem: Problem, trace: Trace) -> bytes:
    """An author's own problem: its kind becomes its type, whether it is one of the published ones or not."""
    kind = _SLUG.sub("-", problem.kind.lower()).strip("-")
    found = PROBLEM_TYPES.get(kind)
    title = found.title if found is not None else kind.replace("-", " ").capitalize()
    more = {name: value for name, value in problem.members.items() if name not in _RESERVED}
    return _document(f"/problems/{kind if kind else 'problem'}", title, problem.status, problem.detail, trace, more)


def of_rejected(rejected: Rejected, trace: Trace) -> bytes:
    """What a flow would hand to a person goes to the caller instead: the cause, and what to do about it."""
    kind, found = type(rejected), PROBLEM_TYPES["rejected"]
    more = {"cause": rejected.cause, "remedy": kind.remedy() if kind.remedy() else found.remedy}
    return _document(found.uri, kind.title(), found.status, f"{kind.title()}: {rejected.cause}", trace, more)


def _document(uri: str, title: str, status: int, detail: str, trace: Trace, more: Mapping[str, Any]) -> bytes:
    told = {
        "type": uri,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": f"urn:hilum:trace:{trace.trace_id}",
        "trace_id": trace.trace_id,
    }
    return orjson.dumps({**told, **more}, default=str)
