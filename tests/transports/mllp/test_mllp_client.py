"""The client gets the acknowledgement of its own message, or says that it did not."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from hilum.authoring.failures import Unavailable
from hilum.formats import hl7v2
from hilum.transports.mllp import MllpClient, MllpListener, WrongAcknowledgement, client_context, frame, server_context

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def message(number: str) -> bytes:
    return f"MSH|^~\\&|HILUM|L|BILLING|L|20260301||ADT^A01|{number}|P|2.5.1\r".encode()


def acknowledged(data: bytes) -> bytes:
    return hl7v2.acknowledge(hl7v2.header_of(data), "AA", control_id="B-1", timestamp=NOON)


class Receiver:
    """Somebody else's receiver: ``behave(frame, writer)`` decides what it does with each frame."""

    def __init__(self, behave) -> None:
        self.behave = behave
        self.received: list[str | None] = []
        self.connections = self.left = 0
        self.busy = self.busiest = 0
        self.port = 0

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                framed = await reader.readuntil(b"\x1c\r")
                data = framed[1:-2]
                self.received.append(hl7v2.header_of(data).control_id)
                self.busy += 1
                self.busiest = max(self.busiest, self.busy)
                try:
                    await self.behave(data, writer)
                finally:
                    self.busy -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.left += 1
            writer.close()


async def politely(data, writer):
    writer.write(frame(acknowledged(data)))


@asynccontextmanager
async def receiver(behave=politely):
    peer = Receiver(behave)
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()


def client_of(peer, **how) -> MllpClient:
    return MllpClient("127.0.0.1", peer.port, system="billing", **{"ack_timeout_seconds": 5, **how})


def test_messages_are_exchanged_on_one_connection(run):
    async def story():
        async with receiver() as peer, client_of(peer) as client:
            for number in ("C-1", "C-2", "C-3"):
                answer = hl7v2.Message.parse(await client.exchange(message(number)))
                assert (answer["MSA-1"], answer["MSA-2"]) == ("AA", number)
            assert peer.connections == 1

    run(story())


def test_concurrent_messages_take_turns_in_their_order(run):
    async def story():
        async def slowly(data, writer):
            await asyncio.sleep(0.01)
            await politely(data, writer)

        async with receiver(slowly) as peer, client_of(peer) as client:
            answers = await asyncio.gather(*(client.exchange(message(f"C-{number}")) for number in range(10)))

            assert [hl7v2.Message.parse(answer)["MSA-2"] for answer in answers] == [
                f"C-{number}" for number in range(10)
            ]
            assert peer.received == [f"C-{number}" for number in range(10)]
            assert (peer.connections, peer.busiest) == (1, 1)

    run(story())


def test_a_pool_sends_as_many_at_once_as_it_has_connections(run):
    async def story():
        async def slowly(data, writer):
            await asyncio.sleep(0.05)
            await politely(data, writer)

        async with receiver(slowly) as peer, client_of(peer, connections=3) as client:
            answers = await asyncio.gather(*(client.exchange(message(f"C-{number}")) for number in range(9)))

            assert [hl7v2.Message.parse(answer)["MSA-2"] for answer in answers] == [
                f"C-{number}" for number in range(9)
            ]
            assert (peer.connections, peer.busiest) == (3, 3)

    run(story())


def test_a_late_acknowledgement_is_never_credited_to_the_next_message(run):
    async def story():
        async def late_once(data, writer):
            if b"C-1" in data:
                await asyncio.sleep(0.3)
            await politely(data, writer)

        async with receiver(late_once) as peer, client_of(peer, ack_timeout_seconds=0.1) as client:
            with pytest.raises(Unavailable, match=r"billing is unavailable: no acknowledgement within 0\.1 s"):
                await client.exchange(message("C-1"))
            await asyncio.sleep(0.15)
            second = asyncio.create_task(client.exchange(message("C-2")))
            await asyncio.sleep(0.1)

            assert hl7v2.Message.parse(await second)["MSA-2"] == "C-2"
            assert peer.connections == 2

    run(story())


