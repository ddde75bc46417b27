"""Simulated billing takes the thousandth account as it took the tenth: whoever measures the platform must not measure it."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from hilum.testing.day_messages import Patient, adt, merge
from hilum.testing.neighbours.simulated_billing_books import BillingBooks
from hilum.testing.neighbours.simulated_hl7 import Message

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
_controls = count(1)


def patient(number: int) -> Patient:
    return Patient("Zztest-Elm", "Kai", "19700101", "F", f"SYN-M-{number}", f"SYN-A-{number}", "ST-MARY")


def test_an_account_and_a_merge_cost_the_same_number_of_instructions_whatever_is_known(tmp_path: Path) -> None:
    books = BillingBooks(tmp_path / "billing.sqlite", clock=lambda: AT)
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    books._db.set_progress_handler(step, 1)  # SQLite's own instructions: no clock is asked.

    def costs(number: int) -> tuple[int, int]:
        nonlocal steps
        steps = 0
        books.account(Message(_arrives(number)))
        books.account(Message(_arrives(number + 1)))
        told, steps = steps, 0
        gone = merge(patient(number), patient(number + 1), control_id=f"C{next(_controls)}", at=AT)
        books.merge(Message(gone.encode()))
        return told, steps

    costs(1)
    few = costs(11)
    for number in range(100, 1100):
        books.account(Message(_arrives(number)))
    many = costs(2001)
    assert many[0] < 1.5 * few[0] and many[1] < 1.5 * few[1], (few, many)


def _arrives(number: int) -> bytes:
    return adt("A04", patient(number), control_id=f"C{next(_controls)}", at=AT, location="WARD").encode()
