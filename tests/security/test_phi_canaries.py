"""PHI canaries: one patient's strings are sent along every path, and then looked for everywhere.

The platform is the real one: its processes, its PostgreSQL, its doors, its command line and page. Only what the policy
allows may show a string of hers, and nobody in these tests is whom it allows.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from tests.doors.door_parts import FS_CR, VT, MllpPeer, Scanner
from tests.security.canary_parts import PATIENT, adt, canaries_in, charge, in_database, in_files, remittance

from hilum.authoring.caller import PERSON, Caller
from hilum.authoring.estate_identity import LOCAL
from hilum.identity import page_sessions
from hilum.identity.page_sessions import PageSession
from hilum.identity.sessions import Lifetimes
from hilum.testing.hospital import ErpAddress, Hospital

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"
NO_ERP = ErpAddress("http://127.0.0.1:9", "erp", "none")
ACCOUNT = PATIENT["account"]

INTEGRATION = '''"""Flows that do what an author should not, so that it can be seen that nothing comes of it."""

from __future__ import annotations

from typing import Annotated

from hilum.authoring import Billing, Contract, Hl7, Phi, Rejected, System, feed, flow, mapping, step
from hilum.model import AccountNumber, ChargeableUsage, FacilityCode, ItemNumber, Money, Mrn

ehr = System("ehr")
echo = Billing("echo")


class PatientTouched(Contract, version=1, identities=[("account", "change")], owner="patient-access"):
    """Something about a patient is different now."""

    change: str
    account: Annotated[AccountNumber, Phi]
    mrn: Annotated[Mrn, Phi]
    name: Annotated[str, Phi]
    birth_date: Annotated[str, Phi]
    ssn: Annotated[str, Phi]


class AsksTheWrongWay(Rejected, queue="integration"):
    """Nobody should write a patient into a cause."""


@mapping(source=ehr, message="ADT^A54")
def patient_touched(message: Hl7) -> PatientTouched:
    return PatientTouched(
        change=message["MSH-10"], account=AccountNumber(message["PID-18.1"], "ST-MARY"), mrn=Mrn(message["PID-3.1"], "ST-MARY"),
        name=f"{message['PID-5.1']} {message['PID-5.2']}", birth_date=message["PID-7.1"], ssn=message["PID-19"],
    )


@mapping(source=ehr, message="ADT^A31")
def careless(message: Hl7) -> PatientTouched:
    raise ValueError(f"cannot read {message['PID-5.1']} of {message['PID-18.1']}")


@flow(on=PatientTouched, key="account", ordering="account", criticality="normal", owner="patient-access", recovery="Release it.")
def by_account(updated: PatientTouched) -> None:
    remember(updated)


@step
def remember(updated: PatientTouched) -> str:
    return f"{updated.name} {updated.ssn} {updated.birth_date}"


@flow(on=PatientTouched, key="change", ordering="account", criticality="normal", owner="patient-access", recovery="Release it.")
def breaks(updated: PatientTouched) -> None:
    if updated.change != "A54-2":
        return
    stumble(updated)


@step
def stumble(updated: PatientTouched) -> str:
    raise KeyError(f"{updated.name} {updated.account.value} {updated.mrn.value} {updated.ssn}")


@flow(on=PatientTouched, key="change", ordering="change", criticality="normal", owner="patient-access", recovery="Release it.")
def rejects(updated: PatientTouched) -> None:
    refuse(updated)


@step
def refuse(updated: PatientTouched) -> str:
    raise AsksTheWrongWay(f"account {updated.account.value}", detail=f"{updated.name}, {updated.mrn.value}, {updated.ssn}")


@flow(on=PatientTouched, key="change", ordering="change", criticality="normal", owner="patient-access", recovery="Release it.")
def tells(updated: PatientTouched) -> None:
    tell(updated)


@step
def tell(updated: PatientTouched) -> str:
    usage = ChargeableUsage(
        usage_id=updated.change, account=updated.account.value, account_authority="ST-MARY", item=ItemNumber("KNEE-99"),
        charge_code="IMP-1001", description=updated.name, quantity_each=1, unit_cost=Money.usd("1.00"), used_at="2026-11-21T08:00:00+00:00",
        facility=FacilityCode("ST-MARY"), department="OR",
    )
    return echo.charge_usage(usage, key=f"charge/{updated.account.value}/{updated.change}").number


@feed(on=PatientTouched, to=echo, key="account", owner="patient-access")
def updates(updated: PatientTouched) -> bytes:
    if updated.change == "A54-3":
        raise LookupError(f"{updated.name} {updated.account.value}")
    return f"MSH|^~\\\\&|HILUM|ST-MARY|ECHO|LAKESHORE|20261121080000||ADT^A54|{updated.change}|P|2.5.1\\rPID|1||{updated.mrn.value}\\r".encode()
'''

SYSTEM = """title = "A receiver that repeats what it is told"
owner = "integration"
criticality = "low"
disposition = "retain"
region = "us"

