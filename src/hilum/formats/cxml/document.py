"""The cXML document: what was read or built, its envelope, and its bytes (cXML User's Guide, "cXML Basics")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hilum.formats.cxml.errors import CxmlError
from hilum.formats.xml import Element, XmlDocument, begins, changed, name_of, read, serialise, text_of

DTD = "http://xml.cxml.org/schemas/cXML/1.2.060/cXML.dtd"

# Catalogues travel in the same DTD without an envelope.
_CATALOGUES = ("Index", "Supplier", "Contract")


@dataclass(frozen=True, slots=True, kw_only=True)
class CxmlDocument(XmlDocument):
    """A cXML document. ``kind`` is the name of what it carries (``OrderRequest``, ``PunchOutSetupResponse``, ``Index``);
    ``Response`` where it answers with a status alone."""

    @property
    def payload_id(self) -> str | None:
        """The sender's own number of this document; a resend carries the same one."""
        return self.root.get("payloadID")

    @property
    def timestamp(self) -> str | None:
        """When it was sent, as it is written there (ISO 8601)."""
        return self.root.get("timestamp")

    @property
    def payload(self) -> Element | None:
        """The element that ``kind`` names; None for a status alone."""
        return payload_of(self.root)

    @property
    def test(self) -> bool:
        """Whether the sender marked it as a test."""
        return any(child.get("deploymentMode") == "test" for child in self.root)


def parse(data: bytes) -> CxmlDocument:
    """The document; raises :class:`CxmlError` and nothing else. The DTD it names is never fetched.

    >>> parse(b'<cXML payloadID="1@lakeshore" timestamp="2026-03-01T12:00:00Z"><Response><Status code="200" text="OK"/></Response></cXML>').kind
    'Response'
    """
    told = read(data, CxmlError)
    if told.root.tag != "cXML" and told.root.tag not in _CATALOGUES:
        raise CxmlError("not-cxml", "The root element is not cXML", "/")
    return CxmlDocument(kind=kind_of(told.root), root=told.root, source=data, system_id=told.system_id)


def write(document: CxmlDocument) -> bytes:
    """The very bytes it was read from, or, once built or changed, UTF-8 with its DOCTYPE and two spaces of indentation."""
    if document.source is not None:
        return document.source
    name = str(document.root.tag)
    return serialise(document.root, f'<!DOCTYPE {name} SYSTEM "{document.system_id or DTD}">')


def edited(document: CxmlDocument, edit: Callable[[Element], None]) -> CxmlDocument:
    """A copy in which ``edit`` has changed the tree below its root; comments of the source are not in it."""
    root = changed(document.root, edit)
    return CxmlDocument(kind=kind_of(root), root=root, system_id=document.system_id)


def recognise(data: bytes) -> bool:
    """Whether these bytes start as cXML does."""
    return begins(data, b"cXML") or (
        begins(data, b"Index", b"Supplier", b"Contract") and b"cxml" in data[:1024].lower()
    )


def kind_of(root: Element) -> str:
    """What a cXML root carries."""
    if root.tag != "cXML":
        return str(root.tag)
    payload = payload_of(root)
    if payload is not None:
        return name_of(payload)
    return next((name_of(child) for child in root if child.tag in ("Request", "Response", "Message")), "cXML")


def payload_of(root: Element) -> Element | None:
    """The request, message or answer inside the envelope."""
    for child in root:
        if child.tag in ("Request", "Response", "Message"):
            return next((part for part in child if part.tag != "Status"), None)
    return None


def credentials(document: CxmlDocument, side: str) -> tuple[tuple[str, str], ...]:
    """(domain, identity) of each credential of a side: ``From``, ``To`` or ``Sender``. Secrets are never among them."""
    found = []
    for credential in document.root.iterfind(f"Header/{side}/Credential"):
        identity = text_of(credential.find("Identity"))
        if identity is not None:
            found.append((credential.get("domain", ""), identity))
    return tuple(found)
