"""Operations made ready to be called: everything about them that does not change from request to request, found once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import Any

from pydantic import BaseModel

from hilum.authoring.api import Operation
from hilum.authoring.caller import OPERATIONS, Caller
from hilum.authoring.classification import PROTECTED, classification
from hilum.authoring.estate import Estate
from hilum.authoring.estate_door import ApiSpec, Limits, VersionSpec
from hilum.gateway.masking import Masks
from hilum.gateway.parameters import PathReader, QueryReader
from hilum.gateway.problems import Headers
from hilum.gateway.routes import Routes
from hilum.gateway.schemas import Checked
from hilum.governance.api_schemas import answer_schema, request_schema

REACHABLE = frozenset({"published", "deprecated"})
_GIVEN = frozenset({"query", "body", "where", "page", "caller", "etag", "key", "platform"})


class Undeclarable(ValueError):
    """An operation that cannot be served; the text names it and says what to change."""


@dataclass(frozen=True)
class Agreement:
    """What holds for one consumer of an API."""

    limits: Limits
    criticality: str
    purposes: frozenset[str] = frozenset({OPERATIONS})
    """What a program may state as its purpose of use."""


@dataclass(eq=False)
class Endpoint:
    """One operation of a published version."""

    operation: Operation
    spec: ApiSpec
    life: VersionSpec
    name: str  # erp.place@v1
    id: str  # erp.place
    status: int
    parameters: tuple[str, ...]
    takes: frozenset[str]
    about_takes: frozenset[str] | None  # None: everything that the handler takes.
    path: PathReader
    query: QueryReader
    body: type[BaseModel] | None
    body_checked: Checked | None
    answer: type[BaseModel] | None
    answer_checked: Checked | None
    masks: Masks | None
    protected: frozenset[str]
    attributes: tuple[tuple[str, tuple[str, ...]], ...]
    etag_path: tuple[str, ...] | None
    subject_path: tuple[str, bool] | None  # The answer's field that names it, and whether it is protected.
    sought: Mapping[str, str]  # Query fields that are protected, to their class.
    headers: Headers
    standard: Agreement
    consumers: Mapping[str, Agreement]
    sibling: Endpoint | None = None  # Reads what this one changes.
    guarded: Mapping[str, str] = field(default_factory=dict)  # Resources whose ids are protected, to the id's field.

    @property
    def safe(self) -> bool:
        return self.operation.safe

    def agreed_with(self, caller: Caller) -> Agreement:
        if not self.consumers:
            return self.standard
        found = self.consumers.get(caller.actor)
        return found if found is not None else self.consumers.get(caller.id, self.standard)

    def reachable_on(self, day: date) -> bool:
        return self.life.published_on is None or self.life.published_on <= day

    def retired_on(self, day: date) -> bool:
        return self.life.state == "retired" or (self.life.sunset_on is not None and self.life.sunset_on <= day)


def routes_of(estate: Estate) -> tuple[Routes[Endpoint], list[Endpoint]]:
    """Routes to everything published, deprecated or retired; what is retired is there only to say so."""
    routes: Routes[Endpoint] = Routes()
    made: list[Endpoint] = []
    for operation in estate.operations():
        spec = estate.api_specs.get(operation.api.name)
        life = spec.versions.get(operation.version) if spec is not None else None
        if spec is None or life is None or life.state not in REACHABLE | {"retired"}:
            continue
        endpoint = _endpoint(operation, spec, life)
        routes.add(operation.method, operation.route, endpoint)
        made.append(endpoint)
    guarded = {
        e.operation.resource: e.subject_path[0] for e in made if e.subject_path is not None and e.subject_path[1]
    }
    for endpoint in made:
        _relate(endpoint, made)
        endpoint.guarded = _guarded(endpoint, guarded)
    return routes, made


def _relate(endpoint: Endpoint, all_of_them: list[Endpoint]) -> None:
    """Find the read of the same address, by which a write's ``If-Match`` is compared."""
    operation = endpoint.operation
    if operation.kind != "write" or operation.etag is None or "etag" in endpoint.takes:
        return
    same = [e for e in all_of_them if e.operation.route == operation.route and e.operation.method == "GET"]
    endpoint.sibling = next((e for e in same if e.operation.etag is not None), None)
    if endpoint.sibling is None:
        raise Undeclarable(
            f"{endpoint.name} wants If-Match, but nothing at {operation.route} can be read whose ETag it could be: declare "
            "that read with `etag=`, or take the parameter `etag` and compare it yourself"
        )


