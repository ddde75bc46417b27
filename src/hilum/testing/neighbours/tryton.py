"""Tryton 8.2, the real ERP, in its own virtual environment and process, on a database of its own, seeded.

Tryton is GPL-3.0-or-later: it is installed apart, run as a separate program and spoken to over the network only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import sqlite3
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import asyncpg
import httpx2

from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.neighbours import tryton_cache
from hilum.testing.neighbours.tryton_cache import Progress, ProvisioningFailed
from hilum.testing.neighbours.tryton_desk import Desk
from hilum.testing.neighbours.tryton_seed import ErpSeed, plant
from hilum.testing.neighbours.warden import Guarded

MODULES = ("account_invoice_stock", "purchase_request", "stock_supply", "analytic_invoice", "analytic_purchase")
DATABASE = "erp"
ADMINISTRATOR = "admin"
_BOOT_SECONDS = 120.0

_SMALL: Mapping[str, str] = {"shared_buffers": "64MB", "max_connections": "60", "max_wal_size": "1GB"}
_THROWN_AWAY: Mapping[str, str] = {**_SMALL, "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class Tryton:
    """One ERP of its own for whoever starts it: ``with Tryton(seed) as erp: erp.base_url``.

    The first ``start`` on a machine installs Tryton and builds the database; each later one copies that.
    Without ``data_dir`` the data are thrown away on exit; with it they are kept there and used again.
    """

    def __init__(
        self,
        seed: ErpSeed,
        *,
        database: Literal["postgresql", "sqlite"] = "postgresql",
        data_dir: Path | None = None,
        cache: Path | None = None,
        port: int = 0,
        progress: Progress = lambda text: None,
    ) -> None:
        self.seed = seed
        self._kind = database
        self._cache = (cache if cache is not None else tryton_cache.cache_root()) / "tryton"
        self._progress = progress
        self._kept = data_dir is not None
        self._data = data_dir
        self._wanted_port = port
        self._secrets: dict[str, str] = {}
        self._postgres: EmbeddedPostgres | None = None
        self._server: Guarded | None = None
        self.port = port

    # -- questions

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:PORT``; the database is named ``DATABASE``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> str:
        return DATABASE

    @property
    def api_key(self) -> str:
        """The key of the user ``hilum`` for the REST API."""
        return self._secrets["api_key"]

    @property
    def database_url(self) -> str:
        """The ERP's own PostgreSQL, for tests that hold a lock in it; the platform never goes there."""
        assert self._postgres is not None, "the ERP does not run on PostgreSQL now"
        return self._postgres.url

    @property
    def running(self) -> bool:
        return self._server is not None and self._server.running

    @property
    def log(self) -> Path:
        assert self._data is not None, "start the ERP first"
        return self._data / "trytond.log"

    def desk(self) -> Desk:
        """Sign in as the ERP's administrator."""
        return Desk(self.base_url, DATABASE, ADMINISTRATOR, self._secrets["administrator_password"])

    # -- commands

    def start(self) -> None:
        """Return when the ERP answers. A stopped one starts again with its data, at the same port."""
        if self.running:
            return
        interpreter = tryton_cache.environment(self._cache, self._progress)
        template = self._template(interpreter)
        self._secrets = json.loads((template / "secrets.json").read_text())
        if self._data is None:
            self._data = Path(tempfile.mkdtemp(prefix="hilum-erp-"))
        self._take_copy(template, self._data)
        self._progress("starting Tryton")
        try:
            uri = self._open_database(self._data, _SMALL if self._kept else _THROWN_AWAY)
            self._server, self.port = _boot(interpreter, self._data, uri, self.port)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop server and database; the data stay for the next ``start``."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        self._close_database()

    def kill(self) -> None:
        """Kill the server in the middle of whatever it does; its database runs on until ``start`` or ``stop``."""
        if self._server is not None:
            self._server.kill()
            self._server = None

    def __enter__(self) -> Tryton:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if not self._kept and self._data is not None:
            shutil.rmtree(self._data, ignore_errors=True)
            self._data = None

    # -- the templates

    def _template(self, interpreter: Path) -> Path:
        """The directory of the seeded database, which is built when it is not there yet."""
        environment = interpreter.parent.parent.name.removeprefix("venv-")
        return self._built(
            f"template-{self._kind}-{environment}-{self.seed.fingerprint}",
            lambda home: self._seed(interpreter, self._empty(interpreter, environment), home),
        )

    def _empty(self, interpreter: Path, environment: str) -> Path:
        """The directory of the database with all modules and no content: a changed seed need not install them again."""
        return self._built(f"empty-{self._kind}-{environment}", lambda home: self._install(interpreter, home))

    def _built(self, name: str, build: Callable[[Path], None]) -> Path:
        target = self._cache / name
        with tryton_cache.building(target, self._progress):
            if not target.exists():
                tryton_cache.discard_unfinished(target)
                unfinished = target.with_name(f".{target.name}.{os.getpid()}")
                unfinished.mkdir(mode=0o700)
                build(unfinished)
                unfinished.rename(target)
        return target

    def _install(self, interpreter: Path, home: Path) -> None:
        self._progress("installing the ERP's modules into a new database (about a minute)")
        password = secrets.token_urlsafe(24)
        try:
            _install_modules(interpreter, home, self._open_database(home, _THROWN_AWAY), password)
        finally:
            self._close_database()
        _keep_secrets(home, {"administrator_password": password})

    def _seed(self, interpreter: Path, empty: Path, home: Path) -> None:
        self._progress("seeding the ERP: accounts, cost centres, suppliers, items, warehouses")
        known = json.loads((empty / "secrets.json").read_text())
        self._copy_database(empty, home)
        server = None
        try:
            server, port = _boot(interpreter, home, self._open_database(home, _THROWN_AWAY), 0)
            with Desk(f"http://127.0.0.1:{port}", DATABASE, ADMINISTRATOR, known["administrator_password"]) as desk:
                api_key = plant(self.seed, desk)
            server.stop()
            if self._postgres is not None:
                asyncio.run(_analyze(self._postgres.url))
        finally:
            if server is not None:
                server.stop()
            self._close_database()
        _keep_secrets(home, {**known, "api_key": api_key})

    # -- the database

    def _take_copy(self, template: Path, home: Path) -> None:
        """Put a copy of the template's database into ``home``, unless ``home`` has one from the same template."""
        home.mkdir(parents=True, exist_ok=True)
        origin = home / "template"
        if origin.exists():
            if origin.read_text() != template.name:
                raise ProvisioningFailed(
                    f"{home} holds an ERP of another version or seed ({origin.read_text()}): remove it or choose another place"
                )
            return
        self._copy_database(template, home)
        origin.write_text(template.name)

    def _copy_database(self, source: Path, target: Path) -> None:
        if self._kind == "sqlite":
            _copy_sqlite(source / f"{DATABASE}.sqlite", target / f"{DATABASE}.sqlite")
            return
        shutil.rmtree(target / "postgres", ignore_errors=True)
        (target / "postgres").mkdir(mode=0o700)
        # `cp -a`, because as root the cluster belongs to another user, whom a copy in Python would lose.
        tryton_cache.run(["cp", "-a", str(source / "postgres" / "cluster"), str(target / "postgres" / "cluster")])

    def _open_database(self, home: Path, settings: Mapping[str, str]) -> str:
        """Start the database in ``home``; returns the URI for the configuration."""
        if self._kind == "sqlite":
            (home / f"{DATABASE}.sqlite").touch()
            return "sqlite://"
        if self._postgres is None:
            self._postgres = EmbeddedPostgres(
                home / "postgres", superuser=DATABASE, database=DATABASE, settings=settings
            )
        self._postgres.start()
        return f"postgresql://{DATABASE}@/?host={quote(str(self._postgres.socket_dir), safe='/')}"

    def _close_database(self) -> None:
        if self._postgres is not None:
            self._postgres.stop()
            self._postgres = None


