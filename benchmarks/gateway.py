"""The gateway beside the bare framework in one run: CPU of a request, and requests a second."""

from __future__ import annotations

import asyncio
import contextlib
import json
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
ASKED: dict[str, tuple[str, str, bytes]] = {
    "read one order": ("GET", "/orders/v1/orders/PO-7", b""),
    "list twenty": ("GET", "/orders/v1/orders?limit=20", b""),
    "change one, recorded": ("PUT", "/orders/v1/orders/PO-7", BODY),
}


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

    def request(self, method: str, path: str, body: bytes) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", "accept: application/json"]
        lines += [f"authorization: Bearer {self.token}"] if self.token else []
        lines += ["content-type: application/json", f"content-length: {len(body)}"] if body else []
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


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


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode())
    at = head.lower().index(b"content-length:") + 15
    await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))


async def cpu_of_a_request(server: Server, request: bytes, batches: int) -> list[float]:
    """Milliseconds of processor time of one request, one for each batch."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for _ in range(200):
        await _ask(reader, writer, request)
    found = []
    for _ in range(batches):
        before = server.cpu_seconds()
        for _ in range(BATCH):
            await _ask(reader, writer, request)
        found.append((server.cpu_seconds() - before) / BATCH * 1000)
    writer.close()
    return found


async def per_second(server: Server, request: bytes, connections: int, requests: int) -> float:
    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in range(requests // connections):
            await _ask(reader, writer, request)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return requests / (time.perf_counter() - started)


def report(say: Callable[[str], None], folder: Path, quick: int) -> None:
    """Measure both and say how they compare."""
    batches, requests = max(100 // quick, 10), max(3200 // quick, 800)
    with EmbeddedPostgres(folder / "postgres") as postgres:
        url = postgres.create_database("gateway")
        asyncio.run(migrate(url))
        with serving("bare") as bare, serving("door", url) as door:
            say("| request | bare, ms of CPU | whole door, ms of CPU | overhead, ms | p95 of overhead |")
            say("| --- | --- | --- | --- | --- |")
            for name, asked in ASKED.items():
                # By turns, so that whatever else this machine does meets both.
                both: tuple[list[float], list[float]] = ([], [])
                for _ in range(5):
                    for server, found in zip((bare, door), both, strict=True):
                        found += asyncio.run(cpu_of_a_request(server, server.request(*asked), max(batches // 5, 2)))
                least, whole = statistics.median(both[0]), statistics.median(both[1])
                over = sorted(value - least for value in both[1])
                say(
                    f"| {name} | {least:.3f} | {whole:.3f} | {whole - least:.3f} | {over[int(len(over) * 0.95) - 1]:.3f} |"
                )
            say("")
            say("| request, 16 connections | bare, requests/s | whole door, requests/s | ratio |")
            say("| --- | --- | --- | --- |")
            for name, asked in ASKED.items():
                rates = [
                    statistics.median(
                        asyncio.run(per_second(server, server.request(*asked), 16, requests)) for _ in range(3)
                    )
                    for server in (bare, door)
                ]
                say(f"| {name} | {rates[0]:,.0f} | {rates[1]:,.0f} | {rates[1] / rates[0]:.2f} |")
            say("")


INTRODUCTION = """\
Two processes on the same machine and in the same run, asked by turns: the bare framework (Starlette on uvicorn, the same
handlers and the same contracts to JSON, nobody asked who they are) and the whole door (ES256 access token with the
authenticator's cache, rate and quota in PostgreSQL, admission, Lakeshore's Cedar policies, JSON Schema of request and
answer, masks of two data classes, usage and metrics). A change is also decided on its own attributes and its record is
committed before it is answered. CPU is that of the server's process with all its threads, a median over batches of
50 requests on one connection.
"""
