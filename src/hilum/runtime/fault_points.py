"""Named points at which a test may make the platform die, fail or wait; in production they do nothing.

A point is a word such as ``delivery.sent:post_journal``. ``HILUM_FAULT`` arms points for a process:
``<point>=kill``, ``<point>=kill@3`` (the third time), several separated by commas. Code in the same process
uses ``arm``. The testing kit (``hilum.testing.faults``) is the way to use either.
"""

from __future__ import annotations

import logging
import os
import signal
from collections import Counter
from collections.abc import Callable

log = logging.getLogger(__name__)

_armed: dict[str, Callable[[], None]] = {}
_seen: Counter[str] = Counter()
_recording = False


def point(name: str) -> None:
    """Pass a named point. Costs one dictionary look-up when nothing is armed."""
    if _recording:
        _seen[name] += 1
    if _armed and (action := _armed.get(name)) is not None:
        action()


def arm(name: str, action: Callable[[], None]) -> None:
    _armed[name] = action


def disarm() -> None:
    _armed.clear()


def record() -> Counter[str]:
    """Count the points passed from now on: a calm run of a test finds them all this way."""
    global _recording
    _recording = True
    _seen.clear()
    return _seen


def arm_from_environment(setting: str | None) -> None:
    """Arm what ``HILUM_FAULT`` says; refuses a setting it cannot read, since a sweep that kills nothing proves nothing."""
    if not setting:
        return
    for part in setting.split(","):
        name, _, action = part.strip().rpartition("=")
        verb, _, nth = action.partition("@")
        if not name or verb != "kill" or (nth and not nth.isdigit()):
            raise ValueError(f"HILUM_FAULT: cannot read {part!r}; write <point>=kill or <point>=kill@<n>")
        arm(name, _kill_on(int(nth or 1), name))


def _kill_on(nth: int, name: str) -> Callable[[], None]:
    remaining = nth

    def act() -> None:
        nonlocal remaining
        remaining -= 1
        if remaining == 0:
            log.warning("killed at %s by HILUM_FAULT", name)
            os.kill(os.getpid(), signal.SIGKILL)

    return act
