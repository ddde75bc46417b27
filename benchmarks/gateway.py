"""The gateway beside the bare framework in one run: CPU of a request, and requests a second."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks.processes import HERE
from hilum.store.migrations import migrate
from hilum.store.postgres_server import EmbeddedPostgres

BATCH = 50
LINE = {"item": "KNEE-1", "description": "Tibial tray, cemented, size 4", "quantity": 2, "price": "1250.00"}
BODY = orjson.dumps({"text": "call first", "wanted_on": "2026-12-01", "lines": [LINE, LINE, LINE]})
ONE = "/orders/v1/orders/PO-7"


@dataclass(frozen=True)
class Asked:
    """One kind of request, as the whole door gets it. The bare framework is asked by ``bare`` where that differs."""

    method: str
    path: str
    body: bytes = b""
    keyed: bool = False
    bare: str = ""


ASKED = {
    "read one order": Asked("GET", ONE),
    "list twenty": Asked("GET", "/orders/v1/orders?limit=20"),
    "change one, recorded": Asked("PUT", ONE, BODY),
    "change one under an Idempotency-Key, recorded": Asked("PUT", ONE, BODY, keyed=True),
}
DURABLE = {
    "change one, recorded": Asked("PUT", ONE, BODY, bare="POST"),
    "change one under an Idempotency-Key, recorded": Asked("PUT", ONE, BODY, keyed=True, bare="POST"),
}
"""The same changes beside a bare endpoint that commits one row of its own before it answers."""


@dataclass
class Server:
    """One process that is measured."""

    port: int
    pid: int
    token: str

    def cpu_seconds(self) -> float:
        """Processor time of all its threads, in nanoseconds' resolution (/proc/<pid>/task/*/schedstat)."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def request(self, asked: Asked) -> Callable[[], bytes]:
        """Makes requests of a kind, each with a key of its own where the kind has one."""
        method = asked.method if self.token or not asked.bare else asked.bare
        lines = [f"{method} {asked.path} HTTP/1.1", "host: 127.0.0.1", "accept: application/json"]
        lines += [f"authorization: Bearer {self.token}"] if self.token else []
        lines += ["content-type: application/json", f"content-length: {len(asked.body)}"] if asked.body else []
        head = "\r\n".join(lines).encode()
        if not asked.keyed:
            whole = head + b"\r\n\r\n" + asked.body
            return lambda: whole
        return lambda: head + b"\r\nidempotency-key: %s\r\n\r\n" % os.urandom(12).hex().encode() + asked.body


@contextlib.contextmanager
def serving(what: str, url: str = "") -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.gateway_door", what, "--url", url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE.parent,
    )  # fmt: skip
    assert process.stdout is not None and process.stdin is not None
    try:
        said: dict[str, Any] = json.loads(process.stdout.readline())
        yield Server(said["port"], said["pid"], said["token"])
    finally:
        process.stdin.close()
        process.wait(20)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bool:
    """Whether it was answered; a door that has more to do than it can sends requests away (503)."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503")):
        raise RuntimeError(head.decode())
    at = head.lower().index(b"content-length:") + 15
    body = await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
    answered = head.startswith(b"HTTP/1.1 200")
    if not answered and b"/problems/overloaded" not in body:
        raise RuntimeError(body.decode())
    return answered


async def cpu_of_a_request(server: Server, request: Callable[[], bytes], batches: int) -> list[float]:
    """Milliseconds of processor time of one request, one for each batch."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for _ in range(200):
        await _ask(reader, writer, request())
    found = []
    for _ in range(batches):
        before = server.cpu_seconds()
        for _ in range(BATCH):
            if not await _ask(reader, writer, request()):
                raise RuntimeError("a request was sent away though it was the only one")
        found.append((server.cpu_seconds() - before) / BATCH * 1000)
    writer.close()
    return found


async def per_second(server: Server, request: Callable[[], bytes], connections: int, requests: int) -> float:
    """Answered requests a second; those that were sent away are asked again and do not count."""

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        answered = 0
        while answered < requests // connections:
            answered += await _ask(reader, writer, request())
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return requests / (time.perf_counter() - started)


def report(say: Callable[[str], None], folder: Path, quick: int) -> None:
    """Measure both and say how they compare."""
    before = os.getloadavg()[0]
    batches, requests = max(100 // quick, 10), max(3200 // quick, 800)
    with EmbeddedPostgres(folder / "postgres") as postgres:
        url = postgres.create_database("gateway")
        asyncio.run(migrate(url))
        with serving("bare", postgres.create_database("bare")) as bare, serving("door", url) as door:
            say("| request | bare, ms of CPU | whole door, ms of CPU | overhead, ms | p95 of overhead |")
            say("| --- | --- | --- | --- | --- |")
            for name, asked in ASKED.items():
                say(f"| {name} | {compared(bare, door, asked, batches)} |")
            say("")
            say(
                "| request | bare with one durable row, ms of CPU | whole door, ms of CPU | overhead, ms | p95 of overhead |"
            )
            say("| --- | --- | --- | --- | --- |")
            for name, asked in DURABLE.items():
                say(f"| {name} | {compared(bare, door, asked, batches)} |")
            say("")
            say("| request, 16 connections | bare, requests/s | whole door, requests/s | ratio |")
            say("| --- | --- | --- | --- |")
            for name, asked in {
                **ASKED,
                **{f"{name}; bare with one row": row for name, row in DURABLE.items()},
            }.items():
                # By turns, as above: a rate of one minute says nothing beside one of another.
                rates: tuple[list[float], list[float]] = ([], [])
                for _ in range(3):
                    for server, measured in zip((bare, door), rates, strict=True):
                        measured.append(asyncio.run(per_second(server, server.request(asked), 16, requests)))
                least, whole = map(statistics.median, rates)
                say(f"| {name} | {least:,.0f} | {whole:,.0f} | {whole / least:.2f} |")
            say("")
            say(
                f"Load of the machine (runnable processes, mean of the last minute): {before:.1f} before, {os.getloadavg()[0]:.1f} after."
            )


def compared(bare: Server, door: Server, asked: Asked, batches: int) -> str:
    """One row: asked by turns, so that whatever else this machine does meets both."""
    both: tuple[list[float], list[float]] = ([], [])
    for _ in range(5):
        for server, found in zip((bare, door), both, strict=True):
            found += asyncio.run(cpu_of_a_request(server, server.request(asked), max(batches // 5, 2)))
    least, whole = map(statistics.median, both)
    over = sorted(value - least for value in both[1])
    return f"{least:.3f} | {whole:.3f} | {whole - least:.3f} | {over[int(len(over) * 0.95) - 1]:.3f}"


INTRODUCTION = """\
Two processes on the same machine and in the same run, asked by turns: the bare framework (Starlette on uvicorn, the same
handlers and the same contracts to JSON, nobody asked who they are) and the whole door (ES256 access token with the
authenticator's cache, rate and quota in PostgreSQL, admission, Lakeshore's Cedar policies, JSON Schema of request and
answer, masks of two data classes, usage and metrics). A change is also decided on its own attributes, and its record is
committed before it is answered; under an Idempotency-Key its lease is committed before it is begun, and its sealed answer
together with the record. The second table is therefore beside a bare endpoint that commits one row before it answers, which
whoever records a change has to do. CPU is that of the server's process with all its threads, a median over batches of 50
requests on one connection. On a busy machine whoever waits for a commit finds its caches cold: compare within one run.
"""
