"""The process between Hilum and its PostgreSQL server: it starts the server, watches Hilum, and stops the server with it.

Run as a program by ``postgres_server.EmbeddedPostgres``, with the standard library only; not for import by others.
It reads one line of JSON (``Job``) on standard input and then watches that pipe: a byte, its end, or the end of the process
that started it mean "stop". It writes one JSON object a line on standard output: ``progress``, ``ready``, ``failed``.
decisions/0002-embedded-postgres.md says why there is such a process and under which user the server runs.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import pwd
import select
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

STATE = "server.json"
LOG = "server.log"
CLUSTER = "cluster"
_OURS = {STATE, LOG, LOG + ".1", CLUSTER, CLUSTER + ".new"}
_LOG_BYTES = 5_000_000
_IN_USE_SECONDS = 0.5
_UNSEEN_SECONDS = 10.0  # The process that uses the server is not to be seen: dead just now, or in another container.
_FAST_SECONDS = 120.0  # A fast shutdown writes a checkpoint; the next step skips it, and the next start recovers.
_IMMEDIATE_SECONDS = 15.0
_QUICK_DEATHS = 3

_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 1, 8, 38, 47, 2
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_CAPABILITY_VERSION_3 = 0x20080522


class Failed(Exception):
    """The server cannot be started; the text says why and what to do."""

    kind = "failed"


class InUse(Failed):
    kind = "in_use"


class Stopped(Exception):
    """Hilum went away or asked to stop."""


def tell(event: str, **details: Any) -> None:
    # Nobody may be there to listen any more: the launcher still has a server to stop.
    with contextlib.suppress(OSError):
        os.write(1, json.dumps({"event": event, **details}).encode() + b"\n")


class Lifeline:
    """What says that Hilum is still there: the pipe it holds, its process, and no signal to stop."""

    def __init__(self, parent: int) -> None:
        self.stopping = False
        self._wake, write_end = os.pipe()
        for end in (self._wake, write_end):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._poll = select.poll()
        self._poll.register(self._wake, select.POLLIN)
        self._poll.register(0, select.POLLIN)
        # The pipe alone would be kept open by a process that Hilum forked without exec; the process itself is not.
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._poll.register(os.pidfd_open(parent), select.POLLIN)
        if os.getppid() != parent:
            self.stopping = True

    def _stop(self, number: int, frame: object) -> None:
        self.stopping = True

    def wait(self, seconds: float) -> None:
        """Return after ``seconds`` or when a child ended; Stopped as soon as Hilum is gone."""
        if not self.stopping:
            for file, _ in self._poll.poll(seconds * 1000):
                if file == self._wake:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake, 4096)
                else:
                    self.stopping = True
        if self.stopping:
            raise Stopped


def is_alive(pid: int) -> bool:
    """Whether process ``pid`` runs here; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


# ---- the user under which the server runs


def libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, *arguments: int) -> None:
    if libc().prctl(option, *(ctypes.c_ulong(a) for a in (*arguments, 0, 0, 0, 0)[:4])) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def server_user(data_dir: Path) -> pwd.struct_passwd:
    """Whom the server's files belong to. PostgreSQL refuses to run as root, so root hands over to somebody else."""
    me = os.geteuid()
    cluster = data_dir / CLUSTER
    owners = [path.stat().st_uid for path in (cluster, data_dir) if path.exists()]
    if me != 0:
        if any(owner != me for owner in owners):
            raise Failed(f"{data_dir} belongs to another user (uid {owners[0]}): run Hilum as that user, or as root")
        return _named(me)
    if cluster.exists() and owners[0] == 0:
        raise Failed(f"{cluster} belongs to root, as which PostgreSQL refuses to run: chown -R postgres {data_dir}")
    for owner in owners:
        if owner != 0:
            return _named(owner)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise Failed(
        "PostgreSQL refuses to run as root and there is neither a user postgres nor nobody: run Hilum as a user"
    )


