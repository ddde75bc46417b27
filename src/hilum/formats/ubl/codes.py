"""The code lists that EN 16931 names, as facts: UNTDID 1001, 2005, 4461, 5305, 5189, ISO 6523, EAS, VATEX and the units of Rec 20/21."""

from __future__ import annotations

import re

from hilum.formats.iso_codes import COUNTRIES, CURRENCIES

INVOICE_TYPES = frozenset(
    [
        "71",
        "80",
        "82",
        "84",
        "102",
        "130",
        "202",
        "203",
        "204",
        "211",
        "218",
        "219",
        "295",
        "325",
        "326",
        "331",
        "380",
        "382",
        "383",
        "384",
        "385",
        "386",
        "387",
        "388",
        "389",
        "390",
        "393",
        "394",
        "395",
        "456",
        "457",
        "527",
        "553",
        "575",
        "623",
        "633",
        "751",
        "780",
        "817",
        "870",
        "875",
        "876",
        "877",
        "935",
    ]
)
CREDIT_TYPES = frozenset(["81", "83", "261", "262", "296", "308", "381", "396", "420", "458", "502", "503", "532"])
POINT_DATES = frozenset({"3", "35", "432"})
PAYMENT_MEANS = frozenset([str(code) for code in (*range(1, 69), 70, *range(74, 79), *range(91, 99))] + ["ZZZ"])
VAT_CATEGORIES = frozenset(["AE", "L", "M", "E", "S", "Z", "G", "O", "K", "B"])
ALLOWANCE_REASONS = frozenset([str(code) for code in range(1, 106) if code != 43] + ["ZZZ"])
MIME_TYPES = frozenset(
    {
        "application/pdf",
        "image/png",
        "image/jpeg",
        "text/csv",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.oasis.opendocument.spreadsheet",
    }
)

# These lists grow every half year by the next numbers; their form is what is checked, so that a new entry is no error.
_ICD = re.compile(r"0(?:00[1-9]|0[1-9][0-9]|[12][0-9]{2})")
_EAS = re.compile(r"0[0-2][0-9]{2}|99[0-9]{2}|A[NQSU]|EM")
_VATEX = re.compile(r"VATEX-(?:EU|FR|[A-Z]{2})-[A-Z0-9][A-Z0-9-]{0,15}", re.IGNORECASE)
_UNIT = re.compile(r"X?[A-Z0-9]{2,3}")
_CHARGE = re.compile(r"[A-Z][A-Z0-9]{1,2}")
_ITEM_LIST = re.compile(r"[A-Z]{2,3}")


def is_currency(text: str) -> bool:
    """ISO 4217."""
    return text in CURRENCIES


def is_country(text: str) -> bool:
    """ISO 3166-1 alpha-2, with the codes UBL documents use for Northern Ireland and Kosovo."""
    return text in COUNTRIES or text in ("1A", "XI", "XK")


def is_icd(text: str) -> bool:
    """The form of an ISO 6523 international code designator."""
    return _ICD.fullmatch(text) is not None


def is_eas(text: str) -> bool:
    """The form of an electronic address scheme."""
    return _EAS.fullmatch(text) is not None


def is_vatex(text: str) -> bool:
    """The form of a VAT exemption reason."""
    return _VATEX.fullmatch(text) is not None


def is_unit(text: str) -> bool:
    """The form of a unit of UN/ECE Recommendation 20, or of Recommendation 21 behind an X."""
    return _UNIT.fullmatch(text) is not None


def is_charge_reason(text: str) -> bool:
    """The form of UNTDID 7161."""
    return _CHARGE.fullmatch(text) is not None


def is_item_list(text: str) -> bool:
    """The form of UNTDID 7143."""
    return _ITEM_LIST.fullmatch(text) is not None
