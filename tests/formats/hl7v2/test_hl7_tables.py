"""The tables of the versions hold together, and say what the standard's own pages say."""

from __future__ import annotations

from importlib.resources import files

import pytest

from hilum.formats import hl7v2
from hilum.formats.hl7v2 import VERSIONS, events, rules, tables
from hilum.formats.hl7v2.datatypes import CHECKS
from hilum.formats.hl7v2.rules import rules_of
from hilum.formats.hl7v2.tables import MANY, Node, Spec, field_names, tables_of


def segments_of(node: Node):
    for child in node.children:
        if child.children:
            yield from segments_of(child)
        else:
            yield child.name


@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_every_structure_is_made_of_segments_the_version_defines(version):
    tables = tables_of(version)

    assert tables is not None
    assert {"ADT_A01", "ORU_R01", "DFT_P03", "BAR_P01", "ACK"} <= tables.structures
    for name in tables.structures:
        structure = tables.structure(name)
        assert structure.children
        for segment in segments_of(structure):
            assert rules_of(version, segment) is not None, (name, segment)


@pytest.mark.parametrize(
    ("version", "segment", "field", "spec"),
    [
        ("2.1", "PID", 3, Spec("CK", 16, True, 1)),
        ("2.3", "PID", 3, Spec("CX", 20, True, MANY)),
        ("2.5.1", "PID", 3, Spec("CX", 250, True, MANY)),
        ("2.5.1", "PID", 8, Spec("IS", 1, False, 1)),
        ("2.7", "PID", 2, Spec("", 0, False, MANY)),  # Withdrawn.
        ("2.5.1", "MSH", 10, Spec("ST", 20, True, 1)),
        ("2.7", "MSH", 10, Spec("ST", 199, True, 1)),
        ("2.5.1", "OBX", 5, Spec("*", 0, False, MANY)),
        ("2.5.1", "IN1", 15, Spec("IS", 3, False, 1)),
        ("2.8.2", "EVN", 2, Spec("DTM", 0, True, 1)),
        ("2.7.1", "EVN", 2, Spec("DTM", 0, True, 1)),
    ],
)
def test_a_field_is_what_its_version_says(version, segment, field, spec):
    assert tables_of(version).segment(segment)[field - 1] == spec


def test_types_end_in_primitive_ones():
    for version in VERSIONS:
        tables = tables_of(version)
        assert tables.type("CX")[0].type == "ST" if version not in ("2.1", "2.2") else tables.type("CX") is None
        assert all(tables.type(kind) is None for kind in CHECKS)


def test_any_child_of_a_choice_can_begin_it():
    order = tables_of("2.3").structure("ORM_O01").children[-1]
    (detail,) = [child for child in order.children if child.name == "ORDER_DETAIL"]

    assert detail.children[0].choice
    assert detail.firsts == {"OBR", "RQD", "RQ1", "RXO", "ODS", "ODT"}


@pytest.mark.parametrize("version", ["2.9", "1.0", "", "two", "../2.5", "2.5.txt", "２.５"])
def test_a_version_nobody_knows_has_no_tables(version):
    assert tables_of(version) is None
    assert rules_of(version, "PID") is None


def test_fields_have_names():
    assert field_names()["PID"][4] == "patient name"
    assert field_names()["FT1"][6] == "transaction code"


def test_the_tables_are_small_and_say_where_they_are_from():
    folder = files("hilum.formats.hl7v2.tables")
    sizes = {entry.name: len(entry.read_bytes()) for entry in folder.iterdir() if entry.name.endswith(".txt")}

    assert sum(sizes.values()) < 1_000_000
    notice = (folder / "NOTICE.txt").read_text("utf-8")
    assert "hl7apy" in notice and "hl7-dictionary" in notice and "CRS4" in notice


def test_what_senders_make_up_is_not_remembered():
    def remembered() -> list[int]:
        return [cache.cache_info().currsize for cache in (events._structure, tables._read, rules.rule_of_type)]

    message = hl7v2.parse(
        b"MSH|^~\\&|EHR||||20260301||ORU^R01^ORU_R01|C-1|P|2.5.1\rOBR|1|||718-7\rOBX|1|NM|718-7||13||||||F\r"
    )
    hl7v2.validate(message)
    before = remembered()
    for place, made_up in (("MSH-9.1", "K" * 5_000), ("MSH-12", "2.5" + "5" * 5_000), ("OBX-2", "N" * 5_000)):
        hl7v2.validate(message.with_field(place, made_up))
        message.with_field(place, made_up).groups("OBSERVATION")

    assert remembered() == before
