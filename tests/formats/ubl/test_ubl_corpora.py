"""The rule tests of EN 16931 and the OASIS samples, kept beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from hilum.formats import ubl

CORPUS = Path(__file__).parents[3].parent / "shared" / "data" / "ubl"
RULES = sorted((CORPUS / "en16931-unit").rglob("*.xml")) if CORPUS.is_dir() else []
FILES = sorted((CORPUS / "ph-ubl").rglob("*.xml")) if CORPUS.is_dir() else []
VEFA = "{http://difi.no/xsd/vefa/validator/1.0}"
needs_corpus = pytest.mark.skipif(not RULES, reason="the corpus shared/data/ubl is not beside this checkout")

# An order in EUR whose totals are in AED and whose allowances are in HUF: a showpiece of all elements, valid by the schema.
MIXED = {"order/CENBII-Order-maximal.xml"}
# Two samples of the Italian catalogue and two of the CEN workshop leave elements empty, which the naming rules (IND5) forbid.
EMPTY = {
    "catalogue/Consip_Catalogo_UBL.xml",
    "catalogue/Mobile_Catalogue_UBL.xml",
    "order/CENBII-Order-maximal.xml",
    "order/CENBII-Order-minimal.xml",
}
# Its cbc:ID is empty: an order without a number is none that could be converted.
NUMBERLESS = {"order/CENBII-Order-minimal.xml"}


def name_of(path: Path) -> str:
    return path.relative_to(CORPUS / "ph-ubl").as_posix()


def assertions(path: Path) -> list[tuple[str, str, int | None, bytes]]:
    """(what is expected, rule, how often, document) of every assertion of a test set."""
    found = []
    for test in etree.parse(str(path)).getroot().iterfind(f"{VEFA}test"):
        (document,) = (child for child in test if child.tag != f"{VEFA}assert")
        for told in test.iterfind(f"{VEFA}assert/*"):
            kind = etree.QName(told).localname
            if kind != "description":
                number = told.get("number")
                found.append((kind, told.text, int(number) if number else None, etree.tostring(document)))
    return found


@needs_corpus
def test_the_corpus_is_all_there():
    assert (len(RULES), len(FILES)) == (60, 24)
    assert sum(len(assertions(path)) for path in RULES) == 161


@needs_corpus
@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_every_assertion_of_the_rule_tests_agrees(path):
    for kind, rule, number, data in assertions(path):
        found = [finding for finding in ubl.validate(ubl.parse(data), en16931=True) if finding.code == rule]
        if kind == "success":
            assert found == []
        else:
            assert found and {finding.severity for finding in found} == {kind}
            assert number is None or len(found) == number


@needs_corpus
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_real_document_is_read_kept_and_converted(path):
    data = path.read_bytes()
    document = ubl.parse(data)
    assert ubl.recognise(data)
    assert ubl.write(document) == data
    assert not document.claims_en16931
    found = ubl.validate(document)
    told = ({"empty"} if name_of(path) in EMPTY else set()) | ({"currency"} if name_of(path) in MIXED else set())
    assert {finding.code for finding in found} == told
    assert {finding.severity for finding in found} <= {"warning"}
    told = ubl.convert(document)
    assert len(told) == (0 if name_of(path) in NUMBERLESS else 1)
    again = ubl.parse(ubl.write(ubl.edited(document, lambda root: None)))
    assert ubl.convert(again) == told
    for one in told:
        if one.kind != "record":
            assert ubl.convert(ubl.parse(ubl.write(ubl.build(one)))) == told
    assert ubl.outline(document).children
