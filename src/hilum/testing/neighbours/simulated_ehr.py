"""A simulated EHR's interface engine, in a process of its own: ``python -m hilum.testing.neighbours.simulated_ehr``.

It sends HL7 v2 messages over one MLLP connection, in order, as senders do: each waits for its acknowledgement; when
none comes in time, or the connection is lost, the same message (same MSH-10) is sent again until it is answered; AA is
done, AE and AR stop that message (it is recorded) and the next one follows.

It reads one JSON line for each message, from ``--file`` or standard input: ``{"id": 7, "hl7": "MSH|..."}`` (segments
separated by CR or LF), and writes one for each outcome: ``{"id": 7, "control_id": "M1", "code": "AA", "attempts": 1,
"error": "", "seconds": 0.004}``. ``{"stats": true}`` asks for totals: sent, accepted, refused, resent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hilum.testing.neighbours.simulated_hl7 import MAX_FRAME_BYTES, Message, NotHl7, framed, read_frame
from hilum.testing.neighbours.simulated_process import announce


@dataclass(frozen=True)
class Outcome:
    """What became of a message. ``code``: AA, AE or AR (CA, CE, CR); ``error``: the receiver's ERR, if any."""

    control_id: str
    code: str
    attempts: int
    error: str
    seconds: float


@dataclass
class Stats:
    """Totals since the start; ``resent`` counts attempts after a message's first."""

    sent: int = 0
    accepted: int = 0
    refused: int = 0
    resent: int = 0


class EhrSender:
    """One connection that sends in order. ``monotonic`` is the clock in seconds that durations are measured by."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        ack_timeout_seconds: float = 10.0,
        retry_seconds: float = 0.2,
        retry_max_seconds: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._port = port
        self._ack_timeout_seconds = ack_timeout_seconds
        self._retry_seconds = retry_seconds
        self._retry_max_seconds = retry_max_seconds
        self._monotonic = monotonic
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.stats = Stats()

    async def send(self, message: bytes) -> Outcome:
        """Send until it is answered."""
        begun = self._monotonic()
        control_id = _control_id(message)
        self.stats.sent += 1
        pause = self._retry_seconds
        attempts = 0
        while True:
            attempts += 1
            self.stats.resent += attempts > 1
            try:
                async with asyncio.timeout(self._ack_timeout_seconds):
                    answer = await self._exchange(message, control_id)
            except (OSError, TimeoutError, asyncio.LimitOverrunError):
                await self.close()
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._retry_max_seconds)
                continue
            code = answer.get("MSA", 1)
            if code[1:] == "A":
                self.stats.accepted += 1
            else:
                self.stats.refused += 1
            return Outcome(control_id, code, attempts, _error(answer), self._monotonic() - begun)

    async def close(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with suppress(OSError):
                await streams[1].wait_closed()

    async def _exchange(self, message: bytes, control_id: str) -> Message:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, limit=MAX_FRAME_BYTES)
        reader, writer = self._streams
        writer.write(framed(message))
        await writer.drain()
        while True:
            data = await read_frame(reader)
            if data is None:
                raise ConnectionResetError("the connection ended before the acknowledgement")
            try:
                answer = Message(data)
            except NotHl7:
                raise ConnectionResetError("the acknowledgement is not HL7") from None
            # A message that has no control id can only be answered without one.
            if answer.get("MSA", 2) == control_id or not control_id:
                return answer


def _control_id(message: bytes) -> str:
    try:
        return Message(message).control_id
    except NotHl7:
        return ""  # A broken message of the day: it is sent as it is.


def _error(answer: Message) -> str:
    errors = answer.all("ERR")
    if not errors:
        return ""
    return f"{answer.part(errors[0], 3)} {answer.part(errors[0], 3, 2)}".strip()


async def _lines(file: Path | None) -> AsyncIterator[dict[str, Any]]:
    if file is not None:
        for line in file.read_text().splitlines():
            yield json.loads(line)
        return
    reader = asyncio.StreamReader(limit=MAX_FRAME_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while command := await reader.readline():
        yield json.loads(command)


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def _work(sender: EhrSender, todo: asyncio.Queue[dict[str, Any] | None]) -> None:
    while (line := await todo.get()) is not None:
        if line.get("stats"):
            _say({"stats": asdict(sender.stats)})
        else:
            outcome = await sender.send(line["hl7"].replace("\n", "\r").encode())
            _say({"id": line.get("id"), **asdict(outcome)})


async def _run(told: argparse.Namespace) -> None:
    host, _, port = told.to.rpartition(":")
    sender = EhrSender(
        host,
        int(port),
        ack_timeout_seconds=told.ack_timeout_seconds,
        retry_seconds=told.retry_seconds,
        retry_max_seconds=told.retry_max_seconds,
    )
    announce("ehr", {})
    todo: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    reading = asyncio.create_task(_read(told.file, todo))
    sending = asyncio.create_task(_work(sender, todo))
    ended, _ = await asyncio.wait({reading, sending}, return_when=asyncio.FIRST_COMPLETED)
    for task in ended:
        task.result()  # A line that is not as agreed ends the process with its reason on standard error.
    if told.with_parent:
        sending.cancel()  # The parent is gone: nobody is left to send for.
        return
    await sending
    await sender.close()
    _say({"stats": asdict(sender.stats)})


async def _read(file: Path | None, todo: asyncio.Queue[dict[str, Any] | None]) -> None:
    async for line in _lines(file):
        todo.put_nowait(line)
    todo.put_nowait(None)


def main() -> None:
    parser = argparse.ArgumentParser(description="A simulated EHR that sends HL7 v2 over MLLP.")
    parser.add_argument("--to", required=True, metavar="HOST:PORT", help="the MLLP listener to send to")
    parser.add_argument("--file", type=Path, help="JSON lines to send, instead of standard input")
    parser.add_argument("--ack-timeout-seconds", type=float, default=10.0)
    parser.add_argument("--retry-seconds", type=float, default=0.2)
    parser.add_argument("--retry-max-seconds", type=float, default=5.0)
    parser.add_argument("--with-parent", action="store_true", help="end at once when standard input closes")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
