"""Partners push to our own SFTP server with OpenSSH's client: into their inbox, from their outbox, and nowhere else."""

from __future__ import annotations

import asyncio
import inspect
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from subprocess import CompletedProcess

import asyncssh
import pytest
from tests.transports.sftp.sftp_parts import Installation, remittance

from hilum.testing.neighbours.openssh import make_key, sftp
from hilum.transports.sftp import Account, HomeLimits, ServerLimits, SftpServer, host_key
from hilum.transports.sftp.home import PartnerHome

pytestmark = pytest.mark.slow


@dataclass
class Site:
    """A platform whose payer pushes, and the payer's key."""

    installation: Installation
    key: Path
    known_hosts: Path

    @property
    def home(self) -> Path:
        return self.installation.data / "sftp" / "clearinghouse" / "account"

    @cached_property
    def port(self) -> int:
        [row] = self.installation.ask("SELECT address FROM channel WHERE transport = 'sftp'")
        return int(row["address"].partition("127.0.0.1:")[2].partition(" ")[0])

    def open(self) -> None:
        """Wait until the door is open, and learn its host key as a partner does: by another way."""
        self.installation.until(lambda: self.installation.ask("SELECT 1 FROM channel WHERE transport = 'sftp'"))
        key = asyncssh.read_private_key(self.installation.data / "sftp" / "host_key")
        public = key.export_public_key().decode().strip()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}\n")

    def says(self, *commands: str, user: str = "harbor", key: Path | None = None) -> CompletedProcess[str]:
        return sftp(user, self.port, key if key is not None else self.key, self.known_hosts, *commands)


@pytest.fixture
def site(installation: Installation, tmp_path: Path) -> Iterator[Site]:
    public = make_key(tmp_path / "partner")
    installation.clearinghouse(
        f'[listen.sftp_account]\nuser = "harbor"\nkeys = ["{public}"]\nmax_file_bytes = 20000\nmax_files = 3\npoll_seconds = 0.1\n'
        '[answers]\nx12 = "999"\n'
    )
    header = installation.estate / "estate.toml"
    header.write_text(header.read_text() + "[sftp_server]\nport = 0\nlogin_attempts = 2\n")
    with installation.running():
        made = Site(installation, tmp_path / "partner", tmp_path / "known_hosts")
        made.open()
        yield made


