"""What codes of acknowledgements and claim statuses mean, in words of ours: ``tables/code_words.csv``.

The lists themselves belong to those who publish them (X12 lists 507, 508, 98 and those of the 999) and are longer; a code without
words here is told as it is.
"""

from __future__ import annotations

import csv
import io
import re
from functools import cache
from importlib.resources import files
from typing import Literal

from hilum.formats.x12.claim_statuses import StatusCode

List = Literal["category", "status", "entity", "ik3", "ik4", "ik5", "ak9", "answer"]

_ERROR = re.compile(r"(?P<segment>\S+) (?P<position>\S+)(?: element (?P<element>\S+))?: (?P<code>\S+)")


@cache
def _words() -> dict[tuple[str, str], str]:
    text = (files("hilum.formats.x12") / "tables" / "code_words.csv").read_text("utf-8")
    return {(row["list"], row["code"]): row["words"] for row in csv.DictReader(io.StringIO(text, newline=""))}


def words(of: List, code: str) -> str:
    """What a code of a list means; ``code 123`` where nobody wrote it down here."""
    found = _words().get((of, code))
    return f"code {code}" if found is None else found


def status_words(said: StatusCode) -> str:
    """A status in words: ``rejected for invalid information (A7): the entity's NPI is wrong (562), billing provider (85)``."""
    told = f"{words('category', said.category)} ({said.category})"
    if said.status is not None:
        told += f": {words('status', said.status)} ({said.status})"
    if said.entity is not None:
        told += f", {words('entity', said.entity)} ({said.entity})"
    return told


def error_words(error: str) -> str:
    """What a 997 or 999 says of a segment or an element, as answers have it (``NM1 8: 8``, ``NM1 8 element 9: 7``), in words."""
    found = _ERROR.fullmatch(error)
    if found is None:
        return error
    place, of = f"{found['segment']}, segment {found['position']}", words("ik3", found["code"])
    if found["element"] is not None:
        place, of = (
            f"{found['segment']}{found['element'].zfill(2)}, segment {found['position']}",
            words("ik4", found["code"]),
        )
    return f"{place}: {of} ({found['code']})"
