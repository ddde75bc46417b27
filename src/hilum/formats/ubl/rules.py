"""The rules of EN 16931-1 that ask whether something is there, is coded, has at most two decimals, or excludes something else.

The ids are the standard's; the bindings to UBL are those of CEN/TS 16931-3-2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hilum.formats.findings import Finding
from hilum.formats.ubl import codes
from hilum.formats.ubl.document import NS
from hilum.formats.xml import Element, finding_at, name_of, text_of
from hilum.formats.xml_content import decimal_in

# rule; where (lines are ``*``; ``-`` and ``+`` are allowances and charges); one of these must be there and not empty; of what.
_PRESENCE = """
BR-01 | . | cbc:CustomizationID | specification identifier
BR-02 | . | cbc:ID | invoice number
BR-03 | . | cbc:IssueDate | issue date
BR-04 | . | cbc:InvoiceTypeCode cbc:CreditNoteTypeCode | type code
BR-05 | . | cbc:DocumentCurrencyCode | currency
BR-06 | . | cac:AccountingSupplierParty/cac:Party/cac:PartyLegalEntity/cbc:RegistrationName | seller's name
BR-07 | . | cac:AccountingCustomerParty/cac:Party/cac:PartyLegalEntity/cbc:RegistrationName | buyer's name
BR-09 | cac:AccountingSupplierParty/cac:Party/cac:PostalAddress | cac:Country/cbc:IdentificationCode | country of the seller's address
BR-11 | cac:AccountingCustomerParty/cac:Party/cac:PostalAddress | cac:Country/cbc:IdentificationCode | country of the buyer's address
BR-12 | cac:LegalMonetaryTotal | cbc:LineExtensionAmount | sum of the lines' net amounts
BR-13 | cac:LegalMonetaryTotal | cbc:TaxExclusiveAmount | total without VAT
BR-14 | cac:LegalMonetaryTotal | cbc:TaxInclusiveAmount | total with VAT
BR-15 | cac:LegalMonetaryTotal | cbc:PayableAmount | amount due
BR-16 | . | cac:InvoiceLine! cac:CreditNoteLine! | line
BR-17 | cac:PayeeParty | cac:PartyName/cbc:Name | payee's name
BR-18 | cac:TaxRepresentativeParty | cac:PartyName/cbc:Name | tax representative's name
BR-19 | cac:TaxRepresentativeParty | cac:PostalAddress! | tax representative's address
BR-20 | cac:TaxRepresentativeParty/cac:PostalAddress | cac:Country/cbc:IdentificationCode | country of the tax representative's address
BR-21 | * | cbc:ID | line's number
BR-22 | * | cbc:InvoicedQuantity cbc:CreditedQuantity | quantity
BR-24 | * | cbc:LineExtensionAmount | line's net amount
BR-25 | * | cac:Item/cbc:Name | item's name
BR-26 | * | cac:Price/cbc:PriceAmount | net price
BR-31 | - | cbc:Amount | allowance's amount
BR-32 | - | cac:TaxCategory/cbc:ID | allowance's VAT category
BR-33 | - | cbc:AllowanceChargeReason cbc:AllowanceChargeReasonCode | allowance's reason or its code
BR-36 | + | cbc:Amount | charge's amount
BR-37 | + | cac:TaxCategory/cbc:ID | charge's VAT category
BR-38 | + | cbc:AllowanceChargeReason cbc:AllowanceChargeReasonCode | charge's reason or its code
BR-41 | *- | cbc:Amount | allowance's amount
BR-42 | *- | cbc:AllowanceChargeReason cbc:AllowanceChargeReasonCode | allowance's reason or its code
BR-43 | *+ | cbc:Amount | charge's amount
BR-44 | *+ | cbc:AllowanceChargeReason cbc:AllowanceChargeReasonCode | charge's reason or its code
BR-45 | cac:TaxTotal/cac:TaxSubtotal | cbc:TaxableAmount | taxable amount
BR-46 | cac:TaxTotal/cac:TaxSubtotal | cbc:TaxAmount | tax amount
BR-47 | cac:TaxTotal/cac:TaxSubtotal | cac:TaxCategory/cbc:ID | VAT category
BR-49 | cac:PaymentMeans | cbc:PaymentMeansCode | payment means
BR-52 | cac:AdditionalDocumentReference | cbc:ID | document's number
BR-54 | */cac:Item/cac:AdditionalItemProperty | cbc:Name | attribute's name
BR-54 | */cac:Item/cac:AdditionalItemProperty | cbc:Value | attribute's value
BR-55 | cac:BillingReference | cac:InvoiceDocumentReference/cbc:ID | earlier invoice's number
BR-57 | cac:Delivery/cac:DeliveryLocation/cac:Address | cac:Country/cbc:IdentificationCode | country of the deliver-to address
BR-CO-18 | . | cac:TaxTotal/cac:TaxSubtotal! | VAT breakdown
BR-CO-19 | cac:InvoicePeriod | cbc:StartDate cbc:EndDate cbc:DescriptionCode | start or end of the period
BR-CO-20 | */cac:InvoicePeriod | cbc:StartDate cbc:EndDate | start or end of the period
BR-CO-21 | - | cbc:AllowanceChargeReason cbc:AllowanceChargeReasonCode | allowance's reason or its code
BR-CO-22 | + | cbc:AllowanceChargeReason cbc:AllowanceChargeReasonCode | charge's reason or its code
BR-CO-23 | *- | cbc:AllowanceChargeReason cbc:AllowanceChargeReasonCode | allowance's reason or its code
BR-CO-24 | *+ | cbc:AllowanceChargeReason cbc:AllowanceChargeReasonCode | charge's reason or its code
"""

# rule; elements whose attribute must stand; the attribute; of what.
_ATTRIBUTES = (
    ("BR-23", "*/cbc:InvoicedQuantity", "unitCode", "unit of the quantity"),
    ("BR-23", "*/cbc:CreditedQuantity", "unitCode", "unit of the quantity"),
    (
        "BR-62",
        "cac:AccountingSupplierParty/cac:Party/cbc:EndpointID",
        "schemeID",
        "scheme of the seller's electronic address",
    ),
    (
        "BR-63",
        "cac:AccountingCustomerParty/cac:Party/cbc:EndpointID",
        "schemeID",
        "scheme of the buyer's electronic address",
    ),
    (
        "BR-64",
        "*/cac:Item/cac:StandardItemIdentification/cbc:ID",
        "schemeID",
        "scheme of the item's standard identifier",
    ),
    (
        "BR-65",
        "*/cac:Item/cac:CommodityClassification/cbc:ItemClassificationCode",
        "listID",
        "scheme of the item's classification",
    ),
)

_DECIMALS = (
    ("BR-DEC-01", "-", "cbc:Amount"),
    ("BR-DEC-02", "-", "cbc:BaseAmount"),
    ("BR-DEC-05", "+", "cbc:Amount"),
    ("BR-DEC-06", "+", "cbc:BaseAmount"),
    ("BR-DEC-09", "cac:LegalMonetaryTotal", "cbc:LineExtensionAmount"),
    ("BR-DEC-10", "cac:LegalMonetaryTotal", "cbc:AllowanceTotalAmount"),
    ("BR-DEC-11", "cac:LegalMonetaryTotal", "cbc:ChargeTotalAmount"),
    ("BR-DEC-12", "cac:LegalMonetaryTotal", "cbc:TaxExclusiveAmount"),
    ("BR-DEC-13", "cac:TaxTotal", "cbc:TaxAmount"),
    ("BR-DEC-14", "cac:LegalMonetaryTotal", "cbc:TaxInclusiveAmount"),
    ("BR-DEC-16", "cac:LegalMonetaryTotal", "cbc:PrepaidAmount"),
    ("BR-DEC-17", "cac:LegalMonetaryTotal", "cbc:PayableRoundingAmount"),
    ("BR-DEC-18", "cac:LegalMonetaryTotal", "cbc:PayableAmount"),
    ("BR-DEC-19", "cac:TaxTotal/cac:TaxSubtotal", "cbc:TaxableAmount"),
    ("BR-DEC-20", "cac:TaxTotal/cac:TaxSubtotal", "cbc:TaxAmount"),
    ("BR-DEC-23", "*", "cbc:LineExtensionAmount"),
    ("BR-DEC-24", "*-", "cbc:Amount"),
    ("BR-DEC-25", "*-", "cbc:BaseAmount"),
    ("BR-DEC-27", "*+", "cbc:Amount"),
    ("BR-DEC-28", "*+", "cbc:BaseAmount"),
)


def places(root: Element, where: str) -> Iterator[Element]:
    """The elements of a place as the tables write it."""
    if where == ".":
        yield root
    elif where in ("-", "+"):
        yield from charges(root, where == "+")
    elif where.startswith("*"):
        for line in lines_of(root):
            if where == "*":
                yield line
            elif where in ("*-", "*+"):
                yield from charges(line, where == "*+")
            else:
                yield from line.iterfind(where[2:], NS)
    else:
        yield from root.iterfind(where, NS)


def lines_of(root: Element) -> list[Element]:
    """The invoice or credit note lines."""
    return root.findall("cac:InvoiceLine", NS) + root.findall("cac:CreditNoteLine", NS)


def charges(holder: Element, charge: bool) -> Iterator[Element]:
    """The allowances, or the charges, that stand directly in an element."""
    words = ("true", "1") if charge else ("false", "0")
    for part in holder.iterfind("cac:AllowanceCharge", NS):
        if text_of(part.find("cbc:ChargeIndicator", NS)) in words:
            yield part


def _told(element: Element, path: str) -> bool:
    if path.endswith("!"):
        return element.find(path[:-1], NS) is not None
    return any(text_of(found) is not None for found in element.iterfind(path, NS))


def presence_findings(root: Element) -> Iterator[Finding]:
    """What must be there and is not."""
    for line in _PRESENCE.strip().splitlines():
        rule, where, paths, what = (part.strip() for part in line.split("|"))
        wanted = paths.split()
        for element in places(root, where):
            if not any(_told(element, path) for path in wanted):
                yield finding_at(element, rule, f"The {what} is missing")
    for rule, side, what in (("BR-08", "Supplier", "seller"), ("BR-10", "Customer", "buyer")):
        if root.find(f"cac:Accounting{side}Party/cac:Party/cac:PostalAddress", NS) is None:
            yield finding_at(root, rule, f"The {what}'s postal address is missing")
    for rule, path, attribute, what in _ATTRIBUTES:
        for element in places(root, path):
            if not element.get(attribute, "").strip():
                yield finding_at(element, rule, f"The {what} is missing", attribute=attribute)


def relation_findings(root: Element) -> Iterator[Finding]:
    """What depends on something else being there."""
    for line in lines_of(root):
        for rule, path, what in (
            ("BR-27", "cac:Price/cbc:PriceAmount", "net"),
            ("BR-28", "cac:Price/cac:AllowanceCharge/cbc:BaseAmount", "gross"),
        ):
            for price in line.iterfind(path, NS):
                amount = decimal_in(text_of(price))
                if amount is not None and amount < 0:
                    yield finding_at(price, rule, f"The item's {what} price is negative")
        if not any(text_of(part) for part in line.iterfind("cac:Item/cac:ClassifiedTaxCategory/cbc:ID", NS)):
            yield finding_at(line, "BR-CO-04", "The line has no VAT category")
    for rule, where in (("BR-29", "cac:InvoicePeriod"), ("BR-30", "*/cac:InvoicePeriod")):
        for period in places(root, where):
            start, end = text_of(period.find("cbc:StartDate", NS)), text_of(period.find("cbc:EndDate", NS))
            if start is not None and end is not None and end[:10] < start[:10]:
                yield finding_at(period, rule, "The period ends before it starts")
    for subtotal in root.iterfind("cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory", NS):
        if text_of(subtotal.find("cbc:Percent", NS)) is None and text_of(subtotal.find("cbc:ID", NS)) != "O":
            yield finding_at(
                subtotal, "BR-48", "The VAT rate is missing, and the category is not outside the scope of VAT"
            )
    yield from _payment(root)
    currency = text_of(root.find("cbc:TaxCurrencyCode", NS))
    if currency is not None and not any(
        part.get("currencyID") == currency for part in root.iterfind("cac:TaxTotal/cbc:TaxAmount", NS)
    ):
        yield finding_at(root, "BR-53", "There is no total VAT amount in the accounting currency")
    if (
        root.find("cbc:TaxPointDate", NS) is not None
        and root.find("cac:InvoicePeriod/cbc:DescriptionCode", NS) is not None
    ):
        yield finding_at(root, "BR-CO-03", "The VAT point date and the code of the VAT point date exclude each other")
    for scheme in root.iter(f"{{{NS['cac']}}}PartyTaxScheme"):
        number = text_of(scheme.find("cbc:CompanyID", NS))
        vat = text_of(scheme.find("cac:TaxScheme/cbc:ID", NS)) == "VAT"
        if vat and number is not None and not (codes.is_country(number[:2]) or number[:2] == "EL"):
            yield finding_at(scheme, "BR-CO-09", "The VAT identifier does not begin with a country code")
    agent = root.find("cac:TaxRepresentativeParty", NS)
    if agent is not None and not has_tax_number(agent, "cac:PartyTaxScheme", vat=True):
        yield finding_at(agent, "BR-56", "The tax representative's VAT identifier is missing")
    seller = root.find("cac:AccountingSupplierParty", NS)
    identified = (
        "cac:PartyTaxScheme/cbc:CompanyID",
        "cac:PartyIdentification/cbc:ID",
        "cac:PartyLegalEntity/cbc:CompanyID",
    )
    if seller is not None and not any(_told(seller, f"cac:Party/{path}") for path in identified):
        yield finding_at(
            seller, "BR-CO-26", "The seller has no identifier, legal registration number or VAT identifier"
        )


def has_tax_number(holder: Element, path: str, vat: bool) -> bool:
    """Whether one of the party tax schemes at the path carries a number; with ``vat`` only a VAT number counts."""
    for scheme in holder.iterfind(path, NS):
        number, kind = text_of(scheme.find("cbc:CompanyID", NS)), text_of(scheme.find("cac:TaxScheme/cbc:ID", NS))
        if number is not None and (not vat or kind == "VAT"):
            return True
    return False


def _payment(root: Element) -> Iterator[Finding]:
    for means in root.iterfind("cac:PaymentMeans", NS):
        if text_of(means.find("cbc:PaymentMeansCode", NS)) in ("30", "58"):
            account = means.find("cac:PayeeFinancialAccount", NS)
            known = account is not None and text_of(account.find("cbc:ID", NS)) is not None
            if account is not None and not known:
                yield finding_at(account, "BR-50", "The payment account has no identifier")
            if not known:
                yield finding_at(means, "BR-61", "A credit transfer must name the account it goes to")
        card = text_of(means.find("cac:CardAccount/cbc:PrimaryAccountNumberID", NS))
        if card is not None and len(card) > 10:
            yield finding_at(
                means, "BR-51", "Of a card number only the last digits may be written (at most 10)", "warning"
            )
    due = decimal_in(text_of(root.find("cac:LegalMonetaryTotal/cbc:PayableAmount", NS)))
    if due is not None and due > 0:
        dated = ("cbc:DueDate", "cac:PaymentMeans/cbc:PaymentDueDate", "cac:PaymentTerms/cbc:Note")
        if not any(_told(root, path) for path in dated):
            yield finding_at(root, "BR-CO-25", "An amount is due, and neither a due date nor payment terms are given")


def decimal_findings(root: Element) -> Iterator[Finding]:
    """Amounts with more than two decimals."""
    for rule, where, name in _DECIMALS:
        for element in places(root, where):
            for amount in element.iterfind(name, NS):
                if len((text_of(amount) or "").partition(".")[2]) > 2:
                    yield finding_at(amount, rule, "The amount has more than two decimals")


# element; the element it stands in, or None; its attribute, or None; rule; test. The first that fits counts.
_Test = Callable[[str], bool]
_AMOUNTS = frozenset(
    [
        "Amount",
        "BaseAmount",
        "PriceAmount",
        "TaxAmount",
        "TaxableAmount",
        "LineExtensionAmount",
        "TaxExclusiveAmount",
        "TaxInclusiveAmount",
        "AllowanceTotalAmount",
        "ChargeTotalAmount",
        "PrepaidAmount",
        "PayableRoundingAmount",
        "PayableAmount",
    ]
)
_CODED: tuple[tuple[str, str | None, str | None, str, _Test], ...] = (
    ("InvoiceTypeCode", None, None, "BR-CL-01", codes.INVOICE_TYPES.__contains__),
    ("CreditNoteTypeCode", None, None, "BR-CL-01", codes.CREDIT_TYPES.__contains__),
    ("DocumentCurrencyCode", None, None, "BR-CL-04", codes.is_currency),
    ("TaxCurrencyCode", None, None, "BR-CL-05", codes.is_currency),
    ("DescriptionCode", "InvoicePeriod", None, "BR-CL-06", codes.POINT_DATES.__contains__),
    ("ID", "PartyIdentification", "schemeID", "BR-CL-10", lambda text: codes.is_icd(text) or text == "SEPA"),
    ("CompanyID", "PartyLegalEntity", "schemeID", "BR-CL-11", codes.is_icd),
    ("ItemClassificationCode", None, "listID", "BR-CL-13", codes.is_item_list),
    ("IdentificationCode", "Country", None, "BR-CL-14", codes.is_country),
    ("IdentificationCode", "OriginCountry", None, "BR-CL-15", codes.is_country),
    ("PaymentMeansCode", None, None, "BR-CL-16", codes.PAYMENT_MEANS.__contains__),
    ("ID", "TaxCategory", None, "BR-CL-17", codes.VAT_CATEGORIES.__contains__),
    ("ID", "ClassifiedTaxCategory", None, "BR-CL-18", codes.VAT_CATEGORIES.__contains__),
    ("ID", "StandardItemIdentification", "schemeID", "BR-CL-21", codes.is_icd),
    ("TaxExemptionReasonCode", None, None, "BR-CL-22", codes.is_vatex),
    ("InvoicedQuantity", None, "unitCode", "BR-CL-23", codes.is_unit),
    ("CreditedQuantity", None, "unitCode", "BR-CL-23", codes.is_unit),
    ("BaseQuantity", None, "unitCode", "BR-CL-23", codes.is_unit),
    ("EmbeddedDocumentBinaryObject", None, "mimeCode", "BR-CL-24", codes.MIME_TYPES.__contains__),
    ("EndpointID", None, "schemeID", "BR-CL-25", codes.is_eas),
    ("ID", "DeliveryLocation", "schemeID", "BR-CL-26", codes.is_icd),
)
_BY_NAME: dict[str, list[tuple[str | None, str | None, str, _Test]]] = {}
for _name, _parent, _attribute, _rule, _test in _CODED:
    _BY_NAME.setdefault(_name, []).append((_parent, _attribute, _rule, _test))


def code_findings(root: Element) -> Iterator[Finding]:
    """Codes that are in none of the lists the standard names."""
    for element in root.iter(f"{{{NS['cbc']}}}*"):
        name = name_of(element)
        if name in _AMOUNTS and not codes.is_currency(element.get("currencyID", "").strip()):
            yield finding_at(element, "BR-CL-03", "The currency is not in ISO 4217", attribute="currencyID")
        elif name == "AllowanceChargeReasonCode":
            yield from _reason(element)
        for parent, attribute, rule, test in _BY_NAME.get(name, ()):
            above = element.getparent()
            if parent is not None and (above is None or name_of(above) != parent):
                continue
            text = text_of(element) if attribute is None else element.get(attribute)
            if text is not None and not test(text.strip()):
                yield finding_at(
                    element, rule, "The code is not in the list the standard names for it", attribute=attribute
                )
            break


def _reason(element: Element) -> Iterator[Finding]:
    above, text = element.getparent(), text_of(element)
    charge = text_of(above.find("cbc:ChargeIndicator", NS)) if above is not None else None
    if text is None:
        return
    if charge in ("false", "0") and text not in codes.ALLOWANCE_REASONS:
        yield finding_at(element, "BR-CL-19", "The reason of the allowance is not in UNTDID 5189")
    elif charge in ("true", "1") and not codes.is_charge_reason(text):
        yield finding_at(element, "BR-CL-20", "The reason of the charge is not in UNTDID 7161")
