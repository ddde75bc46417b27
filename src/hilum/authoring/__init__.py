"""What the author of an integration imports: systems, contracts, mappings, feeds, flows, steps and the kinds of failure."""

from hilum.authoring.contract import Agreed, AtRisk, Contract, Key, Phi
from hilum.authoring.crosswalk import Crosswalk
from hilum.authoring.failures import ErpRefused, InvalidData, Refused, Rejected, StockBelowZero, Unavailable
from hilum.authoring.flow import Feed, Flow, Mapping, Step, feed, flow, mapping, step
from hilum.authoring.roles import Billing, Erp, Stock
from hilum.authoring.system import System, command, question
from hilum.formats.hl7v2 import Message as Hl7

__all__ = [
    "Agreed",
    "AtRisk",
    "Billing",
    "Contract",
    "Crosswalk",
    "Erp",
    "ErpRefused",
    "Feed",
    "Flow",
    "Hl7",
    "InvalidData",
    "Key",
    "Mapping",
    "Phi",
    "Refused",
    "Rejected",
    "Step",
    "Stock",
    "StockBelowZero",
    "System",
    "Unavailable",
    "command",
    "feed",
    "flow",
    "mapping",
    "question",
    "step",
]
