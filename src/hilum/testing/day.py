"""A day at Lakeshore: everything three hospitals send, and what the books must say when it is over.

``make_day(seed, usages=60, tables=...)`` is deterministic. The day holds what real days hold: patients who arrive,
move and leave; implants charged by the EHR, scanned by the inventory platform, or both; resends; a charge code nobody
knows, a department nobody mapped, an item without a contract, a shelf that holds less than its books; one message that
is not right. Names, numbers and lots are made up and look it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from hilum.testing.day_books import Books, Position, Remedies, reckon
from hilum.testing.day_catalogue import USED_IN, Catalogue, Place
from hilum.testing.day_messages import Device, Patient, Usage, adt, dft, scan

LAKESHORE_TIME = ZoneInfo("America/Chicago")
UNKNOWN_CHARGE_CODE = "IMP-2050"
UNMAPPED_DEPARTMENT = "HYBRID"
FEWEST_PLAIN_USAGES = 5

_FAMILIES = ("Zztest-Alder", "Zztest-Birch", "Zztest-Cedar", "Zztest-Elm", "Zztest-Fir", "Zztest-Hazel", "Zztest-Maple")
_GIVEN = ("Avery", "Blake", "Casey", "Devon", "Emery", "Finley", "Harper", "Jules", "Kai", "Logan")


@dataclass(frozen=True)
class Action:
    """One thing a neighbour sends. ``message`` is HL7 with CR between segments, or the webhook's JSON."""

    at: datetime
    actor: Literal["ehr", "inventory"]
    message: str
    usage_ids: tuple[str, ...] = ()  # What it reports; empty for ADT.
    control_id: str = ""  # MSH-10 of what the EHR sends.
    accepted: bool = True  # Whether the receiver takes it: AA or 2xx.
    repeats: bool = False  # Whether all facts in it were reported before.


@dataclass(frozen=True)
class Sent:
    """What the platform must have counted of a whole day."""

    messages: int
    refused: int
    repeated: int  # Accepted, and without effect because everything in them was reported before.
    usage_reports: int  # FT1 segments and scans of accepted messages, repeated ones included.
    facts: int  # Different usages in them.
    registrations: int
    transfers: int
    discharges: int


@dataclass(frozen=True)
class Day:
    """A generated day. ``positions`` is what the shelves hold in the morning."""

    on: date
    actions: tuple[Action, ...]
    usages: tuple[Usage, ...]
    positions: tuple[Position, ...]
    catalogue: Catalogue = field(repr=False)
    sent: Sent

    def books(self, remedies: Remedies | None = None) -> Books:
        """The books at the end of the day; with ``remedies``, after everything was put right and released."""
        return reckon(self.usages, self.positions, self.catalogue, remedies)

    def remedies(self) -> Remedies:
        """One right answer to each of the day's exceptions, after which nothing waits."""
        short = {}
        for waiting in self.books().work_items:
            if waiting.failure == "StockBelowZero":
                item, _, location = waiting.cause.partition(" at ")
                short[location, item] = waiting.cases
        theatres = {p.facility: p for p in self.catalogue.places if p.department == "OR"}
        unmapped = {u.facility for u in self.usages if u.place is None}
        return Remedies(
            charge_codes={UNKNOWN_CHARGE_CODE: "SCREW-3"},
            places=tuple(
                Place(facility, UNMAPPED_DEPARTMENT, theatres[facility].location, theatres[facility].cost_centre)
                for facility in sorted(unmapped)
            ),
            contract_prices_usd={
                p.item: Decimal("512.00") for p in self.catalogue.products.values() if p.contract_price_usd is None
            },
            counted_more=short,
        )

    def positions_json(self) -> list[dict[str, Any]]:
        """As ``simulated_inventory`` takes them."""
        return [dict(vars(position)) for position in self.positions]


