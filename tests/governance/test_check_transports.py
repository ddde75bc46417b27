"""The check's rules of wires, each attacked: exposed doors, hidden addresses, folders that lead out, data that would leave."""

from __future__ import annotations

import pytest

from hilum.authoring.estate import Estate
from hilum.governance import loader
from hilum.governance.loader import Loaded, read_estate
from hilum.governance.places import Places
from hilum.governance.problems import EstateProblem
from hilum.governance.rules.residency import residency_problems
from hilum.governance.rules.secrecy import secrecy_problems
from hilum.governance.rules.transports import transport_problems

EHR, STOCK, ERP, BILLING = (f"systems/{name}.toml" for name in ("ehr", "stock", "erp", "billing"))
TLS = 'certificate = "file:tls/a.pem"\nkey = "file:tls/a.key"\n'


def changed(file, old, new):
    return lambda estate: estate.changes(file, old, new)


def added(file, text):
    return lambda estate: estate.adds(file, text)


def both(*edits):
    def edit(estate):
        for each in edits:
            each(estate)

    return edit


EXPOSED = changed(EHR, 'host = "127.0.0.1"', 'host = "0.0.0.0"')
ELSEWHERE = changed(BILLING, 'region = "us"', 'region = "eu"')

# name: (edit, where it is, what is said)
BROKEN = {
    "an MLLP door without TLS": (EXPOSED, EHR, "listens on 0.0.0.0, where other machines reach it, without TLS"),
    "an MLLP door at every address": (changed(EHR, 'host = "127.0.0.1"', 'host = ""'), EHR, "without TLS"),
    "a reason that says nothing": (both(EXPOSED, changed(EHR, "port = 6661", 'port = 6661\ninsecure = "  "')), EHR, "without TLS"),
    "an HTTP door without TLS": (added("estate.toml", '\n[doors.tower]\nhost = "10.20.0.5"\n'), "estate.toml", "The tower door listens on"),
    "a key in the estate": (added(EHR, '\n[listen.mllp.tls]\ncertificate = "file:a"\nkey = "-----BEGIN KEY-----"\n'), EHR, "key` cannot be used"),
    "an address with a user": (
        changed(BILLING, "mllp://127.0.0.1:6690", "mllp://127.0.0.1:6690@evil.example:6690"), BILLING, "user information",
    ),
    "a decimal address": (changed(BILLING, "mllp://127.0.0.1:6690", "mllp://2130706433:6690"), BILLING, "neither a plain name"),
    "the metadata service": (changed(BILLING, "mllp://127.0.0.1:6690", "mllp://169.254.169.254:80"), BILLING, "link-local, metadata"),
    "the metadata service, mapped": (
        changed(BILLING, "mllp://127.0.0.1:6690", "mllp://[::ffff:169.254.169.254]:80"), BILLING, "link-local, metadata",
    ),
    "loopback without its range": (changed(BILLING, 'networks = ["127.0.0.0/8"]', "networks = []"), BILLING, "private or loopback"),
    "a range that is none": (changed(BILLING, "127.0.0.0/8", "127.0.0.1/8"), BILLING, "egress.networks` cannot be used"),
    "plain text to another machine": (
        changed(BILLING, "mllp://127.0.0.1:6690", "mllp://billing.example:6690"), BILLING, "which nothing encrypts",
    ),
    "TLS that the address does not speak": (added(BILLING, '\n[connect.tls]\nauthorities = "file:ca.pem"\n'), BILLING, "not one of TLS"),
    "a certificate without its key": (added(BILLING, '\n[connect.tls]\ncertificate = "file:a.pem"\n'), BILLING, "needs its key"),
    "a switch that turns verification off": (added(BILLING, "\n[connect.tls]\nverify = false\n"), BILLING, "connect.tls.verify"),
    "a folder that climbs out": (added(EHR, '\n[listen.folder]\npath = "../../etc"\n'), EHR, "neither inside the platform's data"),
    "a folder anywhere": (added(EHR, '\n[listen.folder]\npath = "/srv/drops/ehr"\n'), EHR, "neither inside the platform's data"),
    "a refused folder that climbs out of its root": (
        both(added("estate.toml", '\n[folders]\nroots = ["/srv/drops"]\n'), added(EHR, '\n[listen.folder]\npath = "/srv/drops/ehr"\nrefused = "/srv/drops/../x"\n')),
        EHR, "/srv/drops/../x",
    ),
    "a previous secret in plain text": (
        changed(STOCK, 'type_field = "type"', 'type_field = "type"\nprevious_secret = "whsec_abc"'), STOCK, "a secret in plain text",
    ),
    "a feed out of its region": (
        both(added("estate.toml", '\n[residency]\nphi = ["us"]\n'), ELSEWHERE), "integrations/access.py", "carries PatientRegistered to billing, which is in eu: phi stays in us",
    ),
    "a flow out of its region": (
        both(added("estate.toml", '\n[residency]\nphi = ["us"]\n'), ELSEWHERE), "hilum.processes.implant_usage", "carries ImplantUsed to billing",
    ),
    "a system without region": (
        both(added("estate.toml", '\n[residency]\nphi = ["us"]\n'), changed(BILLING, 'region = "us"\n', "")), "integrations/access.py", "says no region",
    ),
    "one facility's own rule": (
        added("estate.toml", '\n[facilities.HARBOR-VIEW.residency]\nphi = ["ca"]\n'), "integrations/access.py", "phi of HARBOR-VIEW stays in ca",
    ),
    "a class that is none": (added("estate.toml", '\n[residency]\nsecret = ["us"]\n'), "estate.toml", "residency"),
}  # fmt: skip