def test_a_cancelled_exchange_leaves_no_acknowledgement_behind(run):
    async def story():
        async def late_once(data, writer):
            if b"C-1" in data:
                await asyncio.sleep(0.1)
            await politely(data, writer)

        async with receiver(late_once) as peer, client_of(peer) as client:
            first = asyncio.create_task(client.exchange(message("C-1")))
            await asyncio.sleep(0.05)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            await asyncio.sleep(0.1)
            assert peer.left == 1

            assert hl7v2.Message.parse(await client.exchange(message("C-2")))["MSA-2"] == "C-2"
            assert peer.connections == 2

    run(story())


def _answering(answer: bytes):
    async def behave(data, writer):
        writer.write(answer if b"C-1" in data else frame(acknowledged(data)))

    return behave


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (frame(acknowledged(message("C-0"))), "another message"),
        (frame(message("C-1")), "another message"),
        (frame(b"hello"), "no HL7 message"),
        (frame(b""), "no HL7 message"),
    ],
)
def test_an_answer_to_something_else_is_an_error_and_ends_the_connection(run, answer, reason):
    async def story():
        async with receiver(_answering(answer)) as peer, client_of(peer) as client:
            with pytest.raises(WrongAcknowledgement, match=reason):
                await client.exchange(message("C-1"))
            await asyncio.sleep(0.05)
            assert peer.left == 1
            assert hl7v2.Message.parse(await client.exchange(message("C-2")))["MSA-2"] == "C-2"
            assert peer.connections == 2

    run(story())


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\x1c\r", b"\x0b" + b"x" * 20_000])
def test_an_answer_that_is_no_frame_ends_the_connection(run, answer):
    async def story():
        async with receiver(_answering(answer)) as peer, client_of(peer, max_ack_bytes=10_000) as client:
            with pytest.raises(Unavailable, match="lost before the acknowledgement"):
                await client.exchange(message("C-1"))
            assert hl7v2.Message.parse(await client.exchange(message("C-2")))["MSA-2"] == "C-2"

    run(story())


def test_a_second_answer_nobody_asked_for_is_nobodys(run):
    async def story():
        async def twice(data, writer):
            writer.write(frame(acknowledged(data)))
            await asyncio.sleep(0.02)
            writer.write(frame(acknowledged(data)))

        async with receiver(twice) as peer, client_of(peer) as client:
            for number in ("C-1", "C-2", "C-3"):
                assert hl7v2.Message.parse(await client.exchange(message(number)))["MSA-2"] == number
                await asyncio.sleep(0.05)
            assert peer.connections == 3

        async def at_once(data, writer):
            writer.write(frame(acknowledged(data)) * 2)

        async with receiver(at_once) as peer, client_of(peer) as client:
            for number in ("C-1", "C-2"):
                assert hl7v2.Message.parse(await client.exchange(message(number)))["MSA-2"] == number
            assert peer.connections == 2

    run(story())


def test_a_receiver_that_hangs_up_is_unavailable_and_the_next_message_gets_through(run):
    async def story():
        async def hangs_up_once(data, writer):
            if b"C-1" in data:
                writer.close()
            else:
                await politely(data, writer)

        async with receiver(hangs_up_once) as peer, client_of(peer) as client:
            with pytest.raises(Unavailable, match="lost before the acknowledgement"):
                await client.exchange(message("C-1"))
            assert hl7v2.Message.parse(await client.exchange(message("C-2")))["MSA-2"] == "C-2"

    run(story())


def test_a_connection_closed_while_idle_is_made_anew(run):
    async def story():
        async def answers_and_leaves(data, writer):
            await politely(data, writer)
            await writer.drain()
            writer.close()

        async with receiver(answers_and_leaves) as peer, client_of(peer) as client:
            for number in ("C-1", "C-2"):
                assert hl7v2.Message.parse(await client.exchange(message(number)))["MSA-2"] == number
                await asyncio.sleep(0.05)
            assert peer.connections == 2

    run(story())


