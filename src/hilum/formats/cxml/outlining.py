"""How a cXML document looks to a reader. Secrets are left out, people are marked protected, goods and companies are not."""

from __future__ import annotations

from hilum.formats.cxml.document import CxmlDocument
from hilum.formats.outline import Outline
from hilum.formats.xml import Element
from hilum.formats.xml_outline import outline_of

# They let anyone who reads them send in the sender's name: nobody is shown them, whatever else they may see.
_SECRETS = frozenset({"SharedSecret", "CredentialMac", "DigitalSignature"})
# What names people or where they live:
# a DeliverTo line or a comment of a hospital's order can name the patient an implant is for.
_PROTECTED = frozenset(
    [
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
    """The tree of the document; people, their addresses and free text are protected, shared secrets are not in it at all."""
    shown = outline_of(document.root, _protected)
    todo = [shown]
    while todo:
        node = todo.pop()
        if node.label in _SECRETS:
            node.value, node.note, node.children = None, "a secret, never shown", []
        todo.extend(node.children)
    return shown
