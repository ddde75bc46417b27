"""A stretch of an interchange split at its terminators: each segment's text and line, and where it stood.

Newlines and indentation around segments are no part of them, and neither are newlines inside, which a file wrapped at a column
has. Most files are regular (no newlines at all, or one after each terminator) and are split in one step.
"""

from __future__ import annotations

from collections.abc import Sequence

from hilum.formats.x12.separators import BLANKS


class Pieces:
    """The segments of a stretch of text, in order."""

    def __init__(
        self, raw: list[str], joint: str, lead: int, texts: list[str], lines: Sequence[int], end: int | None
    ) -> None:
        self.raw, self.joint, self.lead = raw, joint, lead
        """What ``joint`` joins to the stretch of text again, behind ``lead`` characters of it."""
        self.texts = texts
        self.lines = lines
        self.end = end

    def rest(self, at: int) -> str:
        """The text from the segment ``at`` on, as it was written."""
        return self.joint.join(self.raw[at:])

    def span(self, at: int) -> tuple[int, int]:
        """Where the segment ``at`` stands in the stretch, without the blanks around it."""
        start = self.lead + sum(map(len, self.raw[:at])) + at * len(self.joint)
        raw = self.raw[at]
        return start + len(raw) - len(raw.lstrip(BLANKS)), start + len(raw.rstrip("\r\n"))

    def end_line(self, at: int) -> int:
        """The line on which the terminator of the segment ``at`` stands, or the next one where a newline is the terminator."""
        if self.end is not None and at == len(self.texts) - 1:
            return self.end
        newline = self.joint in ("\n", "\r")
        return self.lines[at] + self.raw[at].strip(BLANKS).count("\n") + newline


def split(taken: str, line: int, terminator: str, newline: str) -> Pieces:
    """Split a stretch of text that begins on ``line`` behind a terminator; ``newline`` is what counts lines."""
    regular = _regular(taken, line, terminator)
    if regular is not None:
        return regular
    raw = taken.split(terminator)
    texts, lines = [], []
    per_piece = terminator == newline
    for piece in raw:
        bare = piece.lstrip(BLANKS)
        lines.append(line + piece.count(newline, 0, len(piece) - len(bare)))
        line += piece.count(newline) + per_piece
        text = bare.rstrip(BLANKS) if terminator in "\r\n" else bare
        texts.append(text.replace("\r", "").replace("\n", "") if "\n" in text or "\r" in text else text)
    return Pieces(raw, terminator, 0, texts, lines, line)


def _regular(taken: str, line: int, terminator: str) -> Pieces | None:
    if terminator == "\r" or taken[:1] in (" ", "\t"):
        return None
    breaks, returns = taken.count("\n"), taken.count("\r")
    if terminator == "\n":
        if (
            returns
            or "\n " in taken
            or "\n\t" in taken
            or " \n" in taken
            or "\t\n" in taken
            or taken[-1:] in (" ", "\t")
        ):
            return None
        raw = taken.split("\n")
        return Pieces(raw, "\n", 0, raw, range(line, line + len(raw)), line + len(raw))
    if not breaks and not returns:
        if terminator + " " in taken or terminator + "\t" in taken:
            return None
        raw = taken.split(terminator)
        return Pieces(raw, terminator, 0, raw, [line] * len(raw), line)
    broken = "\r\n" if returns else "\n"
    joint = terminator + broken
    lead = len(broken) if taken.startswith(broken) else 0
    joints = taken.count(joint)
    if (
        joints != taken.count(terminator)
        or breaks != joints + bool(lead)
        or returns not in (0, breaks)
        or joint + " " in taken
        or joint + "\t" in taken
        or taken[lead : lead + 1] in (" ", "\t")
    ):
        return None
    raw = taken[lead:].split(joint)
    line += bool(lead)
    return Pieces(raw, joint, lead, raw, range(line, line + len(raw)), line + len(raw) - 1)
