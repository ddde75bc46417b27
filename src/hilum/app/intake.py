"""The intake process: every door by which messages arrive, and the group commit behind them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncpg
from starlette.applications import Starlette

from hilum.app.doors import http_door, refuse_exposed
from hilum.app.folders import watch_folders
from hilum.app.sealing import protection_of
from hilum.app.sftp import serve_partners, visit_partners
from hilum.app.told import Serve, now, ready
from hilum.authoring.estate import Estate, MllpListen, WebhookListen
from hilum.gateway.addresses import counted_as
from hilum.runtime.certificates import CertificateWatch
from hilum.runtime.channels import Channels
from hilum.runtime.hl7_door import Hl7Door
from hilum.runtime.intake import Intake, Receipt
from hilum.runtime.loops import standing
from hilum.runtime.reception import DUPLICATE, Problem, Reader, Reception
from hilum.runtime.refused_evidence import RefusedEvidence
from hilum.runtime.x12_answers import X12Answers
from hilum.security.secrets import resolve_secret
from hilum.security.tls import server_context
from hilum.store.partitions import ensure_partitions
from hilum.transports.http import serve
from hilum.transports.mllp import MllpListener, Peer, Violation
from hilum.transports.webhook import Accepted, Hook, Refusal, RefusedRequest, is_x12, webhook_app

log = logging.getLogger(__name__)

SIGNED = frozenset({"json", "x12"})
"""Refusals of what was signed: the sender's own mistake, of which each is kept."""
FLOOD_SECONDS = 600.0


async def serve_intake(told: Serve, estate: Estate, pool: asyncpg.Pool, stop: asyncio.Event) -> None:
    """Open every door of the estate."""
    refuse_exposed(estate)
    async with pool.acquire() as connection:
        await ensure_partitions(connection, now().date())
    protection = await protection_of(told, estate, pool)
    intake = Intake(pool, protection, name=told.name, clock=now)
    await intake.start()
    reader = Reader(estate)
    channels = Channels(pool, intake, clock=now)
    certificates = CertificateWatch(pool, clock=now)
    closing: list[Callable[[], Awaitable[None]]] = []
    addresses: dict[str, str] = {}
    for system, spec in estate.systems.items():
        if spec.listen.mllp is not None:
            listen = spec.listen.mllp
            listener = _mllp_listener(system, listen, intake, reader, channels, certificates)
            tls = server_context(listen.tls, told.data) if listen.tls is not None else None
            port = await listener.start(listen.host, listen.port, tls)
            addresses[f"{system}/mllp"] = f"{'mllp' if tls is None else 'mllps'}://{listen.host}:{port}"
            closing.append(listener.stop)
    hooks = {name: spec.listen.webhook for name, spec in estate.systems.items() if spec.listen.webhook is not None}
    evidence = RefusedEvidence(monotonic=time.monotonic)
    flood = Flood(intake, evidence)
    if hooks:
        host, secured = http_door(estate, "webhook", told.data)
        answers = X12Answers(pool, estate, protection, {}, clock=now)
        hooked = webhook_door(told, hooks, intake, reader, channels, evidence, answers)
        door = await serve(hooked, host, told.port, tls=secured)
        for system, hook in hooks.items():
            addresses[f"{system}/webhook"] = f"{door.url}{hook.path}"
        closing.append(door.stop)
    dropped, watches = watch_folders(told, estate, pool, intake, reader, channels)
    addresses.update(dropped)
    closing += watches
    visited, visits = visit_partners(told, estate, pool, intake, reader, channels, protection)
    addresses.update(visited)
    closing += visits
    pushed, served = await serve_partners(told, estate, pool, intake, reader, channels)
    addresses.update(pushed)
    closing += served
    for place, address in addresses.items():
        system, _, transport = place.partition("/")
        await channels.declare(system, transport, address)
    fresh = protection.sealer.keyring.refresh
    keys = asyncio.create_task(standing("data keys", fresh, every_seconds=10.0))
    counting = asyncio.create_task(standing("channel counts", channels.run_once, every_seconds=1.0))
    flooding = asyncio.create_task(standing("refused floods", flood.keep, every_seconds=FLOOD_SECONDS))
    noting = asyncio.create_task(standing("senders' certificates", certificates.keep_seen, every_seconds=10.0))
    ready(told, {"shard": intake.shard, "addresses": addresses})
    await stop.wait()
    for close in closing:
        await close()
    flooding.cancel()
    await flood.keep()
    await intake.stop()
    counting.cancel()
    noting.cancel()
    keys.cancel()
    await channels.run_once()


