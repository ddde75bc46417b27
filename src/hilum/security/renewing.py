"""Secrets that change while a process runs: looked at where they are kept, and anew when a system does not take them.

A file is looked at before each use and read again when it was replaced. Vault is not asked before each use: what it gave
is kept as long as its client keeps it, and read past that when a system answers 401. The environment of a process does
not change. What cannot be read leaves the last good value in use, for the system may take it still.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx2

from hilum.security.secrets import SecretUnusable, resolve_secret

log = logging.getLogger(__name__)

LEAST_SECONDS = 5.0
"""Between two readings past what is kept: a system that refuses everything must not become a storm of questions to Vault."""


class Secret:
    """The value behind a reference, as it is now. Any thread may ask. ``moment`` is a clock of seconds that only goes on.

    ``SecretUnusable`` when it cannot be read the first time.
    """

    def __init__(
        self,
        reference: str,
        base: Path,
        environment: Mapping[str, str] = os.environ,
        *,
        moment: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reference = reference
        self._base = base
        self._environment = environment
        self._moment = moment
        self._lock = threading.Lock()
        self._file = base / reference.removeprefix("file:") if reference.startswith("file:") else None
        self._seen = self._signature()
        self._value = resolve_secret(reference, base, environment)
        self._read_at: float | None = None

    def now(self) -> str:
        """The value; of a file that was replaced, the new one. Looks at a file's directory entry and at nothing else."""
        seen = self._signature()
        if seen != self._seen:
            with self._lock:
                self._seen = seen  # What is broken is told once, and looked at again when it changes.
                self._read(fresh=False)
        return self._value

    def now_or_kept(self) -> str:
        """The same for callers that may block: also of Vault, as new as its client keeps it."""
        if self._file is None:
            with self._lock:
                self._read(fresh=False)
        return self.now()

    def anew(self) -> str:
        """The value past everything that is kept, once in ``LEAST_SECONDS``. May block."""
        with self._lock:
            if self._read_at is None or self._moment() - self._read_at >= LEAST_SECONDS:
                self._read_at = self._moment()
                self._seen = self._signature()
                self._read(fresh=True)
        return self._value

    def _read(self, *, fresh: bool) -> None:
        before = self._value
        try:
            self._value = resolve_secret(self._reference, self._base, self._environment, fresh=fresh)
        except SecretUnusable as unusable:
            log.error("a secret cannot be read, what was read before stays in use: %s", unusable)
            return
        if self._value != before:
            log.info("a secret was changed and is used from now on: %s", self._reference)

    def _signature(self) -> tuple[int, int, int] | None:
        """What changes when a file is written or put in another's place."""
        if self._file is None:
            return None
        try:
            status = os.stat(self._file)
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns


class Renewing(httpx2.AsyncBaseTransport):
    """A way to a system that is spoken to with a bearer token (RFC 6750): the newest one there is.

    A 401 is answered by reading the secret anew, once; only when that changes nothing does the 401 count. A request that
    was not authenticated was not carried out, so it may be sent again whatever it asks.
    """

    def __init__(self, way: httpx2.AsyncBaseTransport, secret: Secret) -> None:
        self._way = way
        self._secret = secret

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        sent = self._secret.now()
        request.headers["authorization"] = f"Bearer {sent.strip()}"
        answer = await self._way.handle_async_request(request)
        if answer.status_code != 401:
            return answer
        fresh = await asyncio.to_thread(self._secret.anew)
        if fresh == sent:
            return answer
        await answer.aclose()
        request.headers["authorization"] = f"Bearer {fresh.strip()}"
        return await self._way.handle_async_request(request)

    async def aclose(self) -> None:
        await self._way.aclose()
