"""Twice as long takes about twice as long: a document of many thousand parts is read, checked, converted and shown in seconds."""

from __future__ import annotations

import time

import pytest

from hilum.formats import cxml, ubl

MANY = 30_000
_UBL = b"""<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
 xmlns:cac="urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
 xmlns:cbc="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2">%s</Invoice>"""
_CXML = b'<cXML payloadID="1" timestamp="2026-03-01"><Request>%s</Request></cXML>'
_SUBTOTAL = b"<cac:TaxSubtotal><cac:TaxCategory><cbc:ID>S</cbc:ID></cac:TaxCategory></cac:TaxSubtotal>"

LONG = {
    "UBL lines": (ubl, _UBL % (b"<cac:InvoiceLine/>" * MANY)),
    "UBL tax subtotals": (ubl, _UBL % (b"<cac:TaxTotal>" + _SUBTOTAL * MANY + b"</cac:TaxTotal>")),
    "UBL references": (ubl, _UBL % (b"<cac:AdditionalDocumentReference/>" * MANY)),
    "cXML items": (cxml, _CXML % (b"<OrderRequest>" + b'<ItemOut quantity="1"/>' * MANY + b"</OrderRequest>")),
    "cXML orders of an invoice": (
        cxml,
        _CXML
        % (
            b'<InvoiceDetailRequest><InvoiceDetailRequestHeader invoiceID="I-1"/>'
            + b"<InvoiceDetailOrder><InvoiceDetailItem/></InvoiceDetailOrder>" * MANY
            + b"<InvoiceDetailSummary><NetAmount><Money>1</Money></NetAmount></InvoiceDetailSummary></InvoiceDetailRequest>"
        ),
    ),
    "cXML orders of a shipment": (
        cxml,
        _CXML
        % (
            b'<ShipNoticeRequest><ShipNoticeHeader shipmentID="S-1"/>'
            + b"".join(
                b'<ShipNoticePortion><OrderReference orderID="PO-%d"/></ShipNoticePortion>' % at for at in range(MANY)
            )
            + b"</ShipNoticeRequest>"
        ),
    ),
    "cXML of an unknown kind": (cxml, _CXML % (b"<KneeRequest>" + b'<knee size="9"/>' * MANY + b"</KneeRequest>")),
}


@pytest.mark.parametrize(("format_", "data"), LONG.values(), ids=LONG)
def test_a_long_document_takes_no_longer_than_its_length(format_, data):
    begun = time.process_time()
    document = format_.parse(data)
    assert len(format_.validate(document)) <= 300
    format_.convert(document)
    format_.outline(document)
    assert time.process_time() - begun < 5
