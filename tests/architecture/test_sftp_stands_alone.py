"""asyncssh is an optional extra under another licence: one folder imports it, and the rest of the house runs without it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).parents[2] / "src" / "hilum"


def test_only_the_sftp_transport_imports_asyncssh() -> None:
    importing = {
        path.relative_to(SRC).as_posix()
        for path in SRC.rglob("*.py")
        if re.search(r"^(?! ).*\bimport asyncssh|^from asyncssh", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert importing and all(name.startswith("transports/sftp/") for name in importing), (
        f"{sorted(importing)}: ask hilum.transports.sftp (decisions/0019-sftp-by-asyncssh.md)"
    )


def test_processes_start_where_the_extra_is_not_installed() -> None:
    code = "import sys; sys.modules['asyncssh'] = None\nimport hilum.app.intake, hilum.app.worker"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
