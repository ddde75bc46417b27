"""Master files notification (MFN, HL7 v2.5.1 ch. 8): practitioners (M02), charge descriptions (M04) and locations (M05).

MFE-1 says what happens to a record, MFE-3 from when. Absent is unchanged, the HL7 null ``""`` takes a value away.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, datetime, tzinfo

from hilum.authoring import InvalidData
from hilum.authoring.master import Action, Scope, ToldRecord
from hilum.formats.hl7v2 import Message, Segment, parse_timestamp
from hilum.processes.master_data.telling import MasterRecordsTold, records_told

ACTIONS: dict[str, Action] = {"MAD": "stated", "MUP": "updated", "MDL": "ended", "MDC": "ended", "MAC": "resumed"}
"""Record-level event codes (HL7 table 0180)."""
DEPARTMENT_TYPES = frozenset({"D"})
"""Types of LOC-3 (HL7 table 0260) that are departments; all others are locations."""
_REPLACES = "REP"  # MFI-3: the message replaces the whole file (HL7 table 0178).
_NPI = frozenset({"NPI", "XX"})

Read = Callable[[str, list[Segment], str], ToldRecord]


def master_file_told(message: Message, *, system: str, zone: tzinfo, facilities: Collection[str]) -> MasterRecordsTold:
    """The fact of an MFN. ``facilities`` are the estate's: a record that names another one is of the whole network.

    A file that replaces another (MFI-3) is complete for what it has records of. InvalidData for what the standard does not have.
    """
    kind = message["MSH-9.2"]
    read = {"M02": _practitioner, "M04": _charge, "M05": _location}.get(kind)
    if read is None:
        raise InvalidData(f"master files of the kind {kind} are not read", detail="M02, M04 and M05 are")
    said_at = parse_timestamp(message["MSH-7"], zone)
    sender = message.get("MSH-4.1")
    here = sender if sender is not None and sender in facilities else ""
    records = []
    for entry, segments in _entries(message):
        code = entry["1"].upper()
        if code not in ACTIONS:
            raise InvalidData(f"the record-level event code {code} is none", detail="MAD, MUP, MDL, MDC or MAC (MFE-1)")
        record = read(entry["4.1"], segments, here)
        effective = entry.get("3") or message.get("MFI-5")
        action: Action = ACTIONS[code]
        if record.attributes.pop("active", None) == "I" and action in ("stated", "updated"):
            action = "ended"  # STF-7 and CDM-8: the record is there, and out of use.
        records.append(
            record.model_copy(
                update={
                    "facility": record.facility if record.facility in facilities else "",
                    "action": action,
                    "effective_at": parse_timestamp(effective, zone) if effective is not None else None,
                }
            )
        )
    complete: list[Scope] = []
    if message.get("MFI-3") == _REPLACES:
        # What is listed in a whole file is said whole, and counts from when it was said.
        records = [
            r.model_copy(update={"action": "ended" if r.action == "ended" else "stated", "effective_at": None})
            for r in records
        ]
        complete = [Scope(object=o, facility=f) for o, f in sorted({(r.object, r.facility) for r in records})]
    return records_told(system, said_at, records, complete=complete, reference=message["MSH-10"])


def _entries(message: Message) -> Iterator[tuple[Segment, list[Segment]]]:
    """Each MFE with the segments that belong to it."""
    entry: Segment | None = None
    own: list[Segment] = []
    for segment in message.segments():
        if segment.name == "MFE":
            if entry is not None:
                yield entry, own
            entry, own = segment, []
        elif entry is not None:
            own.append(segment)
    if entry is None:
        raise InvalidData("the message has no record (MFE)")
    yield entry, own


def _practitioner(code: str, segments: Sequence[Segment], here: str) -> ToldRecord:
    staff, role = _first(segments, "STF"), _first(segments, "PRA")
    attributes: dict[str, str | None] = {"kind": "practitioner"}
    name = None
    if staff is not None:
        name = _joined(staff, "3.1", "3.2")
        _take(attributes, "department", staff, "8.1")
        _take(attributes, "active", staff, "7")
    if role is not None:
        for repetition in range(1, role.repetitions("6") + 1):
            if role.get(f"6[{repetition}].2") in _NPI:
                attributes["npi"] = role.get(f"6[{repetition}].1")
        _take(attributes, "specialty", role, "5.1")
    return ToldRecord(object="provider", code=code, facility=here, name=name, attributes=attributes)


def _charge(code: str, segments: Sequence[Segment], here: str) -> ToldRecord:
    said = _first(segments, "CDM")
    attributes: dict[str, str | None] = {}
    name = None
    if said is not None:
        name = said.get("4") or said.get("3")
        _take(attributes, "procedure", said, "7.1")
        _take(attributes, "active", said, "8")
    return ToldRecord(object="charge_code", code=code, facility=here, name=name, attributes=attributes)


def _location(code: str, segments: Sequence[Segment], here: str) -> ToldRecord:
    said, department = _first(segments, "LOC"), _first(segments, "LDP")
    object, facility, name = "location", here, None
    attributes: dict[str, str | None] = {}
    valid: dict[str, date | None] = {}
    if said is not None:
        kind = said.get("3")
        object = "department" if kind in DEPARTMENT_TYPES else "location"
        place = [part for part in (said.get("1.1"), said.get("1.2"), said.get("1.3")) if part is not None]
        code = "-".join(place) if place else code
        facility = said.get("1.4.1") or here
        name = said.get("2")
        _take(attributes, "kind", said, "3")
        _take(attributes, "address", said, "5.1")
        _take(attributes, "postal_code", said, "5.5")
        _take(attributes, "phone", said, "6.1")
    if department is not None:
        _take(attributes, "department", department, "2.1")
        valid = {"valid_from": _day(department.get("7")), "valid_to": _day(department.get("8"))}
    return ToldRecord(object=object, code=code, facility=facility, name=name, attributes=attributes, **valid)


def _take(attributes: dict[str, str | None], name: str, segment: Segment, path: str) -> None:
    value = segment.get(path)
    if value is not None or segment.is_null(path):
        attributes[name] = value


def _joined(segment: Segment, *paths: str) -> str | None:
    parts = [part for path in paths if (part := segment.get(path)) is not None]
    return " ".join(parts) if parts else None


def _first(segments: Sequence[Segment], name: str) -> Segment | None:
    return next((segment for segment in segments if segment.name == name), None)


def _day(text: str | None) -> date | None:
    """The day of a timestamp; its zone does not matter for the day that was written."""
    return None if text is None else datetime.strptime(text[:8], "%Y%m%d").date()  # noqa: DTZ007
