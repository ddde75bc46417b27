"""Which characters the bytes are, by MSH-18 (HL7 v2.5.1 ch. 2.15.9.18, table 0211)."""

from __future__ import annotations

from hilum.formats.hl7v2.findings import Code, HL7ParseError

# Alternate character sets by their names in table 0211, and the misspellings that senders really use.
CODECS: dict[str, str] = {
    "": "utf-8",
    "ASCII": "ascii",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "ISO-8859-1": "iso8859-1",
    **{f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
}

UTF8_MARK = b"\xef\xbb\xbf"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")


def codec_of(declared: str) -> str:
    """Python's codec for MSH-18; without a declaration UTF-8, of which ASCII is a part. HL7ParseError 103 when unknown."""
    codec = CODECS.get(declared) or CODECS.get(declared.strip().upper())
    if codec is None:
        raise HL7ParseError(
            Code.TABLE_VALUE,
            "the character set is not supported; send UNICODE UTF-8, ASCII or one of 8859/1 to 8859/15",
            "MSH-18",
        )
    return codec


def refuse_wide(data: bytes) -> None:
    """HL7ParseError for UTF-16 and UTF-32, whose bytes no HL7 v2 delimiter can be found in."""
    if data.startswith(_WIDE_MARKS) or data[:4] in (b"M\x00S\x00", b"\x00M\x00S"):
        raise HL7ParseError(Code.DATA_TYPE, "the message is in UTF-16 or UTF-32; send it in UTF-8", "MSH-18")


def decode(data: bytes, codec: str) -> str:
    """The text; HL7ParseError 102 when the bytes are not in the character set that MSH-18 declares."""
    try:
        return data.decode(codec)
    except UnicodeDecodeError as wrong:
        raise HL7ParseError(
            Code.DATA_TYPE,
            f"byte {wrong.start + 1} is not {codec.upper()}, which MSH-18 declares or leaves as the default; "
            "declare the character set that is sent",
            "MSH-18",
        ) from None
