"""From bytes to events: parse at the door, map, and say in the standard's words what was wrong.

Pure: no input or output, no clock, no keys. One ``Reception`` is everything the store must know of one message, in clear;
``intake`` seals it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from typing import Any, get_args

import orjson
from pydantic import BaseModel, ValidationError

from hilum.authoring.contract import Agreed, Contract, getter, key_fields, marked
from hilum.authoring.estate import Estate
from hilum.authoring.failures import Rejected
from hilum.authoring.flow import BAI2, TABLE, Mapping
from hilum.formats import bai2, hl7v2, tabular, x12
from hilum.formats.findings import FormatError
from hilum.model.identifiers import Identifier

log = logging.getLogger(__name__)

ACCEPTED, DUPLICATE, REFUSED = "accepted", "duplicate", "refused"
API = "api"
"""The transport of facts that an operation took in: their bytes are the event itself, and no mapping read them."""


@dataclass(slots=True)
class Problem:
    """Why a message was refused: a code of HL7 table 0357, a sentence without PHI, and where."""

    code: str
    text: str
    location: str = ""
    unsupported: bool = False  # The message can never be taken as it is: AR rather than AE.

    def __str__(self) -> str:
        return f"{self.code}: {self.text}" + (f" at {self.location}" if self.location else "")


@dataclass(slots=True)
class PreparedEvent:
    """One event, ready for the store."""

    type: str
    version: int
    key: str
    facility: str
    mapping: str
    payload: bytes
    identities: list[bytes]
    agreed: bytes | None
    keys: list[tuple[str, str]]  # (value, kind)
    copy_of: str | None = None
    ordering: str = ""  # The field that gave the key; it says whether the key is stored as it is.


@dataclass(slots=True)
class Reception:
    """One message, parsed as far as it could be."""

    system: str
    transport: str
    peer: str
    raw: bytes
    digest: bytes
    type: str = ""
    control_id: str = ""
    problem: Problem | None = None
    events: list[PreparedEvent] = field(default_factory=list)
    copy_of: str | None = None

    @classmethod
    def refused(cls, system: str, transport: str, peer: str, raw: bytes, problem: Problem) -> Reception:
        """Bytes that could not be read at all, kept as the evidence of what was refused."""
        return cls(system, transport, peer, raw, sha256(raw).digest(), problem=problem)


class _Prepared:
    """A contract's fields compiled to what the hot path reads."""

    __slots__ = ("agreed", "facility", "identities", "key", "keys", "name", "ordering", "version")

    def __init__(self, contract: type[Contract], ordering: str) -> None:
        self.name = contract.type_name()
        self.version = contract.contract_version
        self.identities = [
            (f"{self.name}\x1f{'+'.join(paths)}".encode(), [getter(path) for path in paths])
            for paths in contract.identities
        ]
        self.ordering = ordering
        self.key = getter(ordering)
        self.facility = getter("facility") if "facility" in contract.model_fields else None
        self.keys = key_fields(contract)
        self.agreed = marked(contract, Agreed)

    def event(self, event: Contract, mapping: str) -> PreparedEvent:
        identities = []
        for prefix, getters in self.identities:
            values = [get(event) for get in getters]
            if None not in values:
                digest = blake2b(prefix, digest_size=16)
                for value in values:
                    digest.update(b"\x1f" + value.encode())  # type: ignore[union-attr]
                identities.append(digest.digest())
        agreed = None
        if self.agreed:
            text = "\x1f".join(str(getattr(event, name)) for name in self.agreed)
            agreed = blake2b(text.encode(), digest_size=16).digest()
        keys = []
        for kind, name in self.keys:
            value = getattr(event, name)
            if value is not None:
                every = value if isinstance(value, tuple) else (value,)
                keys += [(each.value if isinstance(each, Identifier) else str(each), kind) for each in every]
        return PreparedEvent(
            type=self.name,
            version=self.version,
            key=self.key(event) or "",
            facility=(self.facility(event) or "") if self.facility is not None else "",
            mapping=mapping,
            payload=event.model_dump_json().encode(),
            identities=identities,
            agreed=agreed,
            keys=keys,
            ordering=self.ordering,
        )


