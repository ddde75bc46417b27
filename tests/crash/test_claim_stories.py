"""Claims on the whole platform: billing's copies and the clearinghouse's answers dropped as files, and what people see of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path

import pytest
from tests.crash.worlds import IMPATIENT, LAKESHORE, until

from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.claims import AnsweredClaim, SentClaim, claim_answers, claim_file, claim_status, file_acknowledgement
from hilum.testing.hospital import ErpAddress, Hospital

pytestmark = pytest.mark.slow

TODAY = datetime.now(UTC).date()


def usd(text: str) -> Decimal:
    return Decimal(text)


@dataclass
class Claims:
    """A platform to which claims and their answers are dropped. Its ERP is away: nothing of this needs it."""

    hospital: Hospital
    numbers: Iterator[int]

    def drops(self, folder: str, data: bytes) -> None:
        inbox = self.hospital.data / "inbox"
        before = self._ended(inbox, folder)
        (inbox / folder / f"{next(self.numbers)}.x12").write_bytes(data)
        until(lambda: self._ended(inbox, folder) > before)
        self.hospital.settles()

    def sends(self, *claims: SentClaim, number: int) -> None:
        self.drops("claims", claim_file(claims, control_number=number, on=TODAY))

    def hears(self, data: bytes) -> None:
        self.drops("remittances", data)

    def states(self) -> list[str]:
        return sorted(row["state"] for row in self.hospital.query("SELECT state FROM claim"))

    @staticmethod
    def _ended(inbox: Path, folder: str) -> int:
        return sum(1 for end in ("done", "refused") for _ in (inbox / f"{folder}.{end}").glob("*.x12"))


@pytest.fixture(scope="module")
def claims(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Claims]:
    place = tmp_path_factory.mktemp("claims")
    name = f"claims_{os.getpid()}"
    url = postgres.create_database(name, template=migrated_template)
    away = ErpAddress("http://127.0.0.1:9", "lakeshore", "nobody:nothing")
    try:
        with Hospital(place, estate=LAKESHORE, erp=away, database_url=url, policy=IMPATIENT) as hospital:
            for folder in ("claims", "remittances"):
                (hospital.data / "inbox" / folder).mkdir(parents=True, exist_ok=True)
            yield Claims(hospital, count(1))
            assert hospital.hilum("audit", "verify")["whole"]
    finally:
        postgres.drop_database(name)


KNEE, HIP = SentClaim("SYN-KNEE-99", usd("1500.00")), SentClaim("SYN-HIP-40", usd("450.00"))


def test_a_file_is_followed_to_its_answers_and_what_came_back_is_work_in_words(claims: Claims) -> None:
    claims.sends(KNEE, HIP, number=905)
    assert claims.states() == ["submitted", "submitted"]
    claims.hears(file_acknowledgement(905, control_number=31, on=TODAY))
    assert claims.states() == ["received", "received"]
    answers = [
        AnsweredClaim("SYN-KNEE-99", usd("1500.00"), "A2:20", "HH-1"),
        AnsweredClaim("SYN-HIP-40", usd("450.00"), "A7:562:85"),
    ]
    claims.hears(claim_answers(answers, file="F905", control_number=32, on=TODAY))
    assert claims.states() == ["accepted", "rejected"]
    [item] = claims.hospital.query("SELECT title, at_risk_usd FROM work_item WHERE queue = 'claims' AND state = 'open'")
    assert "the entity's NPI is wrong (562), billing provider (85)" in item["title"] and item["at_risk_usd"] == usd(
        "450.00"
    )
    claims.sends(HIP, number=906)
    assert claims.states() == ["accepted", "submitted"]
    assert not claims.hospital.query("SELECT 1 FROM work_item WHERE queue = 'claims' AND state = 'open'")
    told = AnsweredClaim("SYN-KNEE-99", usd("1500.00"), "P3:317", "HH-1")
    claims.hears(claim_status([told], control_number=33, on=TODAY))
    assert claims.states() == ["pended", "submitted"]


def test_a_copy_that_comes_twice_is_one_fact_and_a_cut_one_is_refused(claims: Claims) -> None:
    before = claims.states()
    data = claim_file([SentClaim("SYN-LENS-7", usd("90.00"))], control_number=910, on=TODAY)
    claims.drops("claims", data)
    claims.drops("claims", data)
    claims.drops("claims", data[: len(data) // 2])
    assert claims.states() == sorted([*before, "submitted"])
    statuses = [m["status"] for m in claims.hospital.messages() if b"SYN-LENS-7*" in m["raw"]]
    assert sorted(statuses) == ["accepted", "duplicate"] or sorted(statuses) == ["accepted", "duplicate", "refused"]
