"""Data keys wrapped by HashiCorp Vault or OpenBao: the transit secrets engine over HTTP. The wrapping key never leaves it.

Settings: ``address``, ``key`` (made with ``derived=false``, type ``aes256-gcm96``), ``mount`` (transit), ``token`` (a
reference), ``namespace``; ``authorities`` (``file:PATH``) of its certificate, ``networks`` in which it may be. The token's policy allows ``update`` on ``<mount>/encrypt/<key>``, ``decrypt``, ``keys/<key>/rotate``
and ``read`` on ``keys/<key>``; for ``hilum keys rotate --forget`` also ``update`` on ``keys/<key>/config``.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2
from pydantic import ValidationError

from hilum.authoring.estate_transport import ClientTls, EgressSpec, is_loopback
from hilum.security.egress import BadAddress, ResolveNow, system_resolver_now, target
from hilum.security.egress_blocking import GuardedBlockingTransport
from hilum.security.egress_http import why_refused
from hilum.security.egress_services import ServiceEgress
from hilum.security.sealing.wrapping import KeysAway, KeysLost, KeysUnusable
from hilum.security.tls import TlsUnusable, client_context

_SECONDS = 4.0
_ANSWER_BYTES = 1_048_576


class VaultTransit:
    """Wraps with the newest version of one transit key."""

    def __init__(self, client: httpx2.Client, *, mount: str, key: str) -> None:
        self._client = client
        self._mount = mount
        self._key = key
        self._version = 0

    @classmethod
    def from_settings(
        cls,
        settings: Mapping[str, Any],
        secret: Callable[[str], str],
        data: Path = Path(),
        *,
        resolve_now: ResolveNow = system_resolver_now,
    ) -> VaultTransit:
        """KeysUnusable when a setting is missing or is none. ``data`` is where ``file:`` is relative to."""
        try:
            address, key, token = settings["address"], settings["key"], secret(settings["token"])
        except KeyError as missing:
            raise KeysUnusable(f"[protection.settings] for vault lacks {missing}") from None
        headers = {"X-Vault-Token": token, "X-Vault-Request": "true"}
        if "namespace" in settings:
            headers["X-Vault-Namespace"] = settings["namespace"]
        try:
            where = target(address, ("https", "http"))
            if not where.secure and not is_loopback(where.host):
                raise BadAddress("it must begin with https://, for keys do not travel unencrypted")
            egress = EgressSpec(networks=settings.get("networks", ()))
            tls = client_context(ClientTls(authorities=settings.get("authorities")), data)
        except (BadAddress, ValidationError, TlsUnusable) as unusable:
            why = "networks or authorities are none" if isinstance(unusable, ValidationError) else str(unusable)
            raise KeysUnusable(f"[protection.settings] for vault: {why}") from None
        guard = ServiceEgress(
            "Vault (transit)",
            [where],
            networks=egress.ranges(),
            resolve_now=resolve_now,
            max_answer_bytes=_ANSWER_BYTES,
        )
        client = httpx2.Client(
            base_url=address.rstrip("/") + "/v1/", headers=headers, timeout=_SECONDS, trust_env=False,
            transport=GuardedBlockingTransport(guard, tls=tls),
        )  # fmt: skip
        return cls(client, mount=settings.get("mount", "transit"), key=key)

    @property
    def key_id(self) -> str:
        if not self._version:
            self._version = int(self._ask("GET", f"keys/{self._key}")["latest_version"])
        return self._id(self._version)

    def wrap(self, key: bytes, about: bytes) -> bytes:
        asked = {"plaintext": _text(key), "associated_data": _text(about)}
        ciphertext: str = self._ask("POST", f"encrypt/{self._key}", asked)["ciphertext"]
        self._version = int(ciphertext.split(":")[1].removeprefix("v"))
        return ciphertext.encode()

    def unwrap(self, wrapped: bytes, about: bytes, key_id: str) -> bytes:
        if not key_id.startswith(f"vault:{self._mount}/{self._key}:"):
            raise KeysLost(
                f"a data key was wrapped by {key_id}, and [protection] names vault:{self._mount}/{self._key}"
            )
        asked = {"ciphertext": wrapped.decode(), "associated_data": _text(about)}
        return b64decode(self._ask("POST", f"decrypt/{self._key}", asked)["plaintext"])

    def rotate(self) -> str:
        self._ask("POST", f"keys/{self._key}/rotate", {})
        self._version = 0
        return self.key_id

    def forget(self, keep: frozenset[str]) -> list[str]:
        """Raise the key's least version that decrypts: Vault then refuses the earlier ones."""
        info = self._ask("GET", f"keys/{self._key}")
        used = [int(name.rpartition(":v")[2]) for name in (*keep, self.key_id)]
        least = int(info["min_decryption_version"])
        if min(used) > least:
            self._ask("POST", f"keys/{self._key}/config", {"min_decryption_version": min(used)})
        return [self._id(n) for n in range(least, min(used))]

    def _id(self, version: int) -> str:
        return f"vault:{self._mount}/{self._key}:v{version}"

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One request. What Vault answers is never repeated: it may quote what it was asked."""
        what = f"vault at {self._client.base_url} for {self._mount}/{path.partition('/')[0]} of the key {self._key}"
        try:
            answer = self._client.request(method, f"{self._mount}/{path}", json=body)
        except httpx2.HTTPError as error:
            why = why_refused(error)
            if why is not None:
                raise KeysUnusable(f"{what}: {why}") from None
            raise KeysAway(f"{what} does not answer ({type(error).__name__}); it is asked again") from None
        if answer.status_code in (429, 500, 502, 503):
            raise KeysAway(f"{what} answers {answer.status_code} (sealed or busy); it is asked again")
        if answer.status_code == 403:
            raise KeysUnusable(f"{what} refuses the token: renew it, or extend its policy")
        if answer.status_code >= 400:
            raise KeysLost(
                f"{what} answers {answer.status_code}: the key or its version is not there, or the data was changed"
            )
        found: dict[str, Any] = answer.json()["data"] if answer.content else {}
        return found


def _text(data: bytes) -> str:
    return b64encode(data).decode()
