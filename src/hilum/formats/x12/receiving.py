"""A received file read and checked for its acknowledgement, whatever its size."""

from __future__ import annotations

from collections.abc import Iterable

from hilum.formats.x12.document import Document, Interchange, Transaction, X12Finding
from hilum.formats.x12.reader import Reader
from hilum.formats.x12.reading import TRANSACTION_LONGEST, texts_of
from hilum.formats.x12.validation import Codes, check


def received(chunks: Iterable[bytes], codes: Codes | None = None) -> tuple[Document, list[X12Finding]]:
    """What ``acknowledge`` needs of a file: its envelopes and transactions, and everything that is wrong with them.

    A transaction without errors keeps its ST and SE only, and none keeps its loops, so that memory grows with the number of
    transactions and with what is wrong, not with the file. Such a document cannot be written. X12Error like ``transactions``.
    """
    reader = Reader(texts_of(chunks), keep=True, longest=TRANSACTION_LONGEST)
    findings: list[X12Finding] = []
    interchanges: list[Interchange] = []
    for found in reader.read():
        if isinstance(found, Transaction):
            wrong = [*found.envelope_findings, *check(found, codes)]
            findings += wrong
            found.root = None
            if not any(finding.severity == "error" for finding in wrong):
                found.segments = [found.segments[0], found.segments[-1]]
                found.texts = [found.texts[0], found.texts[-1]]
                found.lines = None
        else:
            findings += found.findings
            if isinstance(found, Interchange):
                interchanges.append(found)
    return Document("", "utf-8", b"", interchanges, reader.loose), [*reader.loose, *findings]
