"""OpenAPI 3.1 from what the estate declares: the gateway's routes and this document are made of the same operations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from hilum.authoring.api import Example, Operation
from hilum.authoring.caller import OPERATIONS, STATED_PURPOSES
from hilum.authoring.classification import classification
from hilum.authoring.estate import Estate
from hilum.authoring.estate_door import ApiSpec, VersionSpec
from hilum.governance.api_problems import PROBLEM_MEDIA_TYPE, PROBLEM_SCHEMA, PROBLEM_TYPES
from hilum.governance.api_schemas import answer_schema, request_schema

OPENAPI_VERSION = "3.1.1"
REACHABLE = frozenset({"published", "deprecated"})
_COMPONENT = "#/components/schemas/{model}"

_ALWAYS = ("malformed", "unauthenticated", "forbidden", "purpose-not-agreed", "not-found", "not-acceptable", "gone", "too-many-requests",
           "defect", "outside-contract", "unavailable", "timeout")  # fmt: skip
_OF_WRITES = ("still-running", "too-large", "unsupported-media-type", "invalid")


def published_operations(estate: Estate, *, api: str | None = None, version: int | None = None) -> list[Operation]:
    """The operations that can be reached, in the order of their routes; all of them, or those of one API or version."""
    return sorted(
        (
            operation
            for operation in estate.operations()
            if (api is None or operation.api.name == api) and (version is None or operation.version == version)
            if (life := life_of(estate, operation)) is not None and life.state in REACHABLE
        ),
        key=lambda operation: (operation.route, operation.method),
    )


def life_of(estate: Estate, operation: Operation) -> VersionSpec | None:
    """How the operation's version stands; None when nobody governs it."""
    spec = estate.api_specs.get(operation.api.name)
    return spec.versions.get(operation.version) if spec is not None else None


def openapi(
    estate: Estate,
    *,
    api: str | None = None,
    version: int | None = None,
    server_url: str = "/",
    openid_configuration_url: str = "/identity/.well-known/openid-configuration",
) -> dict[str, Any]:
    """The document of all published operations, or of one API, or of one version of it. LookupError when there are none."""
    operations = published_operations(estate, api=api, version=version)
    if not operations:
        raise LookupError(f"nothing is published under {api or 'any API'}" + (f" v{version}" if version else ""))
    schemas = _Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        spec, life = estate.api_specs[operation.api.name], life_of(estate, operation)
        assert life is not None
        paths.setdefault(operation.route, {})[operation.method.lower()] = _operation(operation, spec, life, schemas)
    specs = {operation.api.name: estate.api_specs[operation.api.name] for operation in operations}
    title = specs[api].title if api is not None and specs[api].title else f"{estate.title or estate.name} APIs"
    return {
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": title,
            "version": f"v{version}" if version is not None else estate.flows_version,
            "description": specs[api].description if api is not None else "Every API that is published at this door.",
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": server_url}],
        "tags": [
            {"name": name, "description": spec.description or spec.title, **_governance(spec)}
            for name, spec in specs.items()
        ],
        "paths": paths,
        "security": [{"oidc": []}],
        "components": {
            "schemas": {**schemas.found, "Problem": PROBLEM_SCHEMA},
            "responses": {
                kind: {
                    "description": f"{problem.title}. {problem.remedy}",
                    "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": _COMPONENT.format(model="Problem")}}},
                }
                for kind, problem in PROBLEM_TYPES.items()
            },
            "securitySchemes": {
                "oidc": {"type": "openIdConnect", "openIdConnectUrl": openid_configuration_url},
            },
        },
    }


def _governance(spec: ApiSpec) -> dict[str, Any]:
    return {
        "x-hilum-layer": spec.layer,
        "x-hilum-owner": spec.owner,
        "x-hilum-criticality": spec.criticality,
        "x-hilum-audience": list(spec.audience),
        "x-hilum-slo": spec.slo.model_dump(),
        "x-hilum-limits": spec.limits.model_dump(exclude_none=True),
        **({"x-hilum-system": spec.system} if spec.system else {}),
    }


def _operation(operation: Operation, spec: ApiSpec, life: VersionSpec, schemas: _Schemas) -> dict[str, Any]:
    summary, _, rest = operation.summary.partition(". ")
    described: dict[str, Any] = {
        "operationId": f"{operation.api.name}_v{operation.version}_{operation.function.__name__}",
        "tags": [operation.api.name],
        "summary": summary.removesuffix("."),
        "description": rest if rest else operation.summary,
        "parameters": [*_parameters(operation, schemas)],
        "responses": _responses(operation, life, schemas),
        "x-hilum-action": operation.action,
        "x-hilum-resource": operation.resource,
    }
    if life.state == "deprecated":
        described["deprecated"] = True
    body = operation.body
    if body is not None:
        media = "application/merge-patch+json" if operation.method == "PATCH" else "application/json"
        described["requestBody"] = {
            "required": True,
            "content": {
                media: {
                    "schema": schemas.add(body, request_schema(body, _COMPONENT)),
                    **_examples(operation.examples, lambda example: example.body),
                }
            },
        }
    if operation.answer is not None:
        classes = sorted(set(classification(operation.answer).values()))
        if classes:
            described["x-hilum-data-classes"] = classes
    return described