[connect]
connector = "billing_hl7v2"
url = "mllp://127.0.0.1:{port}"

[egress]
networks = ["127.0.0.0/8"]

[policy]
attempts = 1
"""


class Echo:
    """Refuses everything, in words that repeat the account: in MSA-3, ERR-3.2 and ERR-8."""

    def __init__(self) -> None:
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        self.heard = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer: socket.socket) -> None:
        heard = b""
        while part := peer.recv(65536):
            heard += part
            while FS_CR in heard:
                frame, _, heard = heard.partition(FS_CR)
                self.heard += 1
                number = frame.split(b"|")[9].decode()
                words = f"no account {ACCOUNT} of {PATIENT['MRN']}"
                answer = (
                    f"MSH|^~\\&|ECHO|X|HILUM|Y|20261121080000||ACK|E{self.heard}|P|2.5.1\rMSA|AE|{number}|{words}\r"
                    f"ERR||PID^1^18|204^{words}|E||||{words}\r"
                )
                peer.sendall(VT + answer.encode() + FS_CR)

    def close(self) -> None:
        self._door.close()


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    opened = Echo()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, echo: Echo) -> Iterator[Hospital]:
    """A platform with a database of its own in its data directory, so that every file of both can be searched."""
    place = tmp_path_factory.mktemp("canaries")
    estate = shutil.copytree(LAKESHORE, place / "lakeshore", ignore=shutil.ignore_patterns("__pycache__"))
    (estate / "integrations" / "careless.py").write_text(INTEGRATION)
    (estate / "systems" / "echo.toml").write_text(SYSTEM.format(port=echo.port))
    with Hospital(place, estate=estate, erp=NO_ERP) as opened:
        yield opened


def terminal(hospital: Hospital, *arguments: str) -> str:
    """Everything a command says, on both of its outputs."""
    command = [sys.executable, "-m", "hilum.app", *arguments, "--data", str(hospital.data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"})
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def signed_in(hospital: Hospital) -> str:
    """An administrator's session at the page: sees the whole platform, and nobody's protected fields."""
    cookie = "c" * 43
    session = PageSession(Caller(PERSON, "ana", roles=frozenset({"administrator"})), "Ana", LOCAL)

    async def work(pool: asyncpg.Pool) -> None:
        async with pool.acquire() as connection, connection.transaction():
            lives = Lifetimes(timedelta(hours=1), timedelta(hours=1))
            await page_sessions.begin(
                connection, session, cookie=cookie, earlier=None, now=datetime.now(UTC), lifetimes=lives
            )

    hospital.on_database(work)
    return cookie


def page(hospital: Hospital, cookie: str, path: str, form: dict[str, str] | None = None) -> str:
    body = urllib.parse.urlencode(form).encode() if form is not None else None
    address = hospital.ready["tower"]["address"] + path
    asked = urllib.request.Request(address, body, {"cookie": f"hilum_page={cookie}"})
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return str(answer.url) + str(answer.headers) + answer.read().decode()
    except urllib.error.HTTPError as error:
        return str(error.url) + str(error.headers) + error.read().decode()


@pytest.fixture(scope="module")
def morning(hospital: Hospital, echo: Echo) -> list[str]:
    """She goes along every path. What the doors answered."""
    said: list[str] = []
    hospital.shelf("STM-OR1", "KNEE-99", on_hand=9)
    with MllpPeer(hospital) as peer:
        for message in (
            adt("A04", "A04-1"), adt("A01", "A01-1"), adt("A02", "A02-1"), adt("A03", "A03-1"),  # Good, or refused by a mapping.
            *(adt("A54", f"A54-{n}") for n in (1, 2, 3)),  # Flows that break, refuse and tell; a feed that is refused.
            adt("A54", "A54-1"),  # A resend.
            adt("A31", "A31-1"),  # A mapping that raises with the patient in its text.
            adt("A99", "A99-1"), adt("A04", "V-1", version="1.0"), adt("A04", ""),  # Refused before they are read.
            adt("A04", f"{PATIENT['family name']}^{PATIENT['given name']}"),  # The name where the control id should be.
            adt("A04", "X").replace(b"ADT^A04", PATIENT["family name"].encode() + b" " + PATIENT["SSN"].encode()),
            adt("A04", "X2").replace(b"ADT^A04", b"ADT^A04").replace(b"|2.5.1", b"|" + ACCOUNT.encode()),
            charge("U-WAIT", "IMP-7777"), charge("U-PARK", "IMP-1001"),  # Waits for a person; parked on the ERP.
            b"PID|1||" + PATIENT["MRN"].encode() + b"||" + PATIENT["family name"].encode(),  # No message at all.
        ):  # fmt: skip
            said.append(peer.sends(message).code)
    with MllpPeer(hospital) as peer:
        peer.writes(PATIENT["family name"].encode() + b" outside of any frame \x0b")
    scanner = Scanner(hospital)
    report = {
        "type": "consumption", "usage_id": "U-SCAN", "charge_code": "IMP-1001", "quantity": 1, "account": ACCOUNT, "department": "OR",
        "facility": "ST-MARY", "used_at": "2026-11-21T08:00:00Z", "charge_usd": "10.00",
    }  # fmt: skip
    forged = {
        "webhook-id": "m1",
        "webhook-timestamp": str(int(time.time())),
        "webhook-signature": "v1," + b64encode(b"x" * 32).decode(),
    }
    for body, headers in (
        (report, None),
        ({**report, "usage_id": "U-F"}, forged),
        ({**report, "quantity": f"{PATIENT['family name']} took one"}, None),
        ({**report, PATIENT["SSN"]: 1, "quantity": -1}, None),
        ({**report, "type": f"{PATIENT['family name']} {PATIENT['given name']}"}, None),
        ({"account": ACCOUNT, "name": PATIENT["family name"]}, None),
    ):
        answer = scanner.posts(json.dumps(body).encode(), headers)
        said.append(f"{answer.status}")
        assert not canaries_in(answer.body + str(answer.headers).encode()), (
            "a problem document repeats what it was sent"
        )
    said.append(str(scanner.posts(f'{{"account": "{ACCOUNT}", '.encode()).status))
    drops(
        hospital,
        good=remittance("EFT-GOOD"),  # Staged; its journal is parked on the ERP.
        short=remittance("EFT-SHORT", short="40"),  # Does not add up: a work item.
        foreign=remittance("EFT-FOREIGN", payee="1999999984"),  # Nobody knows the payee.
        torn=remittance("EFT-TORN").replace(b"GE*1*71", b"GE*2*71"),  # Refused whole.
        words=f"{PATIENT['family name']} of {PATIENT['claim']}, no message at all".encode(),
    )
    _rests(hospital)
    return said


def drops(hospital: Hospital, **files: bytes) -> None:
    """Put files into the folder, readable for everybody as a careless sender leaves them, and wait until each came to its end."""
    inbox = hospital.data / "inbox" / "remittances"
    for name, content in files.items():
        inbox.joinpath(f".{name}").write_bytes(content)
        inbox.joinpath(f".{name}").chmod(0o644)
        inbox.joinpath(f".{name}").rename(inbox / f"{name}.835")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and len(dropped(hospital)) < len(files):
        time.sleep(0.1)
    assert len(dropped(hospital)) == len(files), dropped(hospital)


def dropped(hospital: Hospital) -> list[Path]:
    """What was put away: the one place where a sender's bytes lie as they came."""
    inbox = hospital.data / "inbox"
    return [file for end in ("done", "refused") for file in inbox.glob(f"remittances.{end}/*.835")]


