"""The ERP Tryton, series 8.2, over its REST API: questions, journals, purchase orders, the books."""

from hilum.connectors.tryton.erp import TrytonErp
from hilum.connectors.tryton.reads import PlacedOrder, PostedJournal, PostedLine

__all__ = ["PlacedOrder", "PostedJournal", "PostedLine", "TrytonErp"]
