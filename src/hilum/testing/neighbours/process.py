"""Neighbours as processes: started, waited for, killed, restarted on the same ports and state, never orphaned.

A neighbour lives no longer than this process: it holds the reading end of a pipe whose writing end is ours, and the
system closes ours however we end. It leads a session of its own, so Ctrl-C at a terminal reaches it only through us.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Neighbours are on this machine, whatever proxy the environment names."""


class NeighbourFailed(RuntimeError):
    """A neighbour did not become ready or did not answer; the text says where its log is."""


class Neighbour:
    """One module run as ``python -m module ARGUMENTS --with-parent``, which announces itself by a JSON line.

    ``directory`` takes its log (``<name>.log``). Not thread-safe; calls block, so run them in a thread from a loop.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        *,
        directory: Path,
        ready_timeout_seconds: float = 30.0,
    ) -> None:
        self.name = name
        self._command = [sys.executable, "-m", module, *arguments, "--with-parent"]
        self._log = directory / f"{name}.log"
        self._ready_timeout_seconds = ready_timeout_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._ports: dict[str, int] = {}

    def start(self) -> Self:
        """Start and wait until it is ready. A second start asks for the same ports as the first got."""
        if self.is_running:
            raise NeighbourFailed(f"{self.name} is running already")
        fixed = [part for option, port in self._ports.items() for part in (f"--{option}", str(port))]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, *fixed],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._lines = queue.Queue()
        threading.Thread(target=_read_lines, args=(self._process, self._lines), daemon=True).start()
        try:
            ready = self.next_line(self._ready_timeout_seconds)
        except NeighbourFailed:
            self.kill()
            raise
        self._ports = dict(ready["ports"])
        return self

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def ports(self) -> Mapping[str, int]:
        """By the option that asks for each: ``port``, ``http-port``, ``mllp-port``."""
        return self._ports

    @property
    def url(self) -> str:
        """The address of its HTTP side."""
        port = self._ports.get("port", self._ports.get("http-port"))
        if port is None:
            raise NeighbourFailed(f"{self.name} has no HTTP side, or was not started")
        return f"http://127.0.0.1:{port}"

    def next_line(self, timeout_seconds: float) -> dict[str, Any]:
        """The next JSON line it writes."""
        try:
            line = self._lines.get(timeout=timeout_seconds)
        except queue.Empty:
            raise NeighbourFailed(f"{self.name} said nothing for {timeout_seconds:g} s; see {self._log}") from None
        if line is None:
            raise NeighbourFailed(f"{self.name} ended; see {self._log}")
        return line

    def tell(self, line: Mapping[str, Any]) -> None:
        """Write it a JSON line."""
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise NeighbourFailed(f"{self.name} is gone; see {self._log}") from None

    def ask(self, method: str, path: str, body: object = None, *, token: str = "") -> Any:
        """One request to its HTTP side, from outside the platform; the answer's JSON, or None when it has none."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"content-type": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with _DIRECTLY.open(request, timeout=10) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def fault(self, mode: str, *, seconds: float = 0.0, requests: int | None = None, path: str = "") -> None:
        """Tell it to have a fault (``simulated_faults``); it must have been started with ``--faults``."""
        self.ask("POST", "/_faults", {"mode": mode, "seconds": seconds, "requests": requests, "path": path})

    def kill(self) -> None:
        """kill -9, by its own process id."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Ask it to end; kill it when it does not."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reap()

    def restart(self) -> Self:
        """Kill and start again: same ports, same state."""
        self.kill()
        return self.start()

    def freeze(self) -> None:
        """Stop it where it is: connections are taken by the system and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self if self.is_running else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _reap(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                _close(pipe)


def _read_lines(process: subprocess.Popen[bytes], lines: queue.Queue[dict[str, Any] | None]) -> None:
    assert process.stdout is not None
    try:
        for line in process.stdout:
            lines.put(json.loads(line))
    except ValueError:
        pass  # Not JSON, or the pipe was closed while we read: either way nothing more will come.
    lines.put(None)


def _close(pipe: Any) -> None:
    try:
        pipe.close()
    except OSError:
        pass  # It ended with bytes of ours unread.
