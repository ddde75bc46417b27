"""`hilum cash` shows what has not met, for how long and in dollars, where the person may look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from hilum.authoring.cash import DepositLine, ExpectedDeposit, StatementLines
from hilum.authoring.estate import Estate
from hilum.cli import cash
from hilum.cli.cash import cash_app
from hilum.runtime.cash_desk import CashDesk
from hilum.store.pool import open_pool

FRIDAY = date(2026, 3, 6)
HARBOR = "1360000001"


@pytest.fixture
def told(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, object]]]:
    """Runs a command on a platform with four deposits and two remittances, on that Friday."""
    at = datetime(2026, 3, 6, 12, tzinfo=UTC)
    monkeypatch.setattr(cash, "now", lambda: at)

    async def prepared() -> None:
        async with await open_pool(database_url) as pool:
            desk = CashDesk(pool, Estate(tmp_path, "lakeshore", queues={}), clock=lambda: at)
            for facility, account in (("ST-MARY", "x2200"), ("HARBOR-VIEW", "x2218")):
                lines = tuple(
                    DepositLine(
                        number=number, type_code="142", kind="deposit", amount=Decimal(usd), traces=((trace, HARBOR),), company=HARBOR
                    )
                    for number, usd, trace in (("BR-1", "100.00", f"{account}-1"), ("BR-2", "50.00", f"{account}-2"))
                )  # fmt: skip
                day = FRIDAY - timedelta(days=4)
                await desk.record(
                    StatementLines(statement=account, account=account, facility=facility, day=day, lines=lines), key="k"
                )
            for trace, usd in (("x2200-1", "100.00"), ("x2200-2", "45.00"), ("EFT-9", "7.00")):
                await desk.expect(
                    ExpectedDeposit(
                        number=f"HHP01/{trace}", payer="HHP01", company=HARBOR, trace=trace, method="ACH", on=FRIDAY,
                        amount=Decimal(usd), facility="ST-MARY",
                    ),
                    key="k",
                )  # fmt: skip

    asyncio.run(prepared())

    def run(*arguments: str) -> list[dict[str, object]]:
        place = ["--data", str(tmp_path), "--database-url", database_url, "--json"]
        result = CliRunner().invoke(cash_app, [*arguments, *place])
        assert result.exit_code == 0, result.output
        found: list[dict[str, object]] = orjson.loads(result.output)
        return found

    return run


def test_what_has_not_met_is_listed_with_age_and_dollars(told):
    assert [(c["number"].rpartition("/")[2], c["state"], c["age_days"], c["amount"], c["difference"]) for c in told("list")] == [
        ("BR-2", "differs", 4, "50.00", "5.00"), ("BR-1", "open", 4, "100.00", "100.00"), ("BR-2", "open", 4, "50.00", "50.00"),
        ("EFT-9", "open", 0, "7.00", "-7.00"), ("x2200-2", "differs", 0, "45.00", "5.00"),
    ]  # fmt: skip


def test_a_side_and_a_facility_alone(told):
    assert {c["facility"] for c in told("list", "deposits", "--facility", "HARBOR-VIEW")} == {"HARBOR-VIEW"}
    assert [c["trace"] for c in told("list", "remittances")] == ["EFT-9", "x2200-2"]
    assert len(told("list", "--all")) == 7 and len(told("list", "--limit", "2")) == 2


def test_the_sums_have_every_dollar(told):
    sums = {(c["side"], c["facility"], c["state"]): (c["count"], c["amount"]) for c in told("status")}
    assert sums == {
        ("deposit", "HARBOR-VIEW", "open"): (2, "150.00"), ("deposit", "ST-MARY", "differs"): (1, "50.00"),
        ("deposit", "ST-MARY", "matched"): (1, "100.00"), ("remittance", "ST-MARY", "differs"): (1, "45.00"),
        ("remittance", "ST-MARY", "matched"): (1, "100.00"), ("remittance", "ST-MARY", "open"): (1, "7.00"),
    }  # fmt: skip


def test_another_side_is_a_usage_error():
    assert CliRunner().invoke(cash_app, ["list", "wires"]).exit_code == 2
