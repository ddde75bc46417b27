"""Text to interchanges, groups and transactions, in one pass and in flat memory: what it keeps is one transaction.

Damage is bounded. A transaction without SE ends where the next ST, GE, GS, IEA or ISA begins, a group without GE where the
next GS, IEA or ISA begins; what stands between envelopes is reported and passed over. Nothing here raises, except for a
text without any ISA and one whose segments do not end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hilum.formats.findings import Severity
from hilum.formats.x12 import envelope
from hilum.formats.x12.document import Group, Interchange, Segment, Separators, Transaction, X12Error, X12Finding, value
from hilum.formats.x12.pieces import Pieces, split
from hilum.formats.x12.separators import BLANKS, LOOK_AHEAD, Opening, find_opening, opening_at

SEGMENT_LONGEST = 4 << 20
"""Characters in which a segment must have ended when a file is read as a stream."""
FINDINGS_MAX = 200
CONTROL_NUMBERS_MAX = 200_000
"""So many control numbers are kept to find duplicates, of the transactions of a group and of the groups of an interchange."""


class Reader:
    """Reads the texts of a file in order and hands on each transaction, group and interchange when it is complete.

    With ``keep`` a group holds its transactions and an interchange its groups; without, they only count them.
    """

    def __init__(self, chunks: Iterator[str], keep: bool, longest: int | None = None) -> None:
        self.chunks = chunks
        self.keep = keep
        self.longest = longest
        """Characters of a transaction beyond which the rest of it is left out; None for no limit."""
        self.ended = False
        self.text = ""
        self.received = 0
        self.slice_offset = 0
        """Where in the file the segments at hand begin."""
        self.wanted: frozenset[int] = frozenset()
        self.spans: dict[int, tuple[int, int]] = {}
        """Where the wanted segments stand in the file, by their numbers in it."""
        self.segment_number = 0
        self.line = 1
        self.newline = "\n"
        self.loose: list[X12Finding] = []
        """Findings about what stands outside of any interchange."""
        self.control_numbers: set[tuple[str, ...]] = set()
        self.interchange: Interchange | None = None
        self.group: Group | None = None
        self._clear_counts()

    def _clear_counts(self) -> None:
        self.group_count = 0
        self.group_numbers: set[str] = set()
        self.transaction_count = 0
        self.transaction_numbers: set[str] = set()

    # --- finding interchanges ----------------------------------------------------------------------------------------

    def read(self) -> Iterator[Transaction | Group | Interchange]:
        """Each transaction, then its group when it ends, then its interchange when it ends; X12Error without any ISA."""
        seen = False
        while (opening := self._next_opening(first=not seen)) is not None:
            seen = True
            yield from self._interchange(opening)
        if not seen:
            raise X12Error("022", "there is no ISA segment with 16 elements: these bytes are no X12 interchange")

    def _more(self) -> bool:
        if self.ended:
            return False
        chunk = next(self.chunks, None)
        if chunk is None:
            self.ended = True
            return False
        self.text += chunk
        self.received += len(chunk)
        return True

    def _pass_over(self, length: int) -> None:
        """Leave text before an ISA behind; what is more than blanks is reported."""
        passed = self.text[:length]
        if passed.strip(BLANKS + "\x00\x1a\ufeff"):
            self._outside("there is text outside of any interchange", "warning")
        self.line += passed.count(self.newline)
        self.text = self.text[length:]

    def _outside(self, text: str, severity: Severity = "error") -> None:
        if len(self.loose) < FINDINGS_MAX and not (self.loose and self.loose[-1].text == text):
            self.loose.append(envelope.interchange_finding("022", text, self.line, None, severity=severity))

    def _next_opening(self, first: bool) -> Opening | None:
        """The next ISA, with the text before it left behind; None when there is none."""
        searched = 0
        while True:
            opening = find_opening(self.text)
            if opening is not None and (len(self.text) - opening.start > LOOK_AHEAD or not self._more()):
                self._pass_over(opening.start)
                return opening_at(self.text, 0)
            if opening is None:
                # What is left may hold the beginning of an ISA; what is passed over is not searched again.
                if len(self.text) > LOOK_AHEAD:
                    searched += len(self.text) - LOOK_AHEAD
                    self._pass_over(len(self.text) - LOOK_AHEAD)
                if first and searched > SEGMENT_LONGEST:
                    raise X12Error("022", f"there is no ISA segment in the first {SEGMENT_LONGEST:,} characters")
                if not self._more():
                    self._pass_over(len(self.text))
                    return None

    # --- inside an interchange ---------------------------------------------------------------------------------------

    def _interchange(self, opening: Opening) -> Iterator[Transaction | Group | Interchange]:
        separators = opening.separators
        self.segment_number += 1
        found = Interchange(opening.header, separators, self.segment_number, self.line)
        self.interchange = found
        self._clear_counts()
        if separators.segment == "\r":
            self.newline = "\r"
        found.findings += envelope.header_findings(found)
        parties = (*(text.strip() for text in found.header[5:9]), found.header[13])
        if parties in self.control_numbers:
            text = "an interchange with this control number was in the file before"
            found.findings.append(envelope.interchange_finding("025", text, found.line, "ISA", 13))
        elif len(self.control_numbers) < CONTROL_NUMBERS_MAX:
            self.control_numbers.add(parties)
        self.line += self.text.count(self.newline, 0, opening.end)
        self.text = self.text[opening.end :]
        body = _Body(self, found, separators)
        while (piece := self._slice(separators)) is not None:
            yield from body.take(*piece)
            if body.ended:
                break
        yield from body.close_interchange()
        self.interchange = None

    def _slice(self, separators: Separators) -> tuple[str, bool] | None:
        """The next segments as they were written, without the last one's terminator, and whether it has none.

        None at the end. They reach to the end of an IEA where one is in the text at hand, so that no more is split than belongs
        together.
        """
        terminator = separators.segment
        while True:
            self.slice_offset = self.received - len(self.text)
            trailer = self.text.find("IEA" + separators.element)
            end = self.text.find(terminator, trailer) if trailer >= 0 else -1
            if end < 0:
                end = self.text.rfind(terminator)
            if end >= 0:
                taken = self.text[:end]
                self.text = self.text[end + len(terminator) :]
                return taken, False
            if len(self.text) > SEGMENT_LONGEST:
                text = f"a segment does not end within {SEGMENT_LONGEST:,} characters; is the terminator after ISA16 right?"
                raise X12Error("004", text, line=self.line)
            if not self._more():
                last, self.text = self.text, ""
                return (last, True) if last.strip(BLANKS + "\x00\x1a") else None

    def note(self, pieces: Pieces, at: int, number: int, count: int) -> None:
        """Keep where wanted segments stand, of ``count`` segments numbered from ``number`` at piece ``at``."""
        for wanted in self.wanted:
            if number <= wanted < number + count:
                start, end = pieces.span(at + wanted - number)
                self.spans[wanted] = self.slice_offset + start, self.slice_offset + end


class _Body:
    """The segments of one interchange, sorted into groups and transactions."""

    def __init__(self, reader: Reader, interchange: Interchange, separators: Separators) -> None:
        self.reader, self.interchange, self.separators = reader, interchange, separators
        self.group: Group | None = None
        self.segments: list[Segment] = []
        """Of the open transaction; empty when none is open."""
        self.texts: list[str] = []
        self.lines: list[int] = []
        self.size = self.left_out = 0
        """Characters of the open transaction, and segments of it that were left out."""
        self.first_segment = 0
        self.ended = False
        self.trailer_line = interchange.line
        # The first three characters of segments that are looked at one by one; an empty text is no segment.
        three = (name if len(name) == 3 else name + separators.element for name in _ENVELOPE)
        self.marks = frozenset({"", "ST", "SE", "GS", "GE", *three})

    def take(self, taken: str, unterminated: bool) -> Iterator[Transaction | Group | Interchange]:
        """Sort segments in; stops after an IEA or before an ISA and gives the rest back to the reader.

        What lies between the segments of envelopes is taken in runs: this is where a long file spends its time.
        """
        reader, terminator, element = self.reader, self.separators.segment, self.separators.element
        pieces = split(taken, reader.line, terminator, reader.newline)
        texts, lines = pieces.texts, pieces.lines
        marks, number, done = self.marks, reader.segment_number, 0
        stops = [at for at, text in enumerate(texts) if text[:3] in marks]
        for at in (*stops, len(texts)):
            if at > done:
                run = texts[done:at]
                if reader.wanted:
                    reader.note(pieces, done, number + 1, len(run))
                if self.segments and self.full(run):
                    self.left_out += len(run)
                elif self.segments:
                    self.segments += [text.split(element) for text in run]
                    self.texts += run
                    self.lines += lines[done:at]
                else:
                    self.complain("024", "a segment stands outside of any transaction", lines[done], None)
                number += len(run)
            done = at + 1
            if at == len(texts) or not texts[at]:
                continue
            reader.line, reader.segment_number = lines[at], number
            ending = "" if unterminated else terminator
            if texts[at].startswith("ISA") and opening_at(rest := pieces.rest(at).lstrip(BLANKS), 0) is not None:
                reader.text = rest + ending + reader.text
                self.ended = True
                return
            number += 1
            reader.segment_number = number
            if reader.wanted:
                reader.note(pieces, at, number, 1)
            yield from self.envelope(texts[at].split(element), texts[at], lines[at])
            if self.ended:
                reader.line = pieces.end_line(at)
                if at + 1 < len(texts):
                    reader.text = pieces.rest(at + 1) + ending + reader.text
                return
        reader.line, reader.segment_number = pieces.end_line(len(texts) - 1), number

    def envelope(self, segment: Segment, text: str, line: int) -> Iterator[Transaction | Group]:
        """A segment that is not inside a transaction, or ends it."""
        name = segment[0]
        if name == "SE" and self.segments:
            self.add(segment, text, line)
            yield self.close_transaction()
        elif name == "ST":
            if self.segments:
                yield self.close_transaction()
            if self.group is None:
                self.open_group(["GS"], line)
                self.complain("024", "a transaction stands outside of any group", line, "ST")
            self.first_segment = self.reader.segment_number
            self.add(segment, text, line)
        elif name == "GS":
            yield from self.close_group()
            self.open_group(segment, line)
        elif name == "GE" and self.group is not None and len(self.group.header) > 1:
            self.group.trailer = segment
            self.trailer_line = line
            yield from self.close_group()
        elif name == "IEA":
            self.interchange.trailer = segment
            self.trailer_line = line
            self.ended = True
        elif name == "TA1" and not self.segments:
            if len(self.interchange.acknowledgements) < CONTROL_NUMBERS_MAX:
                self.interchange.acknowledgements.append(segment)
        elif name not in {"ISB", "ISE"}:
            known = name if name in _ENVELOPE else None
            self.complain("024", "a segment stands outside of any transaction", line, known)

    def full(self, run: list[str]) -> bool:
        """Whether a run of segments would make the open transaction longer than the reader may keep."""
        if self.reader.longest is None:
            return False
        self.size += sum(map(len, run))
        return self.size > self.reader.longest

    def complain(self, code: str, text: str, line: int, segment: str | None) -> None:
        found = self.interchange.findings
        if len(found) < FINDINGS_MAX:
            found.append(envelope.interchange_finding(code, text, line, segment))

    def add(self, segment: Segment, text: str, line: int) -> None:
        self.segments.append(segment)
        self.texts.append(text)
        self.lines.append(line)

    def open_group(self, header: Segment, line: int) -> None:
        reader = self.reader
        self.group = Group(header, reader.segment_number, line)
        reader.transaction_count = 0
        reader.transaction_numbers = set()
        if len(header) == 1:
            return
        reader.group_count += 1
        self.group.findings += envelope.group_header_findings(self.group)
        number = self.group.control_number
        if number is None:
            return
        if number in reader.group_numbers:
            text = "a group with this control number was in the interchange before"
            self.group.findings.append(envelope.group_finding("19", text, line, "GS", 6))
        elif len(reader.group_numbers) < CONTROL_NUMBERS_MAX:
            reader.group_numbers.add(number)

    def close_transaction(self) -> Transaction:
        group, lines, header = self.group, self.lines, self.segments[0]
        first = lines[0]
        count = len(lines)
        one_each = lines[-1] - first == count - 1 and count > 1 and lines == list(range(first, first + count))
        said = value(header, 3)
        found = Transaction(
            self.segments,
            self.texts,
            self.separators,
            said.strip() if said is not None else "" if group is None else group.version,
            functional_id=None if group is None else group.functional_id,
            group_control=None if group is None else group.control_number,
            group_version="" if group is None else group.version,
            group_header=["GS"] if group is None else group.header,
            interchange_control=self.interchange.control_number,
            first_segment=self.first_segment,
            first_line=first,
            lines=None if one_each or lines[-1] == first else lines,
            one_line_each=one_each,
        )
        found.envelope_findings += envelope.transaction_findings(found, self.left_out)
        reader, number = self.reader, found.control_number
        reader.transaction_count += 1
        if number in reader.transaction_numbers:
            text = "a transaction with this control number was in the group before"
            found.envelope_findings.append(envelope.transaction_finding(found, "23", text, "ST", 2))
        elif number is not None and len(reader.transaction_numbers) < CONTROL_NUMBERS_MAX:
            reader.transaction_numbers.add(number)
        if reader.keep and group is not None:
            group.transactions.append(found)
        self.segments, self.texts, self.lines = [], [], []
        self.size = self.left_out = 0
        return found

    def close_group(self) -> Iterator[Transaction | Group]:
        if self.segments:
            yield self.close_transaction()
        group = self.group
        if group is None:
            return
        if len(group.header) > 1:
            count = self.reader.transaction_count
            group.findings += envelope.group_trailer_findings(
                group, count, self.trailer_line if group.trailer else group.line
            )
        if self.reader.keep:
            self.interchange.groups.append(group)
        self.group = None
        yield group

    def close_interchange(self) -> Iterator[Transaction | Group | Interchange]:
        """End what is open; the interchange itself comes last."""
        yield from self.close_group()
        found = self.interchange
        line = self.trailer_line if found.trailer is not None else self.reader.line
        found.findings += envelope.trailer_findings(found, self.reader.group_count, line)
        yield found


_ENVELOPE = frozenset({"ISA", "IEA", "GS", "GE", "ST", "SE", "TA1", "ISB", "ISE"})

Report = Callable[[X12Finding], None]
