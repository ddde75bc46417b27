"""System APIs of Lakeshore: what its ERP, billing and inventory platform hold. Who may use them stands in ``apis/``."""

from hilum.processes.system_apis.billing import billing_api
from hilum.processes.system_apis.erp import erp_api
from hilum.processes.system_apis.stock import stock_api

__all__ = ["billing_api", "erp_api", "stock_api"]
