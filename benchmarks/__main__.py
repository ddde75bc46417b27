"""`make bench`: what the platform does, beside what this machine does without it, in one run.

Every figure is a ratio to a bound measured minutes before on the same machine. Results go to benchmarks/RESULTS.md, those of the formats,
beside their public peers, to benchmarks/FORMATS.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks import charges, formats, gateway, remittances, revenue_day
from benchmarks.load import message
from benchmarks.processes import HERE, child, serving
from hilum.runtime.supervisor import Supervisor, running_platform, wait_ready
from hilum.store.postgres_server import EmbeddedPostgres

PEER = {"acknowledged": (118.0, 157.0), "end_to_end": 118.0}
"""Mirth/OIE on the same kind of machine with PostgreSQL, durable (messages/s): the strongest open peer measured."""


@dataclass
class Results:
    lines: list[str] = field(default_factory=list)

    def say(self, line: str = "") -> None:
        self.lines.append(line)
        print(line, flush=True)

    def keep(self, name: str, quick: bool) -> None:
        """Write them beside this file, unless they are a quick look only."""
        if not quick:
            (HERE / name).write_text("\n".join(self.lines) + "\n")


def load(port: int, connections: int, messages: int, tag: str, rate: float = 0.0) -> dict[str, Any]:
    arguments = ["--port", str(port), "--connections", str(connections), "--messages", str(messages), "--tag", tag]
    return child("benchmarks.load", *arguments, *(["--rate", str(rate)] if rate else []))


@dataclass
class Platform:
    supervisor: Supervisor
    url: str
    mllp_port: int
    sink_port: int

    def memory_mb(self) -> dict[str, float]:
        """Resident memory of each process, in MB."""
        sizes = {}
        for role in self.supervisor.roles:
            assert role.process is not None
            pages = int(Path(f"/proc/{role.process.pid}/statm").read_text().split()[1])
            sizes[role.name] = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        return sizes

    def hold(self, held: bool) -> None:
        """Stop or resume deliveries to the sink, as an operator does."""
        command = [sys.executable, "-m", "hilum.app", "system", "hold" if held else "resume", "sink"]
        subprocess.run(
            [*command, "--database-url", self.url, "--estate", str(HERE / "estate")], check=True, capture_output=True
        )

    def delivered(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.sink_port}/count") as answer:
            count: int = json.load(answer)["keys"]
            return count

    def value(self, sql: str) -> Any:
        async def ask() -> Any:
            connection = await asyncpg.connect(self.url, server_settings={"search_path": "hilum,public"})
            try:
                return await connection.fetchval(sql)
            finally:
                await connection.close()

        return asyncio.run(ask())


@contextlib.contextmanager
def bench_platform(folder: Path, url: str) -> Iterator[Platform]:
    """The whole platform on the benchmark's estate, everything on, feeding an HTTP sink."""
    with serving("benchmarks.sink") as sink_port:
        overlay = folder / "overlay.toml"
        overlay.write_text(f'[systems.sink.connect]\nurl = "http://127.0.0.1:{sink_port}/events"\n')
        with running_platform(
            estate=HERE / "estate", data=folder / "data", database_url=url, overlay=overlay, tower_port=0, workers=1
        ) as (supervisor, _):
            ready = wait_ready(supervisor, folder / "data")
            port = int(ready["intake-1"]["addresses"]["ehr/mllp"].rpartition(":")[2])
            yield Platform(supervisor, url, port, sink_port)


