"""The UBL document: what was read or built, the profile it claims, and its bytes (OASIS UBL 2.1)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree

from hilum.formats.ubl.errors import UblError
from hilum.formats.xml import Element, XmlDocument, begins, changed, name_of, read, serialise, text_of

CAC = "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
CBC = "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"
EXT = "urn:oasis:names:specification:ubl:schema:xsd:CommonExtensionComponents-2"
SBDH = "http://www.unece.org/cefact/namespaces/StandardBusinessDocumentHeader"
NS = {"cac": CAC, "cbc": CBC, "ext": EXT}

_ROOT = re.compile(r"\{urn:oasis:names:specification:ubl:schema:xsd:([A-Za-z]+)-2\}([A-Za-z]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class UblDocument(XmlDocument):
    """A UBL document. ``kind`` is the name of its root (``Invoice``, ``OrderResponse`` ...); ``envelope`` is the root of the
    Standard Business Document that wraps it, where one does."""

    envelope: Element | None = None

    @property
    def number(self) -> str | None:
        """The document's own number, ``cbc:ID``."""
        return text_of(self.root.find("cbc:ID", NS))

    @property
    def customization(self) -> str | None:
        """Which use of UBL the sender says this is (BT-24)."""
        return text_of(self.root.find("cbc:CustomizationID", NS))

    @property
    def profile(self) -> str | None:
        """Which business process it belongs to (BT-23)."""
        return text_of(self.root.find("cbc:ProfileID", NS))

    @property
    def claims_en16931(self) -> bool:
        """Whether it says that it keeps the rules of EN 16931: its specification identifier, Peppol BIS 3 included."""
        said = (self.customization or "").lower()
        return self.kind in ("Invoice", "CreditNote") and ("en16931" in said or "poacc:billing:3" in said)

    @property
    def peppol(self) -> bool:
        """Whether it says that it is a Peppol document."""
        return any("peppol" in (said or "").lower() for said in (self.customization, self.profile))


def parse(data: bytes) -> UblDocument:
    """The document; raises :class:`UblError` and nothing else. A Standard Business Document around it is opened.

    >>> parse(b'<Order xmlns="urn:oasis:names:specification:ubl:schema:xsd:Order-2"/>').kind
    'Order'
    """
    root = envelope = read(data, UblError).root
    if root.tag == f"{{{SBDH}}}StandardBusinessDocument":
        inside = [child for child in root if not str(child.tag).startswith(f"{{{SBDH}}}")]
        if len(inside) != 1:
            raise UblError(
                "not-ubl",
                "The Standard Business Document does not hold exactly one document",
                "/StandardBusinessDocument",
            )
        root = inside[0]
    match = _ROOT.fullmatch(str(root.tag))
    if match is None or match[1] != match[2]:
        raise UblError("not-ubl", "The root element is not in a namespace of a UBL 2 document", "/")
    return UblDocument(kind=match[1], root=root, source=data, envelope=envelope if envelope is not root else None)


def write(document: UblDocument) -> bytes:
    """The very bytes it was read from, or, once built or changed, UTF-8 with two spaces of indentation and no envelope."""
    return document.source if document.source is not None else serialise(document.root)


def edited(document: UblDocument, edit: Callable[[Element], None]) -> UblDocument:
    """A copy in which ``edit`` has changed the tree below its root; comments and the envelope of the source are not in it."""
    root = changed(document.root, edit)
    return UblDocument(kind=name_of(root), root=root)


def recognise(data: bytes) -> bool:
    """Whether these bytes start as a UBL document or a Standard Business Document does."""
    head = data[:8192]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        head = head[: len(head) // 2 * 2].decode("utf-16", "replace").encode()
    if b"urn:oasis:names:specification:ubl:schema:xsd:" in head:
        return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
    return begins(data, b"StandardBusinessDocument")


def new_root(kind: str) -> Element:
    """An empty root of this kind with the namespaces that UBL documents are written with."""
    own = f"urn:oasis:names:specification:ubl:schema:xsd:{kind}-2"
    return etree.Element(f"{{{own}}}{kind}", nsmap={None: own, "cac": CAC, "cbc": CBC})  # type: ignore[dict-item]
