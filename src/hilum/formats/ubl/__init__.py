"""UBL 2.1 and Peppol: orders, responses, despatch advices, invoices and credit notes, read, checked by EN 16931 and written.

>>> from hilum.formats import ubl
>>> order = ubl.parse(b'<Order xmlns="urn:oasis:names:specification:ubl:schema:xsd:Order-2"/>')
>>> order.kind, {finding.code for finding in ubl.validate(order)}
('Order', {'missing'})
"""

from hilum.formats.ubl.building import EN16931, PEPPOL_BILLING, Profile, build
from hilum.formats.ubl.conversion import convert
from hilum.formats.ubl.document import UblDocument, edited, parse, recognise, write
from hilum.formats.ubl.errors import CannotWrite, UblError
from hilum.formats.ubl.outlining import outline
from hilum.formats.ubl.validation import validate

__all__ = [
    "EN16931",
    "PEPPOL_BILLING",
    "CannotWrite",
    "Profile",
    "UblDocument",
    "UblError",
    "build",
    "convert",
    "edited",
    "outline",
    "parse",
    "recognise",
    "validate",
    "write",
]