def _named(uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise Failed(
            f"uid {uid} has no name in the user database, which initdb and peer authentication need: "
            "add it to /etc/passwd, or give the URL of a PostgreSQL server"
        ) from None


def own_directory(directory: Path, user: pwd.struct_passwd, mode: int) -> None:
    """Make ``directory`` and give it to ``user``; refuse one that somebody else made."""
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), user.pw_uid):
        raise Failed(f"{directory} is not a directory of {user.pw_name}'s own (uid {found.st_uid}): remove it")
    if found.st_uid != user.pw_uid:
        if any(entry.name not in _OURS for entry in directory.iterdir()):
            raise Failed(f"{directory} belongs to root and holds other files: it is not given to {user.pw_name}")
        os.chown(directory, user.pw_uid, user.pw_gid, follow_symlinks=False)
    directory.chmod(mode)


def own_data_directory(data_dir: Path, user: pwd.struct_passwd) -> None:
    """Make the data directory and those above it; refuse one with anything that is not a server's."""
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    if data_dir.exists() and not {entry.name for entry in data_dir.iterdir()} <= _OURS:
        raise Failed(f"{data_dir} holds other files than a database: give a new or an empty directory")
    own_directory(data_dir, user, 0o700)


def become(user: pwd.struct_passwd, needed: list[Path]) -> None:
    """Give up root for good, keeping at most the one capability without which the ``needed`` paths cannot be reached."""
    if os.geteuid() != 0:
        return
    for capability in (None, _CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE):
        if _tried_in_a_child(user, capability, needed):
            drop_to(user, capability)
            return
    raise Failed(
        f"PostgreSQL refuses to run as root, and as {user.pw_name} it cannot reach {' and '.join(map(str, needed))}: this "
        "process may not change its user (CAP_SETUID, CAP_SETGID) or not lend it the capability CAP_DAC_READ_SEARCH. Use a "
        "data directory and an installation below directories that everybody may enter (mode o+x), or run Hilum as an "
        "ordinary user"
    )


def _tried_in_a_child(user: pwd.struct_passwd, capability: int | None, needed: list[Path]) -> bool:
    child = os.fork()
    if child == 0:
        try:
            drop_to(user, capability)
            for path in needed:
                os.close(os.open(path, os.O_RDONLY))
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def drop_to(user: pwd.struct_passwd, capability: int | None) -> None:
    """Become ``user`` with no capability or exactly one, inherited by what is executed (an ambient capability)."""
    if capability is not None:
        _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([user.pw_gid])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    if capability is not None:
        # struct __user_cap_header_struct, then two of __user_cap_data_struct (effective, permitted, inheritable).
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        data = (ctypes.c_uint32 * 6)(*([1 << capability] * 3), 0, 0, 0)
        if libc().capset(header, data) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)
    if sys.platform == "linux":
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)


# ---- the server


