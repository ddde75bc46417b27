"""HL7 v2, 2.1 to 2.8, in the vertical-bar encoding and in XML: read lazily, checked, written and acknowledged as chapter 2 says.

document = parse(data)                         # a Message, or a Batch of them; HL7ParseError when it is neither
message = Message.parse(data)                  # the same for one message in the vertical-bar encoding, and faster
message["PID-3.1"]                             # str; MissingField when absent, empty or null
message.get("PID-3[2].1")                      # str | None
[charge["7.1"] for charge in message.segments("FT1")]
[group.segments("OBX")[0]["5"] for group in message.groups("OBSERVATION")]
findings = validate(message)                   # by the tables of the version in MSH-12
write(message.with_field("PV1-3.1", "OR"))     # every other byte as it was
answer = acknowledge(message, "AA", findings, control_id="H1", timestamp=now)
"""

from hilum.formats.hl7v2.acknowledgement import AckCode, Receipt, acknowledge, answers, code_for, receipt_of
from hilum.formats.hl7v2.batch import Batch, split_messages
from hilum.formats.hl7v2.charsets import wide_codec
from hilum.formats.hl7v2.delimiters import NULL, Delimiters, escape, unescape
from hilum.formats.hl7v2.document import Document, convert, parse, recognise, write
from hilum.formats.hl7v2.findings import Code, Finding, HL7Error, HL7ParseError, MessageFinding, MissingField
from hilum.formats.hl7v2.groups import Group
from hilum.formats.hl7v2.header import Header, header_of
from hilum.formats.hl7v2.message import Message, Segment
from hilum.formats.hl7v2.outline import is_protected, outline
from hilum.formats.hl7v2.paths import InvalidPath, Path, parse_path
from hilum.formats.hl7v2.structures import VERSIONS, Need, Profile
from hilum.formats.hl7v2.timestamps import parse_timestamp, precision_of
from hilum.formats.hl7v2.tree import tree
from hilum.formats.hl7v2.validation import validate
from hilum.formats.hl7v2.writer import Repeated, build

__all__ = [
    "NULL",
    "VERSIONS",
    "AckCode",
    "Batch",
    "Code",
    "Delimiters",
    "Document",
    "Finding",
    "Group",
    "HL7Error",
    "HL7ParseError",
    "Header",
    "InvalidPath",
    "Message",
    "MessageFinding",
    "MissingField",
    "Need",
    "Path",
    "Profile",
    "Receipt",
    "Repeated",
    "Segment",
    "acknowledge",
    "answers",
    "build",
    "code_for",
    "convert",
    "escape",
    "header_of",
    "is_protected",
    "outline",
    "parse",
    "parse_path",
    "parse_timestamp",
    "precision_of",
    "receipt_of",
    "recognise",
    "split_messages",
    "tree",
    "unescape",
    "validate",
    "wide_codec",
    "write",
]
