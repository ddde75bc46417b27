"""The first half of a revenue day: patients come, move, leave, were never there or are two numbers of one person, and are charged."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import count

from hilum.testing.charges import ChargeLine, charge_message
from hilum.testing.day import LAKESHORE_TIME
from hilum.testing.day_messages import Patient, adt, merge
from hilum.testing.revenue_day_arrivals import Arrival
from hilum.testing.revenue_day_catalogue import (
    HARBOR,
    HOSPITALS,
    LABORATORY,
    PLANS,
    SERVICES,
    UNKNOWN_SERVICE,
    UNMAPPED_DEPARTMENT,
    DayCharge,
    Service,
    dollars,
)

FAMILIES = ("Zztest-Alder", "Zztest-Birch", "Zztest-Cedar", "Zztest-Elm", "Zztest-Fir", "Zztest-Hazel", "Zztest-Maple")
GIVEN = ("Avery", "Blake", "Casey", "Devon", "Emery", "Finley", "Harper", "Jules", "Kai", "Logan")


@dataclass
class Encounter:
    """One stay or visit. ``charged`` are the charges that stand on its account."""

    patient: Patient
    at: datetime
    cancelled: bool = False
    merged: bool = False
    charged: list[DayCharge] = field(default_factory=list)


@dataclass(frozen=True)
class Shares:
    """What of a whole something happens to."""

    moved: float = 0.1
    updated: float = 0.2
    left: float = 0.7
    cancelled: float = 0.01
    merged: float = 0.01
    insured: float = 0.02  # Whose coverage is new: the others were verified when they were scheduled.
    resent: float = 0.02
    of_laboratory: float = 0.2
    late: float = 0.04  # Services of the days before.
    of_morning: float = 0.02  # Told after the night that posted their day.
    corrected: float = 0.015
    unknown: float = 0.002


class Access:
    """Makes the encounters of a day, and then what is charged to them."""

    def __init__(self, rng: random.Random, on: date, *, encounters: int, charges: int, shares: Shares) -> None:
        self._rng, self._on, self._shares = rng, on, shares
        self._control = count(1)
        self._numbers = count(1)
        self.arrivals: list[Arrival] = []
        self.charges: list[DayCharge] = []
        self.members: list[dict[str, str]] = []
        self.encounters = [self._encounter(number) for number in range(1, encounters + 1)]
        self._come_and_go()
        self._charge(charges)
        self._take_back()

    # --- who is there

    def _encounter(self, number: int) -> Encounter:
        hospital = self._rng.choice(HOSPITALS)
        born = f"{self._rng.randint(1935, 2007)}{self._rng.randint(1, 12):02}{self._rng.randint(1, 28):02}"
        patient = Patient(
            self._rng.choice(FAMILIES), self._rng.choice(GIVEN), born, self._rng.choice("FM"), f"SYN-R-{number:06}",
            f"SYN-E-{number:06}", hospital.code,
        )  # fmt: skip
        return Encounter(patient, self._moment(0, 16))

    def _come_and_go(self) -> None:
        shares, rng = self._shares, self._rng
        insured = max(2, round(shares.insured * len(self.encounters)))
        for number, each in enumerate(self.encounters):
            ward = f"{each.patient.facility.replace('-', '')[:3]}-WARD"
            coverage = self._coverage(each.patient) if number < insured else None
            self._tell("A04", each, each.at, ward, insured=coverage)
            if rng.random() < shares.moved:
                self._tell("A02", each, each.at + self._minutes(10, 90), f"{ward}-2", before=ward)
            if rng.random() < shares.updated:
                self._tell("A08", each, each.at + self._minutes(5, 300), ward)
            if rng.random() < shares.left:
                self._tell("A03", each, each.at + self._minutes(200, 420), ward)

    def _coverage(self, patient: Patient) -> tuple[str, str]:
        member = f"W-{patient.account}"
        born = f"{patient.born[:4]}-{patient.born[4:6]}-{patient.born[6:]}"
        self.members.append(
            {
                "member": member, "family_name": patient.family, "given_name": patient.given, "birth_date": born,
                "plan": "HARBOR GOLD",
            }
        )  # fmt: skip
        return HARBOR.number, member

    def _take_back(self) -> None:
        """Some admissions never were; some patients are another one. Of each kind at least one has charges: they come in the morning."""
        shares = self._shares
        most = max(2, round(shares.cancelled * len(self.encounters)))
        charged = [each for each in self.encounters if sum(one.amount for one in each.charged) > 0]
        bare = [each for each in self.encounters if not each.charged]
        for each in [*bare[: most - 1], charged[-1]]:
            each.cancelled = True
            self._tell("A11", each, self._morning(), "GONE", morning=True)
        pairs = max(2, round(shares.merged * len(self.encounters)))
        for hospital in HOSPITALS:
            here = [e for e in charged[:-1] if e.patient.facility == hospital.code][: 2 * max(1, pairs // 3)]
            for survivor, other in zip(here[::2], here[1::2], strict=False):
                other.merged = True
                at = self._morning()
                message = merge(survivor.patient, other.patient, control_id=self._next_control(), at=at)
                self.arrivals.append(Arrival(at, "ehr", message.encode(), hospital.code, morning=True))

    # --- what is charged

    def _charge(self, total: int) -> None:
        shares = self._shares
        of_laboratory = round(shares.of_laboratory * total)
        corrections = max(2, round(shares.corrected * total))
        unknown = max(2, round(shares.unknown * total))
        of_morning = max(3, round(shares.of_morning * total))
        ordinary = total - of_laboratory - 3 * corrections - unknown - of_morning
        for lines in self._groups(ordinary):
            self._dft(self._someone(), lines)
        for _ in range(corrections):
            self._correct(self._someone())
        for number in range(unknown):
            self._unplaced(self._someone(), number)
        for lines in self._groups(of_morning):
            self._dft(self._someone(), [(service, self._on) for service, _ in lines], morning=True)
        self._laboratory(of_laboratory)

    def _groups(self, total: int) -> Iterator[list[tuple[Service, date]]]:
        """Services with their days, those of one message together."""
        while total > 0:
            size = min(total, self._rng.randint(1, 5))
            total -= size
            yield [(self._rng.choice(SERVICES), self._service_day()) for _ in range(size)]

    def _dft(self, encounter: Encounter, lines: list[tuple[Service, date]], *, morning: bool = False) -> None:
        made = [self._line(encounter, service, on) for service, on in lines]
        at = self._morning() if morning else encounter.at + self._minutes(20, 300)
        self._send(encounter, [line for _, line in made], at, morning=morning)

    def _correct(self, encounter: Encounter) -> None:
        """A charge, the credit that takes it back, and the right one: the credit may come first."""
        on = self._service_day()
        wrong, line = self._line(encounter, self._rng.choice(SERVICES), on)
        own = self._rng.random() < 0.5  # Whether the credit carries the charge's number, or names it.
        number = line.number if own else f"K-{next(self._numbers):06}"
        credit = ChargeLine(
            number, line.amount if self._rng.random() < 0.5 else -line.amount, line.code, "CR", on, line.department, line.payer,
            "" if own else line.number,
        )  # fmt: skip
        back = DayCharge(f"ehr/{number}/credit", wrong.facility, wrong.service, wrong.department, -wrong.amount, on)
        self._keep(encounter, back)
        _, right = self._line(encounter, self._rng.choice(SERVICES), on)
        at = encounter.at + self._minutes(20, 200)
        early = self._rng.random() < 0.3
        self._send(encounter, [line], at)
        self._send(encounter, [credit, right], at + self._minutes(-15, -5) if early else at + self._minutes(5, 60))

    def _unplaced(self, encounter: Encounter, number: int) -> None:
        on = self._on
        if number % 2:
            _, line = self._line(encounter, UNKNOWN_SERVICE, on, collects=False)
        else:
            _, line = self._line(
                encounter, self._rng.choice(SERVICES), on, department=UNMAPPED_DEPARTMENT, collects=False
            )
        self._send(encounter, [line], encounter.at + self._minutes(20, 300))

    def _laboratory(self, total: int) -> None:
        """Each hospital's laboratory writes files; one of them is sent a second time under another name."""
        per_file = max(20, min(2000, total // 6))
        by_hospital: dict[str, list[list[str]]] = {hospital.code: [] for hospital in HOSPITALS}
        for number in range(total):
            encounter = self._someone()
            service, on = self._rng.choice(LABORATORY), self._service_day()
            amount = self._price(service)
            facility = encounter.patient.facility
            self._keep(encounter, DayCharge(f"lab/L-{number:06}", facility, service, service.department, amount, on))
            plan = self._rng.choice((*(plan.number for plan in PLANS), ""))
            by_hospital[facility].append(
                [f"L-{number:06}", "CG", "", facility, encounter.patient.account, service.department, service.code, "Panel",
                 "1", f"{amount:.2f}", f"{on}", plan]
            )  # fmt: skip
        for facility, rows in by_hospital.items():
            for at in range(0, len(rows), per_file):
                data = charge_table(rows[at : at + per_file])
                name = f"lab-{facility.lower()}-{at // per_file + 1}.csv"
                self.arrivals.append(Arrival(self._moment(18, 21), "lab", data, facility, name))
                if not at and facility == HOSPITALS[0].code:
                    again = f"lab-{facility.lower()}-again.csv"
                    self.arrivals.append(Arrival(self._moment(21, 22), "lab", data, facility, again, repeats=True))

    def _line(
        self, encounter: Encounter, service: Service, on: date, *, department: str = "", collects: bool = True
    ) -> tuple[DayCharge, ChargeLine]:
        number, amount = f"C-{next(self._numbers):06}", self._price(service)
        where = department if department else service.department
        charge = DayCharge(f"ehr/{number}", encounter.patient.facility, service, where, amount, on, collects)
        self._keep(encounter, charge)
        payer = self._rng.choice((*(plan.number for plan in PLANS), ""))
        return charge, ChargeLine(number, amount, service.code, "CG", on, where, payer)

    def _keep(self, encounter: Encounter, charge: DayCharge) -> None:
        self.charges.append(charge)
        encounter.charged.append(charge)

    def _price(self, service: Service) -> Decimal:
        return dollars(self._rng.randint(service.from_cents, service.to_cents))

    def _send(self, encounter: Encounter, lines: list[ChargeLine], at: datetime, *, morning: bool = False) -> None:
        patient = encounter.patient
        data = charge_message(
            lines, control_id=self._next_control(), facility=patient.facility, account=patient.account
        )
        self.arrivals.append(Arrival(at, "ehr", data, patient.facility, morning=morning))
        if self._rng.random() < self._shares.resent:
            # Sent again as a new message: only what it says is the same.
            again = charge_message(
                lines, control_id=self._next_control(), facility=patient.facility, account=patient.account
            )
            later = at + self._minutes(1, 10)
            self.arrivals.append(Arrival(later, "ehr", again, patient.facility, morning=morning, repeats=True))

    # --- when

    def _tell(
        self, trigger: str, encounter: Encounter, at: datetime, location: str, *, before: str = "", morning: bool = False,
        insured: tuple[str, str] | None = None,
    ) -> None:  # fmt: skip
        message = adt(
            trigger, encounter.patient, control_id=self._next_control(), at=at, location=location, before=before,
            insured=insured,
        )  # fmt: skip
        self.arrivals.append(Arrival(at, "ehr", message.encode(), encounter.patient.facility, morning=morning))

    def _someone(self) -> Encounter:
        return self._rng.choice(self.encounters)

    def _service_day(self) -> date:
        return self._on - timedelta(days=self._rng.randint(1, 3) if self._rng.random() < self._shares.late else 0)

    def _moment(self, first_hour: int, last_hour: int) -> datetime:
        begin = datetime.combine(self._on, time(first_hour), LAKESHORE_TIME)
        return begin + timedelta(seconds=self._rng.randrange((last_hour - first_hour) * 3600))

    def _morning(self) -> datetime:
        return self._moment(6, 8) + timedelta(days=1)

    def _minutes(self, least: int, most: int) -> timedelta:
        return timedelta(seconds=self._rng.randint(least * 60, most * 60))

    def _next_control(self) -> str:
        return f"RD{self._on:%y%m%d}{next(self._control):07}"


def charge_table(rows: list[list[str]]) -> bytes:
    """A file as the laboratory writes it (docs/charges.md)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["charge_id", "kind", "takes_back", "facility", "account", "department", "charge_code", "description", "quantity",
         "amount", "service_date", "payer"]
    )  # fmt: skip
    writer.writerows(rows)
    return text.getvalue().encode()
