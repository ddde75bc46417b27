"""Signing people in at an OpenID provider: authorization code with PKCE (OpenID Connect Core 1.0, RFC 7636, RFC 9207, RFC 9700).

Any provider with a discovery document will do; the embedded issuer is one of them. What comes back is believed by the
provider's signature, for this client, in answer to this one sign-in.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
import orjson

from hilum.authoring.caller import Caller
from hilum.authoring.estate_identity import LOCAL, IdentitySpec
from hilum.security.egress_http import why_refused
from hilum.security.identity.callers import CallerRules
from hilum.security.identity.compare import base64url, is_same
from hilum.security.identity.keys import KeySource, discover, safe_address
from hilum.security.identity.reaching import Providers
from hilum.security.identity.refusals import IdentityAway, Unauthenticated
from hilum.security.identity.tokens import TrustedIssuer, verified

LOCAL_CLIENT = "tower"
_ID_TOKEN_TYPES = frozenset({"", "jwt"})
_LONGEST_ID_TOKEN_SECONDS = 86_400.0
_FRESH_SECONDS = 600.0
_MOST_ANSWER_BYTES = 262_144


class SignInFailed(Exception):
    """The provider or the browser did not bring what was asked for. The text is for the person."""


@dataclass(frozen=True)
class Begun:
    """A sign-in that is under way: what the browser's secret and the database hold together."""

    issuer: str
    redirect_uri: str
    nonce: str
    verifier: str


@dataclass(frozen=True)
class Arrived:
    """Who signed in."""

    caller: Caller
    name: str


@dataclass
class _Known:
    document: dict[str, Any]
    at: float


