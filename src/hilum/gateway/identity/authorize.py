"""The authorization endpoint: a person signs in, and the client gets a code (RFC 6749, RFC 7636, RFC 9207, RFC 9700).

Nothing is sent to an address that the client has not registered to the last character. Codes come with PKCE (S256) or not
at all. An answer says which issuer it comes from, so that clients of several cannot be confused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hilum.gateway.identity import pages
from hilum.gateway.identity.forms import Parameters, form, query, with_parameters
from hilum.gateway.identity.issuer import Client, Issuer, default_audience
from hilum.gateway.identity.pages import FORM, SESSION, cookie, form_token, is_our_form, set_cookie
from hilum.gateway.identity.sign_in import Attempt, sign_in
from hilum.identity import sessions
from hilum.identity.grants import new_code
from hilum.identity.sessions import Session

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # SHA-256 in base64url: nothing else comes out of S256.
_SCOPES = frozenset({"openid", "profile", "offline_access"})
_LONGEST = 512


class _Shown(Exception):
    """The request cannot be answered at the client's address, so a page says why."""


class _Refused(Exception):
    """The client is told (RFC 6749 section 4.1.2.1)."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.error = error
        self.description = description


@dataclass(frozen=True)
class _Asked:
    """A request that may be answered."""

    client: Client
    redirect_uri: str
    state: str | None
    nonce: str | None
    challenge: str
    scope: str
    audience: tuple[str, ...]
    prompt: str | None
    max_age_seconds: int | None


async def authorize(issuer: Issuer, request: Request) -> Response:
    """GET shows the sign-in page or, to who is signed in, gives the code at once; POST is the page's form."""
    parameters = query(request)
    try:
        client, redirect_uri = await _whom(issuer, parameters)
    except _Shown as why:
        return pages.sentence(issuer, "This cannot go on", str(why), status=400)
    try:
        asked = _asked(parameters, client, redirect_uri)
        session = await _session(issuer, request, asked)
        if session is not None:
            return await _code(issuer, asked, session)
        if asked.prompt == "none":
            raise _Refused("login_required", "nobody is signed in")
    except _Refused as refused:
        answer = {"error": refused.error, "error_description": refused.description}
        return _back(issuer, redirect_uri, parameters.get("state"), answer)
    if request.method == "POST":
        return await _signed_in(issuer, request, asked)
    return _sign_in_page(issuer, request, asked)


async def _whom(issuer: Issuer, parameters: Parameters) -> tuple[Client, str]:
    """The client and an address of its own; without both nothing is redirected anywhere."""
    client_id = parameters.get("client_id")
    client = await issuer.client(client_id) if client_id is not None else None
    if client is None:
        raise _Shown("The program that sent you here is not known. Go back to it and tell who runs it.")
    redirect_uri = parameters.get("redirect_uri")
    if redirect_uri is None or redirect_uri not in client.redirect_uris:
        raise _Shown("The program that sent you here wants the answer at an address that is not its own.")
    return client, redirect_uri


def _asked(parameters: Parameters, client: Client, redirect_uri: str) -> _Asked:
    for name in ("request", "request_uri", "registration"):
        if name in parameters:
            raise _Refused(f"{name}_not_supported", "parameters stand in the address here")
    if parameters.get("response_type") != "code":
        raise _Refused("unsupported_response_type", "only code is given")
    if parameters.get("response_mode") not in (None, "query"):
        raise _Refused("invalid_request", "only the response mode query is known")
    challenge = parameters.get("code_challenge")
    if challenge is None or parameters.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise _Refused("invalid_request", "a PKCE code_challenge of the method S256 is needed")
    state, nonce = parameters.get("state"), parameters.get("nonce")
    if any(value is not None and len(value) > _LONGEST for value in (state, nonce)):
        raise _Refused("invalid_request", "state and nonce have at most 512 characters")
    given = parameters.get("scope")
    scope = " ".join(sorted(set(given.split(" ")) & _SCOPES)) if given is not None else ""
    max_age = parameters.get("max_age")
    if max_age is not None and not (max_age.isascii() and max_age.isdigit() and len(max_age) < 9):
        raise _Refused("invalid_request", "max_age is a number of seconds")
    return _Asked(
        client, redirect_uri, state, nonce, challenge, scope, _audience(parameters, client), parameters.get("prompt"),
        None if max_age is None else int(max_age),
    )  # fmt: skip


