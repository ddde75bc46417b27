"""Every rejection waits in a queue that someone owns, and says what that person does."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.authoring import Agreed, Erp, ErpRefused, InvalidData, Refused, Rejected
from hilum.authoring.contract import marked
from hilum.governance.loader import ESTATE_FILE, Loaded
from hilum.governance.problems import EstateProblem
from hilum.governance.reach import Reach
from hilum.governance.rules.owners import owner_problems

CONFLICTS = "conflicts"
"""Where two reports of one fact that do not agree wait for a person."""


def queue_problems(loaded: Loaded, reached: Reach) -> Iterator[EstateProblem]:
    estate = loaded.estate
    for name, owner in estate.queues.items():
        where = estate.declared_at[f"queue:{name}"]
        yield from owner_problems(f"The queue {name}", owner, estate.owners, where, "`owner`")
    named = {cls for cls, _ in reached.rejections}
    for cls, where in reached.rejections:
        yield from _rejection(loaded, cls, where)
    for cls, why in _always(reached).items():
        if cls not in named and cls.queue not in estate.queues:
            yield EstateProblem(
                loaded.places.toml(ESTATE_FILE, "queues"),
                f"There is no queue {cls.queue}, where {why}.",
                f"Add [queues.{cls.queue}] with an owner.",
            )
    if CONFLICTS not in estate.queues:
        for name, contract in estate.contracts.items():
            for field in marked(contract, Agreed):
                yield EstateProblem(
                    estate.declared_at[f"contract:{name}"],
                    f"{name}.{field} must agree between reports, and there is no queue for reports that do not.",
                    f"Add [queues.{CONFLICTS}] with an owner to {ESTATE_FILE}.",
                )


def _always(reached: Reach) -> dict[type[Rejected], str]:
    """What the platform and its connectors raise themselves."""
    raised: dict[type[Rejected], str] = {
        Refused: "a system's refusals wait",
        InvalidData: "messages that cannot be mapped wait",
    }
    if any(isinstance(system, Erp) for system, _ in reached.systems):
        raised[ErpRefused] = "the ERP's refusals wait"
    return raised


def _rejection(loaded: Loaded, cls: type[Rejected], where: str) -> Iterator[EstateProblem]:
    name = cls.__name__
    if not cls.queue:
        yield EstateProblem(
            where, f"The rejection {name} has no queue.", f"Write `class {name}(Rejected, queue=...)`: who decides it."
        )
    elif cls.queue not in loaded.estate.queues:
        yield EstateProblem(
            where,
            f"The rejection {name} goes to the queue {cls.queue!r}, which the estate does not have.",
            f"Add [queues.{cls.queue}] with an owner to {ESTATE_FILE}.",
        )
    if not cls.remedy():
        yield EstateProblem(
            where, f"The rejection {name} has no remedy.", "Write as its docstring what the person does to release it."
        )