def _rests(hospital: Hospital) -> None:
    """Wait until every case stays where it is: parked on an ERP that is not there, or behind a case of its key that broke."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        states = {r["id"]: r["state"] for r in hospital.query("SELECT id, state FROM flow_case")}
        dead = hospital.query("SELECT count(*) AS n FROM feed_parked")[0]["n"]
        moving = [case for case, state in states.items() if state in ("ready", "running") and case != "breaks/A54-3"]
        if len(states) == 19 and dead == 3 and not moving:
            return
        time.sleep(0.1)
    raise AssertionError(f"no rest: {states}, {dead} parked; logs in {hospital.data / 'logs'}")


def test_she_really_went_along_every_path(hospital: Hospital, morning: list[str], echo: Echo):
    """Or the searches below would prove nothing."""
    assert {"AA", "AE", "AR", "202", "401", "422", "400"} <= set(morning) | {"400", "422"}, morning
    states = {r["state"] for r in hospital.query("SELECT state FROM flow_case")}
    assert {"done", "waiting", "parked", "stopped"} <= states
    assert echo.heard >= 4, "the receiver was told"
    assert hospital.query("SELECT 1 FROM delivery WHERE state = 'rejected'")
    assert {r["state"] for r in hospital.query("SELECT state FROM feed_parked")} == {"dead", "behind"}
    assert hospital.query("SELECT 1 FROM message WHERE status = 'refused'") and hospital.query(
        "SELECT 1 FROM message WHERE status = 'duplicate'"
    )
    opened = b"".join(m["raw"] for m in hospital.messages()) + b"".join(e["payload"] for e in hospital.events())
    assert canaries_in(opened) == set(PATIENT), "with the keys everything is still there"


def test_commands_and_pages_show_nothing_of_her(hospital: Hospital, morning: list[str]):
    job = hospital.hilum("replay", "request", "--system", "ehr", "--reason", "a look", "--wait", "30", "--rate", "500")[
        "job"
    ]["id"]
    hospital.hilum(
        "replay",
        "request",
        "--system",
        "ehr",
        "--status",
        "refused",
        "--go",
        "--reason",
        "again",
        "--wait",
        "30",
        "--rate",
        "500",
    )
    items = [n for n, *_ in hospital.work_queue()]
    assert items
    export = hospital.directory / "audit-export.jsonl"
    said = {
        " ".join(arguments): terminal(hospital, *arguments)
        for arguments in (
            ("trace", ACCOUNT), ("trace", ACCOUNT, "--json"), ("trace", PATIENT["MRN"]), ("trace", "U-WAIT"), ("trace", "m/1/1"),
            ("trace", "by_account/" + ACCOUNT), ("trace", "EFT-GOOD"), ("trace", "HHP01/EFT-GOOD", "--json"), ("trace", "EFT-SHORT"),
            ("trace", "EFT-FOREIGN", "--json"), ("trace", PATIENT["claim"]), ("status",), ("status", "--json"), ("queue",), ("queue", "all", "--json"),
            *(("queue", "show", str(n)) for n in items), ("replay", "show", str(job)), ("replay", "list", "--json"),
            ("keys", "status"), ("audit", "search", "--limit", "500"), ("audit", "export", str(export)), ("audit", "verify"),
        )
    }  # fmt: skip
    assert "U-WAIT" in said[f"trace {ACCOUNT}"], said[f"trace {ACCOUNT}"]
    for command, text in said.items():
        text = text.replace(ACCOUNT, "") if command.endswith(ACCOUNT) and "is known by" in text else text
        assert not canaries_in(text.encode()), f"hilum {command} shows {canaries_in(text.encode())}:\n{text}"
    assert canaries_in(export.read_bytes()) == set()
    shelf = hospital.directory / "packages"
    shelf.mkdir()
    made = [
        terminal(hospital, "evidence", "make", *about, "--reason", "the year's audit", "--to", str(shelf))
        for about in (("EFT-GOOD",), ("--period", f"{datetime.now(UTC):%Y}", "--facility", "ST-MARY"))
    ]
    packages = sorted(shelf.glob("*.zip"))
    assert len(packages) == 2, made
    for package in packages:
        assert b"post_remittance/HHP01/EFT-GOOD" in package.read_bytes() and canaries_in(package.read_bytes()) == set()
    cookie = signed_in(hospital)
    pages = {
        path: page(hospital, cookie, path)
        for path in (
            "",
            "queue",
            "queue?show=all",
            "trace",
            "trace/c/implant_usage/U-WAIT",
            "trace/m/1/1",
            *(f"trace/c/post_remittance/HHP01/EFT-{n}" for n in ("GOOD", "SHORT", "FOREIGN")),
            "metrics",
            "health",
            "nowhere",
            *(f"queue/{n}" for n in items),
        )
    }
    for term in ("account", "MRN"):
        pages[f"a search by {term}"] = page(hospital, cookie, "trace", {"key": PATIENT[term]})
    found = pages["a search by account"]
    assert "by_account/~" in found and "Sign in" not in pages["queue"], found
    for path, text in pages.items():
        assert not canaries_in(text.encode()), f"/{path} shows {canaries_in(text.encode())}"
    asked_for = terminal(hospital, "trace", "U-WAIT", "--show-phi")
    assert "may not see" in asked_for and not canaries_in(asked_for.encode()), asked_for


def test_the_database_holds_nothing_of_her_in_clear(hospital: Hospital, morning: list[str]):
    assert in_database(hospital.database_url) == {}


def test_no_file_of_the_platform_holds_anything_of_her(hospital: Hospital, morning: list[str]):
    """Logs of every process, what they left for each other, and the database's own files with their write-ahead log."""

    async def checkpoint(pool: asyncpg.Pool) -> None:
        await pool.execute("CHECKPOINT")

    hospital.on_database(checkpoint)
    assert list((hospital.data / "logs").glob("*.log"))
    found = in_files(hospital.data)
    put_away = {file.relative_to(hospital.data).as_posix() for file in dropped(hospital)}
    assert put_away and put_away <= set(found), "dropped files lie where they were put away"
    assert {path: hits for path, hits in found.items() if path not in put_away} == {}, "receipts too name nobody"
    for path in put_away:
        file = hospital.data / path
        assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700, path


def test_a_canary_is_found_in_whatever_clothes_it_comes(tmp_path: Path):
    """The search itself is tested, or all of the above would be easy."""
    account = ACCOUNT.encode()
    dressed = [account, b"xx" + account.hex().encode(), b64encode(account), b64encode(b"a" + account + b"zz"), b64encode(b"ab" + account), ACCOUNT.encode("utf-16-le"), ACCOUNT.lower().encode()]  # fmt: skip
    for clothes in dressed:
        assert canaries_in(b"before " + clothes + b" after") == {"account"}, clothes
        (tmp_path / "file").write_bytes(clothes)
        assert in_files(tmp_path) == {"file": {"account"}}
    assert canaries_in(b"ACC-81818457 MRN-1") == set()