def _audience(parameters: Parameters, client: Client) -> tuple[str, ...]:
    """What the access token will be for: what is asked for (RFC 8707), and never more than the client may."""
    allowed = client.audience
    wanted = parameters.every("resource")
    if any(name not in allowed for name in wanted):
        raise _Refused("invalid_target", "the client gets no token for this resource")
    return wanted if wanted else allowed


async def _session(issuer: Issuer, request: Request, asked: _Asked) -> Session | None:
    """Who is signed in with this browser, unless the client wants to see the person sign in again."""
    value = cookie(issuer, request, SESSION)
    if value is None or asked.prompt == "login" or request.method == "POST":
        return None
    now = issuer.clock()
    async with issuer.pool.acquire() as connection:
        found = await sessions.by_cookie(connection, value, now=now, lifetimes=issuer.settings.session)
    if found is not None and asked.max_age_seconds is not None:
        return found if (now - found.began_at).total_seconds() <= asked.max_age_seconds else None
    return found


async def _signed_in(issuer: Issuer, request: Request, asked: _Asked) -> Response:
    sent = await form(request)
    if not is_our_form(cookie(issuer, request, FORM), sent.get("form")):
        return _sign_in_page(issuer, request, asked, "The page was open for too long. Try again.", status=400)
    login, password = sent.get("login"), sent.get("password")
    earlier = cookie(issuer, request, SESSION)
    peer = request.client.host if request.client is not None else "unknown"
    if login is None or password is None:
        return _sign_in_page(issuer, request, asked, "Both login and password are needed.", status=400)
    outcome = await sign_in(issuer, Attempt(login, password, peer, earlier))
    if outcome.session is None:
        answer = _sign_in_page(issuer, request, asked, outcome.problem, status=429 if outcome.wait_seconds else 401)
        if outcome.wait_seconds:
            answer.headers["retry-after"] = str(outcome.wait_seconds)
        return answer
    answer = await _code(issuer, asked, outcome.session)
    set_cookie(issuer, answer, SESSION, outcome.cookie)
    # The next form gets a token of its own: one that was known before the sign-in is worth nothing after it.
    set_cookie(issuer, answer, FORM, issuer.secret())
    return answer


async def _code(issuer: Issuer, asked: _Asked, session: Session) -> Response:
    code = issuer.secret()
    async with issuer.pool.acquire() as connection, connection.transaction():
        await new_code(
            connection, code, client=asked.client.id, session=session.id, redirect_uri=asked.redirect_uri,
            challenge=asked.challenge, nonce=asked.nonce, scope=asked.scope,
            audience=asked.audience if asked.audience or asked.client.id == "tower" else default_audience(()),
            now=issuer.clock(),
        )  # fmt: skip
    return _back(issuer, asked.redirect_uri, asked.state, {"code": code})


def _back(issuer: Issuer, redirect_uri: str, state: str | None, answer: dict[str, str]) -> Response:
    """303, so that a form's password is not sent on (RFC 9700 section 4.12)."""
    location = with_parameters(redirect_uri, {**answer, "state": state, "iss": issuer.settings.url})
    return RedirectResponse(location, 303, pages.headers(redirect_uri))


def _sign_in_page(issuer: Issuer, request: Request, asked: _Asked, problem: str = "", status: int = 200) -> Response:
    secret = cookie(issuer, request, FORM)
    fresh = issuer.secret() if secret is None else secret
    answer = pages.page(
        issuer, "sign_in.html", status=status, form_goes_on_to=asked.redirect_uri, client=asked.client, problem=problem,
        token=form_token(fresh), action=f"{issuer.settings.base}/authorize?{request.url.query}",
    )  # fmt: skip
    if secret is None:
        set_cookie(issuer, answer, FORM, fresh)
    return answer
