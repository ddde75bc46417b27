"""Files by SFTP, wired to the machinery of watched folders: fetched from partners' servers, and pushed to ours."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from hilum.app.folders import dropped, watching
from hilum.app.told import Serve, now
from hilum.authoring.estate import Estate, SystemSpec
from hilum.authoring.estate_transfer import FileLimits, SftpListen
from hilum.authoring.estate_transport import FolderListen
from hilum.runtime.channels import Channels
from hilum.runtime.fault_points import point
from hilum.runtime.fetched_files import FetchedFiles
from hilum.runtime.folder_door import FolderDoor
from hilum.runtime.intake import Intake
from hilum.runtime.loops import standing
from hilum.runtime.partner_alarms import PartnerAlarms
from hilum.runtime.reception import REFUSED, Reader
from hilum.security.egress import Egress, EgressRefused
from hilum.security.sealing.protected import Protection
from hilum.security.secrets import SecretUnusable, resolve_secret

if TYPE_CHECKING:
    import asyncssh

log = logging.getLogger(__name__)

TRANSPORT = "sftp"
LOCAL_POLL_SECONDS = 1.0
SETTLE_SECONDS = 3.0
HOST_KEY = "sftp/host_key"
MOST_BACKOFF_SECONDS = 60.0

Closing = list[Callable[[], Awaitable[None]]]


class SftpMissing(RuntimeError):
    """The estate speaks SFTP and the library for it is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "this estate fetches or takes files by SFTP, which needs asyncssh (EPL-2.0): pip install 'hilum[sftp]'"
        )


def visit_partners(
    told: Serve,
    estate: Estate,
    pool: asyncpg.Pool,
    intake: Intake,
    reader: Reader,
    channels: Channels,
    protection: Protection,
) -> tuple[dict[str, str], Closing]:
    """Begin to fetch for every ``[listen.sftp]``: addresses by ``system/sftp``, and how each is closed."""
    addresses: dict[str, str] = {}
    closing: Closing = []
    for system, spec in estate.systems.items():
        listen = spec.listen.sftp
        if listen is None:
            continue
        closing += _visit(told, estate, spec, listen, pool, intake, reader, channels, protection)
        addresses[f"{system}/{TRANSPORT}"] = f"sftp://{listen.host}:{listen.port}"
    return addresses, closing


def session_with(
    spec: SystemSpec, listen: SftpListen, data: Path
) -> Callable[[], AbstractAsyncContextManager[asyncssh.SFTPClient]]:
    """How to open a session with a system's server: behind the guard, with the key as it is now."""
    try:
        from hilum.transports.sftp import Partner, connected
    except ImportError:
        raise SftpMissing from None
    egress = Egress(spec.name, [(listen.host, listen.port)], networks=spec.egress.ranges())

    def connect() -> AbstractAsyncContextManager[asyncssh.SFTPClient]:
        partner = Partner(
            spec.name, listen.host, listen.port, listen.user,
            # The text of a key ends with a line end, which a secret's reading takes away.
            resolve_secret(listen.key, data) + "\n",
            listen.host_keys,
            resolve_secret(listen.passphrase, data) if listen.passphrase is not None else None,
            listen.timeout_seconds,
        )  # fmt: skip
        return connected(partner, egress)

    return connect


