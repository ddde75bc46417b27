"""Secrets in HashiCorp Vault (or OpenBao, which speaks the same): KV version 2 over HTTP, by token or AppRole.

Where Vault is and who we are comes from the environment, by the names Vault's own tools use: ``VAULT_ADDR``,
``VAULT_NAMESPACE``, ``VAULT_CACERT``; and ``VAULT_TOKEN`` or ``VAULT_TOKEN_FILE``, or ``VAULT_ROLE_ID`` with
``VAULT_SECRET_ID`` or ``VAULT_SECRET_ID_FILE``. What was read is kept for a while, and longer only while Vault is away;
a token is renewed before its lease ends, and taken anew when it cannot be.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import orjson

from hilum.authoring.estate_transport import is_loopback
from hilum.security.egress import BadAddress, ResolveNow, system_resolver_now, target
from hilum.security.egress_blocking import GuardedBlockingTransport
from hilum.security.egress_http import AnswerTooLarge, why_refused
from hilum.security.egress_services import ServiceEgress
from hilum.security.logs import keep_out_of_logs
from hilum.security.tls import TlsFiles, TlsUnusable, client_tls

log = logging.getLogger(__name__)

CACHE_SECONDS = 300.0
TIMEOUT_SECONDS = 10.0
MAX_ANSWER_BYTES = 1_048_576


class VaultUnusable(ValueError):
    """Vault refused or cannot be asked; the text says what to do and never holds a token or a value."""


class VaultAway(VaultUnusable):
    """Vault did not answer, or is sealed: it may later."""


class VaultMissing(VaultUnusable):
    """There is no such secret or field."""


@dataclass(frozen=True)
class VaultAccess:
    """Where Vault is and by what we prove who we are: a token, or a role with its secret."""

    address: str
    token: str | None = field(default=None, repr=False)
    role_id: str | None = field(default=None, repr=False)
    secret_id: str | None = field(default=None, repr=False)
    namespace: str | None = None
    authorities: Path | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> VaultAccess:
        """By the environment. ``VaultUnusable`` when it does not say enough."""
        address = environment.get("VAULT_ADDR")
        if not address:
            raise VaultUnusable("VAULT_ADDR is not set; write Vault's address there, like https://vault.example:8200")
        try:
            where = target(address, ("https", "http"))
        except BadAddress as bad:
            raise VaultUnusable(f"VAULT_ADDR is not usable: {bad}") from None
        if not where.secure and not is_loopback(where.host):
            raise VaultUnusable("VAULT_ADDR must begin with https://: secrets do not travel unencrypted")
        access = cls(
            address.rstrip("/"),
            token=_given(environment, "VAULT_TOKEN"),
            role_id=_given(environment, "VAULT_ROLE_ID"),
            secret_id=_given(environment, "VAULT_SECRET_ID"),
            namespace=environment.get("VAULT_NAMESPACE"),
            authorities=Path(environment["VAULT_CACERT"]) if environment.get("VAULT_CACERT") else None,
        )
        if access.token is None and (access.role_id is None or access.secret_id is None):
            raise VaultUnusable(
                "nothing says who we are to Vault: set VAULT_TOKEN_FILE, or VAULT_ROLE_ID and VAULT_SECRET_ID_FILE"
            )
        return access


@dataclass
class _Kept:
    """A secret's fields, good until a moment."""

    fields: Mapping[str, Any]
    until: float


