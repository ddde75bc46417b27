"""The embedded issuer as an ASGI application, to be mounted at the path of its address (``/identity``)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from hilum.gateway.identity import pages
from hilum.gateway.identity.authorize import authorize
from hilum.gateway.identity.forms import Parameters, form, query, with_parameters
from hilum.gateway.identity.issuer import Issuer
from hilum.gateway.identity.pages import SESSION, cookie, form_token, is_our_form
from hilum.gateway.identity.tokens import revocation, token, userinfo
from hilum.gateway.identity.welcome import welcome
from hilum.identity import sessions

_Endpoint = Callable[[Issuer, Request], Awaitable[Response]]


def issuer_app(issuer: Issuer) -> Starlette:
    """Every endpoint of one issuer."""

    def at(path: str, endpoint: _Endpoint, *methods: str) -> Route:
        async def answer(request: Request) -> Response:
            return await endpoint(issuer, request)

        return Route(path, answer, methods=list(methods))

    async def problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if request.url.path.endswith(("/token", "/revoke", "/userinfo", "/jwks")):
            document = {"error": "invalid_request", "error_description": error.detail}
            return JSONResponse(document, error.status_code, {"cache-control": "no-store", **(error.headers or {})})
        title = "Not here" if error.status_code == 404 else "Not understood"
        text = "There is no page at this address." if error.status_code == 404 else error.detail
        return pages.sentence(issuer, title, text, status=error.status_code)

    return Starlette(
        routes=[
            at("/.well-known/openid-configuration", _metadata, "GET"),
            at("/.well-known/oauth-authorization-server", _metadata, "GET"),
            at("/jwks", _jwks, "GET"),
            at("/authorize", authorize, "GET", "POST"),
            at("/token", token, "POST"),
            at("/revoke", revocation, "POST"),
            at("/userinfo", userinfo, "GET", "POST"),
            at("/end-session", _end_session, "GET", "POST"),
            at("/welcome/{secret}", welcome, "GET", "POST"),
            at("/identity.css", _style, "GET"),
        ],
        exception_handlers={HTTPException: problem},
    )


def metadata(issuer: Issuer) -> dict[str, Any]:
    """OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2."""
    url = issuer.settings.url
    return {
        "issuer": url,
        "authorization_endpoint": f"{url}/authorize",
        "token_endpoint": f"{url}/token",
        "userinfo_endpoint": f"{url}/userinfo",
        "revocation_endpoint": f"{url}/revoke",
        "end_session_endpoint": f"{url}/end-session",
        "jwks_uri": f"{url}/jwks",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "profile", "offline_access"],
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt", "self_signed_tls_client_auth"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256", "PS256", "RS256", "EdDSA"],
        "claims_supported": ["sub", "name", "preferred_username", "roles", "facilities", "supplier", "department", "sid"],
        "tls_client_certificate_bound_access_tokens": True,
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }  # fmt: skip


async def _metadata(issuer: Issuer, request: Request) -> Response:
    return JSONResponse(metadata(issuer), headers={"cache-control": "public, max-age=300"})


async def _jwks(issuer: Issuer, request: Request) -> Response:
    return JSONResponse(await issuer.keys.published(), headers={"cache-control": "public, max-age=60"})


async def _style(issuer: Issuer, request: Request) -> Response:
    headers = {"cache-control": "public, max-age=3600", "x-content-type-options": "nosniff"}
    return Response(pages.STYLE, headers=headers, media_type="text/css; charset=utf-8")


async def _end_session(issuer: Issuer, request: Request) -> Response:
    """OpenID Connect RP-Initiated Logout 1.0: asks first, for any page can send a browser here."""
    parameters = query(request)
    value = cookie(issuer, request, SESSION)
    now = issuer.clock()
    session = None
    if value is not None:
        async with issuer.pool.acquire() as connection:
            session = await sessions.by_cookie(connection, value, now=now, lifetimes=issuer.settings.session)
    if session is None or value is None:
        return await _after_sign_out(issuer, parameters)
    if request.method == "POST" and is_our_form(value, (await form(request)).get("form")):
        async with issuer.pool.acquire() as connection, connection.transaction():
            await sessions.end(connection, session.id, now=now, by=f"person:{session.account}")
        # The cookie stays: it opens nothing any more, and shows at the next sign-in that the person knows this browser.
        return await _after_sign_out(issuer, parameters)
    action = f"{issuer.settings.base}/end-session?{request.url.query}"
    return pages.page(
        issuer, "sign_out.html", form_goes_on_to=await _where_to(issuer, parameters), account=session.account,
        token=form_token(value), action=action,
    )  # fmt: skip


async def _after_sign_out(issuer: Issuer, parameters: Parameters) -> Response:
    """Back to the client, if the address is one of its own."""
    wanted = await _where_to(issuer, parameters)
    if wanted:
        return RedirectResponse(with_parameters(wanted, {"state": parameters.get("state")}), 303, pages.headers(wanted))
    return pages.sentence(issuer, "Signed out", "You are signed out everywhere.")


async def _where_to(issuer: Issuer, parameters: Parameters) -> str:
    """The address the client asked for and has registered; empty otherwise."""
    client_id, wanted = parameters.get("client_id"), parameters.get("post_logout_redirect_uri")
    client = await issuer.client(client_id) if client_id is not None else None
    return wanted if client is not None and wanted is not None and wanted in client.after_sign_out else ""
