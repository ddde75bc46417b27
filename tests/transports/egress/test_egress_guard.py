"""The egress guard, attacked: addresses that hide where they lead, names that change their mind, answers that blow up."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hilum.app.connectors import CONNECTORS, connect, way_to
from hilum.authoring.estate import Estate, Policy, SystemSpec
from hilum.authoring.estate_transport import EgressSpec
from hilum.authoring.failures import Unavailable
from hilum.connectors.http_feed import HttpFeed
from hilum.security.egress import BadAddress, Egress, EgressRefused, forbidden, target
from hilum.security.egress_http import AnswerTooLarge, GuardedTransport, why_refused
from hilum.transports.mllp import MllpClient

LOOPBACK = (ip_network("127.0.0.0/8"),)
PRIVATE = (ip_network("10.0.0.0/8"), ip_network("127.0.0.0/8"), ip_network("::1/128"))
METADATA = "169.254.169.254"
ADT = b"MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20260302073000||ADT^A04|C-1|P|2.5.1\r"


class Server:
    """A neighbour that answers whatever it is told to and keeps what it was sent."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.heard: list[bytes] = []
        self.port = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


def http(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        f"content-length: {len(body) if length is None else length}",
        "connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def serving(answer: bytes = http(b"here")) -> AsyncIterator[Server]:
    server = Server(answer)
    listening = await asyncio.start_server(server.take, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


def resolver(*answers: list[str]) -> Any:
    """A name server that answers differently each time it is asked; ``asked`` counts."""

    async def resolve(host: str, port: int) -> list[str]:
        resolve.asked += 1
        return answers[min(resolve.asked, len(answers)) - 1]

    resolve.asked = 0
    return resolve


async def get(guard: Egress, url: str, **how: Any) -> httpx2.Response:
    async with httpx2.AsyncClient(transport=GuardedTransport(guard), timeout=5) as client:
        return await client.get(url, **how)


def play(story: Any) -> None:
    asyncio.run(asyncio.wait_for(story, 20))


# --- addresses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://2852039166/", "http://0xA9FEA9FE/", "http://0251.0376.0251.0376/", "http://169.254.43518/", "http://127.1/",
        "http://0/", "http://0x7f.1/", "http://169.254.169.254.0x0/", "http://erp@169.254.169.254/",
        "http://erp.example:80@169.254.169.254/", "http://erp.example%2f@169.254.169.254/", "http://erp.example\\@169.254.169.254/",
        "http://169.254.169.254%23.example/", "http://erp.example#@169.254.169.254/%", "http://①⑥⑨.②⑤④.①⑥⑨.②⑤④/",
        "http://169。254。169。254/", "http://[::ffff:169.254.169.254", "http://[fe80::1%25eth0]/", "http://erp.example:80:80/",
        "http://erp.example:+80/", "http://erp.example:0/", "http://erp.example:65536/", "http://erp.example\r\nx: y/",
        "http://erp.example\t/", "http:// erp.example/", "http:erp.example", "//erp.example/", "gopher://erp.example/", "file:///etc/passwd",
        "ftp://erp.example/", "http://", "http:///x", "http://-erp.example/", "http://a..b/", f"http://{'a' * 64}.example/", "http://[127.0.0.1]/",
    ],
)  # fmt: skip
def test_an_address_that_two_programs_could_read_differently_is_none(url):
    if url == "http://erp.example#@169.254.169.254/%":
        assert target(url, ("http", "https")).host == "erp.example"  # All agree on this one: the rest is a fragment.
        return
    with pytest.raises(BadAddress):
        target(url, ("http", "https"))


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://erp.example", "erp.example", 80),
        ("HTTPS://ERP.Example.:8443/a?b#c", "erp.example", 8443),
        ("http://10.1.2.3:8000/", "10.1.2.3", 8000),
        ("http://[2001:DB8::1]:8000/", "2001:db8::1", 8000),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443),
    ],
)
def test_a_plain_address_is_read(url, host, port):
    found = target(url, ("http", "https"))
    assert (found.host, found.port) == (host, port)


@pytest.mark.parametrize(
    "address",
    [
        METADATA, "169.254.0.1", "fd00:ec2::254", "::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::", "fe80::1", "fe80::1%eth0", "0.0.0.0", "::", "::ffff:0.0.0.0", "224.0.0.1", "239.255.255.250", "ff02::1",
        "255.255.255.255", "240.0.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "not an address",
    ],
)  # fmt: skip
def test_no_declaration_opens_the_way_to_metadata_multicast_or_nowhere(address):
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    assert forbidden(address, everything) is not None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "::1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fc00::1", "::ffff:10.0.0.1",
        "::ffff:127.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::", "192.0.2.1", "198.18.0.1", "2001:db8::1", "fec0::1",
    ],
)  # fmt: skip
def test_private_and_loopback_addresses_need_a_declaration(address):
    assert "private or loopback" in str(forbidden(address))