def _parameters(operation: Operation, schemas: _Schemas) -> Iterator[dict[str, Any]]:
    for name in operation.path_parameters:
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "schema": path_schema(operation, name),
            **_examples(operation.examples, lambda example, name=name: example.path.get(name)),
        }
    if operation.query is not None:
        shape = request_schema(operation.query, _COMPONENT)
        inside = shape.pop("$defs", {})
        for name, plain in shape.get("properties", {}).items():
            schema = schemas.settled(plain, inside)
            yield {
                "name": name,
                "in": "query",
                "required": name in shape.get("required", ()),
                "schema": schema,
                **({"description": schema["description"]} if "description" in schema else {}),
                **_examples(operation.examples, lambda example, name=name: example.query.get(name)),
            }
    if operation.kind == "list":
        yield {
            "name": "limit",
            "in": "query",
            "description": "At most so many records.",
            "schema": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
        }
        yield {
            "name": "cursor",
            "in": "query",
            "description": "`next` of the previous page; opaque.",
            "schema": {"type": "string", "maxLength": 1024},
        }
    if operation.method == "POST" and operation.kind == "write":
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": "Chosen by the caller; a repeat with the same key has no second effect and gets the same answer.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
        }
    if operation.etag is not None:
        name = "If-None-Match" if operation.kind == "read" else "If-Match"
        yield {
            "name": name,
            "in": "header",
            "required": name == "If-Match",
            "description": "The ETag of the state that the caller knows.",
            "schema": {"type": "string", "maxLength": 255},
        }
    yield {
        "name": "Purpose-Of-Use",
        "in": "header",
        "required": False,
        "description": "Why it is asked (HL7 PurposeOfUse). Protected data may be shown for one purpose and masked for others.",
        "schema": {"type": "string", "enum": list(STATED_PURPOSES), "default": OPERATIONS},
    }
    if _shows_phi(operation):
        yield {
            "name": "Break-Glass",
            "in": "header",
            "required": False,
            "description": "The number of the caller's own break-glass grant in force; it says the purpose. Its use is recorded.",
            "schema": {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"},
        }


def _shows_phi(operation: Operation) -> bool:
    return operation.answer is not None and "phi" in classification(operation.answer).values()


def path_schema(operation: Operation, name: str) -> dict[str, Any]:
    """What a path parameter must look like: an integer, or 1 to 128 characters without a slash or control character."""
    if operation.hints.get(name) is int:
        return {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
    return {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^/\\x00-\\x1f\\x7f]+$"}


def _responses(operation: Operation, life: VersionSpec, schemas: _Schemas) -> dict[str, Any]:
    success: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    schema = answer_schema(operation, _COMPONENT)
    if schema is not None:
        assert operation.answer is not None
        if operation.kind == "list":
            item = {**schema["properties"]["items"]["items"], "$defs": schema.pop("$defs", {})}
            schema["properties"]["items"]["items"] = schemas.add(operation.answer, item)
        else:
            schema = schemas.add(operation.answer, schema)
        shown = (lambda e: _as_page(e.answer)) if operation.kind == "list" else (lambda e: e.answer)
        success["content"] = {"application/json": {"schema": schema, **_examples(operation.examples, shown)}}
    success["headers"] = dict(_headers(operation, life))
    responses: dict[str, Any] = {str(operation.status): success}
    if operation.etag is not None and operation.kind == "read":
        responses["304"] = {"description": "Not modified since the ETag given."}
    for status, kinds in _by_status(_problems(operation)).items():
        responses[str(status)] = (
            {"$ref": f"#/components/responses/{kinds[0]}"}
            if len(kinds) == 1
            else {
                "description": " Or: ".join(PROBLEM_TYPES[kind].title + "." for kind in kinds),
                "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": _COMPONENT.format(model="Problem")}}},
            }
        )
    return responses


