"""Real cXML from a public test suite, kept beside the checkout: read, kept byte for byte, converted."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.formats import cxml

CORPUS = Path(__file__).parents[3].parent / "shared" / "data" / "cxml"
FILES = sorted(CORPUS.rglob("*.xml")) if CORPUS.is_dir() else []
needs_corpus = pytest.mark.skipif(not FILES, reason="the corpus shared/data/cxml is not beside this checkout")

# What its authors wrote that cXML does not want. All of it is a warning: nothing of it keeps an order from being filled.
WARNINGS = {
    # Classification domain="UNSPSC" holds "ean1234", which is no UNSPSC code; Total is the price of one piece, not of the cart.
    "CXmlTest/Builder/fixtures/poom.xml": {"unspsc", "order-total"},
    "metadata/cxml/samples/PunchoutOrderMessage.xml": {"unspsc", "order-total"},
    # Two pieces at 104.99 for two boxes, of half a piece each, come to 52.50 by the guide's PriceBasisQuantity, not to 104.99.
    "metadata/cxml/samples/PunchoutOrderMessageAdvancedPricing.xml": {"unspsc", "order-total"},
    "metadata/cxml/samples/PunchOutSetupRequest.xml": {"unspsc"},
}


def name_of(path: Path) -> str:
    return path.relative_to(CORPUS / "friendsofcxml").as_posix()


@needs_corpus
def test_the_corpus_is_all_there():
    assert len(FILES) == 15


@needs_corpus
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_real_document_is_read_kept_and_converted(path):
    data = path.read_bytes()
    document = cxml.parse(data)
    assert cxml.recognise(data)
    assert cxml.write(document) == data
    found = cxml.validate(document)
    assert {finding.code for finding in found} == WARNINGS.get(name_of(path), set())
    assert {finding.severity for finding in found} <= {"warning"}
    assert len(cxml.convert(document)) == 1
    again = cxml.parse(cxml.write(cxml.edited(document, lambda root: None)))
    assert cxml.convert(again) == cxml.convert(document)
    assert cxml.outline(document).children
