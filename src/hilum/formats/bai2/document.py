"""A BAI2 file as a document: groups of accounts as of a day, each with its balances and what moved."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from hilum.formats.bai2.addenda import eft_traces
from hilum.formats.bai2.findings import Bai2Error, Code
from hilum.formats.bai2.records import Record, records_of
from hilum.formats.bai2.type_codes import is_debit, words_of
from hilum.formats.canonical import Canonical
from hilum.formats.canonical import Record as CanonicalRecord
from hilum.formats.outline import Outline

__all__ = [
    "Account", "Bai2File", "Funds", "Group", "Summary", "Trailer", "Transaction", "convert", "outline", "parse", "recognise",
    "write",
]  # fmt: skip

_START = re.compile(rb"[\xef\xbb\xbf\s]{0,64}01,[^,\r\n]{0,40},[^,\r\n]{0,40},\d{6},")
_TYPE = re.compile(r"[0-9]{3}")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_COUNT = re.compile(r"[0-9]{1,9}")
_WITHOUT_CENTS = frozenset({"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"})  # fmt: skip
_WITH_MILLS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
_MOST_OUTLINED = 500

Take = Callable[[], str]
"""Gives the next field of a record; an empty text when it has no more."""


@dataclass(frozen=True, slots=True)
class Funds:
    """When money is available: ``kind`` 0, 1, 2, V (on ``on`` at ``at``), S or D (``parts``: days and amount), Z or None."""

    kind: str | None = None
    on: date | None = None
    at: str | None = None
    parts: tuple[tuple[int, Decimal], ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """A balance or a total of an account (03); ``amount`` is None where the bank gives none. With its sign."""

    type_code: str
    amount: Decimal | None
    items: int | None
    funds: Funds


@dataclass(frozen=True, slots=True)
class Transaction:
    """One movement (16). ``amount`` as the bank writes it, without a side: ``signed`` is below zero for a debit."""

    number: int
    line: int
    type_code: str
    amount: Decimal
    funds: Funds
    bank_reference: str | None
    customer_reference: str | None
    text: tuple[str, ...]

    @property
    def signed(self) -> Decimal:
        return -self.amount if is_debit(self.type_code) else self.amount


@dataclass(frozen=True, slots=True)
class Trailer:
    """What a trailer says: the control total in the currency's units, and its counts in the order in which they stand."""

    line: int
    total: Decimal
    counts: tuple[int, ...]


@dataclass(slots=True)
class Account:
    """One account (03 to 49). ``records`` counts its lines, continuations and trailer with them."""

    number: str
    currency: str
    line: int
    summaries: tuple[Summary, ...]
    transactions: list[Transaction] = field(default_factory=list)
    records: int = 0
    trailer: Trailer | None = None

    @property
    def total(self) -> Decimal:
        """Of all amounts of 03 and 16, as the control total adds them up: debits count like credits, balances by their sign."""
        told = [each.amount for each in self.summaries if each.amount is not None]
        return sum((*told, *(each.amount for each in self.transactions)), Decimal(0))


@dataclass(slots=True)
class Group:
    """Accounts of one bank as of one day (02 to 98). ``status`` 1 update, 2 deletion, 3 correction, 4 test only."""

    receiver: str | None
    originator: str
    status: str
    as_of: date
    as_of_time: str | None
    currency: str
    modifier: str | None
    line: int
    accounts: list[Account] = field(default_factory=list)
    records: int = 0
    trailer: Trailer | None = None


@dataclass(slots=True)
class Bai2File:
    """A whole file (01 to 99) and the bytes it came in."""

    data: bytes
    sender: str
    receiver: str
    created_on: date
    created_at: str | None
    number: str
    groups: list[Group] = field(default_factory=list)
    records: int = 0
    trailer: Trailer | None = None

    def accounts(self) -> Iterator[tuple[str, Group, Account]]:
        """Each account with its group and its path: ``group 1, account 2``."""
        for at, group in enumerate(self.groups, start=1):
            for number, account in enumerate(group.accounts, start=1):
                yield f"group {at}, account {number}", group, account


def recognise(data: bytes) -> bool:
    """Whether the start is that of a file header (01) with a date."""
    return _START.match(data[:256]) is not None


