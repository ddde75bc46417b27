"""HL7 v2 messages: read lazily, addressed by path, checked, written and acknowledged as chapter 2 says.

message = Message.parse(data)                  # HL7ParseError when it is no message
message["PID-3.1"]                             # str; MissingField when absent, empty or null
message.get("PID-3[2].1")                      # str | None
[charge["7.1"] for charge in message.segments("FT1")]
findings = validate(message)
answer = acknowledge(message, "AA", findings, control_id="H1", timestamp=now)
"""

from hilum.formats.hl7v2.acknowledgement import AckCode, acknowledge, code_for
from hilum.formats.hl7v2.batch import split_messages
from hilum.formats.hl7v2.delimiters import NULL, Delimiters, escape, unescape
from hilum.formats.hl7v2.findings import Code, Finding, HL7Error, HL7ParseError, MissingField
from hilum.formats.hl7v2.header import Header, header_of
from hilum.formats.hl7v2.message import Message, Segment
from hilum.formats.hl7v2.paths import InvalidPath, Path, parse_path
from hilum.formats.hl7v2.structures import STRUCTURES, VERSIONS, Profile
from hilum.formats.hl7v2.timestamps import parse_timestamp, precision_of
from hilum.formats.hl7v2.tree import tree
from hilum.formats.hl7v2.validation import validate
from hilum.formats.hl7v2.writer import Repeated, build

__all__ = [
    "NULL",
    "STRUCTURES",
    "VERSIONS",
    "AckCode",
    "Code",
    "Delimiters",
    "Finding",
    "HL7Error",
    "HL7ParseError",
    "Header",
    "InvalidPath",
    "Message",
    "MissingField",
    "Path",
    "Profile",
    "Repeated",
    "Segment",
    "acknowledge",
    "build",
    "code_for",
    "escape",
    "header_of",
    "parse_path",
    "parse_timestamp",
    "precision_of",
    "split_messages",
    "tree",
    "unescape",
    "validate",
]
