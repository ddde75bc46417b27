"""A billing system that takes HL7 v2, in the role ``Billing`` and as the target of a feed."""

from hilum.connectors.billing_hl7v2.accounts import BillingAccounts
from hilum.connectors.billing_hl7v2.billing import BillingHl7, control_id

__all__ = ["BillingAccounts", "BillingHl7", "control_id"]