def bounds(results: Results, url: str, quick: int) -> dict[str, float]:
    results.say("## Bounds of this machine, measured in this run\n")
    found: dict[str, float] = {}
    results.say("| bound | connections / batch | per second | p50 ms | p99 ms |\n| --- | --- | --- | --- | --- |")
    with serving("benchmarks.bounds", "echo") as port:
        for connections in (1, 8, 32):
            echo = load(port, connections, (4000 if connections == 1 else 20000) // quick, f"E{connections}")
            found[f"echo{connections}"] = echo["per_second"]
            results.say(
                f"| bare MLLP echo, nothing kept | {connections} | {echo['per_second']:,.0f} | {echo['p50_ms']:.2f} | {echo['p99_ms']:.2f} |"
            )
    for batch in (1, 8, 32):
        commit = child(
            "benchmarks.bounds", "commit", "--url", url, "--batch", str(batch), "--batches", str(1000 // quick)
        )
        found[f"commit{batch}"] = commit["per_second"]
        results.say(f"| bare PostgreSQL group commit, same bytes | {batch} | {commit['per_second']:,.0f} | | |")
    results.say()
    return found


def intake(results: Results, here: Platform, found: dict[str, float], quick: int) -> float:
    results.say("## Acknowledged durable messages over MLLP\n")
    results.say(
        "Lock-step senders. Each message is parsed, validated by its contract, mapped, keyed, deduplicated, audited and "
        "committed before its AA; the audit sequencer runs. First with deliveries held (`hilum system hold sink`), as when "
        "the receiver is away, then while the feed delivers on the same two cores.\n"
    )
    results.say(
        "| deliveries | connections | acknowledged/s | p50 ms | p99 ms | of bare echo | of bare group commit | times the peer |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    best = 0.0
    for held in (True, False):
        here.hold(held)
        for connections, messages in ((1, 3000), (8, 15000), (32, 30000), (128, 30000)):
            run = load(here.mllp_port, connections, messages // quick, f"I{connections}{'h' if held else 'd'}")
            assert run["refused"] == 0, run
            rate = run["per_second"]
            best = max(best, rate)
            echo = f"{rate / found[f'echo{connections}']:.0%}" if f"echo{connections}" in found else ""
            commit = f"{rate / found[f'commit{connections}']:.0%}" if f"commit{connections}" in found else ""
            peer = f"{rate / PEER['acknowledged'][1]:.0f} to {rate / PEER['acknowledged'][0]:.0f}"
            results.say(
                f"| {'held' if held else 'running'} | {connections} | {rate:,.0f} | {run['p50_ms']:.2f} | {run['p99_ms']:.2f} "
                f"| {echo} | {commit} | {peer} |"
            )
            if not held:
                drain(here)
    here.hold(False)
    drain(here)
    half = load(here.mllp_port, 32, int(best / 2 * 6 / quick), "H", rate=best / 2)
    results.say(
        f"\nAt half of the best rate ({best / 2:,.0f}/s offered, deliveries running, latency from the moment a message was due): "
        f"p50 {half['p50_ms']:.2f} ms, p99 {half['p99_ms']:.2f} ms.\n"
    )
    drain(here)
    return best


def drain(here: Platform) -> None:
    while here.delivered() < here.value("SELECT count(*) FROM event"):
        time.sleep(0.2)


def end_to_end(results: Results, here: Platform, quick: int) -> None:
    results.say("## End to end to an HTTP sink\n")
    messages = 30000 // quick
    before = here.delivered()
    started = time.perf_counter()
    run = load(here.mllp_port, 64, messages, "Z")
    while here.delivered() < before + messages:
        time.sleep(0.02)
    seconds = time.perf_counter() - started
    rate = messages / seconds
    results.say(
        f"{messages:,} messages from the first byte sent to the last one received by the sink, one POST each with its idempotency key, in order for each account: **{rate:,.0f}/s** ({rate / PEER['end_to_end']:.0f} times the peer's 118/s); acknowledged meanwhile at {run['per_second']:,.0f}/s, p99 {run['p99_ms']:.1f} ms.\n"
    )


def flows(results: Results, url: str, quick: int) -> None:
    from benchmarks.flow_cases import measure

    results.say("## Flow cases\n")
    for line in measure(200 // quick, url):
        results.say(line)
    results.say()


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, and no results file")
    parser.add_argument(
        "--only",
        choices=["platform", "formats", "gateway", "remittances", "charges", "revenue-day"],
        help="one of the parts",
    )
    given = parser.parse_args()
    quick = 10 if given.quick else 1
    machine = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    if given.only in (None, "formats"):
        results = Results()
        results.say(f"# The formats beside their peers\n\n{machine}, one process. Rerun with `make bench`.\n")
        formats.report(results.say, quick=quick)
        results.keep("FORMATS.md", given.quick)
    if given.only in (None, "gateway"):
        results = Results()
        results.say(f"# The gateway beside the bare framework\n\n{machine}. Rerun with `make bench`.\n")
        results.say(gateway.INTRODUCTION)
        with tempfile.TemporaryDirectory() as name:
            Path(name).chmod(0o755)
            gateway.report(results.say, Path(name), quick)
        results.keep("GATEWAY.md", given.quick)
    if given.only in (None, "remittances"):
        results = Results()
        results.say(
            f"# A large remittance\n\n{machine}; the real ERP and the platform share the cores. Rerun with `make bench`.\n"
        )
        remittances.report(results.say, quick)
        results.keep("REMITTANCES.md", given.quick)
    if given.only in (None, "charges"):
        results = Results()
        results.say(
            f"# A day's charges\n\n{machine}; the real ERP, the EHR and the platform share the cores. Rerun with `make bench`.\n"
        )
        charges.report(results.say, quick)
        results.keep("CHARGES.md", given.quick)
    if given.only in (None, "revenue-day"):
        results = Results()
        results.say(
            f"# A day of the revenue cycle\n\n{machine}; the ERP, billing, the EHRs and the platform share the cores. Rerun with `make bench`.\n"
        )
        revenue_day.report(results.say, quick)
        results.keep("REVENUE_DAY.md", given.quick)
    if given.only in (None, "platform"):
        results = Results()
        results.say("# Results\n")
        results.say(
            f"{machine}; the load generator, the sink, PostgreSQL and the platform share the cores. Message: HL7 v2.5.1 ADT^A04 of {len(message(1, 'T')):,} bytes. Rerun with `make bench`.\n"
        )
        whole_platform(results, quick)
        results.keep("RESULTS.md", given.quick)


def whole_platform(results: Results, quick: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with EmbeddedPostgres(folder / "postgres") as server:
            found = bounds(results, server.create_database("bounds"), quick)
            with bench_platform(folder, server.url) as here:
                load(here.mllp_port, 8, 500, "W")
                drain(here)
                intake(results, here, found, quick)
                end_to_end(results, here, quick)
                results.say("## Memory\n")
                results.say(
                    "Resident after the load: "
                    + ", ".join(f"{name} {size:.0f} MB" for name, size in here.memory_mb().items())
                    + ".\n"
                )
            flows(results, server.create_database("flows"), quick)


if __name__ == "__main__":
    main()
