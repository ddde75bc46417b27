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

KEPT_BYTES = 65_536
"""Of what is no message no more than this is kept: whoever cannot frame must not be able to fill the store."""


class Hl7Door:
    """One system's HL7 v2 messages, whatever transport carries them."""

    def __init__(
        self, intake: Intake, reader: Reader, system: str, *, clock: Callable[[], datetime], transport: str = "mllp"
    ) -> None:
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

    def refusal(self, data: bytes, why: str) -> bytes:
        """The answer to what is no message (half a frame, too large): AR, with the control id if one can be read."""
        finding = hl7v2.Finding("207", why)
        return hl7v2.acknowledge(
            _header(data), "AR", (finding,), control_id=f"HR{next(self._numbers)}", timestamp=self._clock()
        )

    def keep_refused(self, data: bytes, peer: str, why: str) -> asyncio.Future[None]:
        """Store what was refused, as evidence."""
        problem = Problem("207", why, unsupported=True)
        reception = Reception.refused(self._system, self._transport, peer, data[:KEPT_BYTES], problem)
        return self._intake.submit(reception, lambda receipt: None)

    def _acknowledge(self, receipt: Receipt, header: hl7v2.Header | None) -> bytes:
        problem = receipt.reception.problem
        code: hl7v2.AckCode = "AA" if problem is None else "AR" if problem.unsupported else "AE"
        findings = () if problem is None else (hl7v2.Finding(problem.code, problem.text, problem.location or None),)
        number = f"H{receipt.subject[2:].replace('/', '-')}"
        return hl7v2.acknowledge(header, code, findings, control_id=number, timestamp=self._clock())


def _header(data: bytes) -> hl7v2.Header | None:
    try:
        return hl7v2.header_of(data)
    except hl7v2.HL7Error:
        return None
