"""The handful of a revenue day that the demo plays: small, whole, and with books of its own."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

from hilum.cli.demo_revenue import handful, is_played, said

DAY = date(2026, 3, 2)
LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"


def test_the_handful_has_a_file_of_each_sender_and_books_that_balance() -> None:
    played = handful(DAY)
    assert {place.partition("/")[0] for place in played.files} == {"claims", "remittances", "bank", "charges"}
    assert sum(played.books.balance.values()) == 0
    # Deposited what was remitted: nothing is left in transit, one claim is denied and one waits for its payer.
    assert "1050" not in played.books.trial_balance and played.books.trial_balance["1010"] == Decimal("1200.00")
    assert {state for _, state in played.books.claims} == {"paid", "denied", "received"}
    assert played.charged == 6 and not played.books.work["UnknownChargeCode"]


def test_it_is_played_where_all_its_senders_are(tmp_path: Path) -> None:
    assert is_played(LAKESHORE) and not is_played(tmp_path)


def test_sums_are_compared_by_their_dollars_and_not_by_how_they_are_written() -> None:
    assert said({"1220": Decimal(480), "1050": Decimal(0)}) == said({"1220": Decimal("480.00")}) == "1220 480.00"
    assert said({("ST-MARY", "paid"): 1}) == "ST-MARY paid 1"
