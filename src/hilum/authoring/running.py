"""What a step may ask of whoever runs it; the runtime and the testing kit each provide one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from hilum.authoring.flow import Step
    from hilum.authoring.system import System


class NotRunning(RuntimeError):
    """A question, command or crosswalk was used outside a flow's run."""


class Run(Protocol):
    """The surroundings of one flow run."""

    def step(self, step: Step[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run a step once: journaled, so that a restart takes its result instead of running it again."""

    def ask(self, system: System, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Ask a system a question."""

    def command(self, system: System, operation: str, arguments: Mapping[str, Any], key: str | None) -> Any:
        """Deliver a command to a system, exactly once in effect."""

    def lookup(self, crosswalk: str, value: str, facility: str, on: datetime | None) -> str | None:
        """Translate a code by a crosswalk; None when it has no entry."""


_run: ContextVar[Run | None] = ContextVar("hilum_run", default=None)


def current_run() -> Run:
    run = _run.get()
    if run is None:
        raise NotRunning(
            "No flow is running here. Call this from a step of a flow that the platform runs, "
            "or test it with hilum.testing.rehearse()."
        )
    return run


def running_in(run: Run) -> Callable[[], None]:
    """Make ``run`` current for this context; call the result to go back."""
    token = _run.set(run)
    return lambda: _run.reset(token)


def is_running() -> bool:
    return _run.get() is not None
