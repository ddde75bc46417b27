"""Which deposit of the bank is which remittance of a payer: a fold over all facts known, whatever the order in which they came.

A health plan's EFT and its 835 carry one trace number (TRN02) and one company (TRN03): by these they meet (CAQH CORE 370). A check
meets its remittance by its number. What has neither meets by amount, payer and day, and only where nothing else could be meant.
A later fact may show that something else could: then what was met by amount is open again, as it would be had both come at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Literal, TypeVar

WINDOW_DAYS = 5
"""So far apart may a deposit and a remittance be that meet by amount alone: banks and payers date one payment differently."""
RIPPLE = 4
"""Windows: so far reaches what one more fact can change where facts meet by amount or sum (candidates, theirs, and theirs again)."""

NO_PAYMENT, CHECK = "NON", "CHK"
"""BPR04: a remittance that pays nothing, and one that is paid by check (X12 code list 591)."""

Side = Literal["deposit", "remittance"]


class State(StrEnum):
    """How a deposit or a remittance stands."""

    OPEN = "open"
    MATCHED = "matched"
    DIFFERS = "differs"
    RETURNED = "returned"
    NOT_EXPECTED = "not_expected"
    """A remittance that pays nothing: no deposit belongs to it."""


class By(StrEnum):
    """By what they met; several where several are one."""

    TRACE = "trace"
    CHECK = "check"
    RETURN = "return"
    AMOUNT = "amount"
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class Deposit:
    """Money of a payer on an account, as the bank reports it; ``amount`` is below zero where it was taken back."""

    number: str
    account: str
    on: date
    amount: Decimal
    traces: tuple[tuple[str, str], ...] = ()
    """Trace number and the payer's company; an empty text where the bank does not print it."""
    company: str = ""
    reference: str = ""
    """The customer's reference: a check's number."""


@dataclass(frozen=True, slots=True)
class Advice:
    """A remittance as cash sees it; ``amount`` is below zero where the payer takes money."""

    number: str
    payer: str
    company: str
    trace: str
    method: str
    on: date
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Standing:
    """How one fact stands. ``group`` names all that belong together, ``difference`` is what the bank has above what payers said."""

    side: Side
    number: str
    state: State
    by: tuple[By, ...]
    group: str
    difference: Decimal


Fact = Deposit | Advice
One = TypeVar("One")
Other = TypeVar("Other")
Node = tuple[Side, str]


def key_of(fact: Fact) -> Node:
    return ("deposit" if isinstance(fact, Deposit) else "remittance", fact.number)


def linked(fact: Fact) -> Iterator[str]:
    """By what a fact is linked to others however far apart their days are; facts that share none of it meet by amount at the most."""
    amount = f"{abs(fact.amount):.2f}"
    if isinstance(fact, Advice):
        yield f"t/{fact.trace}"
        if fact.method == CHECK:
            yield f"c/{_check(fact.trace)}/{amount}"
        return
    yield from (f"t/{trace}" for trace, _ in fact.traces)
    if fact.reference and not fact.traces:
        yield f"c/{_check(fact.reference)}/{amount}"


def associate(deposits: Iterable[Deposit], advices: Iterable[Advice]) -> list[Standing]:
    """How each of them stands, given exactly these; in the order of their numbers, deposits first."""
    return _Association(
        sorted(deposits, key=lambda each: each.number), sorted(advices, key=lambda each: each.number)
    ).standings()


