"""Our SFTP server, for partners who push: keys only, one home for each account, nothing but file transfer.

No password, shell, command, forwarding, agent or compression. Unknown accounts and wrong keys are told apart by nobody.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.stream import SSHServerStreamSession

from hilum.transports.sftp.home import HomeFolders, HomeLimits, PartnerHome

log = logging.getLogger(__name__)

_KEEPALIVE_SECONDS = 30.0


class HostKeyUnusable(ValueError):
    """Our own host key cannot be used as it is kept; the text says what to do."""


@dataclass(frozen=True)
class Account:
    """A partner: their public keys, their home, what they may put down. ``came`` is told the size of each whole file."""

    user: str
    keys: tuple[str, ...]
    home: Path
    limits: HomeLimits
    came: Callable[[int], None]


@dataclass(frozen=True)
class ServerLimits:
    """What the server bears: connections in all and by account, keys one connection may try, times to sign in and to idle."""

    max_connections: int = 50
    max_connections_by_account: int = 5
    login_attempts: int = 6
    login_timeout_seconds: float = 20.0
    idle_timeout_seconds: float = 600.0


def host_key(file: Path) -> asyncssh.SSHKey:
    """Our host key (Ed25519), made at the first start for the platform's user alone. ``HostKeyUnusable`` when others reach it."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "wb") as out:
            out.write(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
            out.flush()
            os.fsync(out.fileno())
    if os.stat(file).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise HostKeyUnusable(f"other users of this machine reach {file}; run chmod 600 {file}, and think of a new key")
    try:
        return asyncssh.read_private_key(file)
    except (OSError, asyncssh.KeyImportError):
        raise HostKeyUnusable(
            f"{file} holds no private key; remove it and a new one is made, which partners must be told"
        ) from None


class SftpServer:
    """Takes partners' connections on ``host:port``; ``fingerprint`` is what partners compare."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        key: asyncssh.SSHKey,
        limits: ServerLimits,
        refused: Callable[[str], None],
    ) -> None:
        self._accounts = dict(accounts)
        self._keys = {
            account.user: [asyncssh.import_public_key(text) for text in account.keys] for account in accounts.values()
        }
        self._folders = {account.user: HomeFolders(account.home) for account in accounts.values()}
        self._key = key
        self._limits = limits
        self._refused = refused
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._strangers: set[_Guest] = set()
        self._guests: Counter[str] = Counter()

    @property
    def fingerprint(self) -> str:
        return self._key.get_fingerprint()

    async def start(self, host: str, port: int) -> int:
        """The port it listens on."""
        self._acceptor = await asyncssh.listen(
            host, port, server_factory=lambda: _Guest(self), server_host_keys=[self._key], config=None,
            login_timeout=self._limits.login_timeout_seconds, keepalive_interval=_KEEPALIVE_SECONDS,
            keepalive_count_max=2, agent_forwarding=False, x11_forwarding=False, allow_pty=False, allow_scp=False,
            line_editor=False, compression_algs=["none"], gss_host=None, server_version="SFTP", encoding=None,
        )  # fmt: skip
        return self._acceptor.get_port()

    async def stop(self) -> None:
        if self._acceptor is not None:
            self._acceptor.close()
            await self._acceptor.wait_closed()
        for folders in self._folders.values():
            folders.close()

    # --- what guests ask

    def admits(self, guest: _Guest) -> bool:
        """Whether one more connection is borne. Half of them may be of people who have not signed in."""
        everybody = len(self._strangers) + sum(self._guests.values())
        if everybody >= self._limits.max_connections or len(self._strangers) * 2 >= self._limits.max_connections:
            self._refused("connections")
            return False
        self._strangers.add(guest)
        return True

    def knows(self, user: str, key: asyncssh.SSHKey) -> bool:
        return key in self._keys.get(user, ())

    def signs_in(self, guest: _Guest, user: str) -> bool:
        self._strangers.discard(guest)
        self._guests[user] += 1
        return self._guests[user] <= self._limits.max_connections_by_account

    def leaves(self, guest: _Guest, user: str | None) -> None:
        self._strangers.discard(guest)
        if user is not None:
            self._guests[user] -= 1

    def tried_too_often(self, attempts: int) -> bool:
        if attempts > self._limits.login_attempts:
            self._refused("login attempts")
            return True
        return False

    @property
    def idle_timeout_seconds(self) -> float:
        return self._limits.idle_timeout_seconds

    def session(self, user: str) -> _Session:
        account, folders = self._accounts[user], self._folders[user]

        def home(chan: SSHChannel[bytes]) -> PartnerHome:
            assert isinstance(chan, asyncssh.SSHServerChannel)
            return PartnerHome(chan, folders, account.limits, account.came, lambda: session.over)

        session = _Session(home, self.idle_timeout_seconds)
        return session


class _Guest(asyncssh.SSHServer):
    """One connection."""

    def __init__(self, server: SftpServer) -> None:
        self._server = server
        self._connection: asyncssh.SSHServerConnection | None = None
        self._name = ""
        self._user: str | None = None
        self._attempts = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        if not self._server.admits(self):
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.leaves(self, self._user)

    def begin_auth(self, username: str) -> bool:
        self._name = username
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self._attempts += 1
        if self._server.tried_too_often(self._attempts):
            assert self._connection is not None
            self._connection.disconnect(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "too many keys were tried")
            return False
        return self._server.knows(username, key)

    def auth_completed(self) -> None:
        self._user = self._name
        if not self._server.signs_in(self, self._user):
            assert self._connection is not None
            self._connection.disconnect(asyncssh.DISC_TOO_MANY_CONNECTIONS, "this account has too many connections")

    def session_requested(self) -> SSHServerStreamSession[bytes]:
        assert self._user is not None
        return self._server.session(self._user)


class _Session(SSHServerStreamSession[bytes]):
    """A session of which is known when the client has gone: what it had not closed by then was never acknowledged."""

    def __init__(self, home: Callable[[SSHChannel[bytes]], PartnerHome], idle_timeout_seconds: float) -> None:
        super().__init__(None, home, 3, False)
        self.over = False
        self._idle_timeout_seconds = idle_timeout_seconds
        self._idle: asyncio.TimerHandle | None = None
        self._channel: SSHChannel[bytes] | None = None

    def connection_made(self, chan: SSHChannel[bytes]) -> None:
        self._channel = chan
        self._wait()
        super().connection_made(chan)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._wait()
        super().data_received(data, datatype)

    def eof_received(self) -> bool:
        self.over = True
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.over = True
        if self._idle is not None:
            self._idle.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(self._idle_timeout_seconds, self._hang_up)

    def _hang_up(self) -> None:
        assert self._channel is not None
        self._channel.get_connection().close()
