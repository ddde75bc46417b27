"""What stands where in cXML 1.2, as far as a health system's ordering and billing uses it (cXML User's Guide 1.2.04x).

Structure facts only. Requests that have no line here are open: they are read, shown and kept, and only their envelope is checked.
"""

from __future__ import annotations

from hilum.formats.xml_content import table

ENVELOPE = """
cXML = Header? (Request|Response|Message)! Signature* ; @payloadID!:text @timestamp!:datetime
Header = From! To! Sender! Path? OriginalDocument?
From,To = Credential+ Correspondent?
Sender = Credential+ UserAgent! Extrinsic*
Credential = Identity! (SharedSecret|DigitalSignature|CredentialMac)? ; @domain!:text @type=marketplace
UserAgent = ; ; :text
Request = ; @deploymentMode=production|test
Message = ; @deploymentMode=production|test
Response = Status! (ProfileResponse|PunchOutSetupResponse|ProviderSetupResponse|GetPendingResponse|SubscriptionListResponse|\
SubscriptionContentResponse|SupplierListResponse|SupplierDataResponse|OrderStatusSetupResponse|AuthResponse|DataResponse|SessionStatusResponse)?
Status = ; @code!:status @text!
Extrinsic = ; @name!:text
DocumentReference = ; @payloadID!
IdReference = Creator? Description? ; @identifier! @domain!:text
"""

PARTIES = """
ShipTo = Address! CarrierIdentifier* TransportInformation* IdReference*
BillTo = Address! IdReference*
Address = Name! PostalAddress? Email? Phone? Fax? URL? ; @isoCountryCode:country
PostalAddress = DeliverTo* Street+ City! Municipality? State? PostalCode? Country! Extrinsic*
Country,CountryCode = ; @isoCountryCode!:country
Phone,Fax = (TelephoneNumber|URL|Email)!
TelephoneNumber = CountryCode! AreaOrCityCode! Number! Extension?
Contact = Name! PostalAddress* Email* Phone* Fax* URL* IdReference* Extrinsic*
InvoicePartner = Contact! IdReference*
"""

ITEMS = """
Money = ; @currency!:currency @alternateAmount:decimal @alternateCurrency:currency ; :decimal
Total,UnitPrice = Money! Modifications? PricingConditions?
Tax = Money! TaxAdjustmentAmount? Description! TaxDetail* Distribution* Extrinsic*
TaxDetail = TaxableAmount? TaxAmount! TaxAdjustmentAmount? TaxLocation? Description? TriangularTransactionLawReference? TaxRegime? TaxExemption? \
Extrinsic* ; @category!:text @percentageRate:decimal @taxPointDate:datetime @paymentDate:datetime @isVatRecoverable:yes
Shipping = Money! Description? Modifications?
ItemID = SupplierPartID! SupplierPartAuxiliaryID? BuyerPartID? IdReference*
ItemDetail = UnitPrice! Description+ OverallLimit? ExpectedLimit? UnitOfMeasure! PriceBasisQuantity? Classification+ ManufacturerPartID? \
ManufacturerName? URL? LeadTime? Dimension* ItemDetailIndustry? AttachmentReference* PlannedAcceptanceDays? Extrinsic*
UnitOfMeasure = ; ; :unit
PriceBasisQuantity = UnitOfMeasure! Description? ; @quantity!:decimal @conversionFactor!:decimal
Classification = ; @domain!:text
OrderReference = DocumentReference! ; @orderDate:datetime
OrderIDInfo = IdReference* ; @orderID!:text @orderDate:datetime
Distribution = Accounting! Charge!
Modification = OriginalPrice? (AdditionalDeduction|AdditionalCost)! Tax? ModificationDetail?
AdditionalDeduction = (DeductionAmount|DeductionPercent|DeductedPrice)!
AdditionalCost = (Money|Percentage)!
ModificationDetail = Description? Extrinsic* ; @name!:text @startDate:datetime @endDate:datetime
DeductionAmount,Charge,SubtotalAmount,NetAmount,DueAmount,GrossAmount,TotalCharges,TotalAllowances,TotalAmountWithoutTax,DepositAmount,ShippingAmount,SpecialHandlingAmount,TaxableAmount,TaxAmount = Money! Modifications?
"""

