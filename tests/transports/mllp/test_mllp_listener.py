"""The listener answers in order, waits when it must, and leaves politely."""

from __future__ import annotations

import asyncio
import socket

import pytest
from tests.transports.mllp.characters import Door, acknowledged, message, opened, resolved, sender, until

from hilum.formats import hl7v2
from hilum.transports.mllp import frame


def test_a_message_is_acknowledged(run):
    async def story():
        async with opened() as door, sender(door) as ehr:
            await ehr.sends(frame(message("C-1")))
            answer = await ehr.hears()

            assert answer["MSA-2"] == "C-1"
            assert door.taken == [message("C-1")]
            assert door.listener.counts.frames == door.listener.counts.replies == 1
            assert door.listener.counts.open_connections == 1

    run(story())


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_frames_are_found_however_the_bytes_arrive(run, step):
    sent = b"".join(frame(message(f"C-{number}")) for number in range(5))
    sent = sent.replace(b"\x1c\r", b"\x1c\r\r\n", 1)  # Line ends between frames are borne.

    async def story():
        async with opened() as door, sender(door) as ehr:
            ehr.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for place in range(0, len(sent), step):
                ehr.writer.write(sent[place : place + step])
                if place % 50 == 0:
                    await asyncio.sleep(0)
            answers = [(await ehr.hears())["MSA-2"] for _ in range(5)]

            assert answers == [f"C-{number}" for number in range(5)]
            assert door.violations == []

    run(story())


def test_an_end_that_arrives_in_two_halves_is_found(run):
    async def story():
        async with opened() as door, sender(door) as ehr:
            await ehr.sends(frame(message("C-1"))[:-1])
            await asyncio.sleep(0.05)
            await ehr.sends(b"\r")

            assert (await ehr.hears())["MSA-2"] == "C-1"

    run(story())


def test_a_frame_that_had_to_wait_for_us_is_not_slow(run):
    async def story():
        async with opened(max_in_flight_per_connection=1, frame_timeout_seconds=0.2) as door, sender(door) as ehr:
            answer = asyncio.get_running_loop().create_future()
            door.answer = lambda data: answer
            second = frame(message("C-2"))
            await ehr.sends(frame(message("C-1")) + second[:40])
            await until(lambda: door.taken)
            await asyncio.sleep(0.4)
            door.answer = lambda data: resolved(acknowledged(data))
            answer.set_result(acknowledged(message("C-1")))
            assert (await ehr.hears())["MSA-2"] == "C-1"
            await asyncio.sleep(0.1)
            await ehr.sends(second[40:])

            assert (await ehr.hears())["MSA-2"] == "C-2"
            assert door.violations == []

    run(story())


def test_replies_leave_in_the_order_of_their_messages_whatever_is_ready_first(run):
    async def story():
        async with opened() as door, sender(door) as ehr:
            waiting: dict[str, asyncio.Future[bytes]] = {}

            def later(data):
                future = asyncio.get_running_loop().create_future()
                waiting[hl7v2.header_of(data).control_id] = future
                return future

            door.answer = later
            for number in range(6):
                await ehr.sends(frame(message(f"C-{number}")))
            await until(lambda: len(waiting) == 6)
            for number in (3, 5, 1, 0, 4, 2):
                waiting[f"C-{number}"].set_result(acknowledged(message(f"C-{number}")))
                await asyncio.sleep(0.01)
            answers = [(await ehr.hears())["MSA-2"] for _ in range(6)]

            assert answers == [f"C-{number}" for number in range(6)]

    run(story())


def test_a_coroutine_may_answer_and_an_empty_answer_is_not_sent(run):
    async def story():
        async with opened() as door, sender(door) as ehr:

            async def slowly(data):
                await asyncio.sleep(0.01)
                return b"" if b"C-1" in data else acknowledged(data)

            door.answer = slowly
            await ehr.sends(frame(message("C-1")) + frame(message("C-2")))

            assert (await ehr.hears())["MSA-2"] == "C-2"

    run(story())


def test_reading_stops_while_too_many_replies_are_open(run):
    async def story():
        async with opened(max_in_flight_per_connection=4) as door, sender(door) as ehr:
            gate: list[tuple[asyncio.Future[bytes], bytes]] = []

            def later(data):
                gate.append((asyncio.get_running_loop().create_future(), data))
                return gate[-1][0]

            door.answer = later
            ehr.writer.write(b"".join(frame(message(f"C-{number}", 2000)) for number in range(3000)))
            await asyncio.sleep(0.2)
            assert len(door.taken) == 4
            assert door.listener.counts.bytes < 3_000_000

            door.answer = lambda data: resolved(acknowledged(data))
            for future, data in gate:
                future.set_result(acknowledged(data))
            answers = [(await ehr.hears())["MSA-2"] for _ in range(3000)]

            assert answers == [f"C-{number}" for number in range(3000)]
            assert door.violations == []

    run(story())


