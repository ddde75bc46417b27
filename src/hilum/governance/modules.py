"""Importing an estate's Python files under names of their own.

The files of ``integrations/`` form a package whose name comes from the estate's path, so two estates in one
process do not meet, and one estate has the same names after a restart. Files import each other relatively
(``from .contracts import BedAssigned``). No bytecode is written into the customer's folder, and none is read
from it: a stale cache must never decide what runs.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from hashlib import sha256
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

from hilum.governance.problems import EstateProblem

FOLDER = "integrations"


class _Source(importlib.machinery.SourceFileLoader):
    """Always compiles the source: without file times, Python neither reads nor writes a bytecode cache."""

    def path_stats(self, path: str) -> dict[str, float]:
        raise OSError(f"no bytecode cache is kept for {path}")


class _Finder(MetaPathFinder):
    """Finds the modules of one estate's package while it is being loaded."""

    def __init__(self, package: str, folder: Path) -> None:
        self._prefix = package + "."
        self._folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(self._prefix):
            return None
        file = self._folder / f"{fullname.removeprefix(self._prefix)}.py"
        if not file.is_file():
            return None
        return importlib.util.spec_from_file_location(fullname, file, loader=_Source(fullname, str(file)))


def package_name(root: Path) -> str:
    """The package under which the estate at ``root`` is imported."""
    return f"hilum_estate_{sha256(str(root.resolve()).encode()).hexdigest()[:12]}"


def import_integrations(root: Path) -> tuple[list[ModuleType], list[EstateProblem]]:
    """The modules of ``integrations/*.py`` in the order of their names, and why others could not be imported."""
    root = root.resolve()
    folder, package = root / FOLDER, package_name(root)
    for name in [n for n in sys.modules if n == package or n.startswith(package + ".")]:
        del sys.modules[name]
    parent = ModuleType(package, f"The integrations of the estate {root.name}.")
    parent.__path__ = [str(folder)]
    sys.modules[package] = parent
    finder = _Finder(package, folder)
    sys.meta_path.insert(0, finder)
    modules: list[ModuleType] = []
    problems: list[EstateProblem] = []
    try:
        for file in sorted(folder.glob("*.py")):
            try:
                modules.append(importlib.import_module(f"{package}.{file.stem}"))
            except Exception as error:  # noqa: BLE001 - the author's code may fail in any way, and each is a finding
                problems.append(_problem(root, file, error))
    finally:
        sys.meta_path.remove(finder)
    return modules, problems


def _problem(root: Path, file: Path, error: Exception) -> EstateProblem:
    shown = file.relative_to(root).as_posix()
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return EstateProblem(f"{shown}:{error.lineno}", f"This is not Python: {error.msg}.", "Correct the line.")
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).parent == file.parent
    ]
    where = f"{Path(frames[-1].filename).relative_to(root).as_posix()}:{frames[-1].lineno}" if frames else shown
    return EstateProblem(
        where,
        f"{shown} cannot be imported: {type(error).__name__}: {error}.",
        "Correct it, then check again: nothing this file declares was looked at.",
    )
