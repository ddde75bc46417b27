"""The process APIs of Lakeshore: what programs ask for, whatever systems stand behind."""

from hilum.processes.process_apis.approvals import approvals
from hilum.processes.process_apis.charge_reconciliation import charges
from hilum.processes.process_apis.closing import close
from hilum.processes.process_apis.eligibility import eligibility
from hilum.processes.process_apis.invoice_matching import matching
from hilum.processes.process_apis.supplier_onboarding import onboarding
from hilum.processes.supplier_onboarding import onboard_supplier

__all__ = ["approvals", "charges", "close", "eligibility", "matching", "onboard_supplier", "onboarding"]
