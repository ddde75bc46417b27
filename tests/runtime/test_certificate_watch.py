"""Certificates are watched: asked for in time, once for each, and the asking ends with the renewal."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.transports.tls.certificates_fixture import Authority

from hilum.app.certificates import configured_certificates
from hilum.authoring.estate import Estate, Listen, MllpListen, SandboxSpec, SystemSpec
from hilum.authoring.estate_evidence import EvidenceSpec
from hilum.authoring.estate_identity import IdentitySpec, IssuerSpec, ServiceSpec
from hilum.authoring.estate_protection import ProtectionSpec
from hilum.authoring.estate_transport import ClientTls, HttpDoor, ServerTls
from hilum.runtime import work_items
from hilum.runtime.certificates import CertificateWatch, Placed
from hilum.runtime.overview import read_overview
from hilum.security.certificates import Certificate
from hilum.store.pool import open_pool
from hilum.testing.clock import LAKESHORE_MORNING, StoppedClock
from hilum.tower.metrics import exposition


def certificate(name: str, *, days: float, number: int = 1) -> Certificate:
    """One that ends so many days after the tests' morning."""
    end = LAKESHORE_MORNING + timedelta(days=days)
    return Certificate(
        f"CN={name}",
        "CN=ca",
        name,
        (),
        (),
        end - timedelta(days=90),
        end,
        f"{name}{number}".encode().hex().ljust(64, "0"),
        False,
    )


@dataclass
class World:
    pool: asyncpg.Pool
    clock: StoppedClock = field(default_factory=StoppedClock)
    placed: dict[str, Certificate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.watch = CertificateWatch(
            self.pool, clock=self.clock, owner="integration",
            configured=lambda: [Placed(slot, "own", c) for slot, c in self.placed.items()],
        )  # fmt: skip

    async def items(self, state: str = "open") -> list[str]:
        rows = await self.pool.fetch("SELECT title FROM work_item WHERE state = $1 ORDER BY id", state)
        return [row["title"] for row in rows]


def play(url: str, story: Any) -> None:
    async def whole() -> None:
        pool = await open_pool(url, min_size=1, max_size=3, application_name="test")
        try:
            await story(World(pool))
        finally:
            await pool.close()

    coroutine: Coroutine[Any, Any, None] = whole()
    asyncio.run(asyncio.wait_for(coroutine, 30))


def test_a_certificate_is_asked_for_at_thirty_days_and_again_at_seven_and_no_more(database_url):
    async def story(w: World) -> None:
        w.placed = {"own:tower": certificate("tower", days=40), "own:gateway": certificate("gateway", days=400)}
        await w.watch.run_once()
        assert await w.items() == []

        w.clock.passes(hours=24 * 10 + 1)
        for _ in range(3):
            await w.watch.run_once()
        assert await w.items() == ["The certificate own:tower ends on 2026-04-11"]

        w.clock.passes(hours=24 * 23)
        for _ in range(3):
            await w.watch.run_once()
        rows = await w.pool.fetch("SELECT cause, state, due_at, owner FROM work_item ORDER BY id")
        assert [(r["cause"].rpartition(":")[2], r["state"]) for r in rows] == [("30", "resolved"), ("7", "open")]
        assert rows[1]["due_at"] == w.clock() + timedelta(hours=24) and rows[1]["owner"] == "integration"

        w.clock.passes(hours=24 * 20)
        await w.watch.run_once()
        assert len(await w.items()) == 1, "that it has ended is the same concern"

    play(database_url, story)


def test_the_asking_ends_with_the_renewal(database_url):
    async def story(w: World) -> None:
        w.placed = {"own:tower": certificate("tower", days=5)}
        await w.watch.run_once()
        assert len(await w.items()) == 1

        w.placed = {"own:tower": certificate("tower", days=95, number=2)}
        await w.watch.run_once()
        assert await w.items() == []
        [closed] = await w.pool.fetch("SELECT state, closed_by FROM work_item")
        assert tuple(closed) == ("resolved", "system:certificates")

    play(database_url, story)


def test_what_a_person_closed_is_not_asked_again_until_it_is_urgent(database_url):
    async def story(w: World) -> None:
        w.placed = {"own:tower": certificate("tower", days=20)}
        await w.watch.run_once()
        item = await w.pool.fetchval("SELECT id FROM work_item")
        async with w.pool.acquire() as connection, connection.transaction():
            await work_items.skip(
                connection, item, now=w.clock(), actor="person:ann", reason="the tower moves next week"
            )
        await w.watch.run_once()
        assert await w.items() == []

        w.clock.passes(hours=24 * 14)
        await w.watch.run_once()
        assert len(await w.items()) == 1

    play(database_url, story)


def test_what_peers_present_is_watched_and_what_is_configured_no_more_is_forgotten(database_url):
    async def story(w: World) -> None:
        w.placed = {"own:tower": certificate("tower", days=3)}
        w.watch.presented("erp", "erp.example", certificate("erp.example", days=6))
        w.watch.sent_by("ehr/mllp", certificate("ehr", days=300))
        await w.watch.run_once()
        assert sorted(await w.items()) == [
            "The certificate own:tower ends on 2026-03-05", "The certificate peer:erp:erp.example ends on 2026-03-08",
        ]  # fmt: skip

        w.placed = {}
        w.watch.presented("erp", "erp.example", certificate("erp.example", days=90, number=2))
        await w.watch.run_once()
        assert await w.items() == []
        assert await w.pool.fetchval("SELECT string_agg(slot, ' ' ORDER BY slot) FROM certificate") == (
            "peer:erp:erp.example sender:ehr/mllp:CN=ehr"
        )

    play(database_url, story)


def test_status_and_metrics_say_how_many_days_are_left(database_url):
    async def story(w: World) -> None:
        w.placed = {"own:tower": certificate("tower", days=12.5), "own:gateway": certificate("gateway", days=-2)}
        await w.watch.run_once()
        async with w.pool.acquire() as connection:
            seen = await read_overview(connection, None, w.clock)
        assert [(c.slot, c.days_left) for c in seen.certificates] == [("own:gateway", -2), ("own:tower", 12)]
        assert b'hilum_certificate_days_left{role="own",slot="own:tower"} 12.0' in exposition(seen, None)
        assert (await w.items())[0].startswith("The certificate own:gateway ended on")

    play(database_url, story)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("watched"))


