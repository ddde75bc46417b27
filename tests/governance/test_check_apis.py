"""What `hilum check` refuses of an estate's APIs, one wrong thing at a time; each row says what and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.governance.check import check_estate
from hilum.governance.loader import load_estate
from hilum.governance.published import record

ESTATE = """\
[estate]
name = "small"
title = "Small"
[facilities.ST-MARY]
name = "St. Mary"
[owners]
supply-chain = "Supply chain"
[queues.integration]
owner = "supply-chain"
[queues.refusals]
owner = "supply-chain"
"""

SYSTEM = """\
title = "Stock"
owner = "supply-chain"
criticality = "high"
"""

GOVERNANCE = """\
title = "Shelves"
layer = "system"
system = "stock"
owner = "supply-chain"
audience = ["hilum"]
[slo]
availability = 0.999
p95_milliseconds = 300
[versions.1]
state = "published"
author = "ana"
approved_by = "ben"
"""

OPERATIONS = '''\
"""Shelves as others may read and move them."""

from hilum.authoring import Api, Contract, Created, Example, Page, PageRequest
from hilum.model.where import Where


class Shelf(Contract, version=1, owner="supply-chain", identities=["item"]):
    """One item at one place."""

    item: str
    facility: str
    on_hand: int


class Move(Contract, version=1, owner="supply-chain", identities=["item"]):
    """What is to be moved."""

    item: str
    facility: str


SHELF = Shelf(item="KNEE-99", facility="ST-MARY", on_hand=3)
MOVE = Move(item="KNEE-99", facility="ST-MARY")

stock = Api("stock")


@stock.list("/shelves", resource="InventoryPosition", attributes={"facility": "facility"}, examples=(SHELF,))
def shelves(where: Where, page: PageRequest) -> Page[Shelf]:
    """List the shelves."""
    return Page(())


@stock.get("/shelves/{item}", resource="InventoryPosition", attributes={"facility": "facility"}, examples=(SHELF,))
def shelf(item: str) -> Shelf | None:
    """Read one shelf."""
    return None


def about_move(body: Move) -> dict[str, str]:
    return {"facility": body.facility}


@stock.post("/moves", resource="InventoryPosition", about=about_move, examples=(Example("", body=MOVE, answer=SHELF),))
def move(body: Move) -> Created[Shelf]:
    """Move an item."""
    return Created(SHELF, "/shelves/KNEE-99")
'''


class Small:
    def __init__(self, root: Path) -> None:
        self.root = root
        for file, text in {
            "estate.toml": ESTATE, "systems/stock.toml": SYSTEM, "apis/stock.toml": GOVERNANCE,
            "integrations/shelves.py": OPERATIONS,
        }.items():  # fmt: skip
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def changes(self, file: str, old: str, new: str) -> Small:
        path = self.root / file
        text = path.read_text()
        assert old in text, f"{file} has no {old!r}: the row is out of date"
        path.write_text(text.replace(old, new, 1))
        return self

    def problems(self) -> list[tuple[str, str]]:
        found = check_estate(self.root).problems
        return [(p.where, p.what) for p in found if p.where.startswith(("apis/", "integrations/"))]


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path / "small")


API, CODE = "apis/stock.toml", "integrations/shelves.py"

ROWS = {
    "an API nobody owns": (API, 'owner = "supply-chain"', 'owner = "nobody"', API, "owned by 'nobody'"),
    "an API without a title": (API, 'title = "Shelves"', "", API, "has no title"),
    "an API for no audience": (API, 'audience = ["hilum"]', "", API, "has no audience"),
    "a system API of an unknown system": (API, 'system = "stock"', 'system = "shelf"', API, "no system of the estate"),
    "operations without governance": (CODE, 'Api("stock")', 'Api("stocks")', CODE, "has no governance"),
    "governance without operations": (CODE, 'Api("stock")', 'Api("stocks")', API, "has no operations"),
    "operations of an unknown version": (
        CODE, '"/moves", resource', '"/moves", version=2, resource', API, "of which apis/stock.toml says nothing"
    ),
    "a version without operations": (API, "[versions.1]", '[versions.2]\nstate = "draft"\n[versions.1]', API, "v2 is draft but has no operations"),
    "a deprecation without dates": (API, 'state = "published"', 'state = "deprecated"', API, "since when and until when"),
    "a sunset before the deprecation": (
        API, 'state = "published"', 'state = "deprecated"\ndeprecated_on = 2027-01-01\nsunset_on = 2026-01-01', API,
        "retired before it is deprecated",
    ),
    "a sunset of what is not deprecated": (API, 'state = "published"', 'state = "published"\nsunset_on = 2027-01-01', API, "is not deprecated"),
    "a successor that is none": (API, 'state = "published"', 'state = "published"\nsuccessor = 9', API, "names v9 as its successor"),
    "no docstring": (CODE, '    """List the shelves."""\n', "", CODE, "has no docstring"),
    "a path parameter nobody takes": (CODE, "def shelf(item: str)", "def shelf()", CODE, "does not take it"),
    "a parameter nobody gives": (CODE, "def shelf(item: str)", "def shelf(item: str, depth: int)", CODE, "takes `depth`"),
    "an about that takes what nobody gives": (CODE, "def about_move(body: Move)", "def about_move(body: Move, who: str)", CODE, "takes `who`"),
    "a list without where": (CODE, "where: Where, page", "page", CODE, "would show everybody everything"),
    "a list without pages": (CODE, "where: Where, page: PageRequest", "where: Where", CODE, "without pages"),
    "a write about nothing": (CODE, "about=about_move, ", "", CODE, "what it is about"),
    "an attribute that is no field": (CODE, '{"facility": "facility"}, examples=(SHELF,))\ndef shelf(', '{"facility": "site"}, examples=(SHELF,))\ndef shelf(', CODE, "at 'site'"),
    "an answer without a version": (CODE, "class Shelf(Contract, version=1", "class Shelf(Contract", CODE, "lacks a version"),
    "no example of the answer": (CODE, ", examples=(SHELF,))\ndef shelf(", ")\ndef shelf(", CODE, "without an example of its answer"),
    "no example of the body": (CODE, 'Example("", body=MOVE, answer=SHELF)', 'Example("", answer=SHELF)', CODE, "without an example of its body"),
    "an example of another contract": (CODE, "body=MOVE, answer=SHELF", "body=SHELF, answer=SHELF", CODE, "is not what its contract asks for"),
    "one route twice": (
        CODE, "def about_move",
        '@stock.get("/shelves/{number}", resource="InventoryPosition", examples=(SHELF,))\n'
        'def again(number: str) -> Shelf | None:\n    """Again."""\n    return None\n\n\ndef about_move',
        CODE, "declared twice",
    ),
}  # fmt: skip


def test_a_whole_api_is_accepted_once_it_is_recorded(small: Small):
    (unrecorded,) = small.problems()
    assert "hilum api record stock 1" in check_estate(small.root).problems[0].do, unrecorded
    record(load_estate(small.root), "stock", 1)
    assert small.problems() == []


def test_a_change_that_breaks_consumers_is_refused_and_a_harmless_one_is_not(small: Small):
    record(load_estate(small.root), "stock", 1)
    small.changes(CODE, "    on_hand: int\n", "    on_hand: int\n    par: int = 0\n")
    assert small.problems() == []
    small.changes(CODE, "    facility: str\n    on_hand: int", "    facility: str | None\n    on_hand: int")
    assert any("would break its users" in what and "it may now be null" in what for _, what in small.problems())


def test_a_recorded_description_that_cannot_be_read_is_named(small: Small):
    place = small.root / record(load_estate(small.root), "stock", 1)
    place.write_text("{")
    assert [where for where, _ in small.problems()] == ["apis/published/stock.v1.json"]


@pytest.mark.parametrize("name", ROWS)
def test_an_estate_is_refused_for_an_api_with(name: str, small: Small):
    file, old, new, where, what = ROWS[name]
    found = small.changes(file, old, new).problems()
    assert any(w.startswith(where) and what in text for w, text in found), found


def test_the_report_counts_what_can_be_reached(small: Small):
    assert check_estate(small.root).facts["operations"] == 3
    small.changes(API, 'state = "published"', 'state = "draft"')
    assert check_estate(small.root).facts["operations"] == 0
