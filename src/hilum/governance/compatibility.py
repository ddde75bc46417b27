"""Whether those who use a version of an API can go on using it: the published description beside the present one.

What callers send may be taken more freely than before, never less; what they are answered may be promised more
narrowly, never less. Everything else is a breaking change, and belongs into a new version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_DEEPEST = 12
_LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")


@dataclass(frozen=True, order=True)
class Change:
    """One difference. ``where`` is the operation and the field's path, ``what`` a sentence."""

    breaking: bool
    where: str
    what: str


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """The differences between two OpenAPI documents of one version of an API, breaking ones last."""
    found: list[Change] = []
    old, new = _operations(before), _operations(after)
    found += [Change(True, key, "the operation is gone") for key in old.keys() - new.keys()]
    found += [Change(False, key, "a new operation") for key in new.keys() - old.keys()]
    for key in old.keys() & new.keys():
        found += _operation(key, old[key], new[key], before, after)
    return sorted(set(found))


def _operations(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def _operation(
    key: str, old: Mapping[str, Any], new: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Change]:
    reader = _Reader(before, after)
    was = {(p["in"], p["name"]): p for p in old.get("parameters", ())}
    now = {(p["in"], p["name"]): p for p in new.get("parameters", ())}
    for place in sorted(was.keys() - now.keys()):
        yield Change(True, key, f"the parameter {place[1]} is no longer taken")
    for place in sorted(now.keys() - was.keys()):
        needed = bool(now[place].get("required"))
        yield Change(needed, key, f"a new {'required ' if needed else ''}parameter {place[1]}")
    for place in sorted(now.keys() & was.keys()):
        if now[place].get("required") and not was[place].get("required"):
            yield Change(True, key, f"the parameter {place[1]} became required")
        yield from reader.taken(f"{key} {place[1]}", was[place]["schema"], now[place]["schema"], 0)
    for media, schema in _content(old.get("requestBody")).items():
        other = _content(new.get("requestBody")).get(media)
        if other is None:
            yield Change(True, key, f"a body of {media} is no longer taken")
        else:
            yield from reader.taken(f"{key} body", schema, other, 0)
    if "requestBody" in new and "requestBody" not in old:
        yield Change(True, key, "a body is now required")
    for status in [s for s in old["responses"] if s.startswith("2")]:
        answered = new["responses"].get(status)
        if answered is None:
            yield Change(True, key, f"it no longer answers {status}")
            continue
        for media, schema in _content(old["responses"][status]).items():
            other = _content(answered).get(media)
            if other is None:
                yield Change(True, key, f"it no longer answers {media}")
            else:
                yield from reader.answered(f"{key} answer", schema, other, 0)


def _content(part: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if part is None else {media: c["schema"] for media, c in part.get("content", {}).items()}


class _Reader:
    """Reads schemas of both documents, each in its own."""

    def __init__(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        self._before = before
        self._after = after

    def taken(self, where: str, old: Any, new: Any, depth: int) -> Iterator[Change]:
        """What callers send: everything that was taken must still be."""
        if depth > _DEEPEST:
            return
        was, now = _forms(old, self._before), _forms(new, self._after)
        for kind, shape in was.items():
            other = _counterpart(kind, now)
            if other is None:
                yield Change(True, where, f"{kind} is no longer taken")
                continue
            yield from _tighter(where, shape, other, "took", breaking=True)
            for name, schema in shape.get("properties", {}).items():
                if name not in other.get("properties", {}):
                    closed = other.get("additionalProperties") is False
                    yield Change(closed, f"{where}.{name}", "the field is no longer taken")
                else:
                    yield from self.taken(f"{where}.{name}", schema, other["properties"][name], depth + 1)
            for name in sorted(set(other.get("required", ())) - set(shape.get("required", ()))):
                yield Change(True, f"{where}.{name}", "the field became required")
            for name in sorted(set(other.get("properties", {})) - set(shape.get("properties", {}))):
                if name not in other.get("required", ()):
                    yield Change(False, f"{where}.{name}", "a new field")
            if "items" in shape and "items" in other:
                yield from self.taken(f"{where}[]", shape["items"], other["items"], depth + 1)
        for kind in now.keys() - was.keys():
            if _counterpart(kind, was) is None:
                yield Change(False, where, f"{kind} is now taken too")

    def answered(self, where: str, old: Any, new: Any, depth: int) -> Iterator[Change]:
        """What callers are answered: nothing may come that could not come before, and nothing promised may be missing."""
        if depth > _DEEPEST:
            return
        was, now = _forms(old, self._before), _forms(new, self._after)
        for kind, shape in now.items():
            other = _counterpart(kind, was)
            if other is None:
                yield Change(True, where, f"it may now be {kind}")
                continue
            yield from _tighter(where, shape, other, "answered", breaking=True)
            for name, schema in other.get("properties", {}).items():
                if name not in shape.get("properties", {}):
                    yield Change(True, f"{where}.{name}", "the field is gone")
                else:
                    yield from self.answered(f"{where}.{name}", schema, shape["properties"][name], depth + 1)
            for name in sorted(set(other.get("required", ())) - set(shape.get("required", ()))):
                if name in shape.get("properties", {}):
                    yield Change(True, f"{where}.{name}", "the field may be missing now")
            for name in sorted(set(shape.get("properties", {})) - set(other.get("properties", {}))):
                yield Change(False, f"{where}.{name}", "a new field")
            if "items" in shape and "items" in other:
                yield from self.answered(f"{where}[]", other["items"], shape["items"], depth + 1)
        for kind in was.keys() - now.keys():
            if _counterpart(kind, now) is None:
                yield Change(False, where, f"it is no longer {kind}")


def _forms(schema: Any, document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The alternatives of a schema by kind: ``string``, ``date``, ``object``, ``null``."""
    shape = _resolved(schema, document)
    found: dict[str, Mapping[str, Any]] = {}
    for form in (_resolved(part, document) for part in shape.get("anyOf", (shape,))):
        types = form.get("type", "anything")
        for kind in types if isinstance(types, list) else (types,):
            name = str(form.get("format", kind)) if kind == "string" else str(kind)
            if form.get("pattern") == "^\\*\\*\\*":
                name = "masked text"
            found[name] = form
    return found


def _resolved(schema: Any, document: Mapping[str, Any]) -> Mapping[str, Any]:
    target = schema.get("$ref")
    if not isinstance(target, str):
        return schema  # type: ignore[no-any-return]
    found: Mapping[str, Any] = document["components"]["schemas"][target.rpartition("/")[2]]
    return found


def _counterpart(kind: str, forms: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The form that takes everything of ``kind``: itself, plain text for a format, a number for an integer, anything."""
    for name in (kind, "anything", "number" if kind == "integer" else kind):
        if name in forms:
            return forms[name]
    scalar = kind not in ("object", "array", "null", "boolean", "integer", "number", "masked text", "anything")
    return forms["string"] if scalar and "string" in forms else None


def _tighter(
    where: str, narrow: Mapping[str, Any], wide: Mapping[str, Any], verb: str, *, breaking: bool
) -> Iterator[Change]:
    """Values that ``narrow`` allows and ``wide`` does not."""
    if "enum" in wide:
        lost = [v for v in narrow.get("enum", [narrow["const"]] if "const" in narrow else []) if v not in wide["enum"]]
        if lost or ("enum" not in narrow and "const" not in narrow):
            what = ", ".join(map(str, lost)) if lost else "any value"
            yield Change(breaking, where, f"{what}: {'no longer taken' if verb == 'took' else 'may now be answered'}")
    if "pattern" in wide and wide["pattern"] != narrow.get("pattern"):
        yield Change(breaking, where, "another pattern")
    for name in _LOWER_BOUNDS:
        if name in wide and (name not in narrow or narrow[name] < wide[name]):
            yield Change(breaking, where, f"{name}: {narrow.get(name, 'none')} and {wide[name]} do not agree")
    for name in _UPPER_BOUNDS:
        if name in wide and (name not in narrow or narrow[name] > wide[name]):
            yield Change(breaking, where, f"{name}: {narrow.get(name, 'none')} and {wide[name]} do not agree")
