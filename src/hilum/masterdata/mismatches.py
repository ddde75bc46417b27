"""Where master data, crosswalks and posting rules do not fit each other, found before something has to be posted by them.

Pure: a ``Picture`` of one moment in, the mismatches out, each with the day from which it would stop work, why in words, and the
match that is proposed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal

from hilum.authoring.estate import CrosswalkSpec
from hilum.authoring.estate_master import MasterSpec
from hilum.masterdata.entries import CrosswalkEntry, Snapshot
from hilum.masterdata.proposals import CERTAIN, Candidates, Proposal, Thing, by_neighbours, name_likeness, propose
from hilum.masterdata.records import MasterRecord, Records
from hilum.model.posting import PostingRule

FACILITY, ACCOUNT, COST_CENTRE = "facility", "ledger_account", "cost_centre"
POSTING_RULES = "posting_rules"
CODE_MISSING, TARGET_UNKNOWN, TARGET_ENDS, ENTRY_ENDS = "code_missing", "target_unknown", "target_ends", "entry_ends"
SHARED_TARGET, NAMES_DIFFER, RULE_UNPOSTABLE, TABLE_CODE = (
    "shared_target",
    "names_differ",
    "rule_unpostable",
    "table_code",
)
_NOTHING = Decimal(0)
_NAMES_ALIKE = 0.6


@dataclass(frozen=True)
class Waiting:
    """Work that waits for a crosswalk entry: its code, what it is called, and the dollars."""

    crosswalk: str
    code: str
    name: str
    at_risk_usd: Decimal


@dataclass(frozen=True)
class Mismatch:
    """One decision for a steward. ``subject`` is a crosswalk, ``posting_rules`` or a kind of master record."""

    kind: str
    subject: str
    code: str
    facility: str
    title: str
    why: str
    from_day: date
    queue: str
    owner: str
    target: str = ""
    proposal: Proposal | None = None
    at_risk_usd: Decimal = _NOTHING

    @property
    def identity(self) -> tuple[str, str, str, str]:
        return self.kind, self.subject, self.code, self.facility


@dataclass(frozen=True)
class Picture:
    """Everything that has to fit, at one moment."""

    now: datetime
    zone: tzinfo
    facilities: Mapping[str, str]
    specs: Mapping[str, MasterSpec]
    crosswalks: Mapping[str, CrosswalkSpec]
    entries: Sequence[CrosswalkEntry]
    records: Records
    queue: str  # For what no kind of master record says a queue of.
    rules: Sequence[PostingRule] = ()
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # Kind to the estate's own codes and names.
    waiting: Sequence[Waiting] = ()
    unposted: Mapping[str, Decimal] = field(default_factory=dict)  # Account to what is staged and not posted.
    rejected: frozenset[tuple[str, str, str, str]] = frozenset()  # Subject, code, facility, target.

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()


def mismatches(picture: Picture) -> list[Mismatch]:
    """All of them, each once, in a fixed order."""
    look = _Look(picture)
    found: dict[tuple[str, str, str, str], Mismatch] = {}
    for one in look.all():
        found.setdefault(one.identity, one)
    return [found[key] for key in sorted(found)]


class _Look:
    def __init__(self, picture: Picture) -> None:
        self._p = picture
        self._today = picture.today
        self._book = Snapshot(picture.crosswalks, picture.entries, picture.zone)
        self._current: dict[str, list[MasterRecord]] = {}
        self._later: dict[str, list[MasterRecord]] = {}
        self._usable_then: dict[tuple[str, date], Candidates] = {}
        self._by_crosswalk: dict[str, list[CrosswalkEntry]] = {}
        for entry in picture.entries:
            self._by_crosswalk.setdefault(entry.crosswalk, []).append(entry)

    def all(self) -> Iterator[Mismatch]:
        for spec in self._p.crosswalks.values():
            yield from self._targets(spec)
            yield from self._ends(spec)
            yield from self._missing(spec)
            if spec.one_to_one:
                yield from self._shared(spec)
            if spec.same_names:
                yield from self._names(spec)
        yield from self._rules()
        for object, codes in self._p.tables.items():
            yield from self._table(object, codes)

    # -- what crosswalks lead to

    def _targets(self, spec: CrosswalkSpec) -> Iterator[Mismatch]:
        if not spec.means or spec.means == FACILITY or not self._p.records.told(spec.means):
            return
        horizon = self._horizon(spec.means)
        for entry in self._by_crosswalk.get(spec.name, ()):
            begins = max(entry.valid_from, self._today)
            if entry.valid_to < begins or begins > horizon:
                continue
            if self._lookup(entry, begins) != entry.target:
                continue  # Another entry is believed instead.
            known = self._find(spec.means, entry.target, entry.facility)
            owner = self._p.specs[spec.means].authority(entry.facility)
            if known is None:
                why = f"{owner} has no {_words(spec.means)} {entry.target}, to which {self._at(entry.code, entry.facility)} leads"
                yield self._of_entry(spec, entry, TARGET_UNKNOWN, begins, why, f"which {owner} does not know")
                continue
            ends = self._ends_on(known, begins, horizon)
            if ends is not None and self._lookup(entry, ends) == entry.target:
                past = "has ended" if ends <= self._today else "ends"
                why = f"the {_words(spec.means)} {_called(known)} {past} at {owner}, and {self._at(entry.code, entry.facility)} leads to it"
                yield self._of_entry(spec, entry, TARGET_ENDS, ends, why, f"which {past} at {owner}")

    def _ends(self, spec: CrosswalkSpec) -> Iterator[Mismatch]:
        horizon = self._horizon(spec.codes)
        for entry in self._by_crosswalk.get(spec.name, ()):
            after = _next_day(entry.valid_to)
            if after is None or not self._today < after <= horizon or not entry.in_force(self._today):
                continue
            if self._lookup(entry, after) is not None or self._lookup(entry, self._today) != entry.target:
                continue
            code = self._find(spec.codes, entry.code, entry.facility) if spec.codes else None
            if code is not None and not self._usable(code, after):
                continue  # The code goes out of use with its entry.
            why = f"the entry {self._at(entry.code, entry.facility)} to {entry.target} ends, and none follows"
            yield self._of_entry(spec, entry, ENTRY_ENDS, after, why, "whose entry ends with none to follow")

    def _of_entry(
        self, spec: CrosswalkSpec, entry: CrosswalkEntry, kind: str, day: date, why: str, title: str
    ) -> Mismatch:
        wanted = self._thing(spec.codes, entry.code, entry.facility)
        candidates, without = self._candidates(spec, day), {entry.target}
        rejected = self._rejected(spec.name, entry.code, entry.facility)
        proposal = None
        if kind == ENTRY_ENDS:
            target = self._find(spec.means, entry.target, entry.facility) if spec.means else None
            if entry.target not in rejected and (target is None or self._usable(target, day)):
                proposal = Proposal(entry.target, Decimal("0.900"), "it meant this until now")
        elif kind == TARGET_ENDS:
            # What takes the place of a target is like the target; what its code is like comes second.
            old = self._thing(spec.means, entry.target, entry.facility)
            proposal = propose(old, candidates, rejected=rejected, without=without)
        if proposal is None:
            proposal = propose(wanted, candidates, rejected=rejected, without=without)
        return Mismatch(
            kind=kind, subject=spec.name, code=entry.code, facility=entry.facility, target=entry.target, from_day=day,
            title=f"{_words(spec.name)}: {self._at(entry.code, entry.facility)} leads to {entry.target}, {title}",
            why=f"{why}. {self._would_stop(entry.facility, day)}", proposal=proposal,
            at_risk_usd=self._waits(spec.name, entry.code), queue=self._queue(spec.means, spec.codes), owner=spec.owner,
        )  # fmt: skip

    # -- codes without an entry

    def _missing(self, spec: CrosswalkSpec) -> Iterator[Mismatch]:
        told: dict[tuple[str, str], tuple[Thing, date]] = {}
        if spec.complete and spec.codes:
            horizon = self._horizon(spec.codes)
            for record in self._records(spec.codes):
                first = max(self._today, record.valid_from)
                if first <= horizon and record.in_force(first):
                    told[record.code, record.facility] = (_of_record(record), first)
            for upcoming, day in self._upcoming(spec.codes, horizon):
                told.setdefault((upcoming.code, upcoming.facility), (_of_record(upcoming), day))
        for waiting in self._p.waiting:
            if waiting.crosswalk == spec.name and not any(code == waiting.code for code, _ in told):
                known = self._thing(spec.codes, waiting.code, "")
                name = known.name if known.name else waiting.name
                told[waiting.code, ""] = (Thing(known.code, name, known.facility, known.attributes), self._today)
        for (code, facility), (thing, day) in told.items():
            if self._has_entry(spec.name, code, facility, day):
                continue
            waits = self._waits(spec.name, code)
            why = (
                f"{self._at(code, facility)} ({thing.name}) has no entry"
                if thing.name
                else f"{self._at(code, facility)} has no entry"
            )
            yield Mismatch(
                kind=CODE_MISSING, subject=spec.name, code=code, facility=facility, from_day=day,
                title=f"{_words(spec.name)}: {self._at(code, facility)} leads nowhere",
                why=f"{why}. {self._would_stop(facility, day) if not waits else f'{waits} USD wait for it'}",
                proposal=self._proposed(spec, thing, day), at_risk_usd=waits,
                queue=self._queue(spec.codes, spec.means), owner=spec.owner,
            )  # fmt: skip

    def _proposed(self, spec: CrosswalkSpec, wanted: Thing, day: date) -> Proposal | None:
        rejected = self._rejected(spec.name, wanted.code, wanted.facility) | self._rejected(spec.name, wanted.code, "")
        if spec.means == FACILITY:
            # A facility's own code is told by the record's place, whatever the crosswalk's scope.
            here = {"facility": wanted.facility} if wanted.facility else {}
            wanted = Thing(wanted.code, wanted.name, "", {**here, **wanted.attributes})
        direct = propose(wanted, self._candidates(spec, day), rejected=rejected)
        if direct is not None or spec.means:
            return direct
        mapped = [
            (self._thing(spec.codes, entry.code, entry.facility), entry.target)
            for entry in self._by_crosswalk.get(spec.name, ())
            if entry.in_force(day) and entry.code != wanted.code
        ]
        return by_neighbours(wanted, mapped, rejected=rejected)

    def _has_entry(self, name: str, code: str, facility: str, day: date) -> bool:
        moment = datetime.combine(day, time(12))
        if self._book.lookup(name, code, facility, moment) is not None:
            return True
        # Of a code of the whole network every facility may have an entry of its own.
        return not facility and all(self._book.lookup(name, code, each, moment) for each in self._p.facilities)

    # -- what is said twice, or differently

    def _shared(self, spec: CrosswalkSpec) -> Iterator[Mismatch]:
        by_target: dict[tuple[str, str], set[str]] = {}
        for entry in self._by_crosswalk.get(spec.name, ()):
            if entry.in_force(self._today) and self._lookup(entry, self._today) == entry.target:
                by_target.setdefault((entry.target, entry.facility), set()).add(entry.code)
        for (target, facility), codes in by_target.items():
            if len(codes) > 1:
                several = ", ".join(sorted(codes))
                yield Mismatch(
                    kind=SHARED_TARGET, subject=spec.name, code=target, facility=facility, target=target,
                    from_day=self._today, title=f"{_words(spec.name)}: {several} lead to one {target}",
                    why=f"{several} lead to {self._at(target, facility)}, and each should lead to one of its own",
                    queue=self._queue(spec.means, spec.codes), owner=spec.owner,
                )  # fmt: skip

    def _names(self, spec: CrosswalkSpec) -> Iterator[Mismatch]:
        for entry in self._by_crosswalk.get(spec.name, ()):
            if not entry.in_force(self._today) or self._lookup(entry, self._today) != entry.target:
                continue
            one = self._thing(spec.codes, entry.code, entry.facility).name
            other = self._thing(spec.means, entry.target, entry.facility).name
            alike = name_likeness(one, other)
            if alike is not None and alike < _NAMES_ALIKE:
                yield self._differs(
                    spec.name, entry.code, entry.facility, entry.target,
                    f"{entry.code} is {one!r}, and {entry.target}, to which it leads, is {other!r}",
                    self._queue(spec.means, spec.codes), spec.owner,
                )  # fmt: skip

    def _table(self, object: str, codes: Mapping[str, str]) -> Iterator[Mismatch]:
        spec = self._p.specs[object]
        if not self._p.records.told(object):
            return
        for code, name in codes.items():
            known = self._find(object, code, "")
            if known is None or not self._usable(known, self._today):
                state = "does not know it" if known is None else "has it out of use"
                yield Mismatch(
                    kind=TABLE_CODE, subject=object, code=code, facility="", from_day=self._today,
                    title=f"{_words(object)} {code} of {spec.table}: {spec.owner_system} {state}",
                    why=f"{spec.table} has {code}{f' ({name})' if name else ''}, and {spec.owner_system} {state}. Who writes a rule or an entry by "
                    "this table would be stopped",
                    proposal=propose(
                        Thing(code, name), self._usable_on(object, self._today),
                        rejected=self._rejected(object, code, ""), without={code},
                    ),
                    queue=spec.queue, owner=spec.owner,
                )  # fmt: skip
            else:
                alike = name_likeness(name, known.name)
                if alike is not None and alike < _NAMES_ALIKE:
                    why = f"{code} is {name!r} in {spec.table}, and {known.name!r} at {known.system}"
                    yield self._differs(object, code, "", code, why, spec.queue, spec.owner)

    def _differs(
        self, subject: str, code: str, facility: str, target: str, why: str, queue: str, owner: str
    ) -> Mismatch:
        return Mismatch(
            kind=NAMES_DIFFER, subject=subject, code=code, facility=facility, target=target, from_day=self._today,
            title=f"{_words(subject)}: the names of {self._at(code, facility)} differ",
            why=f"{why}. Find out whether they are one thing: what is posted by the wrong one stands in the wrong place",
            queue=queue, owner=owner,
        )  # fmt: skip

    # -- what postings need

    def _rules(self) -> Iterator[Mismatch]:
        used: dict[tuple[str, str, str], list[PostingRule]] = {}
        for rule in self._p.rules:
            places = [(ACCOUNT, rule.debit), (ACCOUNT, rule.credit), (COST_CENTRE, rule.cost_centre)]
            for object, code in places:
                if code and rule.valid_to >= self._today:
                    used.setdefault((object, code, rule.facility), []).append(rule)
        for (object, code, facility), rules in used.items():
            if object not in self._p.specs or not self._p.records.told(object):
                continue
            spec, horizon = self._p.specs[object], self._horizon(object)
            begins = max(self._today, min(rule.valid_from for rule in rules))
            if begins > horizon:
                continue
            known = self._find(object, code, facility)
            if known is None:
                day: date | None = begins
                state = f"{spec.authority(facility)} does not know it"
            elif known.attributes.get("postable") == "no":
                day, state = begins, f"nothing can be posted to it at {known.system}"
            else:
                day = self._ends_on(known, begins, horizon)
                state = f"it {'is closed' if day is not None and day <= self._today else 'closes'} at {spec.authority(facility)}"
            if day is None or all(rule.valid_to < day for rule in rules):
                continue
            old = (
                _of_record(known)
                if known is not None
                else Thing(code, self._p.tables.get(object, {}).get(code, ""), facility)
            )
            numbers = ", ".join(dict.fromkeys(rule.number for rule in rules))
            yield Mismatch(
                kind=RULE_UNPOSTABLE, subject=POSTING_RULES, code=code, facility=facility, from_day=day,
                title=f"Posting rules need {_words(object)} {code}: {state}",
                why=f"{_words(object)} {old.code}{f' ({old.name})' if old.name else ''} is needed by the posting rules {numbers}, and {state}. "
                f"{self._would_stop(facility, day)}",
                proposal=propose(
                    old, self._usable_on(object, day), rejected=self._rejected(POSTING_RULES, code, facility), without={code}
                ),
                at_risk_usd=self._p.unposted.get(code, _NOTHING), queue=spec.queue, owner=spec.owner,
            )  # fmt: skip

    # -- looking things up

    def _records(self, object: str) -> list[MasterRecord]:
        if object not in self._current:
            self._current[object] = self._p.records.at(object, self._p.now)
        return self._current[object]

    def _upcoming(self, object: str, horizon: date) -> Iterator[tuple[MasterRecord, date]]:
        """Records that begin to count between now and the horizon."""
        now = {(record.code, record.facility) for record in self._records(object) if record.active}
        for record in self._at_horizon(object):
            if (record.code, record.facility) not in now and record.active:
                day = max(self._p.records.day_of(record.since), record.valid_from)
                if self._today <= day <= horizon:
                    yield record, day

    def _at_horizon(self, object: str) -> list[MasterRecord]:
        if object not in self._later:
            self._later[object] = self._p.records.at(object, self._noon(self._horizon(object)))
        return self._later[object]

    def _find(self, object: str, code: str, facility: str) -> MasterRecord | None:
        if not object or object == FACILITY:
            return None
        found = self._p.records.find(object, code, facility, self._p.now)
        if found is None and not facility:
            # An entry of the whole network may lead to what one facility has.
            found = next((r for r in self._records(object) if r.code == code), None)
        if found is None:
            found = next(
                (
                    r for r in self._at_horizon(object)
                    if r.code == code and r.facility in (facility, "")
                ),
                None,
            )  # fmt: skip
        return found

    def _ends_on(self, record: MasterRecord, first: date, horizon: date) -> date | None:
        """The first day from ``first`` to the horizon on which it cannot be used; None when there is none."""
        days = {first}
        after = _next_day(record.valid_to)
        if after is not None:
            days.add(after)
        days |= {
            self._p.records.day_of(m) for m in self._p.records.changes(record.object, record.code, record.facility)
        }
        for day in sorted(day for day in days if first <= day <= horizon):
            if not self._usable(record, day):
                return day
        return None

    def _usable_on(self, object: str, day: date) -> Candidates:
        """What can be proposed from a day on: records in use that something can be posted to."""
        if (object, day) not in self._usable_then:
            then = (r for r in self._records(object) if r.attributes.get("postable") != "no" and self._usable(r, day))
            self._usable_then[object, day] = Candidates(_of_record(record) for record in then)
        return self._usable_then[object, day]

    def _usable(self, record: MasterRecord, day: date) -> bool:
        moment = self._p.now if day <= self._today else self._noon(day)
        then = self._p.records.find(record.object, record.code, record.facility, moment)
        return then is not None and then.in_force(day)

    def _noon(self, day: date) -> datetime:
        return datetime.combine(day, time(12), self._p.zone)

    def _thing(self, object: str, code: str, facility: str) -> Thing:
        record = self._find(object, code, facility) if object else None
        return Thing(code, facility=facility) if record is None else _of_record(record)

    def _candidates(self, spec: CrosswalkSpec, day: date) -> Candidates:
        if spec.means == FACILITY:
            return Candidates(Thing(code, name) for code, name in self._p.facilities.items())
        if not spec.means:
            return Candidates(())
        return self._usable_on(spec.means, day)

    def _lookup(self, entry: CrosswalkEntry, day: date) -> str | None:
        return self._book.lookup(entry.crosswalk, entry.code, entry.facility, datetime.combine(day, time(12)))

    def _horizon(self, object: str) -> date:
        spec = self._p.specs.get(object)
        return self._today + timedelta(days=spec.ends_within_days if spec is not None else 30)

    def _queue(self, *objects: str) -> str:
        return next((self._p.specs[object].queue for object in objects if object in self._p.specs), self._p.queue)

    def _waits(self, crosswalk: str, code: str) -> Decimal:
        found = (w.at_risk_usd for w in self._p.waiting if (w.crosswalk, w.code) == (crosswalk, code))
        return sum(found, _NOTHING)

    def _rejected(self, subject: str, code: str, facility: str) -> frozenset[str]:
        return frozenset(target for s, c, f, target in self._p.rejected if (s, c, f) == (subject, code, facility))

    def _would_stop(self, facility: str, day: date) -> str:
        whose = facility if facility else "all facilities"
        return (
            f"It stops postings of {whose}"
            if day <= self._today
            else f"It would stop postings of {whose} from {day} on"
        )

    @staticmethod
    def _at(code: str, facility: str) -> str:
        return f"{code} at {facility}" if facility else code


def _of_record(record: MasterRecord) -> Thing:
    return Thing(record.code, record.name, record.facility, record.attributes)


def _called(record: MasterRecord) -> str:
    return f"{record.code} ({record.name})" if record.name else record.code


def _words(name: str) -> str:
    return name.replace("_", " ")


def _next_day(day: date) -> date | None:
    return None if day == date.max else day + timedelta(days=1)


def certain(found: Iterable[Mismatch], crosswalks: Mapping[str, CrosswalkSpec]) -> list[Mismatch]:
    """Those whose proposal the estate lets count without a person."""
    return [
        one for one in found
        if one.kind == CODE_MISSING and one.proposal is not None and one.proposal.score >= CERTAIN
        and one.subject in crosswalks and crosswalks[one.subject].exact_matches
    ]  # fmt: skip
