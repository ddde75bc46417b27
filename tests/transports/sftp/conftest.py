"""A real OpenSSH server for every test that asks."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.transports.sftp.sftp_parts import Installation, by_sftp, install

from hilum.testing.neighbours.openssh import Installed, OpenSsh, make_key, openssh
from hilum.testing.neighbours.tryton_cache import NotInstallable


@pytest.fixture(scope="session")
def sshd() -> Installed:
    """OpenSSH's server; skipped where there is none and none can be had, which CI does not allow."""
    try:
        return openssh()
    except NotInstallable as absent:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"OpenSSH's server cannot be had here: {absent}")


@pytest.fixture
def installation(tmp_path: Path, database_url: str) -> Installation:
    return install(tmp_path, database_url)


@pytest.fixture
def partner(sshd: Installed, installation: Installation, tmp_path: Path) -> Iterator[OpenSsh]:
    """The clearinghouse's server, which takes our key, and an estate that fetches from it."""
    public = make_key(tmp_path / "ours")
    key = installation.data / "secrets" / "clearinghouse"
    shutil.copy(tmp_path / "ours", key)
    key.chmod(0o600)
    server = OpenSsh(sshd)
    server.admits(public)
    with server:
        installation.clearinghouse(by_sftp(server))
        yield server
