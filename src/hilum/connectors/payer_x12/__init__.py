"""A payer or clearinghouse that answers X12 270 with 271 over HTTP, in the role ``Payer``."""

from hilum.connectors.payer_x12.payer import PayerX12

__all__ = ["PayerX12"]
