"""APIs are owned, promised, versioned and complete: what is published can be called, documented and decided about."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
from pydantic import BaseModel

from hilum.authoring.api import Operation
from hilum.authoring.contract import Contract
from hilum.authoring.estate_door import ApiSpec, VersionSpec
from hilum.governance.api_schemas import answer_schema, request_schema
from hilum.governance.loader import Loaded
from hilum.governance.openapi import REACHABLE
from hilum.governance.problems import EstateProblem
from hilum.governance.published import differences, published_file, reachable_versions
from hilum.governance.rules.contracts import has_field
from hilum.governance.rules.owners import owner_problems

_GIVEN = frozenset({"query", "body", "where", "page", "caller", "etag", "key", "platform"})


def api_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    for name, spec in loaded.estate.api_specs.items():
        yield from _governed(loaded, name, spec)
    routes: dict[tuple[str, str], str] = {}
    for operation in loaded.estate.operations():
        where = loaded.places.function(operation.function)
        spec_or_none = loaded.estate.api_specs.get(operation.api.name)
        if spec_or_none is None:
            yield EstateProblem(
                where,
                f"The API {operation.api.name} has no governance: no owner, audience, limits or versions.",
                f"Write apis/{operation.api.name}.toml.",
            )
            continue
        yield from _operation(operation, spec_or_none, where)
        # Two operations whose paths differ by the names of their parameters are one route.
        shape = operation.route
        for parameter in operation.path_parameters:
            shape = shape.replace("{" + parameter + "}", "{}")
        other = routes.setdefault((operation.method, shape), where)
        if other != where:
            yield EstateProblem(
                where,
                f"{operation.method} {operation.route} is declared twice; the other is at {other}.",
                "Give one of them another path or version.",
            )


def api_compatibility_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    """What is published stays as it was recorded, or changes without breaking anybody."""
    for name, version in reachable_versions(loaded.estate):
        file = published_file(name, version).as_posix()
        try:
            found = differences(loaded.estate, name, version)
        except ValueError as unread:
            yield EstateProblem(file, f"The recorded description cannot be read: {unread}.", "Restore it from history.")
            continue
        if found is None:
            yield EstateProblem(
                loaded.places.toml(f"apis/{name}.toml", "versions", str(version)),
                f"The API {name} v{version} can be reached, but what was published of it is not recorded.",
                f"Run `hilum api record {name} {version}` and commit {file}: later changes are held against it.",
            )
            continue
        for change in found:
            if change.breaking:
                yield EstateProblem(
                    file,
                    f"{name} v{version} would break its users: {change.where}: {change.what}.",
                    "Take the change back or make it a new version; `hilum api usage` says who uses this one.",
                )


def _governed(loaded: Loaded, name: str, spec: ApiSpec) -> Iterator[EstateProblem]:
    estate, file = loaded.estate, f"apis/{name}.toml"

    def place(*path: str) -> str:
        return loaded.places.toml(file, *path)

    what = f"The API {name}"
    yield from owner_problems(what, spec.owner, estate.owners, place("owner"), "`owner`")
    if not spec.title:
        yield EstateProblem(place("title"), f"{what} has no title.", "Write `title`: people choose by it.")
    if not spec.audience:
        yield EstateProblem(
            place("audience"),
            f"{what} has no audience, so no token could be meant for it.",
            "Write `audience` with the names that a token's `aud` must hold one of.",
        )
    if spec.layer == "system" and not loaded.has_system(spec.system):
        yield EstateProblem(
            place("system"),
            f"{what} is a system API of {spec.system!r}, which is no system of the estate."
            if spec.system
            else f"{what} is a system API of no system.",
            "Write `system` with the name of a file in systems/.",
        )
    if name not in estate.apis:
        yield EstateProblem(
            file, f"{what} is governed but has no operations.", f'Declare them in integrations/ with Api("{name}").'
        )
        return
    declared = {operation.version for operation in estate.apis[name].operations}
    for version in sorted(declared - set(spec.versions)):
        yield EstateProblem(
            place("versions"),
            f"{what} has operations of version {version}, of which apis/{name}.toml says nothing.",
            f"Write [versions.{version}] with its state.",
        )
    for version, life in spec.versions.items():
        where = place("versions", str(version))
        if life.state != "retired" and version not in declared:
            yield EstateProblem(
                where,
                f"{what} v{version} is {life.state} but has no operations.",
                "Declare them, or retire the version.",
            )
        yield from _life(f"{what} v{version}", life, set(spec.versions), where)


def _life(what: str, life: VersionSpec, versions: set[int], where: str) -> Iterator[EstateProblem]:
    if life.state == "deprecated" and (life.deprecated_on is None or life.sunset_on is None):
        yield EstateProblem(
            where,
            f"{what} is deprecated without saying since when and until when.",
            "Write `deprecated_on` and `sunset_on`: consumers plan by them.",
        )
    if life.deprecated_on is not None and life.sunset_on is not None and life.sunset_on <= life.deprecated_on:
        yield EstateProblem(
            where, f"{what} is retired before it is deprecated.", "Write a `sunset_on` after `deprecated_on`."
        )
    if life.state == "published" and life.sunset_on is not None:
        yield EstateProblem(
            where, f"{what} has a sunset but is not deprecated.", 'Write `state = "deprecated"` and `deprecated_on`.'
        )
    if life.successor is not None and life.successor not in versions:
        yield EstateProblem(
            where,
            f"{what} names v{life.successor} as its successor, which there is not.",
            "Name a version of this API.",
        )


def _operation(operation: Operation, spec: ApiSpec, where: str) -> Iterator[EstateProblem]:
    what = f"The operation {operation.id}"
    if not operation.summary:
        yield EstateProblem(
            where, f"{what} has no docstring.", "Say in one sentence what it does: it is what its users read."
        )
    yield from _parameters(operation, what, where)
    yield from _shapes(operation, what, where)
    if operation.kind == "list" and "where" not in operation.parameters:
        yield EstateProblem(
            where,
            f"{what} is a list that does not take `where`, so it would show everybody everything.",
            "Take `where: Where` and ask the system with it.",
        )
    if operation.kind == "list" and "page" not in operation.parameters:
        yield EstateProblem(where, f"{what} is a list without pages.", "Take `page: PageRequest` and return a Page.")
    if operation.kind == "write" and operation.about is None and not operation.path_parameters:
        yield EstateProblem(
            where,
            f"{what} does not say what it is about, so policies could not tell one request from another.",
            "Write `about=`: a function of the same parameters that gives the resource's attributes.",
        )
    life = spec.versions.get(operation.version)
    if life is not None and life.state in REACHABLE:
        yield from _examples(operation, what, where)


def _parameters(operation: Operation, what: str, where: str) -> Iterator[EstateProblem]:
    taken, path = set(operation.parameters), set(operation.path_parameters)
    for name in sorted(path - taken):
        yield EstateProblem(
            where, f"{what} has {{{name}}} in its path but does not take it.", f"Add the parameter `{name}: str`."
        )
    for name in sorted(taken - path - _GIVEN):
        yield EstateProblem(
            where,
            f"{what} takes `{name}`, which nobody gives it.",
            f"Put {{{name}}} into its path, or take one of {', '.join(sorted(_GIVEN))}.",
        )
    if operation.about is not None:
        for name in sorted(set(inspect.signature(operation.about).parameters) - path - _GIVEN):
            yield EstateProblem(
                where,
                f"`about` of {operation.id} takes `{name}`, which nobody gives it.",
                "Take what the operation takes.",
            )


def _shapes(operation: Operation, what: str, where: str) -> Iterator[EstateProblem]:
    for part, shape in (("body", operation.body), ("query", operation.query), ("answer", operation.answer)):
        if shape is None:
            continue
        if not (isinstance(shape, type) and issubclass(shape, Contract)):
            yield EstateProblem(
                where,
                f"The {part} of {operation.id} is no contract.",
                "Make it a Contract with a version: others build on it.",
            )
        elif shape.contract_version < 1 or not shape.__dict__.get("__doc__"):
            yield EstateProblem(
                where,
                f"The {part} of {operation.id}, {shape.__name__}, lacks a version or a docstring.",
                "Write `version=1` in its class line and say in one sentence what it is.",
            )
    answer = operation.answer
    for attribute, path in operation.attributes.items():
        if answer is None or not (issubclass(answer, Contract) and has_field(answer, path)):
            yield EstateProblem(
                where,
                f"{what} finds the attribute {attribute} at {path!r}, which is no field of its answer.",
                "Name a field path of the answer.",
            )


def _examples(operation: Operation, what: str, where: str) -> Iterator[EstateProblem]:
    examples = operation.examples
    if operation.answer is not None and not any(e.answer is not None for e in examples):
        yield EstateProblem(where, f"{what} is published without an example of its answer.", "Write `examples=`.")
    if operation.body is not None and not any(e.body is not None for e in examples):
        yield EstateProblem(
            where,
            f"{what} is published without an example of its body.",
            "Write `examples=` with an Example(body=...).",
        )
    for example in examples:
        for part, value, shape in (
            ("body", example.body, operation.body),
            ("answer", example.answer, operation.answer),
        ):
            if value is not None and not _satisfies(value, shape, operation if part == "answer" else None):
                yield EstateProblem(
                    where,
                    f"An example of the {part} of {operation.id} is not what its contract asks for.",
                    f"Correct the example {example.title!r}." if example.title else "Correct the example.",
                )


def _satisfies(value: BaseModel, shape: type[BaseModel] | None, answers: Operation | None) -> bool:
    if shape is None or not isinstance(value, shape):
        return False
    schema: dict[str, Any] | None = request_schema(shape) if answers is None else answer_schema(answers)
    plain: Any = value.model_dump(mode="json")
    if answers is not None and answers.kind == "list":
        plain = {"items": [plain], "next": None}
    return schema is not None and jsonschema_rs.validator_for(schema).is_valid(plain)


def api_facts(loaded: Loaded) -> dict[str, int]:
    """How many APIs, and how many of their operations can be reached."""
    estate = loaded.estate
    reachable = [
        operation
        for operation in estate.operations()
        if (spec := estate.api_specs.get(operation.api.name)) is not None
        and (life := spec.versions.get(operation.version)) is not None
        and life.state in REACHABLE
    ]
    return {"apis": len(estate.api_specs), "operations": len(reachable)}
