"""Acknowledgements pushed to a real OpenSSH server, and the whole way of a file: fetched, posted to the books' door, answered."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.sealing_parts import protection_for
from tests.transports.sftp.sftp_parts import Installation, by_sftp, remittance

from hilum.app.answers import outboxes
from hilum.governance.loader import load_estate
from hilum.runtime.folder_door import FolderDoor
from hilum.runtime.intake import Intake
from hilum.runtime.reception import Reader
from hilum.runtime.x12_answers import X12Answers
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool
from hilum.testing.clock import StoppedClock
from hilum.testing.faults import Injected, failing
from hilum.testing.neighbours.openssh import OpenSsh

pytestmark = pytest.mark.slow
CLOCK = StoppedClock()


def test_answers_are_pushed_once_through_crashes_and_outages(installation: Installation, partner: OpenSsh) -> None:
    partner.put("readme.txt", b"answers, please", folder="inbound")
    answers = f'[answers]\nx12 = "999"\npush = "{partner.files}/inbound"\n'
    installation.clearinghouse(by_sftp(partner).replace("[egress]", answers + "[egress]"))
    estate = load_estate(installation.estate)

    async def story() -> None:
        pool = await open_pool(installation.url, min_size=1, max_size=6, application_name="test")
        async with pool.acquire() as connection:
            await ensure_partitions(connection, CLOCK().date())
        protection = await protection_for(pool, estate, CLOCK)
        taker = Intake(pool, protection, name="intake-1", clock=CLOCK)
        await taker.start()
        door = FolderDoor(pool, taker, Reader(estate), "clearinghouse", type_field="type", transport="sftp")

        async def works() -> None:
            desk = X12Answers(pool, estate, protection, outboxes(estate, installation.data), clock=CLOCK)
            for _ in range(3):
                await desk.run_once()

        await works()
        for number, point in enumerate(("answers.put", "answers.ready", "answers.shown"), start=1):
            await door.take("x12", remittance(f"EFT-{number}", number=number), f"file:{number}#1")
            with failing(point), pytest.raises(Injected):
                await works()
            for file in (partner.files / "inbound").glob("clearinghouse-*"):
                file.rename(partner.files / file.name)  # The partner takes what has come, at once.
        await works()
        partner.stop()
        await door.take("x12", remittance("EFT-9", number=9), "file:9#1")
        await works()
        states = [row["state"] for row in await pool.fetch("SELECT state FROM x12_answer ORDER BY control_number")]
        assert states == ["sent", "sent", "sent", "made"]
        partner.start()
        await works()
        assert await pool.fetchval("SELECT count(*) FROM x12_answer WHERE state = 'sent'") == 4
        await taker.stop()
        await pool.close()

    asyncio.run(story())
    came = [*partner.files.glob("clearinghouse-*"), *(partner.files / "inbound").glob("clearinghouse-*")]
    assert sorted(path.name for path in came) == [f"clearinghouse-{n:09}-1-{n}.x12" for n in range(1, 5)]
    assert all(b"AK9*A*1*1*1~" in path.read_bytes() for path in came)
    assert not list((partner.files / "inbound").glob(".*"))


def test_an_outbox_is_where_the_agreement_says(installation: Installation, tmp_path: Path) -> None:
    def place(tables: str) -> str:
        installation.clearinghouse(tables)
        [outbox] = outboxes(load_estate(installation.estate), tmp_path).values()
        return f"{outbox.way}:{outbox._folder}".replace(str(tmp_path), "")

    folder = '[listen.folder]\npath = "in"\n'
    account = '[listen.sftp_account]\nuser = "harbor"\nkeys = ["ssh-ed25519 AAAA"]\n'
    assert place(folder + '[answers]\nx12 = "999"\n') == "folder:/outbox/clearinghouse"
    assert place(folder + '[answers]\nx12 = "ta1"\noutbox = "out"\n') == "folder:/out"
    assert place(account + '[answers]\nx12 = "999"\n') == "folder:/sftp/clearinghouse/account/outbox"
    installation.clearinghouse(folder + '[answers]\nx12 = "none"\n')
    assert outboxes(load_estate(installation.estate), tmp_path) == {}
