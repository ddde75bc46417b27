"""The second half of a revenue day: claims that billing sent, what clearinghouse and payers answered and paid, what the bank has.

Claims of two weeks before are decided by today's remittances; claims of today are answered. Copies and answers reach the platform
on one day in any order, since whoever writes a file does not ask who reads it first.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import count

from hilum.testing.bank import Credited, statement
from hilum.testing.claims import AnsweredClaim, SentClaim, claim_answers, claim_file, file_acknowledgement
from hilum.testing.day import LAKESHORE_TIME
from hilum.testing.remittances import PaidClaim, PayerRemittance, interchange
from hilum.testing.revenue_day_arrivals import Arrival
from hilum.testing.revenue_day_catalogue import DENIALS, HARBOR, HOSPITALS, MEDICARE, PLANS, Hospital, Plan, dollars

REFUSED_FOR = "A7:562:85"
"""The status by which claims come back one by one (277CA)."""
FEWEST_PAYMENTS = 18
_BESIDE, _BESIDE_CLAIMS = 2, 5
"""Payments that do not balance or pay nothing, and the claims in them."""
_DECIDED = (
    ("paid", 0.62), ("partly_denied", 0.12), ("denied", 0.10), ("reversed", 0.04), ("corrected", 0.04), ("overturned", 0.03),
    ("secondary", 0.03), ("unknown", 0.02),
)  # fmt: skip
_WAITING = (("accepted", 0.85), ("rejected", 0.10), ("received", 0.05))


@dataclass(frozen=True)
class DayClaim:
    """A claim and how it stands at the end of the day, in the words of the claim books."""

    number: str
    hospital: Hospital
    plan: Plan
    charge: Decimal
    state: str
    denied: Decimal = Decimal(0)  # What of it is denied now, in how many amounts.
    denials: int = 0
    told: bool = True  # Whether it was answered for itself, and not with its whole file.


@dataclass
class Payment:
    """A remittance of the day, and what the bank makes of its EFT."""

    hospital: Hospital
    plan: Plan
    trace: str
    on: date
    arrives: datetime
    claims: list[PaidClaim] = field(default_factory=list)
    moved: list[tuple[str, Decimal]] = field(default_factory=list)
    amount: Decimal | None = None  # Where it says another one than its claims make.
    banked: str = "as said"  # less, missing, returned

    @property
    def balances(self) -> bool:
        return self.amount is None

    def remittance(self) -> PayerRemittance:
        return PayerRemittance(
            self.trace, self.claims, self.hospital.npi, self.plan.number, self.plan.company, self.on, self.moved, self.amount
        )  # fmt: skip


@dataclass(frozen=True)
class BankLine:
    """A movement on an account; ``amount`` is below zero for what went out. ``state``: how it stands beside the remittances."""

    hospital: Hospital
    line: Credited
    amount: Decimal
    state: str  # matched, differs, returned, open; empty for what no payer has to do with.


class Claims:
    """Makes claims, their answers, payments and the bank's statements of a day."""

    def __init__(self, rng: random.Random, on: date, *, claims: int, payments: int) -> None:
        self._rng, self._on = rng, on
        self._before = on - timedelta(days=14)
        self._numbers, self._files, self._controls = count(1), count(1), count(1)
        self.arrivals: list[Arrival] = []
        self.claims: list[DayClaim] = []
        self.bank: list[BankLine] = []
        self.payments = self._payments(max(FEWEST_PAYMENTS, payments - _BESIDE))
        self._decide(round(claims * 0.6) - _BESIDE_CLAIMS)
        self._await(claims - round(claims * 0.6))
        self._remit()
        self._deposit()

    # --- payments, empty at first

    def _payments(self, wanted: int) -> list[Payment]:
        made = []
        for number in range(wanted):
            hospital, plan = HOSPITALS[number % 3], PLANS[number // 3 % 2]
            trace = f"RD-{self._on:%y%m%d}-{number + 1:03}"
            made.append(Payment(hospital, plan, trace, self._on, self._moment(5, 17)))
        first, second, third = made[:3]
        first.moved = [("WO", dollars(self._rng.randint(5_000, 90_000)))]
        second.moved = [
            ("FB", -dollars(self._rng.randint(2_000, 40_000))),
            ("L6", -dollars(self._rng.randint(50, 900))),
        ]
        third.moved = [("72", dollars(self._rng.randint(2_000, 30_000)))]
        return made

    # --- claims that payers decided about

    def _decide(self, total: int) -> None:
        sent: dict[tuple[str, str], list[SentClaim]] = {}
        fates = _shuffled(self._rng, _DECIDED, total)
        # Each kind happens, however small the day is; the first taken back is paid later than it is taken back.
        for number, fate in enumerate(fates):
            claim = self._claim(self._before)
            hospital, plan = self._party(HARBOR if fate == "secondary" else None)
            self._fate(fate, claim, hospital, plan, early=number % 2 == 0)
            if fate != "unknown":
                sent.setdefault((hospital.code, plan.number), []).append(
                    replace(claim, provider=hospital.npi, payer=plan.number)
                )
        for (code, _), claims in sorted(sent.items()):
            self._send(claims, self._before, code, answers=[(each, "A2:20") for each in claims])
        self._unbalanced()
        self._nothing_paid()

    def _fate(self, fate: str, claim: SentClaim, hospital: Hospital, plan: Plan, *, early: bool) -> None:
        one, other = self._two(hospital, plan, early)
        paid = self._paid(claim)
        state, denied, denials = fate, Decimal(0), 0
        match fate:
            case "paid" | "unknown":
                one.claims.append(paid)
            case "partly_denied":
                part = self._paid(claim, denied=self._rng.randint(1, 2))
                one.claims.append(part)
                amounts = [amount for group, reason, amount in part.adjustments if (group, reason) in DENIALS]
                denied, denials = sum(amounts, Decimal(0)), len(amounts)
            case "denied":
                one.claims.append(self._denied(claim))
                denied, denials = claim.charge, 1
            case "reversed":
                one.claims.append(paid)
                other.claims.append(_back(paid))
            case "corrected":
                less = self._paid(claim, less=True)
                one.claims.append(paid)
                other.claims += [_back(paid), less]
                state = "paid"
            case "overturned":
                before = self._denied(claim)
                one.claims.append(before)
                other.claims += [_back(before), paid]
                state = "paid"
            case "secondary":
                one.claims.append(paid)
                first, _ = self._two(hospital, MEDICARE, early)
                first.claims.append(_by_second_payer(paid))
                state = "paid"
        self.claims.append(DayClaim(claim.claim, hospital, plan, claim.charge, state, denied, denials))

    def _paid(self, claim: SentClaim, *, denied: int = 0, less: bool = False) -> PaidClaim:
        """A decision that pays: the contract takes some off, the patient owes some, and of ``denied`` amounts the payer pays none."""
        cents = int(claim.charge * 100)
        contractual = cents * self._rng.randint(15, 40) // 100 + (7 if less else 0)
        patient = cents * self._rng.randint(1, 12) // 100
        adjustments = [("CO", "253" if less else "45", dollars(contractual))]
        adjustments.append(("PR", self._rng.choice("123"), dollars(patient)))
        left = cents - contractual - patient
        for group, reason in self._rng.sample(DENIALS, denied):
            part = left * self._rng.randint(10, 30) // 100
            left -= part
            adjustments.append((group, reason, dollars(part)))
        return PaidClaim(claim.claim, claim.charge, dollars(left), adjustments, "1", claim.day)

    def _denied(self, claim: SentClaim) -> PaidClaim:
        group, reason = self._rng.choice(DENIALS)
        return PaidClaim(claim.claim, claim.charge, Decimal("0.00"), [(group, reason, claim.charge)], "4", claim.day)

    def _unbalanced(self) -> None:
        """One payment says another amount than its claims make: nothing of it is posted, and its claims wait as before."""
        hospital, plan = HOSPITALS[0], HARBOR
        claims = [self._claim(self._before) for _ in range(3)]
        self._send(claims, self._before, hospital.code, answers=[(each, "A2:20") for each in claims])
        paid = [self._paid(each) for each in claims]
        said = sum((each.paid for each in paid), Decimal(0)) + Decimal("12.34")
        self.payments.append(
            Payment(hospital, plan, f"RD-{self._on:%y%m%d}-OFF", self._on, self._moment(5, 17), paid, amount=said)
        )
        self.claims += [DayClaim(each.claim, hospital, plan, each.charge, "accepted") for each in claims]

    def _nothing_paid(self) -> None:
        """One remittance denies all that is in it: no money belongs to it."""
        hospital, plan = HOSPITALS[1], MEDICARE
        claims = [replace(self._claim(self._before), provider=hospital.npi, payer=plan.number) for _ in range(2)]
        self._send(claims, self._before, hospital.code, answers=[(each, "A2:20") for each in claims])
        denied = [self._denied(each) for each in claims]
        self.payments.append(
            Payment(hospital, plan, f"RD-{self._on:%y%m%d}-NIL", self._on, self._moment(5, 17), denied)
        )
        self.claims += [DayClaim(c.claim, hospital, plan, c.charge, "denied", c.charge, 1) for c in claims]

    # --- claims of today

    def _await(self, total: int) -> None:
        back, unheard = [self._claim(self._on) for _ in range(3)], [self._claim(self._on) for _ in range(2)]
        self._send(back, self._on, HOSPITALS[0].code, refused=True)
        self._send(unheard, self._on, HOSPITALS[0].code, acknowledged=False)
        self.claims += [
            DayClaim(each.claim, HOSPITALS[0], HARBOR, each.charge, "rejected", told=False) for each in back
        ]
        self.claims += [DayClaim(each.claim, HOSPITALS[0], HARBOR, each.charge, "submitted") for each in unheard]
        sent: dict[tuple[str, str], list[tuple[SentClaim, str]]] = {}
        for state in _shuffled(self._rng, _WAITING, max(6, total - len(back) - len(unheard))):
            hospital, plan = self._party(None)
            claim = replace(self._claim(self._on), provider=hospital.npi, payer=plan.number)
            sent.setdefault((hospital.code, plan.number), []).append((claim, state))
            self.claims.append(DayClaim(claim.claim, hospital, plan, claim.charge, state))
        for (code, _), claims in sorted(sent.items()):
            said = {"accepted": "A2:20", "rejected": REFUSED_FOR}
            answers = [(claim, said[state]) for claim, state in claims if state in said]
            self._send([claim for claim, _ in claims], self._on, code, answers=answers)

    def _send(
        self,
        claims: Sequence[SentClaim],
        on: date,
        facility: str,
        *,
        answers: Sequence[tuple[SentClaim, str]] = (),
        acknowledged: bool = True,
        refused: bool = False,
    ) -> None:
        """The copy of a file, and what comes back: sometimes before the copy."""
        number = next(self._controls)
        file = f"RDF{number}"
        sent = self._moment(4, 9)
        after = sent + timedelta(minutes=self._rng.choice((-45, 20, 90)))
        name = f"837-{number:04}.x12"
        self.arrivals.append(
            Arrival(sent, "billing", claim_file(claims, control_number=number, on=on, file=file), facility, name)
        )
        if acknowledged:
            said = {"code": "R", "reasons": ("5",)} if refused else {}
            data = file_acknowledgement(number, control_number=50_000 + number, on=on, **said)  # type: ignore[arg-type]
            self.arrivals.append(Arrival(after, "clearinghouse", data, facility, f"999-{number:04}.x12"))
        if answers:
            told = [AnsweredClaim(each.claim, each.charge, status, None, each.provider) for each, status in answers]
            data = claim_answers(told, file=file, control_number=60_000 + number, on=on)
            self.arrivals.append(
                Arrival(after + timedelta(minutes=self._rng.choice((-30, 40))), "clearinghouse", data, facility, f"277-{number:04}.x12")
            )  # fmt: skip

    # --- files of payments

    def _remit(self) -> None:
        self.payments = [each for each in self.payments if each.claims or each.moved]
        for each in self.payments:
            if (short := each.remittance().total) < 0:
                each.moved.append(("FB", short))  # Nobody pays less than nothing: it is carried forward.
        most = sorted((each for each in self.payments if each.balances), key=lambda each: -each.remittance().total)
        less, returned, missing = most[:3]
        less.banked, returned.banked = "less", "returned"
        # Long enough ago to be missed (five days), and not to be anybody's by its amount; too late for its claims to be called unknown (ten).
        missing.banked, missing.on = "missing", self._on - timedelta(days=6)
        for each in self.payments:
            self._drop([each.remittance()], each.arrives)
        whole = self.payments[0].remittance()
        later = max(each.arrives for each in self.payments)
        self._drop([whole], later + timedelta(minutes=5), repeats=True)
        # The same trace number, and another claim in it: somebody has to find out which of both is meant.
        other = replace(whole, claims=[*whole.claims, self._paid(self._claim(self._before))])
        self._drop([other], later + timedelta(minutes=10))

    def _drop(self, remittances: Sequence[PayerRemittance], at: datetime, *, repeats: bool = False) -> None:
        number = 70_000 + next(self._files)
        data = interchange(remittances, control_number=number)
        self.arrivals.append(Arrival(at, "clearinghouse", data, "", f"835-{number}.835", repeats=repeats))

    # --- the bank

    def _deposit(self) -> None:
        references = (f"BR-{number:05}" for number in count(1))
        for each in self.payments:
            said = each.remittance().total
            if each.banked == "missing" or not said:
                continue
            state = {"as said": "matched", "less": "differs", "returned": "returned"}[each.banked]
            amount = said - Decimal("50.00") if each.banked == "less" else said
            self._line(each.hospital, next(references), amount, state, trace=each.trace, company=each.plan.company)
            if each.banked == "returned":
                self._line(
                    each.hospital, next(references), -amount, state, type_code="555", trace=each.trace, company=each.plan.company
                )  # fmt: skip
        self._line(HOSPITALS[2], next(references), Decimal("413.07"), "open")
        self._line(HOSPITALS[0], next(references), Decimal("-18.50"), "", type_code="475")
        for number, hospital in enumerate(HOSPITALS):
            lines = [each.line for each in self.bank if each.hospital is hospital]
            data = statement(lines, account=hospital.bank_account, day=self._on, number=number + 1)
            at = self._moment(20, 22)
            self.arrivals.append(Arrival(at, "bank", data, hospital.code, f"bank-{hospital.bank_account}.bai"))
            again = statement(lines, account=hospital.bank_account, day=self._on, number=number + 11)
            name = f"bank-{hospital.bank_account}-final.bai"
            self.arrivals.append(
                Arrival(at + timedelta(hours=1), "bank", again, hospital.code, name, repeats=True)
            )  # The final report after the interim one.

    def _line(
        self, hospital: Hospital, reference: str, amount: Decimal, state: str, *, type_code: str = "142", trace: str = "",
        company: str = "",
    ) -> None:  # fmt: skip
        line = Credited(reference, abs(amount), type_code, trace, company, text="HCCLAIMPMT" if trace else "OTHER")
        self.bank.append(BankLine(hospital, line, amount, state))

    # --- parts

    def _claim(self, on: date) -> SentClaim:
        day = on - timedelta(days=self._rng.randint(1, 6))
        return SentClaim(f"SYN-C-{next(self._numbers):06}", dollars(self._rng.randint(4_000, 900_000)), day=day)

    def _party(self, plan: Plan | None) -> tuple[Hospital, Plan]:
        return self._rng.choice(HOSPITALS), plan if plan is not None else self._rng.choice(PLANS)

    def _two(self, hospital: Hospital, plan: Plan, early: bool) -> tuple[Payment, Payment]:
        """Two payments of a plan to a hospital: with ``early`` the second one arrives first."""
        found = self._rng.sample(
            [e for e in self.payments if e.hospital is hospital and e.plan is plan and e.balances], 2
        )
        first, second = sorted(found, key=lambda each: each.arrives, reverse=early)
        return first, second

    def _moment(self, first_hour: int, last_hour: int) -> datetime:
        begin = datetime.combine(self._on, time(first_hour), LAKESHORE_TIME)
        return begin + timedelta(seconds=self._rng.randrange((last_hour - first_hour) * 3600))


def _back(paid: PaidClaim) -> PaidClaim:
    """The reversal of a decision: the same amounts the other way round, under CLP02 22."""
    return replace(
        paid, charge=-paid.charge, paid=-paid.paid, status="22",
        adjustments=[(group, reason, -amount) for group, reason, amount in paid.adjustments],
    )  # fmt: skip


def _by_second_payer(first: PaidClaim) -> PaidClaim:
    """What the next payer decides: it pays half of what the patient owed, and tells what was paid and taken off before (OA-23)."""
    pays = (first.patient_responsibility / 2).quantize(Decimal("0.01"))
    left = first.patient_responsibility - pays
    adjustments = [("OA", "23", first.charge - first.patient_responsibility)]
    if left:
        adjustments.append(("PR", "1", left))
    return replace(first, paid=pays, status="2", adjustments=adjustments)


def _shuffled(rng: random.Random, shares: Sequence[tuple[str, float]], total: int) -> list[str]:
    """So many of each as its share says and at least one, the rest of the first; in any order."""
    (usual, _), *others = shares
    found = [name for name, share in others for _ in range(max(1, round(share * total)))]
    found += [usual] * max(1, total - len(found))
    rng.shuffle(found)
    return found
