"""The kinds of connector this installation has: one line for each, and one place that makes them, behind the egress guard."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2

from hilum.app.archive import AT_HOME, Home
from hilum.app.told import now
from hilum.authoring.estate import Estate, SystemSpec
from hilum.authoring.estate_transport import ClientTls, is_loopback
from hilum.connectors.billing_hl7v2 import BillingAccounts, BillingHl7
from hilum.connectors.http_feed import HttpFeed
from hilum.connectors.inventory_rest import InventoryRest
from hilum.connectors.payer_x12 import PayerX12
from hilum.connectors.tryton import TrytonErp
from hilum.connectors.vendor_answers import Announcements, Listening
from hilum.runtime.allowances import Leases
from hilum.runtime.connections import Connection, Connections
from hilum.runtime.rate import Pace, SharedPace
from hilum.runtime.residency import ResidencyGuard
from hilum.security.certificates import Certificate
from hilum.security.egress import BadAddress, Egress, Target, plain_host, target
from hilum.security.egress_http import GuardedTransport
from hilum.security.renewing import Renewing, Secret
from hilum.security.tls import client_context
from hilum.transports.mllp import MllpClient

Saw = Callable[[str, str, Certificate], None]
"""Told of a system, the host and the certificate by which it proved to be that system."""


@dataclass(frozen=True)
class Way:
    """How one system is reached: where it is, the guard before it, and TLS when its address asks for it."""

    target: Target
    egress: Egress
    tls: ssl.SSLContext | None
    server_name: str | None
    announcements: Announcements = field(default_factory=Announcements)
    beside: Way | None = None  # To the system's second interface, where it has one.

    def http(self, secret: Secret | None = None, connections: int = 16) -> Listening:
        """With a ``secret``, its newest value is the bearer token of every request, whatever the connector says."""
        way: httpx2.AsyncBaseTransport = GuardedTransport(
            self.egress, tls=self.tls, name=self.server_name, connections=connections
        )
        return Listening(way if secret is None else Renewing(way, secret), self.announcements)


Build = Callable[[SystemSpec, Mapping[str, Any], Callable[[str], Secret], Way], Any]


def _tryton(spec: SystemSpec, connect: Mapping[str, Any], secret: Callable[[str], Secret], way: Way) -> Any:
    key = secret(connect["credentials"])
    return TrytonErp(
        connect["url"], connect["database"], key.now(), timeout_seconds=spec.policy.timeout_seconds,
        system=spec.name, transport=way.http(key),
    )  # fmt: skip


def _inventory(spec: SystemSpec, connect: Mapping[str, Any], secret: Callable[[str], Secret], way: Way) -> Any:
    token = secret(connect["token"])
    return InventoryRest(
        connect["url"], token.now(), timeout_seconds=spec.policy.timeout_seconds, transport=way.http(token)
    )


def _billing(spec: SystemSpec, connect: Mapping[str, Any], secret: Callable[[str], Secret], way: Way) -> Any:
    client = MllpClient(
        way.target.host, way.target.port, system=spec.name, ack_timeout_seconds=spec.policy.timeout_seconds,
        ssl=way.tls, server_hostname=way.server_name, egress=way.egress,
    )  # fmt: skip
    accounts = None
    if way.beside is not None:
        token = secret(connect["token"])
        accounts = BillingAccounts(
            connect["rest"], token.now(), spec.policy.timeout_seconds, system=spec.name,
            transport=way.beside.http(token),
        )  # fmt: skip
    return BillingHl7(
        client.exchange, clock=now, ping=client.ping, close=client.close, accounts=accounts, system=spec.name
    )


def _http_feed(spec: SystemSpec, connect: Mapping[str, Any], secret: Callable[[str], Secret], way: Way) -> Any:
    return HttpFeed(
        connect["url"], connections=spec.policy.concurrency, timeout_seconds=spec.policy.timeout_seconds,
        tls=way.tls, egress=way.egress, server_name=way.server_name,
    )  # fmt: skip


def _payer(spec: SystemSpec, connect: Mapping[str, Any], secret: Callable[[str], Secret], way: Way) -> Any:
    token = secret(connect["token"])
    return PayerX12(
        connect["url"], token.now(), sender=_edi_address(connect["sender"]),
        receiver=_edi_address(connect["receiver"]), asker=connect["asker"], clock=now,
        timeout_seconds=spec.policy.timeout_seconds, system=spec.name, transport=way.http(token),
        status_url=connect.get("status_url"),
    )  # fmt: skip


def _edi_address(text: str) -> tuple[str, str]:
    """``ZZ:LAKESHORE`` as ISA writes it: qualifier and identifier."""
    qualifier, _, identifier = text.partition(":")
    return qualifier, identifier


CONNECTORS: dict[str, Build] = {
    "tryton": _tryton,
    "inventory_rest": _inventory,
    "billing_hl7v2": _billing,
    "http_feed": _http_feed,
    "payer_x12": _payer,
}
SCHEMES: dict[str, tuple[str, ...]] = {"billing_hl7v2": ("mllp", "mllps")}
"""What an address of the kind begins with; all others speak HTTP."""


def way_to(spec: SystemSpec, data: Path, saw: Saw | None = None) -> Way:
    """The guarded way to a system by its ``url``, ``[connect.tls]`` and ``[egress]``. ``BadAddress`` when it is no plain one."""
    where = target(spec.connect["url"], SCHEMES.get(spec.connect["connector"], ("http", "https")))
    if not where.secure and not is_loopback(where.host) and not str(spec.connect.get("insecure", "")).strip():
        raise BadAddress(
            f"system {spec.name} would be spoken to unencrypted; write `insecure` in [connect] with the reason"
        )
    given = spec.connect.get("tls")
    tls = ClientTls.model_validate(given) if given is not None else None
    more = [target(f"https://{address}", ("https",)) for address in spec.egress.hosts]
    egress = Egress(
        spec.name,
        [(where.host, where.port), *((plain_host(t.host), t.port) for t in more)],
        networks=spec.egress.ranges(),
        max_answer_bytes=spec.egress.max_answer_bytes,
        on_certificate=(lambda host, certificate: saw(spec.name, host, certificate)) if saw is not None else None,
    )
    context = client_context(tls, data) if where.secure else None
    return Way(where, egress, context, tls.server_name if tls is not None else None)


def connect(
    estate: Estate, data: Path, saw: Saw | None = None, leases: Leases | None = None, home: Home | None = None
) -> Connections:
    """Reach every system that has a ``[connect]``; ``saw`` is told of the certificates they present.

    The archive and the evidence desk are reached by the process that has a ``home``: the worker.

    With ``leases`` the rate of each system's policy is kept by all processes together, else by this one alone.
    """

    def secret(reference: str) -> Secret:
        return Secret(reference, data)

    made = {}
    for name, spec in estate.systems.items():
        if spec.connect.get("connector") in AT_HOME:
            if home is not None:
                at_home = AT_HOME[spec.connect["connector"]](spec, spec.connect, home)
                own_pace = Pace(spec.policy.rate_per_second, monotonic=time.monotonic)
                made[name] = Connection(
                    name, at_home, spec.policy, own_pace.turn, residency=ResidencyGuard.of(estate, name)
                )
        elif spec.connect:
            way = way_to(spec, data, saw)
            if "rest" in spec.connect:
                second = {**spec.connect, "connector": "", "url": spec.connect["rest"]}
                beside = way_to(spec.model_copy(update={"connect": second}), data, saw)
                way = replace(way, beside=replace(beside, announcements=way.announcements))
            connector = CONNECTORS[spec.connect["connector"]](spec, spec.connect, secret, way)
            rate = spec.policy.rate_per_second
            pace: Pace | SharedPace = Pace(rate, monotonic=time.monotonic)
            if leases is not None:
                pace = SharedPace(leases, f"system:{name}", rate)
            made[name] = Connection(
                name, connector, spec.policy, pace.turn, announcements=way.announcements,
                residency=ResidencyGuard.of(estate, name),
            )  # fmt: skip
    return Connections(made)