def test_a_file_that_was_pushed_is_taken_and_the_home_shows_nothing_else(site: Site, tmp_path: Path) -> None:
    (tmp_path / "monday.835").write_bytes(remittance("EFT-1"))
    (site.home / "outbox" / "answer.999").write_bytes(b"ISA*")
    done = site.says(
        f"put {tmp_path}/monday.835 inbox/monday.835", f"put {tmp_path}/monday.835 inbox/later.835.part",
        "rename inbox/later.835.part inbox/later.835", "ls -1", "ls -1 outbox",
        f"get outbox/answer.999 {tmp_path}/answer.999", "rm outbox/answer.999",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    listed = [line.strip() for line in done.stdout.splitlines() if not line.startswith("sftp>")]
    assert "inbox" in listed and "outbox" in listed and not [line for line in listed if "inbox." in line]
    assert (tmp_path / "answer.999").read_bytes() == b"ISA*" and list((site.home / "outbox").iterdir()) == []
    site.installation.until(lambda: len(site.installation.messages()) == 2)
    assert site.installation.messages() == ["accepted", "duplicate"]
    [row] = site.installation.ask("SELECT DISTINCT transport FROM message")
    assert row["transport"] == "sftp" and "monday" not in site.installation.log()
    key = site.installation.data / "sftp" / "host_key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    fingerprint = asyncssh.read_private_key(key).get_fingerprint()
    assert f"its host key is {fingerprint}" in site.installation.log()
    [address] = site.installation.ask("SELECT address FROM channel WHERE transport = 'sftp'")
    assert fingerprint in address["address"]


ATTACKS = (
    "put {file} ../../../escape.835", "put {file} monday.835", "put {file} outbox/x.999", "put {file} /etc/x",
    "put {file} inbox/deeper/x.835", "put {file} inbox/.~x", "mkdir inbox/deeper", "ln -s /etc/passwd inbox/link",
    "ln inbox/a inbox/b", "get /etc/passwd {file}.got", "get ../host_key {file}.got", "get inbox.work/x {file}.got",
    "get outbox/link {file}.got", "rename outbox/answer.999 inbox/answer.999", "rename inbox/a outbox/b",
    "rename inbox/x.part ../x", "rmdir outbox", "rm inbox", "df", "put {huge} inbox/huge.835", "reput {file} inbox/a",
)  # fmt: skip


def test_nothing_is_reached_but_the_partners_own_files(site: Site, tmp_path: Path) -> None:
    file, huge = tmp_path / "monday.835", tmp_path / "huge.835"
    file.write_bytes(remittance("EFT-1"))
    huge.write_bytes(b"x" * 30_000)
    (site.home / "outbox" / "answer.999").write_bytes(b"ISA*")
    (site.home / "outbox" / "link").symlink_to("/etc/passwd")
    before = _everything(site.home)
    for command in ATTACKS:
        done = site.says(command.format(file=file, huge=huge))
        assert done.returncode != 0, f"{command}: {done.stdout + done.stderr}"
        assert not (tmp_path / "monday.835.got").exists(), command
    site.installation.until(lambda: _everything(site.home) == before, seconds=5)
    assert site.installation.messages() == []


def _everything(home: Path) -> set[str]:
    return {str(path.relative_to(home.parent)) for path in home.parent.rglob("*")}


def test_only_the_partners_key_opens_and_nobody_has_a_shell_or_a_tunnel(site: Site, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    assert "Permission denied" in site.says("ls", key=tmp_path / "stranger").stderr
    assert "Permission denied" in site.says("ls", user="root").stderr
    assert site.says("ls").returncode == 0

    async def tries() -> list[str]:
        said = []
        options = {
            "username": "harbor", "client_keys": [str(site.key)], "known_hosts": str(site.known_hosts), "config": None,
            "agent_path": None,
        }  # fmt: skip
        async with asyncssh.connect("127.0.0.1", site.port, **options) as connection:
            for attempt in (
                lambda: connection.run("id", check=True), lambda: connection.open_connection("127.0.0.1", 22),
                lambda: connection.forward_remote_port("", 0, "localhost", 22), lambda: connection.run(None, check=True),
            ):  # fmt: skip
                try:
                    await attempt()
                except (asyncssh.Error, asyncssh.ChannelListenError, OSError) as refused:
                    said.append(type(refused).__name__)
        keys = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(4)]
        try:
            async with asyncssh.connect("127.0.0.1", site.port, **{**options, "client_keys": keys}):
                said.append("in")
        except asyncssh.Error as refused:
            said.append(str(refused))
        return said

    said = asyncio.run(tries())
    assert len(said) == 5 and "in" not in said and "too many keys" in said[-1]


def test_an_upload_that_breaks_off_is_nobodys_file(site: Site) -> None:
    async def breaks_off(how: str) -> None:
        connection = await asyncssh.connect(
            "127.0.0.1", site.port, username="harbor", client_keys=[str(site.key)], config=None, agent_path=None,
            known_hosts=str(site.known_hosts),
        )  # fmt: skip
        session = await connection.start_sftp_client()
        file = await session.open("inbox/half.835", "wb")
        await file.write(remittance("EFT-1")[:300])
        assert [p.name for p in (site.home / "inbox").iterdir() if not p.name.startswith(".")] == []
        if how == "cut":
            connection.abort()
        else:
            session.exit()  # The channel ends in good order, with the file still open.
            await session.wait_closed()
            connection.close()
        await connection.wait_closed()

    for how in ("cut", "ended"):
        asyncio.run(breaks_off(how))
        site.installation.until(lambda: list((site.home / "inbox").iterdir()) == [], seconds=10)
    site.installation.ask("SELECT pg_sleep(0.5)")
    assert site.installation.messages() == [] and not list(site.home.glob("inbox.*/*"))


def test_so_many_files_may_wait_and_two_of_one_name_are_two(tmp_path: Path) -> None:
    public = make_key(tmp_path / "partner")
    (tmp_path / "a.835").write_bytes(b"one")
    came: list[int] = []
    account = Account("harbor", (public,), tmp_path / "home", HomeLimits(1000, 3), came.append)

    async def story() -> None:
        server = SftpServer(
            {"harbor": account}, host_key(tmp_path / "host_key"), ServerLimits(max_connections=4), lambda what: None
        )
        port = await server.start("127.0.0.1", 0)
        (tmp_path / "known").write_text(
            f"[127.0.0.1]:{port} {asyncssh.read_private_key(tmp_path / 'host_key').export_public_key().decode()}"
        )

        def puts(*commands: str) -> CompletedProcess[str]:
            return sftp("harbor", port, tmp_path / "partner", tmp_path / "known", *commands)

        put = f"put {tmp_path}/a.835 inbox/a.835"
        assert (await asyncio.to_thread(puts, put, put, put)).returncode == 0
        full = await asyncio.to_thread(puts, put)
        assert full.returncode != 0
        lying = sorted(p.read_bytes() for p in (tmp_path / "home" / "inbox").iterdir())
        assert lying == [b"one"] * 3 and came == [3, 3, 3]
        # Whoever does not sign in holds at most half of the connections.
        strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await asyncio.sleep(0)
        third = await asyncio.open_connection("127.0.0.1", port)
        assert b"SSH-" not in await asyncio.wait_for(third[0].read(100), 10)
        for _, writer in (*strangers, third):
            writer.close()
        await server.stop()

    asyncio.run(story())


def test_a_host_key_that_others_could_read_is_not_used(tmp_path: Path) -> None:
    first = host_key(tmp_path / "host_key").get_fingerprint()
    assert host_key(tmp_path / "host_key").get_fingerprint() == first, "it is made once"
    (tmp_path / "host_key").chmod(0o640)
    with pytest.raises(ValueError, match="chmod 600"):
        host_key(tmp_path / "host_key")


def test_a_home_answers_every_question_that_the_library_would_answer_from_the_disk() -> None:
    """A release of the library that adds an operation must not open a way around the home."""
    harmless = {
        "channel",
        "connection",
        "env",
        "logger",
        "convert_attrs",
        "format_user",
        "format_group",
        "format_longname",
        "exit",
    }
    operations = {name for name, _ in inspect.getmembers(asyncssh.SFTPServer) if not name.startswith("_")}
    assert operations - harmless - PartnerHome.__dict__.keys() == set()
