"""The answer a cXML request earns: a Response with a status (cXML User's Guide, "Status codes")."""

from __future__ import annotations

from collections.abc import Sequence

from lxml import etree

from hilum.formats.cxml.document import CxmlDocument
from hilum.formats.findings import Finding
from hilum.formats.xml import text_of

# What the guide calls these codes.
TEXTS = {
    "200": "OK",
    "201": "Accepted",
    "204": "No Content",
    "280": "Forwarded",
    "281": "Forwarded by an unreliable transport",
    "400": "Bad Request",
    "401": "Unauthorized",
    "402": "Payment Required",
    "403": "Forbidden",
    "406": "Not Acceptable",
    "409": "Conflict",
    "412": "Precondition Failed",
    "417": "Expectation Failed",
    "450": "Not Implemented",
    "475": "Signature Required",
    "476": "Signature Verification Failed",
    "477": "Signature Unacceptable",
    "500": "Internal Server Error",
    "550": "Unable to reach cXML server",
    "551": "Unable to forward request",
    "560": "Temporary server error",
}

# What a sender wrote against the DTD is a bad request; what is well-formed and does not add up is not acceptable.
_STRUCTURE = frozenset(
    {
        "missing",
        "order",
        "repeated",
        "unexpected",
        "type",
        "code",
        "syntax",
        "entities",
        "encoding",
        "empty",
        "not-cxml",
    }
)


_ANSWERS = "payloadID "


def answered(document: CxmlDocument) -> str | None:
    """The payloadID a document answers: of a StatusUpdateRequest, a Message in reply, or a Response that ``acknowledge`` wrote."""
    reference = document.root.find("Request/StatusUpdateRequest/DocumentReference")
    if reference is not None:
        return reference.get("payloadID")
    message = document.root.find("Message")
    if message is not None:
        return message.get("inReplyTo")
    said = text_of(document.root.find("Response/Status"))
    if said is not None and said.startswith(_ANSWERS):
        return said.removeprefix(_ANSWERS).partition(";")[0].strip() or None
    return None


def acknowledge(
    document: CxmlDocument | None,
    findings: Sequence[Finding] = (),
    *,
    payload_id: str,
    timestamp: str,
    code: str | None = None,
) -> CxmlDocument:
    """The Response to a document, or, with None, to bytes that were none.

    200 without errors, 400 where the structure is wrong, 406 where it reads and cannot be accepted; ``code`` overrides (401, 409,
    450, 500 ...). The guide gives a Response no element for the payloadID it answers, for HTTP pairs the two; so that stored
    answers can be matched too, the text of the status begins ``payloadID ...``, which ``answered`` reads again.
    ``payload_id`` and ``timestamp`` (ISO 8601 with zone) are the answer's own.
    """
    wrong = [finding for finding in findings if finding.severity == "error"]
    if code is None:
        code = "200" if not wrong else ("400" if any(finding.code in _STRUCTURE for finding in wrong) else "406")
    root = etree.Element("cXML", {"payloadID": payload_id, "timestamp": timestamp})
    status = etree.SubElement(
        etree.SubElement(root, "Response"),
        "Status",
        {"code": code, "text": TEXTS.get(code, "Error" if code[0] > "3" else "OK")},
    )
    status.set("{http://www.w3.org/XML/1998/namespace}lang", "en-US")
    said = [f"{_ANSWERS}{document.payload_id}"] if document is not None and document.payload_id else []
    said += [str(finding) for finding in wrong[:20]]
    if said:
        status.text = "; ".join(said)
    return CxmlDocument(kind="Response", root=root)
