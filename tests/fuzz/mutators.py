"""Changes that keep a document's grammar alive, so that fuzzing gets past the tokeniser: segments and elements are moved about."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from lxml import etree

Mutator = Callable[[bytes, random.Random], bytes]

_TOKENS = {"hl7v2": re.compile(rb"([\r\n|^~&])"), "x12": re.compile(rb"([~*:^>])"), "bai2": re.compile(rb"([,/\n*~])")}
_LONGEST = 4_000
_TEXTS = [
    "",
    "0",
    "-1",
    "00",
    "1e9",
    "9" * 40,
    "NaN",
    "20260301",
    "\u00e9",
    "A" * 300,
    "USD",
    "KNEE-99",
    "EA",
    "12.505",
]


def mutator(name: str) -> Mutator:
    """The mutator of a format."""
    if name == "cxml":
        return _xml
    return lambda data, dice: _tokens(data, dice, _TOKENS[name])


def _tokens(data: bytes, dice: random.Random, pattern: re.Pattern[bytes]) -> bytes:
    """Repeat, drop, swap or replace values and separators."""
    parts = pattern.split(data)
    for _ in range(dice.randint(1, 4)):
        at, other = dice.randrange(len(parts)), dice.randrange(len(parts))
        act = dice.randrange(5)
        if act == 0:
            parts[at:at] = parts[other : other + dice.randint(1, 12)]
        elif act == 1 and len(parts) > 4:
            del parts[at : at + dice.randint(1, 12)]
        elif act == 2:
            parts[at], parts[other] = parts[other], parts[at]
        elif act == 3:
            parts[at] = dice.choice(_TEXTS).encode()
        else:
            parts[at] = (parts[at] * dice.randint(2, 60))[:_LONGEST]
        if not parts:
            return data
    return b"".join(parts)


def _xml(data: bytes, dice: random.Random) -> bytes:
    """Repeat, drop, move or rename elements, and change texts and attributes; what is no XML stays as it is."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        return data
    for _ in range(dice.randint(1, 4)):
        elements = [element for element in root.iter() if isinstance(element.tag, str)]
        element, other = dice.choice(elements), dice.choice(elements)
        parent = element.getparent()
        act = dice.randrange(6)
        if act == 0 and parent is not None and len(elements) < 400:
            parent.insert(dice.randint(0, len(parent)), etree.fromstring(etree.tostring(element, with_tail=False)))
        elif act == 1 and parent is not None:
            parent.remove(element)
        elif act == 2:
            element.text = dice.choice(_TEXTS)
        elif act == 3 and element.attrib:
            element.attrib[dice.choice(list(element.attrib))] = dice.choice(_TEXTS)
        elif act == 4 and element.attrib:
            del element.attrib[dice.choice(list(element.attrib))]
        else:
            element.tag = other.tag
    return etree.tostring(root)
