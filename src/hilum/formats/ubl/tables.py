"""What stands where in UBL 2.1: the documents and the parts that ordering, shipping and billing use (OASIS UBL 2.1, ISO/IEC 19845).

Structure facts only. UBL 2.0 documents keep the same order, for 2.1 only added to it. Elements without a line are open.
"""

from __future__ import annotations

from hilum.formats.xml_content import table

_HEAD = "UBLExtensions? UBLVersionID? CustomizationID? ProfileID? ProfileExecutionID?"
_RATES = "TaxExchangeRate? PricingExchangeRate? PaymentExchangeRate?"
_WEIGHTS = "GrossWeightMeasure? NetWeightMeasure? NetNetWeightMeasure? GrossVolumeMeasure? NetVolumeMeasure?"

DOCUMENTS = f"""
Order = {_HEAD} ID! SalesOrderID? CopyIndicator? UUID? IssueDate! IssueTime? OrderTypeCode? Note* RequestedInvoiceCurrencyCode? \
DocumentCurrencyCode? PricingCurrencyCode? TaxCurrencyCode? CustomerReference? AccountingCostCode? AccountingCost? LineCountNumeric? ValidityPeriod* \
QuotationDocumentReference? OrderDocumentReference* OriginatorDocumentReference? CatalogueReference? AdditionalDocumentReference* Contract* \
ProjectReference* Signature* BuyerCustomerParty! SellerSupplierParty! OriginatorCustomerParty? FreightForwarderParty? AccountingCustomerParty? \
AccountingSupplierParty? Delivery* DeliveryTerms? PaymentMeans* PaymentTerms* TransactionConditions? AllowanceCharge* {_RATES} DestinationCountry? \
TaxTotal* AnticipatedMonetaryTotal? OrderLine+
OrderChange = {_HEAD} ID! SalesOrderID? CopyIndicator? UUID? IssueDate! IssueTime? SequenceNumberID! Note* RequestedInvoiceCurrencyCode? \
DocumentCurrencyCode? PricingCurrencyCode? TaxCurrencyCode? CustomerReference? AccountingCostCode? AccountingCost? LineCountNumeric? ValidityPeriod* \
OrderReference! QuotationDocumentReference? OrderDocumentReference* OriginatorDocumentReference? AdditionalDocumentReference* Contract* Signature* \
BuyerCustomerParty! SellerSupplierParty! OriginatorCustomerParty? FreightForwarderParty? AccountingCustomerParty? AccountingSupplierParty? Delivery* \
DeliveryTerms? PaymentMeans* PaymentTerms* TransactionConditions? AllowanceCharge* {_RATES} DestinationCountry? TaxTotal* AnticipatedMonetaryTotal? \
OrderLine+
OrderCancellation = {_HEAD} ID! CopyIndicator? UUID? IssueDate! IssueTime? Note* CancellationNote+ OrderReference+ OriginatorDocumentReference? \
AdditionalDocumentReference* Contract* Signature* BuyerCustomerParty! SellerSupplierParty! OriginatorCustomerParty?
OrderResponse = {_HEAD} ID! SalesOrderID? CopyIndicator? UUID? IssueDate! IssueTime? OrderResponseCode? Note* DocumentCurrencyCode? \
PricingCurrencyCode? TaxCurrencyCode? TotalPackagesQuantity? {_WEIGHTS} CustomerReference? AccountingCostCode? AccountingCost? LineCountNumeric? \
ValidityPeriod* OrderReference+ OrderDocumentReference* OriginatorDocumentReference? AdditionalDocumentReference* Contract* Signature* \
SellerSupplierParty! BuyerCustomerParty! OriginatorCustomerParty? FreightForwarderParty? AccountingSupplierParty? AccountingCustomerParty? Delivery* \
DeliveryTerms? PaymentMeans* PaymentTerms* AllowanceCharge* TransactionConditions? {_RATES} DestinationCountry? TaxTotal* LegalMonetaryTotal? OrderLine*
OrderResponseSimple = {_HEAD} ID! CopyIndicator? UUID? IssueDate! IssueTime? Note* AcceptedIndicator! RejectionNote* CustomerReference? \
AccountingCostCode? AccountingCost? OrderReference! AdditionalDocumentReference* Signature* SellerSupplierParty! BuyerCustomerParty! \
OriginatorCustomerParty? AccountingSupplierParty? AccountingCustomerParty?
DespatchAdvice = {_HEAD} ID! CopyIndicator? UUID? IssueDate! IssueTime? DocumentStatusCode? DespatchAdviceTypeCode? Note* LineCountNumeric? \
OrderReference* AdditionalDocumentReference* Signature* DespatchSupplierParty! DeliveryCustomerParty! BuyerCustomerParty? SellerSupplierParty? \
OriginatorCustomerParty? Shipment? DespatchLine+
Invoice = {_HEAD} ID! CopyIndicator? UUID? IssueDate! IssueTime? DueDate? InvoiceTypeCode? Note* TaxPointDate? DocumentCurrencyCode? \
TaxCurrencyCode? PricingCurrencyCode? PaymentCurrencyCode? PaymentAlternativeCurrencyCode? AccountingCostCode? AccountingCost? LineCountNumeric? \
BuyerReference? InvoicePeriod* OrderReference? BillingReference* DespatchDocumentReference* ReceiptDocumentReference* StatementDocumentReference* \
OriginatorDocumentReference* ContractDocumentReference* AdditionalDocumentReference* ProjectReference* Signature* AccountingSupplierParty! \
AccountingCustomerParty! PayeeParty? BuyerCustomerParty? SellerSupplierParty? TaxRepresentativeParty? Delivery* DeliveryTerms? PaymentMeans* \
PaymentTerms* PrepaidPayment* AllowanceCharge* {_RATES} PaymentAlternativeExchangeRate? TaxTotal* WithholdingTaxTotal* LegalMonetaryTotal! InvoiceLine+
CreditNote = {_HEAD} ID! CopyIndicator? UUID? IssueDate! IssueTime? TaxPointDate? CreditNoteTypeCode? Note* DocumentCurrencyCode? \
TaxCurrencyCode? PricingCurrencyCode? PaymentCurrencyCode? PaymentAlternativeCurrencyCode? AccountingCostCode? AccountingCost? LineCountNumeric? \
BuyerReference? InvoicePeriod* DiscrepancyResponse* OrderReference? BillingReference* DespatchDocumentReference* ReceiptDocumentReference* \
ContractDocumentReference* AdditionalDocumentReference* StatementDocumentReference* OriginatorDocumentReference* Signature* AccountingSupplierParty! \
AccountingCustomerParty! PayeeParty? BuyerCustomerParty? SellerSupplierParty? TaxRepresentativeParty? Delivery* DeliveryTerms* PaymentMeans* \
PaymentTerms* {_RATES} PaymentAlternativeExchangeRate? AllowanceCharge* TaxTotal* LegalMonetaryTotal! CreditNoteLine+
"""

