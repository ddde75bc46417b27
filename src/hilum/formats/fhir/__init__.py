"""FHIR R4 (4.0.1): resources, Bundles and NDJSON read, checked, written and answered.

>>> document = parse(b'{"resourceType": "Invoice", "status": "issued", "totalNet": {"value": 10.50, "currency": "USD"}}')
>>> document.get("Invoice.totalNet.value")
Decimal('10.50')
>>> validate(document)
[]
>>> write(document) == document.source
True
>>> acknowledge(document, validate(document)).get("issue.diagnostics")
'The Invoice is valid R4.'
"""

from hilum.formats.fhir.acknowledgement import acknowledge
from hilum.formats.fhir.conversion import convert
from hilum.formats.fhir.document import Document, build, parse, recognise
from hilum.formats.fhir.errors import FHIRError, FHIRFinding
from hilum.formats.fhir.invariants import evaluated, unevaluated
from hilum.formats.fhir.outlines import outline
from hilum.formats.fhir.paths import InvalidPath
from hilum.formats.fhir.tables import VERSION, resource_types
from hilum.formats.fhir.validation import validate, validate_resource
from hilum.formats.fhir.writing import json_bytes, write
from hilum.formats.fhir.xml_writing import xml_bytes

__all__ = [
    "VERSION",
    "Document",
    "FHIRError",
    "FHIRFinding",
    "InvalidPath",
    "acknowledge",
    "build",
    "convert",
    "evaluated",
    "json_bytes",
    "outline",
    "parse",
    "recognise",
    "resource_types",
    "unevaluated",
    "validate",
    "validate_resource",
    "write",
    "xml_bytes",
]
