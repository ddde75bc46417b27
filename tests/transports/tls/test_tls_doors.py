"""TLS at the HTTP and MLLP doors, on real sockets: who gets in, who does not, and what a door survives."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvloop
from tests.transports.tls.certificates_fixture import Authority, Identity

from hilum.authoring.estate_transport import ServerTls
from hilum.formats.hl7v2 import acknowledge, header_of
from hilum.security.certificates import client_thumbprint, read_der, read_file
from hilum.security.tls import TlsFiles, TlsUnusable, client_tls, server_context, server_tls
from hilum.transports.http import Served, serve, serving
from hilum.transports.mllp import MllpClient, MllpListener, Peer, Violation, frame

ADT = b"MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20260302073000||ADT^A04|C-1|P|2.5.1\rEVN|A04|20260302073000\r"


def files(identity: Identity | None, ca: Authority | None = None, revoked: Path | None = None) -> TlsFiles:
    return TlsFiles(
        identity.certificate if identity else None, identity.key if identity else None,
        authorities=ca.certificate if ca else None, revoked=revoked,
    )  # fmt: skip


async def tells(scope: Any, receive: Any, send: Any) -> None:
    """An application that says whom it takes its client for."""
    extension = scope.get("extensions", {}).get("tls", {})
    body = json.dumps(
        {"name": extension.get("client_cert_name"), "x5t#S256": client_thumbprint(scope), "scheme": scope["scheme"]}
    )
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body.encode()})


@asynccontextmanager
async def door(context: ssl.SSLContext) -> AsyncIterator[Served]:
    served = await serve(tells, tls=context)
    try:
        yield served
    finally:
        await served.stop()


async def ask(served: Served, trusting: ssl.SSLContext, host: str = "127.0.0.1") -> dict[str, Any]:
    async with httpx2.AsyncClient(verify=trusting, trust_env=False, timeout=5) as http:
        answer = await http.get(f"https://{host}:{served.port}/")
        found: dict[str, Any] = answer.json()
        return found


def play(story: Any) -> None:
    uvloop.run(asyncio.wait_for(story, 20))


# --- who gets in ---------------------------------------------------------------------------------------------------


def test_a_client_is_known_by_its_certificate_and_without_one_by_nothing(ca):
    own, bot = ca.identity("door"), ca.identity("ap-bot")

    async def story() -> None:
        async with door(server_tls(files(own, ca))) as served:
            known = await ask(served, client_tls(files(bot, ca)))
            nameless = await ask(served, client_tls(files(None, ca)))
        [certificate] = read_file(bot.certificate)
        assert known == {"name": "CN=ap-bot", "x5t#S256": certificate.thumbprint, "scheme": "https"}
        assert len(certificate.thumbprint) == 43
        assert nameless == {"name": None, "x5t#S256": None, "scheme": "https"}

    play(story())


def test_what_a_client_writes_into_headers_makes_no_certificate(ca):
    async def story() -> None:
        async with door(server_tls(files(ca.identity("door"), ca))) as served:
            forged = {"x-client-cert": "CN=ap-bot", "x5t#S256": "A" * 43, "x-ssl-client-s-dn": "CN=ap-bot"}
            async with httpx2.AsyncClient(verify=client_tls(files(None, ca)), trust_env=False) as http:
                answer = await http.get(f"{served.url}/", headers=forged)
        assert answer.json()["x5t#S256"] is None

    play(story())


@pytest.mark.parametrize("who", ["nobody", "a stranger's", "expired", "revoked"])
def test_a_door_that_requires_certificates_turns_others_away(ca, stranger, who):
    own, good = ca.identity("door"), ca.identity("ap-bot")
    fired = ca.identity("fired-bot")
    presented = {
        "nobody": None, "a stranger's": stranger.identity("ap-bot"), "expired": ca.identity("old-bot", days=-1), "revoked": fired,
    }[who]  # fmt: skip
    context = server_tls(files(own, ca, ca.revokes(fired)), require_client_certificate=True)

    async def story() -> None:
        async with door(context) as served:
            with pytest.raises((httpx2.TransportError, ssl.SSLError)):
                await ask(served, client_tls(files(presented, ca)))
            assert (await ask(served, client_tls(files(good, ca))))["name"] == "CN=ap-bot"

    play(story())


@pytest.mark.parametrize(
    ("server", "host", "why"),
    [
        (lambda ca, stranger: stranger.identity("door"), "127.0.0.1", "unable to get local issuer|self.signed"),
        (lambda ca, stranger: ca.identity("door-old", days=-1), "127.0.0.1", "expired"),
        (
            lambda ca, stranger: ca.identity("door-else", ip=None, dns=("erp.lakeshore.example",)),
            "127.0.0.1",
            "IP address mismatch",
        ),
        (lambda ca, stranger: ca.identity("localhost", ip=None), "localhost", "[Hh]ostname mismatch"),
    ],
    ids=["a wrong authority", "an expired certificate", "another host's certificate", "a name only in the subject"],
)
def test_a_client_does_not_believe(ca, stranger, server, host, why):
    async def story() -> None:
        async with door(server_tls(files(server(ca, stranger)))) as served:
            with pytest.raises(httpx2.ConnectError, match=why):
                await ask(served, client_tls(files(None, ca)), host)

    play(story())


# --- how strictly --------------------------------------------------------------------------------------------------


def shakes(port: int, context: ssl.SSLContext) -> str | None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, context.wrap_socket(plain) as secured:
        return secured.version()


def lax(version: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers(ciphers)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = version
    return context


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_versions_and_weak_ciphers_are_refused_and_new_ones_spoken(ca):
    async def story() -> None:
        async with door(server_tls(files(ca.identity("door")))) as served:

            async def shake(context: ssl.SSLContext) -> str | None:
                return await asyncio.to_thread(shakes, served.port, context)

            assert await shake(lax(ssl.TLSVersion.TLSv1_3)) == "TLSv1.3"
            assert await shake(lax(ssl.TLSVersion.TLSv1_2)) == "TLSv1.2"
            for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1):
                with pytest.raises(ssl.SSLError):
                    await shake(lax(version))
            for weak in ("AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "AES256-GCM-SHA384"):  # CBC, and RSA key exchange.
                with pytest.raises(ssl.SSLError):
                    await shake(lax(ssl.TLSVersion.TLSv1_2, f"{weak}:@SECLEVEL=0"))

    play(story())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_client_refuses_a_server_that_speaks_only_old_versions(ca):
    own = ca.identity("door")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.load_cert_chain(own.certificate, own.key)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1

    async def story() -> None:
        async with door(old) as served:
            with pytest.raises(httpx2.ConnectError):
                await ask(served, client_tls(files(None, ca)))

    play(story())


# --- what a door survives ------------------------------------------------------------------------------------------

GARBAGE = {
    "plaintext HTTP": b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    "plaintext MLLP": frame(ADT),
    "noise": bytes(range(256)) * 64,
    "a huge record": b"\x16\x03\x01\xff\xff" + b"A" * 70_000,
    "an SSLv2 hello": b"\x80\x2e\x01\x00\x02" + b"\0" * 44,
    "a heartbeat": b"\x18\x03\x02\x00\x03\x01\x40\x00",
    "half a hello": b"\x16\x03\x01\x02\x00\x01\x00",
    "an alert": b"\x15\x03\x03\x00\x02\x02\x28",
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_at_a_tls_port_gets_nothing_and_disturbs_nobody(ca, garbage):
    async def story() -> None:
        async with door(server_tls(files(ca.identity("door"), ca))) as served:
            for _ in range(3):
                reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
                writer.write(GARBAGE[garbage])
                writer.write_eof()
                try:
                    answer = await reader.read()
                except ConnectionError:
                    answer = b""
                assert b"HTTP/" not in answer and b"MSH" not in answer
                writer.close()
            assert (await ask(served, client_tls(files(None, ca))))["scheme"] == "https"

    play(story())


def test_a_handshake_that_takes_its_time_is_cut_off_and_others_are_served_meanwhile(ca, monkeypatch):
    monkeypatch.setattr(serving, "HANDSHAKE_SECONDS", 0.5)

    async def story() -> None:
        async with door(server_tls(files(ca.identity("door"), ca))) as served:
            slow = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(20)]
            for _, writer in slow:
                writer.write(b"\x16\x03\x01")
            began = time.monotonic()
            assert (await ask(served, client_tls(files(None, ca))))["scheme"] == "https"
            assert time.monotonic() - began < 0.5
            for reader, writer in slow:
                try:
                    assert await asyncio.wait_for(reader.read(), 5) == b""
                except ConnectionError:
                    pass
                writer.close()

    play(story())


def test_a_client_that_asks_to_renegotiate_is_refused(ca):
    # RFC 5746 and CVE-2011-1473: under TLS 1.2 a new handshake is work that the client orders and the server does.
    context = server_tls(files(ca.identity("door"))).current
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION


def test_both_ends_begin_at_tls_1_2_whatever_their_ciphers_could(ca):
    for context in (server_tls(files(ca.identity("door"))), client_tls(files(None, ca))):
        assert context.minimum_version is context.current.minimum_version is ssl.TLSVersion.TLSv1_2


# --- renewal -------------------------------------------------------------------------------------------------------


def presented(port: int, trusting: ssl.SSLContext) -> tuple[ssl.SSLSocket, str]:
    secured = trusting.wrap_socket(
        socket.create_connection(("127.0.0.1", port), timeout=5), server_hostname="127.0.0.1"
    )
    der = secured.getpeercert(binary_form=True)
    assert der is not None
    return secured, read_der(der).sha256


def request(secured: ssl.SSLSocket) -> bytes:
    secured.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    return secured.recv(4096)


def test_a_renewed_certificate_is_used_for_new_connections_and_standing_ones_stay(ca):
    first = ca.identity("renewed")
    context = server_tls(files(first))

    async def story() -> None:
        async with door(context) as served:
            trusting = client_tls(files(None, ca))
            standing, before = await asyncio.to_thread(presented, served.port, trusting)
            ca.identity("renewed")
            renewed, after = await asyncio.to_thread(presented, served.port, trusting)
            assert before != after == read_file(first.certificate)[0].sha256
            for each in (standing, renewed):
                assert (await asyncio.to_thread(request, each)).startswith(b"HTTP/1.1 200")
                each.close()
        assert context.reloads == 1

    play(story())


def test_half_a_renewal_is_not_used_and_is_told_once(ca, caplog):
    own, other = ca.identity("half"), ca.identity("half-other")
    context = server_tls(files(own))

    async def story() -> None:
        async with door(context) as served:
            trusting = client_tls(files(None, ca))
            own.certificate.write_bytes(other.certificate.read_bytes())  # Its key has not been written yet.
            for _ in range(3):
                assert (await ask(served, trusting))["scheme"] == "https"
            assert context.reloads == 0
            own.key.write_bytes(other.key.read_bytes())
            secured, shown = await asyncio.to_thread(presented, served.port, trusting)
            secured.close()
            assert shown == read_file(other.certificate)[0].sha256

    play(story())
    told = [r for r in caplog.records if "cannot be used" in r.getMessage()]
    assert len(told) == 1 and "BEGIN" not in told[0].getMessage()


def test_an_authority_that_was_taken_away_lets_nobody_in_any_more(ca, stranger, tmp_path):
    authorities = tmp_path / "clients.pem"
    authorities.write_bytes(ca.certificate.read_bytes() + stranger.certificate.read_bytes())
    own, old = ca.identity("door"), stranger.identity("old-partner")
    context = server_tls(TlsFiles(own.certificate, own.key, authorities=authorities), require_client_certificate=True)

    async def story() -> None:
        async with door(context) as served:
            assert (await ask(served, client_tls(files(old, ca))))["name"] == "CN=old-partner"
            authorities.write_bytes(ca.certificate.read_bytes())
            with pytest.raises((httpx2.TransportError, ssl.SSLError)):
                await ask(served, client_tls(files(old, ca)))

    play(story())


@pytest.mark.parametrize("what", ["no key", "not PEM", "a key of another", "readable by all", "no authorities"])
def test_files_that_cannot_be_used_keep_a_door_from_opening(ca, tmp_path, what):
    own, other = ca.identity("door"), ca.identity("other")
    broken = tmp_path / "broken"
    broken.write_bytes(b"-----BEGIN NOTHING-----")
    readable = tmp_path / "readable.key"
    readable.write_bytes(own.key.read_bytes())
    readable.chmod(0o644)
    made = {
        "no key": TlsFiles(own.certificate, tmp_path / "missing"), "not PEM": TlsFiles(broken, own.key),
        "a key of another": TlsFiles(own.certificate, other.key), "readable by all": TlsFiles(own.certificate, readable),
        "no authorities": TlsFiles(own.certificate, own.key, authorities=broken),
    }[what]  # fmt: skip
    with pytest.raises(TlsUnusable) as refused:
        server_tls(made)
    assert "BEGIN" not in str(refused.value)


# --- MLLP ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def mllp(
    context: ssl.SSLContext, admits: Callable[[Peer], bool] = lambda peer: True
) -> AsyncIterator[tuple[int, list[Peer], list[Violation]]]:
    peers: list[Peer] = []
    violations: list[Violation] = []

    async def take(data: bytes, peer: Peer) -> bytes:
        peers.append(peer)
        return acknowledge(header_of(data), "AA", (), control_id="H1", timestamp=_noon())

    listener = MllpListener(take, on_violation=violations.append, admits=admits)
    port = await listener.start("127.0.0.1", 0, context)
    try:
        yield port, peers, violations
    finally:
        await listener.stop()


def test_an_mllp_port_bound_to_a_certificate_takes_messages_from_nobody_else(ca):
    ehr, other = ca.identity("ehr", dns=("ehr.lakeshore.example",)), ca.identity("lab")
    context = server_tls(files(ca.identity("door"), ca), require_client_certificate=True)
    [certificate] = read_file(ehr.certificate)

    async def story() -> None:
        for bound in ("cn:ehr", "dns:EHR.lakeshore.example", f"sha256:{certificate.sha256.upper()}", "subject:CN=ehr"):

            def its_own(peer: Peer, bound: str = bound) -> bool:
                return peer.certificate is not None and peer.certificate.matches(bound)

            async with mllp(context, its_own) as (port, peers, violations):
                async with MllpClient("127.0.0.1", port, ssl=client_tls(files(ehr, ca))) as client:
                    assert b"MSA|AA|C-1" in await client.exchange(ADT)
                async with MllpClient("127.0.0.1", port, ssl=client_tls(files(other, ca))) as client:
                    with pytest.raises(Exception, match="unavailable"):
                        await client.exchange(ADT)
                assert [peer.subject for peer in peers] == ["ehr"]
                assert [v.kind for v in violations] == ["unknown-certificate"]

    play(story())


def test_pythons_own_tls_client_is_a_good_enough_ehr(ca):
    context = server_tls(files(ca.identity("door"), ca), require_client_certificate=True)
    trusting = ssl.create_default_context(cafile=str(ca.certificate))
    ehr = ca.identity("ehr")
    trusting.load_cert_chain(ehr.certificate, ehr.key)

    def sends(port: int) -> bytes:
        with trusting.wrap_socket(
            socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1"
        ) as secured:
            secured.sendall(frame(ADT))
            return secured.recv(4096)

    async def story() -> None:
        async with mllp(context) as (port, _, _):
            assert b"MSA|AA|C-1" in await asyncio.to_thread(sends, port)

    play(story())


def test_a_declared_door_is_made_of_its_files(ca, tmp_path):
    own = ca.identity("door")
    (tmp_path / "tls").mkdir()
    for source, name in ((own.certificate, "door.pem"), (own.key, "door.key"), (ca.certificate, "ca.pem")):
        (tmp_path / "tls" / name).touch(mode=0o600)
        (tmp_path / "tls" / name).write_bytes(source.read_bytes())
    spec = ServerTls(
        certificate="file:tls/door.pem",
        key="file:tls/door.key",
        client_ca="file:tls/ca.pem",
        require_client_certificate=True,
    )
    assert server_context(spec, tmp_path).verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    "given",
    [
        {"certificate": "door.pem", "key": "file:door.key"},
        {"certificate": "file:door.pem", "key": "-----BEGIN PRIVATE KEY-----"},
        {"certificate": "file:d", "key": "file:k", "require_client_certificate": True},
        {"certificate": "file:d", "key": "file:k", "client_ca": "file:c", "peers": ["cn:ehr"]},
        {
            "certificate": "file:d",
            "key": "file:k",
            "client_ca": "file:c",
            "require_client_certificate": True,
            "peers": ["ehr"],
        },
    ],
)
def test_a_tls_table_that_would_promise_more_than_it_does_is_refused(given):
    with pytest.raises(ValueError):
        ServerTls.model_validate(given)


def _noon() -> datetime:
    return datetime(2026, 3, 2, 12, tzinfo=UTC)
