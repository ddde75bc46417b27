"""The simulated neighbours of a hospital, each as a process with its state in ``directory``.

The estate's secrets are files, and so are the neighbours': both sides are given the same ones.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hilum.testing.neighbours.process import Neighbour


def simulated_inventory(
    directory: Path,
    *,
    token_file: Path,
    positions: Iterable[Mapping[str, Any]] = (),
    locations: Mapping[str, str] | None = None,
    webhook_url: str = "",
    webhook_secret_file: Path | None = None,
    port: int = 0,
) -> Neighbour:
    """The inventory platform, not started yet. ``positions``: location, item, on_hand, reorder_point, par.

    ``locations``: at which facility each location is.
    """
    shelves = directory / "inventory-positions.json"
    shelves.write_text(json.dumps([dict(position) for position in positions]))
    arguments = ["--port", str(port), "--state", str(directory / "inventory.sqlite"), "--positions", str(shelves)]
    arguments += ["--token-file", str(token_file), "--faults"]
    if locations is not None:
        places = directory / "inventory-locations.json"
        places.write_text(json.dumps(dict(locations)))
        arguments += ["--locations", str(places)]
    if webhook_url:
        arguments += ["--webhook-url", webhook_url, "--webhook-secret-file", str(webhook_secret_file)]
    return Neighbour(
        "simulated-inventory", "hilum.testing.neighbours.simulated_inventory", arguments, directory=directory
    )


def simulated_billing(directory: Path, *, mllp_port: int = 0, token_file: Path | None = None) -> Neighbour:
    """The billing system, not started yet: ``ports["mllp-port"]`` takes HL7, ``url`` is where it can be read.

    With ``token_file`` it has its REST interface below ``url``/api, for whoever shows that token.
    """
    arguments = ["--mllp-port", str(mllp_port), "--state", str(directory / "billing.sqlite"), "--faults"]
    if token_file is not None:
        arguments += ["--token-file", str(token_file)]
    return Neighbour("simulated-billing", "hilum.testing.neighbours.simulated_billing", arguments, directory=directory)


def simulated_payer(
    directory: Path, *, token_file: Path, members: Iterable[Mapping[str, Any]] = (), port: int = 0
) -> Neighbour:
    """The payer, not started yet. ``members``: member, family_name, given_name, birth_date, plan, active ..."""
    people = directory / "payer-members.json"
    people.write_text(json.dumps([dict(member) for member in members]))
    arguments = ["--port", str(port), "--members", str(people), "--token-file", str(token_file), "--faults"]
    return Neighbour("simulated-payer", "hilum.testing.neighbours.simulated_payer", arguments, directory=directory)


class SimulatedEhr(Neighbour):
    """The EHR's interface engine, sending to ``to`` (``host:port``)."""

    def __init__(
        self,
        directory: Path,
        *,
        to: str,
        name: str = "simulated-ehr",
        ack_timeout_seconds: float = 10.0,
        retry_max_seconds: float = 1.0,
    ) -> None:
        arguments = ["--to", to, "--ack-timeout-seconds", str(ack_timeout_seconds)]
        arguments += ["--retry-max-seconds", str(retry_max_seconds)]
        super().__init__(name, "hilum.testing.neighbours.simulated_ehr", arguments, directory=directory)
        self._ids = itertools.count(1)

    def send(self, hl7: str, *, timeout_seconds: float = 60.0) -> dict[str, Any]:
        """Send one message and wait for its outcome: control_id, code, attempts, error, seconds."""
        self.post(hl7)
        return self.next_line(timeout_seconds)

    def post(self, hl7: str) -> int:
        """Hand a message over without waiting; outcomes come in order from ``next_line``, with this id."""
        number = next(self._ids)
        self.tell({"id": number, "hl7": hl7})
        return number

    def stats(self, *, timeout_seconds: float = 60.0) -> dict[str, int]:
        """Totals once all that was handed over is answered: sent, accepted, refused, resent."""
        self.tell({"stats": True})
        totals: dict[str, int] = self.next_line(timeout_seconds)["stats"]
        return totals
