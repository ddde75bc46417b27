"""Loading an estate: what is declared is found with its place, and nothing is left behind in the process or on disk."""

from __future__ import annotations

import sys

import pytest

from hilum.governance.loader import load_estate
from hilum.governance.problems import EstateRefused

WARDS = '''from hilum.authoring import Contract


class BedAssigned(Contract, version=1, identities=["bed"], owner="patient-access"):
    """A patient was given a bed."""

    bed: str
'''
BEDS = """from hilum.authoring import flow

from .wards import BedAssigned


@flow(on=BedAssigned, key="bed", criticality="low", owner="patient-access", recovery="Somebody looks.")
def prepare_bed(assigned: BedAssigned) -> None:
    pass
"""


def test_what_lakeshore_declares_is_found(lakeshore):
    estate = load_estate(lakeshore)
    assert (estate.name, estate.title, estate.time_zone) == ("lakeshore", "Lakeshore Health", "America/Chicago")
    assert {"billing", "ehr", "erp", "stock"} <= set(estate.systems)
    assert estate.systems["ehr"].listen.mllp.port == 6661
    assert estate.queues["purchasing"] == "supply-chain"
    assert estate.crosswalks["device_to_item"].source == "stock"
    assert {"ImplantUsed", "PatientDischarged", "PatientRegistered", "PatientTransferred"} <= set(estate.contracts)
    assert {"ErpOrder", "BillingAccount", "StockPosition"} <= set(estate.contracts)  # What APIs take and answer.
    assert [m.name for m in estate.mappings if m.message == "DFT^P03"] == ["implants_charged"]
    assert "implant_usage" in estate.flows
    assert "accounts_to_billing" in estate.feeds


def test_everything_declared_has_a_place_where_it_stands(lakeshore):
    estate = load_estate(lakeshore)
    lines = (lakeshore / "integrations" / "theatre.py").read_text().splitlines()
    file, _, line = estate.declared_at["mapping:implants_charged"].partition(":")
    assert file == "integrations/theatre.py"
    assert lines[int(line) - 1] == '@mapping(source=ehr, message="DFT^P03")'

    toml = (lakeshore / "estate.toml").read_text().splitlines()
    file, _, line = estate.declared_at["crosswalk:device_to_item"].partition(":")
    assert (file, toml[int(line) - 1]) == ("estate.toml", "[crosswalks.device_to_item]")

    assert estate.declared_at["system:erp"] == "systems/erp.toml"
    assert estate.declared_at["flow:implant_usage"].startswith("hilum.processes.implant_usage:")
    assert estate.declared_at["contract:ImplantUsed"].startswith("hilum.processes.implant_usage:")


def test_loading_leaves_the_search_path_the_importers_and_the_folder_as_they_were(estate):
    before = list(sys.path), list(sys.meta_path), sorted(p.name for p in estate.root.rglob("*"))
    load_estate(estate.root)
    assert (sys.path, sys.meta_path, sorted(p.name for p in estate.root.rglob("*"))) == before
    assert "theatre" not in sys.modules


def test_two_estates_of_one_name_do_not_meet(estate, lakeshore):
    estate.changes("integrations/theatre.py", "quantity=int(quantity),", "quantity=int(quantity) + 1,")
    theirs, ours = load_estate(estate.root), load_estate(lakeshore)
    (changed,) = [m for m in theirs.mappings if m.name == "implants_charged"]
    (original,) = [m for m in ours.mappings if m.name == "implants_charged"]
    assert changed.function.__module__ != original.function.__module__
    assert load_estate(lakeshore).mappings[0].function.__module__ == ours.mappings[0].function.__module__


def test_a_changed_file_is_loaded_anew_even_within_the_same_second(estate):
    for title in ("Someone", "Anybody"):
        estate.adds("integrations/wards.py", WARDS if title == "Someone" else "")
        estate.changes("integrations/wards.py", "given a bed" if title == "Someone" else "Someone", title)
        assert title in load_estate(estate.root).contracts["BedAssigned"].__doc__


def test_integrations_import_each_other_relatively(estate):
    estate.adds("integrations/wards.py", WARDS)
    estate.adds("integrations/beds.py", BEDS)
    loaded = load_estate(estate.root)
    assert loaded.flows["prepare_bed"].on is loaded.contracts["BedAssigned"]
    assert loaded.declared_at["contract:BedAssigned"] == "integrations/wards.py:4"


def test_an_estate_that_cannot_be_read_is_refused_with_every_reason(estate):
    estate.changes("systems/erp.toml", "timeout_seconds", "timeout_second")
    estate.changes("systems/ehr.toml", "6661", "66610")
    estate.adds("integrations/theatre.py", "\n\nundefined_name\n")
    with pytest.raises(EstateRefused) as refused:
        load_estate(estate.root)
    assert sorted(problem.where.partition(":")[0] for problem in refused.value.problems) == [
        "integrations/theatre.py",
        "systems/ehr.toml",
        "systems/erp.toml",
    ]
    assert "Did you mean `timeout_seconds`?" in str(refused.value)
