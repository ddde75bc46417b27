"""An element as names and values, nothing of it lost."""

from __future__ import annotations

import pytest

from hilum.formats import xml
from hilum.formats.xml_outline import content_of

ROWS = {
    "attributes and children": (b'<a b="1"><c>2</c></a>', {"b": "1", "c": "2"}),
    "a name that repeats": (b"<a><c>1</c><c>2</c><c><d/></c></a>", {"c": ["1", "2", {"d": None}]}),
    "an attribute named as a child": (b'<a c="1"><c>2</c></a>', {"c": ["1", "2"]}),
    "text beside an attribute of that name": (b'<a text="OK">why</a>', {"text": "OK", "#text": "why"}),
    "text between children": (b"<a>one<c/>two</a>", {"c": None, "text": "one two"}),
}


@pytest.mark.parametrize(("data", "told"), ROWS.values(), ids=ROWS)
def test_an_element_is_told_whole(data, told):
    assert content_of(xml.read(data).root) == told
