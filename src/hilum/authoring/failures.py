"""The three kinds of failure: a person must decide, time must pass, or it is a bug.

Exception
├── Rejected(queue=...)   a person must decide; subclasses name queue and, in the docstring, the remedy
│   └── Refused           a system answered no, in its own words
├── Unavailable           time must pass; retried, then parked until the system answers again
│   └── Throttled         the system is well and asks for patience (429): waited for, and no failure
├── AnswerUnreadable      a system answered outside what was agreed: a bug of one side, told as an incident at the door
└── anything else         a bug: that key stops, nothing is lost, someone is paged
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, ClassVar


class Rejected(Exception):
    """A business exception for a person. Subclass it with ``queue=`` and write the remedy as the docstring.

    ``cause`` is what one decision fixes (a charge code, a department): all cases that fail for the same
    cause wait in one work item. Never put PHI into it: it is shown in titles.
    """

    queue: ClassVar[str] = ""
    due_hours: ClassVar[float] = 24.0

    def __init_subclass__(cls, *, queue: str | None = None, due_hours: float | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if queue is not None:
            cls.queue = queue
        if due_hours is not None:
            cls.due_hours = due_hours

    def __init__(self, cause: object, detail: str = "", *, at_risk_usd: Decimal | None = None) -> None:
        self.cause = str(cause)
        self.detail = detail
        self.at_risk_usd = at_risk_usd
        super().__init__(f"{type(self).title()}: {self.cause}" + (f" ({detail})" if detail else ""))

    @classmethod
    def title(cls) -> str:
        """The class name in words: ``NoContractPrice`` is shown as "No contract price"."""
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", cls.__name__)
        return words[0] + words[1:].lower()

    @classmethod
    def remedy(cls) -> str:
        """What the person does: the docstring, in one line."""
        own = cls.__dict__.get("__doc__") or ""
        return " ".join(own.split())


class Refused(Rejected, queue="refusals"):
    """Read the system's reason, correct the data there or here, then release."""


class ErpRefused(Refused, queue="erp-refusals"):
    """Read the ERP's reason (closed period, unknown account, missing right), correct it there, then release."""


class StockBelowZero(Rejected, queue="inventory-control", due_hours=4):
    """Count the shelf and correct its quantity in the inventory platform, then release."""


class InvalidData(Rejected, queue="integration"):
    """Correct the sender's data or the mapping, then replay the message."""


class Unavailable(Exception):
    """A system cannot answer now: refused connection, time-out, 429, 503, a lock. Nothing is wrong with the data."""

    def __init__(self, system: str, reason: str, retry_after_seconds: float | None = None) -> None:
        self.system = system
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{system} is unavailable: {reason}")


class Throttled(Unavailable):
    """A system that is well said "too many, come back later" (429). Every process waits; nobody counts it as a failure.

    ``retry_after_seconds`` is None when the system did not say how long.
    """


class AnswerUnreadable(Exception):
    """A system answered what its connector cannot read: outside what was agreed with it. A bug of one of the two sides."""

    def __init__(self, system: str, operation: str, kind: str) -> None:
        self.system = system
        self.operation = operation
        self.kind = kind
        super().__init__(f"{system} answered {operation} outside what was agreed ({kind})")
