"""Faults at named points: dying, failing or waiting exactly where a test wants it.

In the same process: ``with failing("intake.before_commit"): ...``. In a process of the platform: the value of
``environment(...)`` goes into its environment, and it kills itself there.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from hilum.runtime import fault_points


class Injected(RuntimeError):
    """The failure a test asked for."""


@contextlib.contextmanager
def failing(name: str, *, times: int = 1) -> Iterator[None]:
    """Raise ``Injected`` the first ``times`` times the point is passed."""
    left = times

    def act() -> None:
        nonlocal left
        if left > 0:
            left -= 1
            raise Injected(name)

    fault_points.arm(name, act)
    try:
        yield
    finally:
        fault_points.disarm()


@contextlib.contextmanager
def recorded() -> Iterator[Counter[str]]:
    """Count the points that are passed in the block: a calm run finds every point of a sweep."""
    yield fault_points.record()


def environment(name: str, *, nth: int = 1) -> dict[str, str]:
    """What makes a process of the platform kill itself (SIGKILL) at its ``nth`` passing of a point."""
    return {"HILUM_FAULT": f"{name}=kill@{nth}"}