def test_a_declaration_admits_its_range_and_no_other():
    assert forbidden("10.1.2.3", (ip_network("10.1.0.0/16"),)) is None
    assert forbidden("10.2.2.3", (ip_network("10.1.0.0/16"),)) is not None
    assert forbidden("8.8.8.8") is None and forbidden("2606:4700::1111") is None


# --- connections -------------------------------------------------------------------------------------------------


def test_only_declared_hosts_and_ports_are_connected_to():
    async def story() -> None:
        async with serving() as server, serving() as other:
            guard = Egress("erp", [("127.0.0.1", server.port)], networks=LOOPBACK)
            assert (await get(guard, f"http://127.0.0.1:{server.port}/")).text == "here"
            for url in (f"http://127.0.0.1:{other.port}/", f"http://localhost:{server.port}/", "http://[::1]:1/"):
                with pytest.raises(httpx2.ConnectError) as refused:
                    await get(guard, url)
                assert "not an address the estate declares" in str(why_refused(refused.value))
            assert other.heard == []

    play(story())


def test_a_loopback_address_is_refused_where_the_estate_does_not_name_its_range():
    async def story() -> None:
        async with serving() as server:
            guard = Egress("erp", [("127.0.0.1", server.port)])
            with pytest.raises(httpx2.ConnectError) as refused:
                await get(guard, f"http://127.0.0.1:{server.port}/")
            assert "private or loopback" in str(why_refused(refused.value))
            assert server.heard == []

    play(story())


def test_a_name_is_resolved_once_and_connected_to_at_the_address_that_was_judged():
    async def story() -> None:
        async with serving() as server:
            # DNS rebinding: harmless when it is looked at, the metadata service when it is connected to.
            rebinding = resolver(["127.0.0.1"], [METADATA])
            guard = Egress("erp", [("erp.example", server.port)], networks=LOOPBACK, resolve=rebinding)
            assert (await get(guard, f"http://erp.example:{server.port}/")).text == "here"
            assert rebinding.asked == 1
            assert b"host: erp.example" in server.heard[0].lower()
            with pytest.raises(httpx2.ConnectError) as refused:
                await get(guard, f"http://erp.example:{server.port}/")
            assert "link-local, metadata" in str(why_refused(refused.value))
            assert len(server.heard) == 1

    play(story())


def test_one_bad_address_among_good_ones_condemns_the_name():
    async def story() -> None:
        for answers in (["127.0.0.1", METADATA], ["::ffff:169.254.169.254", "127.0.0.1"], ["127.0.0.1", "10.0.0.1"]):
            guard = Egress("erp", [("erp.example", 80)], networks=LOOPBACK, resolve=resolver(answers))
            with pytest.raises(EgressRefused, match="is at"):
                await guard.addresses("erp.example", 80)

    play(story())


def test_a_redirect_leads_nowhere_not_even_when_a_client_would_follow_it():
    async def story() -> None:
        async with serving() as elsewhere:
            for location in (
                f"http://{METADATA}/latest/meta-data/",
                f"http://127.0.0.1:{elsewhere.port}/",
                "file:///etc/passwd",
            ):
                moved = http(b"", f"location: {location}", status="302 Found")
                async with serving(moved) as server:
                    guard = Egress("erp", [("127.0.0.1", server.port)], networks=LOOPBACK)
                    url = f"http://127.0.0.1:{server.port}/"
                    assert (await get(guard, url)).status_code == 302
                    with pytest.raises((httpx2.ConnectError, httpx2.UnsupportedProtocol)):
                        await get(guard, url, follow_redirects=True)
            assert elsewhere.heard == []

    play(story())


def test_a_proxy_of_the_environment_does_not_connect_for_us(monkeypatch):
    async def story() -> None:
        async with serving() as server, serving() as proxy:
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            guard = Egress("erp", [("127.0.0.1", server.port)], networks=LOOPBACK)
            assert (await get(guard, f"http://127.0.0.1:{server.port}/")).text == "here"
            assert proxy.heard == []

    play(story())


# --- answers -----------------------------------------------------------------------------------------------------

BOMB = gzip.compress(b"\0" * 50_000_000)