def _problems(operation: Operation) -> list[str]:
    found = [*_ALWAYS, "overloaded", "rejected", "conflict", "too-large"]
    if _shows_phi(operation):
        found.append("grant-not-in-force")
    if operation.kind == "write":
        found += [*_OF_WRITES, "key-reused"]
        if operation.method == "POST":
            found.append("idempotency-key-missing")
        if operation.etag is not None:
            found += ["changed-meanwhile", "precondition-required"]
    if operation.query is not None or operation.body is not None or operation.path_parameters:
        found.append("invalid")
    if operation.body is not None:
        found.append("unsupported-media-type")
    if operation.kind == "list":
        found.append("bad-cursor")
    return list(dict.fromkeys(found))


def _by_status(kinds: Iterable[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for kind in kinds:
        found.setdefault(PROBLEM_TYPES[kind].status, []).append(kind)
    return dict(sorted(found.items()))


def _headers(operation: Operation, life: VersionSpec) -> Iterator[tuple[str, Any]]:
    def header(description: str) -> dict[str, Any]:
        return {"description": description, "schema": {"type": "string"}}

    yield "RateLimit-Policy", header("The agreed rates (IETF draft RateLimit header fields for HTTP).")
    yield "RateLimit", header("What is left of them.")
    yield "traceresponse", header("The trace of this request (W3C Trace Context).")
    if operation.kind == "list":
        yield "Link", header("`rel=next`: the following page (RFC 8288).")
    if operation.etag is not None:
        yield "ETag", header("The state of the thing (RFC 9110 section 8.8.3).")
    if operation.status in (201, 202):
        yield "Location", header("The address of what was made.")
    if life.state == "deprecated":
        yield "Deprecation", header("Since when this version is deprecated (RFC 9745).")
        if life.sunset_on is not None:
            yield "Sunset", header("When it will be retired (RFC 8594).")


def _as_page(answer: BaseModel | None) -> Any:
    return {"items": [answer.model_dump(mode="json")], "next": None} if answer is not None else None


def _examples(examples: Iterable[Example], shown: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, example in enumerate(examples, start=1):
        value = shown(example)
        if value is not None:
            name = re.sub(r"[^a-z0-9]+", "-", example.title.lower()).strip("-") or f"example-{number}"
            plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
            found[name] = {**({"summary": example.title} if example.title else {}), "value": plain}
    return {"examples": found} if found else {}


class _Schemas:
    """The document's schemas by name.

    Shapes of one name that differ (two versions of a contract; a request's and an answer's, which may be masked) get names
    of their own: ``Money``, ``Money2``.
    """

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self._names: dict[tuple[str, str], str] = {}

    def add(self, shape: type[BaseModel], schema: dict[str, Any]) -> dict[str, Any]:
        """Add a shape with the definitions inside it; returns the reference to it."""
        inside = schema.pop("$defs", {})
        if shape.__name__ in inside:  # A shape that contains itself is a definition already.
            return dict(self.settled({"$ref": _COMPONENT.format(model=shape.__name__)}, inside))
        name = shape.__name__
        return dict(self.settled({"$ref": _COMPONENT.format(model=name)}, {**inside, name: schema}))

    def settled(self, schema: Any, definitions: Mapping[str, Any]) -> Any:
        """The schema with its references led to where the definitions were kept."""
        names = {name: self._name(name, definitions) for name in definitions}
        for name, definition in definitions.items():
            if names[name] not in self.found:
                self.found[names[name]] = _led(definition, names)
        return _led(schema, names)

    def _name(self, name: str, definitions: Mapping[str, Any]) -> str:
        whole = json.dumps(_unfolded(name, definitions, ()), sort_keys=True)
        known = self._names.get((name, whole))
        if known is None:
            others = sum(1 for other, _ in self._names if other == name)
            known = self._names[name, whole] = name if not others else f"{name}{others + 1}"
        return known


def _reference(schema: Mapping[str, Any]) -> str | None:
    target = schema.get("$ref")
    return target.rpartition("/")[2] if isinstance(target, str) else None


def _led(schema: Any, names: Mapping[str, str]) -> Any:
    """The schema with other names in its references."""
    if isinstance(schema, list):
        return [_led(part, names) for part in schema]
    if not isinstance(schema, dict):
        return schema
    led = {key: _led(part, names) for key, part in schema.items()}
    target = _reference(schema)
    if target is not None:
        led["$ref"] = _COMPONENT.format(model=names.get(target, target))
    return led


def _unfolded(name: str, definitions: Mapping[str, Any], above: tuple[str, ...]) -> Any:
    """A definition with what it refers to in its place: two are the same shape when this is."""

    def unfold(schema: Any) -> Any:
        if isinstance(schema, list):
            return [unfold(part) for part in schema]
        if not isinstance(schema, dict):
            return schema
        target = _reference(schema)
        found = {key: unfold(part) for key, part in schema.items()}
        if target is not None and target in definitions and target not in (*above, name):
            found["$ref"] = _unfolded(target, definitions, (*above, name))
        return found

    return unfold(definitions[name])
