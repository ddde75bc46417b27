"""A copy of the Lakeshore estate that a test may break."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hilum.app.archive import AT_HOME
from hilum.app.connectors import CONNECTORS as REACHED
from hilum.governance.check import Report, check_estate

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"
CONNECTORS = (*REACHED, *AT_HOME)


class EstateCopy:
    """Lakeshore in a folder of its own, with one thing after the other done to it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def changes(self, file: str, old: str, new: str) -> None:
        path = self.root / file
        text = path.read_text()
        assert text.count(old) >= 1, f"{file} has no {old!r}: the row of the test is out of date"
        path.write_text(text.replace(old, new, 1))

    def adds(self, file: str, text: str) -> None:
        path = self.root / file
        path.write_text((path.read_text() if path.exists() else "") + text)

    def removes(self, file: str) -> None:
        (self.root / file).unlink()

    def check(self) -> Report:
        return check_estate(self.root, CONNECTORS)


@pytest.fixture
def lakeshore() -> Path:
    return LAKESHORE


@pytest.fixture
def estate(tmp_path: Path) -> EstateCopy:
    root = tmp_path / "lakeshore"
    shutil.copytree(LAKESHORE, root, ignore=shutil.ignore_patterns("__pycache__"))
    return EstateCopy(root)
