"""Where things stand: the lines of TOML settings and of what Python files define, for messages people can follow."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any

_TABLE = re.compile(r"^\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_SETTING = re.compile(r"""^\s*([A-Za-z0-9_."'-]+)\s*=""")


class Places:
    """Finds lines in the files of one estate. A line it cannot find is left out: the file is named all the same."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lines: dict[str, dict[str, int]] = {}

    def toml(self, file: str, *path: str) -> str:
        """``file:line`` of a setting, of the table it should stand in when it is missing, or just the file."""
        lines = self._lines.get(file)
        if lines is None:
            lines = self._lines[file] = _toml_lines(self.root / file)
        for length in range(len(path), 0, -1):
            line = lines.get(".".join(path[:length]))
            if line is not None:
                return f"{file}:{line}"
        return file

    def function(self, function: Callable[..., Any]) -> str:
        """Where a function is defined, its decorators included."""
        code: CodeType = inspect.unwrap(function).__code__
        return f"{self._file(code.co_filename, function.__module__)}:{code.co_firstlineno}"

    def cls(self, cls: type) -> str:
        """Where a class is defined."""
        try:
            file = inspect.getfile(cls)
            changed = Path(file).stat()
        except (OSError, TypeError):
            return cls.__module__
        line = _class_lines(file, changed.st_mtime_ns, changed.st_size).get(cls.__qualname__)
        return f"{self._file(file, cls.__module__)}:{line}" if line is not None else cls.__module__

    def variable(self, namespace: dict[str, Any], name: str) -> str:
        """Where a module binds a name, by assignment or import."""
        file, module = namespace.get("__file__"), namespace["__name__"]
        if file is None:
            return str(module)
        shown = self._file(file, module)
        word = re.compile(rf"\b{re.escape(name)}\b")
        fallback = None
        for number, text in enumerate(Path(file).read_text(encoding="utf-8").splitlines(), start=1):
            if re.match(rf"{re.escape(name)}\s*(:[^=]*)?=", text):
                return f"{shown}:{number}"
            if fallback is None and word.search(text):
                fallback = number
        return shown if fallback is None else f"{shown}:{fallback}"

    def _file(self, file: str, module: str) -> str:
        path = Path(file)
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else module


def _toml_lines(file: Path) -> dict[str, int]:
    """Dotted path to line number. Reads lines, not TOML: enough for a message, and it works on broken files too."""
    found: dict[str, int] = {}
    table: Sequence[str] = ()
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return found
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _TABLE.match(line):
            table = [part.strip(" \"'") for part in match[1].split(".")]
            found.setdefault(".".join(table), number)
            found.setdefault(table[0], number)
        elif match := _SETTING.match(line):
            found.setdefault(".".join([*table, match[1].strip("\"'")]), number)
    return found


@lru_cache(maxsize=256)
def _class_lines(file: str, changed_ns: int, size: int) -> dict[str, int]:
    """The line of each class of a file by its qualified name, its decorators included; read anew when the file changes."""
    found: dict[str, int] = {}

    def collect(body: Sequence[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                found[prefix + node.name] = min((node.lineno, *(d.lineno for d in node.decorator_list)))
                collect(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                collect(node.body, f"{prefix}{node.name}.<locals>.")
            else:
                for part in ("body", "orelse", "finalbody"):
                    collect(getattr(node, part, ()), prefix)

    try:
        collect(ast.parse(Path(file).read_text(encoding="utf-8")).body, "")
    except (OSError, SyntaxError, UnicodeDecodeError):
        return {}
    return found
