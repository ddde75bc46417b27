"""What the generator of a revenue day knows of Lakeshore: whom it treats, what it charges, who pays, in which account all that stands.

A table of its own, on purpose: the expectation of a day must not be made by the posting rules that the day tests. A test says that
both agree (``tests/testing/test_revenue_day_generator.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True)
class Hospital:
    """A facility with the number by which payers know it and its account at the bank."""

    code: str
    npi: str
    bank_account: str


@dataclass(frozen=True)
class Plan:
    """A payer: its number in X12, and its company in an EFT's trace."""

    number: str
    company: str


@dataclass(frozen=True)
class Service:
    """One line of the charge master: where it is done, what it costs, in which account its revenue stands."""

    code: str
    department: str
    revenue: str
    from_cents: int
    to_cents: int


HOSPITALS = (
    Hospital("ST-MARY", "1234567893", "88112200"),
    Hospital("HARBOR-VIEW", "1245319599", "88112218"),
    Hospital("NORTH-POINT", "1558444216", "88112226"),
)
HARBOR, MEDICARE = Plan("HHP01", "1360000001"), Plan("MCARE", "1360000002")
PLANS = (HARBOR, MEDICARE)

SERVICES = (
    Service("RB-0120", "GEN", "4110", 90_000, 220_000),
    Service("RB-0200", "CATH", "4110", 210_000, 390_000),
    Service("OR-3600", "OR", "4140", 120_000, 900_000),
    Service("OR-3601", "EYE", "4140", 60_000, 240_000),
    Service("CATH-4810", "CATH", "4140", 300_000, 1_100_000),
    Service("ANES-3700", "OR", "4140", 40_000, 160_000),
    Service("PH-2500", "GEN", "4120", 300, 19_999),
    Service("PH-2580", "OR", "4120", 1_200, 40_000),
    Service("PH-6360", "EYE", "4120", 5_000, 410_000),
    Service("IMG-3200", "GEN", "4130", 18_000, 120_000),
    Service("IMG-3500", "CATH", "4130", 45_000, 260_000),
    Service("SUP-2700", "OR", "4150", 150, 45_000),
    Service("ED-4500", "GEN", "4160", 25_000, 310_000),
    Service("PT-4200", "GEN", "4160", 8_000, 32_000),
)
LABORATORY = (Service("LAB-3010", "GEN", "4130", 900, 24_000), Service("LAB-3050", "GEN", "4130", 2_500, 61_000))
UNKNOWN_SERVICE = Service("RB-0999", "GEN", "", 90_000, 220_000)
UNMAPPED_DEPARTMENT = "HYBRID"

COST_CENTRES = {"OR": "CC-ORTHO", "CATH": "CC-CATH", "EYE": "CC-EYE", "GEN": "CC-GEN"}

BANK, TRANSIT, PAYERS_OWE, PATIENTS_OWE, DENIED, OWED_TO_PAYERS = "1010", "1050", "1200", "1210", "1220", "2150"
ALLOWANCES, INTEREST = "4900", "4950"
ACCOUNTS = {
    BANK: "Operating bank", TRANSIT: "Remittances in transit", PAYERS_OWE: "Patient receivables from payers",
    PATIENTS_OWE: "Patient receivables from patients", DENIED: "Denied claims under review",
    OWED_TO_PAYERS: "Recoupments and refunds to payers", "4110": "Room and board revenue", "4120": "Pharmacy revenue",
    "4130": "Diagnostic revenue", "4140": "Procedure revenue", "4150": "Implant and supply revenue",
    "4160": "Emergency and therapy revenue", ALLOWANCES: "Contractual allowances", INTEREST: "Interest from payers",
}  # fmt: skip

TAKEN_OFF: dict[tuple[str, str], str | None] = {
    ("CO", "45"): ALLOWANCES, ("CO", "253"): ALLOWANCES, ("PR", "1"): PATIENTS_OWE, ("PR", "2"): PATIENTS_OWE,
    ("PR", "3"): PATIENTS_OWE, ("CO", "16"): DENIED, ("CO", "50"): DENIED, ("CO", "197"): DENIED, ("CO", "29"): DENIED,
    ("OA", "23"): None,
}  # fmt: skip
"""The account of what a payer takes off a charge, by group and reason; None for what is told and not posted."""
DENIALS = (("CO", "197"), ("CO", "50"), ("CO", "16"), ("CO", "29"))
MOVED = {"WO": OWED_TO_PAYERS, "FB": OWED_TO_PAYERS, "72": OWED_TO_PAYERS, "L6": INTEREST}
"""The account of what a payer moves outside any claim (PLB), by its reason."""


def dollars(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


@dataclass(frozen=True)
class DayCharge:
    """One amount on one account: below zero for a credit. ``collects`` is False for what cannot be placed and waits for a person."""

    number: str  # As the books call it: ehr/C-1, ehr/C-1/credit, lab/L-1.
    facility: str
    service: Service
    department: str
    amount: Decimal
    service_on: date
    collects: bool = True
