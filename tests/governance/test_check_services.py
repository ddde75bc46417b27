"""Programs that call: owned, ending, proved in one way."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, OctKey

from hilum.governance.check import Report, check_estate
from hilum.governance.loader import load_estate

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"
KEY = ECKey.generate_key("P-256")
GOOD = """
owner = "finance"
roles = ["ap-analyst"]
facilities = ["ST-MARY"]
audience = ["hilum"]
expires = 2027-01-31
public_key = "services/robot.pem"
"""


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """Lakeshore without what takes long to check and has nothing to do with services."""
    root = tmp_path / "estate"
    root.mkdir()
    (root / "services").mkdir()
    (root / "estate.toml").write_text(
        '[estate]\nname = "small"\n[facilities.ST-MARY]\nname = "St. Mary"\n[owners]\nfinance = "Finance"\n'
        '[queues.integration]\nowner = "finance"\n[queues.refusals]\nowner = "finance"\n'
    )
    (root / "services" / "robot.pem").write_bytes(KEY.as_pem(private=False))
    (root / "services" / "robot.toml").write_text(GOOD)
    return root


def checked(estate: Path, service: str, today: date = date(2026, 11, 21)) -> Report:
    (estate / "services" / "robot.toml").write_text(service)
    return check_estate(estate, today=today)


def test_a_service_with_owner_end_role_and_key_is_accepted_and_loaded(estate: Path) -> None:
    assert [p.what for p in checked(estate, GOOD).problems] == []
    assert load_estate(estate).services["robot"].roles == ("ap-analyst",)


@pytest.mark.parametrize(
    ("change", "becomes", "what"),
    [
        ('owner = "finance"', "", "has no owner"),
        ('owner = "finance"', 'owner = "nobody"', "is owned by 'nobody'"),
        ("expires = 2027-01-31", "", "never ends"),
        ('roles = ["ap-analyst"]', "", "has no role"),
        ('"ST-MARY"', '"ST-ELSEWHERE"', "is no facility"),
        ('public_key = "services/robot.pem"', "", "in no way"),
        ('public_key = "services/robot.pem"', 'public_key = "services/none.pem"', "cannot be read"),
        ('public_key = "services/robot.pem"', 'public_key = "/etc/passwd"', "outside the estate"),
        ('public_key = "services/robot.pem"', 'public_key = "services/robot.pem"\njwks_url = "https://bot.example/jwks"', "in 2 ways"),
        ('audience = ["hilum"]', 'audience = ["elsewhere"]', "which no API takes"),
        ('public_key = "services/robot.pem"', 'issuer = "entra"\nsubject = "x"', "that is not said in full"),
        ('public_key = "services/robot.pem"', 'jwks_url = "http://bot.example/jwks"', "cannot be used"),
        ('public_key = "services/robot.pem"', 'certificates = ["no thumbprint"]', "cannot be used"),
        ('public_key = "services/robot.pem"', 'secret = "shared"', "is not a setting"),
    ],
)  # fmt: skip
def test_a_service_that_nobody_could_answer_for_is_refused(estate: Path, change: str, becomes: str, what: str) -> None:
    assert change in GOOD
    found = checked(estate, GOOD.replace(change, becomes)).problems
    assert [p for p in found if what in p.what and p.where.startswith("services/robot.toml")], found


def test_a_private_key_in_the_estate_is_refused_without_repeating_it(estate: Path) -> None:
    pem = KEY.as_pem(private=True)
    (estate / "services" / "robot.pem").write_bytes(pem)
    found = checked(estate, GOOD).problems
    assert any("private key" in p.what for p in found)
    assert pem.decode().splitlines()[1] not in "".join(p.what + p.do for p in found)


def test_a_shared_secret_is_no_key(estate: Path) -> None:
    secret = OctKey.generate_key(256).as_dict(private=True)
    (estate / "services" / "robot.pem").write_text('{"keys": [' + str(secret).replace("'", '"') + "]}")
    assert any("no usable key" in p.what for p in checked(estate, GOOD).problems)


@pytest.mark.parametrize(("days", "warned"), [(31, ""), (30, "ends in 30 days"), (1, "ends in 1 days"), (0, "has ended"), (-9, "has ended")])  # fmt: skip
def test_thirty_days_before_its_end_its_owner_is_warned(estate: Path, days: int, warned: str) -> None:
    warnings = [w.what for w in checked(estate, GOOD, date(2027, 1, 31) - timedelta(days=days)).warnings]
    assert [w for w in warnings if "service account" in w] == (
        [f"The service account robot {warned}."] if warned else []
    )


@pytest.mark.parametrize(
    ("identity", "what"),
    [
        ('[identity.issuers.entra]\nurl = "http://login.example.org"', "cannot be used"),
        ('[identity.issuers.entra]\nurl = "https://a@login.example.org"', "cannot be used"),
        ('[identity.issuers.hilum]\nurl = "https://login.example.org"', "cannot be used"),
        ('[identity]\nsign_in = "entra"', "cannot be used"),
        ('[identity]\ncertificate_header = "client-cert"', "cannot be used"),
        ("[identity]\nsession_hours = 72", "cannot be used"),
        ('[identity]\npassword = "x"', "is not a setting"),
        ('[identity.issuers.entra]\nurl = "https://login.example.org"\nclient_secret = "hunter2"', "plain text"),
        ('[identity.issuers.entra]\nurl = "https://login.example.org"\nalgorithms = ["HS256"]', "cannot be used"),
        ('[identity.clients.portal]\nredirect_uris = ["http://portal.example/cb"]', "cannot be used"),
    ],
)
def test_an_identity_that_would_not_be_safe_is_refused(estate: Path, identity: str, what: str) -> None:
    shutil.rmtree(estate / "services")
    text = (estate / "estate.toml").read_text() + identity + "\n"
    (estate / "estate.toml").write_text(text)
    found = check_estate(estate).problems
    assert [p for p in found if what in p.what], [p.what for p in found]
    assert "hunter2" not in "".join(p.what + p.do for p in found)
