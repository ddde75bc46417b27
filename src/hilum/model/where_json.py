"""Conditions as plain JSON, the way systems with a REST interface are asked for a list.

    {"all": [...]}  {"any": [...]}  {"not": {...}}      of conditions; ``all`` of none is every record
    {"field": "facility", "in": ["ST-MARY"]}            the field is known and one of these
    {"field": "facility", "known": true}                the field is known

A field that is not known is none of anything, also under ``not``.
"""

from __future__ import annotations

from typing import Any

from hilum.model.where import AllOf, AnyOf, Equals, Everything, Has, Not, Nothing, OneOf, Where


def as_json(where: Where) -> dict[str, Any]:
    """The condition as JSON. TypeError for a kind of condition that has no such form."""
    match where:
        case Everything():
            return {"all": []}
        case Nothing():
            return {"any": []}
        case Equals(field, value):
            return {"field": field, "in": [value]}
        case OneOf(field, values):
            return {"field": field, "in": sorted(values)}
        case Has(field):
            return {"field": field, "known": True}
        case AllOf(parts):
            return {"all": [as_json(part) for part in parts]}
        case AnyOf(parts):
            return {"any": [as_json(part) for part in parts]}
        case Not(part):
            return {"not": as_json(part)}
    raise TypeError(f"{type(where).__name__} is a kind of condition that has no JSON form")
