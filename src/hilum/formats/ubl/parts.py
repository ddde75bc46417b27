"""The parts that UBL documents share: parties, items, allowances, taxes."""

from __future__ import annotations

from decimal import Decimal

from hilum.formats import canonical
from hilum.formats.ubl.document import NS
from hilum.formats.ubl.totals import amount_of
from hilum.formats.xml import Element, text_of
from hilum.formats.xml_content import decimal_in

# Schemes of identifiers (ISO 6523, the older agency words) in the words every format shares; others keep their own name.
SCHEMES = {"0088": "gln", "GLN": "gln", "0060": "duns", "DUNS": "duns"}
CODES = {"gln": "0088", "duns": "0060"}
ITEM_SCHEMES = {"0160": "gtin", "GTIN": "gtin", "EAN": "gtin"}
ITEM_CODES = {"gtin": "0160"}
CLASSES = {"UNSPSC": "unspsc", "TST": "unspsc"}
CLASS_CODES = {"unspsc": "TST"}


def text_at(holder: Element | None, path: str) -> str | None:
    """The text at a path below an element; None where the element, the path or the text is missing."""
    return text_of(holder.find(path, NS)) if holder is not None else None


def moment_at(holder: Element | None, path: str) -> str | None:
    """A date at a path that ends in Date, with the time that stands beside it: ``2026-03-01`` or ``2026-03-01T12:00:00``."""
    day, time = text_at(holder, path), text_at(holder, path.removesuffix("Date") + "Time")
    return f"{day}T{time}" if day is not None and time is not None else day


def party_at(root: Element, path: str) -> canonical.Party | None:
    """The party at a path that ends in a Party (or a party role)."""
    party = root.find(path, NS)
    return party_of(party) if party is not None else None


def party_of(party: Element, address: Element | None = None) -> canonical.Party:
    """A Party, with its own address or the given one."""
    if address is None:
        address = party.find("cac:PostalAddress", NS)
    name = text_at(party, "cac:PartyName/cbc:Name")
    return canonical.Party(
        name=name if name is not None else text_at(party, "cac:PartyLegalEntity/cbc:RegistrationName"),
        identifiers=_identifiers(party),
        address_lines=_address_lines(address) if address is not None else (),
        city=text_at(address, "cbc:CityName"),
        state=text_at(address, "cbc:CountrySubentity"),
        postal_code=text_at(address, "cbc:PostalZone"),
        country=text_at(address, "cac:Country/cbc:IdentificationCode"),
    )


def _identifiers(party: Element) -> tuple[canonical.Identifier, ...]:
    """Party identifications, then tax numbers (``vat``, or the scheme's own word), then the company register's number."""
    found = []
    for number in party.iterfind("cac:PartyIdentification/cbc:ID", NS):
        if (text := text_of(number)) is not None:
            scheme = number.get("schemeID")
            found.append(canonical.Identifier(value=text, scheme=SCHEMES.get(scheme, scheme) if scheme else None))
    for tax in party.iterfind("cac:PartyTaxScheme", NS):
        if (text := text_at(tax, "cbc:CompanyID")) is not None:
            kind = text_at(tax, "cac:TaxScheme/cbc:ID")
            found.append(canonical.Identifier(value=text, scheme="vat" if kind == "VAT" else "tax-id"))
    if (text := text_at(party, "cac:PartyLegalEntity/cbc:CompanyID")) is not None:
        found.append(canonical.Identifier(value=text, scheme="registration"))
    return tuple(found)


def _address_lines(address: Element) -> tuple[str, ...]:
    street, number = text_at(address, "cbc:StreetName"), text_at(address, "cbc:BuildingNumber")
    first = " ".join(part for part in (street, number) if part is not None)
    others = [text_at(address, "cbc:AdditionalStreetName"), text_at(address, "cbc:Postbox")]
    others += [text_of(line) for line in address.iterfind("cac:AddressLine/cbc:Line", NS)]
    return tuple(part for part in (first, *others) if part)


