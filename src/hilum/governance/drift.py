"""What a vendor's interface looked like when it was recorded, what it looks like now, and what the difference means.

A description is flat: every part that an operation relies on, by its path, and a few facts about each. So one comparison
serves a database's models, a REST API's answers and an OpenAPI document alike, and its words can name the part.

    {"system": "erp", "source": "tryton", "parts": {
        "account.move.state": {"type": "selection", "side": "both", "values": ["draft", "posted"],
                               "relied_on_by": ["post_journal"]}, ...},
     "unseen": ["GET /movements[]"]}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

FOLDER = "descriptions"
Kind = Literal["additive", "deprecated", "breaking"]
SEVERITY: tuple[Kind, ...] = ("additive", "deprecated", "breaking")


class Part(BaseModel):
    """One thing that is relied on. ``side``: whether it is asked for, given by us, or both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    side: Literal["asked", "given", "both"] = "asked"
    required: bool = False
    values: tuple[str, ...] | None = None
    deprecated: bool = False
    relied_on_by: tuple[str, ...] = ()


class Description(BaseModel):
    """What a system looks like. ``unseen``: parts below which nothing could be looked at this time (an empty list)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str
    source: str
    parts: dict[str, Part]
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """One difference, in words that name the part, and the operations that meet it."""

    kind: Kind
    part: str
    what: str
    relied_on_by: tuple[str, ...] = ()

    def __str__(self) -> str:
        by = f" (relied on by {', '.join(self.relied_on_by)})" if self.relied_on_by else ""
        return f"{self.part} {self.what}{by}"


class DescriptionUnusable(ValueError):
    """A recorded description cannot be read; the text names the file and what to do."""


def compare(recorded: Description, now: Description) -> list[Change]:
    """The changes, the worst first. What could not be seen in either description is no change."""
    changes: list[Change] = []
    unseen = (*recorded.unseen, *now.unseen)
    for path in sorted({*recorded.parts, *now.parts}):
        before, after = recorded.parts.get(path), now.parts.get(path)
        if (before is None or after is None) and any(path.startswith(prefix) for prefix in unseen):
            continue
        if before is None and after is not None:
            changes.append(_appeared(path, after))
        elif before is not None and after is None:
            changes.append(_gone(path, before, recorded, now))
        elif before is not None and after is not None:
            changes += _changed(path, before, after)
    return sorted(changes, key=lambda change: (-SEVERITY.index(change.kind), change.part))


def verdict(changes: Iterable[Change]) -> str:
    """``same`` or the worst kind among the changes."""
    return max((change.kind for change in changes), key=SEVERITY.index, default="same")


def _appeared(path: str, part: Part) -> Change:
    if part.side != "asked" and part.required:
        return Change("breaking", path, f"must be given now ({part.type})", part.relied_on_by)
    return Change("additive", path, f"is new ({part.type})", part.relied_on_by)


def _gone(path: str, part: Part, recorded: Description, now: Description) -> Change:
    """Gone, and perhaps only called otherwise: what is new in the same place, of the same type and of a like name."""
    place, separator, name = _place(path)
    news = {
        other.removeprefix(place + separator): other
        for other, found in now.parts.items()
        if other not in recorded.parts and found.type == part.type and _place(other)[0] == place
    }
    close = get_close_matches(name, list(news), n=1, cutoff=0.5)
    what = f"is gone; {news[close[0]]} is new and may be what it is called now" if close else "is gone"
    return Change("breaking", path, what, part.relied_on_by)


def _changed(path: str, before: Part, after: Part) -> list[Change]:
    by = tuple(sorted({*before.relied_on_by, *after.relied_on_by}))
    found: list[Change] = []

    def add(kind: Kind, what: str) -> None:
        found.append(Change(kind, path, what, by))

    if before.type != after.type:
        add("breaking", f"was {before.type} and is {after.type}")
    if before.required != after.required:
        if before.side == "asked":
            add("additive" if after.required else "breaking", "is always there now" if after.required else "may be absent now")  # fmt: skip
        else:
            add("breaking" if after.required else "additive", "must be given now" if after.required else "need not be given any more")  # fmt: skip
    if before.values is not None and after.values is not None:
        lost, won = set(before.values) - set(after.values), set(after.values) - set(before.values)
        if lost:
            add("breaking", f"has lost the values {', '.join(sorted(lost))}")
        if won:
            add("additive", f"has the new values {', '.join(sorted(won))}")
    if after.deprecated and not before.deprecated:
        add("deprecated", "is deprecated")
    return found


def _place(path: str) -> tuple[str, str, str]:
    """Where a part stands, and its own name."""
    cut = max(path.rfind("."), path.rfind(" "))
    return (path[:cut], path[cut], path[cut + 1 :]) if cut >= 0 else ("", "", path)


def recorded_file(root: Path, system: str) -> Path:
    return root / FOLDER / f"{system}.json"


def read_recorded(root: Path, system: str) -> Description | None:
    """The description that the estate holds, or None. ``DescriptionUnusable`` when it is no description."""
    file = recorded_file(root, system)
    try:
        return Description.model_validate(orjson.loads(file.read_bytes()))
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise DescriptionUnusable(
            f"{FOLDER}/{system}.json is no description ({type(error).__name__}): record it anew with "
            f"`hilum contract-test {system} --record`"
        ) from None


def record(root: Path, description: Description) -> Path:
    """Write a description into the estate, in an order that makes differences readable in version control."""
    file = recorded_file(root, description.system)
    file.parent.mkdir(exist_ok=True)
    plain = description.model_dump(mode="json", exclude_defaults=True)
    file.write_bytes(orjson.dumps(plain, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
    return file


def described(system: str, found: Mapping[str, Any]) -> Description:
    """What a connector's ``describe`` answered, checked."""
    return Description.model_validate({"system": system, **found})
