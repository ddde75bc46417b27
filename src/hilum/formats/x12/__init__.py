"""X12 interchanges: tokenised, walked by declarative set tables, checked to SNIP type 4, written and acknowledged.

>>> from hilum.formats import x12
>>> document = x12.parse(data)                            # X12Error when there is no ISA
>>> [transaction.set_id for transaction in document.transactions]
['835']
>>> findings = x12.validate(document)                     # never raises
>>> answer = x12.acknowledge(document, findings, kind="999", control_number=1, now=now)
>>> x12.write(document) == data
True
>>> for transaction in x12.transactions(chunks):          # a file of any size in flat memory
...     findings = x12.check(transaction)
"""

from hilum.formats.x12.acknowledgement import acknowledge, kind_for
from hilum.formats.x12.codes import CodeLists, read_codes, sample_codes
from hilum.formats.x12.converting import convert, convert_transaction
from hilum.formats.x12.document import (
    Document,
    Group,
    Interchange,
    Loop,
    Segment,
    Separators,
    Transaction,
    X12Error,
    X12Finding,
    component,
    value,
)
from hilum.formats.x12.matching import Matched, Outcome, Sent, match, sent_in
from hilum.formats.x12.outlining import outline, transaction_outline
from hilum.formats.x12.reading import parse, recognise, transactions
from hilum.formats.x12.validation import check, validate
from hilum.formats.x12.walker import walk
from hilum.formats.x12.writer import NewGroup, NewTransaction, build, replaced, write

__all__ = [
    "CodeLists",
    "Document",
    "Group",
    "Interchange",
    "Loop",
    "Matched",
    "NewGroup",
    "NewTransaction",
    "Outcome",
    "Segment",
    "Sent",
    "Separators",
    "Transaction",
    "X12Error",
    "X12Finding",
    "acknowledge",
    "build",
    "check",
    "component",
    "convert",
    "convert_transaction",
    "kind_for",
    "match",
    "outline",
    "parse",
    "read_codes",
    "recognise",
    "replaced",
    "sample_codes",
    "sent_in",
    "transaction_outline",
    "transactions",
    "validate",
    "value",
    "walk",
    "write",
]