def parse(data: bytes) -> Bai2File:
    """A BAI2 file. ``Bai2Error`` for one that is cut off, out of order or not readable; sums are ``validate``'s business."""
    if b"\0" in data:
        raise Bai2Error(Code.BINARY, "a BAI2 file is text, and this has NUL characters")
    records = records_of(data.removeprefix(b"\xef\xbb\xbf").decode("latin-1"))
    first = next(records, None)
    if first is None:
        raise Bai2Error(Code.EMPTY, "there is not a single record")
    if first.code != "01":
        raise Bai2Error(Code.SEQUENCE, "a file begins with its header (01)", first.code, first.number)
    file = _header(data, first)
    file.records += len(first.lines)
    group: Group | None = None
    account: Account | None = None
    for record in records:
        if file.trailer is not None:
            raise Bai2Error(Code.SEQUENCE, "records stand behind the file's trailer (99)", record.code, record.number)
        lines = len(record.lines)
        file.records += lines
        if group is not None:
            group.records += lines
        if account is not None:
            account.records += lines
        match record.code:
            case "02" if group is None:
                group = _group(record)
                group.records = lines
                file.groups.append(group)
            case "03" if group is not None and account is None:
                account = _account(record, group)
                account.records = lines
                group.accounts.append(account)
            case "16" if account is not None:
                account.transactions.append(_transaction(record, account))
            case "49" if account is not None:
                account.trailer, account = _trailer(record, 1, account.currency), None
            case "98" if group is not None and account is None:
                group.trailer, group = _trailer(record, 2, group.currency), None
            case "99" if group is None:
                file.trailer = _trailer(record, 2, file.groups[0].currency if file.groups else "USD")
            case _:
                raise Bai2Error(Code.SEQUENCE, _misplaced(group, account), record.code, record.number)
    if file.trailer is None:
        raise Bai2Error(Code.SEQUENCE, "the file has no trailer (99): it was cut off on its way")
    return file


def write(document: Bai2File) -> bytes:
    """The bytes as they came."""
    return document.data


def outline(document: Bai2File) -> Outline:
    """Groups, accounts and movements; numbers of accounts and texts are protected."""
    root = Outline("file", f"{document.sender} to {document.receiver}", f"of {document.created_on}")
    for at, group in enumerate(document.groups, start=1):
        node = Outline(f"group {at}", group.originator, f"as of {group.as_of}")
        root.children.append(node)
        for number, account in enumerate(group.accounts, start=1):
            inner = Outline(f"account {number}", account.number, account.currency, protected=True)
            node.children.append(inner)
            for summary in account.summaries:
                if summary.amount is not None:
                    inner.children.append(Outline(summary.type_code, str(summary.amount), words_of(summary.type_code)))
            inner.children.extend(_outlined(each) for each in account.transactions[:_MOST_OUTLINED])
            if (more := len(account.transactions) - _MOST_OUTLINED) > 0:
                inner.children.append(Outline("transactions", None, f"{more} more"))
    return root


def convert(document: Bai2File) -> list[Canonical]:
    """One record for every movement: account, day, type, signed amount, references, and the trace numbers of its addenda."""
    return [
        CanonicalRecord(
            type="bank transaction",
            control_number=document.number,
            content={
                name: value
                for name, value in (
                    ("account", account.number), ("as_of", group.as_of.isoformat()), ("currency", account.currency),
                    ("type_code", line.type_code), ("type", words_of(line.type_code)), ("amount", line.signed),
                    ("bank_reference", line.bank_reference), ("customer_reference", line.customer_reference),
                    ("trace_numbers", " ".join(each.number for each in eft_traces(line.text)) or None),
                    ("text", " ".join(line.text) or None),
                )
                if value is not None
            },
        )
        for _, group, account in document.accounts()
        for line in account.transactions
    ]  # fmt: skip


def _outlined(line: Transaction) -> Outline:
    node = Outline(f"16 {line.type_code}", str(line.signed), words_of(line.type_code))
    for label, value, protected in (
        ("bank reference", line.bank_reference, False), ("customer reference", line.customer_reference, False),
        ("text", " ".join(line.text) or None, True),
    ):  # fmt: skip
        if value is not None:
            node.children.append(Outline(label, value, None, protected))
    return node


# --- records ---------------------------------------------------------------------------------------------------------


def _header(data: bytes, record: Record) -> Bai2File:
    fields = [*record.fields(), *[""] * 9]
    if fields[7] not in ("", "2"):
        raise Bai2Error(Code.VERSION, "the version (01, field 9) is not 2", "01", record.number)
    return Bai2File(
        data, _given(fields[0], record, "sender"), _given(fields[1], record, "receiver"),
        _day(fields[2], record, "creation date"), fields[3] if fields[3] else None,
        _given(fields[4], record, "file identification number"),
    )  # fmt: skip


def _group(record: Record) -> Group:
    fields = [*record.fields(), *[""] * 7]
    if fields[2] not in ("1", "2", "3", "4"):
        raise Bai2Error(Code.FIELD, "the group status is none of 1, 2, 3 and 4", "02", record.number)
    return Group(
        fields[0] if fields[0] else None, _given(fields[1], record, "originator"), fields[2],
        _day(fields[3], record, "as-of date"), fields[4] if fields[4] else None, fields[5] if fields[5] else "USD",
        fields[6] if fields[6] else None, record.number,
    )  # fmt: skip


