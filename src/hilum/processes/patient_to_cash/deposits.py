"""What a bank says moved on an account in a day, as a fact, and what of it the books and the re-association are told."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict

from hilum.authoring import AtRisk, Bai2, Confidential, Contract, InvalidData, Key, Phi
from hilum.formats import bai2
from hilum.model.identifiers import FacilityCode
from hilum.model.posting import FinancialMovement

DEPOSIT, OTHER = "deposit", "bank_other"
"""Kinds of movement: money of payers, which the posting rules give accounts, and what else moved, which they keep as a memorandum."""

OF_PAYERS = frozenset({"115", "142", "165", "166", "169", "175", "195", "301"})
"""Credits that may be a payer's: lockbox, ACH, checks, wires, commercial deposits. A bank's own codes an estate adds."""
TAKEN_BACK = frozenset({"552", "555"})
"""Debits that take a deposit back: credit reversed, deposited item returned. Any other debit does when it carries a payer's trace."""
LARGEST = Decimal("99999999999.99")
_ORDINARY, _TEST = "1", "4"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Eft(_Part):
    """The reassociation trace of an EFT: TRN02, and TRN03 where the bank prints it."""

    number: str
    company: str | None = None


class BankLine(_Part):
    """One movement of a statement. ``number`` tells it from all others of its account and day, in whatever file it stands."""

    number: str
    type_code: str
    kind: Literal["deposit", "bank_other"]
    amount: Decimal  # Above zero what came in, below zero what went out.
    traces: tuple[Eft, ...] = ()
    company: str | None = None
    reference: str | None = None
    text: Annotated[str, Phi] = ""  # A person's name may stand in it: patients pay by ACH too.


class BankStatementReported(Contract, version=1, identities=["number"], owner="finance"):
    """What moved on one account in one day, as far as this file says it: a later one of the day may repeat it and say more."""

    number: Annotated[str, Key("statement")]  # Bank, account, day, and what it says: x2200-1f0a9c/2026-03-02/5a1e...
    bank: str
    account: Annotated[str, Confidential]
    account_handle: Annotated[str, Key("bank-account")]  # Its last digits and a digest, for people and for the books.
    facility: FacilityCode | None = (
        None  # Whose people may look at it; None for an account that nobody knew when it came.
    )
    day: date
    currency: str = "USD"
    deposited: Annotated[Decimal, AtRisk]  # Of payers' money, debits taken off.
    efts: Annotated[tuple[str, ...], Key("eft")] = ()  # Trace numbers, by which it is found.
    lines: tuple[BankLine, ...] = ()

    @property
    def deposits(self) -> tuple[BankLine, ...]:
        return tuple(line for line in self.lines if line.kind == DEPOSIT)


@dataclass(frozen=True)
class Moved:
    """One movement as a file has it, before anybody decided what it is. ``amount`` is below zero for a debit."""

    type_code: str
    amount: Decimal
    bank_reference: str | None = None
    customer_reference: str | None = None
    company: str | None = None
    text: tuple[str, ...] = ()


@dataclass(frozen=True)
class AccountDay:
    """All that one file says of one account and day."""

    bank: str
    account: str
    day: date
    currency: str
    moved: tuple[Moved, ...]


def account_days(file: Bai2) -> Iterator[AccountDay]:
    """The accounts of a BAI2 file. A test moves nothing; ``InvalidData`` for groups that delete or correct earlier ones."""
    for place, group, account in file.accounts():
        if group.status == _TEST:
            continue
        if group.status != _ORDINARY:
            raise InvalidData(
                "the bank deletes or corrects an earlier report",
                detail=f"{place} has group status {group.status}; what was posted by the earlier one has to be taken back by hand",
            )
        moved = tuple(
            Moved(each.type_code, each.signed, each.bank_reference, each.customer_reference, None, each.text)
            for each in account.transactions
        )
        yield AccountDay(group.originator, account.number, group.as_of, account.currency, moved)


