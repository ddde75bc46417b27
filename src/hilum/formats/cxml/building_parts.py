"""The parts that built cXML documents share: money, parties, items."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from lxml import etree

from hilum.formats import canonical
from hilum.formats.cxml.parts import DOMAINS, NO_CLASS
from hilum.formats.xml import Element

_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_ITEM_DOMAINS = {"gtin": "GTIN", "upc": "UPC", "ndc": "NDC"}
_OWN_PLACE = frozenset({"vendor", "vendor-auxiliary", "buyer", "manufacturer", "unspsc"})


def plain(value: Decimal | None) -> str | None:
    """The number as ``xs:decimal`` writes it, every digit kept."""
    return format(value, "f") if value is not None else None


def add(parent: Element, tag: str, text: str | None, language: bool = False) -> Element:
    """A child with this text; with None nothing is added and the parent comes back."""
    if text is None:
        return parent
    child = etree.SubElement(parent, tag)
    child.text = text
    if language:
        child.set(_LANG, "en")
    return child


def set_all(element: Element, **values: str | None) -> None:
    """Sets the attributes that have a value, in this order."""
    for name, value in values.items():
        if value is not None:
            element.set(name, value)


def money(parent: Element, amount: Decimal | None, currency: str | None) -> None:
    """A Money child; what is missing is left out, and the table of required things says so."""
    if amount is not None:
        element = add(parent, "Money", plain(amount))
        set_all(element, currency=currency)


def contact(parent: Element, party: canonical.Party, role: str) -> Element:
    """A Contact with a role."""
    element = etree.SubElement(parent, "Contact", {"role": role})
    _named(element, party)
    _references(element, party)
    return element


def postal(holder: Element, party: canonical.Party) -> None:
    """The Address of a ShipTo or BillTo, its identifiers beside it."""
    _named(etree.SubElement(holder, "Address"), party)
    _references(holder, party)


def _named(element: Element, party: canonical.Party) -> None:
    if party.name is not None:
        add(element, "Name", party.name, language=True)
    if party.address_lines or party.city or party.state or party.postal_code or party.country:
        address = etree.SubElement(element, "PostalAddress")
        for line in party.address_lines:
            add(address, "Street", line)
        for tag, text in (("City", party.city), ("State", party.state), ("PostalCode", party.postal_code)):
            add(address, tag, text)
        if party.country is not None:
            # The element's text is the country's name, which the code stands for.
            add(address, "Country", party.country).set("isoCountryCode", party.country)


def _references(element: Element, party: canonical.Party) -> None:
    for identifier in party.identifiers:
        domain = identifier.scheme or ""
        etree.SubElement(
            element, "IdReference", {"identifier": identifier.value, "domain": DOMAINS.get(domain, domain)}
        )


def item_id(parent: Element, line: canonical.DocumentLine) -> None:
    """The ItemID of a line: the vendor's and the buyer's numbers, other numbers as IdReference."""
    told = {part.scheme: part.value for part in reversed(line.identifiers)}
    others = [part for part in line.identifiers if part.scheme not in _OWN_PLACE]
    if not others and not told.keys() & {"vendor", "vendor-auxiliary", "buyer"}:
        return
    element = etree.SubElement(parent, "ItemID")
    for scheme, tag in (
        ("vendor", "SupplierPartID"),
        ("vendor-auxiliary", "SupplierPartAuxiliaryID"),
        ("buyer", "BuyerPartID"),
    ):
        add(element, tag, told.get(scheme))
    for part in others:
        domain = part.scheme or ""
        etree.SubElement(
            element, "IdReference", {"identifier": part.value, "domain": _ITEM_DOMAINS.get(domain, domain)}
        )


def item_detail(parent: Element, line: canonical.DocumentLine, currency: str | None) -> None:
    """The ItemDetail of a line; an item nobody has classified says so, for the DTD wants a Classification."""
    detail = etree.SubElement(parent, "ItemDetail")
    money(etree.SubElement(detail, "UnitPrice"), line.price, currency)
    add(detail, "Description", line.description, language=True)
    add(detail, "UnitOfMeasure", line.unit)
    codes = [part.value for part in line.identifiers if part.scheme == "unspsc"]
    for code in codes:
        add(detail, "Classification", code).set("domain", "UNSPSC")
    if not codes:
        add(detail, "Classification", NO_CLASS).set("domain", NO_CLASS)
    for part in line.identifiers:
        if part.scheme == "manufacturer":
            add(detail, "ManufacturerPartID", part.value)


def allowance_modifications(
    parent: Element, tag: str, allowances: Sequence[canonical.Allowance], currency: str | None, sign: int = 1
) -> None:
    """Charges and deductions as Modification elements."""
    if not allowances:
        return
    holder = etree.SubElement(parent, tag)
    for part in allowances:
        one = etree.SubElement(holder, "Modification")
        if part.charge:
            money(etree.SubElement(one, "AdditionalCost"), sign * part.amount, currency)
        else:
            money(
                etree.SubElement(etree.SubElement(one, "AdditionalDeduction"), "DeductionAmount"),
                sign * part.amount,
                currency,
            )
        if part.code is not None or part.text is not None:
            detail = etree.SubElement(one, "ModificationDetail")
            set_all(detail, name=part.code)
            add(detail, "Description", part.text, language=True)