# -- one server


def _boot(interpreter: Path, home: Path, uri: str, port: int) -> tuple[Guarded, int]:
    """Start trytond on the given port, or on a free one, and wait until it answers."""
    for attempt in range(3):
        chosen = port if port else _free_port()
        configuration = _configure(home, uri, chosen)
        command = [str(interpreter.with_name("trytond")), "-c", str(configuration), "-d", DATABASE]
        server = Guarded(command, log=home / "trytond.log", env=_environment())
        try:
            if _answers(server, chosen):
                return server, chosen
            said = server.last_words()
        except BaseException:
            server.stop()
            raise
        server.stop()
        if "Address already in use" not in said and f"Port {chosen} is in use" not in said:
            break
        if port and attempt < 2:
            time.sleep(0.5)  # The predecessor at this port may still be closing.
    raise ProvisioningFailed(f"Tryton did not start on port {chosen}:\n{said}")


def _answers(server: Guarded, port: int) -> bool:
    """Wait for the first answer; False when the server ends instead."""
    question = {"id": 0, "method": "common.server.version", "params": []}
    deadline = time.monotonic() + _BOOT_SECONDS
    while time.monotonic() < deadline:
        if not server.running:
            return False
        with contextlib.suppress(httpx2.TransportError):
            return httpx2.post(f"http://127.0.0.1:{port}/rpc/", json=question, timeout=30).status_code == 200
        time.sleep(0.05)
    return False


def _configure(home: Path, uri: str, port: int) -> Path:
    """Write the server's configuration file."""
    configuration = home / "trytond.conf"
    sections: dict[str, dict[str, Any]] = {
        "web": {"listen": f"127.0.0.1:{port}", "root": home / "www"},
        "database": {"uri": uri, "path": home},
        "session": {"max_age": 86400, "timeout": 86400},
    }
    text = "".join(
        f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())
        for section, options in sections.items()
    )
    configuration.write_text(text)
    return configuration


def _environment() -> dict[str, str]:
    # Nothing of the caller's TRYTOND_* or PG* settings reaches the server.
    kept = {name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR") if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONUNBUFFERED": "1"}


def _install_modules(interpreter: Path, home: Path, uri: str, password: str) -> None:
    configuration = _configure(home, uri, 0)
    given = home / "password"
    given.touch(mode=0o600)
    given.write_text(password)
    log = home / "trytond.log"
    program = str(interpreter.with_name("trytond-admin"))
    command = [program, "-c", str(configuration), "-d", DATABASE, "-u", *MODULES, "--activate-dependencies"]
    environment = {**_environment(), "TRYTONPASSFILE": str(given)}
    server = Guarded([*command, "--email", "admin@lakeshore.example"], log=log, env=environment)
    try:
        code = server.wait()
    finally:
        server.stop()
    if code != 0:
        raise ProvisioningFailed(f"trytond-admin ended with exit code {code}:\n{server.last_words()}")


def _keep_secrets(home: Path, known: Mapping[str, str]) -> None:
    """Leave in a finished template only the database and its secrets."""
    for left in ("trytond.conf", "trytond.log", "password"):
        (home / left).unlink(missing_ok=True)
    file = home / "secrets.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(known))


def _copy_sqlite(source: Path, target: Path) -> None:
    # The backup API, because recent commits stand in a second file, which a plain copy would leave behind.
    with contextlib.closing(sqlite3.connect(source)) as old, contextlib.closing(sqlite3.connect(target)) as new:
        old.backup(new)


async def _analyze(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
