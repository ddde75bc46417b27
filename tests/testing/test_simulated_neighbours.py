"""The simulated neighbours as processes: what they keep, what they insist on, and that they never outlive us."""

import asyncio
import base64
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from hilum.formats import hl7v2
from hilum.testing.day import make_day
from hilum.testing.neighbours.launch import SimulatedEhr, simulated_billing, simulated_inventory
from hilum.testing.neighbours.process import Neighbour, NeighbourFailed
from hilum.testing.neighbours.simulated_hl7 import Message
from hilum.transports.http import serve
from hilum.transports.webhook import Accepted, Hook, webhook_app

TABLES = Path(__file__).parents[2] / "estates" / "lakeshore" / "tables"
SECRET = "whsec_" + base64.b64encode(b"lakeshore-stock-webhook!").decode()
SCREWS = {"location": "STM-OR1", "item": "SCREW-3", "on_hand": 10, "reorder_point": 2, "par": 20}


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("stock-api-token\n")
    return file


def eventually(holds: Callable[[], bool], *, within_seconds: float = 10.0) -> None:
    deadline = time.monotonic() + within_seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether it runs; a process that ended and waits to be reaped by a slow init does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_restarted_neighbour_has_its_ports_and_its_state(tmp_path: Path, token: Path) -> None:
    with simulated_inventory(tmp_path, token_file=token, positions=[SCREWS]) as inventory:
        url = inventory.url
        receipt = {"location": "STM-OR1", "item": "SCREW-3", "quantity": 5, "receipt": "RC-1"}
        inventory.ask("POST", "/receipts", receipt, token="stock-api-token")

        inventory.restart()

        assert inventory.url == url
        [shelf] = inventory.ask("GET", "/positions?item=SCREW-3", token="stock-api-token")
        assert (shelf["on_hand"], shelf["last_receipt"]) == (15, "RC-1")


def test_a_neighbour_that_cannot_start_says_where_to_look(tmp_path: Path) -> None:
    neighbour = simulated_inventory(tmp_path, token_file=tmp_path / "no-such-token")

    with pytest.raises(NeighbourFailed, match=r"simulated-inventory\.log"):
        neighbour.start()

    assert "no-such-token" in (tmp_path / "simulated-inventory.log").read_text()
    assert not neighbour.is_running


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks at /proc")
def test_neighbours_die_with_a_parent_that_is_killed(tmp_path: Path, token: Path) -> None:
    story = f"""
import sys, time
from pathlib import Path
from hilum.testing.neighbours.launch import *
here = Path({str(tmp_path)!r})
billing = simulated_billing(here).start()
inventory = simulated_inventory(here, token_file=Path({str(token)!r})).start()
ehr = SimulatedEhr(here, to="127.0.0.1:1").start()
ehr.post("MSH|^~\\\\&|EHR|ST-MARY|HILUM|LAKESHORE|20260302||ADT^A04|K1|P|2.5.1")
sys.stdout.write(" ".join(str(n.pid) for n in (billing, inventory, ehr)) + "\\n")
sys.stdout.flush()
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", story], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 3 and all(is_alive(pid) for pid in pids)

    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()

    eventually(lambda: not any(is_alive(pid) for pid in pids))


def test_the_token_guards_everything_but_health(tmp_path: Path, token: Path) -> None:
    with simulated_inventory(tmp_path, token_file=token, positions=[SCREWS]) as inventory:
        assert inventory.ask("GET", "/health")["status"] == "ok"
        for method, path in [("GET", "/positions"), ("GET", "/movements"), ("POST", "/movements"), ("POST", "/scan")]:
            with pytest.raises(urllib.error.HTTPError) as raised:
                inventory.ask(method, path, {} if method == "POST" else None, token="guessed")
            assert raised.value.code == 401


class Hooks:
    """The platform's webhook door in a thread of its own, so that a neighbour can knock while the test looks on."""

    def __init__(self, tmp_path: Path) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.broken = True
        self.secret_file = tmp_path / "hook-secret"
        self.secret_file.write_text(SECRET)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        app = webhook_app(
            {"/hooks/stock": Hook("stock", SECRET)},
            accept=self._accept,
            refuse=self._refuse,
            clock=lambda: datetime.now(UTC),
        )
        self.served = asyncio.run_coroutine_threadsafe(serve(app), self._loop).result()
        self.url = f"{self.served.url}/hooks/stock"

    async def _accept(self, hook: Hook, body: bytes, headers: Mapping[str, str], peer: str) -> Accepted:
        self.taken.append((headers["webhook-id"], body))
        if self.broken:
            raise ConnectionError("the store is away")
        return Accepted(f"m/1/{len(self.taken)}")

    async def _refuse(self, request: Any) -> str:
        raise AssertionError(f"refused: {request.reason} {request.detail}")

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self.served.stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def test_a_scan_is_reported_under_one_id_until_it_is_taken_also_after_kill_9(tmp_path: Path, token: Path) -> None:
    day = make_day(7, tables=TABLES)
    report = orjson.loads(next(a.message for a in day.actions if a.actor == "inventory"))
    hooks = Hooks(tmp_path)
    inventory = simulated_inventory(
        tmp_path, token_file=token, webhook_url=hooks.url, webhook_secret_file=hooks.secret_file
    )
    try:
        with inventory:
            said = inventory.ask("POST", "/scan", report, token="stock-api-token")
            eventually(lambda: len(hooks.taken) >= 2)
            inventory.restart()
            hooks.broken = False

            def delivered() -> bool:
                [told] = inventory.ask("GET", "/reports", token="stock-api-token")
                return bool(told["delivered"])

            eventually(delivered)
            attempts = len(hooks.taken)
            assert {webhook_id for webhook_id, _ in hooks.taken} == {said["webhook_id"]}
            assert all(orjson.loads(body) == report for _, body in hooks.taken)
            time.sleep(0.5)
            assert len(hooks.taken) == attempts
    finally:
        hooks.close()


