"""XML that a stranger sent: read, or refused by name; nothing is expanded and nothing is fetched."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats import xml

LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY a "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><lolz>&c;</lolz>"""
OUTSIDE = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>'
DEFAULTS = b'<!DOCTYPE a [<!ATTLIST a b CDATA "KNEE-99">]><a/>'

REFUSED = {
    "nothing": (b" \n", "empty"),
    "a bomb of entities": (LAUGHS, "entities"),
    "an entity from a file": (OUTSIDE, "entities"),
    "default attributes": (DEFAULTS, "entities"),
    "an entity behind a comment": (b"<!-- x --><?p i?> " + OUTSIDE[21:], "entities"),
    "an entity in UTF-16": (
        ('<?xml version="1.0" encoding="UTF-16"?>' + OUTSIDE[21:].decode()).encode("utf-16"),
        "entities",
    ),
    "an entity nobody declared": (b"<a>&knee;</a>", "entities"),
    "an undeclared entity beside a DTD": (b'<!DOCTYPE a SYSTEM "http://x.test/a.dtd"><a>&knee;</a>', "entities"),
    "an undeclared entity in an attribute": (b'<!DOCTYPE a SYSTEM "http://x.test/a.dtd"><a b="&knee;"/>', "entities"),
    "UTF-7": (b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE a+AD4-<a/>', "encoding"),
    "EBCDIC": (b'<?xml version="1.0" encoding="IBM037"?><a/>', "encoding"),
    "UTF-32": ("<a/>".encode("utf-32-be"), "encoding"),
    "bytes that are not its encoding": (b"<a>\xff\xfe</a>", "encoding"),
    "too deep": (b"<a>" * 101 + b"</a>" * 101, "too-deep"),
    "far too deep": (b"<a>" * 50_000, "too-deep"),
    "an attribute of 11 MB": (b'<a b="' + b"x" * 11_000_000 + b'"/>', "too-big"),
    "an end tag too few": (b"<a><b></a>", "syntax"),
    "two roots": (b"<a/><b/>", "syntax"),
    "a prefix nobody declared": (b"<x:a/>", "syntax"),
}


@pytest.mark.parametrize(("data", "code"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_by_name(data, code):
    begun = time.process_time()
    with pytest.raises(xml.XmlError) as refusal:
        xml.read(data)
    assert refusal.value.code == code
    assert "knee" not in str(refusal.value).lower()
    assert time.process_time() - begun < 2


def test_more_elements_than_are_read_is_refused_before_a_tree_is_made():
    with pytest.raises(xml.XmlError, match="too-big"):
        xml.read(b"<a>" + b"<b/>" * (2 * xml.MAX_TAGS) + b"</a>")


def test_a_doctype_may_name_a_dtd_and_nobody_fetches_it():
    read = xml.read(b'<?xml version="1.0"?>\n<!DOCTYPE cXML SYSTEM "http://dtd.invalid/cXML.dtd">\n<cXML/>')
    assert (read.root.tag, read.system_id) == ("cXML", "http://dtd.invalid/cXML.dtd")


def test_an_ampersand_in_cdata_is_no_entity():
    assert xml.read(b'<!DOCTYPE a SYSTEM "x.dtd"><a><![CDATA[knee &hip; more]]></a>').root.text == "knee &hip; more"


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_usual_encodings_are_read(codec):
    assert xml.read("<a>Ärzte</a>".encode(codec)).root.text == "Ärzte"
    assert xml.read('<?xml version="1.0" encoding="ISO-8859-1"?><a>Ärzte</a>'.encode("latin-1")).root.text == "Ärzte"


def test_a_hundred_deep_is_read():
    assert xml.read(b"<a>" * 100 + b"</a>" * 100).root.tag == "a"


def test_paths_count_only_where_a_name_stands_twice():
    root = xml.read(b"<order><line/><line><price/></line></order>").root
    assert [xml.path_of(part) for part in xml.elements(root)] == [
        "/order",
        "/order/line[1]",
        "/order/line[2]",
        "/order/line[2]/price",
    ]


def test_the_path_of_the_last_of_many_does_not_count_them_all():
    root = xml.read(b"<order>" + b"<line/>" * 20_000 + b"</order>").root
    assert xml.path_of(root[-1]) == "/order/line[more than 10000]"


def test_an_edit_leaves_the_tree_it_came_from_alone():
    root = xml.read(b"<order><line/></order>").root
    other = xml.changed(root, lambda copy: copy.set("number", "PO-1"))
    assert (root.get("number"), other.get("number")) == (None, "PO-1")


@given(st.binary(max_size=300) | st.text(alphabet="<>/!?[]&;\"'= ab-x\n", max_size=200).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_tree_or_a_refusal(data):
    try:
        xml.read(data)
    except xml.XmlError as error:
        assert error.code in {"empty", "too-big", "too-deep", "encoding", "entities", "syntax"}
    assert xml.begins(data, b"cXML") in (True, False)


def test_an_element_has_as_many_attributes_as_can_be_looked_up_quickly():
    def element(count: int) -> bytes:
        return b"<a><b " + b" ".join(b'c%d="1"' % at for at in range(count)) + b"/></a>"

    assert len(xml.read(element(xml.MAX_ATTRIBUTES)).root[0].attrib) == xml.MAX_ATTRIBUTES
    with pytest.raises(xml.XmlError, match="too-big"):
        xml.read(element(xml.MAX_ATTRIBUTES + 1))


def test_megabytes_of_blanks_before_the_root_are_passed_over_at_once():
    begun = time.process_time()
    assert xml.read(b"\n" * 8_000_000 + b"<a/>").root.tag == "a"
    assert time.process_time() - begun < 1


def test_a_name_as_long_as_a_book_is_not_told_whole():
    root = xml.read(b"<a>" + b"<" + b"b" * 40_000 + b"/></a>").root
    assert xml.path_of(root[0]) == "/a/" + "b" * 60
    assert xml.name_of(root[0]) == "b" * 40_000