def test_a_sender_that_takes_its_time_between_frames_is_no_slow_loris(run):
    async def story():
        async with opened(frame_timeout_seconds=0.1) as door, sender(door) as ehr:
            for number in range(3):
                await ehr.sends(frame(message(f"C-{number}")))
                assert (await ehr.hears())["MSA-1"] == "AA"
                await asyncio.sleep(0.25)
            assert door.violations == []

    run(story())


def test_an_idle_connection_is_closed_and_one_that_waits_for_us_is_not(run):
    async def story():
        async with opened(idle_timeout_seconds=0.2) as door, sender(door) as idle, sender(door) as waiting:
            answer = asyncio.get_running_loop().create_future()
            door.answer = lambda data: answer
            await waiting.sends(frame(message("C-1")))
            await idle.hears_nothing_more()
            await asyncio.sleep(0.3)
            answer.set_result(acknowledged(message("C-1")))

            assert (await waiting.hears())["MSA-2"] == "C-1"
            assert door.violations == []
            assert door.listener.counts.idle_closed == 1

    run(story())


def test_the_largest_frame_allowed_is_taken(run):
    async def story():
        whole = message("C-1", 5000)
        async with opened(max_frame_bytes=len(whole)) as door, sender(door) as ehr:
            await ehr.sends(frame(whole))
            assert (await ehr.hears())["MSA-1"] == "AA"
            await ehr.sends(frame(whole + b" "))
            assert (await ehr.hears())["MSA-1"] == "AR"

    run(story())


def test_an_end_without_its_return_is_a_matter_of_configuration(run):
    async def story():
        loose = frame(message("C-1"))[:-1]
        async with opened(tolerate_missing_cr=True) as door, sender(door) as ehr:
            await ehr.sends(loose + loose + frame(message("C-2")))
            assert [(await ehr.hears())["MSA-2"] for _ in range(3)] == ["C-1", "C-1", "C-2"]
            assert door.violations == []
        async with opened(frame_timeout_seconds=0.2) as door, sender(door) as ehr:
            await ehr.sends(loose)
            assert (await ehr.hears())["MSA-1"] == "AR"
            assert door.kinds() == ["slow-frame"]

    run(story())


def test_a_sender_that_half_closes_still_gets_its_replies(run):
    async def story():
        async with opened() as door, sender(door) as ehr:

            async def slowly(data):
                await asyncio.sleep(0.05)
                return acknowledged(data)

            door.answer = slowly
            await ehr.sends(frame(message("C-1")) + frame(message("C-2")))
            ehr.writer.write_eof()

            assert [(await ehr.hears())["MSA-2"] for _ in range(2)] == ["C-1", "C-2"]
            await ehr.hears_nothing_more()
            assert door.violations == []

    run(story())


def test_stopping_lets_replies_under_way_leave_and_takes_no_more(run):
    async def story():
        door = Door()
        door.port = await door.listener.start("127.0.0.1", 0)
        answer = asyncio.get_running_loop().create_future()
        door.answer = lambda data: answer
        async with sender(door) as busy, sender(door) as idle:
            await busy.sends(frame(message("C-1")))
            await until(lambda: door.taken)
            stopping = asyncio.create_task(door.listener.stop())
            await idle.hears_nothing_more()
            await busy.sends(frame(message("C-2")))
            await asyncio.sleep(0.05)
            assert not stopping.done()
            answer.set_result(acknowledged(message("C-1")))

            assert (await busy.hears())["MSA-2"] == "C-1"
            await busy.hears_nothing_more()
            await busy.leaves()
            await stopping
            assert door.taken == [message("C-1")]
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", door.port)

    run(story())


def test_stopping_does_not_wait_for_ever(run):
    async def story():
        door = Door()
        door.port = await door.listener.start("127.0.0.1", 0)
        door.answer = lambda data: asyncio.get_running_loop().create_future()
        async with sender(door) as ehr:
            await ehr.sends(frame(message("C-1")))
            await until(lambda: door.taken)
            await door.listener.stop(grace_seconds=0.1)
            await ehr.hears_nothing_more()
        assert door.listener.counts.open_connections == 0

    run(story())
