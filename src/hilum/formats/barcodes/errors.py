"""What can be wrong with a label."""

from __future__ import annotations

from enum import StrEnum

from hilum.formats.findings import FormatError

__all__ = ["Code", "UdiError", "WrongCheck"]


class Code(StrEnum):
    """The agencies have no list of errors; these words are ours."""

    STRUCTURE = "structure"
    CHECK = "check"
    DEVICE_MISSING = "device-missing"
    PAIR = "pair"
    """An element is there without the one it belongs to (GS1 General Specifications 4.13)."""


class UdiError(FormatError, ValueError):
    """Text that is no label of a known agency; the sentence says why, without the label's text."""

    def __init__(self, text: str, code: str = Code.STRUCTURE, location: str | None = None) -> None:
        super().__init__(code, text, location, 1)

    def __str__(self) -> str:
        return self.text


class WrongCheck(UdiError):
    """A check digit or character does not agree with the rest: the label was misread or mistyped."""

    def __init__(self, text: str, code: str = Code.CHECK, location: str | None = None) -> None:
        super().__init__(text, code, location)
