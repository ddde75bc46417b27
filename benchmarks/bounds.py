"""The bounds beside which every figure stands: what this machine does with none of the platform in between."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import Any

import asyncpg
import uvloop

from benchmarks.load import message


class Echo(asyncio.Protocol):
    """The least an MLLP receiver can do: find the frame, answer with its control id. Nothing is kept."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\x1c\r")) >= 0:
            frame, self.buffer = self.buffer[1:end], self.buffer[end + 2 :]
            control = frame.split(b"\r", 1)[0].split(b"|")[9]
            self.transport.write(b"\x0bMSH|^~\\&|||||||ACK||P|2.5.1\rMSA|AA|" + control + b"\r\x1c\r")


async def echo() -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


async def group_commit(url: str, batch: int, batches: int) -> None:
    """PostgreSQL alone: the same bytes, ``batch`` rows to a commit, one connection, nothing but the raw message."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS bound (seq bigint PRIMARY KEY, raw bytea NOT NULL) WITH (toast_tuple_target = 8160)"
    )
    await connection.execute("TRUNCATE bound")
    raw = [message(n, "B")[1:-2] for n in range(batch)]
    started = time.perf_counter()
    for number in range(batches):
        sequence = list(range(number * batch, (number + 1) * batch))
        await connection.execute("INSERT INTO bound SELECT * FROM unnest($1::bigint[], $2::bytea[])", sequence, raw)
    seconds = time.perf_counter() - started
    await connection.execute("DROP TABLE bound")
    await connection.close()
    print(json.dumps({"per_second": batch * batches / seconds, "commits_per_second": batches / seconds}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["echo", "commit"])
    parser.add_argument("--url", default="")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--batches", type=int, default=500)
    given = parser.parse_args()
    uvloop.run(echo() if given.what == "echo" else group_commit(given.url, given.batch, given.batches))
