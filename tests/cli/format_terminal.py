"""A person at a terminal with files of any format: the commands in-process, and as the process that people start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from hilum.cli import application

ROOT = Path(__file__).parents[2]


class Terminal:
    """A person in a folder who types commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app = application(known_connectors=(), reconcile=lambda: None, contract_test=lambda: None)

    def file(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def types(self, *words: str, stdin: bytes = b"", code: int | None = None) -> Result:
        result = CliRunner().invoke(self.app, list(words), input=stdin, env={"COLUMNS": "200"})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code in (0, 1, 2)
        assert "Traceback" not in result.output and "Defect" not in result.output, result.output
        assert code is None or result.exit_code == code, result.output
        return result

    def reads(self, *words: str, stdin: bytes = b"", code: int | None = None):
        return orjson.loads(self.types(*words, "--json", stdin=stdin, code=code).stdout)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


def hilum(*words: str, errors: int = subprocess.PIPE, **how: Any) -> subprocess.Popen[bytes]:
    source = f"import sys; sys.argv[0] = 'hilum'; sys.path.insert(0, {str(ROOT / 'src')!r}); from hilum.app import main; main()"
    return subprocess.Popen([sys.executable, "-c", source, *words], stderr=errors, **how)
