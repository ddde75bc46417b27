"""`hilum send` says what is wrong in a sentence and an exit code, whatever it is given."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hilum.cli.send import send

app = typer.Typer()
app.command()(send)


@pytest.mark.parametrize(
    ("content", "to", "code", "says"),
    [
        (b"\x00\xff not HL7 [/red]", "mllp://127.0.0.1:1", 1, "this is no HL7 v2"),
        (b"MSH|^~\\&|EHR|ST-MARY|||2026||ADT^A04|C-1|P|2.5.1\r", "mllp://127.0.0.1:1", 2, "unavailable"),
        (b"MSH|^~\\&|EHR|ST-MARY|||2026||ADT^A04|C-1|P|2.5.1\r", "nowhere", 2, "no address of a door"),
        (None, "mllp://127.0.0.1:1", 2, "No such file"),
    ],
    ids=["garbage", "nobody there", "no address", "no file"],
)
def test_what_cannot_be_sent_is_told_without_a_traceback(
    tmp_path: Path, content: bytes | None, to: str, code: int, says: str
) -> None:
    file = tmp_path / "message.hl7"
    if content is not None:
        file.write_bytes(content)
    for mode in ([], ["--json"]):
        result = CliRunner().invoke(app, [str(file), "--to", to, *mode])
        assert result.exit_code == code
        assert isinstance(result.exception, SystemExit)
        assert says in (result.stderr if mode else result.stdout)
