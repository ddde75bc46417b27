"""Type codes: what a balance or a movement is (BAI2 appendix A). Those that matter to who is paid, in words."""

from __future__ import annotations

__all__ = ["is_credit", "is_debit", "words_of"]

_WORDS = {
    "010": "opening ledger", "015": "closing ledger", "040": "opening available", "045": "closing available",
    "060": "current available", "072": "one-day float", "074": "two or more days float", "100": "total credits",
    "108": "credit of any type", "110": "total lockbox deposits", "115": "lockbox deposit", "140": "total ACH credits", "142": "ACH credit received",
    "165": "preauthorised ACH credit", "166": "ACH settlement credit", "169": "miscellaneous ACH credit",
    "170": "total other check deposits", "175": "check deposit package", "190": "total incoming money transfers",
    "191": "individual incoming internal money transfer", "195": "incoming money transfer (wire)",
    "206": "book transfer credit", "208": "individual international money transfer credit",
    "252": "debit reversal", "254": "posting error correction credit", "255": "check posted and returned", "257": "individual ACH return item",
    "261": "individual rejected credit", "266": "returned item credit", "275": "zero balance credit",
    "301": "commercial deposit", "354": "interest credit", "390": "total miscellaneous credits",
    "399": "miscellaneous credit", "400": "total debits", "409": "debit of any type",
    "450": "total ACH debits", "451": "ACH debit received", "455": "preauthorised ACH debit", "466": "ACH settlement debit",
    "469": "miscellaneous ACH debit", "470": "total checks paid", "475": "check paid",
    "491": "individual outgoing internal money transfer", "495": "outgoing money transfer (wire)", "506": "book transfer debit",
    "552": "credit reversal", "554": "posting error correction debit", "555": "deposited item returned", "557": "individual ACH return item",
    "561": "individual rejected debit", "566": "return item debit", "575": "zero balance debit",
    "654": "interest debit", "698": "miscellaneous fees", "699": "miscellaneous debit", "890": "information only",
}  # fmt: skip


def words_of(type_code: str) -> str:
    """What a type code means; for one that has no words here, whether it is a credit, a debit or a balance."""
    known = _WORDS.get(type_code)
    if known is not None:
        return known
    return "credit" if is_credit(type_code) else "debit" if is_debit(type_code) else "balance or information"


def is_credit(type_code: str) -> bool:
    """100 to 399, and 700 to 719 and 920 to 959 of loans and a bank's own: money that came in."""
    return "100" <= type_code <= "399" or "920" <= type_code <= "959" or type_code in _LOAN_CREDITS


def is_debit(type_code: str) -> bool:
    """400 to 699, and loans' and a bank's own debits: money that went out."""
    return "400" <= type_code <= "699" or "960" <= type_code <= "999" or type_code in _LOAN_DEBITS


# Of the loan codes (700 to 799) only these are transactions: payments to the bank, and loans disbursed to the customer.
_LOAN_CREDITS = frozenset({"720", "721", "722"})
_LOAN_DEBITS = frozenset({"760", "761", "762"})