def problems(root, *, code: bool) -> list[EstateProblem]:
    """What these rules say. Importing an estate's code takes a while, and only residency looks at it."""
    if code:
        loaded = read_estate(root)
    else:
        loaded = Loaded(Estate(root=root, name="lakeshore"), Places(root))
        loader._read_header(loaded)
        loader._read_systems(loaded)
    found = [*loaded.problems, *secrecy_problems(loaded), *transport_problems(loaded)]
    return found + (list(residency_problems(loaded)) if code else [])


@pytest.mark.parametrize("name", BROKEN)
def test_the_estate_is_refused(estate, name):
    edit, where, said = BROKEN[name]
    edit(estate)
    all_of_them = problems(estate.root, code=not where.endswith(".toml"))
    found = [p for p in all_of_them if p.where.startswith(where) and said in str(p)]
    assert found, "\n".join(map(str, all_of_them))
    assert all(p.do for p in found)


def test_the_whole_check_says_so_too(estate):
    for name in ("an MLLP door without TLS", "one facility's own rule"):
        BROKEN[name][0](estate)
    said = "\n".join(map(str, estate.check().problems))
    assert "without TLS" in said and "phi of HARBOR-VIEW stays in ca" in said


ALLOWED = {
    "an MLLP door with TLS": both(EXPOSED, added(EHR, f"\n[listen.mllp.tls]\n{TLS}")),
    "an MLLP door with a reason": both(
        EXPOSED, changed(EHR, "port = 6661", 'port = 6661\ninsecure = "a private cable"')
    ),
    "HTTP doors with the estate's TLS": added("estate.toml", f'\n[tls]\n{TLS}[doors.tower]\nhost = "0.0.0.0"\n'),
    "an address of TLS": changed(BILLING, "mllp://127.0.0.1:6690", "mllps://billing.example:6690"),
    "plain text with a reason": changed(
        BILLING, 'url = "mllp://127.0.0.1:6690"', 'url = "mllp://billing.example:6690"\ninsecure = "a private cable"'
    ),
    "a secret in Vault": changed(STOCK, '"file:secrets/stock-webhook"', '"vault:secret/hilum/stock#webhook"'),
    "a folder inside the data": added(EHR, '\n[listen.folder]\npath = "drops/ehr"\n'),
    "a folder inside a root": both(
        added("estate.toml", '\n[folders]\nroots = ["/srv/drops"]\n'),
        added(EHR, '\n[listen.folder]\npath = "/srv/drops/ehr"\n'),
    ),
    "data at home": added("estate.toml", '\n[residency]\nphi = ["us"]\n'),
    "a class that nobody carries there": both(
        added("estate.toml", '\n[residency]\nconfidential = ["us"]\n'), ELSEWHERE
    ),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_the_estate_is_as_good_as_before(estate, name):
    ALLOWED[name](estate)
    assert problems(estate.root, code="residency" in (estate.root / "estate.toml").read_text()) == []
