"""Charge finalisation: what patients are charged goes to billing and into the revenue books, and each night to the ERP's ledger."""

from __future__ import annotations

from datetime import timedelta
from hashlib import blake2b
from zoneinfo import ZoneInfo

from hilum.authoring import Hl7, Moment, System, Table, collect, feed, mapping, schedule
from hilum.authoring.revenue import RevenueBooks
from hilum.formats.hl7v2 import build
from hilum.model.charge import Charge
from hilum.model.identifiers import FacilityCode
from hilum.processes.implant_usage import ImplantUsed
from hilum.processes.patient_to_cash.accruals import PeriodEnding, accrue_period
from hilum.processes.patient_to_cash.charge_files import charges_of_table
from hilum.processes.patient_to_cash.charge_messages import charge_lines, charge_recorded
from hilum.processes.patient_to_cash.charge_posting import ChargesDue, post_charges
from hilum.processes.patient_to_cash.charges import CREDIT, ChargeRecorded, charge_of, place_of_charge

ehr = System("ehr")
lab = System("lab")
billing = System("billing")
revenue = RevenueBooks("revenue")

LAKESHORE_TIME = ZoneInfo("America/Chicago")

__all__ = ["accrue_period", "post_charges"]


@mapping(source=ehr, message="BAR^P01")
def account_opened_with_charges(message: Hl7) -> list[ChargeRecorded]:
    """BAR has no place for FT1 in the standard; senders that finalise accounts by it add them."""
    return _charges(message)


@mapping(source=ehr, message="BAR^P05")
def account_updated_with_charges(message: Hl7) -> list[ChargeRecorded]:
    return _charges(message)


@mapping(source=lab, message="table")
def charge_file_read(message: Table) -> list[ChargeRecorded]:
    """The laboratory's day in one file."""
    return list(charges_of_table(message, recorded_by=lab.name))


def _charges(message: Hl7) -> list[ChargeRecorded]:
    return [
        charge_recorded(message, line, recorded_by=ehr.name, zone=LAKESHORE_TIME) for line, _ in charge_lines(message)
    ]


@collect(on=(ChargeRecorded, ImplantUsed), into=revenue, placed=place_of_charge, owner="revenue-cycle")
def charges(event: ChargeRecorded | ImplantUsed) -> Charge | None:
    """Every charge, and every implant with its price to the patient."""
    return charge_of(event)


@feed(on=ChargeRecorded, to=billing, key="account", criticality="normal", owner="revenue-cycle")
def charges_to_billing(event: ChargeRecorded) -> bytes:
    """DFT^P03 with one FT1. Implants are told by their own flow, which knows their cost."""
    day = f"{event.service_on:%Y%m%d}"
    account = [event.account.value, "", "", event.account.authority, "AN"]
    nameless = ["", "", "", "", "", "", "U"]
    credit = event.kind == CREDIT
    # Another system may count as the EHR does.
    own = event.charge_id if event.recorded_by == ehr.name else f"{event.recorded_by}:{event.charge_id}"
    amount = abs(event.amount_usd)
    return build(
        [
            ["MSH", "HILUM", event.facility.value, "BILLING", "LAKESHORE", day, "", ["DFT", "P03", "DFT_P03"], _control_id(event), "P", "2.5.1"],
            ["EVN", "P03", day],
            ["PID", "1", "", account, "", nameless, *[""] * 12, account],
            [
                "FT1", "1", own, "", day, "", "CR" if credit else "CG", [event.charge_code.value, event.description, "CDM"], "", "",
                event.quantity, amount, "", event.department.value, event.payer if event.payer is not None else "",
            ],
        ]
    )  # fmt: skip


def _control_id(event: ChargeRecorded) -> str:
    """MSH-10: the same charge always goes under the same number; the field holds 20 characters (ch. 2.15.9.10)."""
    return "C" + blake2b(event.number.encode(), digest_size=9).hexdigest()


@schedule(cron="30 2 * * *", owner="revenue-cycle", catch_up="latest")
def charges_due(moment: Moment) -> list[ChargesDue]:
    """Every night, all that was charged up to the day before: one run makes up for those that were missed."""
    return [
        ChargesDue(
            number=f"{facility}/{moment.at:%Y-%m-%dT%H:%M}",
            facility=FacilityCode(facility),
            until=moment.day - timedelta(days=1),
        )
        for facility in moment.facilities
    ]


@schedule(cron="0 4 3 * *", owner="finance")
def period_ending(moment: Moment) -> list[PeriodEnding]:
    """On the third of each month for the month before: late charges had two nights to be posted as what they are."""
    last_day = moment.day.replace(day=1) - timedelta(days=1)
    period = f"{last_day:%Y-%m}"
    return [
        PeriodEnding(number=f"{facility}/{period}", facility=FacilityCode(facility), period=period, last_day=last_day)
        for facility in moment.facilities
    ]
