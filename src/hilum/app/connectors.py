"""The kinds of connector this installation has: one line for each, and one place that makes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hilum.app.told import now
from hilum.authoring.estate import Estate, SystemSpec
from hilum.connectors.billing_hl7v2 import BillingHl7
from hilum.connectors.http_feed import HttpFeed
from hilum.connectors.inventory_rest import InventoryRest
from hilum.connectors.tryton import TrytonErp
from hilum.runtime.connections import Connection, Connections
from hilum.runtime.rate import Pace
from hilum.security.secrets import resolve_secret
from hilum.transports.mllp import MllpClient

Build = Callable[[SystemSpec, Mapping[str, Any], Callable[[str], str]], Any]


def _tryton(spec: SystemSpec, connect: Mapping[str, Any], secret: Callable[[str], str]) -> Any:
    return TrytonErp(
        connect["url"], connect["database"], secret(connect["credentials"]), timeout_seconds=spec.policy.timeout_seconds,
        system=spec.name,
    )  # fmt: skip


def _inventory(spec: SystemSpec, connect: Mapping[str, Any], secret: Callable[[str], str]) -> Any:
    return InventoryRest(connect["url"], secret(connect["token"]), timeout_seconds=spec.policy.timeout_seconds)


def _billing(spec: SystemSpec, connect: Mapping[str, Any], secret: Callable[[str], str]) -> Any:
    host, _, port = connect["url"].removeprefix("mllp://").partition(":")
    client = MllpClient(host, int(port), system=spec.name, ack_timeout_seconds=spec.policy.timeout_seconds)
    return BillingHl7(client.exchange, clock=now, ping=client.ping, close=client.close, system=spec.name)


def _http_feed(spec: SystemSpec, connect: Mapping[str, Any], secret: Callable[[str], str]) -> Any:
    return HttpFeed(connect["url"], connections=spec.policy.concurrency, timeout_seconds=spec.policy.timeout_seconds)


CONNECTORS: dict[str, Build] = {
    "tryton": _tryton,
    "inventory_rest": _inventory,
    "billing_hl7v2": _billing,
    "http_feed": _http_feed,
}


def connect(estate: Estate, data: Path) -> Connections:
    """Reach every system that has a ``[connect]``."""

    def secret(reference: str) -> str:
        return resolve_secret(reference, data)

    made = {}
    for name, spec in estate.systems.items():
        if spec.connect:
            connector = CONNECTORS[spec.connect["connector"]](spec, spec.connect, secret)
            pace = Pace(spec.policy.rate_per_second, monotonic=time.monotonic)
            made[name] = Connection(name, connector, spec.policy, pace.turn)
    return Connections(made)
