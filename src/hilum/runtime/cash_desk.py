"""The cash desk as flows speak to it: deposits and remittances meet in the platform's own database (decisions/0014)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import ClassVar

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.cash import (
    DepositDiffers,
    DepositReturned,
    DepositSaidOtherwise,
    DepositWithoutRemittance,
    ExpectedDeposit,
    Overdue,
    RecordedLines,
    RemittanceWithoutDeposit,
    StatementLines,
)
from hilum.authoring.estate import Estate
from hilum.authoring.failures import Rejected
from hilum.model.cash import Fact, Node, Standing, State, associate, key_of
from hilum.runtime import cash_facts, cash_work
from hilum.runtime.cash_facts import DEPOSIT

_ACTOR = "system:cash"
_NOBODY = "payer not named"


class CashDesk:
    """Plays the role ``authoring.cash.CashDesk``."""

    idempotent_commands: ClassVar[frozenset[str]] = frozenset({"record", "expect", "tell_overdue"})

    def __init__(self, pool: asyncpg.Pool, estate: Estate, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._estate = estate
        self._clock = clock

    async def record(self, lines: StatementLines, *, key: str) -> RecordedLines:
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            await cash_facts.locked(connection)
            fresh, known = await cash_facts.add_lines(connection, lines, now=now)
            amounts = {line.number: line.amount for line in lines.lines}
            for number, before in known.items():
                if before.amount != amounts[number]:
                    await self._tell(
                        connection, DepositSaidOtherwise, before.number, f"bank/{before.number}", amounts[number] - before.amount,
                        f"{before.amount} USD then, {amounts[number]} USD now", now,
                    )  # fmt: skip
            facts = cash_facts.deposits_of(lines)
            kinds = {line.number: line.kind for line in lines.lines}
            await self._associate(connection, [facts[each] for each in fresh if kinds[each] == DEPOSIT], now)
            detail = {"fresh": len(fresh), "repeated": len(known), "facility": lines.facility}
            await append(connection, [Entry(now, _ACTOR, "cash.recorded", f"statement/{lines.statement}", detail)])
        return RecordedLines(statement=lines.statement, fresh=tuple(fresh), repeated=len(known))

    async def expect(self, advice: ExpectedDeposit, *, key: str) -> bool:
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            await cash_facts.locked(connection)
            news = await cash_facts.add_advice(connection, advice, now=now)
            if news:
                await self._associate(connection, [cash_facts.advice_of(advice)], now)
                detail = {"amount": str(advice.amount)}
                await append(connection, [Entry(now, _ACTOR, "cash.expected", f"remittance/{advice.number}", detail)])
        return news

    async def tell_overdue(self, on: date, deposit_days: int, remittance_days: int, *, key: str) -> Overdue:
        now = self._clock()
        counts = {}
        told = 0
        async with self._pool.acquire() as connection, connection.transaction():
            await cash_facts.locked(connection)
            for side, days, why in (
                (DEPOSIT, deposit_days, DepositWithoutRemittance),
                ("remittance", remittance_days, RemittanceWithoutDeposit),
            ):
                rows = await cash_facts.overdue(connection, side, on - timedelta(days=days))
                counts[side] = len(rows)
                by_payer: dict[str, list[cash_work.Waiting]] = {}
                for row in rows:
                    if not row["told"]:
                        where = " ".join(part for part in (row["facility"], row["traces"]) if part)
                        by_payer.setdefault(row["payer"] if row["payer"] else _NOBODY, []).append(
                            cash_work.Waiting(
                                f"{side}/{row['number']}",
                                row["amount"],
                                f"{row['amount']} USD of {row['on_day']}, {where}",
                            )
                        )
                for payer, waiting in sorted(by_payer.items()):
                    owner = self._estate.queues.get(why.queue, "")
                    await cash_work.tell(connection, why, payer, waiting, owner=owner, now=now, actor=_ACTOR)
                    told += len(waiting)
        return Overdue(deposits=counts[DEPOSIT], remittances=counts["remittance"], told=told)

    async def ping(self) -> None:
        await self._pool.fetchval("SELECT 1")

    async def close(self) -> None:
        pass

    async def _associate(self, connection: asyncpg.Connection, news: Sequence[Fact], now: datetime) -> None:
        """How everything stands that the news may change, and the work that begins or ends with it."""
        if not news:
            return
        deposits, advices, changeable = await cash_facts.neighbourhood(connection, news)
        facts: list[Fact] = [*deposits, *advices]
        days = {key_of(fact): fact.on for fact in facts}
        stands = {(each.side, each.number): each for each in associate(deposits, advices)}
        stood = await cash_facts.standings(connection, changeable)
        changed = [stands[key] for key in sorted(changeable) if stood.get(key) != stands[key]]
        await cash_facts.write_standings(
            connection, [(each, days[each.side, each.number]) for each in changed], now=now
        )
        before = [stood[each.side, each.number] for each in changed if (each.side, each.number) in stood]
        came = [each for each in before if each.state is State.OPEN and stands[_key(each)].state is not State.OPEN]
        await cash_work.close(connection, [f"{each.side}/{each.number}" for each in came], now=now, actor=_ACTOR)
        await self._tell_groups(connection, {each.group for each in (*before, *changed)}, stands.values(), now)

    async def _tell_groups(
        self, connection: asyncpg.Connection, groups: set[str], stands: Iterable[Standing], now: datetime
    ) -> None:
        """One item for each group that does not add up; none for those that do again."""
        wrong: dict[str, Standing] = {}
        for each in stands:
            if each.group in groups and each.state in (State.DIFFERS, State.RETURNED) and each.difference:
                wrong.setdefault(each.group, each)
        right = [f"cash/{group}" for group in sorted(groups - wrong.keys())]
        await cash_work.close(connection, right, now=now, actor=_ACTOR)
        for group, found in sorted(wrong.items()):
            why = DepositReturned if found.state is State.RETURNED else DepositDiffers
            more = "more" if found.difference > 0 else "less"
            text = f"the bank has {abs(found.difference)} USD {more} than the remittances say"
            await self._tell(connection, why, group, f"cash/{group}", found.difference, text, now)

    async def _tell(
        self, connection: asyncpg.Connection, why: type[Rejected], cause: str, subject: str, amount: Decimal, text: str,
        now: datetime,
    ) -> None:  # fmt: skip
        """Once for each amount: what a person has decided is not asked again."""
        if await cash_work.was_told(connection, subject, why, amount):
            return
        await cash_work.close(connection, [subject], now=now, actor=_ACTOR)
        waiting = [cash_work.Waiting(subject, amount, text)]
        owner = self._estate.queues.get(why.queue, "")
        await cash_work.tell(connection, why, cause, waiting, owner=owner, now=now, actor=_ACTOR)


def _key(standing: Standing) -> Node:
    return standing.side, standing.number