def make_day(
    seed: int,
    *,
    usages: int = 60,
    tables: Path,
    on: date = date(2026, 3, 2),
    unknown_items: int = 12,
    unmapped_departments: int = 2,
    unpriced: int = 2,
    overdrawn: int = 2,
    pairs: int = 1,
    malformed: int = 1,
    scanned_share: float = 0.4,
    resent_share: float = 0.1,
) -> Day:
    """Make a day with ``usages`` different usages.

    ``unknown_items`` of them are of one unknown charge code, ``unmapped_departments`` in a department without a
    place, ``unpriced`` of an item without a contract, ``overdrawn`` more than their shelf holds; ``pairs`` messages
    carry two FT1; ``malformed`` messages are sent besides. ``scanned_share`` of the others are scanned as well,
    ``resent_share`` of all messages are sent twice. ``ValueError`` when ``usages`` leaves no room for plain ones.
    """
    wanted = _Wanted(unknown_items, unmapped_departments, unpriced, overdrawn, pairs)
    plain = usages - wanted.special
    if plain < FEWEST_PLAIN_USAGES:
        raise ValueError(f"{usages} usages are too few: these exceptions need {wanted.special + FEWEST_PLAIN_USAGES}")
    catalogue = Catalogue.read(tables)
    rng = random.Random(seed)
    theatre = _Theatre(rng, catalogue, on)
    groups = theatre.groups(wanted, plain)
    happened = tuple(usage for group in groups for usage in group)
    desk = _Desk(rng, on)
    desk.comings_and_goings(happened)
    for group in groups:
        desk.charge(group, scanned_share)
    for number in range(malformed):
        desk.malformed(groups[number % len(groups)][0], number)
    actions = desk.actions(resent_share)
    return Day(on, actions, happened, theatre.positions(happened, overdrawn), catalogue, desk.sent(actions))


@dataclass(frozen=True)
class _Wanted:
    unknown_items: int
    unmapped_departments: int
    unpriced: int
    overdrawn: int
    pairs: int

    @property
    def special(self) -> int:
        # A shelf that runs short must have held something first.
        short = self.overdrawn + 2 if self.overdrawn else 0
        return self.unknown_items + self.unmapped_departments + self.unpriced + short + 2 * self.pairs


