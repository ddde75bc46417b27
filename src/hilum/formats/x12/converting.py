"""Documents to canonical documents, each transaction by the converter of its set."""

from __future__ import annotations

from typing import Any

from hilum.formats.canonical import Canonical, Record
from hilum.formats.x12.conversion import converter_for
from hilum.formats.x12.conversion.acknowledgement import interchange_acknowledgement
from hilum.formats.x12.document import Document, Loop, Transaction
from hilum.formats.x12.walker import walk


def convert(document: Document) -> list[Canonical]:
    """The canonical documents of a file: its TA1 segments, then each transaction; FormatError like ``convert_transaction``."""
    found: list[Canonical] = []
    for interchange in document.interchanges:
        answer = interchange_acknowledgement(interchange)
        if answer is not None:
            found.append(answer)
        for transaction in interchange.transactions:
            found += convert_transaction(transaction)
    return found


def convert_transaction(transaction: Transaction) -> list[Canonical]:
    """The canonical documents of one transaction; FormatError when what their shape needs is missing.

    A set, or a use of a set, that has no shape of its own becomes a record of its loops and segments.
    """
    if transaction.root is None:
        walk(transaction)
    converter = converter_for(transaction.set_id)
    if converter is not None and transaction.root is not None and (shapes := converter(transaction)):
        return shapes
    root = transaction.root
    content: dict[str, Any] = {"segments": transaction.segments} if root is None else _content(root)
    return [Record(type=transaction.set_id, control_number=transaction.control_number, content=content)]


def _content(loop: Loop) -> dict[str, Any]:
    told: dict[str, Any] = {"segments": loop.segments}
    if loop.loops:
        told["loops"] = [{"loop": inner.name, **_content(inner)} for inner in loop.loops]
    return told
