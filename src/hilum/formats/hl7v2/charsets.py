"""Which characters the bytes are, by MSH-18 or a byte order mark (HL7 v2.5.1 ch. 2.15.9.18, table 0211)."""

from __future__ import annotations

from hilum.formats.hl7v2.findings import Code, HL7ParseError

# Alternate character sets by their names in table 0211, and the misspellings that senders really use.
CODECS: dict[str, str] = {
    "": "utf-8",
    "ASCII": "ascii",
    "ISO IR6": "ascii",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "ISO-8859-1": "iso8859-1",
    **{f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
    "GB 18030-2000": "gb18030",
    "GB 18030": "gb18030",
    "BIG-5": "big5",
    "KS X 1001": "euc_kr",
    "ISO IR14": "iso2022_jp_ext",
    "ISO IR87": "iso2022_jp_ext",
    "ISO IR159": "iso2022_jp_ext",
}
_JAPANESE = ("ISO IR14", "ISO IR87", "ISO IR159")
# In these a byte of ASCII's may be half of a character, so that delimiters can be found in the decoded text only.
MULTIBYTE = frozenset({"gb18030", "big5", "iso2022_jp_ext"})
_WIDE = frozenset({"UNICODE UTF-16", "UNICODE UTF-32", "UTF-16", "UTF-32"})

UTF8_MARK = b"\xef\xbb\xbf"
# The marks of UTF-32 first: that of its little-endian form begins with that of UTF-16.
_WIDE_STARTS = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_WIDE_LETTERS = ((b"\x00\x00\x00", "utf-32-be"), (b"\x00", "utf-16-be"))


def codec_of(declared: str, others: tuple[str, ...] = ()) -> str:
    """Python's codec for MSH-18; without a declaration UTF-8, of which ASCII is a part. HL7ParseError 103 when unknown.

    ``others`` are the field's further repetitions: Japanese senders declare ASCII or nothing first and then ``ISO IR87``,
    to which escape sequences of ISO 2022 switch.
    """
    if any(other.strip().upper() in _JAPANESE for other in others):
        return "iso2022_jp_ext"
    codec = CODECS.get(declared) or CODECS.get(declared.strip().upper())
    if codec is not None:
        return codec
    if declared.strip().upper() in _WIDE:
        raise HL7ParseError(
            Code.DATA_TYPE,
            "MSH-18 declares UTF-16 or UTF-32, but the bytes are neither; declare what is sent",
            "MSH-18",
        )
    raise HL7ParseError(
        Code.TABLE_VALUE,
        "the character set is not supported; send UNICODE UTF-8, ASCII, one of 8859/1 to 8859/15, GB 18030-2000, BIG-5, "
        "KS X 1001 or ISO IR87",
        "MSH-18",
    )


def wide_codec(data: bytes) -> str | None:
    """``utf-16-le`` and the like for bytes in UTF-16 or UTF-32, by their mark or their first letters; None for all others."""
    for mark, codec in _WIDE_STARTS:
        if data.startswith(mark):
            return codec
    for zeros, codec in _WIDE_LETTERS:
        if data.startswith(zeros) and data[len(zeros) : len(zeros) + 1] in (b"M", b"F", b"B", b"\x0b"):
            return codec
        if data[:1] in (b"M", b"F", b"B", b"\x0b") and data[1 : 1 + len(zeros)] == zeros:
            return codec.replace("be", "le")
    return None


def is_marked(data: bytes) -> bool:
    """Whether a byte order mark of UTF-16 or UTF-32 comes first."""
    return any(data.startswith(mark) for mark, _ in _WIDE_STARTS)


def narrowed(data: bytes, codec: str) -> bytes:
    """The same text in UTF-8, its mark left out; HL7ParseError 102 when it is not in ``codec``."""
    return decode(data, codec).removeprefix("\ufeff").encode()


def widened(data: bytes, codec: str, mark: bool = True) -> bytes:
    """UTF-8 bytes in ``codec`` again."""
    return (("\ufeff" if mark else "") + data.decode()).encode(codec)


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
