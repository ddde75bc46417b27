"""The real ERP as a neighbour: built once, copied, gone with its parent, never half built."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest
from tests.erp_fixture import LAKESHORE

from hilum.testing.neighbours import tryton_cache
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.neighbours.tryton_seed import ErpSeed, SeedItem

pytestmark = pytest.mark.erp

TODAY = date(2026, 11, 21)

# Another program that starts an ERP and then is killed.
PARENT = """
import json, sys, time
from datetime import date
from pathlib import Path
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.neighbours.tryton_seed import ErpSeed
erp = Tryton(ErpSeed.from_estate(Path(sys.argv[1]), today=date.fromisoformat(sys.argv[2])), data_dir=Path(sys.argv[3]))
erp.start()
sys.stdout.write(json.dumps({"url": erp.base_url}) + chr(10))
sys.stdout.flush()
time.sleep(600)
"""


def answers(url: str) -> bool:
    try:
        question = {"id": 0, "method": "common.server.version", "params": []}
        return httpx2.post(f"{url}/rpc/", json=question, timeout=10).json()["result"] == "8.2"
    except (httpx2.TransportError, json.JSONDecodeError):
        return False


def processes_in(directory: Path) -> list[int]:
    """The processes whose command line names the directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(directory).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # It ended while we looked.
    return found


def test_the_seed_is_read_from_the_estate():
    seed = ErpSeed.from_estate(LAKESHORE, today=TODAY)
    assert seed.company == "Lakeshore Health"
    assert seed.fiscal_years == (2025, 2026, 2027)
    items = {item.code: item for item in seed.items}
    assert items["KNEE-99"] == SeedItem(
        "KNEE-99", "Knee system total cemented", Decimal("6200.00"), Decimal("4810.00"), "Orthovia"
    )
    assert items["MESH-20"].contract_price is None
    assert [code for code, _ in seed.warehouses] == ["ST-MARY", "HARBOR-VIEW", "NORTH-POINT"]


def test_another_content_is_another_template():
    seed = ErpSeed.from_estate(LAKESHORE, today=TODAY)
    cheaper = replace(seed.items[0], contract_price=Decimal("1.00"))
    assert replace(seed, items=(cheaper, *seed.items[1:])).fingerprint != seed.fingerprint
    assert ErpSeed.from_estate(LAKESHORE, today=TODAY).fingerprint == seed.fingerprint


def test_what_is_pinned_is_pinned_by_hash_and_names_no_index():
    lines = tryton_cache.REQUIREMENTS.read_text().splitlines()
    packages = [line for line in lines if "==" in line]
    assert any(line.startswith("trytond==8.2.") for line in packages)
    assert not [line for line in lines if "://" in line or line.startswith("-")]
    assert sum("--hash=sha256:" in line for line in lines) >= len(packages)


def test_an_erp_that_stops_comes_back_at_the_same_port_with_its_data(erp, tmp_path):
    own = Tryton(erp.seed, data_dir=tmp_path / "erp")
    with own:
        url = own.base_url
        with own.desk() as desk:
            desk.create("party.party", name="Dr. Bones")
        own.kill()
        assert not answers(url)
        own.start()
        assert own.base_url == url
        assert answers(url)
    assert not answers(url)

    with Tryton(erp.seed, data_dir=tmp_path / "erp") as again, again.desk() as desk:
        assert len(desk.search("party.party", [("name", "=", "Dr. Bones")])) == 1


def test_two_erps_at_once_do_not_see_each_other(erp):
    with Tryton(erp.seed) as other:
        assert other.port != erp.port
        with other.desk() as desk:
            desk.create("party.party", name="Only here")
        with erp.desk() as desk:
            assert desk.search("party.party", [("name", "=", "Only here")]) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_erp_whose_parent_is_killed_is_gone_within_seconds(erp, tmp_path):
    home = tmp_path / "orphan"
    command = [sys.executable, "-c", PARENT, str(LAKESHORE), str(erp.seed.fiscal_years[1]) + "-06-01", str(home)]
    parent = subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert parent.stdout is not None
    try:
        url = json.loads(parent.stdout.readline())["url"]
        assert answers(url)
        assert processes_in(home)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()

    deadline = time.monotonic() + 20
    while processes_in(home) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_in(home) == []
    assert not answers(url)


def test_an_interrupted_build_is_not_used_and_the_next_one_finishes(tmp_path):
    # The same steps as the real one, on a directory tree: what a killed build leaves is thrown away.
    target = tmp_path / "template-x"
    with tryton_cache.building(target, print):
        (tmp_path / ".template-x.4711").mkdir()
        (tmp_path / ".template-x.4711" / "half").touch()
    with tryton_cache.building(target, print):
        tryton_cache.discard_unfinished(target)
    assert not (tmp_path / ".template-x.4711").exists()
    assert not target.exists()


def test_a_second_process_waits_for_the_first_and_says_so(tmp_path):
    told: list[str] = []
    entered: list[str] = []
    target = tmp_path / "template-x"

    def build(name: str) -> None:
        with tryton_cache.building(target, told.append):
            entered.append(name)

    with tryton_cache.building(target, told.append):
        second = threading.Thread(target=build, args=["second"])
        second.start()
        deadline = time.monotonic() + 10
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
        assert told == ["waiting for another process that is preparing the same ERP"]
        assert entered == []
    second.join(10)
    assert entered == ["second"]


def test_the_secrets_of_a_template_are_for_their_owner_only(erp):
    [template] = (tryton_cache.cache_root() / "tryton").glob(f"template-postgresql-*-{erp.seed.fingerprint}")
    assert (template / "secrets.json").stat().st_mode & 0o077 == 0
    assert template.stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_everything_is_built_from_nothing_on_sqlite_too(erp, tmp_path):
    """The whole way from an empty cache; SQLite, because there the modules install in a third of the time."""
    seed = replace(erp.seed, company="Empty Cache Health")
    told: list[str] = []
    cache = tmp_path / "cache"
    (cache / "tryton").mkdir(parents=True)
    with Tryton(seed, database="sqlite", cache=cache, progress=told.append) as fresh:
        assert answers(fresh.base_url)
        with fresh.desk() as desk:
            assert len(desk.search("product.product", [])) == len(seed.items)
    assert [text.split()[0] for text in told] == ["installing", "installing", "seeding", "starting"]
    shutil.rmtree(cache)
