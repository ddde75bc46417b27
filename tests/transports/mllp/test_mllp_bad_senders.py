"""Whatever a sender does, it is told so, it is recorded, and the listener goes on."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest
from tests.transports.mllp.characters import Door, acknowledged, message, opened, resolved, sender, still_answers, until

from hilum.transports.mllp import MllpListener, frame


def test_bytes_outside_of_frames_are_reported_once_and_what_follows_is_taken(run):
    async def story():
        async with opened() as door, sender(door) as ehr:
            await ehr.sends(b"gar")
            await asyncio.sleep(0.02)
            await ehr.sends(b"bage" + frame(message("C-1")) + b"\r\n" + frame(message("C-2")))

            assert [(await ehr.hears())["MSA-2"] for _ in range(2)] == ["C-1", "C-2"]
            assert [(v.kind, v.data) for v in door.violations] == [("outside-frame", b"garbage")]
            assert door.listener.counts.violations == {"outside-frame": 1}

    run(story())


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\nHost: hilum\r\n\r\n" * 200, b"\x16\x03\x01" * 3000])
def test_another_protocol_is_refused_and_closed_on(run, noise):
    async def story():
        async with opened() as door, sender(door) as browser:
            await browser.sends(noise)
            answer = await browser.hears()

            assert (answer["MSA-1"], answer["ERR-3.1"]) == ("AR", "207")
            await browser.hears_nothing_more()
            assert door.kinds() == ["outside-frame"]
            assert noise.startswith(door.violations[0].data)
            await still_answers(door)

    run(story())


def test_a_short_line_of_another_protocol_is_refused_when_its_time_is_up(run):
    async def story():
        async with opened(frame_timeout_seconds=0.2) as door, sender(door) as browser:
            await browser.sends(b"GET / HTTP/1.1\r\n\r\n")

            assert (await browser.hears())["MSA-1"] == "AR"
            await browser.hears_nothing_more()
            assert [(v.kind, v.data) for v in door.violations] == [("outside-frame", b"GET / HTTP/1.1\r\n\r\n")]

    run(story())


def test_who_errs_again_and_again_is_refused(run):
    async def story():
        async with opened(max_violations_per_connection=3) as door, sender(door) as ehr:
            for number in range(5):
                await ehr.sends(b"noise" + frame(message(f"C-{number}")))

            assert [(await ehr.hears()).get("MSA-1") for _ in range(3)] == ["AA", "AA", "AR"]
            await ehr.hears_nothing_more()
            assert len(door.taken) == 2
            assert door.kinds() == ["outside-frame"] * 3

    run(story())


@pytest.mark.parametrize("complete", [True, False])
def test_an_oversized_frame_is_refused_behind_what_was_asked_before(run, complete):
    async def story():
        async with opened(max_frame_bytes=10_000) as door, sender(door) as ehr:
            large = frame(message("C-2", 300_000))
            await ehr.sends(frame(message("C-1")) + (large if complete else large[:-2]))
            first, second = await ehr.hears(), await ehr.hears()

            assert (first["MSA-1"], first["MSA-2"]) == ("AA", "C-1")
            assert (second["MSA-1"], second["MSA-2"]) == ("AR", "C-2")
            assert "larger than 10000 bytes" in second["ERR-8"]
            await ehr.hears_nothing_more()
            kept = message("C-2", 300_000)[:10_000]
            assert [(v.kind, v.data) for v in door.violations] == [("oversized-frame", kept)]
            assert door.taken == [message("C-1")]
            await still_answers(door)

    run(story())


def test_a_refusal_reaches_a_sender_that_is_still_sending(run):
    async def story():
        async with opened(max_frame_bytes=10_000) as door, sender(door) as ehr:
            sending = asyncio.create_task(ehr.sends(b"\x0b" + message("C-1", 20_000_000)))

            assert (await ehr.hears())["MSA-2"] == "C-1"
            await sending

    run(story())


@pytest.mark.parametrize("manner", ["closes", "resets", "half-closes"])
def test_half_a_frame_is_handed_over_when_its_sender_disappears(run, manner):
    async def story():
        async with opened() as door:
            async with sender(door) as ehr:
                await ehr.sends(frame(message("C-1")) + b"\x0b" + message("C-2")[:50])
                assert (await ehr.hears())["MSA-2"] == "C-1"
                if manner == "half-closes":
                    ehr.writer.write_eof()
                    await ehr.hears_nothing_more()
                elif manner == "resets":
                    linger = struct.pack("ii", 1, 0)
                    ehr.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    ehr.writer.transport.abort()
            await door.sees("incomplete-frame")

            assert door.violations[0].data == message("C-2")[:50]
            assert door.taken == [message("C-1")]
            await still_answers(door)

    run(story())


def test_a_frame_that_begins_anew_is_not_read_as_one_with_its_beginning(run):
    async def story():
        async with opened() as door, sender(door) as ehr:
            await ehr.sends(b"\x0b" + message("C-1")[:60] + frame(message("C-2")))

            assert (await ehr.hears())["MSA-2"] == "C-2"
            assert door.taken == [message("C-2")]
            assert [(v.kind, v.data) for v in door.violations] == [("incomplete-frame", message("C-1")[:60])]

    run(story())


def test_a_slow_loris_is_refused_however_busily_it_trickles(run):
    async def story():
        async with opened(frame_timeout_seconds=0.3) as door, sender(door) as loris:
            started = asyncio.get_running_loop().time()

            async def trickle():
                for byte in b"\x0b" + message("C-1", 10_000):
                    await loris.sends(bytes([byte]))
                    await asyncio.sleep(0.005)

            trickling = asyncio.create_task(trickle())
            answer = await loris.hears()
            trickling.cancel()

            assert answer["MSA-1"] == "AR"
            assert 0.25 < asyncio.get_running_loop().time() - started < 3
            assert door.kinds() == ["slow-frame"]
            assert message("C-1", 10_000).startswith(door.violations[0].data)
            assert door.taken == []
            await still_answers(door)

    run(story())


def test_a_peer_that_does_not_read_its_replies_is_not_read_from_and_then_cut_off(run):
    async def story():
        async with opened(idle_timeout_seconds=0.3) as door:
            door.answer = lambda data: resolved(acknowledged(data) + b"ZZZ|" + b"x" * 20_000 + b"\r")
            deaf = socket.create_connection(("127.0.0.1", door.port))
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            loop = asyncio.get_running_loop()
            sending = asyncio.create_task(loop.sock_sendall(deaf, frame(message("C-1", 500)) * 20_000))

            with pytest.raises(ConnectionError):
                await asyncio.wait_for(sending, 10)
            deaf.close()
            assert len(door.taken) < 20_000
            await until(lambda: door.listener.counts.open_connections == 0)
            door.answer = lambda data: resolved(acknowledged(data))
            await still_answers(door)

    run(story())


def test_one_connection_too_many_is_turned_away(run):
    async def story():
        async with opened(max_connections=2) as door:
            async with sender(door), sender(door):
                async with sender(door) as third:
                    await third.hears_nothing_more()
                assert door.kinds() == ["too-many-connections"]
                assert door.listener.counts.open_connections == 2
            await until(lambda: door.listener.counts.open_connections == 0)
            await still_answers(door)

    run(story())


def _raises(data):
    raise RuntimeError("SECRET")


async def _raises_later(data):
    raise RuntimeError("SECRET")


def _cancelled(data):
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    return future


@pytest.mark.parametrize("failure", [_raises, _raises_later, _cancelled])
def test_a_failure_of_ours_is_an_error_to_the_peer_and_never_its_reason(run, failure, caplog):
    async def story():
        async with opened() as door, sender(door) as ehr:
            door.answer = failure
            await ehr.sends(frame(message("C-1")))
            answer = await ehr.hears()
            door.answer = lambda data: resolved(acknowledged(data))
            await ehr.sends(frame(message("C-2")))

            assert (answer["MSA-1"], answer["MSA-2"]) == ("AE", "C-1")
            assert b"SECRET" not in answer.to_bytes()
            assert b"Traceback" not in answer.to_bytes()
            assert (await ehr.hears())["MSA-2"] == "C-2"
            assert door.listener.counts.failures == 1
            assert door.violations == []

    run(story())
    assert "SECRET" not in caplog.text
    assert "could not be handled" in caplog.text


def test_callbacks_that_fail_do_not_stop_the_listener(run, caplog):
    def broken(violation):
        raise RuntimeError("SECRET")

    async def story():
        listener = MllpListener(
            lambda data, peer: resolved(acknowledged(data)), refuse=broken, on_violation=broken, max_frame_bytes=100
        )
        door = Door()
        door.port = await listener.start("127.0.0.1", 0)
        async with sender(door) as ehr:
            await ehr.sends(frame(message("C-1", 1000)))
            await ehr.hears_nothing_more()
        async with sender(door) as ehr:
            await ehr.sends(b"noise" + frame(message("C-2")[:80]))
            assert (await ehr.hears())["MSA-1"] == "AA"
        await listener.stop()

    run(story())
    assert "SECRET" not in caplog.text


def test_a_thousand_rude_connections_leave_nothing_behind(run):
    async def story():
        async with opened(max_connections=2000) as door:
            rudeness = [
                b"",
                b"\x0b",
                b"\x0bMSH|",
                b"hello",
                b"\x1c\r",
                b"\x0b\x1c\r",
                b"\x00" * 100,
                frame(message("C-1")),
            ]

            async def rude(number):
                async with sender(door) as peer:
                    await peer.sends(rudeness[number % len(rudeness)])

            for batch in range(10):
                await asyncio.gather(*(rude(batch * 100 + number) for number in range(100)))
            await still_answers(door)
            await until(lambda: door.listener.counts.open_connections == 0)
            assert door.listener.counts.connections == 1001

    run(story())
