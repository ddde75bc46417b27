"""What can be wrong with a document, in whatever format: one shape for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong: the standard's own code, a sentence without any value of the document, and the place.

    ``code`` is of the list the format's standard keeps (HL7 table 0357, X12 element 721 or 723, FHIR issue type and key,
    EN 16931 rule id). ``location`` is the place as the format's own paths write it (``PID-3[2].1``, ``CLM05-1``,
    ``Claim.item[0].net``, an XPath, a column) or None for the whole document. ``line`` counts from 1 in the source.
    """

    code: str
    text: str
    location: str | None = None
    severity: Severity = "error"
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.text}" + (f" at {self.location}" if self.location else "")

    def details(self) -> Mapping[str, str | int]:
        """What the format says besides (segment, element, loop, transaction, SNIP type ...); nothing by default."""
        return {}


class FormatError(Exception):
    """Bytes that cannot be read as what they should be.

    ``code`` is of the format's list, ``text`` says without any value of the document what was met and what was expected,
    ``location`` is a path or None, ``line`` counts from 1 or is None.
    """

    def __init__(self, code: str, text: str, location: str | None = None, line: int | None = None) -> None:
        self.code = str(code)
        self.text = text
        self.location = location
        self.line = line
        super().__init__(f"{self.code}: {text}" + (f" at {location}" if location else ""))

    @property
    def finding(self) -> Finding:
        """The same as a finding, to stand in a list beside others."""
        return Finding(self.code, self.text, self.location, "error", self.line)
