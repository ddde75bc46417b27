"""cXML 1.2: orders, confirmations, ship notices, invoices, punch-out and status, read, checked, answered and written.

>>> from hilum.formats import cxml
>>> document = cxml.parse(b'<cXML payloadID="1@lakeshore" timestamp="2026-03-01T12:00:00Z">'
...     b'<Response><Status code="200" text="OK"/></Response></cXML>')
>>> document.kind, cxml.validate(document)
('Response', [])
>>> cxml.convert(document)[0].accepted
True
"""

from hilum.formats.cxml.acknowledgement import acknowledge, answered
from hilum.formats.cxml.building import Envelope, build
from hilum.formats.cxml.conversion import convert
from hilum.formats.cxml.document import CxmlDocument, credentials, edited, parse, recognise, write
from hilum.formats.cxml.errors import CannotWrite, CxmlError
from hilum.formats.cxml.outlining import outline
from hilum.formats.cxml.validation import validate

__all__ = [
    "CannotWrite",
    "CxmlDocument",
    "CxmlError",
    "Envelope",
    "acknowledge",
    "answered",
    "build",
    "convert",
    "credentials",
    "edited",
    "outline",
    "parse",
    "recognise",
    "validate",
    "write",
]
