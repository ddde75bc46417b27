"""X12 interchanges: tokenised, walked by declarative set tables, checked to SNIP type 4, written and acknowledged.

>>> from hilum.formats import x12
>>> document = x12.parse(data)                            # X12Error when there is no ISA
>>> [transaction.set_id for transaction in document.transactions]
['835']
>>> findings = x12.validate(document)                     # never raises
>>> answer = x12.acknowledge(document, findings, kind="999", control_number=1, now=now)
>>> x12.write(document) == data
True
>>> outcomes = x12.match_claims([received_999, received_277ca], sent)
>>> for transaction in x12.transactions(chunks):          # a file of any size in flat memory
...     findings = x12.check(transaction)
>>> order = x12.order_to_850(x12.convert(received)[0])    # so are order responses, ship notices and invoices
>>> group = x12.NewGroup(functional_id="PO", version="004010", transactions=[order])
>>> x12.build([group], sender=("ZZ", "ST-MARY"), receiver=("ZZ", "ACME"), control_number=7, now=now, version="00401")
"""

from hilum.formats.x12.acknowledgement import acknowledge, kind_for
from hilum.formats.x12.claim_outcomes import ClaimOutcome, match_claims
from hilum.formats.x12.claim_statuses import ClaimStatus, StatusCode, claim_statuses
from hilum.formats.x12.code_words import error_words, status_words, words
from hilum.formats.x12.codes import CodeLists, list_names, read_codes, sample_codes
from hilum.formats.x12.conversion.writing_claim_status_inquiry import ClaimStatusInquiry, claim_status_inquiry_to_276
from hilum.formats.x12.conversion.writing_eligibility_inquiry import eligibility_inquiry_to_270
from hilum.formats.x12.conversion.writing_invoice import invoice_to_810
from hilum.formats.x12.conversion.writing_order import order_to_850
from hilum.formats.x12.conversion.writing_order_response import order_response_to_855
from hilum.formats.x12.conversion.writing_ship_notice import ship_notice_to_856
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
from hilum.formats.x12.matching import Answer, GroupAnswer, Matched, Outcome, Sent, group_answer, match, sent_in
from hilum.formats.x12.outlining import outline, transaction_outline
from hilum.formats.x12.reading import interchanges, parse, recognise, transactions
from hilum.formats.x12.receiving import received
from hilum.formats.x12.validation import check, validate
from hilum.formats.x12.walker import walk
from hilum.formats.x12.writer import NewGroup, NewTransaction, build, replaced, write

__all__ = [
    "Answer",
    "ClaimOutcome",
    "ClaimStatus",
    "ClaimStatusInquiry",
    "CodeLists",
    "Document",
    "Group",
    "GroupAnswer",
    "Interchange",
    "Loop",
    "Matched",
    "NewGroup",
    "NewTransaction",
    "Outcome",
    "Segment",
    "Sent",
    "Separators",
    "StatusCode",
    "Transaction",
    "X12Error",
    "X12Finding",
    "acknowledge",
    "build",
    "check",
    "claim_status_inquiry_to_276",
    "claim_statuses",
    "component",
    "convert",
    "convert_transaction",
    "eligibility_inquiry_to_270",
    "error_words",
    "group_answer",
    "interchanges",
    "invoice_to_810",
    "kind_for",
    "list_names",
    "match",
    "match_claims",
    "order_response_to_855",
    "order_to_850",
    "outline",
    "parse",
    "read_codes",
    "received",
    "recognise",
    "replaced",
    "sample_codes",
    "sent_in",
    "ship_notice_to_856",
    "status_words",
    "transaction_outline",
    "transactions",
    "validate",
    "value",
    "walk",
    "words",
    "write",
]