LINES = """
OrderLine = SubstitutionStatusCode? Note* LineItem! SellerProposedSubstituteLineItem* SellerSubstitutedLineItem* BuyerProposedSubstituteLineItem* \
CatalogueLineReference? QuotationLineReference? OrderLineReference* DocumentReference*
LineItem = ID! SalesOrderID? UUID? Note* LineStatusCode? Quantity? LineExtensionAmount? TotalTaxAmount? MinimumQuantity? MaximumQuantity? \
MinimumBackorderQuantity? MaximumBackorderQuantity? InspectionMethodCode? PartialDeliveryIndicator? BackOrderAllowedIndicator? AccountingCostCode? \
AccountingCost? WarrantyInformation* Delivery* DeliveryTerms? OriginatorParty? OrderedShipment* PricingReference? AllowanceCharge* Price? Item! \
SubLineItem* WarrantyValidityPeriod? WarrantyParty? TaxTotal* ItemPriceExtension? LineReference*
DespatchLine = ID! UUID? Note* LineStatusCode? DeliveredQuantity? BackorderQuantity? BackorderReason* OutstandingQuantity? OutstandingReason* \
OversupplyQuantity? OrderLineReference+ DocumentReference* Item! Shipment*
InvoiceLine = ID! UUID? Note* InvoicedQuantity? LineExtensionAmount! TaxPointDate? AccountingCostCode? AccountingCost? PaymentPurposeCode? \
FreeOfChargeIndicator? InvoicePeriod* OrderLineReference* DespatchLineReference* ReceiptLineReference* BillingReference* DocumentReference* \
PricingReference? OriginatorParty? Delivery* PaymentTerms* AllowanceCharge* TaxTotal* WithholdingTaxTotal* Item! Price? DeliveryTerms? \
SubInvoiceLine* ItemPriceExtension?
CreditNoteLine = ID! UUID? Note* CreditedQuantity? LineExtensionAmount? TaxPointDate? AccountingCostCode? AccountingCost? PaymentPurposeCode? \
FreeOfChargeIndicator? InvoicePeriod* OrderLineReference* DiscrepancyResponse* DespatchLineReference* ReceiptLineReference* BillingReference* \
DocumentReference* PricingReference? OriginatorParty? Delivery* PaymentTerms* TaxTotal* AllowanceCharge* Item? Price? DeliveryTerms* \
SubCreditNoteLine* ItemPriceExtension?
OrderLineReference = LineID! SalesOrderLineID? UUID? LineStatusCode? OrderReference?
OrderReference = ID! SalesOrderID? CopyIndicator? UUID? IssueDate? IssueTime? CustomerReference? OrderTypeCode? DocumentReference?
Item = Description* PackQuantity? PackSizeNumeric? CatalogueIndicator? Name? HazardousRiskIndicator? AdditionalInformation* Keyword* BrandName* \
ModelName* BuyersItemIdentification? SellersItemIdentification? ManufacturersItemIdentification* StandardItemIdentification? \
CatalogueItemIdentification? AdditionalItemIdentification* CatalogueDocumentReference? ItemSpecificationDocumentReference* OriginCountry? \
CommodityClassification* TransactionConditions* HazardousItem* ClassifiedTaxCategory* AdditionalItemProperty* ManufacturerParty* \
InformationContentProviderParty? OriginAddress* ItemInstance* Certificate* Dimension*
ItemInstance = ProductTraceID? ManufactureDate? ManufactureTime? BestBeforeDate? RegistrationID? SerialID? AdditionalItemProperty* LotIdentification?
LotIdentification = LotNumberID? ExpiryDate? AdditionalItemProperty*
Price = PriceAmount! BaseQuantity? PriceChangeReason* PriceTypeCode? PriceType? OrderableUnitFactorRate? ValidityPeriod* PriceList? \
AllowanceCharge* PricingExchangeRate?
"""

