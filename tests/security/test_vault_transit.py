"""The transit engine over HTTP: a small server that keeps its own keys and answers as Vault's API is documented.

It is not Vault: what is tested is what we ask and how we take its answers, refusals and silence.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hilum.security.sealing.choice import wrapper_of
from hilum.security.sealing.sealer import open_sealer
from hilum.security.sealing.vault_transit import VaultTransit
from hilum.security.sealing.wrapping import KeysAway, KeysLost, KeysUnusable
from hilum.store.pool import open_pool

TOKEN = "hvs.simulated"
NOW = datetime(2026, 11, 21, tzinfo=UTC)


class SimulatedTransit(ThreadingHTTPServer):
    """/v1/transit with one key, ``hilum``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.versions = [AESGCM.generate_key(256)]
        self.least = 1
        self.sealed = False
        self.asked: list[str] = []

    @property
    def settings(self) -> dict[str, Any]:
        return {"address": f"http://127.0.0.1:{self.server_port}", "key": "hilum", "token": "file:secrets/vault-token"}

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if path == "keys/hilum":
            return 200, {"latest_version": len(self.versions), "min_decryption_version": self.least}
        if path == "keys/hilum/rotate":
            self.versions.append(AESGCM.generate_key(256))
            return 200, {}
        if path == "keys/hilum/config":
            self.least = body["min_decryption_version"]
            return 200, {}
        about = b64decode(body["associated_data"])
        if path == "encrypt/hilum":
            nonce = os.urandom(12)
            sealed = nonce + AESGCM(self.versions[-1]).encrypt(nonce, b64decode(body["plaintext"]), about)
            return 200, {"ciphertext": f"vault:v{len(self.versions)}:{b64encode(sealed).decode()}"}
        if path == "decrypt/hilum":
            _, version, text = body["ciphertext"].split(":")
            number, sealed = int(version[1:]), b64decode(text)
            if number < self.least:
                return 400, {}
            try:
                plain = AESGCM(self.versions[number - 1]).decrypt(sealed[:12], sealed[12:], about)
            except InvalidTag:
                return 400, {}
            return 200, {"plaintext": b64encode(plain).decode()}
        return 404, {}


class _Handler(BaseHTTPRequestHandler):
    server: SimulatedTransit

    def _serve(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", "0"))) or b"{}")
        path = self.path.removeprefix("/v1/transit/")
        self.server.asked.append(path)
        if self.server.sealed:
            status, data = 503, {}
        elif self.headers.get("x-vault-token") != TOKEN:
            status, data = 403, {}
        else:
            status, data = self.server.answer(path, body)
        text = json.dumps({"data": data, "errors": ["hvs.simulated is no token"] if status >= 400 else []}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = _serve

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def vault() -> Iterator[SimulatedTransit]:
    server = SimulatedTransit()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    place = tmp_path / "secrets" / "vault-token"
    place.parent.mkdir()
    place.touch(mode=0o600)
    place.write_text(TOKEN)
    return tmp_path


def wrapper(vault: SimulatedTransit, token: str = TOKEN) -> VaultTransit:
    return VaultTransit.from_settings(vault.settings, lambda reference: token)


def test_the_platform_seals_with_keys_that_vault_wraps_and_rotates(
    vault: SimulatedTransit, data: Path, database_url: str
):
    async def run() -> None:
        pool = await open_pool(database_url)
        transit = await wrapper_of(pool, "vault", vault.settings, data)
        sealer = await open_sealer(pool, transit, lambda: NOW)
        sealed = await sealer.sealed(b"a letter", "message", "m/1", NOW)
        assert {r.wrapped_by for r in await sealer.keyring.rows()} == {"vault:transit/hilum:v1"}

        assert await sealer.keyring.rotate_wrapping(forget=True) == (
            "vault:transit/hilum:v2",
            2,
            ["vault:transit/hilum:v1"],
        )
        assert vault.least == 2, "the first version opens nothing any more"
        afresh = await open_sealer(pool, wrapper(vault), lambda: NOW)
        assert await afresh.opened(sealed, "m/1") == b"a letter"
        await pool.close()

    asyncio.run(run())


def test_many_values_cost_vault_one_question(vault: SimulatedTransit, data: Path, database_url: str):
    async def run() -> None:
        pool = await open_pool(database_url)
        sealer = await open_sealer(pool, wrapper(vault), lambda: NOW)
        vault.asked.clear()
        values = [await sealer.sealed(b"%d" % n, "event", f"e/{n}", NOW) for n in range(50)]
        assert [await sealer.opened(value, f"e/{n}") for n, value in enumerate(values)] == [
            b"%d" % n for n in range(50)
        ]
        assert sorted(set(vault.asked)) == ["decrypt/hilum", "encrypt/hilum"] and len(vault.asked) <= 3, vault.asked
        await pool.close()

    asyncio.run(run())


def test_a_wrapped_key_is_bound_to_its_class_and_period(vault: SimulatedTransit):
    transit = wrapper(vault)
    wrapped = transit.wrap(b"k" * 32, b"message/2026-11-21")
    assert transit.unwrap(wrapped, b"message/2026-11-21", transit.key_id) == b"k" * 32
    with pytest.raises(KeysLost, match="answers 400"):
        transit.unwrap(wrapped, b"message/2026-11-22", transit.key_id)
    with pytest.raises(KeysLost, match="was wrapped by local:abc"):
        transit.unwrap(wrapped, b"message/2026-11-21", "local:abc")


def test_what_vault_refuses_is_told_without_repeating_its_answer(vault: SimulatedTransit):
    with pytest.raises(KeysUnusable, match="refuses the token") as refused:
        wrapper(vault, "another").wrap(b"k" * 32, b"x")
    assert "another" not in str(refused.value) and TOKEN not in str(refused.value)
    vault.sealed = True
    with pytest.raises(KeysAway, match="503"):
        wrapper(vault).wrap(b"k" * 32, b"x")
    vault.shutdown()
    vault.server_close()
    with pytest.raises(KeysAway, match="does not answer"):
        wrapper(vault).wrap(b"k" * 32, b"x")