class Reader:
    """Reads every system's messages by the estate's mappings."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._mappings: dict[tuple[str, str], tuple[Mapping[Any], str]] = {
            (m.source.name, m.message): (m, f"{m.name}@{m.version}") for m in estate.mappings
        }
        self._prepared: dict[type[Contract], _Prepared] = {}
        for contract in estate.contracts.values():
            self._prepared[contract] = _Prepared(contract, ordering_of(estate, contract))
        self._versions = {
            name: frozenset(spec.listen.mllp.versions) if spec.listen.mllp is not None else frozenset()
            for name, spec in estate.systems.items()
        }

    def hl7(self, system: str, transport: str, peer: str, raw: bytes) -> tuple[Reception, hl7v2.Header | None]:
        """Read an HL7 v2 message; the header comes back for the acknowledgement, even of a broken message."""
        reception = Reception(system, transport, peer, raw, sha256(raw).digest())
        header: hl7v2.Header | None = None
        try:
            if transport == "mllp" and hl7v2.wide_codec(raw) is not None:
                # MLLP's frame is made of bytes that UTF-16 and UTF-32 are full of (HL7 Transport Specification: MLLP).
                raise hl7v2.HL7ParseError(
                    hl7v2.Code.DATA_TYPE, "MLLP carries neither UTF-16 nor UTF-32; send UNICODE UTF-8", "MSH-18"
                )
            header = hl7v2.header_of(raw)
            reception.type = _conventional(_HL7_TYPE, header.type)
            reception.control_id = _conventional(_CONTROL_ID, header.control_id)
            versions = self._versions.get(system)
            if versions and header.version not in versions:
                version = _conventional(_HL7_VERSION, header.version)
                reception.problem = Problem(
                    "203",
                    f"version {version or 'missing'} is not agreed; send one of {', '.join(sorted(versions))}",
                    "MSH-12",
                    True,
                )
                return reception, header
            if not header.control_id:
                reception.problem = Problem("101", "the message control id is required", "MSH-10", True)
                return reception, header
            known = self._mappings.get((system, header.type or ""))
            if known is None:
                reception.problem = Problem(
                    "200", f"message type {reception.type or 'missing'} is not taken from {system}", "MSH-9", True
                )
                return reception, header
            message = hl7v2.Message.parse(raw, header)
            self._map(reception, known, message)
            if not reception.events and reception.problem is None:
                # Nothing happened, says the mapping: but a message that lacks a segment its type needs says nothing at all.
                # Other departures from the standard are the contract's business; an interface that works is not refused.
                lacks = next((f for f in hl7v2.validate(message) if f.severity == "error" and f.code == "100"), None)
                if lacks is not None:
                    reception.problem = Problem(lacks.code, lacks.text, lacks.location or "")
        except hl7v2.HL7Error as error:
            reception.problem = Problem(error.code, error.text, error.location or "", header is None)
        return reception, header

    def x12(self, system: str, transport: str, peer: str, raw: bytes) -> Reception:
        """Read one X12 interchange: each transaction by the mapping of its set (ST01), all of them or none.

        What is not whole is refused here: control numbers and counts tell a file that was cut or joined. Whether what it says
        is in good order and adds up is for the mapping and the flow to judge: it is a fact that a partner said so.
        """
        reception = Reception(system, transport, peer, raw, sha256(raw).digest())
        try:
            document = x12.parse(raw)
            transactions = document.transactions
            reception.type = "+".join(sorted({_conventional(_SET_ID, each.set_id) for each in transactions}))
            reception.control_id = _conventional(_CONTROL_ID, document.interchanges[0].header[13].strip())
            broken = next((f for f in document.envelope_findings if f.severity == "error"), None)
            if broken is not None:
                reception.problem = Problem(broken.code, broken.text, broken.location or "")
                return reception
            if len(document.interchanges) != 1 or not transactions:
                reception.problem = Problem("024", "one interchange with at least one transaction is taken at a time")
                return reception
            events: list[PreparedEvent] = []
            for transaction in transactions:
                known = self._mappings.get((system, transaction.set_id))
                if known is None:
                    named = _conventional(_SET_ID, transaction.set_id) or "missing"
                    reception.problem = Problem(
                        "1", f"transaction set {named} is not taken from {system}", "ST01", True
                    )
                else:
                    self._map(reception, known, transaction)
                if reception.problem is not None:
                    reception.events = []
                    return reception
                events += reception.events
            reception.events = events
        except FormatError as error:
            reception.problem = Problem(error.code, error.text, error.location or "", True)
        return reception

    def bai2(self, system: str, transport: str, peer: str, raw: bytes) -> Reception:
        """Read a bank's file. One whose totals or counts are not those of what it holds is refused, with the difference."""
        reception = Reception(system, transport, peer, raw, sha256(raw).digest(), type=BAI2)
        try:
            file = bai2.parse(raw)
            reception.control_id = _conventional(_CONTROL_ID, f"{file.created_on:%y%m%d}-{file.number}")
            wrong = [finding for finding in bai2.validate(file) if finding.severity == "error"]
            if wrong:
                told = "; ".join(f"{each.text} at {each.location}" for each in wrong[:_MOST_TOLD])
                reception.problem = Problem(wrong[0].code, told)
                return reception
            self._whole(reception, BAI2, file)
        except FormatError as error:
            reception.problem = Problem(error.code, error.text, error.location or "", True)
        return reception

    def table(self, system: str, transport: str, peer: str, raw: bytes) -> Reception:
        """Read delimited text: the mapping knows the columns, and reads its rows."""
        reception = Reception(system, transport, peer, raw, sha256(raw).digest(), type=TABLE)
        try:
            self._whole(reception, TABLE, tabular.parse(raw))
        except FormatError as error:
            reception.problem = Problem(error.code, error.text, error.location or "", True)
        return reception

    def _whole(self, reception: Reception, kind: str, document: object) -> None:
        """By the one mapping of its system that takes such files."""
        known = self._mappings.get((reception.system, kind))
        if known is None:
            reception.problem = Problem("type", f"{kind} files are not taken from {reception.system}", unsupported=True)
        else:
            self._map(reception, known, document)

    def json(self, system: str, transport: str, peer: str, raw: bytes, type_field: str) -> Reception:
        """Read a JSON document whose member ``type_field`` names its type."""
        reception = Reception(system, transport, peer, raw, sha256(raw).digest())
        try:
            document = orjson.loads(raw)
        except orjson.JSONDecodeError:
            reception.problem = Problem("json", "the body is not JSON", unsupported=True)
            return reception
        kind = document.get(type_field) if isinstance(document, dict) else None
        if not isinstance(kind, str):
            reception.problem = Problem(
                "type", f"the member {type_field!r} that names the message's type is missing", unsupported=True
            )
            return reception
        known = self._mappings.get((system, kind))
        reception.type = kind if known is not None else _conventional(_JSON_TYPE, kind)
        if known is None:
            reception.problem = Problem("type", f"messages of this type are not taken from {system}", unsupported=True)
            return reception
        shape: type[BaseModel] = known[0].accepts
        try:
            self._map(reception, known, shape.model_validate(document))
        except ValidationError as error:
            reception.problem = _invalid(error, shape)
        return reception

    def fact(self, source: str, kind: str, raw: bytes, transport: str, peer: str) -> Reception:
        """Read a fact that an operation of the API ``source`` took in, by today's contract of this name."""
        reception = Reception(source, transport, peer, raw, sha256(raw).digest(), type=kind)
        contract = self._estate.contracts.get(kind)
        if contract is None:
            reception.problem = Problem("200", f"the estate has no contract {kind or 'of this name'}", unsupported=True)
            return reception
        try:
            event = self._prepared[contract].event(contract.model_validate_json(raw), came_by_api(source, contract))
        except ValidationError as error:
            reception.problem = _invalid(error, contract)
            return reception
        if not event.identities:
            reception.problem = _unidentified(event)
            return reception
        reception.events = [event]
        return reception

    def again(self, system: str, kind: str, raw: bytes, transport: str, peer: str, *, first: str = "") -> Reception:
        """Read stored bytes anew, as a replay does. ``first`` is the transport that brought them, where it is known."""
        if first == API or (not first and system not in self._estate.systems):
            return self.fact(system, kind, raw, transport, peer)
        spec = self._estate.systems.get(system)
        if spec is not None and raw.lstrip()[:1] == b"{":
            of_json = spec.listen.webhook if spec.listen.webhook is not None else spec.listen.files
            if of_json is not None:
                return self.json(system, transport, peer, raw, of_json.type_field)
        if x12.recognise(raw):
            return self.x12(system, transport, peer, raw)
        if bai2.recognise(raw):
            return self.bai2(system, transport, peer, raw)
        if kind == TABLE and (system, TABLE) in self._mappings:
            return self.table(system, transport, peer, raw)
        return self.hl7(system, transport, peer, raw)[0]

    def _map(self, reception: Reception, known: tuple[Mapping[Any], str], message: Any) -> None:
        mapping, name = known
        try:
            made = mapping.function(message)
            events: Sequence[Contract] = made if isinstance(made, list) else [made]
            prepared = [self._prepared[type(event)].event(event, name) for event in events]
        except ValidationError as error:
            reception.problem = _invalid(error, *mapping.events)
        except FormatError as error:
            reception.problem = Problem(error.code, error.text, error.location or "")
        except Rejected as rejected:
            reception.problem = Problem("207", rejected.cause)
        except (ValueError, ArithmeticError) as error:
            # The value itself may be PHI, so only its kind is told.
            reception.problem = Problem("102", f"mapping {name} could not read a value ({type(error).__name__})")
        except Exception as error:
            # A defect of the mapping concerns its messages alone: they are kept, refused, and replayed when it is mended.
            log.exception("defect in mapping %s", name)
            reception.problem = Problem("207", f"mapping {name} failed ({type(error).__name__})")
        else:
            for event in prepared:
                if not event.identities:
                    reception.problem = _unidentified(event)
                    return
            reception.events = prepared


