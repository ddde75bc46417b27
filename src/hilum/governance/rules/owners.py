"""Everything has an owner, and the owner is known to the estate."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.governance.loader import ESTATE_FILE
from hilum.governance.problems import EstateProblem


def owner_problems(what: str, owner: str, known: dict[str, str], where: str, how: str) -> Iterator[EstateProblem]:
    """``what`` is the thing in words, ``how`` the way its owner is written where it is declared."""
    names = ", ".join(sorted(known))
    if not owner:
        yield EstateProblem(
            where,
            f"{what} has no owner.",
            f"Write {how} with one of {names}: whoever answers for it." if known else f"Write {how}.",
        )
    elif owner not in known:
        yield EstateProblem(
            where,
            f"{what} is owned by {owner!r}, whom the estate does not know.",
            f"Add {owner} to [owners] in {ESTATE_FILE}" + (f" or name one of {names}." if known else "."),
        )
