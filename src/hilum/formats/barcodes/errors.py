"""What can be wrong with a label."""

from __future__ import annotations


class UdiError(ValueError):
    """Text that is no unique device identifier; the sentence says why, without the label's text."""


class WrongCheck(UdiError):
    """A check digit or character does not agree with the rest: the label was misread or mistyped."""
