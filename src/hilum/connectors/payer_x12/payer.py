"""Eligibility and claim status in real time: one 270 or 276 in the body of a POST, its 271 or 277 in the answer (X12 005010X279A1,
005010X212).

Clearinghouses wrap the same documents in SOAP or multipart envelopes (CAQH CORE connectivity); this is the plain form.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from hashlib import blake2b
from typing import ClassVar

import httpx2

from hilum.authoring.failures import InvalidData, Refused, Unavailable
from hilum.connectors.asking import exchange
from hilum.connectors.payer_x12 import status
from hilum.formats import x12
from hilum.formats.canonical import Acknowledgement, Canonical, EligibilityAnswer, EligibilityInquiry, Identifier, Party
from hilum.formats.findings import FormatError
from hilum.model.claim_status import ClaimStatusQuestion, ClaimStatusSaid
from hilum.model.coverage import Coverage, CoverageBenefit, CoverageInquiry

MEDIA_TYPE = "application/edi-x12"
_AGAIN = frozenset({"42", "80"})
"""Element 901: unable to respond at the current time; no response received within the payer's own limit."""


class PayerX12:
    """The payer at ``url``, and at ``status_url`` for claims where that is another one. ``sender`` and ``receiver`` are (qualifier,
    identifier) of ISA; ``asker`` is TRN03."""

    idempotent_commands: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        url: str,
        token: str,
        *,
        sender: tuple[str, str],
        receiver: tuple[str, str],
        asker: str,
        clock: Callable[[], datetime],
        status_url: str | None = None,
        usage: str = "P",
        timeout_seconds: float = 10.0,
        system: str = "payer",
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self._status_url = url if status_url is None else status_url
        self._system = system
        self._sender = sender
        self._receiver = receiver
        self._asker = asker
        self._usage = usage
        self._clock = clock
        self._http = httpx2.AsyncClient(
            headers={"authorization": f"Bearer {token}", "content-type": MEDIA_TYPE, "accept": MEDIA_TYPE},
            timeout=timeout_seconds,
            transport=transport,
            trust_env=False,  # A proxy of the environment must not see who is insured where.
        )

    async def coverage(self, inquiry: CoverageInquiry) -> Coverage:
        """Ask the payer; ``Unavailable`` when it cannot answer now, ``Refused`` when it rejects our document.

        An answer to another inquiry is never taken for this one's: its reference has to be ours.
        """
        try:
            asked = self._document(inquiry)
        except (FormatError, x12.X12Error) as unfit:
            raise InvalidData("an eligibility inquiry", f"{unfit.text} ({unfit.location or 'the inquiry'})") from None
        found = self._read(await self._post(self._url, asked))
        for shape in found:
            if isinstance(shape, EligibilityAnswer) and shape.reference == inquiry.reference:
                return self._coverage(shape, inquiry.reference)
        unnamed = [s for s in found if isinstance(s, EligibilityAnswer) and s.reference is None]
        if len(unnamed) == 1 and unnamed[0].rejections:
            return self._coverage(unnamed[0], inquiry.reference)  # It failed before a person was looked at.
        raise self._no_answer(found)

    async def claim_status(self, question: ClaimStatusQuestion) -> ClaimStatusSaid:
        """Ask where a claim stands; ``Unavailable`` when the payer cannot answer now, ``Refused`` when it rejects our document.

        An answer to another inquiry is never taken for this one's: its reference has to be ours.
        """
        now = self._clock()
        try:
            transaction = status.transaction_of(question, asker=self._sender, now=now)
            asked = self._interchange(transaction, status.GROUP, status.VERSION, question.reference, now)
        except (FormatError, x12.X12Error) as unfit:
            raise InvalidData("a claim status inquiry", f"{unfit.text} ({unfit.location or 'the inquiry'})") from None
        answered = await self._post(self._status_url, asked)
        found = self._read(answered)
        above = []
        for reference, said in status.answers_in(x12.parse(answered)):
            if any(each.category in status.CANNOT_ANSWER for each in said.statuses):
                raise Unavailable(self._system, "; ".join(each.words for each in said.statuses))
            if reference == question.reference:
                return said
            if reference is None:
                above.append(said)
        if above:
            # It failed before a claim was looked at: the payer says of whom or what it cannot answer.
            return above[0].model_copy(update={"reference": question.reference})
        raise self._no_answer(found)

    async def ping(self) -> None:
        """Return when the payer's address answers at all; a payer has no question that is asked about nobody."""
        await self._request("OPTIONS", self._url, b"")

    async def close(self) -> None:
        await self._http.aclose()

    def _document(self, inquiry: CoverageInquiry) -> bytes:
        now = self._clock()
        member = (Identifier(value=inquiry.member_number, scheme="member"),) if inquiry.member_number else ()
        transaction = x12.eligibility_inquiry_to_270(
            EligibilityInquiry(
                reference=inquiry.reference,
                payer=Party(identifiers=(Identifier(value=inquiry.payer, scheme="payer"),)),
                provider=Party(
                    name=inquiry.provider_name, identifiers=(Identifier(value=inquiry.provider_npi, scheme="npi"),)
                ),
                subscriber=Party(
                    name=inquiry.family_name,
                    given_name=inquiry.given_name,
                    birth_date=inquiry.birth_date.isoformat() if inquiry.birth_date is not None else None,
                    sex=inquiry.sex,
                    identifiers=member,
                ),
                service_types=inquiry.service_types,
                date=inquiry.on.isoformat(),
            ),
            asker=self._asker,
            now=now,
        )
        return self._interchange(transaction, "HS", "005010X279A1", inquiry.reference, now)

    def _interchange(
        self, transaction: x12.NewTransaction, kind: str, version: str, reference: str, now: datetime
    ) -> bytes:
        group = x12.NewGroup(functional_id=kind, version=version, transactions=[transaction])
        # A real-time interchange is told from others by its trace; its number only has to differ from its neighbours'.
        number = int.from_bytes(blake2b(reference.encode(), digest_size=8).digest()) % 999_999_999 + 1
        document = x12.build(
            [group], sender=self._sender, receiver=self._receiver, control_number=number, now=now, usage=self._usage
        )
        return x12.write(document)

    def _read(self, answered: bytes) -> list[Canonical]:
        try:
            return x12.convert(x12.parse(answered))
        except (FormatError, x12.X12Error) as unread:
            raise Refused(f"{self._system} answered with what is no X12", unread.text) from None

    def _no_answer(self, found: list[Canonical]) -> Refused:
        refusals = [s for s in found if isinstance(s, Acknowledgement) and not s.accepted]
        if refusals:
            reasons = ", ".join(reason for item in refusals[0].items for reason in (item.code, *item.reasons))
            return Refused(f"{self._system} rejected the inquiry with a {refusals[0].type}", reasons)
        return Refused(f"{self._system} answered another inquiry than the one that was made")

    async def _post(self, url: str, body: bytes) -> bytes:
        answer = await self._request("POST", url, body)
        if answer.status_code in (401, 403):
            raise Refused(f"{self._system} answered {answer.status_code}: correct its token, then release")
        if not answer.is_success:
            raise Refused(f"{self._system} answered {answer.status_code}")
        content: bytes = answer.content
        return content

    async def _request(self, method: str, url: str, body: bytes) -> httpx2.Response:
        return await exchange(self._http, self._system, method, url, content=body)

    def _coverage(self, answer: EligibilityAnswer, reference: str) -> Coverage:
        if any(reason.partition(":")[0] in _AGAIN for reason in answer.rejections):
            raise Unavailable(self._system, f"the plan could not answer now ({', '.join(answer.rejections)})")
        plans = [b.plan for b in answer.benefits if b.plan is not None]
        return Coverage(
            reference=reference,
            status="unknown" if answer.active is None else "active" if answer.active else "inactive",
            plan=plans[0] if plans else None,
            benefits=tuple(
                CoverageBenefit(
                    information=b.information, service_types=b.service_types, plan=b.plan, period=b.period,
                    amount=b.amount, percent=b.percent, in_network=b.in_network,
                )
                for b in answer.benefits
            ),
            rejections=answer.rejections,
        )  # fmt: skip