class Server:
    """One PostgreSQL server on ``data_dir``, while the state file is locked."""

    def __init__(self, job: dict[str, Any], lifeline: Lifeline) -> None:
        self.job = job
        self.lifeline = lifeline
        self.data_dir = Path(job["data_dir"])
        self.socket_dir = Path(job["socket_dir"])
        self.cluster = self.data_dir / CLUSTER
        self.bin = Path(job["binaries"])
        self.process: subprocess.Popen[bytes] | None = None
        self.locked = False
        self.log_start = 0
        self._state = os.open(self.data_dir / STATE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def lock(self) -> None:
        """Be the only one: wait for a predecessor that is stopping, refuse while somebody uses the server."""
        begun = time.monotonic()
        while True:
            try:
                fcntl.flock(self._state, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.locked = True
                return
            except BlockingIOError:
                pass
            waited = time.monotonic() - begun
            held = self._read_state()
            # A predecessor whose Hilum was just killed needs a moment to notice.
            patience = _IN_USE_SECONDS if is_alive(held.get("parent", 0)) else _UNSEEN_SECONDS
            if not held.get("stopping") and waited > patience:
                raise InUse(
                    f"the PostgreSQL server on {self.data_dir} is in use by process {held.get('parent')}: stop that process, "
                    "use another data directory, or connect to its URL"
                )
            tell("progress", seconds=waited, detail="waiting for the previous server to stop")
            self.lifeline.wait(0.1)

    def _read_state(self) -> dict[str, Any]:
        try:
            found = json.loads(os.pread(self._state, 65536, 0))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def write_state(self, **more: Any) -> None:
        text = json.dumps({**self.job["state"], "launcher": os.getpid(), **more}).encode()
        # Spaces in front of the end: a reader at the same instant never meets half an object.
        os.pwrite(self._state, text.ljust(4096), 0)

    def open_log(self) -> None:
        path = self.data_dir / LOG
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_name(LOG + ".1"))
        log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.log_start = os.fstat(log).st_size
        os.dup2(log, 2)
        os.close(log)

    def last_words(self, lines: int = 15) -> str:
        with open(self.data_dir / LOG, "rb") as log:
            log.seek(self.log_start)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def leftovers(self) -> list[int]:
        """Processes of an earlier server on this data directory. A zombie has no command line, and is no obstacle."""
        title = f"postgres: {self.job['cluster_name']}: ".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # It ended while we looked.
            arguments = command.split(b"\0")
            is_postmaster = arguments[0].endswith(b"postgres") and str(self.cluster).encode() in arguments
            if command.startswith(title) or is_postmaster:
                found.append(int(entry.name))
        return found

    def clear_the_way(self) -> None:
        """End what an earlier server left behind: its processes, then the lock files that name them."""
        begun, sent = time.monotonic(), None
        while pids := self.leftovers():
            waited = time.monotonic() - begun
            number = signal.SIGINT if waited < _FAST_SECONDS else signal.SIGQUIT
            if waited > _FAST_SECONDS + _IMMEDIATE_SECONDS:
                number = signal.SIGKILL
            if number is not sent:
                sent = number
                # A fast or an immediate shutdown is the postmaster's to lead; only when it is gone are its children asked.
                postmaster = self._postmaster_pid()
                chosen = [postmaster] if postmaster in pids and number != signal.SIGKILL else pids
                for pid in chosen:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
            tell("progress", seconds=waited, detail="stopping what a killed predecessor left running")
            self.lifeline.wait(0.05)
        # PostgreSQL believes a lock file whose process number is alive, even a zombie's or a stranger's with the same number.
        for path in (self.cluster / "postmaster.pid", *self.socket_dir.glob(".s.PGSQL.*")):
            path.unlink(missing_ok=True)

    def _postmaster_pid(self) -> int:
        try:
            return int((self.cluster / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return 0

    def initialise(self) -> None:
        """Make the cluster aside and move it into place whole: a killed initdb leaves nothing that looks like a database."""
        fresh = self.cluster.with_name(CLUSTER + ".new")
        if not self.cluster.exists():
            shutil.rmtree(fresh, ignore_errors=True)
            tell("progress", seconds=0.0, detail="making a new database cluster")
            made = self._child("initdb", "-D", str(fresh), *self.job["initdb"], dies_by=signal.SIGKILL)
            while made.poll() is None:
                self.lifeline.wait(60)
            if made.returncode != 0:
                raise Failed(f"initdb failed with exit code {made.returncode}:\n{self.last_words()}")
            fresh.rename(self.cluster)
        for name, text in self.job["files"].items():
            written = self.cluster / (name + ".new")
            written.write_text(text)
            written.replace(self.cluster / name)

    def _child(self, program: str, *arguments: str, dies_by: signal.Signals) -> subprocess.Popen[bytes]:
        launcher = os.getpid()

        def die_with_the_launcher() -> None:
            # The launcher has one thread, so "the parent's thread ended" means that the launcher ended.
            if sys.platform == "linux":
                _prctl(_PR_SET_PDEATHSIG, dies_by)
                if os.getppid() != launcher:
                    os._exit(1)

        # Nothing of the caller's PG* or locale settings reaches the server.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        return subprocess.Popen(
            [str(self.bin / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=2,
            stderr=2,
            env=environment,
            cwd="/",
            preexec_fn=die_with_the_launcher,
        )

    def launch(self) -> None:
        self.process = self._child("postgres", "-D", str(self.cluster), dies_by=signal.SIGINT)

    def await_ready(self) -> None:
        """Wait as long as the server is alive: recovery after a crash may take minutes and is not a failure."""
        assert self.process is not None
        begun = told = time.monotonic()
        while True:
            if self.process.poll() is not None:
                raise Failed(
                    f"PostgreSQL ended with exit code {self.process.returncode} while starting; the end of "
                    f"{self.data_dir / LOG}:\n{self.last_words()}"
                )
            with contextlib.suppress(OSError, IndexError):
                lines = (self.cluster / "postmaster.pid").read_text().splitlines()
                if lines[0] == str(self.process.pid) and lines[7].strip() == "ready":
                    return
            if time.monotonic() - told >= 1:
                told = time.monotonic()
                tell("progress", seconds=told - begun, detail=self.last_words(1) or "starting")
            self.lifeline.wait(0.02)

    def stop(self) -> None:
        """End the server, cleanly if it can, and then its socket directory."""
        if not self.locked:
            return
        if self.process is not None:
            self.write_state(stopping=True)
            self._end(self.process)
        with contextlib.suppress(OSError):
            self.socket_dir.rmdir()

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        for number, seconds in (
            (signal.SIGINT, _FAST_SECONDS),
            (signal.SIGQUIT, _IMMEDIATE_SECONDS),
            (signal.SIGKILL, 60),
        ):
            if process.poll() is not None:
                break
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)

    def supervise(self) -> None:
        """Run the server until Hilum is gone; start it again when it dies by itself, unless it dies at once and again."""
        deaths = 0
        while True:
            begun = time.monotonic()
            self.launch()
            self.await_ready()
            assert self.process is not None
            self.write_state(pid=self.process.pid)
            tell("ready", pid=self.process.pid)
            while self.process.poll() is None:
                self.lifeline.wait(60)
            deaths = deaths + 1 if time.monotonic() - begun < 10 else 1
            if deaths > _QUICK_DEATHS:
                raise Failed(f"PostgreSQL ended {deaths} times within seconds:\n{self.last_words()}")
            self.clear_the_way()


def main() -> int:
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 65536)
        if not part:
            return 0
        line += part
    job = json.loads(line)
    # Once the server is ready nobody reads any more: a full pipe must not stop the launcher.
    os.set_blocking(1, False)
    lifeline = Lifeline(job["parent"])
    server = None
    try:
        data_dir, sockets = Path(job["data_dir"]), Path(job["socket_dir"]).parent
        user = server_user(data_dir)
        own_data_directory(data_dir, user)
        # Everybody may pass through it, and it stays; the directory of one server comes and goes under that server's lock.
        own_directory(sockets, user, 0o711)
        become(user, [Path(job["binaries"]) / "postgres", data_dir])
        os.umask(0o077)
        server = Server(job, lifeline)
        server.lock()
        own_directory(server.socket_dir, user, job["socket_mode"])
        server.open_log()
        server.write_state()
        server.clear_the_way()
        server.initialise()
        server.supervise()
    except Stopped:
        return 0
    except Failed as failure:
        tell(failure.kind, reason=str(failure))
        return 1
    except OSError as failure:
        tell("failed", reason=f"PostgreSQL on {job['data_dir']} could not be started: {failure}")
        return 1
    finally:
        if server is not None:
            server.stop()
    return 0


def run() -> NoReturn:
    sys.exit(main())


if __name__ == "__main__":
    run()
