"""What a received document earns: a TA1 for its interchanges, a 997 or a 999 for its groups (X12 997, 999 005010X231A1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hilum.formats.x12.document import Document, Group, Interchange, Transaction, X12Error, X12Finding, value
from hilum.formats.x12.reading import parse
from hilum.formats.x12.writer import COMMON, Element, NewGroup, NewTransaction, build

Kind = Literal["999", "997", "TA1"]

_GUIDE = "005010X231A1"
_997_SEGMENT = {"I4": "2", "I6": "3", "I7": "3", "I8": "3", "I9": "2"}
_997_ELEMENT = {"I6": "7", "I9": "2", "I10": "10", "I11": "1", "I12": "7", "I13": "10"}
_997_4010_ELEMENT = {"12": "3", "13": "3"}
_SEGMENT_CODES = frozenset({"1", "2", "3", "4", "5", "6", "7", *_997_SEGMENT})
_ELEMENT_CODES = frozenset({"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "12", "13", *_997_ELEMENT})
_UNITS = {"837": ("CLM", 1), "276": ("TRN", 2), "277": ("TRN", 2), "820": ("ENT", 1)}
"""By set, the element that names the unit of business in which a segment stands (CTX01-1)."""
_STRUCTURAL = ("hl-", "856-hierarchy")
"""Findings of our own about how a document is built."""
_NOTED_ONLY = frozenset({"024"})
"""TA105 codes with which an interchange is still accepted, with errors noted."""


def is_error(finding: X12Finding) -> bool:
    """The usual rule of what rejects: every error, and no warning."""
    return finding.severity == "error"


def _is_business(transaction: Transaction, finding: X12Finding) -> bool:
    """Whether a finding is about what a trading document says, not how: an order whose total is wrong is no bad syntax.

    Buyer and seller settle it over the document, which a 997 therefore takes, with errors noted. The guides of health care
    do reject what does not balance.
    """
    definition = transaction.definition
    trading = definition is not None and not definition.guide
    return trading and finding.level == "balance" and not finding.code.startswith(_STRUCTURAL)


def kind_for(document: Document) -> Kind:
    """What a document earns: a TA1 where there is no group to answer for, a 999 where all follow guides of 5010, else a 997.

    Where it has both, ``acknowledge`` answers each group by its own kind when it is given none.
    """
    groups = [group for interchange in document.interchanges for group in interchange.groups if _answerable(group)]
    if not groups:
        return "TA1"
    return "999" if all(_kind_of(group) == "999" for group in groups) else "997"


def _kind_of(group: Group) -> Kind:
    """A 999 answers guides of 5010 and later; a 997 what has no guide, and guides before."""
    return "999" if re.match(r"00[5-9]\d{3}X", _convention(group)) else "997"


def acknowledge(
    document: Document,
    findings: Iterable[X12Finding],
    *,
    kind: Kind | None = None,
    control_number: int,
    now: datetime,
    rejects: Callable[[X12Finding], bool] = is_error,
) -> Document:
    """The acknowledgement of a document, one interchange for each of its own, back to who sent it.

    ``findings`` are those of ``validate`` (or of ``check`` of each transaction); errors that ``rejects`` lets pass are noted and
    accepted (E), warnings are not told. A group is accepted (A), accepted with errors (E), partially (P) or rejected (R);
    groups of acknowledgements (FA) are not answered, and neither is an interchange that has nothing but TA1 segments. Without
    a ``kind`` each group gets the one it earns, and an interchange that is rejected as a whole a TA1 that says so.
    ``control_number`` is the first ISA13, counted on for more interchanges. X12Error when there is nothing to answer.
    """
    told: dict[int, list[X12Finding]] = {}
    for finding in findings:
        if finding.severity == "error" and finding.first_segment is not None:
            told.setdefault(finding.first_segment, []).append(finding)
    texts: list[str] = []
    for interchange in document.interchanges:
        if interchange.acknowledgements and not interchange.groups:
            continue
        number = control_number + len(texts)
        own = [group for group in interchange.groups if _answerable(group)]
        received = _ta1(interchange, rejects)
        if (
            kind is None
            and interchange.groups
            and not own
            and received[4] != "R"
            and interchange.header[14].strip() != "1"
        ):
            continue  # Nothing but acknowledgements, of which no receipt was asked for (ISA14).
        if kind == "TA1" or (kind is None and (not own or received[4] == "R")):
            answer = _build(interchange, [], [received], number, now)
        elif own:
            groups = [_answer(*how, told, rejects, members) for how, members in _by_release(kind, own)]
            answer = _build(interchange, groups, [], number, now)
        else:
            continue
        texts.append(answer.text)
    if not texts:
        raise X12Error("022", f"there is nothing in the document that a {kind or 'TA1'} could answer")
    return parse("".join(texts).encode())


def _build(
    interchange: Interchange,
    groups: list[NewGroup],
    answers: list[list[Element]],
    number: int,
    now: datetime,
) -> Document:
    header = interchange.header
    version = (
        "00501" if any(group.version >= "005010" for group in groups) or interchange.version >= "00501" else "00401"
    )
    return build(
        groups,
        sender=(_qualifier(header[7]), _party(header[8])),
        receiver=(_qualifier(header[5]), _party(header[6])),
        control_number=number,
        now=now,
        version=version,
        usage=header[15] if header[15] in ("P", "T", "I") else "P",
        acknowledgements=answers,
    )


def _qualifier(text: str) -> str:
    return text if re.fullmatch(r"[A-Z0-9]{2}", text) else "ZZ"


def _party(text: str) -> str:
    """A party's identifier as an ISA of ours can carry it."""
    kept = "".join(c if c not in COMMON.all and " " <= c <= "~" else " " for c in text.strip())[:15].strip()
    return kept if kept else "UNKNOWN"


