"""Charges as DFT^P03 and feeds as they are, over any exchange of HL7 v2 messages.

FT1-2 (transaction id, HL7 v2.5.1 ch. 6.5.1.2) is the usage's own number: billing charges it once, however often it
comes. A billing system that numbers its charges says the number in ``ZCH-1`` of its acknowledgement.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar

from hilum.authoring.api import Page, PageRequest
from hilum.authoring.failures import Refused, Unavailable
from hilum.connectors.billing_hl7v2.accounts import BillingAccounts
from hilum.formats.hl7v2 import HL7Error, Message, build
from hilum.model.coverage import CoverageNote
from hilum.model.identifiers import AccountNumber
from hilum.model.ledger import DocumentRef
from hilum.model.money import Money
from hilum.model.patient_billing import BilledCharge, ChargeTotal, PatientAccountStatus, PatientBalance
from hilum.model.settlement import SettlementNote
from hilum.model.supply import ChargeableUsage
from hilum.model.where import Where

LOCKED, INTERNAL = "206", "207"
"""Codes of HL7 table 0357 that say nothing about the message: with AR it may be taken later (ch. 2.9.2.2)."""

Exchange = Callable[[bytes], Awaitable[bytes]]
"""Sends a message and returns the acknowledgement of that very message (MSA-2), or raises ``Unavailable``."""


async def _nothing() -> None:
    """Where the exchange brings no ping or no close of its own."""


class BillingHl7:
    """The billing system behind ``exchange``; ``ping`` and ``close`` are those of whatever carries it.

    Messages tell billing; what it knows itself is asked of its REST interface ``accounts``, where it has one.
    """

    # Billing drops a repeated FT1-2, and an ADT whose control id it has: nothing has to be searched for.
    idempotent_commands: ClassVar[frozenset[str]] = frozenset({"charge_usage", "note_coverage", "note_settlement"})

    def __init__(
        self,
        exchange: Exchange,
        *,
        clock: Callable[[], datetime],
        ping: Callable[[], Awaitable[None]] = _nothing,
        close: Callable[[], Awaitable[None]] = _nothing,
        accounts: BillingAccounts | None = None,
        system: str = "billing",
        receiving_application: str = "BILLING",
        receiving_facility: str = "",
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._ping = ping
        self._close = close
        self._accounts = accounts
        self._system = system
        self._receiver = (receiving_application, receiving_facility)

    async def account(self, number: AccountNumber) -> PatientAccountStatus | None:
        return await self._rest.account(number)

    async def accounts(self, where: Where, page: PageRequest) -> Page[PatientAccountStatus]:
        return await self._rest.accounts(where, page)

    async def account_status(self, handle: str) -> PatientAccountStatus | None:
        return await self._rest.account_status(handle)

    async def account_balance(self, handle: str) -> PatientBalance | None:
        return await self._rest.account_balance(handle)

    async def charge_totals(self, day: date) -> tuple[ChargeTotal, ...]:
        return await self._rest.charge_totals(day)

    async def charges_on(self, day: date, facility: str) -> tuple[BilledCharge, ...]:
        return await self._rest.charges_on(day, facility)

    async def charge_usage(self, usage: ChargeableUsage, *, key: str) -> DocumentRef:
        """Charge a usage, or learn that it was charged; the document's number is billing's.

        ``Refused`` with billing's ERR for AE and AR, ``Unavailable`` when it is locked or has an error of its own.
        """
        answer = await self._sent(self._charge(usage, control_id(key)))
        number = answer.get("ZCH-1.1")
        return DocumentRef(
            system=self._system,
            type="charge",
            # Without a number of its own, billing finds the charge by the transaction id.
            number=number if number is not None else usage.usage_id,
            id=usage.usage_id,
            state=answer.get("ZCH-3.1") or "",
        )

    async def note_coverage(self, note: CoverageNote, *, key: str) -> DocumentRef:
        """ADT^A08 with one IN1 (HL7 v2.5.1 ch. 6.5.6): IN1-45 says what is known of the coverage, IN1-29 since when."""
        number = control_id(key)
        await self._sent(self._coverage(note, number))
        return DocumentRef(system=self._system, type="coverage", number=number, id=note.reference, state=note.status)

    async def note_settlement(self, note: SettlementNote, *, key: str) -> DocumentRef:
        return await self._rest.note_settlement(note, key)

    async def send(self, body: bytes, *, key: str, content_type: str) -> str:
        """Send a feed's message as it is: billing drops a control id (MSH-10) it has. Returns the ACK's own number."""
        answer = await self._sent(body)
        return f"{answer['MSA-1']} {answer.get('MSH-10') or ''}".rstrip()

    async def ping(self) -> None:
        await self._ping()

    async def close(self) -> None:
        await self._close()
        if self._accounts is not None:
            await self._accounts.close()

    @property
    def _rest(self) -> BillingAccounts:
        if self._accounts is None:
            raise Refused(
                f"{self._system} cannot be asked for accounts",
                f"write `rest` and `token` in [connect] of systems/{self._system}.toml",
            )
        return self._accounts

    def _charge(self, usage: ChargeableUsage, number: str) -> bytes:
        """DFT^P03 with one FT1. The account stands for the patient in PID-3: that is all a charge needs to know."""
        now = f"{self._clock():%Y%m%d%H%M%S%z}"
        account = [usage.account, "", "", usage.account_authority, "AN"]
        nameless = ["", "", "", "", "", "", "U"]
        used_at = f"{datetime.fromisoformat(usage.used_at):%Y%m%d%H%M%S%z}"
        code = [usage.charge_code, usage.description, "CDM", usage.item.value, "", "ERP"]
        unit_cost = _price(usage.unit_cost)
        # The price to the patient is what is charged; where nobody said it, billing has the cost to go by.
        extended = _price(usage.charge if usage.charge is not None else usage.extended_cost)
        return build(
            [
                ["MSH", "HILUM", usage.facility.value, *self._receiver, now, "", ["DFT", "P03", "DFT_P03"], number, "P", "2.5.1"],
                ["EVN", "P03", now],
                ["PID", "1", "", account, "", nameless, *[""] * 12, account],
                [
                    "FT1", "1", usage.usage_id, "", used_at, "", "CG", code, "", "", usage.quantity_each, extended, "",
                    usage.department, *[""] * 8, unit_cost,
                ],
            ]
        )  # fmt: skip

    def _coverage(self, note: CoverageNote, number: str) -> bytes:
        now = f"{self._clock():%Y%m%d%H%M%S%z}"
        account = [note.account.value, "", "", note.account.authority, "AN"]
        mrn = [note.mrn.value, "", "", note.mrn.authority, "MR"] if note.mrn is not None else account
        member, on = note.member_number or "", f"{note.on:%Y%m%d}"
        flag = {"active": "Y", "inactive": "N"}.get(note.status, "")
        return build(
            [
                ["MSH", "HILUM", note.facility.value, *self._receiver, now, "", ["ADT", "A08", "ADT_A01"], number, "P", "2.5.1"],
                ["EVN", "A08", now],
                ["PID", "1", "", mrn, "", ["", "", "", "", "", "", "U"], *[""] * 12, account],
                ["PV1", "1", "N"],
                [
                    "IN1", "1", note.plan or note.insurer, note.insurer, *[""] * 21, flag, on, "", "", now, "", *[""] * 5,
                    member, *[""] * 8, note.status, *[""] * 3, member,
                ],
            ]
        )  # fmt: skip

    async def _sent(self, message: bytes) -> Message:
        """The acknowledgement of a message that was taken."""
        data = await self._exchange(message)
        try:
            answer = Message.parse(data)
            code = answer["MSA-1"]
        except HL7Error:
            raise Unavailable(self._system, "its acknowledgement cannot be read") from None
        if code in ("AA", "CA"):
            return answer
        error = answer.get("ERR-3.1")
        if error == LOCKED or (error == INTERNAL and code in ("AR", "CR")):
            raise Unavailable(self._system, f"{code} {error}: {answer.get('ERR-3.2') or 'not now'}")
        # ERR-3 is coded and ERR-2 a place: neither holds a value. ERR-8 and MSA-3 are free text and may hold PHI.
        reason = f"{code} {error or 'without ERR'}{_place(answer)}"
        raise Refused(f"{self._system} answered {reason}", answer.get("ERR-3.2") or "")


def control_id(key: str) -> str:
    """MSH-10 of a command: the same key always makes the same 19 characters (the field holds 20, ch. 2.15.9.10)."""
    digest = hashlib.blake2b(key.encode(), digest_size=11).digest()
    return "H" + base64.b32encode(digest).decode("ascii").rstrip("=")


def _price(money: Money) -> list[list[str | int | Decimal | None]]:
    """CP whose first component is MO: amount and currency."""
    return [[money.amount, money.currency]]


def _place(answer: Message) -> str:
    segment, field = answer.get("ERR-2.1"), answer.get("ERR-2.3")
    if segment is None:
        return ""
    return f" at {segment}-{field}" if field is not None else f" at {segment}"
