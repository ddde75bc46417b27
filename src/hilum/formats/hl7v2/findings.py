"""What can be wrong with a message, in the codes of HL7 table 0357 (HL7 v2.5.1 ch. 2.15.5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


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

Severity = Literal["error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong: a code of table 0357, a sentence without any value of the message, and the path of the place.

    ``location`` is a path as messages are read by (``PID-3.1``, ``FT1(2)-7``, ``PV1``) or None for the whole message.
    """

    code: str
    text: str
    location: str | None = None
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.code}: {self.text}" + (f" at {self.location}" if self.location else "")


class HL7Error(Exception):
    """A message cannot be read, or not as it was asked for.

    ``code`` is of table 0357, ``text`` a sentence without any value of the message, ``location`` a path or None.
    """

    def __init__(self, code: str, text: str, location: str | None = None) -> None:
        self.code = str(code)
        self.text = text
        self.location = location
        super().__init__(f"HL7 error {self.code}: {text}" + (f" at {location}" if location else ""))

    @property
    def finding(self) -> Finding:
        """The same as a finding, for an acknowledgement."""
        return Finding(self.code, self.text, self.location)


class HL7ParseError(HL7Error):
    """The bytes are no HL7 v2 message in the vertical-bar encoding."""


class MissingField(HL7Error):
    """The message has no value where one was asked for: it is absent, empty or the HL7 null."""

    def __init__(self, path: str, text: str = "a required value is missing") -> None:
        super().__init__(Code.REQUIRED_FIELD_MISSING, text, path)