def delivered_to(delivery: Element | None) -> canonical.Party | None:
    """Where a Delivery goes: its address or location with the party that takes it."""
    if delivery is None:
        return None
    address = delivery.find("cac:DeliveryLocation/cac:Address", NS)
    if address is None:
        address = delivery.find("cac:DeliveryAddress", NS)
    party = delivery.find("cac:DeliveryParty", NS)
    if party is not None:
        return party_of(party, address)
    if address is None:
        return None
    return party_of(delivery, address)


def item_identifiers(item: Element | None) -> tuple[canonical.Identifier, ...]:
    """The item's numbers: vendor, buyer, manufacturer, the standard one, classifications."""
    if item is None:
        return ()
    found = []
    for role, scheme in (("Sellers", "vendor"), ("Buyers", "buyer"), ("Manufacturers", "manufacturer")):
        if (text := text_at(item, f"cac:{role}ItemIdentification/cbc:ID")) is not None:
            found.append(canonical.Identifier(value=text, scheme=scheme))
    standard = item.find("cac:StandardItemIdentification/cbc:ID", NS)
    if standard is not None and (text := text_of(standard)) is not None:
        code = standard.get("schemeID")
        found.append(canonical.Identifier(value=text, scheme=ITEM_SCHEMES.get(code, code) if code else None))
    for part in item.iterfind("cac:CommodityClassification/cbc:ItemClassificationCode", NS):
        if (text := text_of(part)) is not None:
            code = part.get("listID")
            found.append(canonical.Identifier(value=text, scheme=CLASSES.get(code, code) if code else None))
    return tuple(found)


def unit_price(line: Element, quantity: Element | None) -> Decimal | None:
    """The price of one unit of the line: PriceAmount is for BaseQuantity of them. None where that is in another unit."""
    price, base = amount_of(line, "cac:Price/cbc:PriceAmount"), line.find("cac:Price/cbc:BaseQuantity", NS)
    if price is None or base is None:
        return price
    per, unit = decimal_in(text_of(base)), base.get("unitCode")
    if not per or (unit is not None and quantity is not None and quantity.get("unitCode", unit) != unit):
        return None
    return price if per == 1 else price / per


def description_of(item: Element | None) -> str | None:
    """The item's name, or its description where it has no name."""
    name = text_at(item, "cbc:Name")
    return name if name is not None else text_at(item, "cbc:Description")


def allowances_of(holder: Element) -> tuple[canonical.Allowance, ...]:
    """Allowances and charges that stand directly in a document or a line."""
    found = []
    for part in holder.iterfind("cac:AllowanceCharge", NS):
        if (amount := amount_of(part, "cbc:Amount")) is not None:
            found.append(
                canonical.Allowance(
                    charge=text_at(part, "cbc:ChargeIndicator") in ("true", "1"),
                    amount=amount,
                    code=text_at(part, "cbc:AllowanceChargeReasonCode"),
                    text=text_at(part, "cbc:AllowanceChargeReason"),
                )
            )
    return tuple(found)


def taxes_of(holder: Element, currency: str | None) -> tuple[canonical.Tax, ...]:
    """The VAT breakdown, or the total where there is none. A total in another (accounting) currency says the same again."""
    found: list[canonical.Tax] = []
    for tax in holder.iterfind("cac:TaxTotal", NS):
        whole = tax.find("cbc:TaxAmount", NS)
        told = whole.get("currencyID") if whole is not None else None
        if currency is not None and told is not None and told != currency:
            continue
        parts = tax.findall("cac:TaxSubtotal", NS)
        for part in parts:
            if (amount := amount_of(part, "cbc:TaxAmount")) is not None:
                percent = amount_of(part, "cac:TaxCategory/cbc:Percent")
                if percent is None:
                    percent = amount_of(part, "cbc:Percent")
                found.append(
                    canonical.Tax(amount=amount, kind=text_at(part, "cac:TaxCategory/cbc:ID"), rate_percent=percent)
                )
        if not parts and (amount := decimal_in(text_of(whole))):
            found.append(canonical.Tax(amount=amount))
    return tuple(found)
