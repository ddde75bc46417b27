"""Patient accounts over billing's REST interface: status and balance, by handles that say nothing about the patient.

An account's number is PHI and is only ever sent in a body. What billing refuses is told without it.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any

import httpx2
import orjson

from hilum.authoring.api import Page, PageRequest
from hilum.authoring.failures import Refused
from hilum.authoring.paging import cursor_after, position_in, size_of
from hilum.connectors.asking import exchange
from hilum.model.identifiers import AccountNumber, FacilityCode
from hilum.model.ledger import DocumentRef
from hilum.model.money import Money
from hilum.model.patient_billing import BilledCharge, ChargeTotal, PatientAccountStatus, PatientBalance
from hilum.model.settlement import SettlementNote
from hilum.model.where import Nothing, Where
from hilum.model.where_json import as_json

_LIST = "patient-accounts"
_HANDLE = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What may stand in an address: anything else, escaped or not, could name another of billing's resources."""


class BillingAccounts:
    """The accounts of the billing system at ``url``, spoken to with a bearer ``token``."""

    def __init__(
        self,
        url: str,
        token: str,
        timeout_seconds: float = 5.0,
        *,
        system: str = "billing",
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._system = system
        self._http = httpx2.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {token}", "accept": "application/json"},
            timeout=timeout_seconds,
            transport=transport,
            trust_env=False,  # A proxy of the environment must not see patient accounts.
        )

    async def account(self, number: AccountNumber) -> PatientAccountStatus | None:
        body = {"number": number.value, "authority": number.authority}
        found = await self._one("POST", "/api/accounts/lookup", json=body)
        return _status(found) if found is not None else None

    async def accounts(self, where: Where, page: PageRequest) -> Page[PatientAccountStatus]:
        after = position_in(_LIST, page)
        if isinstance(where, Nothing):
            return Page(())
        body = {"filter": as_json(where), "limit": size_of(page), "after": after}
        found = orjson.loads((await self._asked("POST", "/api/accounts/search", json=body)).content)
        following = found["next"]
        return Page(
            tuple(_status(told) for told in found["accounts"]),
            cursor_after(_LIST, following) if following is not None else None,
        )

    async def account_status(self, handle: str) -> PatientAccountStatus | None:
        if not _HANDLE.fullmatch(handle):
            return None
        found = await self._one("GET", f"/api/accounts/{handle}")
        return _status(found) if found is not None else None

    async def account_balance(self, handle: str) -> PatientBalance | None:
        if not _HANDLE.fullmatch(handle):
            return None
        found = await self._one("GET", f"/api/accounts/{handle}/balance")
        if found is None:
            return None
        return PatientBalance(
            **_identity(found),
            charges=_money(found["charges"]),
            payments=_money(found["payments"]),
            balance=_money(found["balance"]),
        )

    async def charge_totals(self, day: date) -> tuple[ChargeTotal, ...]:
        found = orjson.loads((await self._asked("GET", f"/api/charge-totals?day={day.isoformat()}")).content)
        return tuple(ChargeTotal.model_validate(told) for told in found["totals"])

    async def charges_on(self, day: date, facility: str) -> tuple[BilledCharge, ...]:
        found: list[BilledCharge] = []
        after: str | None = None
        while True:
            body = {"day": day.isoformat(), "facility": facility, "after": after}
            told = orjson.loads((await self._asked("POST", "/api/charges/search", json=body)).content)
            found += [
                BilledCharge(number=each["number"], payer=each["payer"], amount=Decimal(each["amount"]))
                for each in told["charges"]
            ]
            after = told["next"]
            if after is None:
                return tuple(found)

    async def note_settlement(self, note: SettlementNote, key: str) -> DocumentRef:
        """Billing keeps one note under each ``Idempotency-Key``. ``Refused`` when it does not take it."""
        answer = await exchange(
            self._http, self._system, "POST", "/api/settlements", content=note.model_dump_json(),
            headers={"content-type": "application/json", "idempotency-key": key},
        )  # fmt: skip
        if not answer.is_success:
            raise Refused(f"{self._system} answered {answer.status_code} to the news of a posting")
        number = str(orjson.loads(answer.content)["number"])
        return DocumentRef(system=self._system, type="settlement", number=number, state=note.state)

    async def close(self) -> None:
        await self._http.aclose()

    async def _one(self, method: str, path: str, **request: Any) -> dict[str, Any] | None:
        answer = await self._asked(method, path, **request)
        if answer.status_code == 404:
            return None
        found: dict[str, Any] = orjson.loads(answer.content)
        return found

    async def _asked(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """An answer of 200, or of 404 for what is not there."""
        answer = await exchange(self._http, self._system, method, path, **request)
        if not answer.is_success and answer.status_code != 404:
            raise Refused(f"{self._system} answered {answer.status_code} when its accounts were read")
        return answer


def _identity(told: dict[str, Any]) -> dict[str, Any]:
    facility = told["facility"]
    return {
        "handle": told["handle"],
        "account": AccountNumber(value=told["number"], authority=told["authority"]),
        "facility": FacilityCode(value=facility) if facility is not None else None,
    }


def _status(told: dict[str, Any]) -> PatientAccountStatus:
    return PatientAccountStatus(**_identity(told), status=told["status"])


def _money(amount: str) -> Money:
    return Money(amount=Decimal(amount), currency="USD")
