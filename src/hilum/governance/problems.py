"""What is wrong with an estate: each finding says where, what and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class EstateProblem:
    """One finding. ``where`` is ``file:line`` inside the estate, or ``module:line`` for what ships with Hilum."""

    where: str
    what: str
    do: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} {self.do}"


class EstateRefused(ValueError):
    """An estate that cannot be loaded; ``problems`` has every finding, not only the first."""

    def __init__(self, problems: Sequence[EstateProblem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"the estate has {len(self.problems)} problem(s):\n{lines}")