def _unidentified(event: PreparedEvent) -> Problem:
    return Problem(
        "101", f"event {event.type} has none of its identities, so a resend could not be told from a second fact"
    )


def came_by_api(source: str, contract: type[Contract]) -> str:
    """What stands in the place of a mapping's name for a fact that an API took in: ``api:mobile@1``."""
    return f"{API}:{source}@{contract.contract_version}"


def prepare(event: Contract, ordering: str, mapping: str) -> PreparedEvent:
    """One event outside the hot path, for whoever has an event and no message."""
    return _Prepared(type(event), ordering).event(event, mapping)


_MOST_TOLD = 6


def stated(estate: Estate, fact: Contract, *, source: str, peer: str) -> Reception:
    """A fact that no message brought: an API took it in, a schedule or the platform itself states it. ``source`` says which."""
    event = prepare(fact, ordering_of(estate, type(fact)), came_by_api(source, type(fact)))
    raw = event.payload
    return Reception(source, API, peer, raw, sha256(raw).digest(), type=event.type, events=[event])


_HL7_TYPE = re.compile(r"[A-Z][A-Z0-9]{2}(\^[A-Z][A-Z0-9]{2}){0,1}(\^[A-Z0-9_]{3,7})?")
_CONTROL_ID = re.compile(
    r"(?=.*[0-9])[!-\]_-~]{1,199}"
)  # Printable, no space, no ^, and a number in it: a name has none.
_HL7_VERSION = re.compile(r"[0-9]\.[0-9](\.[0-9])?")
_SET_ID = re.compile(r"[0-9]{3}|TA1")
_JSON_TYPE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