@pytest.mark.parametrize(
    ("answer", "why"),
    {
        "one that announces too much": (http(b"x", length=10_000_000), "larger than"),
        "one that never ends": (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"x" * 200_000, "larger than"),
        "a bomb": (http(BOMB, "content-encoding: gzip"), "larger than"),
        "a bomb in deflate": (http(zlib.compress(b"\0" * 50_000_000), "content-encoding: deflate"), "larger than"),
        "a bomb in a bomb": (http(gzip.compress(BOMB), "content-encoding: gzip, gzip"), "packed in a way"),
        "what was not asked for": (http(b"x", "content-encoding: br"), "packed in a way"),
        "what is not what it says": (http(b"not gzip at all", "content-encoding: gzip"), "not packed as it says"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_beyond_the_bound_is_cut_off(answer, why):
    async def story() -> None:
        async with serving(answer) as server:
            guard = Egress("erp", [("127.0.0.1", server.port)], networks=LOOPBACK, max_answer_bytes=100_000)
            with pytest.raises(AnswerTooLarge, match=why):
                await get(guard, f"http://127.0.0.1:{server.port}/")

    play(story())


def test_a_bomb_does_not_unfold_in_memory_before_it_is_noticed():
    async def story() -> None:
        async with serving(http(BOMB, "content-encoding: gzip")) as server:
            guard = Egress("erp", [("127.0.0.1", server.port)], networks=LOOPBACK, max_answer_bytes=100_000)
            tracemalloc.start()
            with pytest.raises(AnswerTooLarge):
                await get(guard, f"http://127.0.0.1:{server.port}/")
            assert tracemalloc.get_traced_memory()[1] < 5_000_000

    try:
        play(story())
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity"])
def test_an_honest_answer_is_unpacked(coding):
    text = b'{"on_hand": 3}' * 100
    packed = {"gzip": gzip.compress(text), "deflate": zlib.compress(text), "identity": text}[coding]

    async def story() -> None:
        async with serving(http(packed, f"content-encoding: {coding}")) as server:
            guard = Egress("erp", [("127.0.0.1", server.port)], networks=LOOPBACK, max_answer_bytes=100_000)
            assert (await get(guard, f"http://127.0.0.1:{server.port}/")).content == text

    play(story())


# --- wiring ------------------------------------------------------------------------------------------------------


def test_the_feeds_pool_and_the_mllp_client_are_guarded_too():
    async def story() -> None:
        async with serving() as server:
            resolve = resolver([METADATA])
            guard = Egress("sink", [("sink.example", server.port)], networks=LOOPBACK, resolve=resolve)
            feed = HttpFeed(f"http://sink.example:{server.port}/x", timeout_seconds=2, egress=guard)
            with pytest.raises(Unavailable, match="refused by the egress guard of sink"):
                await feed.send(b"{}", key="k", content_type="application/json")
            await feed.close()
            async with MllpClient("sink.example", server.port, egress=guard) as client:
                with pytest.raises(Unavailable, match="refused by the egress guard of sink"):
                    await client.exchange(ADT)
            assert server.heard == []

    play(story())


NEEDS = {
    "tryton": {"url": "http://127.0.0.1:{port}", "database": "erp", "credentials": "env:ANY"},
    "inventory_rest": {"url": "http://127.0.0.1:{port}", "token": "env:ANY"},
    "billing_hl7v2": {"url": "mllp://127.0.0.1:{port}"},
    "http_feed": {"url": "http://127.0.0.1:{port}/events"},
}


@pytest.mark.parametrize("kind", sorted(NEEDS))
def test_every_connector_is_made_behind_the_guard(kind, monkeypatch):
    monkeypatch.setenv("ANY", "a-secret-of-this-test")
    assert kind in CONNECTORS

    async def story() -> None:
        async with serving() as server:
            given = {k: v.format(port=server.port) for k, v in NEEDS[kind].items()}
            spec = SystemSpec(name="erp", connect={"connector": kind, **given}, policy=Policy(timeout_seconds=2))
            systems = connect(Estate(Path("."), "test", systems={"erp": spec}), Path("."))
            with pytest.raises(Unavailable, match="egress guard of erp"):
                await systems.to("erp").connector.ping()
            assert server.heard == []
            await systems.close()

    play(story())


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1@evil.example/", "user information"),
        ("http://2130706433/", "neither a plain name"),
        ("http://erp.example/", "unencrypted"),
        ("ftp://erp.example/", "must begin with"),
    ],
)
def test_no_way_is_made_to_an_address_that_hides_something(url, why):
    spec = SystemSpec(name="erp", connect={"connector": "http_feed", "url": url})
    with pytest.raises(BadAddress, match=why):
        way_to(spec, Path("."))


@pytest.mark.parametrize("network", ["10.0.0.1/8", "example", "", "300.0.0.0/8"])
def test_a_range_that_is_none_is_refused(network):
    with pytest.raises(ValueError):
        EgressSpec(networks=(network,))


def test_private_ranges_are_those_of_the_test():
    assert all(forbidden(str(network.network_address), PRIVATE) is None for network in PRIVATE)
