"""What the author of an integration imports: systems, contracts, mappings, feeds, flows, steps and the kinds of failure."""

from hilum.authoring.api import Accepted, Api, Created, Example, Operation, Page, PageRequest, Problem
from hilum.authoring.caller import Caller
from hilum.authoring.classification import Confidential, Financial, Phi, Pii
from hilum.authoring.collecting import Collection, collect
from hilum.authoring.contract import Agreed, AtRisk, Contract, Key
from hilum.authoring.crosswalk import Crosswalk
from hilum.authoring.failures import ErpRefused, InvalidData, Refused, Rejected, StockBelowZero, Unavailable
from hilum.authoring.flow import Feed, Flow, Mapping, Step, feed, flow, mapping, step
from hilum.authoring.platform import Platform, Submitted
from hilum.authoring.roles import Billing, Erp, Payer, Stock
from hilum.authoring.schedules import Moment, Schedule, schedule
from hilum.authoring.system import System, command, question
from hilum.formats.bai2 import Bai2File as Bai2
from hilum.formats.hl7v2 import Message as Hl7
from hilum.formats.tabular import Table
from hilum.formats.x12 import Transaction as X12

__all__ = [
    "X12",
    "Accepted",
    "Agreed",
    "Api",
    "AtRisk",
    "Bai2",
    "Billing",
    "Caller",
    "Collection",
    "Confidential",
    "Contract",
    "Created",
    "Crosswalk",
    "Erp",
    "ErpRefused",
    "Example",
    "Feed",
    "Financial",
    "Flow",
    "Hl7",
    "InvalidData",
    "Key",
    "Mapping",
    "Moment",
    "Operation",
    "Page",
    "PageRequest",
    "Payer",
    "Phi",
    "Pii",
    "Platform",
    "Problem",
    "Refused",
    "Rejected",
    "Schedule",
    "Step",
    "Stock",
    "StockBelowZero",
    "Submitted",
    "System",
    "Table",
    "Unavailable",
    "collect",
    "command",
    "feed",
    "flow",
    "mapping",
    "question",
    "schedule",
    "step",
]