def _visit(
    told: Serve,
    estate: Estate,
    spec: SystemSpec,
    listen: SftpListen,
    pool: asyncpg.Pool,
    intake: Intake,
    reader: Reader,
    channels: Channels,
    protection: Protection,
) -> Closing:
    from hilum.transports.sftp import Bounds, HostKeyRefused, LoginRefused, NotReached, Policy, SftpFetch
    from hilum.transports.sftp.connection import KeyUnusable
    from hilum.transports.sftp.fetch import identity_in

    system = spec.name
    files = FetchedFiles(pool, system, clock=now)
    woken = asyncio.Event()

    async def ended(name: str, problem: str, counts: Mapping[str, int]) -> None:
        identity = identity_in(name)
        if identity is not None:
            await files.taken(identity, sum(counts.values()), counts.get(REFUSED, 0), problem)
        woken.set()  # What was taken is moved at the partner's at once.

    folder = local_folder(listen, f"sftp/{system}/fetched")
    door = FolderDoor(pool, intake, reader, system, type_field=listen.type_field, transport=TRANSPORT)
    drop = dropped(told, estate, system, folder, door, channels, pool, transport=TRANSPORT, ended=ended)
    visits = SftpFetch(
        f"sftp://{listen.host}:{listen.port}/{listen.path}",
        Policy(
            listen.path, listen.pattern, listen.unfinished, listen.after, listen.archive, listen.settle_seconds,
            listen.timeout_seconds,
        ),
        Bounds(listen.max_file_bytes),
        told.data / folder.path,
        files,
        connect=session_with(spec, listen, told.data),
        identify=protection.sealer.fact,
        failed=lambda why: channels.violation(system, TRANSPORT),
        moment=time.monotonic,
        point=point,
    )  # fmt: skip
    failed = 0
    alarms = PartnerAlarms(pool, system, listen.queue, estate.queues.get(listen.queue, ""), clock=now)

    async def visit() -> int:
        nonlocal failed
        try:
            found = await visits.run_once()
        except (HostKeyRefused, LoginRefused, EgressRefused, KeyUnusable, SecretUnusable) as refused:
            await alarms.refused(type(refused).__name__, str(refused))
            return 0  # Only a person can change this: it is looked at again on the next visit.
        except NotReached as away:
            await alarms.away(away.reason)
            failed += 1
            log.warning("the SFTP server of %s was not reached: %s", system, away.reason)
            # Whoever is down is not knocked at more and more often, however short the time between visits is.
            await asyncio.sleep(min(0.1 * 2.0 ** min(failed, 10), MOST_BACKOFF_SECONDS))
            return 0
        failed = 0
        await alarms.reached()
        return found

    fetching = asyncio.create_task(
        standing(f"visits to {system}", visit, every_seconds=listen.poll_seconds, woken=woken)
    )
    return [_ender(fetching), watching(f"fetched files of {system}", drop, LOCAL_POLL_SECONDS)]


def local_folder(limits: FileLimits, path: str, *, settle_seconds: float = 0) -> FolderListen:
    """The watched folder behind a door of files. What lies there is whole: it came under its name in one step."""
    return FolderListen(
        path=path, settle_seconds=settle_seconds, max_file_bytes=limits.max_file_bytes, max_message_bytes=limits.max_message_bytes,
        max_messages=limits.max_messages, archives=limits.archives, type_field=limits.type_field,
    )  # fmt: skip


def _ender(task: asyncio.Task[None]) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    return close


async def serve_partners(
    told: Serve, estate: Estate, pool: asyncpg.Pool, intake: Intake, reader: Reader, channels: Channels
) -> tuple[dict[str, str], Closing]:
    """Open our SFTP server when a system has ``[listen.sftp_account]``: addresses with its fingerprint, and how it is closed."""
    accounts = {name: spec.listen.sftp_account for name, spec in estate.systems.items() if spec.listen.sftp_account}
    if not accounts:
        return {}, []
    try:
        from hilum.transports.sftp import Account, HomeLimits, ServerLimits, SftpServer, host_key
    except ImportError:
        raise SftpMissing from None
    closing: Closing = []
    made = {}
    for system, account in accounts.items():
        # Some clients look at what they put down before they leave: it lies there for a moment.
        folder = local_folder(account, f"sftp/{system}/account/inbox", settle_seconds=SETTLE_SECONDS)
        door = FolderDoor(pool, intake, reader, system, type_field=account.type_field, transport=TRANSPORT)
        drop = dropped(told, estate, system, folder, door, channels, pool, transport=TRANSPORT)
        closing.append(watching(f"files pushed by {system}", drop, account.poll_seconds))

        def came(size_bytes: int, system: str = system) -> None:
            log.info("%s pushed a file of %d bytes", system, size_bytes)

        limits = HomeLimits(account.max_file_bytes, account.max_files)
        made[account.user] = Account(account.user, account.keys, home_of(system, told.data), limits, came)
    spec = estate.sftp_server
    server = SftpServer(
        made,
        host_key(told.data / HOST_KEY),
        ServerLimits(
            spec.max_connections, spec.max_connections_by_account, spec.login_attempts, spec.login_timeout_seconds,
            spec.idle_timeout_seconds,
        ),
        refused=lambda what: log.warning("the SFTP server refused a connection: too many %s", what),
    )  # fmt: skip
    port = await server.start(spec.host, spec.port)
    log.info("the SFTP server listens on %s:%d; its host key is %s", spec.host, port, server.fingerprint)
    where = f"sftp://{spec.host}:{port} ({server.fingerprint})"
    return {f"{system}/{TRANSPORT}": where for system in accounts}, [server.stop, *closing]


def home_of(system: str, data: Path) -> Path:
    """The home of a partner who pushes to our server: ``inbox`` and ``outbox`` are in it, and nothing else is reached."""
    return data / "sftp" / system / "account"