def test_a_scan_does_not_move_stock_by_itself(tmp_path: Path, token: Path) -> None:
    hooks = Hooks(tmp_path)
    hooks.broken = False
    try:
        with simulated_inventory(
            tmp_path, token_file=token, positions=[SCREWS], webhook_url=hooks.url, webhook_secret_file=hooks.secret_file
        ) as inventory:
            inventory.ask("POST", "/scan", {"type": "consumption", "usage_id": "U-1"}, token="stock-api-token")
            eventually(lambda: bool(hooks.taken))

            [shelf] = inventory.ask("GET", "/positions", token="stock-api-token")
            assert shelf["on_hand"] == 10
            assert inventory.ask("GET", "/movements", token="stock-api-token") == []
    finally:
        hooks.close()


ADT = (
    "MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20260302080000||ADT^{trigger}|{control_id}|P|2.5.1\r"
    "EVN|{trigger}|20260302080000\rPID|1||SYN-M-1^^^ST-MARY^MR|||||||||||||||SYN-A-1^^^ST-MARY^AN\rPV1|1|I|{location}\r"
)


def adt(trigger: str, control_id: str, location: str = "STM-WARD") -> str:
    return ADT.format(trigger=trigger, control_id=control_id, location=location)


@pytest.fixture
def ehr_and_billing(tmp_path: Path) -> Any:
    with (
        simulated_billing(tmp_path) as billing,
        SimulatedEhr(tmp_path, to=f"127.0.0.1:{billing.ports['mllp-port']}", ack_timeout_seconds=1.0) as ehr,
    ):
        yield ehr, billing


def account(billing: Neighbour) -> dict[str, Any]:
    [found] = billing.ask("GET", "/accounts")
    return dict(found)


def test_the_ehr_sends_in_order_and_billing_follows_the_patient(
    ehr_and_billing: tuple[SimulatedEhr, Neighbour],
) -> None:
    ehr, billing = ehr_and_billing
    for trigger, control_id, location in [
        ("A04", "K1", "STM-WARD"),
        ("A02", "K2", "STM-OR1"),
        ("A03", "K3", "STM-WARD"),
    ]:
        ehr.post(adt(trigger, control_id, location))

    assert [ehr.next_line(10)["control_id"] for _ in range(3)] == ["K1", "K2", "K3"]
    assert account(billing)["history"] == ["A04", "A02", "A03"]
    assert (account(billing)["status"], account(billing)["location"]) == ("discharged", "STM-WARD")


@pytest.mark.parametrize("mode", ["cut", "down", "slow"])
def test_the_ehr_sends_again_until_it_is_answered_and_billing_takes_it_once(
    ehr_and_billing: tuple[SimulatedEhr, Neighbour], mode: str
) -> None:
    ehr, billing = ehr_and_billing
    billing.fault(mode, seconds=1.5 if mode == "slow" else 0.0, requests=2)

    outcome = ehr.send(adt("A04", "K1"))

    assert (outcome["code"], outcome["attempts"]) == ("AA", 3)
    assert account(billing)["history"] == ["A04"]
    assert ehr.stats() == {"sent": 1, "accepted": 1, "refused": 0, "resent": 2}


def test_a_refused_message_is_recorded_and_the_next_one_follows(
    ehr_and_billing: tuple[SimulatedEhr, Neighbour],
) -> None:
    ehr, _ = ehr_and_billing

    refused = ehr.send(adt("A04", "K1").replace("SYN-A-1", ""))
    unknown = ehr.send(adt("A60", "K2"))
    taken = ehr.send(adt("A04", "K3"))

    assert (refused["code"], refused["error"]) == ("AE", "101 the account number is required")
    assert (unknown["code"], unknown["error"]) == ("AR", "200 this message type is not taken")
    assert taken["code"] == "AA"
    assert ehr.stats()["refused"] == 2


def test_the_ehr_goes_on_where_it_was_when_billing_was_killed(ehr_and_billing: tuple[SimulatedEhr, Neighbour]) -> None:
    ehr, billing = ehr_and_billing
    ehr.send(adt("A04", "K1"))
    billing.kill()
    ehr.post(adt("A02", "K2"))
    ehr.post(adt("A03", "K3"))
    time.sleep(0.3)
    billing.start()

    assert [ehr.next_line(15)["code"] for _ in range(2)] == ["AA", "AA"]
    assert account(billing)["history"] == ["A04", "A02", "A03"]


def test_billing_answers_what_is_no_hl7_and_goes_on(ehr_and_billing: tuple[SimulatedEhr, Neighbour]) -> None:
    ehr, _ = ehr_and_billing

    assert ehr.send("this is not HL7")["code"] == "AR"
    assert ehr.send(adt("A04", "K1"))["code"] == "AA"


def test_both_readings_of_a_days_messages_agree() -> None:
    """The neighbours' own HL7 and the platform's must see the same message."""
    for action in make_day(11, tables=TABLES).actions:
        if action.actor != "ehr":
            continue
        theirs, ours = Message(action.message.encode()), hl7v2.Message.parse(action.message.encode())
        assert theirs.control_id == ours["MSH-10"] == action.control_id
        assert theirs.get("PID", 5) == ours["PID-5.1"]
        for their_charge, our_charge in zip(theirs.all("FT1"), ours.segments("FT1"), strict=True):
            assert theirs.part(their_charge, 7, 2) == our_charge["7.2"]
            assert theirs.part(their_charge, 13) == our_charge["13.1"]