PARTS = """
CustomerParty = CustomerAssignedAccountID? SupplierAssignedAccountID? AdditionalAccountID* Party? DeliveryContact? AccountingContact? BuyerContact?
SupplierParty = CustomerAssignedAccountID? AdditionalAccountID* DataSendingCapability? Party? DespatchContact? AccountingContact? SellerContact?
Party = MarkCareIndicator? MarkAttentionIndicator? WebsiteURI? LogoReferenceID? EndpointID? IndustryClassificationCode? PartyIdentification* \
PartyName* Language? PostalAddress? PhysicalLocation? PartyTaxScheme* PartyLegalEntity* Contact? Person* AgentParty? ServiceProviderParty* \
PowerOfAttorney* FinancialAccount?
PartyIdentification = ID!
PartyName = Name!
PartyTaxScheme = RegistrationName? CompanyID? TaxLevelCode? ExemptionReasonCode? ExemptionReason* RegistrationAddress? TaxScheme!
Address = ID? AddressTypeCode? AddressFormatCode? Postbox? Floor? Room? StreetName? AdditionalStreetName? BlockName? BuildingName? BuildingNumber? \
InhouseMail? Department? MarkAttention? MarkCare? PlotIdentification? CitySubdivisionName? CityName? PostalZone? CountrySubentity? \
CountrySubentityCode? Region? District? TimezoneOffset? AddressLine* Country? LocationCoordinate*
AddressLine = Line!
Country = IdentificationCode? Name?
Delivery = ID? Quantity? MinimumQuantity? MaximumQuantity? ActualDeliveryDate? ActualDeliveryTime? LatestDeliveryDate? LatestDeliveryTime? \
ReleaseID? TrackingID? DeliveryAddress? DeliveryLocation? AlternativeDeliveryLocation? RequestedDeliveryPeriod? PromisedDeliveryPeriod? \
EstimatedDeliveryPeriod? CarrierParty? DeliveryParty? NotifyParty* Despatch? DeliveryTerms* MinimumDeliveryUnit? MaximumDeliveryUnit? Shipment?
Period = StartDate? StartTime? EndDate? EndTime? DurationMeasure? DescriptionCode* Description*
PaymentMeans = ID? PaymentMeansCode! PaymentDueDate? PaymentChannelCode? InstructionID? InstructionNote* PaymentID* CardAccount? \
PayerFinancialAccount? PayeeFinancialAccount? CreditAccount? PaymentMandate? TradeFinancing?
AllowanceCharge = ID? ChargeIndicator! AllowanceChargeReasonCode? AllowanceChargeReason* MultiplierFactorNumeric? PrepaidIndicator? \
SequenceNumeric? Amount! BaseAmount? AccountingCostCode? AccountingCost? PerUnitAmount? TaxCategory* TaxTotal? PaymentMeans*
TaxTotal = TaxAmount! RoundingAmount? TaxEvidenceIndicator? TaxIncludedIndicator? TaxSubtotal*
TaxSubtotal = TaxableAmount? TaxAmount! CalculationSequenceNumeric? TransactionCurrencyTaxAmount? Percent? BaseUnitMeasure? PerUnitAmount? \
TierRange? TierRatePercent? TaxCategory!
TaxCategory = ID? Name? Percent? BaseUnitMeasure? PerUnitAmount? TaxExemptionReasonCode? TaxExemptionReason* TierRange? TierRatePercent? TaxScheme!
MonetaryTotal = LineExtensionAmount? TaxExclusiveAmount? TaxInclusiveAmount? AllowanceTotalAmount? ChargeTotalAmount? PrepaidAmount? \
PayableRoundingAmount? PayableAmount! PayableAlternativeAmount?
"""

