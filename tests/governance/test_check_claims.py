"""The check of an estate refuses claim tables that could not be used."""

from __future__ import annotations

import re

import pytest


@pytest.mark.parametrize(
    ("file", "old", "new", "what"),
    [
        ("tables/claim_ageing.csv", "commercial,24,3", "commercial,0,3", "no whole number above zero"),
        ("tables/claim_ageing.csv", "commercial,24", "medicare,24", "medicare stands twice"),
        ("tables/claim_ageing.csv", "\n,24,4,45,10,180", "", "no row for all others"),
        ("tables/denial_causes.csv", "29,Submission: filed too late", "29,", "has no cause"),
        ("tables/write_off_limits.csv", "100.00", "a hundred", "no amount of dollars"),
        ("tables/write_off_limits.csv", "NORTH-POINT", "NOWHERE", "no facility of the estate"),
        ("tables/write_off_limits.csv", "facility,above_usd", "place,above_usd", "above_usd|facility"),
    ],
)
def test_a_claim_table_that_cannot_be_used_is_refused(estate, file, old, new, what):
    estate.changes(file, old, new)
    found = [problem for problem in estate.check().problems if problem.where.startswith("tables/")]
    assert len(found) == 1 and found[0].do

    assert re.search(what, found[0].what) and found[0].where.startswith(file)