class _Theatre:
    """What happens at the tables."""

    def __init__(self, rng: random.Random, catalogue: Catalogue, on: date) -> None:
        self._rng = rng
        self._catalogue = catalogue
        self._on = on
        self._patients = count(1001)
        self._serials = count(5001)
        self._short = self._place("CATH"), "PACER-2"

    def groups(self, wanted: _Wanted, plain: int) -> list[list[Usage]]:
        """Usages in the order they happen; those of one list are charged in one message."""
        make: list[Callable[[datetime, Iterator[str]], list[Usage]]] = []
        make += [self._of_unknown_item] * wanted.unknown_items
        make += [self._in_unmapped_department] * wanted.unmapped_departments
        make += [self._unpriced] * wanted.unpriced
        make += [self._from_short_shelf] * (wanted.overdrawn + 2 if wanted.overdrawn else 0)
        make += [self._pair] * wanted.pairs
        make += [self._plain] * plain
        self._rng.shuffle(make)
        begin = datetime.combine(self._on, time(7, 30), LAKESHORE_TIME)
        moments = sorted(self._rng.sample(range(10 * 3600), len(make)))
        ids = (f"U-{number}" for number in count(1001))
        return [one(begin + timedelta(seconds=moment), ids) for one, moment in zip(make, moments, strict=True)]

    def positions(self, happened: tuple[Usage, ...], overdrawn: int) -> tuple[Position, ...]:
        """The morning's shelves: enough everywhere but on the short one; about half will be reordered."""
        used: dict[tuple[str, str], int] = {}
        for place in self._catalogue.places:
            for item in USED_IN[place.department]:
                used[place.location, item] = 0
        for usage in happened:
            if usage.item is not None and usage.place is not None:
                used[usage.place.location, usage.item] += usage.quantity
        short = self._short[0].location, self._short[1]
        # Whoever maps the unknown charge code and department later finds enough as well.
        spare = 2 * sum(usage.item is None or usage.place is None for usage in happened)
        shelves = []
        for number, ((location, item), taken) in enumerate(sorted(used.items())):
            if (location, item) == short and overdrawn:
                shelves.append(Position(location, item, taken - overdrawn, 1, taken + 4))
            elif number % 2 and taken and self._catalogue.products[item].contract_price_usd is not None:
                left = spare + self._rng.randint(0, 3)
                shelves.append(Position(location, item, left + taken, left + taken // 2, left + 2 * taken + 4))
            else:
                point = self._rng.randint(1, 4)
                shelves.append(Position(location, item, spare + taken + point + 1, point, spare + taken + point + 8))
        return tuple(shelves)

    def _place(self, *departments: str) -> Place:
        return self._rng.choice([p for p in self._catalogue.places if not departments or p.department in departments])

    def _patient(self, facility: str) -> Patient:
        number = next(self._patients)
        return Patient(
            family=self._rng.choice(_FAMILIES),
            given=self._rng.choice(_GIVEN),
            born=f"{self._rng.randint(1935, 1990)}{self._rng.randint(1, 12):02}{self._rng.randint(1, 28):02}",
            sex=self._rng.choice("FM"),
            mrn=f"SYN-M-{number}",
            account=f"SYN-A-{number}",
            facility=facility,
        )

    def _usage(self, usage_id: str, at: datetime, place: Place, item: str, patient: Patient, *, label: bool) -> Usage:
        product = self._catalogue.products[item]
        device = None
        if label and product.device_identifier is not None:
            lot = f"LOT{self._rng.randint(100, 999)}"
            device = Device(product.device_identifier, lot, f"SN{next(self._serials)}", "291231")
        quantity = self._rng.randint(1, 6) if item == "SCREW-3" else 1
        return Usage(
            usage_id=usage_id,
            at=at,
            patient=patient,
            facility=place.facility,
            department=place.department,
            charge_code=product.charge_code,
            description=product.name,
            quantity=quantity,
            charge_usd=product.list_price_usd * quantity,
            device=device,
            item=item,
            place=place,
        )

    def _plain(self, at: datetime, ids: Iterator[str]) -> list[Usage]:
        place = self._place()
        # The unpriced item and the short shelf have their own numbers of usages.
        items = [i for i in USED_IN[place.department] if self._catalogue.products[i].contract_price_usd is not None]
        items = [i for i in items if (place, i) != self._short]
        label = self._rng.random() < 0.85
        return [self._usage(next(ids), at, place, self._rng.choice(items), self._patient(place.facility), label=label)]

    def _pair(self, at: datetime, ids: Iterator[str]) -> list[Usage]:
        """A stem with its label and its screws: two FT1 in one message, and the PRT belongs to the first."""
        place = self._place("OR")
        patient = self._patient(place.facility)
        first = self._usage(next(ids), at, place, "HIP-40", patient, label=True)
        return [first, self._usage(next(ids), at + timedelta(seconds=1), place, "SCREW-3", patient, label=False)]

    def _of_unknown_item(self, at: datetime, ids: Iterator[str]) -> list[Usage]:
        place = self._place("OR")
        return [
            Usage(
                usage_id=next(ids),
                at=at,
                patient=self._patient(place.facility),
                facility=place.facility,
                department=place.department,
                charge_code=UNKNOWN_CHARGE_CODE,
                description="Cortical screw 3.5 mm titanium",
                quantity=1,
                charge_usd=Decimal("74.00"),
                place=place,
            )
        ]

    def _in_unmapped_department(self, at: datetime, ids: Iterator[str]) -> list[Usage]:
        facility = self._catalogue.places[0].facility
        nowhere = Place(facility, UNMAPPED_DEPARTMENT, "", "")
        usage = self._usage(next(ids), at, nowhere, "KNEE-99", self._patient(facility), label=True)
        return [replace(usage, place=None)]

    def _unpriced(self, at: datetime, ids: Iterator[str]) -> list[Usage]:
        place = self._place("OR")
        return [self._usage(next(ids), at, place, "MESH-20", self._patient(place.facility), label=False)]

    def _from_short_shelf(self, at: datetime, ids: Iterator[str]) -> list[Usage]:
        place, item = self._short
        return [self._usage(next(ids), at, place, item, self._patient(place.facility), label=True)]


@dataclass(frozen=True)
class _Draft:
    """A message before its control id is known: senders number in the order of sending."""

    at: datetime
    write: Callable[[str, datetime], str]
    usage_ids: tuple[str, ...] = ()
    accepted: bool = True


class _Desk:
    """Who sends what when."""

    def __init__(self, rng: random.Random, on: date) -> None:
        self._rng = rng
        self._on = on
        self._drafts: list[_Draft] = []
        self._scans: list[Action] = []
        self._moves = {"A04": 0, "A02": 0, "A03": 0}

    def comings_and_goings(self, happened: tuple[Usage, ...]) -> None:
        """Every patient is registered before the first implant; some move, most leave."""
        for patient in dict.fromkeys(usage.patient for usage in happened):
            own = [usage for usage in happened if usage.patient == patient]
            ward, theatre = f"{patient.facility.replace('-', '')[:3]}-WARD", own[0].department
            self._move("A04", patient, own[0].at - self._minutes(30, 90), ward)
            if self._rng.random() < 0.3:
                self._move("A02", patient, own[0].at - self._minutes(5, 25), theatre, before=ward)
            if self._rng.random() < 0.7:
                self._move("A03", patient, own[-1].at + self._minutes(60, 240), ward)

    def charge(self, group: list[Usage], scanned_share: float) -> None:
        """One DFT, perhaps repeated under a new control id, and perhaps a scan before or after it."""
        # What waits for a person is reported once, so that its cause is told by one reporter.
        plain = len(group) == 1 and group[0].item is not None and group[0].place is not None
        charged_at = group[0].at + self._minutes(2, 10)
        chance = self._rng.random()
        only_scanned = plain and group[0].device is not None and chance < scanned_share / 5
        if not only_scanned:
            self._charged(group, charged_at)
            if self._rng.random() < 0.05:
                self._charged(group, charged_at + self._minutes(60, 120))
        if plain and chance < scanned_share:
            usage = group[0]
            at = usage.at + (timedelta(seconds=40) if self._rng.random() < 0.5 else self._minutes(15, 60))
            self._scans.append(Action(at, "inventory", scan(usage), (usage.usage_id,)))

    def malformed(self, like: Usage, number: int) -> None:
        """A charge whose quantity got lost on the way: refused, stored, and never a fact."""
        lost = replace(like, usage_id=f"U-9{number:03}", device=None)

        def write(control_id: str, at: datetime) -> str:
            return dft([lost], control_id=control_id, at=at, without_quantity=True)

        self._drafts.append(_Draft(like.at + self._minutes(5, 20), write, (lost.usage_id,), accepted=False))

    def actions(self, resent_share: float) -> tuple[Action, ...]:
        """Everything in the order of sending, with control ids and resends."""
        actions = list(self._scans)
        for number, draft in enumerate(sorted(self._drafts, key=lambda d: d.at), 1):
            control_id = f"LKS{self._on:%y%m%d}{number:06}"
            message = draft.write(control_id, draft.at)
            action = Action(draft.at, "ehr", message, draft.usage_ids, control_id, draft.accepted)
            actions.append(action)
            if draft.accepted and self._rng.random() < resent_share:
                actions.append(replace(action, at=draft.at + self._minutes(1, 4)))
        known: set[str] = set()
        told = []
        for action in sorted(actions, key=lambda a: a.at):
            facts = set(action.usage_ids) or {action.control_id}
            told.append(replace(action, repeats=action.accepted and facts <= known))
            if action.accepted:
                known |= facts
        return tuple(told)

    def sent(self, actions: tuple[Action, ...]) -> Sent:
        reports = [usage_id for action in actions if action.accepted for usage_id in action.usage_ids]
        return Sent(
            messages=len(actions),
            refused=sum(not action.accepted for action in actions),
            repeated=sum(action.repeats for action in actions),
            usage_reports=len(reports),
            facts=len(set(reports)),
            registrations=self._moves["A04"],
            transfers=self._moves["A02"],
            discharges=self._moves["A03"],
        )

    def _charged(self, group: list[Usage], at: datetime) -> None:
        def write(control_id: str, at: datetime) -> str:
            return dft(group, control_id=control_id, at=at)

        self._drafts.append(_Draft(at, write, tuple(usage.usage_id for usage in group)))

    def _move(self, trigger: str, patient: Patient, at: datetime, location: str, before: str = "") -> None:
        def write(control_id: str, at: datetime) -> str:
            return adt(trigger, patient, control_id=control_id, at=at, location=location, before=before)

        self._drafts.append(_Draft(at, write))
        self._moves[trigger] += 1

    def _minutes(self, least: int, most: int) -> timedelta:
        return timedelta(seconds=self._rng.randint(least * 60, most * 60))
