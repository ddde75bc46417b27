"""What labels say: GS1 element strings, HIBC and ISBT 128, and the unique device identifiers of implants and supplies.

label = parse(b"]d201008445880032881729112010L-7")   # UdiError when it is none, WrongCheck when it was misread
label.udi.device_identifier, label.udi.lot           # ("00844588003288", "L-7")
parse_udi("+A99912345/$$52001510X3/16D20111212/S77DEFG457").serial
"""

from hilum.formats.barcodes.errors import Code, UdiError, WrongCheck
from hilum.formats.barcodes.gs1 import check_digit
from hilum.formats.barcodes.label import (
    Barcode,
    convert,
    element_string,
    outline,
    parse,
    recognise,
    validate,
    write,
)
from hilum.formats.barcodes.udi import Reading, Udi, parse_udi, read

__all__ = [
    "Barcode",
    "Code",
    "Reading",
    "Udi",
    "UdiError",
    "WrongCheck",
    "check_digit",
    "convert",
    "element_string",
    "outline",
    "parse",
    "parse_udi",
    "read",
    "recognise",
    "validate",
    "write",
]
