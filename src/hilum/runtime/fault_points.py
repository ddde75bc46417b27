"""Named points at which a test may make the platform die, fail or wait; in production they do nothing.

A point is a word such as ``delivery.sent:post_journal``. A process is told by its environment (``obey``), code in the
same process uses ``arm``. The testing kit (``hilum.testing.faults``) is the way to use either.

``HILUM_FAULT``         ``<point>=kill`` or ``<point>=kill@3`` (the third time), several separated by commas
``HILUM_FAULT_ORDER``   a file, ``kill <point>`` or ``freeze <point>``: who first passes the point removes the file and obeys
``HILUM_FAULT_RECORD``  a file to which the name of each point is added when it is first passed
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

log = logging.getLogger(__name__)

_armed: dict[str, Callable[[], None]] = {}
_watching: list[Callable[[str], None]] = []
_seen: Counter[str] = Counter()


def point(name: str) -> None:
    """Pass a named point. Costs two look-ups when nothing is armed."""
    if _watching:
        for watch in _watching:
            watch(name)
    if _armed and (action := _armed.get(name)) is not None:
        action()


def arm(name: str, action: Callable[[], None]) -> None:
    _armed[name] = action


def disarm() -> None:
    _armed.clear()


def record() -> Counter[str]:
    """Count the points passed from now on: a calm run of a test finds them all this way."""
    _seen.clear()
    if _count not in _watching:
        _watching.append(_count)
    return _seen


def _count(name: str) -> None:
    _seen[name] += 1


def obey(environment: Mapping[str, str]) -> None:
    """Do what the environment says; refuses what it cannot read, since a sweep that kills nothing proves nothing."""
    if setting := environment.get("HILUM_FAULT"):
        for part in setting.split(","):
            name, _, action = part.strip().rpartition("=")
            verb, _, nth = action.partition("@")
            if not name or verb != "kill" or (nth and not nth.isdigit()):
                raise ValueError(f"HILUM_FAULT: cannot read {part!r}; write <point>=kill or <point>=kill@<n>")
            arm(name, _kill_on(int(nth or 1), name))
    if record_file := environment.get("HILUM_FAULT_RECORD"):
        _watching.append(_written_to(Path(record_file)))
    if order_file := environment.get("HILUM_FAULT_ORDER"):
        _watching.append(_ordered_by(Path(order_file)))


def _kill_on(nth: int, name: str) -> Callable[[], None]:
    remaining = nth

    def act() -> None:
        nonlocal remaining
        remaining -= 1
        if remaining == 0:
            _die(name)

    return act


def _written_to(file: Path) -> Callable[[str], None]:
    written: set[str] = set()
    one_at_a_time = threading.Lock()

    def write(name: str) -> None:
        if name in written:
            return
        with one_at_a_time:
            if name not in written:
                written.add(name)
                with file.open("a") as out:  # One short write in append mode: processes may share the file.
                    out.write(f"{name}\n")

    return write


def _ordered_by(file: Path) -> Callable[[str], None]:
    orders = {"kill": _die, "freeze": _freeze}

    def look(name: str) -> None:
        try:
            verb, _, wanted = file.read_text().partition(" ")
            if wanted != name:
                return
            file.unlink()  # Whoever removes it obeys; nobody else does, and not this process started again.
        except FileNotFoundError:
            return
        orders[verb](name)

    return look


def _die(name: str) -> None:
    log.warning("killed at %s by a test", name)
    os.kill(os.getpid(), signal.SIGKILL)


def _freeze(name: str) -> None:
    log.warning("frozen at %s by a test", name)
    os.kill(os.getpid(), signal.SIGSTOP)
