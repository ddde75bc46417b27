"""How a cXML document looks to a reader. Secrets and people are marked protected; goods and companies are not."""

from __future__ import annotations

from hilum.formats.cxml.document import CxmlDocument
from hilum.formats.outline import Outline
from hilum.formats.xml import Element
from hilum.formats.xml_outline import outline_of

# SharedSecret and its kin let anyone who reads them send in the sender's name; the others name people or where they live:
# a DeliverTo line or a comment of a hospital's order can name the patient an implant is for.
_PROTECTED = frozenset(
    [
        "SharedSecret",
        "CredentialMac",
        "DigitalSignature",
        "DeliverTo",
        "Email",
        "Number",
        "Extension",
        "Comments",
        "Extrinsic",
        "BuyerCookie",
        "PCard",
        "Street",
    ]
)
_PERSONS = frozenset({"Contact"})


def _protected(element: Element, label: str) -> bool:
    at: Element | None = element
    while at is not None:
        if at.tag in _PROTECTED and not (at is element and label == "@name"):
            return True
        if at.tag in _PERSONS and label not in ("@role", "@domain", "@lang"):
            return True
        at = at.getparent()
    return False


def outline(document: CxmlDocument) -> Outline:
    """The tree of the document; shared secrets, people, their addresses, and free text are protected."""
    return outline_of(document.root, _protected)
