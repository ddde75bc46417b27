"""Segments to loops: a transaction walked along its set definition, with recovery.

For each segment the innermost open loop that can take it takes it, in the order of its places and below their maxima. What no
loop can take so is taken where it is only too often (4, 5) or too late (7); what stays is left out of the tree: unknown (1),
not of the set (6), not possible here (2). What belonged to a loop whose opening segment was left out is left out with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hilum.formats.findings import Severity
from hilum.formats.x12.definitions import RELEASES, SetDefinition, definition_for, dictionary
from hilum.formats.x12.document import Loop, Segment, Transaction, X12Finding
from hilum.formats.x12.elements import Codes, explain
from hilum.formats.x12.envelope import transaction_finding
from hilum.formats.x12.grammar import COMPILE_AFTER, Grammar, Node, Place, grammar_for
from hilum.formats.x12.guides import version_of
from hilum.formats.x12.hierarchy import hierarchy_findings

FINDINGS_MAX = 200
"""Of one transaction; a file that is wrong in every segment is told so often enough."""


def walk(transaction: Transaction, codes: Codes | None = None) -> list[X12Finding]:
    """Set ``transaction.definition`` and ``.root``; what is wrong with structure and elements (SNIP types 1 and 2).

    A set that no table knows is a finding (AK502 code 1) and has no root. One that is read by the table of another release or
    guide, for want of its own, gets warnings only. ``codes`` are the code lists of the user, by the names that set tables use;
    the same mapping should be passed for each transaction, since checks are prepared for it. Never raises.
    """
    definition = definition_for(transaction.set_id, version_of(transaction))
    if definition is None:
        text = "there is no table for this transaction set: it is neither walked nor checked"
        return [transaction_finding(transaction, "1", text, "ST", 1)]
    transaction.definition = definition
    walker = _Walker(transaction, definition, grammar_for(definition, transaction.separators, codes))
    walker.run()
    found = walker.findings
    if walker.grammar.hierarchical:
        found += hierarchy_findings(transaction, definition.guide)
    if found:
        found.sort(key=lambda finding: finding.segment_number or 0)
    if _foreign(definition, transaction.version):
        text = (
            f"it is read by the table of {definition.convention}, for there is none of its own: findings are warnings"
        )
        told = replace(transaction_finding(transaction, "neighbour", text, "ST"), severity="information")
        return [told, *(replace(f, severity="warning") if f.severity == "error" else f for f in found[:FINDINGS_MAX])]
    return found[:FINDINGS_MAX]


def _foreign(definition: SetDefinition, version: str) -> bool:
    """Whether a version says another guide or another release than the definition is of."""
    if not version[:6].isdigit() or len(version) < 6:
        return False
    if version[:6] != definition.release:
        return True
    return definition.guide and len(version) >= 10 and version[:10] != definition.convention[:10]


class _Frame:
    """An open loop: what it may hold, how far it has come, and how often each place was filled."""

    __slots__ = ("choices", "counts", "loop", "node", "outer", "position", "segments")

    def __init__(self, node: Node, loop: Loop, outer: _Frame | None) -> None:
        self.node = node
        self.choices = node.choices
        self.loop = loop
        self.segments = loop.segments
        self.outer = outer
        self.position = node.first_position
        self.counts = node.opened.copy()


class _Walker:
    def __init__(self, transaction: Transaction, definition: SetDefinition, grammar: Grammar) -> None:
        self.transaction, self.definition, self.grammar = transaction, definition, grammar
        self.findings: list[X12Finding] = []
        self.root = Loop(grammar.root.use, None)
        transaction.root = self.root
        self.frame = _Frame(grammar.root, self.root, None)
        """The innermost open loop."""
        self.frame.position = self.frame.counts[0] = 0  # Nothing opened the whole: its ST is still to come.
        self.number = 0
        self.lost: frozenset[str] = frozenset()
        """Segment ids that may belong to a loop whose opening segment was left out."""

    def run(self) -> None:
        transaction, separators = self.transaction, self.transaction.separators
        here = self.frame
        number = 0
        for segment, text in zip(transaction.segments, transaction.texts, strict=True):
            number += 1
            name = segment[0]
            place: Place | None = None
            frame: _Frame | None = here
            while frame is not None:
                choice = frame.choices.get(name)
                if choice is not None:
                    at, by_code, others = choice
                    position, counts = frame.position, frame.counts
                    for candidate in by_code.get(segment[at], others) if 0 < at < len(segment) else others:
                        if (
                            candidate.position >= position
                            and counts[candidate.index] < candidate.max
                            and (at or not candidate.tests or candidate.fits(segment, separators))
                        ):
                            place = candidate
                            break
                    else:
                        frame = frame.outer
                        continue
                    break
                frame = frame.outer
            if place is None or frame is None or self.lost:
                self.number = number
                frame, place = self.recover(segment, frame, place)
                if frame is None or place is None:
                    continue
            # From here on the place is settled: leave the loops inside its own, count it, check it.
            if frame is not here:
                self.number = number
                while self.frame is not frame:
                    self.close()
                here = frame
            frame.position = place.position
            frame.counts[place.index] += 1
            if place.opens:
                here = self.open(place, segment, number)
            else:
                frame.segments.append(segment)
            match = place.match
            if match is None or not match(text):
                self.number = number
                self.explain(place, segment)
        self.number = number
        last: _Frame | None = self.frame
        while last is not None:
            last = self.close()

    # --- loops ---------------------------------------------------------------------------------------------------------

    def open(self, place: Place, segment: Segment, number: int) -> _Frame:
        """Open the loops that begin with a segment; the innermost of them."""
        frame = self.frame
        for node in place.opens:
            parent = frame.loop
            loop = Loop(node.use, parent, number)
            parent.loops.append(loop)
            frame = _Frame(node, loop, frame)
        frame.segments.append(segment)
        self.frame = frame
        return frame

    def close(self) -> _Frame | None:
        """Leave the innermost loop; what it should have had and has not is missing."""
        frame = self.frame
        counts = frame.counts
        for place in frame.node.required:
            # A missing SE is told of the envelope already.
            if not counts[place.index] and place.name != "SE":
                self.missing(place, frame.loop)
        if frame.outer is not None:
            self.frame = frame.outer
        return frame.outer

    # --- what is wrong ---------------------------------------------------------------------------------------------------

    def find(
        self,
        code: str,
        text: str,
        segment: str,
        loop: Loop | None,
        number: int | None = None,
        severity: Severity = "error",
        snip: int = 1,
    ) -> None:
        if len(self.findings) >= FINDINGS_MAX:
            return
        at = self.number if number is None else number
        self.findings.append(
            X12Finding(
                code,
                text,
                segment,
                severity,
                self.transaction.line_of(at),
                snip=snip,
                transaction=self.transaction.control_number,
                loop=None if loop is None else loop.name,
                segment=segment,
                segment_number=at,
                first_segment=self.transaction.first_segment,
            )
        )

    def missing(self, place: Place, loop: Loop) -> None:
        """A required place that was not filled; where it was noticed is the first segment that comes after its position."""
        if len(self.findings) >= FINDINGS_MAX:
            return
        guide = self.definition.guide
        number = self.number
        after = [child.number for child in loop.loops if child.use.position > place.position]
        number = min([number, *after])
        for segment in loop.segments[1:] or loop.segments:
            uses = [p for p in self.place_of(loop, segment[0]) if p.position > place.position]
            if uses:
                texts = self.transaction.segments
                number = next((n for n in range(loop.number, number) if texts[n - 1] is segment), number)
                break
        if place.loop is not None:
            text = f"loop {place.loop.name} is required and missing; it begins with {place.name}"
            self.find("I7" if guide else "3", text, place.name, loop, number, snip=2 if guide else 1)
        else:
            codes = (
                ""
                if not place.tests
                else f" with {place.name}{place.tests[0][0]:02d} {', '.join(sorted(place.tests[0][2])[:6])}"
            )
            self.find(
                "3", f"{place.name}{codes} is required and missing", place.name, loop, number, snip=2 if guide else 1
            )

    def place_of(self, loop: Loop, name: str) -> tuple[Place, ...]:
        return next((node.by_name.get(name, ()) for node in self.grammar.nodes.values() if node.use is loop.use), ())

    def explain(self, place: Place, segment: Segment) -> None:
        if place.match is None:
            place.seen += 1
            if place.seen >= COMPILE_AFTER:
                self.grammar.compile(place)
        if len(self.findings) >= FINDINGS_MAX:
            return
        loop = self.frame.loop
        if place.use.usage == "N":
            self.find("I4", f"{place.name} is not used here", place.name, loop, snip=2)
            return
        definition, transaction = self.definition, self.transaction
        problems = explain(
            place.use, segment, transaction.separators, self.grammar.codes, definition.guide, definition.release
        )
        for problem in problems:
            if len(self.findings) >= FINDINGS_MAX:
                return
            part = "" if problem.component is None else f"-{problem.component}"
            self.findings.append(
                X12Finding(
                    problem.code,
                    problem.text,
                    f"{place.name}{problem.element:02d}{part}",
                    problem.severity,
                    transaction.line_of(self.number),
                    level="element",
                    snip=problem.snip,
                    transaction=transaction.control_number,
                    loop=loop.name,
                    segment=place.name,
                    segment_number=self.number,
                    element=problem.element,
                    component=problem.component,
                    element_number=problem.element_number,
                    first_segment=transaction.first_segment,
                )
            )

    def recover(
        self, segment: Segment, frame: _Frame | None, place: Place | None
    ) -> tuple[_Frame | None, Place | None]:
        """The place of a segment that no loop takes in order; or of one that comes after a segment was left out."""
        name = segment[0]
        if self.lost:
            if name in self.lost and (place is None or not place.opens):
                return None, None
            self.lost = frozenset()
            if place is not None:
                return frame, place
        frame = self.frame
        while frame is not None:
            # The opening segment of an open loop comes again by opening another one, which the loop outside decides.
            named = [p for p in frame.node.by_name.get(name, ()) if p.index or p.opens or frame.outer is None]
            fitting = [p for p in named if p.fits(segment, self.transaction.separators)]
            if fitting:
                return frame, self.irregular(frame, fitting)
            if len(named) == 1 and named[0].position >= frame.position:
                return frame, self.irregular(frame, named)
            frame = frame.outer
        self.leave_out(segment)
        return None, None

    def irregular(self, frame: _Frame, places: list[Place]) -> Place:
        """Of the places that a segment fits by its codes, the one it is too often or too late at."""
        position, counts, loop = frame.position, frame.counts, frame.loop
        ahead = [p for p in places if p.position >= position]
        place = (ahead or places)[0]
        if not ahead:
            self.find("7", f"{place.name} comes too late in its loop", place.name, loop)
        elif counts[place.index] >= place.max:
            if place.loop is not None:
                text = f"loop {place.loop.name} comes more often than {place.max} times"
                self.find("4", text, place.name, loop)
            else:
                self.find("5", f"{place.name} comes more often than {place.max} times", place.name, loop)
        return place

    def frames(self) -> Iterator[_Frame]:
        """The open loops, innermost first."""
        frame: _Frame | None = self.frame
        while frame is not None:
            yield frame
            frame = frame.outer

    def leave_out(self, segment: Segment) -> None:
        name = segment[0]
        loop = self.frame.loop
        if name in self.grammar.names:
            self.find("2", f"{_shown(name)} is not possible here", _shown(name), loop)
            opened = [p.opens[0] for frame in self.frames() for p in frame.node.by_name.get(name, ()) if p.opens]
            self.lost = frozenset(n for node in opened for n in node.by_name if n != name)
        elif any(name in dictionary(release).segments for release in RELEASES):
            self.find("6", f"{_shown(name)} is no segment of this transaction set", _shown(name), loop)
        else:
            self.find("1", "there is no segment with this identifier", _shown(name), loop)


def _shown(name: str) -> str:
    """A segment id as it may be told: what is none may hold anything."""
    return name if 2 <= len(name) <= 3 and name.isascii() and name.isalnum() else "?"
