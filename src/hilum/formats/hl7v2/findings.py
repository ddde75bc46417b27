"""What can be wrong with a message, in the codes of HL7 table 0357 (HL7 v2.5.1 ch. 2.15.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from hilum.formats.findings import Finding, FormatError

__all__ = ["MEANINGS", "Code", "Finding", "HL7Error", "HL7ParseError", "MessageFinding", "MissingField"]

_PLACE = re.compile(r"([A-Z][A-Z0-9]{2})(?:\((\d+)\))?(?:-(\d+))?(?:\[(\d+)\])?(?:\.(\d+))?(?:\.(\d+))?", re.ASCII)


class Code(StrEnum):
    """Message error condition codes, HL7 table 0357."""

    ACCEPTED = "0"
    SEGMENT_SEQUENCE = "100"
    REQUIRED_FIELD_MISSING = "101"
    DATA_TYPE = "102"
    TABLE_VALUE = "103"
    UNSUPPORTED_MESSAGE_TYPE = "200"
    UNSUPPORTED_EVENT = "201"
    UNSUPPORTED_PROCESSING_ID = "202"
    UNSUPPORTED_VERSION = "203"
    UNKNOWN_KEY = "204"
    DUPLICATE_KEY = "205"
    RECORD_LOCKED = "206"
    INTERNAL_ERROR = "207"


# The table's own words, which an ERR segment carries beside the code.
MEANINGS: dict[str, str] = {
    "0": "Message accepted",
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
    "207": "Application internal error",
}


@dataclass(frozen=True, slots=True)
class MessageFinding(Finding):
    """A finding of ``validate``; ``message`` counts from 1 where the document is a batch."""

    message: int | None = None

    def details(self) -> Mapping[str, str | int]:
        """The parts of the location: message, segment, occurrence, field, repetition, component, subcomponent."""
        told: dict[str, str | int] = {} if self.message is None else {"message": self.message}
        match = _PLACE.fullmatch(self.location or "")
        if match is not None:
            told["segment"] = match.group(1)
            for name, number in zip(
                ("occurrence", "field", "repetition", "component", "subcomponent"), match.groups()[1:], strict=True
            ):
                if number is not None:
                    told[name] = int(number)
        return told


class HL7Error(FormatError):
    """A message cannot be read, or not as it was asked for.

    ``code`` is of table 0357, ``text`` a sentence without any value of the message, ``location`` a path or None.
    """

    def __str__(self) -> str:
        return f"HL7 error {super().__str__()}"


class HL7ParseError(HL7Error):
    """The bytes are no HL7 v2 message in the vertical-bar encoding."""


class MissingField(HL7Error):
    """The message has no value where one was asked for: it is absent, empty or the HL7 null."""

    def __init__(self, path: str, text: str = "a required value is missing") -> None:
        super().__init__(Code.REQUIRED_FIELD_MISSING, text, path)