ORDERS = """
OrderRequest = OrderRequestHeader! ItemOut+
OrderRequestHeader = Total! ShipTo? BillTo! BusinessPartner* LegalEntity? OrganizationalUnit? Shipping? Tax? Payment? PaymentTerm* Contact* \
Comments? Followup? ControlKeys? DocumentReference? SupplierOrderInfo? TermsOfDelivery? DeliveryPeriod? IdReference* OrderRequestHeaderIndustry? Extrinsic* \
; @orderID!:text @orderDate!:datetime @type=new|update|delete @orderType=regular|release|blanket|stockTransport|subcontracting @shipComplete:yes \
@requestedDeliveryDate:datetime @pickUpDate:datetime @effectiveDate:datetime @expirationDate:datetime @orderVersion:count
ItemOut = ItemID! Path? (ItemDetail|BlanketItemDetail)? (SupplierID|SupplierList)? ShipTo? Shipping? Tax? SpendDetail? Distribution* Contact* TermsOfDelivery? \
Comments? Tolerances? ControlKeys? ScheduleLine* MasterAgreementReference? MasterAgreementIDInfo? ItemOutIndustry? Packaging* ReleaseInfo? Batch? \
; @quantity!:decimal @lineNumber:count @requestedDeliveryDate:datetime @isAdHoc:yes @itemType=composite|item|lean
ConfirmationRequest = ConfirmationHeader! (OrderReference|OrderIDInfo)! ConfirmationItem*
ConfirmationHeader = DocumentReference? Total? Shipping? Tax? Contact* Hazard* Comments? IdReference* Extrinsic* ReferenceDocumentInfo* \
; @type!=accept|allDetail|detail|backordered|except|reject|requestToPay|replace @noticeDate!:datetime @operation=new|update
ConfirmationItem = UnitOfMeasure! Contact* Hazard* ConfirmationStatus+ ; @quantity!:decimal @lineNumber!:count
ConfirmationStatus = UnitOfMeasure! (ItemIn|UnitPrice)? Tax? Shipping? SupplierPartID? SupplierBatchID? ScheduleLineReference* Comments? Extrinsic* \
; @quantity!:decimal @type!=accept|allDetail|detail|backordered|reject|requestToPay|unknown @shipmentDate:datetime @deliveryDate:datetime
PunchOutSetupRequest = BuyerCookie! Extrinsic* BrowserFormPost? Contact* SupplierSetup? ShipTo? SelectedItem? ItemOut* ; @operation!=create|inspect|edit|source
PunchOutSetupResponse = StartPage!
StartPage,BrowserFormPost,SupplierSetup = URL!
SelectedItem = ItemID!
PunchOutOrderMessage = BuyerCookie! PunchOutOrderMessageHeader! ItemIn*
PunchOutOrderMessageHeader = SourcingStatus? Total! ShipTo? Shipping? Tax? SupplierOrderInfo? Extrinsic* \
; @operationAllowed!=create|inspect|edit @quoteStatus=pending|final
ItemIn = ItemID! Path? ItemDetail! (SupplierID|SupplierList)? ShipTo? Shipping? Tax? SpendDetail? Distribution* Contact* Comments? ScheduleLine* Extrinsic* \
; @quantity!:decimal @lineNumber:count @openQuantity:decimal
StatusUpdateRequest = DocumentReference? Status! (PaymentStatus|SourcingStatus|InvoiceStatus|DocumentStatus|IntegrationStatus)? Extrinsic*
"""

SHIPMENTS = """
ShipNoticeRequest = ShipNoticeHeader! ShipControl* ShipNoticePortion+
ShipNoticeHeader = ServiceLevel* DocumentReference? Contact* LegalEntity? OrganizationalUnit? Hazard* Comments* TermsOfDelivery? TermsOfTransport* Packaging* \
Extrinsic* IdReference* ReferenceDocumentInfo* ; @shipmentID!:text @noticeDate!:datetime @operation=new|update|delete @shipmentDate:datetime \
@deliveryDate:datetime @requestedDeliveryDate:datetime @shipmentType=actual|planned @fulfillmentType=partial|complete
ShipControl = CarrierIdentifier+ ShipmentIdentifier+ PackageIdentification* Route* TransportInformation? Contact* Comments? Extrinsic*
CarrierIdentifier = ; @domain!:text ; :text
ShipmentIdentifier = ; ; :text
ShipNoticePortion = (OrderReference|OrderIDInfo)! MasterAgreementReference? MasterAgreementIDInfo? Contact* Comments* Extrinsic* ShipNoticeItem*
ShipNoticeItem = ItemID? ShipNoticeItemDetail? UnitOfMeasure! Packaging* Hazard* Batch* SupplierBatchID? AssetInfo* TermsOfDelivery? OrderedQuantity? \
ShipNoticeItemIndustry? ComponentConsumptionDetails* ReferenceDocumentInfo* Comments? Extrinsic* ; @quantity!:decimal @lineNumber!:count \
@shipNoticeLineNumber:count
ShipNoticeItemDetail = UnitPrice? Description* UnitOfMeasure? Classification* ManufacturerPartID? ManufacturerName? Dimension* ItemDetailIndustry? Extrinsic*
Batch = BuyerBatchID? SupplierBatchID? PropertyValuation* ; @expirationDate:datetime @productionDate:datetime
"""

