"""A connection to a partner's SFTP server: to a judged address, its host key known beforehand, ours the only key we offer.

There is no trust on first use: whoever answers must prove one of the keys that the estate declares (RFC 4251 section 4.1).
No password, agent, forwarding or configuration file of this machine takes part.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import asyncssh
from asyncssh.public_key import get_default_public_key_algs

from hilum.authoring.failures import Unavailable
from hilum.security.egress import Egress

_KEEPALIVE_SECONDS = 15.0


class NotReached(Unavailable):
    """The partner's server is away, silent or broke off; time may mend it."""


class HostKeyRefused(NotReached):
    """Another host key than the declared ones was shown: somebody else may be answering. A person must look."""


class LoginRefused(NotReached):
    """The partner's server does not take our key for this user. A person must look."""


@dataclass(frozen=True)
class Partner:
    """A partner's server as the estate declares it. ``key`` is our private key in OpenSSH's form; ``host_keys`` are public
    keys as in ``known_hosts`` without the host: ``ssh-ed25519 AAAA...``."""

    system: str
    host: str
    port: int
    user: str
    key: str = field(repr=False)
    host_keys: tuple[str, ...]
    passphrase: str | None = field(default=None, repr=False)
    timeout_seconds: float = 30.0


class KeyUnusable(ValueError):
    """A key that cannot be read; the text says which, never what it holds."""


def public_keys(partner: Partner) -> list[asyncssh.SSHKey]:
    """The partner's host keys. ``KeyUnusable`` for one that is none."""
    keys = []
    for number, text in enumerate(partner.host_keys, start=1):
        try:
            keys.append(asyncssh.import_public_key(text))
        except asyncssh.KeyImportError:
            raise KeyUnusable(
                f"host key {number} of {partner.system} cannot be read; write it as `ssh-ed25519 AAAA...`"
            ) from None
    return keys


@contextlib.asynccontextmanager
async def connected(partner: Partner, egress: Egress) -> AsyncIterator[asyncssh.SFTPClient]:
    """An SFTP session with the partner, closed at the end. Names are bytes, as their server gives them.

    Raises HostKeyRefused, LoginRefused or NotReached, KeyUnusable, and the guard's EgressRefused; what the session itself
    fails with comes out as NotReached too.
    """
    trusted = public_keys(partner)
    try:
        own = asyncssh.import_private_key(partner.key, partner.passphrase)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise KeyUnusable(f"the private key for {partner.system} cannot be read, or not with its passphrase") from None
    shown: list[str] = []

    class Judge(asyncssh.SSHClient):
        """Takes note of a host key that is none of the declared ones, and does not believe it."""

        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
            shown.append(key.get_fingerprint())
            return False

    connection = await _signed_in(partner, egress, own, trusted)
    try:
        async with connection:
            async with asyncio.timeout(partner.timeout_seconds):
                session = await connection.start_sftp_client(path_encoding=None)
            async with session:
                yield session
    except (asyncssh.Error, ConnectionError) as error:
        # What a single file fails with is its caller's affair; what comes here ended the session.
        raise NotReached(partner.system, _reason(error)) from None
    except TimeoutError:
        raise NotReached(partner.system, f"no answer within {partner.timeout_seconds:g} s") from None


async def _signed_in(
    partner: Partner, egress: Egress, own: asyncssh.SSHKey, trusted: list[asyncssh.SSHKey]
) -> asyncssh.SSHClientConnection:
    """A connection to one of the partner's judged addresses, both sides proven."""
    shown: list[str] = []

    class Judge(asyncssh.SSHClient):
        """Takes note of a host key that is none of the declared ones, and does not believe it."""

        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
            shown.append(key.get_fingerprint())
            return False

    trouble: Exception | None = None
    for address in await egress.addresses(partner.host, partner.port):
        try:
            async with asyncio.timeout(partner.timeout_seconds):
                return await asyncssh.connect(
                    address, partner.port, client_factory=Judge, config=None, username=partner.user,
                    client_keys=[own], known_hosts=(trusted, [], []), server_host_key_algs=_host_key_kinds(trusted), agent_path=None, password=None, gss_host=None,
                    preferred_auth="publickey", login_timeout=partner.timeout_seconds,
                    keepalive_interval=_KEEPALIVE_SECONDS, keepalive_count_max=2,
                )  # fmt: skip
        except asyncssh.HostKeyNotVerifiable:
            known = ", ".join(key.get_fingerprint() for key in trusted)
            found = shown[-1] if shown else "of a kind that none of the declared keys has"
            raise HostKeyRefused(
                partner.system,
                f"the server shows the host key {found}; declared is {known}. Ask the partner by another way before you change it",
            ) from None
        except asyncssh.KeyExchangeFailed:
            raise HostKeyRefused(
                partner.system,
                "the server has no host key of the kind that is declared, or no algorithm in common with us; ask the partner",
            ) from None
        except asyncssh.PermissionDenied:
            raise LoginRefused(
                partner.system, f"the server does not take our key for {partner.user}; give the partner our public key"
            ) from None
        except (asyncssh.Error, OSError, TimeoutError) as error:
            trouble = error
    assert trouble is not None
    raise NotReached(partner.system, _reason(trouble)) from None


def _host_key_kinds(trusted: list[asyncssh.SSHKey]) -> list[str]:
    """Kinds of host key in the order we like them: those declared first, then the others, so that a changed key is seen as one."""
    usual = get_default_public_key_algs()
    declared = [kind for key in trusted for kind in key.sig_algorithms if kind in usual]
    return [kind.decode() for kind in dict.fromkeys([*declared, *usual])]


def _reason(error: Exception) -> str:
    """Why, without anything the other side could have written."""
    if isinstance(error, asyncssh.SFTPNoSuchFile):
        return "the folder that is named is not there"
    if isinstance(error, asyncssh.SFTPPermissionDenied):
        return "the server does not let us into the folder that is named"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