def _conventional(pattern: re.Pattern[str], text: str | None) -> str:
    """What a message calls itself, if it looks like it: with delimiters gone wrong a patient's name may stand there."""
    return text if text is not None and pattern.fullmatch(text) is not None else ""


def _invalid(error: ValidationError, *shapes: type[BaseModel]) -> Problem:
    """The first finding of a validation, without the value, and without names that the sender made up: they may be PHI."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    known = {name for shape in shapes for name in _names(shape, ())}
    place = ".".join(str(p) if isinstance(p, int) or p in known else "(an unknown member)" for p in first["loc"])
    # A check of the estate's own is told by that it failed: its text may repeat what it checked.
    own = first["type"] in ("value_error", "assertion_error")
    text = "the value is not acceptable" if own else first["msg"]
    return Problem("102" if first["type"] != "missing" else "101", f"{place or 'the message'}: {text}")


def _names(shape: type[BaseModel], above: tuple[type[BaseModel], ...]) -> Iterator[str]:
    """The names of a shape's members, and of those of the shapes inside it."""
    for name, field_ in shape.model_fields.items():
        yield field_.alias if field_.alias is not None else name
        for part in (field_.annotation, *get_args(field_.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel) and part not in above:
                yield from _names(part, (*above, shape))


def ordering_of(estate: Estate, contract: type[Contract]) -> str:
    """The field within which this event's order is kept: its feeds' key, else its flow's, else its first identity."""
    name = contract.type_name()
    for feed in estate.feeds_on(name):
        if feed.key:
            return feed.key
    for flow in estate.flows_on(name):
        if flow.ordering:
            return flow.ordering
    return contract.identities[0][0] if contract.identities else next(iter(contract.model_fields))
