"""The house stays tidy: each rule names its replacement, so that whoever breaks it knows what to write instead."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import hilum
from hilum.authoring import Rejected

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "hilum"
FILES = sorted(SOURCE.rglob("*.py"))
MOST_LINES = 500

MAY_READ_THE_CLOCK = {
    "app": "the composition root hands the clock down",
    "cli": "a terminal command is its own composition root",
    "testing": "the simulated hospital has its own day",
}
"""The only places that know what time it is or throw dice; everyone else takes it as an argument."""


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in FILES:
        yield path, ast.parse(path.read_text(encoding="utf-8"), shown(path))


def test_a_file_is_a_room_of_at_most_500_lines():
    crowded = {shown(path): n for path in FILES if (n := len(path.read_text().splitlines())) > MOST_LINES}
    assert not crowded, "find the second subject in it and give it a file of its own"


def test_no_module_is_a_drawer_for_leftovers():
    drawers = [
        shown(p) for p in SOURCE.rglob("*") if p.stem in {"utils", "util", "helpers", "helper", "common", "misc"}
    ]
    assert not drawers, "name the subject instead"


def test_every_package_says_in_its_docstring_what_lives_there():
    silent = [shown(p) for p in FILES if p.name == "__init__.py" and not ast.get_docstring(ast.parse(p.read_text()))]
    assert not silent, "write one sentence as the docstring"


def test_every_module_says_what_it_is_about():
    silent = [shown(path) for path, tree in trees() if not ast.get_docstring(tree)]
    assert not silent, "write one sentence as the module's docstring"


STILL_TAKE_MISSING_FOR_EMPTY = {"authoring/failures.py", "connectors/billing_hl7v2/billing.py"}
"""Files written before the rule. The list only gets shorter."""


# --- idioms ------------------------------------------------------------------------------------------------------

WALL_CLOCK = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def _reads_the_clock(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and ".".join(_dotted(node).split(".")[-2:]) in WALL_CLOCK


def _throws_dice(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and _dotted(node.func) == "random.Random":
        return not node.args  # Seeded by an argument it is no dice; as an annotation it is how dice come in.
    name = _dotted(node) if isinstance(node, ast.Attribute) else ""
    return name.startswith(("random.", "secrets.", "uuid.uuid")) and name != "random.Random"


def _takes_missing_for_empty(node: ast.AST) -> bool:
    """``given.get(...) or ""``: what was not sent becomes a value that somebody sent empty."""
    if not (isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or) and _is_empty_text(node.values[-1])):
        return False
    asked = node.values[-2]
    return isinstance(asked, ast.Call) and isinstance(asked.func, ast.Attribute) and asked.func.attr == "get"


def _is_empty_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in ("", b"")


def _catches_everything(node: ast.AST) -> bool:
    return isinstance(node, ast.ExceptHandler) and node.type is None


def _prints(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"


IDIOMS = {
    "reads the clock": (_reads_the_clock, True, "take `clock: Callable[[], datetime]` as an argument"),
    "throws dice": (_throws_dice, True, "take the randomness, or what it yields, as an argument"),
    "takes missing for empty": (
        _takes_missing_for_empty,
        False,
        'ask `is None` and say what then, instead of `.get(...) or ""`',
    ),
    "catches everything": (
        _catches_everything,
        False,
        "name the exception: what is not named is a bug and must be seen",
    ),
    "prints": (_prints, False, "return it, log it, or show it with rich in the cli"),
}


@pytest.mark.parametrize("idiom", IDIOMS)
def test_no_file_uses_a_banned_idiom(idiom: str):
    found, allowed_above, instead = IDIOMS[idiom]
    places = [
        f"{shown(path)}:{node.lineno}"
        for path, tree in trees()
        if not (allowed_above and path.relative_to(SOURCE).parts[0] in MAY_READ_THE_CLOCK)
        if not (
            found is _takes_missing_for_empty and path.relative_to(SOURCE).as_posix() in STILL_TAKE_MISSING_FOR_EMPTY
        )
        for node in ast.walk(tree)
        if found(node)
    ]
    assert not places, instead


@pytest.mark.parametrize(
    ("idiom", "code"),
    [
        ("reads the clock", "at = datetime.now(UTC)"),
        ("reads the clock", "at = datetime.datetime.utcnow()"),
        ("reads the clock", "dataclasses.field(default_factory=datetime.now)"),
        ("reads the clock", "at = time.time()"),
        ("throws dice", "wait = random.uniform(0, 1)"),
        ("throws dice", "name = uuid.uuid4()"),
        ("throws dice", "rng = random.Random()"),
        ("takes missing for empty", 'name = message.get("PID-5.1") or ""'),
        ("catches everything", "try:\n    act()\nexcept:\n    pass"),
        ("prints", "print(1)"),
    ],
)
def test_the_idiom_is_recognised(idiom: str, code: str):
    assert any(IDIOMS[idiom][0](node) for node in ast.walk(ast.parse(code)))


@pytest.mark.parametrize("code", ["def wait(rng: random.Random): ...", "rng = random.Random(7)", "at = clock()"])
def test_taking_it_as_an_argument_is_the_replacement(code: str):
    assert not any(_reads_the_clock(node) or _throws_dice(node) for node in ast.walk(ast.parse(code)))


# --- failures ----------------------------------------------------------------------------------------------------


def _descendants(cls: type) -> Iterator[type]:
    for child in cls.__subclasses__():
        yield child
        yield from _descendants(child)


def test_every_rejection_names_its_queue_and_its_remedy():
    for module in pkgutil.walk_packages(hilum.__path__, "hilum."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = [cls for cls in _descendants(Rejected) if cls.__module__.startswith("hilum.")]
    assert ours
    vague = [f"{cls.__module__}.{cls.__name__}" for cls in ours if not cls.queue or not cls.remedy()]
    assert not vague, "write `class X(Rejected, queue=...)` and, as its docstring, what the person does"


# --- places ------------------------------------------------------------------------------------------------------

HOST_PATHS = re.compile("|".join(["/" + "root/", "/" + "home/", "/" + "Users/", "/" + "work/", r"[A-Z]:\\" + r"Users"]))
TEXTS = {
    ".py",
    ".toml",
    ".md",
    ".sql",
    ".csv",
    ".html",
    ".css",
    ".js",
    ".yml",
    ".yaml",
    ".json",
    ".cfg",
    ".txt",
    ".hl7",
}


def test_no_file_names_a_path_of_somebodys_machine():
    places = [
        f"{shown(path)}:{number}"
        for folder in ("src", "tests", "estates", "benchmarks", "decisions")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in TEXTS and path.is_file()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if HOST_PATHS.search(line)
    ]
    assert not places, "write it relative to the project, or take it as an argument"
