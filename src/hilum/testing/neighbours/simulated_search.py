"""How the simulated platforms are asked for lists: a JSON condition, a limit and a place to go on after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

MAX_DEPTH = 20


class Search(BaseModel):
    """``filter``: ``{"all": []}``, ``{"any": []}``, ``{"not": {}}``, ``{"field": f, "in": []}``, ``{"field": f, "known": true}``."""

    model_config = ConfigDict(extra="forbid")

    filter: dict[str, Any] = Field(default_factory=lambda: {"all": []})
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    after: str | None = None


class BadFilter(ValueError):
    """The condition is none of the known forms."""


def sql_of(condition: Any, columns: Mapping[str, str], depth: int = 0) -> tuple[str, list[Any]]:
    """The condition as SQL and its parameters; ``columns`` are the SQL expressions of the fields that may be asked for.

    A field that nobody has is not known. Every form yields true or false and never NULL, so that NOT is its opposite.
    """
    if not isinstance(condition, dict) or depth > MAX_DEPTH:
        raise BadFilter("a condition is an object, and they are not nested without end")
    match condition:
        case {"all": [*parts], **rest} if not rest:
            return _joined(parts, columns, depth, "AND", "1")
        case {"any": [*parts], **rest} if not rest:
            return _joined(parts, columns, depth, "OR", "0")
        case {"not": part, **rest} if not rest:
            text, values = sql_of(part, columns, depth + 1)
            return f"(NOT {text})", values
        case {"field": str(field), "in": [*values], **rest} if not rest:
            if field not in columns or not values:
                return "0", []
            column = columns[field]
            # Compared with its kind: SQLite would take the number 1 and the text "1" for one in a column of texts.
            tests = [f"({column} = ? AND typeof({column}) = typeof(?))" for _ in values]
            return f"({column} IS NOT NULL AND ({' OR '.join(tests)}))", [v for value in values for v in (value, value)]
        case {"field": str(field), "known": True, **rest} if not rest:
            return (f"({columns[field]} IS NOT NULL)", []) if field in columns else ("0", [])
    raise BadFilter("the condition is none of all, any, not, in, known")


def _joined(parts: list[Any], columns: Mapping[str, str], depth: int, word: str, empty: str) -> tuple[str, list[Any]]:
    if not parts:
        return empty, []
    made = [sql_of(part, columns, depth + 1) for part in parts]
    return "(" + f" {word} ".join(text for text, _ in made) + ")", [value for _, values in made for value in values]
