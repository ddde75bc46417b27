"""Senders that know only what stands in the standards: raw MLLP frames and HTTP requests to a running platform."""

from __future__ import annotations

import http.client
import json
import socket
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from hmac import digest
from typing import Any
from urllib.parse import urlsplit

from hilum.testing.hospital import Hospital
from hilum.testing.hospital_messages import charge_message

VT, FS_CR = b"\x0b", b"\x1c\r"


@dataclass(frozen=True)
class Ack:
    """An acknowledgement, taken apart without the platform's own parser."""

    raw: bytes

    def _segment(self, name: str) -> list[str]:
        segments = [s for s in self.raw.decode("latin-1").split("\r") if s.startswith(name + "|")]
        return segments[0].split("|") if segments else []

    @property
    def code(self) -> str:
        return self._segment("MSA")[1]

    @property
    def of(self) -> str:
        return self._segment("MSA")[2]

    @property
    def error(self) -> str:
        """ERR-3.1, the code of table 0357."""
        segment = self._segment("ERR")
        return segment[3].partition("^")[0] if segment else ""

    @property
    def place(self) -> str:
        """ERR-2, where it is."""
        segment = self._segment("ERR")
        return segment[2] if segment else ""


class MllpPeer:
    """One connection to the EHR's door."""

    def __init__(self, hospital: Hospital) -> None:
        address = urlsplit(hospital.ready["intake-1"]["addresses"]["ehr/mllp"])
        self._socket = socket.create_connection((address.hostname, address.port), timeout=20)
        self._heard = b""

    def __enter__(self) -> MllpPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def sends(self, message: bytes) -> Ack:
        self.writes(VT + message + FS_CR)
        return self.hears()

    def writes(self, data: bytes) -> None:
        self._socket.sendall(data)

    def hears(self, *, seconds: float = 20.0) -> Ack:
        """The next answer; TimeoutError when none comes, EOFError when the door closed without one."""
        self._socket.settimeout(seconds)
        while FS_CR not in self._heard:
            part = self._socket.recv(65536)
            if not part:
                raise EOFError(f"closed after {self._heard[:200]!r}")
            self._heard += part
        frame, _, self._heard = self._heard.partition(FS_CR)
        assert frame[:1] == VT
        return Ack(frame[1:])

    def is_closed(self, *, seconds: float = 10.0) -> bool:
        """Whether the door closes this connection without another word."""
        self._socket.settimeout(seconds)
        try:
            return self._socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def good(usage: str, *, control_id: str | None = None, **given: Any) -> bytes:
    """A charge that the estate takes."""
    usual: dict[str, Any] = {"quantity": 1, "facility": "ST-MARY", "department": "OR", "charge_usd": "1000.00"}
    message = charge_message(usage, "IMP-1001", **{**usual, **given}, control_id=control_id or f"C-{usage}")
    return message.replace("SYNTHETIC^PATIENT", "ZEBRA^PATIENT").encode()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Scanner:
    """The inventory platform's way in, signing as Standard Webhooks say."""

    def __init__(self, hospital: Hospital) -> None:
        self._address = urlsplit(hospital.ready["intake-1"]["addresses"]["stock/webhook"])
        self._secret = b64decode((hospital.data / "secrets" / "stock-webhook").read_text().removeprefix("whsec_"))

    def signed(self, body: bytes, *, at: float | None = None, number: str = "msg_1") -> dict[str, str]:
        stamp = str(int(time.time() if at is None else at))
        mac = digest(self._secret, f"{number}.{stamp}.".encode() + body, sha256)
        return {"webhook-id": number, "webhook-timestamp": stamp, "webhook-signature": "v1," + b64encode(mac).decode()}

    def posts(self, body: bytes, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection(str(self._address.hostname), self._address.port, timeout=30)
        try:
            connection.request("POST", self._address.path, body, self.signed(body) if headers is None else headers)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def dawdles(self, first: bytes) -> bytes:
        """Send a beginning and then nothing; what the door says before it closes."""
        with socket.create_connection((self._address.hostname, self._address.port), timeout=30) as slow:
            slow.sendall(first)
            heard = b""
            while part := slow.recv(65536):
                heard += part
            return heard

    @property
    def path(self) -> str:
        return self._address.path


def scan(usage: str, **changes: Any) -> bytes:
    report = {
        "type": "consumption", "usage_id": usage, "charge_code": "IMP-1001", "quantity": 1, "account": f"ACC-{usage}",
        "department": "OR", "facility": "ST-MARY", "used_at": "2026-03-02T09:30:00-06:00",
    }  # fmt: skip
    return json.dumps({k: v for k, v in (report | changes).items() if v is not None}).encode()


def until(what: Callable[[], bool], *, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.05)
