"""Forged webhooks are evidence, and no way to fill the store."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path

import httpx2
import pytest
from tests.sealing_parts import protection_for, raw_messages

from hilum.app.intake import Flood, webhook_door
from hilum.app.told import Serve
from hilum.authoring.estate import Estate, WebhookListen
from hilum.runtime.channels import Channels
from hilum.runtime.intake import Intake
from hilum.runtime.reception import Reader
from hilum.runtime.refused_evidence import (
    ADDRESS_BURST,
    ADDRESS_SECONDS,
    DOOR_BURST,
    DOOR_SECONDS,
    MOST_ADDRESSES,
    MOST_DIGESTS,
    RefusedEvidence,
)
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool
from hilum.testing.clock import StoppedClock

CLOCK = StoppedClock()


class Watch:
    """A monotonic clock that a test moves."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def kept(evidence: RefusedEvidence, number: int, address: str = "10.1.2.3", door: str = "stock") -> int:
    return sum(evidence.keeps(door, address, b"forged %d" % n) for n in range(number))


def test_an_address_has_so_many_kept_and_slowly_more() -> None:
    watch = Watch()
    evidence = RefusedEvidence(monotonic=watch)
    assert kept(evidence, 100) == ADDRESS_BURST
    assert kept(evidence, 100, "10.1.2.4") == ADDRESS_BURST, "another address has its own"
    watch.seconds += ADDRESS_SECONDS - 1
    assert kept(evidence, 100) == 0
    watch.seconds += 2
    assert kept(evidence, 100) == 1
    watch.seconds += 1_000 * ADDRESS_SECONDS
    assert kept(evidence, 100) == ADDRESS_BURST, "what comes back is no more than there was"


def test_a_door_has_so_many_kept_from_all_addresses_together() -> None:
    watch = Watch()
    evidence = RefusedEvidence(monotonic=watch)
    assert sum(kept(evidence, 1, f"10.1.{n // 250}.{n % 250}") for n in range(500)) == DOOR_BURST
    watch.seconds += DOOR_SECONDS
    assert sum(kept(evidence, 1, f"10.2.0.{n}") for n in range(50)) == 1
    assert kept(evidence, 100, door="orders") == ADDRESS_BURST, "another door has its own"


def test_what_is_not_kept_is_counted_with_the_first_digests_and_told_once() -> None:
    evidence = RefusedEvidence(monotonic=Watch())
    kept(evidence, ADDRESS_BURST + MOST_DIGESTS + 50)
    found = evidence.beyond()["stock"]
    assert found.number == MOST_DIGESTS + 50 and len(found.digests) == MOST_DIGESTS
    assert found.digests[0] == ("10.1.2.3", sha256(b"forged %d" % ADDRESS_BURST).hexdigest())
    assert f"{found.number} requests".encode() in found.text() and found.digests[-1][1].encode() in found.text()
    assert evidence.beyond() == {}


def test_no_number_of_addresses_fills_the_memory() -> None:
    evidence = RefusedEvidence(monotonic=Watch())
    for n in range(MOST_ADDRESSES + 500):
        evidence.keeps("stock", f"address-{n}", b"")
    assert len(evidence._addresses) == MOST_ADDRESSES


def test_a_hundred_forged_webhooks_leave_ten_messages_and_their_number(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = tmp_path / "stock.secret"
    secret.write_text("whsec_" + "A" * 44)
    secret.chmod(0o600)

    async def story() -> None:
        async with await open_pool(database_url, min_size=1, max_size=4) as pool:
            async with pool.acquire() as connection:
                await ensure_partitions(connection, CLOCK().date())
            protection = await protection_for(pool, None, CLOCK)
            intake = Intake(pool, protection, name="intake-1", clock=CLOCK)
            await intake.start()
            try:
                channels = Channels(pool, intake, clock=CLOCK)
                evidence = RefusedEvidence(monotonic=Watch())
                flood = Flood(intake, evidence)
                app = webhook_door(
                    Serve("intake", tmp_path, tmp_path, database_url),
                    {"stock": WebhookListen(path="/hooks/stock", secret="file:stock.secret")},
                    intake, Reader(Estate(tmp_path, "small")), channels, evidence,
                )  # fmt: skip
                transport = httpx2.ASGITransport(app=app, client=("10.1.2.3", 4711))
                async with httpx2.AsyncClient(transport=transport, base_url="http://intake") as client:
                    answers = [await client.post("/hooks/stock", content=b"x" * 65_536) for _ in range(100)]
                assert {answer.status_code for answer in answers} == {401}
                named = [answer.json().get("instance") for answer in answers]
                assert all(named[:ADDRESS_BURST]) and not any(named[ADDRESS_BURST:])
                assert await pool.fetchval("SELECT count(*) FROM message") == ADDRESS_BURST
                await flood.keep()
                await flood.keep()
                assert await pool.fetchval("SELECT count(*) FROM message") == ADDRESS_BURST + 1
                await channels.run_once()
                assert await pool.fetchval("SELECT violations FROM channel WHERE system = 'stock'") == 100
                raw = (await raw_messages(pool, protection.sealer))[-1]
                assert b"90 requests" in raw and sha256(b"x" * 65_536).hexdigest().encode() in raw
            finally:
                await intake.stop()

    asyncio.run(story())
    assert "the webhook of stock refused 90 requests beyond those it keeps" in caplog.text