def test_nobody_there_is_unavailable(run):
    async def story():
        async with receiver() as peer:
            pass
        client = client_of(peer)
        with pytest.raises(Unavailable, match="no connection") as away:
            await client.exchange(message("C-1"))
        assert away.value.system == "billing"
        with pytest.raises(Unavailable):
            await client.ping()

    run(story())


def test_a_ping_sends_nothing(run):
    async def story():
        async with receiver() as peer, client_of(peer) as client:
            await client.ping()
            await client.ping()
            await client.exchange(message("C-1"))
            assert (peer.connections, peer.received) == (1, ["C-1"])

    run(story())


def test_a_message_without_a_number_is_not_sent(run):
    async def story():
        async with receiver() as peer, client_of(peer) as client:
            with pytest.raises(hl7v2.HL7Error) as refused:
                await client.exchange(message(""))
            assert (refused.value.code, refused.value.location) == ("101", "MSH-10")
            assert peer.connections == 0

    run(story())


def test_a_closed_client_sends_no_more(run):
    async def story():
        async with receiver() as peer:
            client = client_of(peer)
            await client.exchange(message("C-1"))
            await client.close()
            with pytest.raises(Unavailable, match="closed"):
                await client.exchange(message("C-2"))

    run(story())


@asynccontextmanager
async def secured(context):
    peers = []

    def handle(data, peer):
        peers.append(peer)
        future = asyncio.get_running_loop().create_future()
        future.set_result(acknowledged(data))
        return future

    listener = MllpListener(handle, idle_timeout_seconds=5)
    listener_port = await listener.start("127.0.0.1", 0, ssl=context)
    try:
        yield listener_port, peers
    finally:
        await listener.stop(grace_seconds=1)


def test_messages_travel_under_tls(run, authority):
    server = authority.identity("door")

    async def story():
        async with secured(server_context(server.certificate, server.key)) as (port, peers):
            trusting = client_context(authorities=authority.certificate)
            async with MllpClient("127.0.0.1", port, ssl=trusting) as client:
                for number in ("C-1", "C-2"):
                    assert hl7v2.Message.parse(await client.exchange(message(number)))["MSA-2"] == number
            assert [peer.subject for peer in peers] == [None, None]
            assert peers[0].startswith("127.0.0.1:")

    run(story())


def test_a_door_of_an_unknown_authority_is_not_spoken_to(run, authority):
    server = authority.identity("stranger")

    async def story():
        async with secured(server_context(server.certificate, server.key)) as (port, peers):
            async with MllpClient("127.0.0.1", port, ssl=client_context()) as client:
                with pytest.raises(Unavailable, match="certificate"):
                    await client.exchange(message("C-1"))
            assert peers == []

    run(story())


def test_a_door_may_ask_for_the_senders_certificate(run, authority):
    server, ehr = authority.identity("door"), authority.identity("ehr")

    async def story():
        context = server_context(server.certificate, server.key, clients=authority.certificate)
        async with secured(context) as (port, peers):
            known = client_context(authorities=authority.certificate, certificate=ehr.certificate, key=ehr.key)
            async with MllpClient("127.0.0.1", port, ssl=known) as client:
                await client.exchange(message("C-1"))
            assert peers[0].subject == "ehr"

            nameless = client_context(authorities=authority.certificate)
            async with MllpClient("127.0.0.1", port, ssl=nameless) as client:
                with pytest.raises(Unavailable):
                    await client.exchange(message("C-2"))
            assert len(peers) == 1

    run(story())


def test_plain_text_at_a_secure_door_is_closed_on_and_the_door_stays_open(run, authority):
    server = authority.identity("door")

    async def story():
        async with secured(server_context(server.certificate, server.key)) as (port, peers):
            async with MllpClient("127.0.0.1", port, ack_timeout_seconds=5) as plain:
                with pytest.raises(Unavailable):
                    await plain.exchange(message("C-1"))
            async with MllpClient("127.0.0.1", port, ssl=client_context(authorities=authority.certificate)) as client:
                await client.exchange(message("C-2"))
            assert len(peers) == 1

    run(story())
