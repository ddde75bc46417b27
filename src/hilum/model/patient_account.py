"""The patient financial account as a fold over what is known of it: registered, moved, discharged, corrected, taken back.

Facts arrive in any order and some arrive twice. What an account is depends on the *set* of them alone: they are put in the order
of their own times (EVN-2), and a cancellation takes back the latest step of its kind that stands before it. A cancellation of
something that nobody has told yet waits, and takes effect when that arrives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Change = Literal[
    "pre-admitted", "admitted", "class-changed", "transferred", "updated", "discharged",
    "transfer-cancelled", "discharge-cancelled", "admission-cancelled", "pre-admission-cancelled",
]  # fmt: skip
"""What happened to an account, in the order in which things happen that have one time."""

Status = Literal["provisional", "pre-admitted", "open", "discharged", "cancelled"]
"""``provisional``: something is known of it, but not how it began."""

CHANGES: tuple[Change, ...] = (
    "pre-admitted", "admitted", "class-changed", "transferred", "updated", "discharged",
    "transfer-cancelled", "discharge-cancelled", "admission-cancelled", "pre-admission-cancelled",
)  # fmt: skip
_RANK = {change: rank for rank, change in enumerate(CHANGES)}
_TAKES_BACK: dict[Change, Change] = {
    "transfer-cancelled": "transferred",
    "discharge-cancelled": "discharged",
    "admission-cancelled": "admitted",
    "pre-admission-cancelled": "pre-admitted",
}


@dataclass(frozen=True, slots=True)
class AccountFact:
    """One thing that a system told of an account. What it did not say is None, and leaves what was said before.

    ``mrn`` and ``coverages`` are whatever stands for them where the fold runs: in the platform's tables, tokens.
    """

    at: datetime
    message: str
    change: Change
    facility: str
    mrn: str
    patient_class: str | None = None
    location: str | None = None
    coverages: tuple[str, ...] | None = None

    @property
    def order(self) -> tuple[datetime, int, str]:
        """Its place in the account's life: its own time, what cannot have come before what, and the sender's number."""
        return self.at, _RANK[self.change], self.message


@dataclass(frozen=True, slots=True)
class AccountState:
    """What an account is, by the facts that stand. ``waiting``: cancellations of what nobody has told yet."""

    status: Status
    facility: str
    mrn: str
    patient_class: str | None = None
    location: str | None = None
    coverages: tuple[str, ...] = ()
    began_at: datetime | None = None
    discharged_at: datetime | None = None
    cancelled_at: datetime | None = None
    waiting: tuple[Change, ...] = ()


def fold_account(facts: Iterable[AccountFact]) -> AccountState:
    """The account that this set of facts makes. ValueError without any fact."""
    known = sorted(set(facts), key=lambda fact: (fact.order, repr(fact)))
    if not known:
        raise ValueError("nothing is known of the account")
    standing, waiting = _standing(known)
    last = known[-1]
    told = [f for f in standing if f.change not in _TAKES_BACK]
    ended = next((f for f in reversed(known) if f.change in ("admission-cancelled", "pre-admission-cancelled")), None)
    begun = [f for f in told if f.change in ("pre-admitted", "admitted", "class-changed")]
    cancelled = ended is not None and not begun
    status: Status = "cancelled" if cancelled else _status(told)
    discharge = next((f for f in reversed(told) if f.change == "discharged"), None)
    admitted = [f for f in begun if f.change == "admitted"]
    return AccountState(
        status=status,
        facility=last.facility,
        mrn=last.mrn,
        patient_class=_last(told, "patient_class"),
        location=_last(told, "location"),
        coverages=next((f.coverages for f in reversed(told) if f.coverages is not None), ()),
        began_at=(admitted or begun)[0].at if begun else None,
        discharged_at=discharge.at if discharge is not None and status == "discharged" else None,
        cancelled_at=ended.at if ended is not None and cancelled else None,
        waiting=tuple(waiting),
    )


def _standing(known: list[AccountFact]) -> tuple[list[AccountFact], list[Change]]:
    """The facts without those that were taken back, and the cancellations that found nothing to take back."""
    standing: list[AccountFact] = []
    waiting: list[Change] = []
    for fact in known:
        taken_back = _TAKES_BACK.get(fact.change)
        if taken_back is None:
            standing.append(fact)
            continue
        found = next((i for i in range(len(standing) - 1, -1, -1) if standing[i].change == taken_back), None)
        if found is None:
            waiting.append(fact.change)
        else:
            del standing[found]
    return standing, waiting


def _status(told: list[AccountFact]) -> Status:
    status: Status = "provisional"
    for fact in told:
        match fact.change:
            case "pre-admitted" if status == "provisional":
                status = "pre-admitted"
            case "admitted" | "class-changed":
                status = "open"
            case "discharged":
                status = "discharged"
            case "transferred" if status == "pre-admitted":
                status = "open"
    return status


def _last(told: list[AccountFact], name: str) -> str | None:
    found: str | None = next((v for f in reversed(told) if (v := getattr(f, name)) is not None), None)
    return found


@dataclass(frozen=True, slots=True)
class Merge:
    """One identifier was merged into another: ``survivor`` stands for both from then on."""

    at: datetime
    message: str
    merged: str
    survivor: str


@dataclass(frozen=True, slots=True)
class Merged:
    """Which identifier each merged one went into, and the merges that cannot stand: a person must look at those."""

    into: dict[str, str]
    refused: tuple[Merge, ...]

    def survivor_of(self, identifier: str) -> str:
        """Who stands for it now; itself when it was never merged."""
        while identifier in self.into:
            identifier = self.into[identifier]
        return identifier


def fold_merges(merges: Iterable[Merge]) -> Merged:
    """The merges that stand, oldest first. Refused are those that would close a circle, and a second, other survivor of one.

    Saying a merge again, or merging into one that was itself merged since, is no contradiction: chains are followed.
    """
    into: dict[str, str] = {}
    refused: list[Merge] = []
    known = Merged(into, ())
    for merge in sorted(set(merges), key=lambda m: (m.at, m.message, m.merged, m.survivor)):
        survivor = known.survivor_of(merge.survivor)
        if merge.merged in into:
            if known.survivor_of(merge.merged) != survivor:
                refused.append(merge)
        elif survivor == merge.merged:
            refused.append(merge)
        else:
            into[merge.merged] = merge.survivor
    return Merged(into, tuple(refused))


__all__ = [
    "CHANGES", "AccountFact", "AccountState", "Change", "Merge", "Merged", "Status", "fold_account", "fold_merges",
]  # fmt: skip
