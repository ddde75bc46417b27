"""Whether a UBL document is what the schema wants, and, where it claims EN 16931, whether it keeps that standard's rules."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice

from hilum.formats.findings import Finding
from hilum.formats.ubl.document import CBC, NS, UblDocument
from hilum.formats.ubl.rules import code_findings, decimal_findings, presence_findings, relation_findings
from hilum.formats.ubl.tables import MODEL_OF, OPAQUE, TABLE, TERMS
from hilum.formats.ubl.totals import foreign_amounts, total_findings
from hilum.formats.ubl.vat import vat_findings
from hilum.formats.xml import MAX_FINDINGS, Element, finding_at, text_of
from hilum.formats.xml_content import TYPES, check

_CBC = f"{{{CBC}}}"
_SPACE = "{urn:oasis:names:specification:ubl:schema:xsd:"


def validate(document: UblDocument, *, en16931: bool | None = None) -> list[Finding]:
    """Findings, at most ``MAX_FINDINGS``; never raises.

    ``missing``, ``order``, ``repeated``, ``unexpected``, ``type``, ``code`` and ``empty`` are the schema's, ``currency`` (an error in
    Peppol documents only) says that amounts of two currencies are added up; the others are rule ids of
    EN 16931-1 (``BR-...``), kept by invoices and credit notes that say so in their CustomizationID, or when ``en16931`` is True.
    """
    found = check(document.root, TABLE, _naming, model_of=MODEL_OF, opaque=OPAQUE, each=_each)
    severity = "error" if document.peppol else "warning"
    foreign = foreign_amounts(document.root, text_of(document.root.find("cbc:DocumentCurrencyCode", NS)))
    for element in islice(foreign, MAX_FINDINGS):
        found.append(
            finding_at(
                element, "currency", "The amount is not in the document's currency", severity, attribute="currencyID"
            )
        )
    wanted = document.claims_en16931 if en16931 is None else en16931
    if wanted and document.kind in ("Invoice", "CreditNote") and len(found) < MAX_FINDINGS:
        found += en16931_findings(document.root)
    return found[:MAX_FINDINGS]


def en16931_findings(root: Element) -> list[Finding]:
    """What the rules of EN 16931-1 say of an invoice or a credit note, at most ``MAX_FINDINGS``."""
    found: list[Finding] = []
    for rules in (presence_findings, relation_findings, total_findings, vat_findings, decimal_findings, code_findings):
        for finding in rules(root):
            found.append(finding)
            if len(found) >= MAX_FINDINGS:
                return found
    return found


def _naming(element: Element) -> str:
    """The local name of an element in one of UBL's namespaces; anything else is known by its whole name, and so nowhere."""
    tag = str(element.tag)
    return _known(tag) if tag.startswith(_SPACE) and len(tag) <= _LONGEST_TAG else tag


# Longer than any name that UBL has; what a sender made up is not remembered.
_LONGEST_TAG = 200


@lru_cache(maxsize=4096)
def _known(tag: str) -> str:
    return tag[tag.rfind("}") + 1 :]


def _each(element: Element, name: str, found: list[Finding]) -> None:
    if not str(element.tag).startswith(_CBC):
        return
    text = text_of(element)
    kind = next((kind for ending, kind in TERMS if name.endswith(ending)), None)
    if text is None:
        # The schema lets an empty text pass, the naming rules (IND5) do not; an empty number or date is against both.
        severity = "error" if kind is not None else "warning"
        found.append(finding_at(element, "empty", "It is empty; leave it out instead", severity))
    elif kind is not None:
        right, wanted = TYPES[kind]
        if not right(text):
            found.append(finding_at(element, "type", f"The text is not {wanted}"))
    if name.endswith("Amount") and not element.get("currencyID"):
        found.append(finding_at(element, "missing", "The attribute currencyID is required", attribute="currencyID"))
