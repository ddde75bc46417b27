"""Make the version tables of HL7 v2 in ``src/hilum/formats/hl7v2/tables``; run it again when a source has a new release.

    python tools/hl7_tables.py --dictionary FOLDER

Segments, data types, message structures and field names come from hl7apy 1.3.5 (a development dependency), lengths and the
optionality of components from hl7-dictionary 1.0.1 (FOLDER is its unpacked npm package). Both are under the MIT licence; see
NOTICE.txt beside the tables. What the two do not agree on is not held against a sender: a field is required only where both
say so, and repeats where either says so; a segment or group is required only where neither says that it is optional.
hl7-dictionary ends at 2.7.1, so later versions take its lengths where the type of the field is the same. The format of a
table is told in ``tables/__init__.py``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "src" / "hilum" / "formats" / "hl7v2" / "tables"
VERSIONS = ("2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.1", "2.8.2")
NO_LENGTH = 65_536
"""hl7-dictionary writes this and more where the standard says that there is no useful limit."""

# Types of three letters, such as CWE, have been in use since 2.3, and MSH-9 has had a structure since 2.3.1; the lengths of
# their fields followed in later versions only.
LENGTHS = {("OBX", 2): 3, ("MSH", 9): 15}
# Facts in which both sources differ from the standard's text, which is followed.
# Nobody requires NK1 of an admission.
OPTIONAL_SEGMENTS = {("2.1", "NK1"), ("2.2", "NK1")}
# Conditional: OBX-2 on OBX-5, which is checked by itself, and OBX-4 on there being several results alike (2.3.1 ch. 7.3.2).
CONDITIONAL_FIELDS = {("OBX", 2), ("OBX", 4)}
# 2.5 and 2.5.1 name some groups after all their segments; they are called what 2.6 calls them.
GROUP_NAMES = {
    "AUTCTD": "AUTHORIZATION_CONTACT", "OBXNTE": "OBSERVATION", "OBXTCDSIDNTE": "RESULT", "TQ1TQ2": "TIMING_QTY",
    "PIDPD1NTE": "PATIENT", "PIDNTE": "PATIENT", "PV1PV2": "VISIT", "SPMSAC": "SPECIMEN", "SPMOBXSACINV": "SPECIMEN",
    "SPMOBXSACINVOBRORCNTETQ1TQ2OBXTCDSIDNTECTI": "SPECIMEN", "ORCOBRNTETQ1TQ2CTDOBXNTECTI": "ORDER",
    "PIDNTEORCOBRNTETQ1TQ2CTDOBXNTECTI": "QUERY_RESPONSE", "EVNPIDPV1TXAOBX": "RESULT", "ORCRXARXR": "STUDY_PHARM",
    "RXARXR": "RX_ADMIN", "FACPSHPDCPSHFACPDCNTEED": "FACILITY", "PSHPDC": "PRODUCT", "FACPDCNTE": "FACILITY_DETAIL",
}  # fmt: skip
# The sources have it in 2.4 and 2.7 and lost it between (2.5.1 ch. 3.3.57).
_FOUND = "RSP_K22 MSH! SFT* MSA! ERR QAK! QPD! (QUERY_RESPONSE* PID! PD1 NK1* QRI ) DSC"
EXTRA_STRUCTURES = {"2.5": [_FOUND], "2.5.1": [_FOUND], "2.6": [_FOUND]}


class Dictionary:
    """The second source: ``segments[name][n]`` and ``types[name][n]`` are dictionaries with datatype, opt, rep and len."""

    def __init__(self, folder: Path, version: str) -> None:
        while folder.name != "lib":
            folder = folder / ("package" if (folder / "package").is_dir() else "lib")
        here = folder / version
        self.exact = here.is_dir()
        here = here if self.exact else folder / "2.7.1"
        self.segments = {name: about["fields"] for name, about in _javascript(here / "segments.js").items()}
        self.types = {name: about["subfields"] for name, about in _javascript(here / "fields.js").items()}
        self._messages = _javascript(here / "messages.js") if self.exact else {}

    def optional(self, message: str) -> frozenset[tuple[str, ...]]:
        """Paths of groups and segments of a message structure that may be absent, as ``(group, ..., segment)``."""
        about = self._messages.get(message)
        return frozenset(_optional(about["segments"]["segments"], ())) if about is not None else frozenset()

    def length(self, about: dict[str, Any] | None, kind: str) -> int:
        if about is None or (not self.exact and about.get("datatype") != kind):
            return 0
        length = about.get("len") or 0
        return length if length < NO_LENGTH else 0


def _optional(children: list[dict[str, Any]], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for child in children:
        here = (*above, child["name"])
        if child.get("min", 1) == 0:
            yield here
        yield from _optional(child.get("children") or [], here)


def _javascript(path: Path) -> dict[str, Any]:
    text = path.read_text("utf-8")
    found: dict[str, Any] = json.loads(text[text.index("{") : text.rindex("}") + 1])
    return found


def _children(entry: Any) -> list[Any]:
    children = entry[-1]
    return [children] if children and isinstance(children[0], str) else list(children or ())


def _token(kind: str, length: int, required: bool, most: int) -> str:
    repeats = "*" if most < 0 else f"*{most}" if most > 1 else ""
    return kind + (f":{length}" if length else "") + ("!" if required else "") + repeats


def _fields(children: list[Any], known: list[dict[str, Any]], dictionary: Dictionary, components: bool) -> list[str]:
    tokens: list[str] = []
    for child in children:
        name, reference, (least, most) = child[0], child[1], child[2]
        segment = name.rpartition("_")[0]
        number = int(name.rsplit("_", 1)[1])
        tokens.extend(["-"] * (number - 1 - len(tokens)))
        if number <= len(tokens):
            continue  # 2.1's ORO has its last field only, twice.
        kind = {"varies": "*", "CM": "-"}.get(reference[2], reference[2]) if reference else "-"
        about = known[number - 1] if number <= len(known) else None
        if most == 0 or kind in ("WD", "-"):
            tokens.append("-")
            continue
        if components:
            required = about is not None and about.get("opt") == 2 and about.get("datatype") == kind
            most = 1
        else:
            required = (
                least > 0 and (about is None or about.get("opt") == 2) and (segment, number) not in CONDITIONAL_FIELDS
            )
            most = -1 if most < 0 or (about is not None and about.get("rep") == 0) else most
        length = dictionary.length(about, kind)
        length = LENGTHS.get((segment, number), length) if length else 0
        tokens.append(_token(kind, length, required, most))
    while tokens and tokens[-1] == "-":
        tokens.pop()
    return tokens


def _group(
    children: list[Any], module: Any, message: str, optional: frozenset[tuple[str, ...]], above: tuple[str, ...] = ()
) -> Iterator[str]:
    for child in children:
        key, least, most, kind = child[0], child[2][0], child[2][1], child[3]
        short = key.removeprefix(message + "_").replace("TIIMING", "TIMING")  # A slip of the pen in 2.6.
        short = GROUP_NAMES.get(re.sub(r"_SUPPGRP\d*$", "", short), short)
        required = least > 0 and (*above, short) not in optional
        marks = ("!" if required else "") + ("*" if most < 0 else f"*{most}" if most > 1 else "")
        if kind == "SEG":
            if key in ("ANYHL7SEGMENT", "ANYZSEGMENT", "ANYZSEGMENT_2"):
                continue  # Any segment is taken anywhere, which needs no place.
            version = module.__name__.rsplit(".v", 1)[1].replace("_", ".")
            yield key + (marks.replace("!", "") if (version, key) in OPTIONAL_SEGMENTS else marks)
            continue
        if short in above:
            continue
        entry = module.GROUPS[key]
        inner = list(_group(_children(entry), module, message, optional, (*above, short)))
        if inner:
            opening, closing = ("<", ">") if entry[0] == "choice" else ("(", ")")
            yield f"{opening}{short}{marks}"
            yield from inner
            yield closing


def table(version: str, folder: Path) -> tuple[str, dict[str, list[str]]]:
    """The text of one version's table and its field names."""
    module = importlib.import_module("hl7apy.v" + version.replace(".", "_"))
    dictionary = Dictionary(folder, version)
    lines: list[str] = []
    names: dict[str, list[str]] = {}
    for name, entry in sorted(module.SEGMENTS.items()):
        if re.fullmatch("[A-Y][A-Z0-9]{2}", name) is None:
            continue
        children = [child for child in _children(entry) if len(child) > 2 and "_" in child[0]]
        lines.append(" ".join(["S", name, *_fields(children, dictionary.segments.get(name, []), dictionary, False)]))
        said = names.setdefault(name, [])
        for child in children:
            number = int(child[0].rsplit("_", 1)[1])
            said.extend([""] * (number - len(said)))
            said[number - 1] = str(child[1][3] or "").replace("_", " ").lower()
    for name, entry in sorted(module.DATATYPES_STRUCTS.items()):
        tokens = _fields(list(entry), dictionary.types.get(name, []), dictionary, True)
        if tokens:
            lines.append(" ".join(["T", name, *tokens]))
    for name, entry in sorted(module.MESSAGES.items()):
        lines.append(" ".join(["M", name, *_group(_children(entry), module, name, dictionary.optional(name))]))
    lines.extend(f"M {line}" for line in EXTRA_STRUCTURES.get(version, ()))
    return "\n".join(lines) + "\n", names


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--dictionary", type=Path, required=True, metavar="FOLDER")
    folder = given.parse_args().dictionary
    names: dict[str, list[str]] = {}
    for version in VERSIONS:
        text, said = table(version, folder)
        (TARGET / f"{version}.txt").write_text(text, "utf-8", newline="\n")
        for name, fields in said.items():
            before = names.get(name, [])
            names[name] = [
                (fields[place] if place < len(fields) else "") or (before[place] if place < len(before) else "")
                for place in range(max(len(fields), len(before)))
            ]
    told = "".join(f"{name}|{'|'.join(fields)}\n" for name, fields in sorted(names.items()))
    (TARGET / "names.txt").write_text(told, "utf-8", newline="\n")


if __name__ == "__main__":
    main()