def statements(
    days: Iterable[AccountDay], facilities: Mapping[str, str], of_payers: frozenset[str] = OF_PAYERS
) -> list[BankStatementReported]:
    """One fact for each account and day; accounts without movements say nothing. ``facilities`` by account number."""
    return [_statement(day, facilities, of_payers) for day in days if day.moved]


def handle_of(bank: str, account: str) -> str:
    """How people and books call an account, whose number is confidential: its last four digits and a digest."""
    return f"x{account[-4:]}-{hashlib.sha256(f'{bank}/{account}'.encode()).hexdigest()[:6]}"


def movements(reported: BankStatementReported, fresh: frozenset[str], facility: str) -> Iterator[FinancialMovement]:
    """Every amount of the lines in ``fresh``, in their order. Its accounts depend on its kind and type code alone."""
    for at, line in enumerate(reported.lines, start=1):
        if line.amount and line.number in fresh:
            yield FinancialMovement(
                kind=line.kind, reason=line.type_code, facility=facility, line=f"t{at}", amount=line.amount,
                payer=line.company if line.company is not None else "",
            )  # fmt: skip


def _statement(day: AccountDay, facilities: Mapping[str, str], of_payers: frozenset[str]) -> BankStatementReported:
    if day.currency != "USD":
        raise InvalidData("a currency that the books do not keep", detail=f"{day.currency}; the books are in USD")
    if any(abs(each.amount) > LARGEST for each in day.moved):
        raise InvalidData("an amount is larger than books hold", detail=f"at most {LARGEST} USD")
    handle = handle_of(day.bank, day.account)
    seen: Counter[str] = Counter()
    lines = tuple(_line(each, seen, of_payers) for each in day.moved)
    said = hashlib.sha256("\x1e".join(line.model_dump_json() for line in lines).encode()).hexdigest()[:16]
    deposits = [line for line in lines if line.kind == DEPOSIT]
    facility = facilities.get(day.account)
    return BankStatementReported(
        number=f"{handle}/{day.day}/{said}",
        bank=day.bank,
        account=day.account,
        account_handle=handle,
        facility=FacilityCode(value=facility) if facility is not None else None,
        day=day.day,
        currency=day.currency,
        deposited=sum((line.amount for line in deposits), Decimal(0)),
        efts=tuple(dict.fromkeys(eft.number for line in deposits for eft in line.traces)),
        lines=lines,
    )


def _line(moved: Moved, seen: Counter[str], of_payers: frozenset[str]) -> BankLine:
    traces = tuple(Eft(number=each.number, company=each.company) for each in bai2.eft_traces(moved.text))
    companies = {each.company for each in traces if each.company is not None}
    return BankLine(
        number=_number(moved, seen),
        type_code=moved.type_code,
        kind=DEPOSIT if _is_of_payers(moved, bool(traces), of_payers) else OTHER,
        amount=moved.amount,
        traces=traces,
        company=moved.company if moved.company is not None else companies.pop() if len(companies) == 1 else None,
        reference=moved.customer_reference,
        text="\n".join(moved.text),
    )


def _is_of_payers(moved: Moved, traced: bool, of_payers: frozenset[str]) -> bool:
    if moved.amount < 0:
        return moved.type_code in TAKEN_BACK or traced
    return moved.type_code in of_payers or (traced and bai2.is_credit(moved.type_code))


def _number(moved: Moved, seen: Counter[str]) -> str:
    """The bank's own reference; for a line without one, a digest of what it says. The second one like it is ``...#2``.

    An interim report and the final one of the day list the same lines in the same order as far as both have them.
    """
    number = moved.bank_reference
    if number is None:
        said = "\x1f".join((moved.type_code, str(moved.amount), str(moved.customer_reference), *moved.text))
        number = f"~{hashlib.sha256(said.encode()).hexdigest()[:16]}"
    seen[number] += 1
    return number if seen[number] == 1 else f"{number}#{seen[number]}"
