"""What makes bytes no cXML, and what of a document cXML cannot say."""

from __future__ import annotations

from hilum.formats.findings import FormatError


class CxmlError(FormatError):
    """Bytes that are no cXML document. ``code`` is one of :class:`hilum.formats.xml.XmlError` or ``not-cxml``."""


class CannotWrite(CxmlError):
    """A business document that has something cXML has no place for, or lacks what cXML requires; ``location`` names it."""
