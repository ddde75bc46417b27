"""The server that Hilum brings along, attacked: killed, orphaned, denied, started twice."""

import asyncio
import contextlib
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy

from hilum.store import postgres_launcher
from hilum.store.postgres_server import (
    EmbeddedPostgres,
    PostgresFailed,
    PostgresInUse,
    StartProgress,
    find_binaries,
    running_url,
)

AS_ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not AS_ROOT, reason="only root can become another user")

# Another Hilum: it starts a server, stores usages one by one, and says which it was told are committed.
HOSPITAL = """
import asyncio, sys, time
from pathlib import Path
import asyncpg
from hilum.store.postgres_server import EmbeddedPostgres

server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()

async def record(count):
    connection = await asyncpg.connect(server.url)
    await connection.execute("CREATE TABLE IF NOT EXISTS usage (id text PRIMARY KEY)")
    number = 0
    while number < count:
        await connection.execute("INSERT INTO usage VALUES ($1)", f"U-{number}")
        print(f"U-{number}", flush=True)
        number += 1

asyncio.run(record(float(sys.argv[2])))
sys.stdin.read()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody may enter."""
    directory = Path(tempfile.mkdtemp(prefix="hilum-test-", dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def ask(url: str, query: str, *values: Any) -> list[Any]:
    async def work() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return [row[0] for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    return asyncio.run(work())


def tell(url: str, statement: str) -> None:
    async def work(connection: Callable[..., Awaitable[Any]] = asyncpg.connect) -> None:
        opened = await connection(url)
        await opened.execute(statement)
        await opened.close()

    asyncio.run(work())


def processes(server: EmbeddedPostgres) -> dict[int, str]:
    """The server's processes and their command lines, without its supervisor."""
    title = f"postgres: hilum_{server.socket_dir.name}: "
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if command.startswith(title) or (f"postgres -D {server.data_dir}/" in command):
            found[int(entry.name)] = command
    return found


def state(server: EmbeddedPostgres) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((server.data_dir / "server.json").read_text())
    return found


def gone_within(server: EmbeddedPostgres, seconds: float) -> bool:
    return eventually(lambda: not processes(server), seconds)


def eventually(holds: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def python(script: str, *arguments: str, user: str | None = None) -> subprocess.Popen[str]:
    """Run ``script`` in an interpreter like this one; as ``user``, who may read what this interpreter needs."""

    def become() -> None:
        assert user is not None
        postgres_launcher.drop_to(pwd.getpwnam(user), 2)  # CAP_DAC_READ_SEARCH: the interpreter may be root's own.

    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(Path(postgres_launcher.__file__).parents[2])},
        preexec_fn=become if user else None,
    )


def a_hospital(data_dir: Path, usages: float = 1) -> subprocess.Popen[str]:
    """Another process with a server on ``data_dir``, after its first committed usage."""
    process = python(HOSPITAL, str(data_dir), str(usages))
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first == "U-0\n", first + process.stdout.read()
    return process


def kill(process: subprocess.Popen[str]) -> str:
    """Kill it; what it had said until then."""
    process.kill()
    said, _ = process.communicate()
    return said


# ---- a server for daily use


def test_a_server_starts_answers_three_drivers_and_stops(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "server")

    with server:
        assert ask(server.url, "SELECT current_user || '@' || current_database()") == ["hilum@hilum"]
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SHOW server_version").fetchone() == (server.version,)
        engine = sqlalchemy.create_engine(sqlalchemy.make_url(server.url).set(drivername="postgresql+psycopg"))
        with engine.connect() as alchemy:
            assert alchemy.execute(sqlalchemy.text("SELECT current_user")).scalar() == "hilum"
        engine.dispose()

    assert not processes(server)
    assert not server.socket_dir.exists()


def test_what_is_committed_is_there_after_a_restart_and_is_durable_by_default(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "server") as server:
        tell(server.url, "CREATE TABLE usage AS SELECT 'KNEE-99' AS item")
        durable = {
            name: ask(server.url, f"SHOW {name}")[0] for name in ("fsync", "synchronous_commit", "data_checksums")
        }
        assert durable == {"fsync": "on", "synchronous_commit": "on", "data_checksums": "on"}

    with EmbeddedPostgres(tmp_path / "server") as server:
        assert ask(server.url, "SELECT item FROM usage") == ["KNEE-99"]


def test_a_database_is_copied_from_a_template_and_dropped_under_its_users(postgres: EmbeddedPostgres) -> None:
    template = postgres.create_database("st-mary")
    tell(template, "CREATE TABLE item AS SELECT 'KNEE-99' AS number")

    copy = postgres.create_database('st-mary "copy"', template="st-mary")

    assert ask(copy, "SELECT number FROM item") == ["KNEE-99"]
    assert postgres.create_database("st-mary") == template
    postgres.drop_database('st-mary "copy"')
    postgres.drop_database("st-mary")
    postgres.drop_database("st-mary")
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        ask(copy, "SELECT 1")


def test_errors_with_values_of_rows_stay_out_of_the_servers_log(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(asyncpg.PostgresError):
        ask(postgres.url, "SELECT 'DOE^JANE'::text::int")

    assert "DOE" not in postgres.log.read_text()


def test_two_servers_run_side_by_side(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "erp", superuser="tryton", database="erp") as erp:
        assert ask(erp.url, "SELECT current_user || '@' || current_database()") == ["tryton@erp"]
        assert ask(postgres.url, "SELECT current_user::text") == ["hilum"]


@pytest.mark.skipif(not Path("/usr/lib/postgresql").is_dir(), reason="no PostgreSQL of the system's own")
def test_the_systems_postgres_does_as_well_as_the_wheels(tmp_path: Path) -> None:
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"))

    with EmbeddedPostgres(tmp_path / "server", binaries=binaries) as server:
        assert ask(server.url, "SHOW server_version")[0].startswith(server.version)

    # From now on the version that made the cluster is chosen, not the newest.
    assert EmbeddedPostgres(tmp_path / "server").version == server.version


def test_a_version_that_nobody_has_is_named_with_what_there_is() -> None:
    with pytest.raises(PostgresFailed, match=r"PostgreSQL 99 is needed; found: \d+"):
        find_binaries(99)


# ---- who may connect


def test_there_is_no_tcp_port(postgres: EmbeddedPostgres) -> None:
    assert ask(postgres.url, "SHOW listen_addresses") == [""]
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    inet = {line.split()[9] for table in tables if table.exists() for line in table.read_text().splitlines()[1:]}
    for pid in processes(postgres):
        sockets = {os.readlink(file).partition("socket:")[2].strip("[]") for file in Path(f"/proc/{pid}/fd").iterdir()}
        assert not sockets & inet


def test_data_and_socket_are_the_owners_alone(postgres: EmbeddedPostgres) -> None:
    for directory in (postgres.data_dir, postgres.data_dir / "cluster", postgres.socket_dir):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    rules = (postgres.data_dir / "cluster" / "pg_hba.conf").read_text()
    assert rules == "local all all peer map=hilum\n"


CONNECT = """
import asyncio, sys, asyncpg

async def work():
    connection = await asyncpg.connect(sys.argv[1])
    print(await connection.fetchval("SELECT current_user::text"))

asyncio.run(work())
"""


@only_root
def test_another_user_does_not_reach_the_socket(postgres: EmbeddedPostgres) -> None:
    refused = python(CONNECT, postgres.url, user="daemon").communicate()[0]

    assert "Permission denied" in refused


@only_root
def test_a_user_who_was_let_in_connects_and_any_other_is_refused(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "server", os_users=["daemon"]) as server:
        assert python(CONNECT, server.url, user="daemon").communicate()[0] == "hilum\n"
        assert "Peer authentication failed" in python(CONNECT, server.url, user="bin").communicate()[0]


@only_root
def test_a_socket_directory_that_somebody_else_made_is_refused(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "server")
    server.socket_dir.mkdir(parents=True)
    os.chown(server.socket_dir, pwd.getpwnam("daemon").pw_uid, -1)

    with pytest.raises(PostgresFailed, match="is not a directory of"):
        server.start()

    shutil.rmtree(server.socket_dir, ignore_errors=True)


def test_a_socket_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "server")
    server.socket_dir.parent.mkdir(exist_ok=True)
    server.socket_dir.symlink_to(tmp_path)

    with pytest.raises(PostgresFailed, match="is not a directory of"):
        server.start()

    server.socket_dir.unlink()


def test_a_directory_with_other_files_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("chapter 1")

    with pytest.raises(PostgresFailed, match="holds other files"):
        EmbeddedPostgres(tmp_path).start()


# ---- root and others


@only_root
def test_under_a_directory_of_roots_own_the_server_is_no_root_and_has_one_capability_at_most(tmp_path: Path) -> None:
    private = Path(tempfile.mkdtemp())
    assert stat.S_IMODE(private.stat().st_mode) == 0o700

    with EmbeddedPostgres(private / "deep" / "server") as server:
        status = Path(f"/proc/{state(server)['pid']}/status").read_text().split("\n")
        fields = dict(line.split(":", 1) for line in status if ":" in line)
        assert "0" not in fields["Uid"].split()
        assert int(fields["CapPrm"], 16) in (1 << 1, 1 << 2)

    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    shutil.rmtree(private)


@only_root
def test_an_ordinary_user_runs_a_server_as_root_does(place: Path) -> None:
    home = place / "home"
    home.mkdir()
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    process = python(HOSPITAL, str(home / "server"), "3", user="nobody")

    said, _ = process.communicate()

    assert said == "U-0\nU-1\nU-2\n"
    assert (home / "server" / "cluster").stat().st_uid == nobody.pw_uid
    # What nobody made, root goes on with, as nobody.
    with EmbeddedPostgres(home / "server") as server:
        assert ask(server.url, "SELECT count(*) FROM usage") == [3]
        assert Path(f"/proc/{state(server)['pid']}").stat().st_uid == nobody.pw_uid


@only_root
def test_somebody_elses_data_is_refused_to_an_ordinary_user(place: Path) -> None:
    with EmbeddedPostgres(place / "server"):
        pass

    said = python(HOSPITAL, str(place / "server"), "1", user="nobody").communicate()[0]

    assert "belongs to another user" in said


# ---- killed


@pytest.mark.parametrize("with_its_supervisor", [False, True])
def test_a_killed_hilum_leaves_no_server_and_loses_no_commit(tmp_path: Path, with_its_supervisor: bool) -> None:
    server = EmbeddedPostgres(tmp_path / "server")
    hospital = a_hospital(tmp_path / "server")
    assert processes(server)

    if with_its_supervisor:
        os.kill(state(server)["launcher"], signal.SIGKILL)
    kill(hospital)

    assert gone_within(server, 5)
    with server:
        assert ask(server.url, "SELECT id FROM usage") == ["U-0"]


def test_everything_killed_at_once_recovers_every_commit_that_was_acknowledged(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "server")
    hospital = a_hospital(tmp_path / "server", usages=float("inf"))
    time.sleep(0.5)

    for pid in (state(server)["launcher"], *processes(server)):
        with contextlib.suppress(ProcessLookupError):  # A backend may just have ended by itself.
            os.kill(pid, signal.SIGKILL)
    acknowledged = set(line for line in kill(hospital).splitlines() if line.startswith("U-"))

    with server:
        assert "automatic recovery in progress" in server.log.read_text()
        stored = set(ask(server.url, "SELECT id FROM usage"))
    assert len(acknowledged) > 50
    assert acknowledged <= stored


def test_a_new_hilum_waits_for_the_server_of_one_that_was_just_killed(tmp_path: Path) -> None:
    hospital = a_hospital(tmp_path / "server")
    hospital.kill()

    with EmbeddedPostgres(tmp_path / "server") as server:
        assert ask(server.url, "SELECT id FROM usage") == ["U-0"]
    hospital.communicate()


def test_a_server_that_dies_alone_is_started_again(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "server") as server:
        tell(server.url, "CREATE TABLE usage AS SELECT 'KNEE-99' AS item")
        first = state(server)["pid"]

        os.kill(first, signal.SIGKILL)

        assert eventually(lambda: state(server).get("pid") not in (None, first), 10)
        assert ask(server.url, "SELECT item FROM usage") == ["KNEE-99"]


def test_a_server_whose_supervisor_was_killed_stops_and_can_be_started_again(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "server") as server:
        os.kill(state(server)["launcher"], signal.SIGKILL)

        assert gone_within(server, 5)
        assert eventually(lambda: not server.running, 5)
        server.start()
        assert ask(server.url, "SELECT 1") == [1]


def test_an_orphan_without_a_supervisor_is_stopped_and_taken_over(place: Path) -> None:
    with EmbeddedPostgres(place / "server") as server:
        tell(server.url, "CREATE TABLE usage AS SELECT 'KNEE-99' AS item")
    server.socket_dir.mkdir()
    owner = (server.data_dir / "cluster").stat()
    os.chown(server.socket_dir, owner.st_uid, owner.st_gid)
    command = [str(find_binaries().directory / "postgres"), "-D", str(server.data_dir / "cluster")]

    def become() -> None:
        if AS_ROOT:
            postgres_launcher.drop_to(pwd.getpwuid(owner.st_uid), 2)

    # Nobody reaps it: after its end it is a zombie, whose number PostgreSQL takes for a living server's.
    orphan = subprocess.Popen(command, stderr=subprocess.DEVNULL, preexec_fn=become)
    assert eventually(lambda: "ready" in pid_file(server), 10)

    with server:
        assert state(server)["pid"] != orphan.pid
        assert ask(server.url, "SELECT item FROM usage") == ["KNEE-99"]
    assert orphan.wait() == 0


def pid_file(server: EmbeddedPostgres) -> str:
    path = server.data_dir / "cluster" / "postmaster.pid"
    return path.read_text() if path.exists() else ""


def test_a_lock_file_with_a_strangers_number_does_not_keep_the_server_from_starting(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "server") as server:
        left = (server.data_dir / "cluster" / "postmaster.pid").read_text().splitlines()
    owner = (server.data_dir / "cluster").stat()
    stranger = subprocess.Popen(["sleep", "60"], user=owner.st_uid if AS_ROOT else None)
    lock = server.data_dir / "cluster" / "postmaster.pid"
    lock.write_text("\n".join([str(stranger.pid), *left[1:]]) + "\n")
    os.chown(lock, owner.st_uid, owner.st_gid)

    with server:
        assert ask(server.url, "SELECT 1") == [1]

    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_an_interrupted_making_of_the_cluster_is_begun_anew(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "server") as server:
        pass
    (server.data_dir / "cluster").rename(server.data_dir / "cluster.new")
    (server.data_dir / "cluster.new" / "PG_VERSION").unlink()

    with server:
        assert ask(server.url, "SELECT 1") == [1]


# ---- threads, forks and second starts


def test_the_thread_that_started_the_server_may_end(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "server")
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()

    time.sleep(0.3)

    assert ask(server.url, "SELECT 1") == [1]
    server.stop()


def test_a_server_starts_inside_a_running_event_loop(tmp_path: Path) -> None:
    async def work() -> int:
        server = EmbeddedPostgres(tmp_path / "server")
        await asyncio.to_thread(server.start)
        server.create_database("st-mary")
        connection = await asyncpg.connect(server.url_for("st-mary"))
        found: int = await connection.fetchval("SELECT 1")
        await connection.close()
        await asyncio.to_thread(server.stop)
        return found

    assert asyncio.run(work()) == 1


FORKED = HOSPITAL.replace(
    "sys.stdin.read()",
    """
import os
child = os.fork()
if child == 0:
    server.stop()  # Not the child's to stop.
    print(f"forked {os.getpid()}", flush=True)
    time.sleep(600)
sys.stdin.read()
""",
)


def test_a_forked_child_neither_stops_the_server_nor_keeps_it_alive(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "server")
    hospital = python(FORKED, str(tmp_path / "server"), "1")
    assert hospital.stdout is not None
    lines = [hospital.stdout.readline(), hospital.stdout.readline()]
    assert lines[0] == "U-0\n", lines
    child = int(lines[1].split()[1])
    assert ask(server.url, "SELECT id FROM usage") == ["U-0"]

    hospital.kill()
    hospital.wait()

    assert gone_within(server, 5)
    os.kill(child, signal.SIGKILL)
    hospital.stdout.close()


def test_a_second_start_is_refused_with_the_number_of_the_first_and_its_url_is_found(tmp_path: Path) -> None:
    assert running_url(tmp_path / "server") is None
    with EmbeddedPostgres(tmp_path / "server") as first:
        assert running_url(tmp_path / "server") == first.url

        with pytest.raises(PostgresInUse, match=f"in use by process {os.getpid()}"):
            EmbeddedPostgres(tmp_path / "server").start()

        assert ask(first.url, "SELECT 1") == [1]
    assert running_url(tmp_path / "server") is None


# ---- slow and failing starts


def test_a_recovery_that_takes_long_is_waited_for_and_told(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "server") as server:
        tell(server.url, "CREATE TABLE usage AS SELECT 'KNEE-99' AS item")
    # Recovery asks an archive that takes its time for every file of the log.
    signal_file = server.data_dir / "cluster" / "recovery.signal"
    signal_file.touch()
    owner = (server.data_dir / "cluster").stat()
    os.chown(signal_file, owner.st_uid, owner.st_gid)
    told: list[StartProgress] = []

    slow = EmbeddedPostgres(
        tmp_path / "server", settings={"restore_command": "sleep 1; false"}, on_progress=told.append
    )
    with slow:
        assert ask(slow.url, "SELECT item FROM usage") == ["KNEE-99"]

    assert max(progress.elapsed_seconds for progress in told) >= 2
    assert any("LOG:" in progress.detail for progress in told)


def test_a_server_that_cannot_start_shows_the_end_of_its_log_and_leaves_nothing_behind(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "server", settings={"max_connections": "many"})

    with pytest.raises(PostgresFailed, match='invalid value for parameter "max_connections"'):
        server.start()

    assert not server.running
    assert not server.socket_dir.exists()
