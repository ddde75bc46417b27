"""Delimiters and escape sequences (HL7 v2.5.1 ch. 2.5.4 and 2.7)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

NULL = '""'
"""The HL7 null (ch. 2.5.3): the sender says that the value is to be deleted, which is not the same as saying nothing."""


class Delimiters(NamedTuple):
    """The five characters of MSH-1 and MSH-2; an empty one is not in use. ``truncation`` is of version 2.7 and later."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @property
    def encoding(self) -> str:
        """MSH-2."""
        return "".join(self[1:])


STANDARD = Delimiters()

# Formatting commands (ch. 2.7.6) that end or move a line of text; those with a number repeat.
_BREAKS = {".br": "\n", ".ce": "\n", ".fi": "", ".nf": "", "H": "", "N": ""}
_NUMBERED = re.compile(r"\.(sp|sk|in|ti)\s*([+-]?\d{1,2})?", re.ASCII)
_HEX = re.compile(r"X((?:[0-9A-Fa-f]{2})+)", re.ASCII)


@lru_cache(maxsize=256)
def unescaper(delimiters: Delimiters, codec: str) -> Callable[[str], str]:
    """A function that decodes the escape sequences of a leaf value.

    ``\\F\\ \\S\\ \\T\\ \\R\\ \\E\\ \\P\\`` give the delimiter, ``\\Xhh..\\`` bytes in the message's charset, formatting commands
    line breaks and blanks, highlighting nothing. What is unknown (local ``\\Z..\\``, other charsets ``\\C..\\``, an
    escape character that stands alone) stays as sent: it must not vanish.
    """
    mark = delimiters.escape
    if not mark:
        return str
    letters = {
        "F": delimiters.field,
        "S": delimiters.component,
        "T": delimiters.subcomponent,
        "R": delimiters.repetition,
        "E": mark,
        "P": delimiters.truncation or "#",
    }
    known = {**{letter: character for letter, character in letters.items() if character}, **_BREAKS}
    quoted = re.escape(mark)
    sequence = re.compile(f"{quoted}([^{quoted}]*){quoted}")

    def meaning(match: re.Match[str]) -> str:
        body = match.group(1)
        text = known.get(body)
        if text is not None:
            return text
        hexadecimal = _HEX.fullmatch(body)
        if hexadecimal is not None:
            try:
                return bytes.fromhex(hexadecimal.group(1)).decode(codec)
            except UnicodeDecodeError:
                return match.group()
        numbered = _NUMBERED.fullmatch(body)
        if numbered is not None:
            command, count = numbered.groups()
            if command == "sp":
                return "\n" * int(count or 1)
            return " " * int(count or 1) if command == "sk" else ""
        return match.group()

    return lambda text: sequence.sub(meaning, text)


@lru_cache(maxsize=256)
def escaper(delimiters: Delimiters) -> Callable[[str], str]:
    """A function that makes any text a leaf value: delimiters, line ends and control characters escaped.

    Control characters are escaped because those of MLLP's framing would cut the message in two. Without an escape
    character a text that needs one raises ValueError.
    """
    mark = delimiters.escape
    special = {chr(number): f"{mark}X{number:02X}{mark}" for number in (*range(0x20), 0x7F)}
    special["\n"] = f"{mark}.br{mark}"
    for letter, character in zip("FSRET", delimiters[:5], strict=True):
        if character:
            special[character] = f"{mark}{letter}{mark}"
    found = re.compile("[" + "".join(re.escape(character) for character in special) + "]")

    def escaped(text: str) -> str:
        if found.search(text) is None:
            return text
        if not mark:
            raise ValueError("MSH-2 declares no escape character, so a value with a delimiter in it cannot be written")
        return found.sub(lambda match: special[match.group()], text)

    return escaped


def unescape(text: str, delimiters: Delimiters = STANDARD, codec: str = "utf-8") -> str:
    """Decode the escape sequences of one leaf value; ``codec`` is for ``\\Xhh..\\``."""
    return unescaper(delimiters, codec)(text)


def escape(text: str, delimiters: Delimiters = STANDARD) -> str:
    """Encode any text as one leaf value, so that ``unescape`` gives it back."""
    return escaper(delimiters)(text)
