"""The estate's Cedar policies: reading them, deciding by them, filtering by them, explaining what they decided."""

from __future__ import annotations

from hilum.security.policies.engine import Policies
from hilum.security.policies.texts import PoliciesRefused, PolicyProblem

__all__ = ["Policies", "PoliciesRefused", "PolicyProblem"]