class RelyingParty:
    """The estate's programs for people, at the providers the estate names.

    ``providers`` leads to each of them; ``local_url`` says where the embedded issuer is; ``secret_of`` opens a reference to a client secret.
    """

    def __init__(
        self,
        spec: IdentitySpec,
        rules: CallerRules,
        *,
        providers: Providers,
        keys: Mapping[str, KeySource],
        local_url: Callable[[], Awaitable[str | None]],
        secret_of: Callable[[str], str],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._spec = spec
        self._rules = rules
        self._providers = providers
        self._keys = keys
        self._local_url = local_url
        self._secret_of = secret_of
        self._clock = clock
        self._monotonic = monotonic
        self._documents: dict[str, _Known] = {}
        self._one_at_a_time = asyncio.Lock()

    async def address(self, begun: Begun, state: str) -> str:
        """Where the browser goes to sign in."""
        provider = await self._provider(begun.issuer)
        scopes = self._spec.issuers[begun.issuer].scopes if begun.issuer != LOCAL else ("openid", "profile")
        asked = {
            "response_type": "code",
            "client_id": self._client_id(begun.issuer),
            "redirect_uri": begun.redirect_uri,
            "scope": " ".join(dict.fromkeys(("openid", *scopes))),
            "state": state,
            "nonce": begun.nonce,
            "code_challenge": base64url(sha256(begun.verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        endpoint: str = provider["authorization_endpoint"]
        return endpoint + ("&" if "?" in endpoint else "?") + urlencode(asked)

    async def arrive(self, begun: Begun, *, code: str, said_issuer: str | None) -> Arrived:
        """Exchange the code and hold the ID token against what was asked. ``said_issuer`` is ``iss`` of the answer (RFC 9207)."""
        provider = await self._provider(begun.issuer)
        needed = provider.get("authorization_response_iss_parameter_supported") is True
        if (said_issuer is not None or needed) and said_issuer != provider["issuer"]:
            raise SignInFailed("The answer came from another provider than the one that was asked.")
        answer = await self._exchange(begun, provider, code)
        claims = await self._claims(begun, provider, answer)
        try:
            caller = self._rules.signed_in(begun.issuer, claims)
        except Unauthenticated as refused:
            raise SignInFailed("The provider does not say who you are in a way that is taken here.") from refused
        shown = [claims.get(name) for name in ("name", "preferred_username")]
        names = [name for name in shown if isinstance(name, str) and name]
        return Arrived(caller, names[0][:100] if names else caller.id)

    async def end_session_address(self, issuer: str, back_to: str) -> str | None:
        """Where a person signs out of the provider too; None when it has no such place, or is ours and has ended already."""
        if issuer == LOCAL:
            return None
        try:
            endpoint = (await self._provider(issuer)).get("end_session_endpoint")
        except IdentityAway:
            return None
        if not isinstance(endpoint, str) or not safe_address(endpoint):
            return None
        asked = {"client_id": self._client_id(issuer), "post_logout_redirect_uri": back_to}
        return endpoint + ("&" if "?" in endpoint else "?") + urlencode(asked)

    def _client_id(self, issuer: str) -> str:
        return LOCAL_CLIENT if issuer == LOCAL else self._spec.issuers[issuer].client_id

    async def _provider(self, issuer: str) -> dict[str, Any]:
        """The discovery document, read again now and then; an old one while the provider is away."""
        url = await self._local_url() if issuer == LOCAL else self._spec.issuers[issuer].url
        if url is None:
            raise IdentityAway("the embedded issuer has not said yet where it is: start the gateway")
        async with self._one_at_a_time:
            known = self._documents.get(url)
            if known is not None and self._monotonic() - known.at < _FRESH_SECONDS:
                return known.document
            try:
                document = await discover(url, self._providers.fetch(issuer, url))
            except (OSError, ValueError) as problem:
                if known is not None:
                    return known.document
                raise IdentityAway(f"the provider {issuer} does not answer as one") from problem
            if not all(isinstance(document.get(n), str) for n in ("authorization_endpoint", "token_endpoint")):
                raise IdentityAway(f"the provider {issuer} does not answer as one")
            self._documents[url] = _Known(document, self._monotonic())
            return document

    async def _exchange(self, begun: Begun, provider: Mapping[str, Any], code: str) -> dict[str, Any]:
        client_id = self._client_id(begun.issuer)
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": begun.redirect_uri,
            "code_verifier": begun.verifier, "client_id": client_id,
        }  # fmt: skip
        reference = "" if begun.issuer == LOCAL else self._spec.issuers[begun.issuer].client_secret
        headers = {"accept": "application/json"}
        if reference:
            secret = self._secret_of(reference)
            ways = provider.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
            if "client_secret_basic" in ways:
                # RFC 6749 section 2.3.1: both parts are form-encoded before they are joined.
                pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
                headers["authorization"] = "Basic " + b64encode(pair.encode()).decode()
            else:
                form["client_secret"] = secret
        try:
            answer = await self._providers.client(begun.issuer, provider["issuer"]).post(
                provider["token_endpoint"], data=form, headers=headers, follow_redirects=False
            )  # fmt: skip
        except httpx2.HTTPError as away:
            if why_refused(away) is not None:
                # The guard has written down which address it was; a person at the page is not told of addresses inside.
                raise IdentityAway(f"the provider {begun.issuer} names a token endpoint that is not allowed") from away
            raise IdentityAway(f"the provider {begun.issuer} does not answer") from away
        if answer.status_code >= 500:
            raise IdentityAway(f"the provider {begun.issuer} does not answer")
        if answer.status_code != 200 or len(answer.content) > _MOST_ANSWER_BYTES:
            raise SignInFailed("The provider did not accept the sign-in. Begin again.")
        try:
            document = orjson.loads(answer.content)
        except ValueError:
            document = None
        if not isinstance(document, dict) or not isinstance(document.get("id_token"), str):
            raise SignInFailed("The provider did not say who signed in.")
        return document

    async def _claims(self, begun: Begun, provider: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
        """The claims of a good ID token (OpenID Connect Core 1.0 section 3.1.3.7), and of userinfo where groups stand only there."""
        algorithms = {"ES256"} if begun.issuer == LOCAL else set(self._spec.issuers[begun.issuer].algorithms)
        url: str = provider["issuer"]
        trusted = TrustedIssuer(
            begun.issuer, url, self._keys[begun.issuer], frozenset(algorithms), _ID_TOKEN_TYPES, _LONGEST_ID_TOKEN_SECONDS
        )  # fmt: skip
        try:
            token = await verified(answer["id_token"], {url: trusted}, now=self._clock().timestamp())
        except Unauthenticated as refused:
            raise SignInFailed(f"The provider's word cannot be believed: {refused.description}.") from refused
        client_id = self._client_id(begun.issuer)
        if client_id not in token.audience or (len(token.audience) > 1 and token.claims.get("azp") != client_id):
            raise SignInFailed("The provider's word is for another program.")
        nonce = token.claims.get("nonce")
        if not isinstance(nonce, str) or not is_same(nonce, begun.nonce):
            raise SignInFailed("The provider's word is about another sign-in. Begin again.")
        claims = dict(token.claims)
        if begun.issuer != LOCAL and self._spec.issuers[begun.issuer].claims.groups.partition(".")[0] not in claims:
            claims = {**await self._userinfo(begun, provider, answer, token.subject), **claims}
        return claims

    async def _userinfo(
        self, begun: Begun, provider: Mapping[str, Any], answer: Mapping[str, Any], subject: str
    ) -> dict[str, Any]:
        endpoint, access = provider.get("userinfo_endpoint"), answer.get("access_token")
        if not safe_address(endpoint) or not isinstance(access, str):
            return {}
        try:
            said = await self._providers.client(begun.issuer, provider["issuer"]).get(
                str(endpoint), headers={"authorization": f"Bearer {access}", "accept": "application/json"}, follow_redirects=False
            )  # fmt: skip
            document = orjson.loads(said.content) if said.status_code == 200 else None
        except (httpx2.HTTPError, ValueError):
            return {}
        # OpenID Connect Core 1.0 section 5.3.2: another subject's userinfo must not be used.
        return document if isinstance(document, dict) and document.get("sub") == subject else {}