def _answerable(group: Group) -> bool:
    return len(group.header) > 1 and group.functional_id != "FA"


def _convention(group: Group) -> str:
    """GS08, or the ST03 of its first transaction where GS08 is none."""
    return group.version or next((transaction.version for transaction in group.transactions), "")


# --- TA1 -------------------------------------------------------------------------------------------------------------


def _ta1(interchange: Interchange, rejects: Callable[[X12Finding], bool]) -> list[Element]:
    header = interchange.header
    told = [*interchange.findings, *(finding for group in interchange.groups for finding in group.findings)]
    errors = [finding for finding in told if finding.level == "interchange" and finding.severity == "error"]
    errors.sort(key=lambda finding: finding.code in _NOTED_ONLY)
    rejected = any(rejects(finding) and finding.code not in _NOTED_ONLY for finding in errors)
    code = errors[0].code if errors else "000"
    number = header[13].strip()
    day, hour = header[9].strip(), header[10].strip()
    return [
        "TA1",
        number.rjust(9, "0") if re.fullmatch(r"[0-9]{1,9}", number) else "000000000",
        day if re.fullmatch(r"[0-9]{6}", day) else "000101",
        hour if re.fullmatch(r"[0-9]{4}", hour) else "0000",
        "R" if rejected else "E" if errors else "A",
        code,
    ]


# --- 997 and 999 -----------------------------------------------------------------------------------------------------


def _by_release(kind: Kind | None, groups: list[Group]) -> Iterator[tuple[tuple[Kind, str], list[Group]]]:
    """The groups by the kind and the release of the acknowledgement that they get."""
    answers: dict[tuple[Kind, str], list[Group]] = {}
    for group in groups:
        own = _kind_of(group) if kind is None else kind
        release = _GUIDE if own == "999" else "005010" if _convention(group) >= "005010" else "004010"
        answers.setdefault((own, release), []).append(group)
    yield from answers.items()


def _answer(
    kind: Kind,
    release: str,
    told: dict[int, list[X12Finding]],
    rejects: Callable[[X12Finding], bool],
    groups: list[Group],
) -> NewGroup:
    first = groups[0].header
    sender, receiver = _application(value(first, 3)), _application(value(first, 2))
    transactions = []
    for group in groups:
        segments = list(_GroupAnswer(kind, release, group, told, rejects).segments())
        transactions.append(
            NewTransaction(set_id=kind, segments=segments, convention=release if kind == "999" else None)
        )
    return NewGroup(functional_id="FA", version=release, transactions=transactions, sender=sender, receiver=receiver)


def _application(text: str | None) -> str | None:
    if text is None:
        return None
    kept = _party(text)
    return kept if len(kept) >= 2 else None


