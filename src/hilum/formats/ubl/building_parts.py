"""The parts that built UBL documents share: amounts, dates, parties, items."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from lxml import etree

from hilum.formats import canonical
from hilum.formats.ubl.document import CAC, CBC
from hilum.formats.ubl.parts import CLASS_CODES, CODES, ITEM_CODES
from hilum.formats.xml import Element

_AUTHORITY = re.compile(r"[0-9]{4}")


def inside(parent: Element, name: str) -> Element:
    """A new aggregate."""
    return etree.SubElement(parent, f"{{{CAC}}}{name}")


def basic(parent: Element, name: str, text: str | None, **attributes: str | None) -> None:
    """A new component with a text; with None nothing is added."""
    if text is None:
        return
    element = etree.SubElement(parent, f"{{{CBC}}}{name}")
    element.text = text
    for attribute, value in attributes.items():
        if value is not None:
            element.set(attribute, value)


def amount(parent: Element, name: str, value: Decimal | None, currency: str | None) -> None:
    """An amount with its currency, every digit kept."""
    basic(parent, name, format(value, "f") if value is not None else None, currencyID=currency)


def quantity(parent: Element, name: str, line: canonical.DocumentLine) -> None:
    """The quantity of a line with its unit."""
    basic(parent, name, format(line.quantity, "f") if line.quantity is not None else None, unitCode=line.unit)


def day_and_time(parent: Element, name: str, moment: str | None) -> None:
    """``2026-03-01T12:00:00Z`` as a Date and a Time, ``2026-03-01`` as a Date."""
    if moment is not None:
        day, separator, time = moment.partition("T")
        basic(parent, f"{name}Date", day)
        basic(parent, f"{name}Time", time if separator else None)


def party(parent: Element, name: str, told: canonical.Party | None) -> None:
    """A party under this name, with the name both as its trading and its registered one."""
    if told is None:
        return
    element = inside(parent, name)
    own = [part for part in told.identifiers if part.scheme not in ("vat", "tax-id", "registration")]
    for part in own:
        basic(
            inside(element, "PartyIdentification"),
            "ID",
            part.value,
            schemeID=CODES.get(part.scheme or "", part.scheme or "") or None,
        )
    if told.name is not None:
        basic(inside(element, "PartyName"), "Name", told.name)
    address(element, "PostalAddress", told)
    for part in told.identifiers:
        if part.scheme in ("vat", "tax-id"):
            scheme = inside(element, "PartyTaxScheme")
            basic(scheme, "CompanyID", part.value)
            basic(inside(scheme, "TaxScheme"), "ID", "VAT" if part.scheme == "vat" else "TAX")
    registration = next((part.value for part in told.identifiers if part.scheme == "registration"), None)
    if told.name is not None or registration is not None:
        legal = inside(element, "PartyLegalEntity")
        basic(legal, "RegistrationName", told.name)
        basic(legal, "CompanyID", registration)


def address(parent: Element, name: str, told: canonical.Party) -> bool:
    """The address of a party under this name; False, and nothing, where it has none."""
    if not (told.address_lines or told.city or told.state or told.postal_code or told.country):
        return False
    element = inside(parent, name)
    for tag, text in zip(("StreetName", "AdditionalStreetName"), told.address_lines, strict=False):
        basic(element, tag, text)
    basic(element, "CityName", told.city)
    basic(element, "PostalZone", told.postal_code)
    basic(element, "CountrySubentity", told.state)
    for text in told.address_lines[2:]:
        basic(inside(element, "AddressLine"), "Line", text)
    if told.country is not None:
        basic(inside(element, "Country"), "IdentificationCode", told.country)
    return True


def delivery(parent: Element, to: canonical.Party | None, period: str, when: str | None) -> None:
    """A Delivery: where to, and the period of this kind (Requested, Promised) by its start."""
    if to is None and when is None:
        return
    element = inside(parent, "Delivery")
    if to is not None:
        location = inside(element, "DeliveryLocation")
        if not address(location, "Address", to):
            element.remove(location)
    if when is not None:
        day_and_time(inside(element, f"{period}DeliveryPeriod"), "Start", when)
    if to is not None and (to.name is not None or to.identifiers):
        party(element, "DeliveryParty", canonical.Party(name=to.name, identifiers=to.identifiers))


def item(parent: Element, line: canonical.DocumentLine) -> Element:
    """The item of a line: its name, its numbers, its lot, serial and expiry."""
    element = inside(parent, "Item")
    told = {part.scheme: part.value for part in reversed(line.identifiers)}
    basic(element, "Name", line.description)
    for scheme, role in (("buyer", "Buyers"), ("vendor", "Sellers"), ("manufacturer", "Manufacturers")):
        if scheme in told:
            basic(inside(element, f"{role}ItemIdentification"), "ID", told[scheme])
    others = [part for part in line.identifiers if part.scheme not in ("buyer", "vendor", "manufacturer")]
    # A number of an item authority (ISO 6523, or none named) is the standard one; anything else is a classification.
    standard = [
        part for part in others if part.scheme is None or part.scheme in ITEM_CODES or _AUTHORITY.fullmatch(part.scheme)
    ]
    for part in standard[:1]:
        authority = ITEM_CODES.get(part.scheme, part.scheme) if part.scheme is not None else None
        basic(inside(element, "StandardItemIdentification"), "ID", part.value, schemeID=authority)
    for part in others:
        if part not in standard and part.scheme is not None:
            code = CLASS_CODES.get(part.scheme, part.scheme)
            basic(inside(element, "CommodityClassification"), "ItemClassificationCode", part.value, listID=code)
    if line.lot is not None or line.serial is not None or line.expires is not None:
        instance = inside(element, "ItemInstance")
        basic(instance, "SerialID", line.serial)
        if line.lot is not None or line.expires is not None:
            lot = inside(instance, "LotIdentification")
            basic(lot, "LotNumberID", line.lot)
            basic(lot, "ExpiryDate", line.expires)
    return element


def tax_category(parent: Element, name: str, tax: canonical.Tax) -> None:
    """A tax category of the scheme VAT: the category's code and the rate."""
    element = inside(parent, name)
    basic(element, "ID", tax.kind)
    basic(element, "Percent", format(tax.rate_percent, "f") if tax.rate_percent is not None else None)
    basic(inside(element, "TaxScheme"), "ID", "VAT")


def allowances(
    parent: Element, told: Iterable[canonical.Allowance], currency: str | None, tax: canonical.Tax | None = None
) -> None:
    """Allowances and charges, under a tax category where one is given."""
    for part in told:
        element = inside(parent, "AllowanceCharge")
        basic(element, "ChargeIndicator", "true" if part.charge else "false")
        basic(element, "AllowanceChargeReasonCode", part.code)
        basic(element, "AllowanceChargeReason", part.text)
        amount(element, "Amount", part.amount, currency)
        if tax is not None:
            tax_category(element, "TaxCategory", tax)