def _mllp_listener(
    system: str, listen: MllpListen, intake: Intake, reader: Reader, channels: Channels, certificates: CertificateWatch
) -> MllpListener:
    door = Hl7Door(intake, reader, system, clock=now)

    def refuse(violation: Violation) -> bytes:
        # What could not be stored gets no answer at all: its sender waits in vain and sends it again.
        return b"" if violation.kind == "handler-failed" else door.refusal(violation.data, violation.text)

    def on_violation(violation: Violation) -> None:
        channels.violation(system, "mllp")
        if violation.data and violation.kind != "handler-failed":
            door.keep_refused(violation.data, violation.peer, violation.text).add_done_callback(_seen)

    def admits(peer: Peer) -> bool:
        if peer.certificate is not None:
            certificates.sent_by(f"{system}/mllp", peer.certificate)
        return _known(peer, listen)

    return MllpListener(
        door.take,
        refuse=refuse,
        on_violation=on_violation,
        max_frame_bytes=listen.max_frame_bytes,
        idle_timeout_seconds=listen.idle_timeout_seconds,
        frame_timeout_seconds=listen.frame_timeout_seconds,
        max_connections=listen.max_connections,
        admits=admits,
    )


def _known(peer: Peer, listen: MllpListen) -> bool:
    """Whether the port is this peer's: its certificate is one that the system is bound to, or the port asks for none."""
    if listen.tls is None or not listen.tls.peers:
        return True
    return peer.certificate is not None and any(peer.certificate.matches(name) for name in listen.tls.peers)


def webhook_door(
    told: Serve,
    hooks: Mapping[str, WebhookListen],
    intake: Intake,
    reader: Reader,
    channels: Channels,
    evidence: RefusedEvidence,
    answers: X12Answers | None = None,
) -> Starlette:
    """The application behind the webhooks' paths. Of what nobody has signed, ``evidence`` says how much is kept."""

    async def accept(hook: Hook, body: bytes, headers: Mapping[str, str], peer: str) -> Accepted | Refusal:
        if is_x12(headers):
            reception = await asyncio.to_thread(reader.x12, hook.system, "webhook", peer, body)
        else:
            reception = reader.json(hook.system, "webhook", peer, body, hooks[hook.system].type_field)
        receipt: Receipt = await intake.submit(reception, lambda receipt: receipt)
        if answers is not None and is_x12(headers):
            _, shard, seq = receipt.subject.split("/")
            said = await answers.at_once(hook.system, int(shard), int(seq))
            if said is not None:
                return Accepted(receipt.subject, acknowledgement=said)
        if reception.problem is not None:
            return Refusal(str(reception.problem), receipt.subject)
        return Accepted(receipt.subject, receipt.status == DUPLICATE)

    async def refuse(request: RefusedRequest) -> str:
        channels.violation(request.hook.system, "webhook")
        address = counted_as(request.peer.rpartition(":")[0])
        if request.reason not in SIGNED and not evidence.keeps(request.hook.system, address, request.body):
            return ""  # There is no message to name: it was counted.
        problem = Problem(request.reason, request.detail, unsupported=True)
        reception = Reception.refused(request.hook.system, "webhook", request.peer, request.body, problem)
        receipt: Receipt = await intake.submit(reception, lambda receipt: receipt)
        return receipt.subject

    doors = {
        hook.path: Hook(
            system,
            resolve_secret(hook.secret, told.data),
            max_body_bytes=hook.max_body_bytes,
            previous_secret=resolve_secret(hook.previous_secret, told.data) if hook.previous_secret else None,
            x12=hook.x12,
        )
        for system, hook in hooks.items()
    }
    return webhook_app(doors, accept=accept, refuse=refuse, clock=now)


class Flood:
    """Keeps one message about all that a webhook refused beyond its allowance, in place of as many messages as came."""

    def __init__(self, intake: Intake, evidence: RefusedEvidence) -> None:
        self._intake = intake
        self._evidence = evidence

    async def keep(self) -> int:
        for system, not_kept in self._evidence.beyond().items():
            log.warning("the webhook of %s refused %d requests beyond those it keeps", system, not_kept.number)
            problem = Problem("flood", f"{not_kept.number} requests were refused and not kept", unsupported=True)
            reception = Reception.refused(system, "webhook", "", not_kept.text(), problem)
            try:
                await self._intake.submit(reception, lambda receipt: receipt)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as away:
                log.error("what %s refused could not be summed up: %s", system, type(away).__name__)
        return 0


def _seen(future: asyncio.Future[Any]) -> None:
    if not future.cancelled() and future.exception() is not None:
        log.warning("what was refused could not be stored: %s", type(future.exception()).__name__)
