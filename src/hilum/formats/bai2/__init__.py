"""BAI2: what a bank says moved on accounts (BAI Cash Management Balance Reporting Specifications, version 2).

file = parse(data)                                  # Bai2Error when it is none
validate(file)                                      # findings: totals and counts of accounts, groups and the file
for group in file.groups:
    for account in group.accounts:
        for line in account.transactions:           # signed by its type code, in the currency's own units
            line.amount, line.type_code, eft_traces(line.text)
"""

from hilum.formats.bai2.addenda import EftTrace, eft_traces
from hilum.formats.bai2.document import (
    Account,
    Bai2File,
    Funds,
    Group,
    Summary,
    Transaction,
    convert,
    outline,
    parse,
    recognise,
    write,
)
from hilum.formats.bai2.findings import Bai2Error, Code
from hilum.formats.bai2.type_codes import is_credit, is_debit, words_of
from hilum.formats.bai2.validation import validate

__all__ = [
    "Account",
    "Bai2Error",
    "Bai2File",
    "Code",
    "EftTrace",
    "Funds",
    "Group",
    "Summary",
    "Transaction",
    "convert",
    "eft_traces",
    "is_credit",
    "is_debit",
    "outline",
    "parse",
    "recognise",
    "validate",
    "words_of",
    "write",
]
