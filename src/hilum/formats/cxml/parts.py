"""The parts that cXML documents share: parties, item numbers, order lines."""

from __future__ import annotations

from dataclasses import replace

from hilum.formats import canonical
from hilum.formats.cxml.document import CxmlDocument, credentials
from hilum.formats.cxml.validation import money, unit_price
from hilum.formats.xml import Element, text_of
from hilum.formats.xml_content import decimal_in

# Credential and address domains in the words every format shares; what is not here keeps its own name.
SCHEMES = {
    "DUNS": "duns",
    "NetworkId": "network-id",
    "NetworkID": "network-id",
    "GLN": "gln",
    "EIN": "tax-id",
    "HIN": "hin",
}
DOMAINS = {"duns": "DUNS", "network-id": "NetworkId", "gln": "GLN", "tax-id": "EIN", "hin": "HIN"}
NO_CLASS = "none"
"""The domain of the Classification that the DTD wants of an item nobody has classified."""


def header_party(document: CxmlDocument, side: str) -> canonical.Party | None:
    """Who a side of the header (``From``, ``To``) is: its credentials, and its correspondent where one is named."""
    told = tuple(
        canonical.Identifier(value=value, scheme=SCHEMES.get(domain, domain) or None)
        for domain, value in credentials(document, side)
    )
    named = party_of(document.root.find(f"Header/{side}/Correspondent/Contact"))
    if named is not None:
        return replace(named, identifiers=told + named.identifiers)
    return canonical.Party(identifiers=told) if told else None


def party_of(holder: Element | None) -> canonical.Party | None:
    """The party of a ShipTo or BillTo (an Address inside) or of a Contact."""
    if holder is None:
        return None
    address = holder.find("Address")
    if address is None:
        address = holder
    postal = address.find("PostalAddress")
    country = postal.find("Country") if postal is not None else None
    lines = postal.findall("DeliverTo") + postal.findall("Street") if postal is not None else []
    return canonical.Party(
        name=text_of(address.find("Name")),
        identifiers=_address_identifiers(holder, address),
        address_lines=tuple(text for line in lines if (text := text_of(line)) is not None),
        city=text_of(postal.find("City")) if postal is not None else None,
        state=text_of(postal.find("State")) if postal is not None else None,
        postal_code=text_of(postal.find("PostalCode")) if postal is not None else None,
        country=country.get("isoCountryCode") if country is not None else None,
    )


def _address_identifiers(holder: Element, address: Element) -> tuple[canonical.Identifier, ...]:
    found = []
    if (value := address.get("addressID")) is not None and value.strip():
        domain = address.get("addressIDDomain")
        found.append(canonical.Identifier(value=value.strip(), scheme=SCHEMES.get(domain, domain) if domain else None))
    for reference in holder.findall("IdReference"):
        if (value := reference.get("identifier")) is not None and value.strip():
            domain = reference.get("domain")
            found.append(
                canonical.Identifier(value=value.strip(), scheme=SCHEMES.get(domain, domain) if domain else None)
            )
    return tuple(found)


def shown_text(element: Element | None) -> str | None:
    """The text of a Description or Comments, or of its ShortName where that is all there is."""
    text = text_of(element)
    if text is None and element is not None:
        text = text_of(element.find("ShortName"))
    return text


def item_identifiers(item: Element, detail: Element | None) -> tuple[canonical.Identifier, ...]:
    """The item's numbers: vendor, vendor-auxiliary, buyer, then IdReferences, manufacturer and classifications."""
    found: list[canonical.Identifier] = []
    number = item.find("ItemID")
    if number is not None:
        for tag, scheme in (
            ("SupplierPartID", "vendor"),
            ("SupplierPartAuxiliaryID", "vendor-auxiliary"),
            ("BuyerPartID", "buyer"),
        ):
            if (text := text_of(number.find(tag))) is not None:
                found.append(canonical.Identifier(value=text, scheme=scheme))
        for reference in number.findall("IdReference"):
            value, domain = reference.get("identifier"), reference.get("domain")
            if value and domain:
                found.append(canonical.Identifier(value=value, scheme=_ITEM_SCHEMES.get(domain, domain)))
    if detail is not None:
        if (text := text_of(detail.find("ManufacturerPartID"))) is not None:
            found.append(canonical.Identifier(value=text, scheme="manufacturer"))
        for part in detail.findall("Classification"):
            text = text_of(part) or part.get("code")
            domain = part.get("domain")
            if text and domain and domain != NO_CLASS:
                found.append(
                    canonical.Identifier(value=text, scheme="unspsc" if domain.upper() == "UNSPSC" else domain)
                )
    return tuple(found)


_ITEM_SCHEMES = {"EAN-13": "gtin", "GTIN": "gtin", "UPC": "upc", "NDC": "ndc"}


def line_of_item(item: Element) -> canonical.DocumentLine:
    """A line of an order or a cart (ItemOut, ItemIn)."""
    detail = item.find("ItemDetail")
    return canonical.DocumentLine(
        number=item.get("lineNumber"),
        identifiers=item_identifiers(item, detail),
        description=shown_text(detail.find("Description")) if detail is not None else None,
        quantity=decimal_in(item.get("quantity")),
        unit=text_of(detail.find("UnitOfMeasure")) if detail is not None else None,
        price=unit_price(detail),
        promised=item.get("requestedDeliveryDate"),
    )


def modification_of(part: Element, sign: int = 1) -> canonical.Allowance | None:
    """A charge or deduction of a Modification; None where it is a percentage or a new price and so no amount."""
    charge = part.find("AdditionalCost")
    amount = money(charge) if charge is not None else money(part.find("AdditionalDeduction/DeductionAmount"))
    detail = part.find("ModificationDetail")
    if amount is None:
        return None
    return canonical.Allowance(
        charge=charge is not None,
        amount=sign * amount,
        code=detail.get("name") if detail is not None else None,
        text=shown_text(detail.find("Description")) if detail is not None else None,
    )
