"""The simulated hospital: Lakeshore's neighbours as processes, a platform between them, and plain questions about both.

    with Hospital(directory, erp=erp_address) as hospital:
        hospital.shelf("STM-OR1", "KNEE-99", on_hand=3)
        hospital.uses("U-1", "IMP-1001")
        hospital.settles()
        assert hospital.on_hand("STM-OR1", "KNEE-99") == 2

Everything is real but the three neighbours whose name says simulated: PostgreSQL, the platform's processes with their
protocols, and the ERP at ``erp``. Calls block; run them in a thread from a loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import asyncpg

from hilum.masterdata.crosswalks import Crosswalks
from hilum.runtime import work_items
from hilum.runtime.supervisor import Supervisor, running_platform, wait_ready
from hilum.store.pool import open_pool
from hilum.testing import hospital_records
from hilum.testing.hospital_messages import account_message, charge_message, procedure_message
from hilum.testing.hospital_site import connections, locations, make_secrets, nothing_expected
from hilum.testing.neighbours.launch import SimulatedEhr, simulated_billing, simulated_inventory, simulated_payer
from hilum.testing.neighbours.process import Neighbour

T = TypeVar("T")

RESTING = ("done", "waiting", "skipped", "stopped")


class NotSettled(AssertionError):
    """The platform did not come to rest in time; the text says what it was still doing."""


@dataclass(frozen=True)
class ErpAddress:
    """Where the ERP is, and the secret by which programs reach it."""

    url: str
    database: str
    credentials: str


class Hospital:
    """One world. ``environment`` is added to that of the platform's processes; ``faults`` lets them die where it is ordered."""

    def __init__(
        self,
        directory: Path,
        *,
        estate: Path,
        erp: ErpAddress,
        database_url: str | None = None,
        workers: int = 1,
        environment: Mapping[str, str] | None = None,
        positions: tuple[Mapping[str, Any], ...] = (),
        policy: Mapping[str, Any] | None = None,
        tower_port: int = 0,
        gateway_port: int | None = None,
        faults: bool = False,
        restart: bool = True,
    ) -> None:
        self.directory = directory
        self.data = directory / "data"
        self._estate = estate
        self._erp = erp
        self._given_url = database_url
        self._workers = workers
        self._environment = dict(environment or {})
        self._order = directory / "dies-at"
        if faults:
            self._environment["HILUM_FAULT_ORDER"] = str(self._order)
            self._environment["HILUM_FAULT_RECORD"] = str(directory / "points-passed")
        self._positions = positions
        self._policy = dict(policy or {})
        self._tower_port = tower_port
        self._gateway_port = gateway_port
        self._restart = restart
        self._ports = {"mllp": _free_port(), "webhook": _free_port(), "payer": _free_port()}
        self._stack = contextlib.ExitStack()
        self._platform: contextlib.ExitStack | None = None
        self.supervisor: Supervisor | None = None
        self.database_url = ""
        self.ready: dict[str, dict[str, Any]] = {}
        make_secrets(self.data / "secrets", self._erp.credentials)
        self.inventory: Neighbour = simulated_inventory(
            directory,
            token_file=self.data / "secrets" / "stock-api-token",
            positions=positions,
            locations=locations(estate),
            webhook_url=f"http://127.0.0.1:{self._ports['webhook']}/hooks/stock",
            webhook_secret_file=self.data / "secrets" / "stock-webhook",
        )
        self.billing: Neighbour = simulated_billing(directory, token_file=self.data / "secrets" / "billing-api-token")
        # Not started with the others: few stories ask a payer.
        self.payer: Neighbour = simulated_payer(
            directory, token_file=self.data / "secrets" / "payer-token", port=self._ports["payer"]
        )
        self.ehr = SimulatedEhr(directory, to=self.mllp_address, ack_timeout_seconds=5.0)

    @property
    def mllp_address(self) -> str:
        """Where the platform listens for HL7: ``host:port``."""
        return f"127.0.0.1:{self._ports['mllp']}"

    def insures(self, *members: Mapping[str, Any]) -> None:
        """The payer knows these members from now on; it is started when it was not yet."""
        if not self.payer.is_running:
            self.payer.start()
            self._stack.callback(self.payer.stop)
        self.payer.ask("POST", "/members", list(members), token=(self.data / "secrets" / "payer-token").read_text())

    # --- opening and closing

    def __enter__(self) -> Self:
        for neighbour in (self.inventory, self.billing, self.ehr):
            neighbour.start()
            self._stack.callback(neighbour.stop)
        self.start_platform(restart=self._restart)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_platform()
        self._stack.close()

    def start_platform(self, *, environment: Mapping[str, str] | None = None, restart: bool = True) -> None:
        """Start the platform; ``environment`` (faults) is for this start only."""
        stack = contextlib.ExitStack()
        supervisor, runtime = stack.enter_context(
            running_platform(
                estate=self._estate,
                data=self.data,
                database_url=self._given_url,
                overlay=self._overlay(),
                tower_port=self._tower_port,
                webhook_port=self._ports["webhook"],
                gateway_port=self._gateway_port,
                workers=self._workers,
                restart=restart,
                environment={**os.environ, **self._environment, **(environment or {})},
            )
        )
        self._platform = stack
        self.supervisor = supervisor
        self.database_url = runtime["database_url"]
        try:
            self.ready = wait_ready(supervisor, self.data)
        except BaseException:
            self.stop_platform()
            raise

    def stop_platform(self) -> None:
        if self._platform is not None:
            self._platform.close()
            self._platform = None

    def kill(self, role: str) -> None:
        """kill -9 of one process of the platform."""
        process = self.process(role)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def dies_at(self, point: str) -> None:
        """The process of the platform that next passes the point dies there (``faults`` must have been asked for)."""
        self._give_order(f"kill {point}")

    def freezes_at(self, point: str) -> None:
        """The process that next passes the point stops there (SIGSTOP), holding all it holds, until it ``thaws``."""
        self._give_order(f"freeze {point}")

    def _give_order(self, order: str) -> None:
        part = self._order.with_suffix(".part")
        part.write_text(order)
        part.rename(self._order)

    def died(self, *, seconds: float = 30.0) -> str:
        """Wait for the death that was ordered; which role it was. It is not started again here."""
        return self._obeyed(lambda process: process.poll() == -signal.SIGKILL, seconds)

    def froze(self, *, seconds: float = 30.0) -> str:
        """Wait until a process stopped as ordered; which role it is."""

        def stopped(process: subprocess.Popen[bytes]) -> bool:
            look = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
            return process.poll() is None and os.waitid(os.P_PID, process.pid, look) is not None

        return self._obeyed(stopped, seconds)

    def thaws(self, role: str) -> None:
        self.process(role).send_signal(signal.SIGCONT)

    def process(self, role: str) -> subprocess.Popen[bytes]:
        """The process that plays a role now."""
        assert self.supervisor is not None
        [process] = [r.process for r in self.supervisor.roles if r.name == role and r.process is not None]
        return process

    def _obeyed(self, did: Callable[[subprocess.Popen[bytes]], bool], seconds: float) -> str:
        assert self.supervisor is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for role in self.supervisor.roles:
                if not self._order.exists() and role.process is not None and did(role.process):
                    return role.name
            time.sleep(0.01)
        order = self._order.read_text() if self._order.exists() else "what was ordered"
        self._order.unlink(missing_ok=True)
        raise NotSettled(f"within {seconds:g} s nobody obeyed: {order}")

    def points_passed(self) -> list[str]:
        """The names of all fault points passed so far, in the order of their first passing."""
        place = self.directory / "points-passed"
        return list(dict.fromkeys(place.read_text().splitlines())) if place.exists() else []

    def revives(self) -> None:
        """Start again what died, and wait until it is ready."""
        assert self.supervisor is not None
        self.supervisor.start_again()
        wait_ready(self.supervisor, self.data)

    def hilum(self, *arguments: str) -> dict[str, Any]:
        """Ask the platform as a person would, by the command line; what it says as JSON."""
        command = [sys.executable, "-m", "hilum.app", *arguments, "--data", str(self.data), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.stdout.strip():
            raise AssertionError(f"`hilum {' '.join(arguments)}` said nothing: {done.stderr.strip()}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    # --- what happens at the hospital

    def shelf(
        self, location: str, item: str, *, on_hand: int, reorder_point: int = 2, par: int = 6, receipt: str = "RC-0"
    ) -> None:
        """Set a shelf up, as the ``receipt`` left it."""
        position = {
            "location": location, "item": item, "on_hand": on_hand, "reorder_point": reorder_point, "par": par,
            "last_receipt": receipt,
        }  # fmt: skip
        self.inventory.ask("POST", "/positions", [position], token=self._token)

    def receives(self, location: str, item: str, quantity: int, *, receipt: str) -> None:
        """Goods arrive at a shelf."""
        body = {"location": location, "item": item, "quantity": quantity, "receipt": receipt}
        self.inventory.ask("POST", "/receipts", body, token=self._token)

    def counts(self, location: str, item: str, on_hand: int) -> None:
        """Somebody counts a shelf."""
        self.inventory.ask(
            "POST", "/counts", {"location": location, "item": item, "on_hand": on_hand}, token=self._token
        )

    def uses(
        self,
        usage_id: str,
        charge_code: str,
        *,
        quantity: int = 1,
        facility: str = "ST-MARY",
        department: str = "OR",
        charge_usd: str = "1000.00",
        control_id: str | None = None,
        used_at: datetime | None = None,
    ) -> dict[str, Any]:
        """The EHR charges an implant; the outcome of the exchange."""
        return self.ehr.send(
            charge_message(
                usage_id, charge_code, quantity=quantity, facility=facility, department=department, charge_usd=charge_usd,
                control_id=control_id or f"C{usage_id}", used_at=used_at,
            )
        )  # fmt: skip

    def uses_later(self, usage_id: str, charge_code: str, **given: Any) -> None:
        """The EHR begins to send a charge; its outcome comes from ``self.ehr.next_line``."""
        usual = {
            "quantity": 1, "facility": "ST-MARY", "department": "OR", "charge_usd": "1000.00", "control_id": f"C{usage_id}",
        }  # fmt: skip
        self.ehr.post(charge_message(usage_id, charge_code, **{**usual, **given}))

    def uses_several(
        self, account: str, usages: dict[str, str], *, facility: str = "ST-MARY", department: str = "OR"
    ) -> dict[str, Any]:
        """The EHR charges several implants of one procedure (charge codes by usage id) in one message."""
        message = procedure_message(account, usages, facility=facility, department=department, control_id=f"C{account}")
        return self.ehr.send(message)

    def registers_later(self, account: str, *, facility: str = "ST-MARY") -> None:
        """The EHR begins to send a registration; its outcome comes from ``self.ehr.next_line``."""
        self.ehr.post(account_message("A04", account, facility=facility, control_id=f"A{account}"))

    def tells(self, trigger: str, account: str, *, facility: str = "ST-MARY") -> dict[str, Any]:
        """The EHR tells where a patient is: A01, A04 arrived, A02 moved, A03 left."""
        message = account_message(trigger, account, facility=facility, control_id=f"{trigger}-{account}")
        return self.ehr.send(message)

    def scans(
        self, usage_id: str, charge_code: str, *, quantity: int = 1, facility: str = "ST-MARY", department: str = "OR"
    ) -> None:
        """The inventory platform reports a scan by its signed webhook."""
        report = {
            "type": "consumption", "usage_id": usage_id, "charge_code": charge_code, "quantity": quantity,
            "account": f"ACC-{usage_id}", "department": department, "facility": facility,
            "used_at": datetime.now(UTC).isoformat(), "charge_usd": "1000.00",
        }  # fmt: skip
        self.inventory.ask("POST", "/scan", report, token=self._token)

    def scans_raw(self, report: str) -> None:
        """The inventory platform reports a scan, given as the JSON of its webhook."""
        self.inventory.ask("POST", "/scan", json.loads(report), token=self._token)

    def reported(self, *, seconds: float) -> None:
        """Wait until the inventory platform has delivered every webhook."""
        deadline = time.monotonic() + seconds
        while any(not report["delivered"] for report in self.inventory.ask("GET", "/reports", token=self._token)):
            if time.monotonic() > deadline:
                raise NotSettled(f"the inventory platform still has undelivered reports after {seconds:g} s")
            time.sleep(0.05)

    def maps(self, crosswalk: str, code: str, target: str, *, by: str = "person:steward") -> None:
        """A steward adds a crosswalk entry."""

        async def work(pool: asyncpg.Pool) -> None:
            await Crosswalks(pool, _now).set(crosswalk, code, target, by=by)

        self.on_database(work)

    def releases(self, item: int, *, by: str = "person:analyst") -> list[str]:
        """A person releases a work item."""

        async def work(pool: asyncpg.Pool) -> list[str]:
            async with pool.acquire() as connection, connection.transaction():
                return await work_items.release(connection, item, now=_now(), actor=by)

        return self.on_database(work)

    def skips(self, item: int, *, reason: str, by: str = "person:analyst") -> list[str]:
        """A person decides that what waits has no effect after all."""

        async def work(pool: asyncpg.Pool) -> list[str]:
            async with pool.acquire() as connection, connection.transaction():
                return await work_items.skip(connection, item, now=_now(), actor=by, reason=reason)

        return self.on_database(work)

    # --- what can be seen

    def settles(self, *, seconds: float = 60.0, messages: int | None = None) -> dict[str, int]:
        """Wait until no case can move (``messages``: and so many were stored); how many cases are in which state."""
        deadline = time.monotonic() + seconds
        while True:
            if self.supervisor is not None and self.supervisor.restart:
                self.supervisor.watch()
            state = self.on_database(_state)
            moving = {k: v for k, v in state["cases"].items() if k not in RESTING}
            enough = messages is None or state["messages"] >= messages
            if not moving and not state["unread"] and enough:
                cases: dict[str, int] = state["cases"]
                return cases
            if time.monotonic() > deadline:
                raise NotSettled(f"after {seconds:g} s: {json.dumps(state)}; logs in {self.data / 'logs'}")
            time.sleep(0.05)

    def work_queue(self) -> list[tuple[int, str, str, int]]:
        """Open work items: number, queue, cause, how many cases and messages wait; charges kept aside beside them are not counted."""

        async def work(pool: asyncpg.Pool) -> list[tuple[int, str, str, int]]:
            rows = await pool.fetch(
                """SELECT w.id, w.queue, w.cause, count(c.subject) FILTER (WHERE c.subject NOT LIKE 'h/%') AS n FROM work_item w
                     LEFT JOIN work_item_case c ON c.work_item = w.id WHERE w.state = 'open' GROUP BY w.id ORDER BY w.id"""
            )
            return [(r["id"], r["queue"], r["cause"], r["n"]) for r in rows]

        return self.on_database(work)

    def on_hand(self, location: str, item: str) -> int:
        [position] = self.inventory.ask("GET", f"/positions?location={location}&item={item}", token=self._token)
        count: int = position["on_hand"]
        return count

    def positions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.inventory.ask("GET", "/positions", token=self._token)
        return found

    def movements(self, usage_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.inventory.ask("GET", f"/movements?reference={usage_id}", token=self._token)
        return found

    def charges(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.billing.ask("GET", "/charges")
        return found

    def query(self, sql: str, *arguments: Any) -> list[dict[str, Any]]:
        """Read the platform's database."""

        async def work(pool: asyncpg.Pool) -> list[dict[str, Any]]:
            return [dict(r) for r in await pool.fetch(sql, *arguments)]

        return self.on_database(work)

    def billing_settlements(self) -> list[dict[str, Any]]:
        """What billing was told of postings."""
        found: list[dict[str, Any]] = self.billing.ask("GET", "/settlements")
        return found

    def messages(self) -> list[dict[str, Any]]:
        """Every stored message, ``raw`` opened."""
        return self.on_database(lambda pool: hospital_records.stored_messages(pool, self.data))

    def events(self) -> list[dict[str, Any]]:
        """Every stored event, ``payload`` opened."""
        return self.on_database(lambda pool: hospital_records.stored_events(pool, self.data))

    def requests(self, operation: str) -> list[dict[str, Any]]:
        """Every delivery of an operation, ``request`` opened."""
        return self.on_database(lambda pool: hospital_records.stored_requests(pool, self.data, operation))

    def on_database(self, work: Callable[[asyncpg.Pool], Coroutine[Any, Any, T]]) -> T:
        async def all_of_it() -> T:
            pool = await open_pool(self.database_url, min_size=1, max_size=2, application_name="hospital")
            try:
                return await work(pool)
            finally:
                await pool.close()

        return _run(all_of_it())

    # --- how it is set up

    @property
    def _token(self) -> str:
        return (self.data / "secrets" / "stock-api-token").read_text()

    def _overlay(self) -> Path:
        """This installation's addresses, over those of the estate."""
        connect = {
            "stock": {"url": self.inventory.url},
            "erp": {"url": self._erp.url, "database": self._erp.database},
            "billing": {
                "url": f"mllp://127.0.0.1:{self.billing.ports['mllp-port']}",
                "rest": self.billing.url,
            },
            "payer": {
                "url": f"http://127.0.0.1:{self._ports['payer']}/270",
                "status_url": f"http://127.0.0.1:{self._ports['payer']}/276",
            },
        }
        text = f"[systems.ehr.listen.mllp]\nport = {self._ports['mllp']}\n"
        place = self.directory / "overlay.toml"
        text += nothing_expected(self._estate)
        place.write_text(text + connections(self._estate, connect, self._policy))
        return place


async def _state(pool: asyncpg.Pool) -> dict[str, Any]:
    """What was read of what arrived, and then the cases: in the other order one that is just being opened is seen by neither."""
    messages = await pool.fetchval("SELECT count(*) FROM message")
    unread = await pool.fetchval(
        """SELECT coalesce(sum(s.event_seq - coalesce(c.seq, 0)), 0)::bigint FROM intake_shard s
             LEFT JOIN consumer_cursor c ON c.shard = s.shard AND c.consumer = 'flows'"""
    )
    unread += await pool.fetchval(
        """SELECT coalesce(sum(s.event_seq - c.seq), 0)::bigint FROM intake_shard s
             JOIN consumer_cursor c ON c.shard = s.shard AND c.consumer LIKE 'feed:%'"""
    )
    cases = await pool.fetch("SELECT state, count(*) AS n FROM flow_case GROUP BY state")
    return {"cases": {r["state"]: r["n"] for r in cases}, "unread": unread, "messages": messages}


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def _now() -> datetime:
    return datetime.now(UTC)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
