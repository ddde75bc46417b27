"""How a UBL document looks to a reader. People and accounts are marked protected; goods and companies are not."""

from __future__ import annotations

from hilum.formats.outline import Outline
from hilum.formats.ubl.document import UblDocument
from hilum.formats.xml import Element, name_of
from hilum.formats.xml_outline import outline_of

# A delivery of an implant is often addressed to a person or a case, and notes are free text.
_PROTECTED = frozenset(
    [
        "Person",
        "Contact",
        "Note",
        "PrimaryAccountNumberID",
        "HolderName",
        "PayeeFinancialAccount",
        "PayerFinancialAccount",
        "MarkAttention",
        "MarkCare",
        "DeliveryContact",
        "AccountingContact",
        "BuyerContact",
        "SellerContact",
        "EmbeddedDocumentBinaryObject",
    ]
)


def _protected(element: Element, label: str) -> bool:
    at: Element | None = element
    while at is not None:
        if name_of(at) in _PROTECTED:
            return True
        at = at.getparent()
    return False


def outline(document: UblDocument) -> Outline:
    """The tree of the document, without its envelope; people, notes and accounts are protected."""
    return outline_of(document.root, _protected)
