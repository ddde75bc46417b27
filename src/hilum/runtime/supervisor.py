"""The platform as processes: a database, and one child for each role, started again when it dies."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from hilum.store.postgres_server import EmbeddedPostgres, PostgresFailed

RESTART_BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
CALM_SECONDS = 30.0
_ANY_PORT = "--port 0"
_HTTP_PORT = re.compile(r"https?://[^/\"]*:([0-9]+)")


class NotStarted(RuntimeError):
    """The platform did not come up; the text says which part and where its log is."""


@dataclass
class Role:
    """One child process and how to start it again."""

    name: str
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    successor: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restarts: int = 0
    next_start: float = 0.0


@dataclass
class Supervisor:
    """Starts children, restarts those that die, ends them with itself.

    A child also ends by itself when this process is gone: its standard input is a pipe that then closes.
    """

    roles: list[Role]
    environment: dict[str, str]
    log_folder: Path
    restart: bool = True
    on_event: Callable[[str], None] | None = None
    database: EmbeddedPostgres | None = None  # None when the database is somebody else's.
    _database_next_start: float = 0.0
    _stopping: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self.log_folder.mkdir(parents=True, exist_ok=True)
        for role in self.roles:
            self._start(role)

    def _start(self, role: Role) -> None:
        role.process, role.successor = role.successor if role.successor is not None else self._launch(role), None
        role.started_at = time.monotonic()

    def _launch(self, role: Role) -> subprocess.Popen[bytes]:
        with (self.log_folder / f"{role.name}.log").open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "hilum.app", "serve", *self._arguments(role)],
                stdin=subprocess.PIPE, stdout=out, stderr=out, env=self.environment, start_new_session=True,
            )  # fmt: skip

    def _arguments(self, role: Role) -> list[str]:
        """As declared; but who comes back listens where it did before, also when any free port was good at first.

        Not when it died young on that port as well: somebody else may have it by now.
        """
        ready = self.log_folder.parent / f"ready-{role.name}.json"
        if _ANY_PORT not in " ".join(role.arguments) or role.restarts > 1 or not ready.exists():
            return role.arguments
        listened = _HTTP_PORT.search(ready.read_text())
        at = role.arguments.index("--port") + 1
        return role.arguments if listened is None else [*role.arguments[:at], listened[1], *role.arguments[at + 1 :]]

    def start_ahead(self, name: str) -> None:
        """Start a worker's next process while the present one runs: it loads, then waits for the name to be free."""
        for role in self.roles:
            if role.name == name and role.successor is None:
                role.successor = self._launch(role)

    def watch(self) -> None:
        """Look once; start again what has died, slower each time it dies young."""
        self._watch_database()
        for role in self.roles:
            if role.process is None or role.process.poll() is None:
                continue
            moment = time.monotonic()
            if role.next_start == 0.0:
                role.restarts = 0 if moment - role.started_at > CALM_SECONDS else role.restarts + 1
                pause = RESTART_BACKOFF_SECONDS[min(role.restarts, len(RESTART_BACKOFF_SECONDS) - 1)]
                role.next_start = moment + pause
                if self.on_event is not None:
                    self.on_event(f"{role.name} ended with {role.process.returncode}; starting it again")
            if self.restart and moment >= role.next_start and not self._stopping.is_set():
                role.next_start = 0.0
                self._start(role)

    def _watch_database(self) -> None:
        """The children wait for a database that went away; nobody but us starts it again. Takes as long as its recovery."""
        database, moment = self.database, time.monotonic()
        if database is None or database.running or not self.restart or self._stopping.is_set():
            return
        if moment < self._database_next_start:
            return
        if self.on_event is not None:
            self.on_event("the database ended; starting it again")
        try:
            database.start()
        except PostgresFailed as failure:  # A command at the terminal may just be reading the directory.
            self._database_next_start = time.monotonic() + RESTART_BACKOFF_SECONDS[-1]
            if self.on_event is not None:
                self.on_event(str(failure))

    def start_again(self) -> list[str]:
        """Start what has died at once, as an operator would; which roles those were."""
        dead = [role for role in self.roles if role.process is None or role.process.poll() is not None]
        for role in dead:
            role.next_start = 0.0
            role.restarts = 0
            self._start(role)
        return [role.name for role in dead]

    def stop(self, grace_seconds: float = 10.0) -> None:
        self._stopping.set()
        started = [process for r in self.roles for process in (r.successor, r.process) if process is not None]
        running = [process for process in started if process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def running_platform(
    *,
    estate: Path,
    data: Path,
    database_url: str | None,
    overlay: Path | None,
    tower_port: int,
    webhook_port: int = 0,
    gateway_port: int | None = None,
    workers: int = 1,
    restart: bool = True,
    environment: dict[str, str] | None = None,
) -> Iterator[tuple[Supervisor, dict[str, Any]]]:
    """The whole platform while the block runs. Yields the supervisor and what ``runtime.json`` says.

    Without ``gateway_port`` there is no gateway; every other port 0 takes a free one.
    """
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.ExitStack() as stack:
        url, server = database_url, None
        if url is None:
            server = stack.enter_context(EmbeddedPostgres(data / "postgres"))
            url = server.url
        # By the environment: a URL may hold a password, and arguments are for everybody on the machine to read.
        surroundings = {**(environment or os.environ), "HILUM_DATABASE_URL": url}
        _prepare(estate, data, overlay, surroundings)
        common = ["--estate", str(estate), "--data", str(data)]
        if overlay is not None:
            common += ["--overlay", str(overlay)]
        roles = [Role("intake-1", ["intake", "--name", "intake-1", "--port", str(webhook_port), *common])]
        roles += [Role(f"worker-{n}", ["worker", "--name", f"worker-{n}", *common]) for n in range(1, workers + 1)]
        roles.append(Role("tower", ["tower", "--name", "tower", "--port", str(tower_port), *common]))
        if gateway_port is not None:
            roles.append(Role("gateway", ["gateway", "--name", "gateway", "--port", str(gateway_port), *common]))
        runtime: dict[str, Any] = {
            "pid": os.getpid(),
            "database_url": url,
            "estate": str(estate.resolve()),
            "overlay": str(overlay.resolve()) if overlay is not None else None,
            "roles": [r.name for r in roles],
        }
        runtime_file = data / "runtime.json"
        runtime_file.write_bytes(orjson.dumps(runtime, option=orjson.OPT_INDENT_2))
        runtime_file.chmod(0o600)
        stack.callback(runtime_file.unlink, missing_ok=True)
        for stale in data.glob("ready-*.json"):
            stale.unlink()
        supervisor = Supervisor(roles, surroundings, data / "logs", restart=restart, database=server)
        stack.callback(supervisor.stop)
        supervisor.start()
        yield supervisor, runtime


def _prepare(estate: Path, data: Path, overlay: Path | None, environment: dict[str, str]) -> None:
    """Migrations and crosswalk tables: in a process of its own, so that this one stays small and single-threaded."""
    command = [
        sys.executable,
        "-m",
        "hilum.app",
        "prepare",
        "--estate",
        str(estate),
        "--data",
        str(data),
    ]
    if overlay is not None:
        command += ["--overlay", str(overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise NotStarted(done.stderr.strip() or done.stdout.strip() or "the platform could not be prepared")


def wait_ready(supervisor: Supervisor, data: Path, *, timeout_seconds: float = 120.0) -> dict[str, dict[str, Any]]:
    """Wait until every role says it is ready; returns what each said (ports, addresses)."""
    deadline = time.monotonic() + timeout_seconds
    ready: dict[str, dict[str, Any]] = {}
    while len(ready) < len(supervisor.roles):
        supervisor.watch()
        for role in supervisor.roles:
            place = data / f"ready-{role.name}.json"
            if role.name not in ready and role.process is not None and place.exists():
                says = orjson.loads(place.read_bytes())
                if says["pid"] == role.process.pid:  # Not what its predecessor said.
                    ready[role.name] = says
        if time.monotonic() > deadline:
            waiting = [r.name for r in supervisor.roles if r.name not in ready]
            said = "".join(f"\n  {name}: {_last_line(data / 'logs' / f'{name}.log')}" for name in waiting)
            raise NotStarted(f"not started within {timeout_seconds:g} s; the logs in {data / 'logs'} end so:{said}")
        time.sleep(0.05)
    return ready


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "(nothing)"