TABLE = table(DOCUMENTS + LINES + PARTS)

# Elements that share the content of another.
MODEL_OF = {
    **dict.fromkeys(
        ("BuyerCustomerParty", "OriginatorCustomerParty", "AccountingCustomerParty", "DeliveryCustomerParty"),
        "CustomerParty",
    ),
    **dict.fromkeys(("SellerSupplierParty", "AccountingSupplierParty", "DespatchSupplierParty"), "SupplierParty"),
    **dict.fromkeys(
        [
            "PayeeParty",
            "TaxRepresentativeParty",
            "CarrierParty",
            "DeliveryParty",
            "NotifyParty",
            "FreightForwarderParty",
            "OriginatorParty",
            "AgentParty",
        ],
        "Party",
    ),
    **dict.fromkeys(
        ("PostalAddress", "DeliveryAddress", "DespatchAddress", "RegistrationAddress", "OriginAddress"), "Address"
    ),
    **dict.fromkeys(
        [
            "InvoicePeriod",
            "RequestedDeliveryPeriod",
            "PromisedDeliveryPeriod",
            "EstimatedDeliveryPeriod",
            "ValidityPeriod",
        ],
        "Period",
    ),
    **dict.fromkeys(("LegalMonetaryTotal", "AnticipatedMonetaryTotal"), "MonetaryTotal"),
    **dict.fromkeys(("ClassifiedTaxCategory",), "TaxCategory"),
    **dict.fromkeys(("OriginCountry", "DestinationCountry"), "Country"),
    **dict.fromkeys(("WithholdingTaxTotal",), "TaxTotal"),
    **dict.fromkeys(
        (
            "SellerProposedSubstituteLineItem",
            "SellerSubstitutedLineItem",
            "BuyerProposedSubstituteLineItem",
            "SubLineItem",
        ),
        "LineItem",
    ),
}

# Anyone's own XML goes into extensions, and signatures are checked elsewhere.
OPAQUE = frozenset({"UBLExtensions", "Signature"})

# The type of a basic component is in the end of its name (OASIS UBL 2.1 Naming and Design Rules, representation terms).
TERMS = (
    ("Amount", "decimal"),
    ("Quantity", "decimal"),
    ("Measure", "decimal"),
    ("Percent", "decimal"),
    ("Numeric", "decimal"),
    ("Rate", "decimal"),
    ("Date", "date"),
    ("Time", "time"),
    ("Indicator", "bool"),
)
