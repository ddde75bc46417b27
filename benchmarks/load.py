"""A load generator for MLLP: lock-step senders, each waiting for its acknowledgement, as interface engines send.

Run as its own process; prints one JSON object. ``--rate`` paces all connections together and measures latency from
the moment a message was due, so that a stall is not hidden by the sender's own waiting.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import time
from typing import Any

import uvloop

SEGMENTS = (
    "EVN|A04|20260302073000\r"
    "PID|1||MRN{n}^^^ST-MARY^MR||SYNTHETIC^PATIENT{n}^Q||19700101|F|||1 EXAMPLE ST^^LAKESHORE^IL^60000^USA||5550100|||S||ACC{n}^^^ST-MARY^AN|||||||||||\r"
    "PD1|||ST-MARY CLINIC^^10001|1001^PHYSICIAN^PRIMARY^^^DR\r"
    "NK1|1|SYNTHETIC^RELATIVE^R|SPO|1 EXAMPLE ST^^LAKESHORE^IL^60000|5550101\r"
    "PV1|1|O|OR1^01^A^ST-MARY||||1002^SURGEON^SAM^^^DR|||ORT||||1|||1002^SURGEON^SAM^^^DR|O|V{n}|||||||||||||||||||||||||20260302073000\r"
    "PV2|||^KNEE REPLACEMENT\r"
    "AL1|1|DA|PENICILLIN^PENICILLIN|MO|RASH\r"
    "DG1|1|I10|M17.11^OSTEOARTHRITIS RIGHT KNEE^I10|||A\r"
    "GT1|1||SYNTHETIC^PATIENT{n}^Q||1 EXAMPLE ST^^LAKESHORE^IL^60000|5550100||19700101|F||SLF\r"
    "IN1|1|PLAN1|PAYER1|EXAMPLE HEALTH PLAN|PO BOX 1^^CHICAGO^IL^60601||||GRP1|||20260101|20261231||HMO|SYNTHETIC^PATIENT{n}|SELF|19700101\r"
)


def message(n: int, tag: str) -> bytes:
    text = (
        f"MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20260302073000||ADT^A04^ADT_A01|{tag}{n}|P|2.5.1\r"
        + SEGMENTS.format(n=f"{tag}{n}")
    )
    return b"\x0b" + text.encode() + b"\x1c\r"


class Sender(asyncio.Protocol):
    """One connection: sends the next message when the last one was acknowledged (or when it is due)."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.buffer = b""
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.next()

    def next(self) -> None:
        run = self.run
        due = run.due()
        if due is None:
            run.finished()
            return
        wait = due - time.perf_counter()
        if wait > 0.0005:
            asyncio.get_running_loop().call_later(wait, self.send, due)
        else:
            self.send(due if run.rate else time.perf_counter())

    def send(self, due: float) -> None:
        self.sent_at = due
        self.transport.write(self.run.take())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\x1c\r")) >= 0:
            frame, self.buffer = self.buffer[:end], self.buffer[end + 2 :]
            if b"\rMSA|AA|" not in frame:
                self.run.refused += 1
            self.run.latencies.append(time.perf_counter() - self.sent_at)
            self.next()

    def connection_lost(self, error: Exception | None) -> None:
        self.run.lost += 1


class Run:
    """The messages of one measurement, made beforehand: making them must not be measured."""

    def __init__(self, count: int, tag: str, rate: float) -> None:
        self.frames = [message(n, tag) for n in range(count)]
        self.numbers = itertools.count()
        self.index = 0
        self.rate = rate
        self.latencies: list[float] = []
        self.refused = 0
        self.lost = 0
        self.started = 0.0
        self.done = asyncio.Event()
        self.open = 0

    def due(self) -> float | None:
        number = next(self.numbers)
        if number >= len(self.frames):
            return None
        return self.started + number / self.rate if self.rate else 0.0

    def take(self) -> bytes:
        frame = self.frames[self.index]
        self.index += 1
        return frame

    def finished(self) -> None:
        self.open -= 1
        if self.open == 0:
            self.done.set()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--messages", type=int, default=20000)
    parser.add_argument("--tag", default="T")
    parser.add_argument("--rate", type=float, default=0.0)
    given = parser.parse_args()
    run = Run(given.messages, given.tag, given.rate)
    run.open = given.connections
    loop = asyncio.get_running_loop()
    run.started = time.perf_counter()
    await asyncio.gather(
        *(loop.create_connection(lambda: Sender(run), "127.0.0.1", given.port) for _ in range(given.connections))
    )
    await run.done.wait()
    seconds = time.perf_counter() - run.started
    ordered = sorted(run.latencies)
    print(
        json.dumps(
            {
                "acknowledged": len(ordered) - run.refused,
                "refused": run.refused,
                "seconds": seconds,
                "per_second": (len(ordered) - run.refused) / seconds,
                "p50_ms": ordered[len(ordered) // 2] * 1000,
                "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000,
                "bytes": len(run.frames[0]),
            }
        )
    )


if __name__ == "__main__":
    uvloop.run(main())