def _guarded(endpoint: Endpoint, guarded: Mapping[str, str]) -> Mapping[str, str]:
    """What is protected anywhere is protected in this path too, whatever resource it addresses here."""
    last = endpoint.parameters[-1] if endpoint.parameters else ""
    return {endpoint.operation.resource: last, **guarded} if last in guarded.values() else guarded


def _endpoint(operation: Operation, spec: ApiSpec, life: VersionSpec) -> Endpoint:
    name = f"{operation.id}@v{operation.version}"
    takes = frozenset(operation.parameters)
    unknown = takes - _GIVEN - set(operation.path_parameters)
    if unknown:
        raise Undeclarable(
            f"{name} takes {', '.join(sorted(unknown))}, which is neither in its path nor given by the door"
        )
    body, answer = operation.body, operation.answer
    classes = classification(answer) if answer is not None else {}
    limits = spec.limits
    published = answer_schema(operation)
    query = operation.query
    return Endpoint(
        operation=operation,
        spec=spec,
        life=life,
        name=name,
        id=operation.id,
        status=operation.status,
        parameters=operation.path_parameters,
        takes=takes,
        about_takes=_taken_by(operation.about),
        path=PathReader(operation),
        query=QueryReader(query, paged=operation.kind == "list"),
        body=body,
        body_checked=Checked(request_schema(body), "body") if body is not None else None,
        answer=answer,
        answer_checked=Checked(published, "answer") if published is not None else None,
        masks=Masks(answer) if answer is not None and classes else None,
        protected=frozenset(classes.values()) & PROTECTED,
        attributes=tuple((attribute, tuple(path.split("."))) for attribute, path in operation.attributes.items()),
        etag_path=_etag_path(operation, classes),
        subject_path=_subject_path(operation, answer, classes),
        sought={n: c for n, c in (classification(query) if query is not None else {}).items() if c in PROTECTED},
        headers=_standing_headers(operation, life),
        standard=Agreement(limits, spec.criticality),
        consumers={
            consumer: Agreement(
                agreed.limits if agreed.limits is not None else limits,
                agreed.criticality if agreed.criticality is not None else spec.criticality,
                frozenset(agreed.purposes),
            )
            for consumer, agreed in spec.consumers.items()
        },
    )


def _taken_by(about: Callable[..., Any] | None) -> frozenset[str] | None:
    if about is None:
        return frozenset()
    parameters = inspect.signature(about).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return None
    return frozenset(parameters)


def _etag_path(operation: Operation, classes: Mapping[str, str]) -> tuple[str, ...] | None:
    """The field of the answer whose value is the state; None where the state is a digest."""
    field = operation.etag
    return tuple(field.split(".")) if field and field not in classes else None


def _subject_path(
    operation: Operation, answer: type[BaseModel] | None, classes: Mapping[str, str]
) -> tuple[str, bool] | None:
    """The field by which the audit log names what was seen: the one that addresses it, in this path or in its own read's."""
    if answer is None:
        return None
    paths = [operation.path_parameters]
    paths += [
        o.path_parameters for o in operation.api.operations if o.resource == operation.resource and o.kind == "read"
    ]
    for parameters in paths:
        if parameters and parameters[-1] in answer.model_fields:
            field = parameters[-1]
            return field, any(path.split(".")[0] == field and c in PROTECTED for path, c in classes.items())
    return None


def _standing_headers(operation: Operation, life: VersionSpec) -> Headers:
    """What a version's life adds to every answer: Deprecation (RFC 9745), Sunset (RFC 8594), successor-version (RFC 5829)."""
    found: Headers = []
    if life.deprecated_on is not None and life.state == "deprecated":
        found.append((b"deprecation", b"@%d" % int(_midnight(life.deprecated_on).timestamp())))
    if life.sunset_on is not None:
        found.append((b"sunset", format_datetime(_midnight(life.sunset_on), usegmt=True).encode()))
    if life.successor is not None and life.state == "deprecated":
        address = f"/{operation.api.name}/v{life.successor}"
        found.append((b"link", f'<{address}>; rel="successor-version"'.encode()))
    return found


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