class _Association:
    def __init__(self, deposits: Sequence[Deposit], advices: Sequence[Advice]) -> None:
        self._deposits, self._advices = deposits, advices
        facts: tuple[Fact, ...] = (*deposits, *advices)
        self._facts: Mapping[Node, Fact] = {key_of(fact): fact for fact in facts}
        self._above: dict[Node, Node] = {node: node for node in self._facts}
        self._joins: list[tuple[Node, By]] = []

    def standings(self) -> list[Standing]:
        self._by_trace()
        self._by_return()
        self._by_check()
        self._by_amount()
        self._by_sum()
        by: dict[Node, set[By]] = defaultdict(set)
        for node, how in self._joins:
            by[self._root(node)].add(how)
        found = [
            standing
            for root, members in self._groups().items()
            for standing in _judged(members, tuple(how for how in By if how in by[root]))
        ]
        return sorted(found, key=lambda each: (each.side, each.number))

    # --- what links them ---------------------------------------------------------------------------------------------

    def _by_trace(self) -> None:
        companies: dict[str, set[str]] = defaultdict(set)
        for advice in self._advices:
            companies[advice.trace].add(advice.company)
        places: dict[tuple[str, str], list[Node]] = defaultdict(list)
        for advice in self._advices:
            places[advice.trace, advice.company].append(key_of(advice))
        for deposit in self._deposits:
            for trace, company in deposit.traces:
                known = companies.get(trace, set())
                said = company if company else deposit.company
                # A side that names no company is believed when there is but one that could be meant.
                if said not in known and len(known) == 1 and (not said or known == {""}):
                    (said,) = known
                if said:
                    places[trace, said].append(key_of(deposit))
                elif "" in known:
                    places[trace, ""].append(key_of(deposit))
        self._join_all(places.values(), By.TRACE)

    def _by_return(self) -> None:
        """A deposited item that comes back carries the reference of its deposit."""
        places: dict[tuple[str, str, Decimal], list[Deposit]] = defaultdict(list)
        for deposit in self._deposits:
            if deposit.reference and not deposit.traces:
                places[deposit.account, deposit.reference, abs(deposit.amount)].append(deposit)
        back = [each for each in places.values() if any(one.amount < 0 for one in each)]
        self._join_all(([key_of(one) for one in each] for each in back), By.RETURN)

    def _by_check(self) -> None:
        deposits: dict[tuple[str, Decimal], list[Deposit]] = defaultdict(list)
        for deposit in self._deposits:
            if deposit.reference and not deposit.traces and deposit.amount > 0:
                deposits[_check(deposit.reference), deposit.amount].append(deposit)
        advices: dict[tuple[str, Decimal], list[Advice]] = defaultdict(list)
        for advice in self._advices:
            if advice.method == CHECK:
                advices[_check(advice.trace), advice.amount].append(advice)
        for key, said in advices.items():
            roots = {self._root(key_of(each)) for each in deposits.get(key, ())}
            if len(said) == 1 and len(roots) == 1 and _may_meet(deposits[key][0], said[0]):
                self._join(key_of(said[0]), key_of(deposits[key][0]), By.CHECK)

    def _by_amount(self) -> None:
        deposits, advices = self._left()
        by_amount: dict[Decimal, list[Advice]] = defaultdict(list)
        for advice in advices:
            by_amount[advice.amount].append(advice)
        pairs = [
            (deposit, advice)
            for deposit in deposits
            for advice in by_amount.get(deposit.amount, ())
            if _may_meet(deposit, advice) and _near(deposit.on, advice.on)
        ]
        for deposit, advice in _alone(pairs):
            self._join(key_of(deposit), key_of(advice), By.AMOUNT)

    def _by_sum(self) -> None:
        """One deposit for all that a payer remitted on one day; or for what its own trace number leaves missing."""
        deposits, advices = self._left()
        days: dict[tuple[str, str, date], list[Advice]] = defaultdict(list)
        for advice in advices:
            days[advice.payer, advice.company, advice.on].append(advice)
        wanting: list[tuple[Deposit, Decimal, tuple[str, str] | None]] = [
            (each, each.amount, None) for each in deposits
        ]
        for members in self._groups().values():
            own = [each for each in members if isinstance(each, Deposit)]
            said = [each for each in members if isinstance(each, Advice)]
            payers = {(each.payer, each.company) for each in said}
            if own and len(payers) == 1 and (missing := _sum(own) - _sum(said)) > 0:
                wanting.append((own[0], missing, payers.pop()))
        by_sum: dict[Decimal, list[tuple[str, str, date]]] = defaultdict(list)
        for key, some in days.items():
            by_sum[_sum(some)].append(key)
        pairs = [
            (deposit, key)
            for deposit, missing, payer in wanting
            for key in by_sum.get(missing, ())
            if _near(deposit.on, key[2])
            and (len(days[key]) > 1 and _may_meet(deposit, days[key][0]) if payer is None else payer == key[:2])
        ]
        for deposit, key in _alone(pairs):
            for advice in days[key]:
                self._join(key_of(deposit), key_of(advice), By.SUM)

    def _left(self) -> tuple[list[Deposit], list[Advice]]:
        """What nothing links to anything, and may be anything's: deposits without a trace number, remittances that pay."""
        alone = {root: members for root, members in self._groups().items() if len(members) == 1}
        facts = [fact for (fact,) in alone.values()]
        return (
            [each for each in facts if isinstance(each, Deposit) and not each.traces and each.amount > 0],
            [each for each in facts if isinstance(each, Advice) and _pays(each) and each.amount > 0],
        )

    # --- sets of facts -----------------------------------------------------------------------------------------------

    def _groups(self) -> dict[Node, list[Fact]]:
        groups: dict[Node, list[Fact]] = defaultdict(list)
        for node, fact in self._facts.items():
            groups[self._root(node)].append(fact)
        return groups

    def _join_all(self, places: Iterable[Sequence[Node]], how: By) -> None:
        for first, *others in places:
            for other in others:
                self._join(first, other, how)

    def _join(self, one: Node, other: Node, how: By) -> None:
        self._joins.append((one, how))
        self._above[self._root(other)] = self._root(one)

    def _root(self, node: Node) -> Node:
        while self._above[node] != node:
            self._above[node] = self._above[self._above[node]]
            node = self._above[node]
        return node


