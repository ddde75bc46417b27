"""The platform's own services behind the guard, attacked: what they name themselves, where their names lead, redirects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from joserfc.jwk import ECKey
from tests.object_store import ObjectStore, object_store
from tests.transports.egress.test_egress_guard import Server, http, resolver, serving
from tests.transports.tls.certificates_fixture import Authority

from hilum.app.archive import head_places
from hilum.app.identity import provider_keys
from hilum.audit.places import BucketAddress, HeadPlace, PlaceAway
from hilum.authoring.archive import PackageRef
from hilum.authoring.estate import Estate
from hilum.authoring.estate_evidence import EvidenceSpec
from hilum.authoring.estate_identity import IdentitySpec, IssuerSpec, ServiceSpec
from hilum.authoring.estate_transport import ClientTls, EgressSpec
from hilum.authoring.failures import Unavailable
from hilum.connectors.archive_s3 import ArchiveS3
from hilum.security.egress import EgressRefused, target
from hilum.security.egress_objects import guard_store, store_egress
from hilum.security.egress_services import ServiceEgress
from hilum.security.identity import CallerRules, IdentityAway
from hilum.security.identity.reaching import Providers
from hilum.security.identity.relying_party import Begun, RelyingParty
from hilum.security.sealing.vault_transit import VaultTransit
from hilum.security.sealing.wrapping import KeysUnusable
from hilum.security.tls import TlsFiles, server_tls
from hilum.security.vault import Vault, VaultAccess, VaultUnusable

__all__ = ["object_store"]

KEY = ECKey.generate_key("P-256", {"kid": "spring"})
JWKS = orjson.dumps({"keys": [{**KEY.as_dict(private=False), "use": "sig"}]})
METADATA = "169.254.169.254"


def noon() -> datetime:
    return datetime(2026, 11, 21, 12, tzinfo=UTC)


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


# --- what is configured, and what is not -------------------------------------------------------------------------


def guard(url: str, *addresses: str, **more: Any) -> ServiceEgress:
    return ServiceEgress("the test", [target(url, ("https", "http"))], resolve=resolver(list(addresses)), **more)


@pytest.mark.parametrize("address", ["203.0.114.7", "10.20.0.7", "192.168.4.4", "fd12::7"])
def test_a_configured_name_may_lead_to_public_and_private_addresses(address: str) -> None:
    assert asyncio.run(guard("https://login.lakeshore.example", address).addresses("login.lakeshore.example", 443))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", METADATA, "::ffff:169.254.169.254", "fe80::1", "0.0.0.0"])
def test_a_configured_name_that_leads_to_this_machine_or_to_metadata_is_refused(address: str) -> None:
    with pytest.raises(EgressRefused, match="egress guard of the test"):
        asyncio.run(guard("https://login.lakeshore.example", address).addresses("login.lakeshore.example", 443))


def test_loopback_is_reached_where_it_is_written_or_where_its_range_is_named() -> None:
    assert asyncio.run(guard("http://127.0.0.1:8080").addresses("127.0.0.1", 8080)) == ["127.0.0.1"]
    assert asyncio.run(guard("http://localhost:8080", "127.0.0.1").addresses("localhost", 8080)) == ["127.0.0.1"]
    named = guard("https://login.example", "127.0.0.1", networks=EgressSpec(networks=("127.0.0.0/8",)).ranges())
    assert asyncio.run(named.addresses("login.example", 443)) == ["127.0.0.1"]


def test_metadata_is_reached_by_no_configuration() -> None:
    with pytest.raises(EgressRefused, match="link-local"):
        asyncio.run(guard(f"http://{METADATA}").addresses(METADATA, 80))


def test_what_a_service_names_is_reached_in_public_over_https_only() -> None:
    elsewhere = guard("https://login.example", "203.0.114.9", elsewhere=True)
    assert asyncio.run(elsewhere.addresses("keys.example", 443)) == ["203.0.114.9"]
    with pytest.raises(EgressRefused, match="not an address the estate declares"):
        asyncio.run(elsewhere.addresses("keys.example", 8443))
    inside = guard("https://login.example", "10.20.0.9", elsewhere=True)
    with pytest.raises(EgressRefused, match=r"write ledger\.example:443 into its egress\.hosts"):
        asyncio.run(inside.addresses("ledger.example", 443))
    named = guard("https://login.example", "10.20.0.9", elsewhere=True, hosts=("keys.example:443",))
    assert asyncio.run(named.addresses("keys.example", 443)) == ["10.20.0.9"]


# --- identity providers ------------------------------------------------------------------------------------------


@asynccontextmanager
async def provider(**named: str) -> AsyncIterator[tuple[Server, str]]:
    """A provider on loopback whose discovery document names what the attacker likes."""
    async with serving() as server:
        url = f"http://127.0.0.1:{server.port}"
        said = {
            "issuer": url,
            "authorization_endpoint": url,
            "token_endpoint": f"{url}/token",
            "jwks_uri": f"{url}/jwks",
        }
        server.answer = http(orjson.dumps({**said, **named}))
        yield server, url


def identity(url: str, **more: Any) -> IdentitySpec:
    return IdentitySpec(sign_in="sso", issuers={"sso": IssuerSpec(url=url, client_id="tower", **more)})


async def asks_for_keys(url: str, resolve: Any = None, **more: Any) -> None:
    spec = identity(url, **more)
    providers = Providers(spec, Path(), **({"resolve": resolve} if resolve is not None else {}))
    try:
        assert await provider_keys(spec, providers)["sso"].find("spring", "ES256") is not None
    finally:
        await providers.close()


@pytest.mark.parametrize(
    ("jwks_uri", "addresses", "why"),
    [
        (f"https://{METADATA}/latest/meta-data/iam", [], "link-local, metadata"),
        ("https://[fd00:ec2::254]/latest", [], "link-local, metadata"),
        ("https://ledger.lakeshore.internal/keys", ["10.20.0.9"], "private or loopback"),
        ("https://keys.example/keys", ["203.0.114.7", "169.254.169.254"], "link-local, metadata"),
        ("https://keys.example/keys", ["127.0.0.1"], "private or loopback"),
        ("https://localhost/keys", ["127.0.0.1"], "private or loopback"),
        ("https://login.example:5432/keys", ["203.0.114.7"], "not an address the estate declares"),
    ],
)
def test_a_discovery_document_does_not_choose_what_we_ask_inside(
    jwks_uri: str, addresses: list[str], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with provider(jwks_uri=jwks_uri) as (_, url):
            with pytest.raises(IdentityAway):
                await asks_for_keys(url, resolver(addresses))

    run(story)
    assert "the keys of http://127.0.0.1" in caplog.text
    assert "refused by the egress guard of identity provider sso" in caplog.text and why in caplog.text


def test_a_discovery_document_does_not_lead_to_another_port_of_this_machine() -> None:
    async def story() -> None:
        async with serving(http(JWKS)) as other, provider(jwks_uri=f"http://127.0.0.1:{other.port}/keys") as (_, url):
            with pytest.raises(IdentityAway):
                await asks_for_keys(url)
            assert other.heard == []
            await asks_for_keys(url, egress=EgressSpec(hosts=(f"127.0.0.1:{other.port}",)))
            assert len(other.heard) == 1, "named beside the provider, it is asked"

    run(story)


def test_one_providers_document_opens_no_way_to_anothers_address() -> None:
    async def story() -> None:
        async with (
            serving(http(JWKS)) as hospital,
            provider(jwks_uri=f"http://127.0.0.1:{hospital.port}/keys") as (_, url),
        ):
            inside = IssuerSpec(url=f"http://127.0.0.1:{hospital.port}")
            spec = IdentitySpec(issuers={"cloud": IssuerSpec(url=url), "hospital": inside})
            providers = Providers(spec, Path())
            with pytest.raises(IdentityAway):
                await provider_keys(spec, providers)["cloud"].find("spring", "ES256")
            assert hospital.heard == []
            await providers.close()

    run(story)


def test_a_redirect_of_a_provider_is_not_followed() -> None:
    async def story() -> None:
        async with serving(http(JWKS)) as other, serving() as server:
            server.answer = http(b"", f"location: http://127.0.0.1:{other.port}/", status="302 Found")
            with pytest.raises(IdentityAway):
                await asks_for_keys(f"http://127.0.0.1:{server.port}")
            assert len(server.heard) == 1 and other.heard == []

    run(story)


def test_a_token_endpoint_inside_gets_neither_the_code_nor_the_clients_secret(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with serving() as other, provider(token_endpoint=f"http://127.0.0.1:{other.port}/token") as (_, url):
            spec = identity(url, client_secret="file:secret")
            providers = Providers(spec, Path())

            async def nowhere() -> str | None:
                return None

            party = RelyingParty(
                spec, CallerRules(Estate(Path(), "lakeshore", identity=spec), today=lambda: noon().date()),
                providers=providers, keys={}, local_url=nowhere, secret_of=lambda reference: "tower-secret", clock=noon,
                monotonic=lambda: 0.0,
            )  # fmt: skip
            begun = Begun("sso", "http://127.0.0.1/back", "nonce", "verifier")
            with pytest.raises(IdentityAway, match="a token endpoint that is not allowed") as refused:
                await party.arrive(begun, code="code-of-nora", said_issuer=None)
            assert other.heard == [] and str(other.port) not in str(refused.value)
            await providers.close()

    run(story)
    assert "is not an address the estate declares for it" in caplog.text and "tower-secret" not in caplog.text


def test_the_keys_of_a_program_are_fetched_from_its_address_and_from_no_other() -> None:
    async def story() -> None:
        async with serving(http(JWKS)) as server:
            spec = ServiceSpec(name="ap-bot", jwks_url=f"http://127.0.0.1:{server.port}/jwks")
            providers = Providers(IdentitySpec(), Path())
            fetch = providers.fetch_of(spec)
            assert await fetch(str(spec.jwks_url)) == JWKS
            with pytest.raises(OSError, match="egress guard of service ap-bot"):
                await fetch("https://login.example/jwks")
            await providers.close()

    run(story)


@asynccontextmanager
async def private_provider(folder: Path) -> AsyncIterator[tuple[str, Path]]:
    """A provider whose certificate an authority of the hospital's own signed."""
    authority = Authority(folder)
    own = authority.identity("login.lakeshore.example")
    server = Server(http(JWKS))
    context = server_tls(TlsFiles(own.certificate, own.key))
    listening = await asyncio.start_server(server.take, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    said = {"issuer": url, "authorization_endpoint": url, "token_endpoint": url, "jwks_uri": url, **orjson.loads(JWKS)}
    server.answer = http(orjson.dumps(said))
    try:
        yield url, authority.certificate
    finally:
        listening.close()


def test_a_provider_with_a_private_authority_is_believed_by_what_the_estate_says(tmp_path: Path) -> None:
    async def story() -> None:
        async with private_provider(tmp_path) as (url, authorities):
            with pytest.raises(IdentityAway):
                await asks_for_keys(url)
            await asks_for_keys(url, tls=ClientTls(authorities=f"file:{authorities}"))
            seen: list[str] = []
            spec = identity(url, tls=ClientTls(authorities=f"file:{authorities}"))
            providers = Providers(
                spec, Path(), saw=lambda who, host, certificate: seen.append(f"{who} {certificate.subject}")
            )
            await provider_keys(spec, providers)["sso"].find("spring", "ES256")
            assert seen and set(seen) == {"identity provider sso CN=login.lakeshore.example"}
            await providers.close()

    run(story)


# --- Vault -------------------------------------------------------------------------------------------------------


def resolves_now(*addresses: str) -> Any:
    return lambda host, port: list(addresses)


@pytest.mark.parametrize("address", [METADATA, "127.0.0.1"])
def test_a_vault_whose_name_leads_to_metadata_or_to_this_machine_gets_no_token(address: str) -> None:
    access = VaultAccess("https://vault.lakeshore.example:8200", token="hvs.secret")
    with pytest.raises(VaultUnusable, match=r"refused by the egress guard of Vault \(VAULT_ADDR\)"):
        Vault(access, resolve_now=resolves_now(address)).read("secret/hilum/erp", "key")


def test_a_transit_engine_is_guarded_and_takes_no_token_unencrypted() -> None:
    settings = {"address": "https://vault.lakeshore.example", "key": "hilum", "token": "file:t"}
    wrapper = VaultTransit.from_settings(settings, lambda reference: "hvs.secret", resolve_now=resolves_now(METADATA))
    with pytest.raises(KeysUnusable, match=r"refused by the egress guard of Vault \(transit\)"):
        wrapper.wrap(b"k" * 32, b"about")
    for wrong, why in (
        ({"address": "http://vault.lakeshore.example"}, "https"),
        ({"address": "https://root:pw@vault.example"}, "user information"),
        ({"networks": ["everywhere"]}, "networks"),
        ({"authorities": "file:nowhere.pem"}, "nowhere.pem"),
    ):
        with pytest.raises(KeysUnusable, match=why):
            VaultTransit.from_settings({**settings, **wrong}, lambda reference: "hvs.secret")


def test_vaults_redirect_is_not_followed_with_the_token() -> None:
    async def story() -> None:
        async with serving() as other, serving() as standby:
            standby.answer = http(b"", f"location: http://127.0.0.1:{other.port}/v1", status="307 Temporary Redirect")
            vault = Vault(VaultAccess(f"http://127.0.0.1:{standby.port}", token="hvs.secret"))
            with pytest.raises(VaultUnusable):
                await asyncio.to_thread(vault.read, "secret/hilum/erp", "key")
            assert len(standby.heard) >= 1 and other.heard == []

    run(story)


# --- object stores -----------------------------------------------------------------------------------------------


def place_of(store: ObjectStore, bucket: str, **more: str) -> str:
    settings = "&".join(f"{name}={value}" for name, value in {"endpoint": store.url, **more}.items())
    return f"s3://{bucket}/lakeshore?{settings}"


def heads_at(place: str, data: Path) -> HeadPlace:
    """The place as the worker makes it."""
    (place_made,) = head_places(Estate(data, "lakeshore", evidence=EvidenceSpec(publish_to=(place,))), data)
    return place_made


def archive_at(
    place: str, secret: str, packages: dict[str, bytes], max_answer_bytes: int = 64 * 1024 * 1024
) -> ArchiveS3:
    address = BucketAddress.parse(place)
    client = address.client(secret)
    guard_store(client, store_egress(client, address.bucket, service="archive", max_answer_bytes=max_answer_bytes))

    async def content(digest: str) -> bytes:
        return packages[digest]

    return ArchiveS3(client, address.bucket, address.prefix, content, clock=noon, retain_days=1)


def test_heads_and_packages_reach_the_store_through_the_guard_and_past_no_proxy(
    object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    bucket = object_store.bucket("guarded", locked=True)
    (tmp_path / "store").write_text(object_store.secret)
    (tmp_path / "store").chmod(0o600)
    place = place_of(object_store, bucket, credentials="file:store")
    assert heads_at(place, tmp_path).newest() is None
    package = b"PK\x03\x04 a package of evidence" * 40_000
    digest = sha256(package).hexdigest()
    reference = PackageRef(digest=digest, subject="key/implant_usage/U-1", size_bytes=len(package))

    async def story() -> None:
        archive = archive_at(place, object_store.secret, {digest: package})
        kept = await archive.keep(reference, key="K-1")
        assert (
            (kept.number, kept.state) == (digest, "kept") == ((await archive.keep(reference, key="K-1")).number, "kept")
        )
        await archive.ping()
        await archive.close()
        with pytest.raises(Unavailable):
            await archive_at(place, object_store.secret, {}, max_answer_bytes=1000).kept(digest)

    run(story)
    assert object_store.names(bucket) == [f"lakeshore/packages/{digest}.zip"]


def test_a_store_at_the_metadata_address_is_refused_in_the_guards_words(tmp_path: Path) -> None:
    place = heads_at(f"s3://heads/x?endpoint=http://{METADATA}&credentials=file:store", _with_secret(tmp_path))
    with pytest.raises(PlaceAway, match=r"refused by the egress guard of published heads in heads: .*link-local"):
        place.newest()


def test_a_store_that_sends_us_to_another_host_is_not_followed(tmp_path: Path) -> None:
    async def story() -> None:
        async with serving() as other, serving() as store:
            moved = b"<Error><Code>PermanentRedirect</Code><Endpoint>127.0.0.1</Endpoint></Error>"
            headers = (f"location: http://127.0.0.1:{other.port}/heads", "x-amz-bucket-region: eu-central-1")
            store.answer = http(moved, *headers, status="301 Moved Permanently")
            place = heads_at(
                f"s3://heads/x?endpoint=http://127.0.0.1:{store.port}&credentials=file:store", _with_secret(tmp_path)
            )
            with pytest.raises(PlaceAway):
                await asyncio.to_thread(place.newest)
            assert store.heard and other.heard == []

    run(story)


def test_a_store_whose_certificate_nobody_vouches_for_is_not_believed(tmp_path: Path) -> None:
    async def story() -> None:
        async with private_provider(tmp_path / "tls") as (url, authorities):
            strange = heads_at(f"s3://heads/x?endpoint={url}&credentials=file:store", _with_secret(tmp_path))
            with pytest.raises(PlaceAway, match="EndpointConnectionError"):
                await asyncio.to_thread(strange.newest)
            known = heads_at(
                f"s3://heads/x?endpoint={url}&credentials=file:store&authorities=file:{authorities}", tmp_path
            )
            with pytest.raises(PlaceAway) as answered:
                await asyncio.to_thread(known.newest)
            assert "EndpointConnectionError" not in str(answered.value), "it was spoken to, and is no object store"

    run(story)


def test_in_amazons_cloud_other_hosts_are_reached_in_public_only() -> None:
    client = BucketAddress.parse("s3://heads/x?region=eu-central-1").client("AKIA:secret")
    guarded = store_egress(client, "heads", service="heads", max_answer_bytes=1000)
    assert guarded.admits("heads.s3.eu-west-1.amazonaws.com", 443)
    assert not guarded.networks_of("heads.s3.eu-west-1.amazonaws.com", 443)
    own = BucketAddress.parse("s3://heads/x?endpoint=https://minio.lakeshore.example:9000").client("AKIA:secret")
    inside = store_egress(own, "heads", service="heads", max_answer_bytes=1000)
    assert inside.admits("heads.minio.lakeshore.example", 9000) and not inside.admits("heads.s3.amazonaws.com", 443)


def _with_secret(folder: Path) -> Path:
    (folder / "store").write_text("AKIA:secret")
    (folder / "store").chmod(0o600)
    return folder