INVOICES = """
InvoiceDetailRequest = InvoiceDetailRequestHeader! (InvoiceDetailOrder|InvoiceDetailHeaderOrder)+ InvoiceDetailSummary!
InvoiceDetailRequestHeader = InvoiceDetailHeaderIndicator! InvoiceDetailLineIndicator! InvoicePartner* DocumentReference? InvoiceIDInfo? \
PaymentProposalIDInfo? InvoiceDetailShipping? ShipNoticeIDInfo? (InvoiceDetailPaymentTerm|PaymentTerm)* PaymentInformation? Period? Comments? IdReference* \
Extrinsic* ; @invoiceID!:text @invoiceDate!:datetime @purpose=standard|creditMemo|debitMemo|lineLevelCreditMemo|lineLevelDebitMemo @operation=new|delete \
@isInformationOnly:yes
InvoiceDetailHeaderIndicator = ; @isHeaderInvoice:yes @isVatRecoverable:yes
InvoiceDetailLineIndicator = ; @isTaxInLine:yes @isSpecialHandlingInLine:yes @isShippingInLine:yes @isDiscountInLine:yes @isAccountingInLine:yes
InvoiceDetailOrder = InvoiceDetailOrderInfo! InvoiceDetailReceiptInfo? InvoiceDetailShipNoticeInfo? (InvoiceDetailItem|InvoiceDetailServiceItem)+
InvoiceDetailHeaderOrder = InvoiceDetailOrderInfo! InvoiceDetailOrderSummary!
InvoiceDetailOrderInfo = (OrderReference|OrderIDInfo|MasterAgreementReference|MasterAgreementIDInfo|SupplierOrderInfo)+
InvoiceDetailShipping = Contact* CarrierIdentifier* ShipmentIdentifier* DocumentReference?
InvoiceDetailItem = UnitOfMeasure! UnitPrice! PriceBasisQuantity? InvoiceDetailItemReference! ReceiptLineItemReference? ShipNoticeLineItemReference? \
ServiceEntryItemReference? ProductMovementItemIDInfo? SubtotalAmount? Tax? InvoiceDetailLineSpecialHandling? InvoiceDetailLineShipping? GrossAmount? \
InvoiceDetailDiscount? InvoiceItemModifications? TotalCharges? TotalAllowances? TotalAmountWithoutTax? NetAmount? Distribution* Packaging* \
InvoiceDetailItemIndustry? Comments? Extrinsic* ; @invoiceLineNumber!:count @quantity!:decimal
InvoiceDetailItemReference = ItemID? Description? Classification* ManufacturerPartID? ManufacturerName? Country? SerialNumber* SupplierBatchID? \
InvoiceDetailItemReferenceIndustry? ; @lineNumber!:count
InvoiceDetailDiscount = Money! ; @percentageRate:decimal
InvoiceDetailLineShipping = InvoiceDetailShipping? Money! Modifications?
InvoiceDetailLineSpecialHandling = Description? Money!
InvoiceDetailSummary = SubtotalAmount! Tax! SpecialHandlingAmount? ShippingAmount? GrossAmount? InvoiceDetailDiscount? InvoiceHeaderModifications? \
InvoiceDetailSummaryLineItemModifications? TotalCharges? TotalAllowances? TotalAmountWithoutTax? NetAmount! DepositAmount? DueAmount! \
InvoiceDetailSummaryIndustry?
InvoiceHeaderModifications,InvoiceItemModifications,InvoiceDetailSummaryLineItemModifications,Modifications = Modification+
"""

TABLE = table(ENVELOPE + PARTIES + ITEMS + ORDERS + SHIPMENTS + INVOICES)

# Senders put what they like into these.
OPAQUE = frozenset({"Extrinsic", "Comments", "Signature", "OriginalDocument", "DigitalSignature", "CredentialMac"})
