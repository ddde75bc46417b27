"""The process APIs of Lakeshore: what programs ask for, whatever systems stand behind."""

from hilum.processes.process_apis.approvals import approvals
from hilum.processes.process_apis.charge_reconciliation import charges
from hilum.processes.process_apis.eligibility import eligibility
from hilum.processes.process_apis.invoice_matching import matching

__all__ = ["approvals", "charges", "eligibility", "matching"]
