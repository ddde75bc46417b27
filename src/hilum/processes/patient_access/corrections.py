"""What a person must look at when registration is corrected: an account cancelled with charges on it, patients that were taken apart."""

from __future__ import annotations

from decimal import Decimal

from hilum.authoring import Billing, Rejected, flow, step
from hilum.authoring.registration import PatientAccounts
from hilum.processes.patient_account import AdmissionCancelled, PatientsUnlinked

billing = Billing("billing")
registration = PatientAccounts("registration")


class CancelledWithCharges(Rejected, queue="patient-access", due_hours=24):
    """The admission was cancelled, and charges stand on its account: move them to the account they belong to or have them reversed, then
    release; it is looked at again."""


class PatientsTakenApart(Rejected, queue="patient-access", due_hours=24):
    """Two patients that were merged are two after all: charges, claims and payments of both must be told apart by a person, in the EHR and in
    billing. Skip this when it is done; nothing is taken apart by itself."""


@flow(
    on=AdmissionCancelled,
    key="message_id",
    criticality="normal",
    owner="patient-access",
    recovery="It only asks. A case goes on from any step; one that waits looks again when it is released.",
)
def judge_cancellation(cancelled: AdmissionCancelled) -> None:
    must_have_no_charges(cancelled)


@step
def must_have_no_charges(cancelled: AdmissionCancelled) -> None:
    """By the platform's own charges and by billing's: whichever knows more says how many dollars."""
    standing = registration.standing_after(
        cancelled.account, cancelled.facility, cancelled.occurred_at, cancelled.message_id,
        "pre-admission-cancelled" if cancelled.pre_admission else "admission-cancelled",
    )  # fmt: skip
    if standing.status != "cancelled":
        return  # It was admitted anew, or only its admission was taken back and it is expected still.
    account = billing.account(cancelled.account)
    balance = billing.account_balance(account.handle) if account is not None else None
    billed = balance.charges.amount if balance is not None else Decimal(0)
    if not standing.charged and not billed:
        return
    handle = account.handle if account is not None else f"message {cancelled.message_id}"
    raise CancelledWithCharges(
        handle,
        detail=f"at {cancelled.facility}: {billed:.2f} USD at billing, {standing.charged:.2f} USD in the platform's books",
        at_risk_usd=max(abs(standing.charged), abs(billed)),
    )


@flow(
    on=PatientsUnlinked,
    key="message_id",
    criticality="normal",
    owner="patient-access",
    recovery="Nothing is done by itself: its work item is skipped when people have done it.",
)
def unlink_patients(unlinked: PatientsUnlinked) -> None:
    needs_a_person(unlinked)


@step
def needs_a_person(unlinked: PatientsUnlinked) -> None:
    raise PatientsTakenApart(f"message {unlinked.message_id}", detail=f"told by {unlinked.facility}")
