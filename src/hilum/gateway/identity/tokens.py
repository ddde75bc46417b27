"""The endpoints of programs: token (RFC 6749), revocation (RFC 7009), userinfo (OpenID Connect Core 1.0 section 5.3)."""

from __future__ import annotations

import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.caller import PERSON
from hilum.authoring.estate_identity import ServiceSpec
from hilum.gateway.identity.forms import Parameters, form
from hilum.gateway.identity.issuer import Client, Issuer, default_audience
from hilum.identity import accounts
from hilum.identity.grants import Grant, GrantRefused, new_refresh, redeem, revoke_refresh, rotate
from hilum.identity.services import ASSERTION_TYPE
from hilum.security.identity.refusals import Unauthenticated

log = logging.getLogger(__name__)

_FRESH = {"cache-control": "no-store", "pragma": "no-cache"}


class _Refused(Exception):
    """RFC 6749 section 5.2. The description is for the log; the client gets the error's name."""

    def __init__(self, error: str, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.error = error
        self.status = status


async def token(issuer: Issuer, request: Request) -> Response:
    """Gives tokens."""
    try:
        sent = await form(request)
        match sent.get("grant_type"):
            case "authorization_code":
                return await _by_code(issuer, sent, await _client(issuer, request, sent))
            case "refresh_token":
                return await _by_refresh(issuer, sent, await _client(issuer, request, sent))
            case "client_credentials":
                return await _for_service(issuer, request, sent)
            case None:
                raise _Refused("invalid_request", "there is no grant_type")
            case _:
                raise _Refused("unsupported_grant_type", "the grant_type is not known")
    except _Refused as refused:
        log.info("a token was refused: %s (%s)", refused.error, refused)
        answered = {**_FRESH, "www-authenticate": 'Bearer realm="hilum"'} if refused.status == 401 else _FRESH
        return JSONResponse({"error": refused.error}, refused.status, answered)


async def revocation(issuer: Issuer, request: Request) -> Response:
    """Ends what a refresh token stands for. 200 also for what is not known: nobody learns which tokens there are."""
    try:
        sent = await form(request)
        client = await _client(issuer, request, sent)
    except _Refused as refused:
        return JSONResponse({"error": refused.error}, refused.status, _FRESH)
    given = sent.get("token")
    if given is not None:
        async with issuer.pool.acquire() as connection, connection.transaction():
            await revoke_refresh(connection, given, client=client.id, now=issuer.clock())
    return Response(b"", 200, _FRESH)


async def userinfo(issuer: Issuer, request: Request) -> Response:
    """Who a person's access token speaks for."""
    try:
        caller = await issuer.authenticator.authenticate(
            request.headers.getlist("authorization"), audience=(issuer.settings.url,)
        )
        if caller.kind != PERSON:
            raise Unauthenticated("the token is no person's")
    except Unauthenticated as refused:
        return Response(b"", refused.status, {**_FRESH, "www-authenticate": refused.challenge})
    document: dict[str, Any] = {
        "sub": caller.actor, "preferred_username": caller.id, "roles": sorted(caller.roles), "facilities": sorted(caller.facilities),
    }  # fmt: skip
    return JSONResponse(document, headers=_FRESH)


async def _client(issuer: Issuer, request: Request, sent: Parameters) -> Client:
    """A program of people says who it is; PKCE proves it. A secret would be one that everybody has who has the program."""
    if "authorization" in request.headers or "client_secret" in sent or "client_assertion" in sent:
        raise _Refused("invalid_client", "a public client presents no secret", 401)
    client_id = sent.get("client_id")
    client = await issuer.client(client_id) if client_id is not None else None
    if client is None:
        raise _Refused("invalid_client", "the client is not known", 401)
    return client


async def _by_code(issuer: Issuer, sent: Parameters, client: Client) -> Response:
    code, verifier, redirect_uri = sent.get("code"), sent.get("code_verifier"), sent.get("redirect_uri")
    if code is None or verifier is None or redirect_uri is None or not 43 <= len(verifier) <= 128:
        raise _Refused("invalid_request", "code, redirect_uri or code_verifier is missing")
    refused: GrantRefused | None = None
    async with issuer.pool.acquire() as connection, connection.transaction():
        try:
            grant = await redeem(
                connection, code, client=client.id, redirect_uri=redirect_uri, verifier=verifier, now=issuer.clock()
            )
        except GrantRefused as no:  # Committed all the same: a code that was tried is used up.
            refused = no
    if refused is not None:
        raise _Refused("invalid_grant", str(refused))
    return await _tokens(issuer, grant)


async def _by_refresh(issuer: Issuer, sent: Parameters, client: Client) -> Response:
    given = sent.get("refresh_token")
    if given is None:
        raise _Refused("invalid_request", "there is no refresh_token")
    refused: GrantRefused | None = None
    async with issuer.pool.acquire() as connection, connection.transaction():
        try:
            grant = await rotate(connection, given, client=client.id, now=issuer.clock())
        except GrantRefused as no:
            refused = no
    if refused is not None:
        raise _Refused("invalid_grant", str(refused))
    return await _tokens(issuer, grant)


async def _tokens(issuer: Issuer, grant: Grant) -> Response:
    now = issuer.clock()
    scopes = set(grant.scope.split(" "))
    refresh = issuer.secret() if "offline_access" in scopes else None
    async with issuer.pool.acquire() as connection, connection.transaction():
        account = await accounts.read(connection, grant.account)
        if account is None or account.state != "active":
            raise _Refused("invalid_grant", "the account is not active")
        if refresh is not None:
            ends_at = grant.began_at + issuer.settings.session.absolute
            await new_refresh(connection, refresh, grant, now=now, expires_at=ends_at)
        detail = {"client": grant.client, "audience": list(grant.audience), "session": grant.session}
        entry = Entry(now, f"person:{account.id}", "token.granted", f"account/{account.id}", detail)
        await append(connection, [entry])
    document = {
        "access_token": await issuer.access_token_of(account, grant),
        "token_type": "Bearer",
        "expires_in": int(issuer.settings.access_token.total_seconds()),
        "scope": grant.scope,
    }
    if refresh is not None:
        document["refresh_token"] = refresh
    if "openid" in scopes:
        document["id_token"] = await issuer.id_token(account, grant)
    return JSONResponse(document, headers=_FRESH)


async def _for_service(issuer: Issuer, request: Request, sent: Parameters) -> Response:
    spec, certificate = await _proved(issuer, request, sent)
    audience = _service_audience(spec, sent)
    async with issuer.pool.acquire() as connection, connection.transaction():
        detail = {"audience": list(audience), "bound_to_certificate": certificate is not None}
        entry = Entry(issuer.clock(), f"service:{spec.name}", "token.granted", f"service/{spec.name}", detail)
        await append(connection, [entry])
    return JSONResponse(
        {
            "access_token": await issuer.service_token(spec, audience, certificate),
            "token_type": "Bearer",
            "expires_in": int(issuer.settings.access_token.total_seconds()),
        },
        headers=_FRESH,
    )


async def _proved(issuer: Issuer, request: Request, sent: Parameters) -> tuple[ServiceSpec, str | None]:
    """The service, and the certificate its token is bound to (SHA-256 in base64url)."""
    if "authorization" in request.headers or "client_secret" in sent:
        raise _Refused("invalid_client", "services have keys and certificates, not secrets", 401)
    certificate = issuer.certificate(request)
    try:
        assertion = sent.get("client_assertion")
        if assertion is not None:
            if sent.get("client_assertion_type") != ASSERTION_TYPE:
                raise _Refused("invalid_request", "the client_assertion_type is not known")
            spec = await issuer.services.by_assertion(assertion, (issuer.settings.url, issuer.settings.url + "/token"))
            if sent.get("client_id") not in (None, spec.name):
                raise Unauthenticated("client_id and assertion name two services")
            # A program with certificates gets tokens that only it can use, however it proved itself.
            return spec, certificate if spec.certificates else None
        client_id = sent.get("client_id")
        if certificate is None or client_id is None:
            raise Unauthenticated("neither an assertion nor a certificate was presented")
        return issuer.services.by_certificate(client_id, certificate), certificate
    except Unauthenticated as refused:
        raise _Refused("invalid_client", refused.description, 401) from None


def _service_audience(spec: ServiceSpec, sent: Parameters) -> tuple[str, ...]:
    """RFC 8707: what is asked for, and never more than the service may; without asking, all of it."""
    named = sent.get("audience")
    wanted = (*sent.every("resource"), *((named,) if named is not None else ()))
    allowed = default_audience(spec.audience)
    if any(name not in allowed for name in wanted):
        raise _Refused("invalid_target", "the service gets no token for this audience")
    return tuple(dict.fromkeys(wanted)) if wanted else allowed
