"""Bad input at the doors of a running platform: refused in the standard's words, kept, counted; the door stays open."""

from __future__ import annotations

import json
import random
import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.doors.door_parts import FS_CR, VT, MllpPeer, Scanner, good, scan, until

from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.hospital import ErpAddress, Hospital

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"
NO_ERP = ErpAddress("http://127.0.0.1:9", "erp", "none")
LARGEST = 20_000


def strict_estate(place: Path) -> Path:
    """Lakeshore with small limits, so that a test need not send a megabyte or wait half a minute."""
    estate = shutil.copytree(LAKESHORE, place / "lakeshore", ignore=shutil.ignore_patterns("__pycache__"))
    for system, old, new in (
        ("ehr", "max_frame_bytes = 1048576", f"max_frame_bytes = {LARGEST}"),
        ("ehr", "frame_timeout_seconds = 30", "frame_timeout_seconds = 1"),
        ("stock", 'type_field = "type"', f'type_field = "type"\nmax_body_bytes = {LARGEST}'),
    ):
        file = estate / "systems" / f"{system}.toml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
    return estate


@pytest.fixture(scope="module")
def hospital(
    tmp_path_factory: pytest.TempPathFactory, postgres: EmbeddedPostgres, migrated_template: str
) -> Iterator[Hospital]:
    place = tmp_path_factory.mktemp("doors")
    url = postgres.create_database("hilum_doors", template=migrated_template)
    with Hospital(place, estate=strict_estate(place), erp=NO_ERP, database_url=url) as opened:
        yield opened
    postgres.drop_database("hilum_doors")


def refused(hospital: Hospital, raw: bytes) -> list[str]:
    """The reasons stored with the refusals of these very bytes."""
    return [m["error"] for m in hospital.messages() if m["status"] == "refused" and m["raw"] == raw]


def counted(hospital: Hospital, metric: str, system: str) -> float:
    """What the page's /metrics says of a door."""
    with urllib.request.urlopen(hospital.ready["tower"]["address"] + "metrics", timeout=20) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(f'hilum_channel_{metric}_total{{system="{system}"'):
                return float(line.rpartition(" ")[2])
    return 0.0


def lines(message: bytes) -> list[bytes]:
    return message.rstrip(b"\r").split(b"\r")


def without(message: bytes, segment: bytes) -> bytes:
    return b"\r".join(line for line in lines(message) if not line.startswith(segment)) + b"\r"


def field(message: bytes, segment: bytes, number: int, value: bytes) -> bytes:
    """The message with one field changed; MSH-1 is the separator itself."""
    changed = []
    for line in lines(message):
        if line.startswith(segment):
            parts = line.split(b"|")
            index = number - 1 if segment == b"MSH" else number
            parts += [b""] * (index + 1 - len(parts))
            parts[index] = value
            line = b"|".join(parts)
        changed.append(line)
    return b"\r".join(changed) + b"\r"


CHARGE = good("U-BAD", control_id="C-BAD")

