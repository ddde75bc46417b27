"""What makes bytes no UBL, and what of a document UBL cannot say."""

from __future__ import annotations

from hilum.formats.findings import FormatError


class UblError(FormatError):
    """Bytes that are no UBL document. ``code`` is one of :class:`hilum.formats.xml.XmlError` or ``not-ubl``."""


class CannotWrite(UblError):
    """A business document that has something UBL has no place for, or lacks what UBL requires; ``location`` names it."""
