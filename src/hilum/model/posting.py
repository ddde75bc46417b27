"""Financial staging records and the rules that give them their accounts: what happened, in the words of a ledger.

A fact of the revenue cycle (a charge, a payer's payment, an adjustment) is a *movement*: an amount with what the books must know
about it. A posting rule says between which two accounts movements of its kind go; both together make a *staged entry*. Entries
always have two sides, so whatever set of them is posted balances.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from hilum.model.identifiers import CostCentre
from hilum.model.ledger import Journal, JournalLine

LATER_PAYER = "later"
"""The sequence of a payer that decided after another one: what it pays and takes off is no more the first payer's debt."""
MATCHED_BY = ("reason", "charge_class", "facility", "payer_class", "sequence")
"""What a rule may ask of a movement beside its kind; an empty cell asks nothing."""


class FinancialMovement(BaseModel):
    """One amount that moved. ``amount`` is below zero when it takes back what an earlier movement did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(
        min_length=1, description="charge, payment, contractual, denial, provider_adjustment, deposit ..."
    )
    reason: str = Field(default="", description="The source's own reason: CO-45, PLB-WO.")
    charge_class: str = ""
    facility: str
    payer_class: str = ""
    payer: str = ""
    sequence: str = Field(default="", description="later for a payer that decided after another one.")
    cost_centre: str = ""
    claim: str = Field(default="", description="The provider's claim number; protected.")
    line: str = Field(default="", description="Where in its source it stands: claim 3, service 2, adjustment 1.")
    amount: Decimal = Field(max_digits=16, decimal_places=2)


@dataclass(frozen=True)
class PostingRule:
    """One row of the table: movements of ``kind`` with these properties go from ``credit`` to ``debit``, from a day to a day.

    ``number`` is the row's name, which every posting that it made keeps. A rule without accounts is a memorandum: the movement
    is kept and not posted.
    """

    number: str
    kind: str
    debit: str
    credit: str
    reason: str = ""
    charge_class: str = ""
    facility: str = ""
    payer_class: str = ""
    sequence: str = ""
    cost_centre: str = ""
    valid_from: date = date.min
    valid_to: date = date.max

    @property
    def is_memo(self) -> bool:
        return not self.debit and not self.credit

    def fits(self, movement: FinancialMovement, on: date) -> bool:
        return (
            self.kind == movement.kind
            and self.valid_from <= on <= self.valid_to
            and all(not getattr(self, name) or getattr(self, name) == getattr(movement, name) for name in MATCHED_BY)
        )

    @property
    def weight(self) -> tuple[int, int]:
        """How closely it looks: more properties first; of equally many, those that stand later in ``MATCHED_BY``."""
        asked = [at for at, name in enumerate(MATCHED_BY) if getattr(self, name)]
        return len(asked), sum(1 << at for at in asked)


class NoRule(LookupError):
    """No posting rule covers a movement on that day; the text says which one is missing."""


class PostingRules:
    """The rules of an estate. The rule that looks closest wins; two that look equally close are refused when they are read."""

    def __init__(self, rules: Iterable[PostingRule]) -> None:
        self._by_kind: dict[str, list[PostingRule]] = {}
        for rule in rules:
            self._by_kind.setdefault(rule.kind, []).append(rule)
        for found in self._by_kind.values():
            found.sort(key=lambda rule: rule.weight, reverse=True)

    def rule_for(self, movement: FinancialMovement, on: date) -> PostingRule:
        for rule in self._by_kind.get(movement.kind, ()):
            if rule.fits(movement, on):
                return rule
        said = ", ".join(f"{name} {getattr(movement, name)}" for name in MATCHED_BY if getattr(movement, name))
        raise NoRule(f"{movement.kind} ({said}) on {on}" if said else f"{movement.kind} on {on}")


class StagedEntry(BaseModel):
    """A movement with its accounts: ``amount`` above zero goes to ``debit`` from ``credit`` on that day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    movement: FinancialMovement
    on: date
    debit: str
    credit: str
    amount: Decimal = Field(ge=0)
    cost_centre: str = ""
    rule: str

    @property
    def is_memo(self) -> bool:
        return not self.debit and not self.credit


def staged(movement: FinancialMovement, rules: PostingRules, on: date) -> StagedEntry:
    """The entry of a movement; one below zero goes the other way. ``NoRule`` when nothing says where it goes."""
    rule = rules.rule_for(movement, on)
    back = movement.amount < 0
    return StagedEntry(
        movement=movement,
        on=on,
        debit=rule.credit if back else rule.debit,
        credit=rule.debit if back else rule.credit,
        amount=abs(movement.amount),
        cost_centre=rule.cost_centre or movement.cost_centre,
        rule=rule.number,
    )


ADJUSTMENT = "adjustment"
"""The kind of a movement that a payer names by group and reason only: what it is, the estate's table says."""


@dataclass(frozen=True)
class PostingBook:
    """The tables of one estate together. ``kinds`` by (group, reason), where the reason "" stands for all others of a group."""

    rules: PostingRules
    kinds: Mapping[tuple[str, str], str]
    version: str
    """The digest of both tables: every source keeps by which it was staged."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """The tables themselves, by file name."""

    def staged(self, movement: FinancialMovement, on: date) -> StagedEntry:
        """``staged``, after an adjustment was given the kind that its reason means here."""
        if movement.kind == ADJUSTMENT:
            group, _, reason = movement.reason.partition("-")
            kind = self.kinds.get((group, reason), self.kinds.get((group, "")))
            if kind is None:
                raise NoRule(f"adjustment {movement.reason}")
            movement = movement.model_copy(update={"kind": kind})
        return staged(movement, self.rules, on)


Sums = Mapping[tuple[str, str, bool], Decimal]
"""By account, cost centre and whether it is debited: what is posted there, above zero."""


def journal_of(sums: Sums, *, date: date, description: str) -> Journal | None:
    """One journal of summed entries: a line for each account, side and cost centre, debits first; None when there are none.

    What two entries do in opposite directions on one account is not set off: a reversal stands in the ledger as one.
    """
    if not sums:
        return None
    return Journal(
        date=date,
        description=description,
        lines=tuple(
            JournalLine(
                account=account,
                debit=amount if is_debit else Decimal(0),
                credit=Decimal(0) if is_debit else amount,
                cost_centre=CostCentre(value=centre) if centre else None,
            )
            for (account, centre, is_debit), amount in sorted(sums.items(), key=lambda each: (not each[0][2], each[0]))
        ),
    )


def ambiguous(rules: Sequence[PostingRule]) -> list[tuple[PostingRule, PostingRule]]:
    """Pairs of rules that look equally close and could fit one movement on one day: nobody could say which counts."""
    found = []
    for at, one in enumerate(rules):
        for other in rules[at + 1 :]:
            same = one.kind == other.kind and one.weight == other.weight
            meets = one.valid_from <= other.valid_to and other.valid_from <= one.valid_to
            if same and meets and all(getattr(one, name) == getattr(other, name) for name in MATCHED_BY):
                found.append((one, other))
    return found