def _judged(members: Sequence[Fact], by: tuple[By, ...]) -> Iterator[Standing]:
    deposits = [each for each in members if isinstance(each, Deposit)]
    advices = [each for each in members if isinstance(each, Advice)]
    banked, said = _sum(deposits), _sum(advices)
    taken_back = any(each.amount < 0 for each in deposits)
    if not deposits:
        state = State.OPEN if any(_pays(each) for each in advices) else State.NOT_EXPECTED
    elif not advices:
        # A deposit and its return set each other off, whoever it was that paid.
        state = State.MATCHED if taken_back and len(deposits) > 1 and not banked else State.OPEN
    elif taken_back and banked <= 0 and said >= 0 and len(deposits) > 1:
        state = State.RETURNED
    else:
        state = State.MATCHED if banked == said else State.DIFFERS
    if state is State.NOT_EXPECTED:
        said = Decimal(0)
    group = min("/".join(key_of(each)) for each in (advices if advices else deposits))
    for each in members:
        side, number = key_of(each)
        yield Standing(side, number, state, by, group, banked - said)


def _alone(pairs: Sequence[tuple[One, Other]]) -> Iterator[tuple[One, Other]]:
    """The pairs of which neither side could be another's."""
    one_of: dict[One, int] = defaultdict(int)
    other_of: dict[Other, int] = defaultdict(int)
    for one, other in pairs:
        one_of[one] += 1
        other_of[other] += 1
    for one, other in pairs:
        if one_of[one] == 1 and other_of[other] == 1:
            yield one, other


def _may_meet(deposit: Deposit, advice: Advice) -> bool:
    """Whether both could be of one payer: a side that does not say is anybody's."""
    return not deposit.company or not advice.company or deposit.company == advice.company


def _near(one: date, other: date) -> bool:
    return abs(one - other) <= timedelta(days=WINDOW_DAYS)


def _pays(advice: Advice) -> bool:
    return advice.method != NO_PAYMENT and advice.amount != 0


def _check(reference: str) -> str:
    """A check's number as banks and payers write it: with or without zeros before it."""
    return reference.strip().lstrip("0")


def _sum(facts: Iterable[Fact]) -> Decimal:
    return sum((each.amount for each in facts), Decimal(0))