@dataclass(slots=True)
class _GroupAnswer:
    kind: Kind
    release: str
    group: Group
    told: dict[int, list[X12Finding]]
    rejects: Callable[[X12Finding], bool]

    def segments(self) -> Iterator[list[Element]]:
        """AK1 to AK9."""
        group = self.group
        modern = self.release >= "005010"
        group_number = value(group.header, 6)
        functional = value(group.header, 1)
        yield [
            "AK1",
            functional if functional is not None and re.fullmatch(r"[A-Z0-9]{2}", functional) else "ZZ",
            group_number if group_number is not None and re.fullmatch(r"[0-9]{1,9}", group_number) else "0",
            self.clean(_convention(group), 12) or "UNKNOWN" if modern else None,
        ]
        errors = [finding for finding in group.findings if finding.severity == "error" and finding.level == "group"]
        refused = any(self.rejects(finding) for finding in errors)
        received = accepted = noted = 0
        for transaction in group.transactions:
            findings = self.told.get(transaction.first_segment, [])
            refusing = any(self.rejects(finding) and not _is_business(transaction, finding) for finding in findings)
            code = "A" if not findings else "R" if refusing else "E"
            if refused:
                code = "R"
            received += 1
            accepted += code != "R"
            noted += code == "E"
            yield from self.transaction(transaction, findings, code)
        if refused or (received and not accepted):
            verdict = "R"
        elif accepted < received:
            verdict = "P"
        else:
            verdict = "E" if noted or errors else "A"
        codes = list(dict.fromkeys(finding.code for finding in errors))
        if not modern:
            codes = [code for code in codes if code != "19"]
        said = value(group.trailer, 1)
        included = said if said is not None and re.fullmatch(r"[0-9]{1,6}", said) else str(received)
        yield ["AK9", verdict, included, str(received), str(accepted), *codes[:5]]

    def transaction(self, transaction: Transaction, findings: list[X12Finding], code: str) -> Iterator[list[Element]]:
        modern = self.release >= "005010"
        said = value(transaction.segments[0], 1)
        number = transaction.control_number
        convention = value(transaction.segments[0], 3)
        yield [
            "AK2",
            said if said is not None and re.fullmatch(r"[A-Z0-9]{3}", said) else "000",
            self.clean("0" if number is None else number, 9).rjust(4, "0"),
            self.clean(convention, 35) if modern and convention is not None else None,
        ]
        standard = implementation = False
        for finding, segments in self.details(transaction, findings):
            yield from segments
            if finding.snip > 1 or finding.code.startswith("I"):
                implementation = True
            else:
                standard = True
        codes = [finding.code for finding in findings if finding.level == "transaction"]
        balance = any(finding.level == "balance" for finding in findings)
        if standard or (self.kind == "997" and (implementation or balance)):
            codes.append("5")
        if self.kind == "999" and (implementation or balance):
            codes.append("I5")
        if code == "R" and not codes:
            codes.append("5")
        yield ["IK5" if self.kind == "999" else "AK5", code, *list(dict.fromkeys(codes))[:5]]

    def details(
        self, transaction: Transaction, findings: list[X12Finding]
    ) -> Iterator[tuple[X12Finding, list[list[Element]]]]:
        """AK3 and AK4 (IK3 and IK4), by segment: first what is wrong with the segment, then with its elements."""
        places: dict[int, list[X12Finding]] = {}
        for finding in findings:
            if finding.segment_number is not None and finding.level in ("segment", "element", "balance"):
                places.setdefault(finding.segment_number, []).append(finding)
        for number in sorted(places):
            elements = []
            for finding in places[number]:
                if finding.level == "segment" and finding.code in _SEGMENT_CODES:
                    told = self.segment(finding, self.segment_code(finding.code))
                    yield finding, [told, *self.unit(transaction, number)]
                elif finding.element is not None:
                    elements.append(finding)
            for at, finding in enumerate(elements[:99]):
                lead = [self.segment(finding, "8"), *self.unit(transaction, number)] if not at else []
                yield finding, [*lead, self.element(finding)]

    def segment(self, finding: X12Finding, code: str) -> list[Element]:
        name = finding.segment
        loop = finding.loop
        shown = loop if loop is not None and re.fullmatch(r"[A-Z0-9]{1,4}", loop) else None
        return [
            "IK3" if self.kind == "999" else "AK3",
            name if name is not None and re.fullmatch(r"[A-Z0-9]{2,3}", name) else "ZZZ",
            str(finding.segment_number),
            shown if self.kind == "999" else None,
            code,
        ]

    def unit(self, transaction: Transaction, number: int) -> list[list[Element]]:
        """The CTX of a 999 that names the claim, inquiry or payment in which the segment ``number`` stands, where there is one."""
        name, at = _UNITS.get(transaction.set_id, ("", 0))
        if self.kind != "999" or not name:
            return []
        for segment in reversed(transaction.segments[:number]):
            if segment[0] == name and (said := value(segment, at)) is not None:
                return [["CTX", (f"{name}{at:02d}", self.clean(said, 35))]]
            if segment[0] == "HL":
                break
        return []

    def segment_code(self, code: str) -> str:
        return code if self.kind == "999" else _997_SEGMENT.get(code, code)

    def element(self, finding: X12Finding) -> list[Element]:
        code = finding.code if finding.level == "element" and finding.code in _ELEMENT_CODES else "I12"
        if self.kind == "997":
            code = _997_ELEMENT.get(code, code)
            if self.release < "005010":
                code = _997_4010_ELEMENT.get(code, code)
        number = finding.element_number
        place = (str(finding.element),) if finding.component is None else (str(finding.element), str(finding.component))
        shown = number if number is not None and re.fullmatch(r"[0-9]{1,4}", number) else None
        return ["IK4" if self.kind == "999" else "AK4", place, shown, code]

    def clean(self, text: str, most: int) -> str:
        """Text of the sender's as our separators can carry it."""
        return "".join(c if c not in COMMON.all and " " <= c <= "~" else "?" for c in text)[:most]
