"""Eligibility of what was registered: asked in real time, "not verified" at once when the payer is late, and asked again by itself.

One case for each coverage of an account and day. An estate supplies mappings that yield ``CoverageReported``, the crosswalk
``insurer_to_payer``, ``tables/providers.csv``, and systems that play the roles ``payer``, ``billing`` and ``registration``.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from hilum.authoring import Billing, Crosswalk, Payer, Rejected, Unavailable, flow, step
from hilum.authoring.registration import CoverageOutcome, CoverageStatus, PatientAccounts
from hilum.model.coverage import CoverageInquiry, CoverageNote
from hilum.processes.patient_account import CoverageReported

payer = Payer("payer")
billing = Billing("billing")
registration = PatientAccounts("registration")

payer_by_insurer = Crosswalk("insurer_to_payer")

NOBODY = "-"
"""What the crosswalk says of insurers that nobody is asked about: self-pay, charity care, a plan without an interface."""
TRIES = 12
"""After so many answers that did not come in time a person looks; each release allows as many again."""


class UnknownInsurer(Rejected, queue="patient-access", due_hours=8):
    """Map the insurer to the number of its payer (`hilum crosswalk set insurer_to_payer`; `-` when nobody is to be asked), then release."""


class UnknownFacility(Rejected, queue="finance-master", due_hours=24):
    """Write the facility's NPI and its name as payers know it into tables/providers.csv, then release."""


class IncompleteCoverage(Rejected, queue="patient-access", due_hours=8):
    """The coverage has neither a member number nor a name with a date of birth: complete it in the EHR, whose update is verified by itself,
    then skip this one."""


class CoverageNotVerified(Rejected, queue="patient-access", due_hours=4):
    """The payer has not answered in time: verify the coverage by the payer's portal or telephone and tell the patient. It is asked again when
    this is released."""


class InactiveCoverage(Rejected, queue="patient-access", due_hours=8):
    """The payer says that the coverage is not active that day: ask the patient for their insurance and register it, which is verified by
    itself, or register them as self-pay; then skip this one."""


class MemberUnknown(Rejected, queue="patient-access", due_hours=8):
    """The payer does not know the member as registered: compare number, name and date of birth with the card and correct them in the EHR,
    whose update is verified by itself; then skip this one."""


class Verification(BaseModel):
    """What is known after asking; ``attempt`` counts the times the payer was asked."""

    model_config = ConfigDict(frozen=True)

    status: CoverageStatus
    attempt: int
    reference: str
    payer: str = ""
    plan: str | None = None
    reasons: tuple[str, ...] = ()


@flow(
    on=CoverageReported,
    key="inquiry",
    criticality="normal",
    owner="patient-access",
    recovery="Asking changes nothing at the payer, so a case goes on from any step. While a payer is away its cases are parked and go on when it "
    "answers again; each attempt is written down before anything waits.",
)
def verify_coverage(reported: CoverageReported) -> None:
    found = ask_payer(reported)
    note(reported, found)
    if found.status == "not-verified":
        # Said before it is waited for: the desk treats the person meanwhile.
        tell_billing(reported, found)
        found = ask_again(reported)
        note(reported, found)
    tell_billing(reported, found)
    must_be_covered(reported, found)


@step
def ask_payer(reported: CoverageReported) -> Verification:
    """Ask once; a payer that does not answer in time makes it "not verified", and nothing waits."""
    try:
        return _asked(reported)
    except Unavailable:
        so_far = registration.inquiry(reported.inquiry)
        return Verification(
            status="not-verified",
            attempt=so_far.attempts + 1,
            reference=so_far.reference,
            payer=_payer_of(reported),
            reasons=("the payer did not answer in time",),
        )


@step
def note(reported: CoverageReported, found: Verification) -> None:
    _note(reported, found)


@step
def ask_again(reported: CoverageReported) -> Verification:
    """Ask until there is an answer. Each time it does not come the case waits for the payer; too often, and it waits for a person."""
    try:
        return _asked(reported)
    except Unavailable:
        so_far = registration.inquiry(reported.inquiry)
        payer_number = _payer_of(reported)
        late = Verification(
            status="not-verified", attempt=so_far.attempts + 1, reference=so_far.reference, payer=payer_number
        )
        _note(reported, late)
        if late.attempt % TRIES == 0:
            raise CoverageNotVerified(
                payer_number, detail=f"{late.reference} for {reported.on}: asked {late.attempt} times without an answer"
            ) from None
        raise


@step
def tell_billing(reported: CoverageReported, found: Verification) -> None:
    """Billing keeps what is known of the coverage beside its account."""
    if found.status not in ("active", "inactive", "unknown", "not-verified"):
        return
    billing.note_coverage(
        CoverageNote(
            account=reported.account, mrn=reported.mrn, facility=reported.facility, insurer=reported.insurer,
            payer=found.payer, member_number=reported.member_number, on=reported.on, status=found.status,
            plan=found.plan, reference=found.reference,
        ),
        key=f"{found.reference}/{found.attempt}/billing",
    )  # fmt: skip


@step
def must_be_covered(reported: CoverageReported, found: Verification) -> None:
    if found.status == "inactive":
        raise InactiveCoverage(
            found.reference, detail=f"payer {found.payer} at {reported.facility} for {reported.on}: not active"
        )
    if found.status == "unknown":
        reasons = ", ".join(found.reasons)
        raise MemberUnknown(
            found.reference, detail=f"payer {found.payer} at {reported.facility} for {reported.on}: {reasons}"
        )


def _asked(reported: CoverageReported) -> Verification:
    """One question to the payer. Nobody is asked about an account that was cancelled meanwhile."""
    so_far = registration.inquiry(reported.inquiry)
    attempt = so_far.attempts + 1
    standing = registration.standing(reported.account)
    if standing is not None and standing.status == "cancelled":
        return Verification(status="stopped", attempt=attempt, reference=so_far.reference)
    number = _payer_of(reported)
    if number == NOBODY:
        return Verification(status="not-asked", attempt=attempt, reference=so_far.reference)
    provider = registration.provider(reported.facility)
    if provider is None:
        raise UnknownFacility(reported.facility)
    if reported.member_number is None and (reported.family_name is None or reported.birth_date is None):
        raise IncompleteCoverage(so_far.reference, detail=f"payer {number} at {reported.facility} for {reported.on}")
    answer = payer.coverage(
        CoverageInquiry(
            reference=so_far.reference, payer=number, facility=reported.facility, provider_npi=provider.npi,
            provider_name=provider.name, member_number=reported.member_number, family_name=reported.family_name,
            given_name=reported.given_name, birth_date=reported.birth_date, on=reported.on,
        )
    )  # fmt: skip
    return Verification(
        status=answer.status, attempt=attempt, reference=so_far.reference, payer=number, plan=answer.plan,
        reasons=answer.rejections,
    )  # fmt: skip


def _payer_of(reported: CoverageReported) -> str:
    number = payer_by_insurer.lookup(reported.insurer, facility=str(reported.facility), on=None)
    if number is None:
        raise UnknownInsurer(reported.insurer)
    return number


def _note(reported: CoverageReported, found: Verification) -> None:
    registration.note_coverage(
        CoverageOutcome(
            inquiry=reported.inquiry, account=reported.account, facility=reported.facility, insurer=reported.insurer,
            payer=found.payer, on=reported.on, attempt=found.attempt, status=found.status,
        ),
        key=f"{found.reference}/{found.attempt}",
    )  # fmt: skip