def _account(record: Record, group: Group) -> Account:
    fields = iter(record.fields())

    def take() -> str:
        return next(fields, "")

    number = _given(take(), record, "account number")
    currency = take()
    if not currency:
        currency = group.currency
    summaries = []
    for code in fields:
        if not code:
            for _ in range(3):  # A place for a balance, with nothing in it; or the commas before the end.
                take()
            continue
        if _TYPE.fullmatch(code) is None:
            raise Bai2Error(Code.FIELD, "a type code is not three digits", "03", record.number)
        amount, items = take(), take()
        if items and _COUNT.fullmatch(items) is None:
            raise Bai2Error(Code.FIELD, "an item count is no number", "03", record.number)
        told = _amount(amount, record, currency) if amount else None
        summaries.append(Summary(code, told, int(items) if items else None, _funds(take, record, currency)))
    return Account(number, currency, record.number, tuple(summaries))


def _transaction(record: Record, account: Account) -> Transaction:
    reader = record.reader()
    code = reader.take()
    if _TYPE.fullmatch(code) is None:
        raise Bai2Error(Code.FIELD, "a type code is not three digits", "16", record.number)
    written = reader.take()
    amount = _amount(written, record, account.currency) if written else Decimal(0)
    funds = _funds(reader.take, record, account.currency)
    bank, customer = reader.take(), reader.take()
    return Transaction(
        len(account.transactions) + 1, record.number, code, amount, funds, bank if bank else None,
        customer if customer else None, reader.text(),
    )  # fmt: skip


def _funds(take: Take, record: Record, currency: str) -> Funds:
    kind = take()
    match kind:
        case "" | "Z":
            return Funds(kind if kind else None)
        case "0" | "1" | "2":
            return Funds(kind)
        case "V":
            on, at = take(), take()
            return Funds("V", _day(on, record, "value date") if on else None, at if at else None)
        case "S":
            told = [take() for _ in range(3)]
            amounts = (_amount(each, record, currency) if each else Decimal(0) for each in told)
            return Funds("S", parts=tuple(enumerate(amounts)))
        case "D":
            count = take()
            if _COUNT.fullmatch(count) is None or int(count) > 99:
                raise Bai2Error(
                    Code.FUNDS_TYPE, "funds type D says of no number of distributions", record.code, record.number
                )
            parts = []
            for _ in range(int(count)):
                days, amount = take(), take()
                if _COUNT.fullmatch(days) is None:
                    raise Bai2Error(Code.FUNDS_TYPE, "a distribution has no number of days", record.code, record.number)
                parts.append((int(days), _amount(amount, record, currency)))
            return Funds("D", parts=tuple(parts))
    raise Bai2Error(Code.FUNDS_TYPE, "the funds type is none of 0, 1, 2, V, S, D and Z", record.code, record.number)


def _trailer(record: Record, counts: int, currency: str) -> Trailer:
    fields = [*record.fields(), *[""] * 3]
    told = fields[1 : 1 + counts]
    if any(_COUNT.fullmatch(each) is None for each in told):
        raise Bai2Error(Code.FIELD, "a count is missing or no number", record.code, record.number)
    return Trailer(record.number, _amount(fields[0], record, currency), tuple(int(each) for each in told))


def _misplaced(group: Group | None, account: Account | None) -> str:
    if account is not None:
        return "the account has no trailer (49) before this record"
    return "this record stands outside an account" if group is not None else "this record stands outside a group (02)"


def _given(value: str, record: Record, what: str) -> str:
    if not value:
        raise Bai2Error(Code.FIELD, f"the {what} is missing", record.code, record.number)
    return value


def _day(value: str, record: Record, what: str) -> date:
    try:
        if len(value) == 6 and value.isascii() and value.isdigit():
            return date(2000 + int(value[:2]), int(value[2:4]), int(value[4:]))
    except ValueError:
        pass
    raise Bai2Error(Code.FIELD, f"the {what} is no day (YYMMDD)", record.code, record.number)


def _amount(value: str, record: Record, currency: str) -> Decimal:
    """Amounts have no point: the last two digits are cents, or what the currency has instead."""
    if _INTEGER.fullmatch(value) is None:
        raise Bai2Error(Code.FIELD, "an amount is missing or no whole number", record.code, record.number)
    places = 0 if currency in _WITHOUT_CENTS else 3 if currency in _WITH_MILLS else 2
    return Decimal(int(value)).scaleb(-places)
