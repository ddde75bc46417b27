"""An estate whose master data has no one owner in each place, or whose crosswalks speak of no records, is refused."""

from __future__ import annotations

import pytest

ESTATE = "estate.toml"
LOCATION = '[master.location.facilities]\nNORTH-POINT = "stock"'

REFUSALS: dict[str, tuple[str, str, str]] = {
    "an authority that is no system": (
        '[master.payer]\nowner_system = "clearinghouse"', '[master.payer]\nowner_system = "payers"',
        "The authority of payer is 'payers', which is no system of the estate",
    ),
    "an authority at no facility": (
        LOCATION, LOCATION.replace("NORTH-POINT", "SOUTH-POINT"),
        "has an authority at SOUTH-POINT, which is no facility of the estate",
    ),
    "two authorities that are one": (
        LOCATION, LOCATION.replace("stock", "ehr"), "ehr is the authority of location already, also at NORTH-POINT",
    ),
    "an authority for its objects at a facility that is no system": (
        LOCATION, LOCATION.replace("stock", "stocks"), "The authority of location at NORTH-POINT is 'stocks'",
    ),
    "records that nobody answers for": (
        '[master.payer]\nowner_system = "clearinghouse"\nowner = "finance"\n', '[master.payer]\nowner_system = "clearinghouse"\n',
        "The master record payer has no owner",
    ),
    "records without a queue": (
        'owner = "finance"\nqueue = "finance-master"\n[master.cost_centre]', 'owner = "finance"\n[master.cost_centre]',
        "The master record payer has the queue '', which the estate does not have",
    ),
    "a table that is not there": (
        'table = "tables/accounts.csv:account"', 'table = "tables/accounts.csv:number"', "The table of ledger_account cannot be read",
    ),
    "codes that are no records": (
        'codes = "department"\nmeans = "cost_centre"', 'codes = "ward"\nmeans = "cost_centre"', "has codes = 'ward', which is no kind",
    ),
    "a complete crosswalk of nothing": (
        'codes = "payer"\ncomplete = true', "complete = true", "The crosswalk payer_to_class shall be complete",
    ),
    "nobody and two people at once": (
        "two_people = true", "two_people = true\nexact_matches = true", "takes exact matches without a person and asks for two people",
    ),
    "a share that is none": (
        '[master.payer]\n', "[master.payer]\nmost_gone_percent = 120\n", "`master.payer.most_gone_percent` cannot be used",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_an_estate_is_refused_for(name, estate):
    old, new, expected = REFUSALS[name]
    estate.changes(ESTATE, old, new)
    found = [str(problem.what) for problem in estate.check().problems]
    assert any(expected in what for what in found), found


def test_an_authority_must_serve_its_facility(estate):
    estate.changes("systems/stock.toml", '"NORTH-POINT"]', "]")
    found = [problem.what for problem in estate.check().problems]
    assert "The authority of location at NORTH-POINT is stock, which does not serve NORTH-POINT." in found
