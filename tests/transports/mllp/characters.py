"""The characters of the listener's stories: a door of ours and a sender of somebody else's."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from hilum.formats import hl7v2
from hilum.transports.mllp import MllpListener, Violation, frame

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def message(number: str, size: int = 0) -> bytes:
    return f"MSH|^~\\&|EHR|ST-MARY|HILUM|L|20260301||ADT^A01|{number}|P|2.5.1\rNTE|1||{'x' * size}\r".encode()


def acknowledged(data: bytes, code: str = "AA", text: str = "") -> bytes:
    try:
        header = hl7v2.header_of(data)
    except hl7v2.HL7Error:
        header = None
    findings = [hl7v2.Finding("207", text)] if text else []
    return hl7v2.acknowledge(header, code, findings, control_id="H-1", timestamp=NOON)


async def until(true) -> None:
    """Wait for what must come about soon."""
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")


class Door:
    """A listener whose handler says yes, and everything it was told."""

    def __init__(self, **how) -> None:
        self.taken: list[bytes] = []
        self.violations: list[Violation] = []
        self.answer = lambda data: resolved(acknowledged(data))
        self.listener = MllpListener(
            self._handle,
            refuse=lambda violation: acknowledged(
                violation.data, "AE" if violation.kind == "handler-failed" else "AR", violation.text
            ),
            on_violation=self.violations.append,
            **how,
        )
        self.port = 0

    def _handle(self, data, peer):
        self.taken.append(data)
        return self.answer(data)

    def kinds(self):
        return [violation.kind for violation in self.violations]

    async def sees(self, *kinds):
        """Wait until these violations, and no others, have been reported."""
        await until(lambda: self.kinds() == list(kinds))


def resolved(value: bytes) -> asyncio.Future[bytes]:
    future = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future


@asynccontextmanager
async def opened(**how):
    door = Door(**how)
    door.port = await door.listener.start("127.0.0.1", 0)
    try:
        yield door
    finally:
        await door.listener.stop(grace_seconds=2)


class Sender:
    """Somebody else's program at the other end of a socket."""

    def __init__(self, reader, writer) -> None:
        self.reader = reader
        self.writer = writer

    async def sends(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hears(self) -> hl7v2.Message:
        framed = await asyncio.wait_for(self.reader.readuntil(b"\x1c\r"), 5)
        assert framed[:1] == b"\x0b"
        return hl7v2.Message.parse(framed[1:-2])

    async def hears_nothing_more(self) -> None:
        try:
            assert await asyncio.wait_for(self.reader.read(), 5) == b""
        except ConnectionResetError:
            pass

    async def leaves(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@asynccontextmanager
async def sender(door, **how):
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port, **how)
    who = Sender(reader, writer)
    try:
        yield who
    finally:
        await who.leaves()


async def still_answers(door) -> None:
    """Whatever happened before, a good sender is served."""
    async with sender(door) as ehr:
        await ehr.sends(frame(message("STILL-HERE")))
        answer = await ehr.hears()
        assert (answer["MSA-1"], answer["MSA-2"]) == ("AA", "STILL-HERE")
