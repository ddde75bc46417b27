"""The demo's own manners; that it plays its day to books that agree is what it says of itself with its exit code."""

from __future__ import annotations

import fcntl
from pathlib import Path

import typer
from typer.testing import CliRunner

from hilum.cli.demo import demo


def test_a_second_demo_in_one_folder_is_refused_and_empties_nothing(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(demo)
    data = tmp_path / "demo"
    data.mkdir()
    (data / "books").write_text("of the first")
    with open(tmp_path / "demo.lock", "ab") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        done = CliRunner().invoke(app, ["--once", "--data", str(data)])
    assert done.exit_code == 2
    assert "a demo is running in" in done.output and "--data" in done.output
    assert (data / "books").read_text() == "of the first"