BAD_MESSAGES: dict[str, tuple[bytes, str, str, str]] = {
    # What is sent: the bytes, MSA-1, the code of table 0357, and the place in ERR-2.
    "not HL7": (b"Good morning, here is an implant.", "AR", "100", ""),
    "another format": (b'{"type": "consumption"}', "AR", "100", ""),
    "nothing": (b"", "AR", "100", ""),
    "no MSH": (without(CHARGE, b"MSH"), "AR", "100", ""),
    "an MSH that breaks off": (b"MSH|^~", "AR", "203", ""),
    "bytes of no text": (bytes(random.Random(7).choices(range(0x20, 0x100), k=400)), "AR", "100", ""),
    "no control id": (field(CHARGE, b"MSH", 10, b""), "AR", "101", "MSH^1^10"),
    "a version nobody agreed to": (field(CHARGE, b"MSH", 12, b"2.9"), "AR", "203", "MSH^1^12"),
    "no version": (field(CHARGE, b"MSH", 12, b""), "AR", "203", "MSH^1^12"),
    "a type nobody takes": (field(CHARGE, b"MSH", 9, b"ORU^R01^ORU_R01"), "AR", "200", "MSH^1^9"),
    "no type": (field(CHARGE, b"MSH", 9, b""), "AR", "200", "MSH^1^9"),
    "no patient segment": (without(CHARGE, b"PID"), "AE", "101", "PID^1^18"),
    "a charge without charges": (without(CHARGE, b"FT1"), "AE", "100", "FT1^1"),
    "no account": (field(CHARGE, b"PID", 18, b""), "AE", "101", "PID^1^18"),
    "no quantity": (field(CHARGE, b"FT1", 10, b""), "AE", "207", ""),
    "a quantity in words": (field(CHARGE, b"FT1", 10, b"two"), "AE", "102", ""),
    "less than one": (field(CHARGE, b"FT1", 10, b"-1"), "AE", "102", ""),
    "a time that is none": (field(CHARGE, b"FT1", 4, b"20269999"), "AE", "102", ""),
    "a character set nobody reads": (field(CHARGE, b"MSH", 18, b"KOI8-R"), "AE", "103", "MSH^1^18"),
    "bytes of another character set": (field(CHARGE, b"PID", 5, b"M\xfcller^PATIENT"), "AE", "102", "MSH^1^18"),
    "UTF-16": (CHARGE.decode().encode("utf-16"), "AR", "102", "MSH^1^18"),
    "a NUL in the usage": (field(CHARGE, b"FT1", 2, b"U\0BAD"), "AE", "102", ""),
    "a usage of a thousand letters": (
        field(CHARGE, b"FT1", 2, "".join(random.Random(3).choices("abcdefghijkl0123456789", k=9000)).encode()), "AE", "102", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_a_message_that_cannot_be_taken_is_refused_kept_and_followed_by_one_that_can(
    hospital: Hospital, name: str
) -> None:
    message, code, error, place = BAD_MESSAGES[name]
    before = len(refused(hospital, message))
    with MllpPeer(hospital) as peer:
        answer = peer.sends(message)
        assert (answer.code, answer.error) == (code, error), answer.raw
        assert answer.place.startswith(place), answer.raw
        assert b"Traceback" not in answer.raw
        assert b"ZEBRA" not in answer.raw, "the refusal repeats the patient's name"
        after = peer.sends(good(f"U-{name}"))
        assert after.code == "AA", "the same connection goes on"
    [*_, reason] = refused(hospital, message)
    assert len(refused(hospital, message)) == before + 1
    assert reason.startswith(f"{error}: ")
    assert "ZEBRA" not in reason


def test_the_refusal_names_the_message_it_refuses_when_that_can_be_read(hospital: Hospital) -> None:
    with MllpPeer(hospital) as peer:
        assert peer.sends(field(CHARGE, b"MSH", 12, b"2.9")).of == "C-BAD"
        assert peer.sends(field(CHARGE, b"FT1", 10, b"two")).of == "C-BAD"
        assert peer.sends(b"Good morning").of == ""


def test_refusals_and_good_messages_in_one_write_are_answered_in_their_order(hospital: Hospital) -> None:
    messages = [good("U-A1"), b"nonsense", good("U-A2"), field(CHARGE, b"FT1", 10, b"two"), good("U-A3")]
    with MllpPeer(hospital) as peer:
        peer.writes(b"".join(VT + m + FS_CR for m in messages))
        assert [peer.hears().code for _ in messages] == ["AA", "AR", "AA", "AE", "AA"]


def test_a_frame_that_is_too_large_is_refused_and_not_kept_whole(hospital: Hospital) -> None:
    large = good("U-LARGE") + b"NTE|1||" + b"x" * (100_000) + b"\r"
    with MllpPeer(hospital) as peer:
        answer = peer.sends(large)
        assert (answer.code, answer.error) == ("AR", "207")
        assert peer.is_closed()
    rows = [m for m in hospital.messages() if m["error"] is not None and "larger than" in m["error"]]
    assert [len(row["raw"]) <= 65_536 and str(LARGEST) in row["error"] for row in rows] == [True]
    with MllpPeer(hospital) as peer:
        assert peer.sends(good("U-AFTER-LARGE")).code == "AA"


def test_half_a_frame_is_kept_when_its_sender_is_cut_off(hospital: Hospital) -> None:
    half = good("U-HALF")[:150]
    with MllpPeer(hospital) as peer:
        peer.writes(VT + half)
    until(lambda: len(refused(hospital, half)) == 1)
    with MllpPeer(hospital) as peer:
        assert peer.sends(good("U-HALF")).code == "AA", "its sender comes back and is welcome"


def test_a_sender_that_trickles_is_refused_when_its_time_is_up(hospital: Hospital) -> None:
    message = good("U-SLOW")
    with MllpPeer(hospital) as peer:
        begun = time.monotonic()
        peer.writes(VT)
        for byte in message[:40]:
            peer.writes(bytes([byte]))
            time.sleep(0.02)
        answer = peer.hears()
        assert (answer.code, answer.error) == ("AR", "207")
        assert time.monotonic() - begun < 5
        assert peer.is_closed()
    until(
        lambda: any(
            "1 seconds" in row["error"] for row in hospital.query("SELECT error FROM message WHERE status = 'refused'")
        )
    )


def test_a_hundred_slow_connections_keep_nobody_out(hospital: Hospital) -> None:
    slow = [MllpPeer(hospital) for _ in range(100)]
    for peer in slow:
        peer.writes(VT + b"MSH|")
    with MllpPeer(hospital) as peer:
        begun = time.monotonic()
        assert peer.sends(good("U-BESIDE-SLOW")).code == "AA"
        assert time.monotonic() - begun < 2
    for peer in slow:
        assert peer.hears().code == "AR"
        peer.__exit__()


def test_another_protocol_at_the_mllp_door_is_shown_out(hospital: Hospital) -> None:
    with MllpPeer(hospital) as peer:
        peer.writes(b"GET / HTTP/1.1\r\nHost: ehr\r\n\r\n")
        assert peer.hears().code == "AR"
        assert peer.is_closed()
    with MllpPeer(hospital) as peer:
        assert peer.sends(good("U-AFTER-HTTP")).code == "AA"


BAD_REPORTS: dict[str, tuple[bytes, int, str]] = {
    "a type nobody takes": (scan("U-W", type="weather"), 422, "type"),
    "no type": (scan("U-W", type=None), 422, "type"),
    "a type that is a number": (scan("U-W", type=7), 422, "type"),
    "no usage": (scan("U-W", usage_id=None), 422, "101"),
    "nothing used": (scan("U-W", quantity=0), 422, "102"),
    "a quantity in words": (scan("U-W", quantity="two"), 422, "102"),
    "a time that is none": (scan("U-W", used_at="yesterday"), 422, "102"),
    "an array": (b"[1, 2]", 422, "type"),
    "a NUL in the usage": (scan("U\0W"), 422, "102"),
    "a NUL in the type": (scan("U-W", type="consum\0ption"), 422, "type"),
    "not JSON": (b"usage=U-W", 400, "json"),
    "nothing": (b"", 400, "json"),
    "half of it": (scan("U-W")[:40], 400, "json"),
    "deeper than anybody reads": (b"[" * 9000 + b"]" * 9000, 400, "json"),
}


@pytest.mark.parametrize("name", BAD_REPORTS)
def test_a_report_that_cannot_be_taken_is_a_problem_and_is_kept(hospital: Hospital, name: str) -> None:
    body, status, reason = BAD_REPORTS[name]
    scanner = Scanner(hospital)
    answer = scanner.posts(body)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.document["status"] == status
    assert b"Traceback" not in answer.body
    address = answer.document["instance"].removeprefix("urn:hilum:message:")
    _, shard, seq = address.split("/")
    [kept] = [m for m in hospital.messages() if (m["shard"], m["seq"]) == (int(shard), int(seq))]
    assert (kept["status"], kept["raw"]) == ("refused", body)
    assert kept["error"].startswith(f"{reason}: ")
    assert scanner.posts(scan(f"U-{name}-after")).status == 202


def test_a_report_that_is_not_shown_to_be_the_platforms_is_refused(hospital: Hospital) -> None:
    scanner = Scanner(hospital)
    body = scan("U-FORGED")
    signed = scanner.signed(body)
    an_hour_ago = scanner.signed(body, at=time.time() - 3600)
    for headers in (
        {**signed, "webhook-signature": "v1,AAAA"},
        {**signed, "webhook-id": "msg_2"},
        {k: v for k, v in signed.items() if k != "webhook-signature"},
        scanner.signed(scan("U-OTHER")),
        an_hour_ago,
        {},
    ):
        answer = scanner.posts(body, headers)
        assert (answer.status, answer.document["title"]) == (401, "The signature is not valid")
    assert len(refused(hospital, body)) == 6
    assert hospital.query("SELECT count(*) AS n FROM event WHERE key = 'U-FORGED'")[0]["n"] == 0
    assert scanner.posts(body, signed).status == 202


def test_a_report_that_is_too_large_is_not_read_to_its_end(hospital: Hospital) -> None:
    scanner = Scanner(hospital)
    body = scan("U-LARGE-W", description="x" * 3 * LARGEST)
    answer = scanner.posts(body)
    assert (answer.status, answer.document["title"]) == (413, "The body is too large")
    assert scanner.posts(scan("U-AFTER-LARGE-W")).status == 202


def test_who_dawdles_at_the_webhook_is_sent_away_and_nobody_waits_for_it(hospital: Hospital) -> None:
    scanner = Scanner(hospital)
    body = scan("U-SLOW-W")
    headers = "".join(f"{k}: {v}\r\n" for k, v in scanner.signed(body).items())
    beginnings = [
        b"POST " + scanner.path.encode() + b" HTTP/1.1\r\nHost: x\r\nX-Sl",
        f"POST {scanner.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body[:30],
    ]
    heard: dict[int, bytes] = {}

    def dawdle(number: int) -> None:
        heard[number] = scanner.dawdles(beginnings[number])

    threads = [threading.Thread(target=dawdle, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    assert scanner.posts(scan("U-BESIDE-SLOW-W")).status == 202
    for thread in threads:
        thread.join(30)
    assert [heard[n].partition(b"\r\n")[0] for n in range(2)] == [b"HTTP/1.1 408 Request Timeout"] * 2
    until(lambda: refused(hospital, body[:30]) == ["slow: the body must arrive within 10 s"])


def test_what_was_refused_is_counted_where_operators_look(hospital: Hospital) -> None:
    with MllpPeer(hospital) as peer:
        peer.sends(b"nonsense")
    Scanner(hospital).posts(b"nonsense")

    def stored(system: str) -> int:
        return int(
            hospital.query("SELECT count(*) AS n FROM message WHERE system = $1 AND status = 'refused'", system)[0]["n"]
        )

    until(lambda: counted(hospital, "refused", "ehr") == stored("ehr") > 0)
    until(lambda: counted(hospital, "refused", "stock") == stored("stock") > 0)
    assert counted(hospital, "violations", "ehr") > 0
    assert counted(hospital, "violations", "stock") > 0


def test_no_log_of_the_platform_holds_a_patient_or_a_trace(hospital: Hospital) -> None:
    with MllpPeer(hospital) as peer:
        peer.sends(field(CHARGE, b"FT1", 10, b"two"))
        peer.sends(field(CHARGE, b"FT1", 2, b"U\0BAD"))
    said = (hospital.data / "logs" / "intake-1.log").read_text()
    assert "ZEBRA" not in said
    assert "Traceback" not in said


def test_while_the_database_is_away_nobody_is_told_yes_and_what_was_sent_again_is_taken(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "server") as server:
        url = server.create_database("hilum")
        with Hospital(tmp_path / "world", estate=LAKESHORE, erp=NO_ERP, database_url=url) as hospital:
            intake = hospital.ready["intake-1"]["pid"]
            assert hospital.uses("U-1", "IMP-1001")["code"] == "AA"
            server.stop()
            with MllpPeer(hospital) as peer:
                peer.writes(VT + good("U-2") + FS_CR)
                with pytest.raises(TimeoutError):
                    peer.hears(seconds=1.5)
            away = Scanner(hospital).posts(scan("U-3"))
            assert (away.status, away.headers["retry-after"]) == (503, "5")
            outcomes: list[dict[str, object]] = []
            sending = threading.Thread(target=lambda: outcomes.append(hospital.uses("U-4", "IMP-1001")))
            sending.start()
            time.sleep(1)
            assert outcomes == []
            server.start()
            sending.join(60)
            assert [outcome["code"] for outcome in outcomes] == ["AA"]
            assert Scanner(hospital).posts(scan("U-3")).status == 202
            with MllpPeer(hospital) as peer:
                assert peer.sends(good("U-2")).code == "AA"
            used = [json.loads(row["payload"])["usage_id"] for row in hospital.events()]
            assert used == ["U-1", "U-4", "U-3", "U-2"]
            assert hospital.supervisor is not None
            [role] = [r for r in hospital.supervisor.roles if r.name == "intake-1"]
            assert role.process is not None
            assert (role.process.pid, role.process.poll()) == (intake, None), "the door was never closed"

            def dispatched() -> bool:
                assert hospital.supervisor is not None
                hospital.supervisor.watch()  # The worker lost its database; it is started again.
                return bool(hospital.query("SELECT count(*) = 4 AS all FROM flow_case")[0]["all"])

            until(dispatched, seconds=40)
