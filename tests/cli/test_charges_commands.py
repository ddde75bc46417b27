"""`hilum charges`: what people read of charges, as far as the policies leave it to them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
import typer
from tests.governance import test_policy_commands as commands
from tests.governance.test_policy_commands import Site

from hilum.authoring.revenue import Staging
from hilum.cli.charges import charges_app
from hilum.model.charge import Charge, ChargePlace
from hilum.model.ledger import DocumentRef
from hilum.model.posting import PostingBook, PostingRule, PostingRules
from hilum.runtime import charge_books, charge_staging, subledger
from hilum.runtime.charge_books import Collected, Place

NOW = datetime(2026, 3, 4, 8, tzinfo=UTC)
DAY = date(2026, 3, 2)
RULE = PostingRule("CHG", "charge", "1200", "4100")
BOOK = PostingBook(PostingRules([RULE]), {}, "00" * 32)


@pytest.fixture
def site(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    app = typer.Typer()
    for group in commands.app.registered_groups:
        app.registered_groups.append(group)
    app.add_typer(charges_app, name="charges")
    monkeypatch.setattr(commands, "app", app)
    site = Site(tmp_path, database_url, monkeypatch)
    estate = site.root / "estate.toml"
    estate.write_text(f'{estate.read_text()}people.otto = ["revenue-analyst"]\n')
    site.database(filled)
    return site


async def filled(connection: asyncpg.Connection) -> None:
    """Two posted charges of ST-MARY, one held, one open, and a credit whose charge nobody told."""
    await connection.execute("SET search_path = hilum, public")
    place = ChargePlace(charge_class="room", cost_centre="CC-GEN")
    lines = [
        ("ehr/C-1", "ST-MARY", "100.00", DAY, place, None, ""),
        ("ehr/C-1/credit", "ST-MARY", "-30.00", DAY, place, None, "ehr/C-1"),
        ("ehr/C-2", "ST-MARY", "5.00", DAY, None, "UnknownChargeCode:X", ""),
        ("ehr/C-3/credit", "ST-MARY", "-7.00", date(2026, 3, 9), place, None, "ehr/C-3"),
    ]
    found = [
        Collected(
            Charge(
                number=number, account=None, facility=facility, department="GEN", code="RB-0120", service_on=day,
                amount=Decimal(amount), takes_back=back,
            ),
            "~0", Place(1, seq, NOW), placed, cause,
        )
        for seq, (number, facility, amount, day, placed, cause, back) in enumerate(lines, start=1)
    ]  # fmt: skip
    async with connection.transaction():
        await charge_books.add(connection, "charges", found, now=NOW)
        run = await charge_staging.stage_run(connection, BOOK, facility="ST-MARY", until=DAY, run="R-1", now=NOW)
        [batch] = run.charges.batches
        document = DocumentRef(system="erp", type="journal", number="JE-7", id="7")
        await subledger.note_posted(connection, batch.source, "ST-MARY", document, on=DAY, now=NOW)
    assert isinstance(run.news[0].staging, Staging)


def said(site: Site, *command: str) -> Any:
    return orjson.loads(site.gives("otto", "charges", *command, "--json").stdout)


def test_the_status_counts_by_state_and_cause_in_dollars(site: Site) -> None:
    found = said(site, "status")
    assert [(s["state"], s["cause"], s["charges"], s["amount"]) for s in found["standings"]] == [
        ("held", "UnknownChargeCode:X", 1, "5.00"), ("open", None, 1, "-7.00"), ("posted", None, 2, "70.00"),
    ]  # fmt: skip
    assert (found["unmet_credits"], found["unmet_usd"]) == (1, "-7.00")
    assert "UnknownChargeCode:X" in site.gives("otto", "charges", "status").output


def test_days_are_listed_by_state(site: Site) -> None:
    assert [(d["service_on"], d["state"], d["amount"]) for d in said(site, "list")["days"]] == [
        ("2026-03-09", "open", "-7.00"), ("2026-03-02", "held", "5.00"), ("2026-03-02", "posted", "70.00"),
    ]  # fmt: skip
    assert len(said(site, "list", "--state", "open")["days"]) == 1
    assert said(site, "list", "--facility", "HARBOR-VIEW")["days"] == []
    assert "no state" in site.gives("otto", "charges", "list", "--state", "lost", exit_code=2).stderr


def test_a_journal_leads_back_to_each_charge_and_the_look_is_recorded(site: Site) -> None:
    found = said(site, "journal", "JE-7")
    assert [(c["charge"], c["amount"], c["debit"], c["credit"], c["rule"], c["event"]) for c in found["charges"]] == [
        ("ehr/C-1", "100.00", "1200", "4100", "CHG", "e/1/1"), ("ehr/C-1/credit", "-30.00", "4100", "1200", "CHG", "e/1/2"),
    ]  # fmt: skip
    looks = site.database(
        lambda c: c.fetchval(
            "SELECT count(*) FROM hilum.audit_entry WHERE position('cli.charges.journal' in convert_from(entry, 'UTF8')) > 0"
        )
    )
    assert looks == 1
    assert "JE-8" in site.gives("otto", "charges", "journal", "JE-8", exit_code=1).stderr
    assert [c["takes_back"] for c in said(site, "credits")["credits"]] == ["ehr/C-3"]


def test_an_administrator_sees_nothing_of_the_business(site: Site) -> None:
    refused = site.gives("rita", "charges", "status", exit_code=1)
    assert refused.stdout == "" and "may not list this Charge" in refused.stderr
