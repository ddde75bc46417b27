"""The whole way on real processes: fetched from a partner, expected, answered there, and shown at the terminal."""

from __future__ import annotations

import json

import pytest
from tests.transports.sftp.sftp_parts import Installation, by_sftp, remittance
from typer.testing import CliRunner

from hilum import cli
from hilum.app.commands import reconcile_command
from hilum.app.contract_test_command import contract_test_command
from hilum.testing.neighbours.openssh import OpenSsh

pytestmark = pytest.mark.slow

# Due at the end of each day, so that it is expected at whatever time a test runs.
EXPECT = """
[[expect]]
name = "hhp01"
title = "The 835 of Harbor Health Plan"
message = "835"
where = { payer = "HHP01" }
by = "23:59"
days = "mon-sun"
early_hours = 24
queue = "cash-posting"
"""


def test_a_remittance_goes_the_whole_way_and_comes_back_as_a_999(installation: Installation, partner: OpenSsh) -> None:
    partner.put("readme.txt", b"answers, please", folder="inbound")
    answers = f'[answers]\nx12 = "999"\npush = "{partner.files}/inbound"\n'
    installation.clearinghouse(by_sftp(partner).replace("[egress]", answers + "[egress]") + EXPECT)

    def shown(*options: str) -> dict[str, list[dict[str, object]]]:
        app = cli.application(known_connectors=(), reconcile=reconcile_command, contract_test=contract_test_command)
        command = ["files", *options, "--estate", str(installation.estate), "--data", str(installation.data), "--json"]
        done = CliRunner().invoke(app, command, env={"HILUM_DATABASE_URL": installation.url})
        assert done.exit_code == 0, done.output
        found: dict[str, list[dict[str, object]]] = json.loads(done.stdout)
        return found

    with installation.running("worker"), installation.running():
        installation.until(lambda: shown()["expected"], seconds=90)
        assert {each["state"] for each in shown()["expected"]} == {"expected"}
        partner.put("monday.835", remittance("EFT-1"))
        installation.until(lambda: len(partner.lying("inbound")) == 2, seconds=90)
        installation.until(lambda: any(each["state"] == "received" for each in shown()["expected"]), seconds=90)
        installation.until(lambda: partner.lying("archive") == ["monday.835"])
    found = shown("--days", "2", "--system", "clearinghouse")
    [came], [answered] = found["received"], found["answered"]
    assert (came["transport"], came["files"], came["accepted"]) == ("sftp", 1, 1)
    assert (answered["sent"], answered["accepted"], answered["on_the_way"]) == (1, 1, 0)
    [name] = [name for name in partner.lying("inbound") if name != "readme.txt"]
    assert b"AK9*A*1*1*1~" in (partner.files / "inbound" / name).read_bytes()
    assert shown("--missing") == {"expected": [], "received": [], "answered": []}
