"""What labels say: unique device identifiers of implants and supplies."""

from hilum.formats.barcodes.udi import Udi, UdiError, WrongCheck, check_digit, parse_udi

__all__ = ["Udi", "UdiError", "WrongCheck", "check_digit", "parse_udi"]
