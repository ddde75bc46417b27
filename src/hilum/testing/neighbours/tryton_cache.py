"""What is built once and kept: the ERP's own virtual environment and a seeded database to be copied.

``$HILUM_CACHE`` (else ``$XDG_CACHE_HOME/hilum``, else ``~/.cache/hilum``) holds, below ``tryton/``:

    venv-<hash>/        the pinned packages; complete when ``.complete`` stands in it
    template-<hash>/    database and secrets; renamed into place when it is whole
    *.lock              who builds; a second process waits and then uses what the first has built
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("tryton_requirements.txt")

Progress = Callable[[str], None]


class ProvisioningFailed(RuntimeError):
    """The ERP could not be installed or its database not be built; the text says which command failed and why."""


def cache_root() -> Path:
    """Where built things are kept."""
    for variable, below in (("HILUM_CACHE", ""), ("XDG_CACHE_HOME", "hilum")):
        given = os.environ.get(variable)
        if given:
            return Path(given) / below
    return Path.home() / ".cache" / "hilum"


class NotInstallable(ProvisioningFailed):
    """The ERP's packages could not be had, as on a machine without a package index."""


@contextlib.contextmanager
def building(target: Path, progress: Progress) -> Iterator[None]:
    """Be the only process that builds ``target``; wait while another one does."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.with_name(target.name + ".lock"), "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another process that is preparing the same ERP")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def environment(root: Path, progress: Progress) -> Path:
    """The interpreter of the ERP's virtual environment, which is made when it is not there yet."""
    python = f"{sys.implementation.cache_tag}-{sys.platform}".encode()
    key = hashlib.sha256(python + REQUIREMENTS.read_bytes()).hexdigest()[:16]
    home = root / f"venv-{key}"
    interpreter = home / "bin" / "python"
    with building(home, progress):
        if not (home / ".complete").exists():
            progress("installing Tryton 8.2 into its own environment")
            shutil.rmtree(home, ignore_errors=True)
            try:
                _install(home, interpreter)
            except ProvisioningFailed as failure:
                raise NotInstallable(str(failure)) from None
            (home / ".complete").touch()
    return interpreter


def _install(home: Path, interpreter: Path) -> None:
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is not None:
        run([uv, "venv", "--quiet", "--python", sys.executable, str(home)])
        run([uv, "pip", "sync", "--quiet", "--python", str(interpreter), "--require-hashes", str(REQUIREMENTS)])
        return
    venv.create(home, with_pip=True)
    pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    run([*pip, "--require-hashes", "--requirement", str(REQUIREMENTS)])


def run(command: list[str], env: dict[str, str] | None = None) -> None:
    """Run a command to its end; ProvisioningFailed with the end of its output when it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, check=False)
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise ProvisioningFailed(f"`{' '.join(command[:4])} ...` ended with exit code {done.returncode}:\n{said}")


def discard_unfinished(target: Path) -> None:
    """Remove what interrupted builds of ``target`` left behind. Call while ``building(target)``."""
    for left in target.parent.glob(f".{target.name}.*"):
        shutil.rmtree(left, ignore_errors=True)
