"""The HL7 v2 door: a frame becomes a reception, and the acknowledgement says what became of it.

Original mode (HL7 v2.5.1 ch. 2.9.2): AA stored, AE stored but its content is refused, AR cannot be taken as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from itertools import count

from hilum.formats import hl7v2
from hilum.runtime.intake import Intake, Receipt
from hilum.runtime.reception import Problem, Reader, Reception


class Hl7Door:
    """One system's HL7 v2 messages, whatever transport carries them."""

    def __init__(self, intake: Intake, reader: Reader, system: str, *, clock: Callable[[], datetime], transport: str = "mllp") -> None:
        self._intake = intake
        self._reader = reader
        self._system = system
        self._transport = transport
        self._clock = clock
        self._numbers = count(1)

    def take(self, data: bytes, peer: str) -> asyncio.Future[bytes]:
        """Store the message; the future is its acknowledgement, made after the commit."""
        reception, header = self._reader.hl7(self._system, self._transport, peer, data)
        return self._intake.submit(reception, lambda receipt: self._acknowledge(receipt, header))

    def refuse(self, data: bytes, peer: str, problem: Problem) -> asyncio.Future[bytes]:
        """Store what is no message (half a frame, too large) as refused; the future is the refusal."""
        reception = Reception.refused(self._system, self._transport, peer, data, problem)
        try:
            header: hl7v2.Header | None = hl7v2.header_of(data)
        except hl7v2.HL7Error:
            header = None
        return self._intake.submit(reception, lambda receipt: self._acknowledge(receipt, header))

    def _acknowledge(self, receipt: Receipt, header: hl7v2.Header | None) -> bytes:
        problem = receipt.reception.problem
        code = "AA" if problem is None else "AR" if problem.unsupported else "AE"
        findings = () if problem is None else (hl7v2.Finding(problem.code, problem.text, problem.location or None),)
        number = f"H{receipt.subject[2:].replace('/', '-')}"
        return hl7v2.acknowledge(header, code, findings, control_id=number, timestamp=self._clock())
