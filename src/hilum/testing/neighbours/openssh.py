"""A real OpenSSH server as a partner's: its own configuration, keys and files, on a port of this machine, stopped by its process.

Taken from the machine where it is installed; otherwise from the distribution's packages, unpacked into the cache and never
installed. Nobody needs to be root: as root it runs as ``nobody``, who is then the user that signs in.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from hilum.testing.neighbours.tryton_cache import NotInstallable, ProvisioningFailed, building, cache_root, run

PACKAGES = ("openssh-server", "openssh-sftp-server", "libwrap0")
READY_SECONDS = 20.0


@dataclass(frozen=True)
class Installed:
    """The server's program, and its libraries where they are not the machine's."""

    sshd: Path
    libraries: tuple[Path, ...] = ()


def openssh() -> Installed:
    """The program, had from the distribution once when the machine has none. ``NotInstallable`` when it cannot be had."""
    there = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    if there is not None:
        return Installed(Path(there))
    home = cache_root() / "openssh"
    with building(home, lambda _: None):
        if not (home / ".complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            _unpack(home)
            (home / ".complete").touch()
    return Installed(home / "usr" / "sbin" / "sshd", tuple(sorted(home.rglob("libwrap.so.*"))))


def _unpack(home: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NotInstallable("there is no sshd, and no apt to have one from: install OpenSSH's server")
    home.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as place:
        try:
            run(["sh", "-c", f"cd '{place}' && apt-get download {' '.join(PACKAGES)}"])
            for package in sorted(Path(place).glob("*.deb")):
                run(["dpkg-deb", "-x", str(package), str(home)])
        except ProvisioningFailed as failure:
            raise NotInstallable(str(failure)) from None


def make_key(file: Path, kind: str = "ed25519") -> str:
    """A key pair made by OpenSSH; the public half as it stands in ``known_hosts``."""
    file.unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", str(file)])
    return file.with_suffix(".pub").read_text().strip()


@dataclass
class OpenSsh:
    """One server with its files in ``files``. ``restart`` keeps port and files; ``new_host_key`` is what a stranger has."""

    installed: Installed = field(default_factory=openssh)
    home: Path = field(init=False)
    port: int = field(init=False, default=0)
    host_key: str = field(init=False, default="")
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        # Whoever it runs as must reach its files, which below a test's own folder nobody else does.
        self.home = Path(tempfile.mkdtemp(prefix="hilum-openssh-"))
        self.home.chmod(0o755)
        self.files.mkdir()
        self.host_key = make_key(self.home / "host_key")
        self._own(self.files, self.home / "host_key")
        if self.installed.libraries:  # The cache is this user's own, and the server may run as another.
            (self.home / "program").mkdir()
            for file in (self.installed.sshd, *self.installed.libraries):
                shutil.copy(file, self.home / "program")

    @property
    def files(self) -> Path:
        return self.home / "files"

    @property
    def user(self) -> str:
        return pwd.getpwuid(65534).pw_name if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name

    def admits(self, public_key: str) -> None:
        """Whose key is taken from now on, and nobody else's."""
        (self.home / "authorized_keys").write_text(public_key + "\n")
        (self.home / "authorized_keys").chmod(0o644)

    def new_host_key(self) -> str:
        """As if another machine answered; counts from the next start on. The public half."""
        self.host_key = make_key(self.home / "host_key")
        self._own(self.home / "host_key")
        return self.host_key

    def put(self, name: str, content: bytes, *, folder: str = "") -> Path:
        """A file of the partner's, put there in one step."""
        place = self.files / folder
        if not place.exists():
            place.mkdir(parents=True)
            self._own(place)
        part = place / f".{name}.coming"
        part.write_bytes(content)
        self._own(part)
        return part.rename(place / name)

    def lying(self, folder: str = "") -> list[str]:
        place = self.files / folder
        return sorted(entry.name for entry in place.iterdir() if entry.is_file()) if place.exists() else []

    def start(self) -> Self:
        self.port = self.port or _free_port()
        config = self.home / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.home / 'host_key'}\n"
            f"AuthorizedKeysFile {self.home / 'authorized_keys'}\nPidFile none\nStrictModes no\n"
            # An account without a password counts as locked, unless PAM is asked.
            f"UsePAM {'yes' if os.geteuid() == 0 else 'no'}\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPubkeyAuthentication yes\n"
            f"Subsystem sftp internal-sftp\nForceCommand internal-sftp -d {self.files}\nLogLevel VERBOSE\n"
        )
        program = self.home / "program" / "sshd" if self.installed.libraries else self.installed.sshd
        command = [str(program), "-D", "-e", "-f", str(config)]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", *command]
        environment = {**os.environ}
        if self.installed.libraries:
            environment["LD_LIBRARY_PATH"] = str(self.home / "program")
        with (self.home / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        deadline = time.monotonic() + READY_SECONDS
        while not _answers(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ProvisioningFailed(f"sshd did not start:\n{(self.home / 'sshd.log').read_text()[-2000:]}")
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """End the server and every session it has."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # It leads a group of its own, with its sessions in it.
            process.wait()

    def restart(self) -> Self:
        self.stop()
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def _own(self, *places: Path) -> None:
        if os.geteuid() == 0:
            for place in places:
                os.chown(place, 65534, 65534)


def sftp(user: str, port: int, key: Path, known_hosts: Path, *commands: str) -> subprocess.CompletedProcess[str]:
    """OpenSSH's own client, with these commands as a batch; a failed one ends it with an exit code."""
    return subprocess.run(
        ["sftp", "-b", "-", "-F", "none", "-P", str(port), "-i", str(key), "-o", "IdentitiesOnly=yes",
         "-o", f"UserKnownHostsFile={known_hosts}", "-o", "StrictHostKeyChecking=yes", "-o", "PasswordAuthentication=no",
         f"{user}@127.0.0.1"],
        input="\n".join(commands) + "\n", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def partner(public_key: str) -> Iterator[OpenSsh]:
    """A partner's server that takes one key."""
    with OpenSsh() as server:
        server.admits(public_key)
        yield server
