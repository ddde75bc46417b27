"""An inventory platform with a REST interface, in the role ``Stock``."""

from hilum.connectors.inventory_rest.stock import InventoryRest

__all__ = ["InventoryRest"]
