"""X12 by HTTP: signed and bounded like any webhook, answered after the commit, by the 999 that it earns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from standardwebhooks.webhooks import Webhook
from tests.transports.sftp.sftp_parts import WEBHOOK_SECRET, Installation, install, remittance

pytestmark = pytest.mark.slow
X12 = "application/edi-x12"


@dataclass
class Door:
    """The clearinghouse's webhook on a running platform."""

    installation: Installation
    url: str
    number: int = 0

    def posts(self, body: bytes, *, kind: str = X12, sign: bool = True) -> Any:
        self.number += 1
        at = datetime.now(UTC)
        message = f"msg_{self.number}"
        # The library signs text; an 835 is text.
        signature = Webhook(WEBHOOK_SECRET).sign(message, at, body.decode("latin-1")) if sign else "v1,AAAA"
        headers = {
            "webhook-id": message, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature,
            "content-type": kind,
        }  # fmt: skip
        return httpx2.post(self.url, content=body, headers=headers, timeout=20)


def opened(installation: Installation, tables: str) -> str:
    """The address of the webhook, once it is open."""
    installation.until(lambda: installation.ask("SELECT 1 FROM channel WHERE transport = 'webhook'"))
    [row] = installation.ask("SELECT address FROM channel WHERE transport = 'webhook'")
    return str(row["address"])


def estate(answers: str, *, x12: str = "true") -> str:
    return (
        f'[listen.webhook]\npath = "/835"\nsecret = "file:secrets/clearinghouse-webhook"\nx12 = {x12}\nmax_body_bytes = 20000\n'
        f'[answers]\nx12 = "{answers}"\n'
    )


@pytest.fixture
def door(tmp_path, database_url: str) -> Iterator[Door]:
    installation = install(tmp_path, database_url)
    installation.clearinghouse(estate("999"))
    with installation.running():
        yield Door(installation, opened(installation, ""))


def problem(answer: Any, status: int, kind: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said: dict[str, Any] = answer.json()
    assert said["type"] == f"urn:hilum:problem:{kind}"
    return said


def test_an_interchange_is_answered_by_its_999_when_it_is_stored(door: Door) -> None:
    answer = door.posts(remittance("EFT-1"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, X12), answer.text
    assert "AK9*A*1*1*1~" in answer.text and "IK5*A~" in answer.text
    assert answer.headers["hilum-message"] == "m/1/1" and door.installation.messages() == ["accepted"]

    again = door.posts(remittance("EFT-1"), kind=f"{X12}; charset=us-ascii")
    assert "AK9*A*1*1*1~" in again.text and door.installation.messages() == ["accepted", "duplicate"]
    assert door.installation.facts() == 1
    numbers = [each.text.split("*")[13] for each in (answer, again)]
    assert numbers == ["000000001", "000000002"]
    rows = door.installation.ask("SELECT way, state, verdict FROM x12_answer ORDER BY seq")
    assert [tuple(row) for row in rows] == [("http", "sent", "accepted")] * 2


def test_what_is_stored_and_not_taken_is_answered_by_a_rejection(door: Door) -> None:
    refused = door.posts(remittance("EFT-2").replace(b"TRN*1*EFT-2*", b"TRN*1**"))
    assert refused.status_code == 200 and "AK9*R*1*1*0~" in refused.text
    unknown = door.posts(remittance("EFT-3").replace(b"ST*835*", b"ST*850*"))
    assert "AK9*R*1*1*0" in unknown.text and "IK5*R" in unknown.text
    cut = door.posts(remittance("EFT-4").replace(b"IEA*1*000000001", b"IEA*1*000000009"))
    assert "TA1*" in cut.text and "*R*" in cut.text
    assert door.installation.messages() == ["refused"] * 3 and door.installation.facts() == 0


def test_what_is_no_interchange_is_a_problem_in_words(door: Door) -> None:
    problem(door.posts(remittance("EFT-1"), sign=False), 401, "signature")
    problem(door.posts(b"ISA*" + b"x" * 30_000), 413, "size")
    assert "ISA" in problem(door.posts(b'{"type": "x"}'), 400, "x12")["detail"]
    problem(door.posts(b"ISA and then nothing that could be read"), 400, "x12")
    problem(door.posts(remittance("EFT-1"), kind="application/json"), 400, "json")
    assert door.installation.facts() == 0
    garbage = door.posts(b"ISA*00*nonsense")  # It has a beginning, and nobody whom an answer could be addressed to.
    problem(garbage, 422, "content")
    two = door.posts(remittance("EFT-1") + remittance("EFT-2", number=2))
    assert two.status_code == 200 and "R*" in two.text and door.installation.facts() == 0


def test_without_an_agreement_the_answer_is_where_it_is_stored(tmp_path, database_url: str) -> None:
    installation = install(tmp_path, database_url)
    installation.clearinghouse(estate("none"))
    with installation.running():
        door = Door(installation, opened(installation, ""))
        taken = door.posts(remittance("EFT-1"))
        assert (taken.status_code, taken.json()) == (202, {"message": "m/1/1"})
        problem(door.posts(remittance("EFT-2").replace(b"TRN*1*EFT-2*", b"TRN*1**")), 422, "content")


def test_a_webhook_that_takes_no_x12_says_so(tmp_path, database_url: str) -> None:
    installation = install(tmp_path, database_url)
    installation.clearinghouse(estate("999", x12="false"))
    with installation.running():
        door = Door(installation, opened(installation, ""))
        problem(door.posts(remittance("EFT-1")), 415, "type")
        assert installation.facts() == 0


def test_a_process_killed_after_the_commit_leaves_a_sender_who_asks_again_and_no_second_fact(
    tmp_path, database_url: str
) -> None:
    installation = install(tmp_path, database_url)
    installation.clearinghouse(estate("999"))
    with installation.running(HILUM_FAULT="intake.after_commit=kill"):
        door = Door(installation, opened(installation, ""))
        with pytest.raises(httpx2.TransportError):
            door.posts(remittance("EFT-1"))
    installation.ask("UPDATE channel SET address = '' RETURNING 1")
    with installation.running():
        installation.until(
            lambda: installation.ask("SELECT 1 FROM channel WHERE transport = 'webhook' AND address <> ''")
        )
        answer = Door(installation, opened(installation, ""), number=1).posts(remittance("EFT-1"))
        assert "AK9*A*1*1*1~" in answer.text
    assert installation.facts() == 1 and installation.messages() == ["accepted", "duplicate"]
