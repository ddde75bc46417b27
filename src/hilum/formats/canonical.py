"""What a business document says, whatever it was written in: the shapes that ``hilum convert`` prints.

Amounts and quantities are ``Decimal`` and become strings in JSON, dates ISO 8601 strings as precise as their source. A value
the source does not have is None and left out of the JSON; it is never an empty string.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """A number and who gave it: ``scheme`` is the qualifier in words (``npi``, ``tax-id``, ``payer``, ``gln``, ``duns`` ...)."""

    value: str
    scheme: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A person or organization with the roles it plays in the document."""

    name: str | None = None
    given_name: str | None = None
    birth_date: str | None = None
    sex: str | None = None
    identifiers: tuple[Identifier, ...] = ()
    address_lines: tuple[str, ...] = ()
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None


# --- money from payers ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """Money a payer took off a charge: claim adjustment group (CO, PR, OA, PI, CR), reason code (CARC), amount."""

    group: str
    reason: str
    amount: Decimal
    quantity: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePayment:
    """One service line of a paid claim."""

    procedure: str | None = None
    procedure_kind: str | None = None
    modifiers: tuple[str, ...] = ()
    revenue_code: str | None = None
    charge: Decimal | None = None
    paid: Decimal | None = None
    allowed: Decimal | None = None
    units: Decimal | None = None
    service_from: str | None = None
    service_to: str | None = None
    line_control_number: str | None = None
    adjustments: tuple[Adjustment, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimPayment:
    """What a payer decided on one claim (X12 835 loop 2100)."""

    claim_number: str
    """The provider's own number, CLP01: it joins the payment to the claim."""
    payer_claim_number: str | None = None
    status: str
    """Claim status code, CLP02; 22 takes an earlier payment back."""
    charge: Decimal
    paid: Decimal
    patient_responsibility: Decimal | None = None
    filing_indicator: str | None = None
    facility_type: str | None = None
    frequency: str | None = None
    drg: str | None = None
    patient: Party | None = None
    subscriber: Party | None = None
    corrected_patient: Party | None = None
    rendering_provider: Party | None = None
    crossover_payer: Party | None = None
    statement_from: str | None = None
    statement_to: str | None = None
    received: str | None = None
    adjustments: tuple[Adjustment, ...] = ()
    remarks: tuple[str, ...] = ()
    services: tuple[ServicePayment, ...] = ()
    balanced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAdjustment:
    """Money moved outside any claim (X12 PLB): positive lowers the payment."""

    provider: str
    fiscal_period_end: str | None = None
    reason: str
    reference: str | None = None
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Remittance:
    """A payment and what it is for (X12 835). ``balanced`` is true when service, claim and transaction level all agree."""

    kind: str = "remittance"
    control_number: str | None = None
    currency: str | None = None
    """Of all its amounts, where the source names one."""
    payer: Party
    payee: Party
    trace_number: str | None = None
    payer_identifier: str | None = None
    amount: Decimal
    credit: bool
    """True when BPR03 says credit: the payee gets money."""
    method: str | None = None
    payment_date: str | None = None
    production_date: str | None = None
    claims: tuple[ClaimPayment, ...] = ()
    provider_adjustments: tuple[ProviderAdjustment, ...] = ()
    balanced: bool
    difference: Decimal
    """BPR02 - (sum of CLP04 - sum of PLB); zero when the transaction balances."""


# --- claims ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLine:
    """One service of a claim (X12 837 loop 2400)."""

    number: str
    procedure: str | None = None
    procedure_kind: str | None = None
    modifiers: tuple[str, ...] = ()
    revenue_code: str | None = None
    charge: Decimal
    units: Decimal | None = None
    unit: str | None = None
    drug: str | None = None
    """The national drug code (LIN03)."""
    service_from: str | None = None
    service_to: str | None = None
    diagnosis_pointers: tuple[str, ...] = ()
    line_control_number: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim as a provider sends it (X12 837 loop 2300 with its hierarchy)."""

    kind: str = "claim"
    type: str
    """``professional``, ``institutional`` or ``dental``."""
    claim_number: str
    currency: str | None = None
    """Of all its amounts, where the source names one."""
    charge: Decimal
    facility_type: str | None = None
    frequency: str | None = None
    """``1`` original, ``7`` replaces and ``8`` voids the claim that ``payer_claim_number`` names."""
    payer_claim_number: str | None = None
    """The payer's own number of an earlier claim (REF*F8)."""
    prior_authorization: str | None = None
    referral_number: str | None = None
    payer_sequence: str | None = None
    """``P`` primary, ``S`` secondary ... (SBR01): as whose debtor the payer is asked."""
    relationship: str | None = None
    """The patient's to the subscriber, a code; ``18`` is the subscriber."""
    group_number: str | None = None
    submitter: Party | None = None
    receiver: Party | None = None
    billing_provider: Party | None = None
    subscriber: Party | None = None
    patient: Party | None = None
    payer: Party | None = None
    other_payers: tuple[Party, ...] = ()
    """Those who pay before or after (loop 2320)."""
    rendering_provider: Party | None = None
    attending_provider: Party | None = None
    referring_provider: Party | None = None
    filing_indicator: str | None = None
    statement_from: str | None = None
    statement_to: str | None = None
    diagnoses: tuple[str, ...] = ()
    """The principal diagnosis first, then the others in their order: diagnosis pointers count them from 1."""
    admitting_diagnosis: str | None = None
    services: tuple[ServiceLine, ...] = ()
    balanced: bool
    """CLM02 equals the sum of the service charges."""


# --- acknowledgements ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AcknowledgedItem:
    """One thing a partner accepted or rejected: an interchange, a group, a transaction or a claim."""

    level: str
    """``interchange``, ``group``, ``transaction``, ``provider``, ``claim`` or ``message``."""
    reference: str | None = None
    """The control number, claim number or message control id it answers."""
    payer_reference: str | None = None
    set_id: str | None = None
    accepted: bool
    code: str
    reasons: tuple[str, ...] = ()
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """What became of what we sent (X12 TA1, 997, 999, 277CA; HL7 v2 ACK)."""

    kind: str = "acknowledgement"
    type: str
    control_number: str | None = None
    accepted: bool
    items: tuple[AcknowledgedItem, ...] = ()


# --- eligibility -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EligibilityInquiry:
    """What a payer is asked about one person's coverage (X12 270)."""

    kind: str = "eligibility_inquiry"
    reference: str
    """The asker's own trace number; the answer carries it back."""
    payer: Party
    provider: Party
    subscriber: Party
    dependent: Party | None = None
    relationship: str | None = None
    """The dependent's to the subscriber (X12 element 1069)."""
    service_types: tuple[str, ...] = ("30",)
    date: str
    """The day of service, ISO 8601."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benefit:
    """One statement of a payer about coverage (X12 EB)."""

    information: str
    """Element 1390: 1 to 5 active, 6 to 8 inactive, A coinsurance, B copayment, C deductible, G out of pocket ..."""
    coverage_level: str | None = None
    service_types: tuple[str, ...] = ()
    insurance_type: str | None = None
    plan: str | None = None
    period: str | None = None
    amount: Decimal | None = None
    percent: Decimal | None = None
    """As a share: 0.2 is twenty per cent."""
    authorization_required: bool | None = None
    in_network: bool | None = None
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EligibilityAnswer:
    """What a payer answered about one person (X12 271)."""

    kind: str = "eligibility_answer"
    reference: str | None = None
    payer: Party
    person: Party | None = None
    active: bool | None = None
    """Whether the plan covers the person; None when the payer did not say."""
    benefits: tuple[Benefit, ...] = ()
    rejections: tuple[str, ...] = ()
    """Why the inquiry could not be answered (element 901), each with what to do (889) behind a colon: ``75:C``."""


# --- supply ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """A charge (freight, small order ...) or an allowance (discount); the amount is positive, ``charge`` says which."""

    charge: bool
    amount: Decimal
    code: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tax:
    """A tax amount with its kind and rate in percent."""

    amount: Decimal
    kind: str | None = None
    rate_percent: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLine:
    """One line of an order, an order response, a ship notice or an invoice."""

    number: str | None = None
    order_number: str | None = None
    order_line: str | None = None
    identifiers: tuple[Identifier, ...] = ()
    """The item's numbers: ``vendor``, ``buyer``, ``manufacturer``, ``gtin``, ``upc``, ``ndc`` ..."""
    description: str | None = None
    quantity: Decimal | None = None
    unit: str | None = None
    price: Decimal | None = None
    """For one ``unit``, also where the source prices them by the hundred."""
    amount: Decimal | None = None
    status: str | None = None
    """On a response: ``accepted``, ``changed``, ``backordered``, ``rejected``, ``substituted``, ``deleted`` or the raw code."""
    promised: str | None = None
    lot: str | None = None
    serial: str | None = None
    expires: str | None = None
    allowances: tuple[Allowance, ...] = ()
    taxes: tuple[Tax, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A purchase order or its change (X12 850, 860; cXML OrderRequest; UBL Order)."""

    kind: str = "order"
    number: str
    purpose: str = "original"
    """``original``, ``change`` or ``cancel``; a code of the source where it says something else (a duplicate, a confirmation)."""
    date: str | None = None
    currency: str | None = None
    buyer: Party | None = None
    seller: Party | None = None
    ship_to: Party | None = None
    bill_to: Party | None = None
    requested: str | None = None
    contract: str | None = None
    total: Decimal | None = None
    lines: tuple[DocumentLine, ...] = ()
    allowances: tuple[Allowance, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderResponse:
    """What a supplier says to an order (X12 855, 865; cXML ConfirmationRequest; UBL OrderResponse)."""

    kind: str = "order_response"
    order_number: str
    number: str | None = None
    status: str
    """``accepted``, ``changed``, ``rejected`` or the raw code."""
    date: str | None = None
    currency: str | None = None
    buyer: Party | None = None
    seller: Party | None = None
    lines: tuple[DocumentLine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A carton or pallet of a shipment, with what is in it; ``inside`` names the package that holds it."""

    label: str | None = None
    kind: str | None = None
    inside: str | None = None
    lines: tuple[DocumentLine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipNotice:
    """What is on its way (X12 856; cXML ShipNoticeRequest; UBL DespatchAdvice)."""

    kind: str = "ship_notice"
    number: str
    date: str | None = None
    shipped: str | None = None
    expected: str | None = None
    carrier: str | None = None
    tracking_numbers: tuple[str, ...] = ()
    ship_from: Party | None = None
    ship_to: Party | None = None
    order_numbers: tuple[str, ...] = ()
    lines: tuple[DocumentLine, ...] = ()
    packages: tuple[Package, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """What a supplier wants to be paid, or gives back (X12 810; cXML InvoiceDetailRequest; UBL Invoice, CreditNote)."""

    kind: str = "invoice"
    number: str
    credit: bool = False
    date: str | None = None
    due: str | None = None
    currency: str | None = None
    order_number: str | None = None
    buyer: Party | None = None
    seller: Party | None = None
    ship_to: Party | None = None
    remit_to: Party | None = None
    total: Decimal
    payable: Decimal | None = None
    """What is still to be paid, where the source says another amount than ``total``: less what was prepaid, rounded in cash."""
    net: Decimal | None = None
    """What the lines come to with their own allowances and charges: before those of the whole invoice, and before tax."""
    lines: tuple[DocumentLine, ...] = ()
    allowances: tuple[Allowance, ...] = ()
    taxes: tuple[Tax, ...] = ()
    balanced: bool
    """The total is lines + charges - allowances + taxes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A transaction that has no shape of its own above: its set and its content as a tree."""

    kind: str = "record"
    type: str
    control_number: str | None = None
    content: dict[str, Any] = field(default_factory=dict)


Canonical = (
    Remittance
    | Claim
    | Acknowledgement
    | EligibilityInquiry
    | EligibilityAnswer
    | Order
    | OrderResponse
    | ShipNotice
    | Invoice
    | Record
)


_MOST_DIGITS = 400


def as_json(value: Any) -> Any:
    """A canonical document as JSON values: decimals as plain strings, missing values and empty lists left out."""
    if isinstance(value, Decimal):
        # 1E+99999 is seven characters and would be a hundred thousand; no amount is ever that long.
        return format(value, "f") if abs(value.adjusted()) <= _MOST_DIGITS else str(value)
    if is_dataclass(value) and not isinstance(value, type):
        told = {f.name: as_json(getattr(value, f.name)) for f in fields(value)}
        return {name: part for name, part in told.items() if part is not None and part != []}
    if isinstance(value, (list, tuple)):
        return [as_json(part) for part in value]
    if isinstance(value, dict):
        return {str(name): as_json(part) for name, part in value.items()}
    return value


def difference(meant: Any, got: Any, path: str = "") -> str:
    """The first place where two documents differ, as a path of field names."""
    if is_dataclass(meant) and is_dataclass(got) and type(meant) is type(got):
        for part in fields(meant):
            if getattr(meant, part.name) != getattr(got, part.name):
                return difference(
                    getattr(meant, part.name), getattr(got, part.name), f"{path}.{part.name}" if path else part.name
                )
    if isinstance(meant, tuple) and isinstance(got, tuple) and len(meant) == len(got):
        for at, (one, other) in enumerate(zip(meant, got, strict=True)):
            if one != other:
                return difference(one, other, f"{path}[{at}]")
    return path or "document"