def test_every_file_the_estate_names_is_watched(ca, tmp_path, caplog):
    own = ca.identity("door", days=50)
    for source, name in ((own.certificate, "door.pem"), (ca.certificate, "ca.pem")):
        (tmp_path / name).write_bytes(source.read_bytes())
    tls = ServerTls(certificate="file:door.pem", key="file:door.key", client_ca="file:ca.pem")
    estate = Estate(
        Path("."), "test", doors={"tower": HttpDoor(tls=tls)},
        systems={
            "ehr": SystemSpec(name="ehr", listen=Listen(mllp=MllpListen(port=0, tls=tls))),
            "erp": SystemSpec(
                name="erp", connect={"connector": "tryton", "url": "https://erp.example", "tls": {"authorities": "file:missing.pem"}}
            ),
        },
    )  # fmt: skip
    found = {placed.slot: placed.certificate for placed in configured_certificates(estate, tmp_path)}
    authority = "CN=Lakeshore authority"
    assert set(found) == {
        "own:tower", f"authority:tower:{authority}", "own:ehr/mllp", f"authority:ehr/mllp:{authority}",
    }  # fmt: skip
    assert found["own:tower"].days_left(datetime.now(UTC)) == pytest.approx(50, abs=0.1)
    assert "missing.pem cannot be read" in caplog.text


def test_the_clients_certificates_and_every_services_authorities_are_watched_too(ca, tmp_path):
    own = ca.identity("hilum-at-the-erp", days=20)
    for source, name in ((own.certificate, "client.pem"), (ca.certificate, "ca.pem")):
        (tmp_path / name).write_bytes(source.read_bytes())
    own_tls = {"certificate": "file:client.pem", "key": "file:client.key"}
    trusting = ClientTls(authorities="file:ca.pem")
    bucket = "s3://kept/x?endpoint=https://minio.example&authorities=file:ca.pem"
    estate = Estate(
        Path("."), "test",
        identity=IdentitySpec(issuers={"sso": IssuerSpec(url="https://login.example", tls=trusting)}),
        services={"ap-bot": ServiceSpec(name="ap-bot", jwks_url="https://bot.example/jwks", tls=trusting)},
        protection=ProtectionSpec(keys="vault", settings={"authorities": "file:ca.pem"}),
        evidence=EvidenceSpec(publish_to=(bucket,)),
        systems={
            "erp": SystemSpec(
                name="erp", connect={"connector": "tryton", "url": "https://erp.example", "tls": own_tls},
                sandbox=SandboxSpec(connect={"tls": {**own_tls, "authorities": "file:ca.pem"}}),
            ),
            "archive": SystemSpec(name="archive", connect={"connector": "archive_s3", "bucket": bucket}),
        },
    )  # fmt: skip
    found = configured_certificates(estate, tmp_path, {"VAULT_CACERT": str(tmp_path / "ca.pem")})
    authority = "CN=Lakeshore authority"
    assert {placed.slot for placed in found} == {
        "own:erp/connect", "own:erp/sandbox",
        *(f"authority:{place}/connect:{authority}" for place in ("archive", "evidence", "identity/sso", "protection", "services/ap-bot", "vault")),
        f"authority:erp/sandbox:{authority}",
    }  # fmt: skip


def test_our_certificate_at_a_system_is_asked_for_before_it_ends(ca, tmp_path, database_url):
    own = ca.identity("hilum-at-the-erp", days=20)
    (tmp_path / "client.pem").write_bytes(own.certificate.read_bytes())
    tls = {"certificate": "file:client.pem", "key": "file:client.key"}
    spec = SystemSpec(name="erp", connect={"connector": "tryton", "url": "https://erp.example", "tls": tls})
    estate = Estate(Path("."), "test", systems={"erp": spec})

    async def story(w: World) -> None:
        watch = CertificateWatch(
            w.pool, clock=lambda: datetime.now(UTC), configured=lambda: configured_certificates(estate, tmp_path)
        )
        await watch.run_once()
        (title,) = await w.items()
        assert title.startswith("The certificate own:erp/connect ends on")
        renewed = ca.identity("hilum-at-the-erp", days=400, file="renewed")
        (tmp_path / "client.pem").write_bytes(renewed.certificate.read_bytes())
        await watch.run_once()
        assert await w.items() == []

    play(database_url, story)
