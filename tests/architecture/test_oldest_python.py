"""What the oldest Python we promise (3.11.0) does not do right is not used."""

from __future__ import annotations

import re
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "hilum"
POSSESSIVE_GROUP = re.compile(r"[^(]\)(?:[?*+]|\{+[^{}\s]*(?:\{[^{}]*\}[^{}\s]*)*\}+)\+")


def test_no_expression_repeats_a_group_possessively():
    """Python 3.11 before 3.11.5 misses matches of (...)?+ and (...){0,9}+; an atomic group (?>(...)?) says the same."""
    assert POSSESSIVE_GROUP.search(r"(?:a|b)?+") and POSSESSIVE_GROUP.search("(?:x){{0,{most - 1}}}+")
    found = [
        f"{path.relative_to(SOURCE)}:{number}"
        for path in SOURCE.rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if "#" not in line.partition('"')[0] and POSSESSIVE_GROUP.search(line)
    ]
    assert found == [], "write (?>(...)?) instead"