class Vault:
    """Reads secrets. ``moment`` is a clock of seconds that only goes on. Calls block; they may come from any thread."""

    def __init__(
        self,
        access: VaultAccess,
        *,
        moment: Callable[[], float] = time.monotonic,
        cache_seconds: float = CACHE_SECONDS,
        resolve_now: ResolveNow = system_resolver_now,
    ) -> None:
        self._access = access
        self._moment = moment
        self._cache_seconds = cache_seconds
        self._kept: dict[str, _Kept] = {}
        self._token = access.token
        self._renew_at: float | None = None
        self._lock = threading.Lock()
        headers = {"X-Vault-Request": "true", "Accept-Encoding": "identity"}
        if access.namespace is not None:
            headers["X-Vault-Namespace"] = access.namespace
        try:
            tls = client_tls(TlsFiles(authorities=access.authorities))
        except TlsUnusable as unusable:
            raise VaultUnusable(f"VAULT_CACERT: {unusable}") from None
        # No redirects and no proxy of the environment: the token goes to this address alone.
        guard = ServiceEgress(
            "Vault (VAULT_ADDR)", [target(access.address, ("https", "http"))], resolve_now=resolve_now,
            max_answer_bytes=MAX_ANSWER_BYTES,
        )  # fmt: skip
        transport = GuardedBlockingTransport(guard, tls=tls)
        self._http = httpx2.Client(headers=headers, timeout=TIMEOUT_SECONDS, transport=transport, trust_env=False)

    def read(self, path: str, name: str, *, fresh: bool = False) -> str:
        """One field of a secret, ``MOUNT/PATH``. Kept values stand in while Vault is away. ``fresh``: not what is kept."""
        with self._lock:
            kept = self._kept.get(path)
            if kept is None or fresh or kept.until <= self._moment():
                try:
                    kept = self._kept[path] = self._fetch(path)
                except VaultAway as away:
                    if kept is None:
                        raise
                    log.warning("Vault is away (%s); what was read before stays in use", away)
        value = kept.fields.get(name)
        if value is None:
            raise VaultMissing(f"the secret {path} has no field {name}; write it there")
        if not isinstance(value, str):
            raise VaultUnusable(f"the field {name} of the secret {path} is not text")
        keep_out_of_logs(value)
        return value

    def close(self) -> None:
        self._http.close()

    def _fetch(self, path: str) -> _Kept:
        mount, _, rest = path.partition("/")
        answer = self._authorised("GET", f"/v1/{mount}/data/{rest}")
        if answer.status_code == 404:
            raise VaultMissing(f"Vault has no secret {path}, or its newest version is deleted")
        content = self._content(answer, f"read {path}")
        fields = (content.get("data") or {}).get("data")
        if not isinstance(fields, dict):
            raise VaultMissing(f"{path} holds nothing; is {mount} a KV engine of version 2?")
        lease = float(content.get("lease_duration") or 0)
        good_for = min(self._cache_seconds, lease * 2 / 3) if lease > 0 else self._cache_seconds
        return _Kept(fields, self._moment() + good_for)

    def _authorised(self, method: str, path: str) -> httpx2.Response:
        self._be_somebody()
        answer = self._send(method, path)
        if answer.status_code == 403 and self._access.role_id is not None:
            # The token may have been revoked before its time; who we are has not changed.
            self._log_in()
            answer = self._send(method, path)
        return answer

    def _be_somebody(self) -> None:
        """A token whose lease does not end before it is used."""
        now = self._moment()
        if self._token is None:
            self._log_in()
        elif self._renew_at is None:
            self._keep_until(self._send("GET", "/v1/auth/token/lookup-self"), "data", "ttl")
        elif self._renew_at <= now:
            answer = self._send("POST", "/v1/auth/token/renew-self", {})
            if answer.is_success:
                self._keep_until(answer, "auth", "lease_duration")
            elif self._access.role_id is not None:
                self._log_in()
            else:
                self._renew_at = now + self._cache_seconds
                log.error(
                    "Vault does not renew our token (%d); it will stop working at the end of its lease",
                    answer.status_code,
                )

    def _log_in(self) -> None:
        self._token = None
        body = {"role_id": self._access.role_id, "secret_id": self._access.secret_id}
        answer = self._send("POST", "/v1/auth/approle/login", body)
        content = self._content(answer, "log in with VAULT_ROLE_ID")
        self._token = str(content["auth"]["client_token"])
        keep_out_of_logs(self._token)
        self._keep_until(answer, "auth", "lease_duration")

    def _keep_until(self, answer: httpx2.Response, part: str, name: str) -> None:
        """Renew after two thirds of the lease; a token without one (a root token) is looked at again after a day."""
        lease = 0.0
        if answer.is_success:
            lease = float((orjson.loads(answer.content).get(part) or {}).get(name) or 0)
        self._renew_at = self._moment() + (lease * 2 / 3 if lease > 0 else 86_400.0)

    def _content(self, answer: httpx2.Response, what: str) -> dict[str, Any]:
        if answer.status_code == 403 or answer.status_code == 400:
            raise VaultUnusable(
                f"Vault does not let us {what} ({answer.status_code}); check the role's policy and its secret"
            )
        if not answer.is_success:
            raise VaultAway(f"Vault answered {answer.status_code} when asked to {what}")
        content = orjson.loads(answer.content)
        if not isinstance(content, dict):
            raise VaultAway("Vault answered with something else than an object; is another server there?")
        return content

    def _send(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        headers = {"X-Vault-Token": self._token} if self._token is not None else {}
        content = orjson.dumps(body) if body is not None else None
        try:
            return self._http.request(method, self._access.address + path, headers=headers, content=content)
        except AnswerTooLarge:
            raise VaultAway("Vault's answer is too large to be one") from None
        except httpx2.HTTPError as error:
            why = why_refused(error)
            if why is not None:
                # No other time would be better: the address is one that must not be asked.
                raise VaultUnusable(why) from None
            raise VaultAway(f"Vault cannot be reached at VAULT_ADDR ({type(error).__name__})") from None


def _given(environment: Mapping[str, str], name: str) -> str | None:
    """A value of the environment, or of the file that the environment names, which nobody else may read."""
    if environment.get(name):
        keep_out_of_logs(environment[name])
        return environment[name]
    file = environment.get(f"{name}_FILE")
    if not file:
        return None
    from hilum.security.secrets import resolve_secret

    return resolve_secret(f"file:{file}", Path("/"), environment)
