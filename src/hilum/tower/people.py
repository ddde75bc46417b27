"""Who looks at the page: signed in at the estate's provider, and shown what the policies let them see.

Cookies: the session's is HttpOnly and SameSite=Strict, and with TLS bound to this host. Because a strict cookie is not sent
along when a browser comes from the provider, the callback answers with a page that leads on, not with a redirect.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import asyncpg
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hilum.audit.access import DENIAL, Access
from hilum.authoring.caller import Caller
from hilum.authoring.estate_identity import IdentitySpec
from hilum.identity import page_sessions
from hilum.identity.digests import derived, is_same
from hilum.identity.page_sessions import PageSession
from hilum.identity.places import TOWER, announce
from hilum.identity.sessions import Lifetimes
from hilum.runtime import break_glass
from hilum.runtime.break_glass import Grant
from hilum.security.decisions import Resource
from hilum.security.identity.refusals import IdentityAway
from hilum.security.identity.relying_party import Arrived, Begun, SignInFailed
from hilum.security.policies import Policies

log = logging.getLogger(__name__)

CALLBACK = "/sign-in/callback"
_SESSION, _UNDER_WAY = "hilum_page", "hilum_page_sign_in"
_HERE = re.compile(r"/(?![/\\])[\x21-\x7e]{0,500}")


class Recorder(Protocol):
    """Where accesses are recorded (``audit.access.AccessLog``)."""

    async def record(self, access: Access) -> None: ...


class Provider(Protocol):
    """Where people sign in (``security.identity.relying_party.RelyingParty``)."""

    async def address(self, begun: Begun, state: str) -> str: ...

    async def arrive(self, begun: Begun, *, code: str, said_issuer: str | None) -> Arrived: ...

    async def end_session_address(self, issuer: str, back_to: str) -> str | None: ...


class NotSignedIn(Exception):
    """Nobody is signed in with this browser."""


class NotAllowed(Exception):
    """The policies do not let this person do that."""


class FormRefused(Exception):
    """A form that this page did not give to this browser."""


@dataclass(frozen=True)
class Visitor:
    """Who is looking, and what their forms have to bring along.

    ``caller`` is as policies see them: with the purpose of their session, or under ``grant``, the newest of their
    break-glass grants in force. ``here`` is where a form of the head bar leads back to.
    """

    caller: Caller
    name: str
    form: str
    own: Caller
    grant: Grant | None = None
    here: str = "/"

    @property
    def themselves(self) -> Visitor:
        """Without the grant: nobody asks for, ends or reviews grants by what a grant opens."""
        return replace(self, caller=self.own, grant=None)


class People:
    """Sign-in, sessions and decisions of the page. ``policy`` decides; what it denies is recorded."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        spec: IdentitySpec,
        policy: Policies,
        provider: Provider,
        access: Recorder,
        *,
        clock: Callable[[], datetime],
        secret: Callable[[], str],
        lifetimes: Lifetimes,
    ) -> None:
        self.policy = policy
        self.access = access
        self._pool = pool
        self._spec = spec
        self._provider = provider
        self._clock = clock
        self._secret = secret
        self._lifetimes = lifetimes
        self._url: str | None = str(spec.tower_url) if spec.tower_url is not None else None

    async def reached_at(self, url: str) -> None:
        """Say where this page is reached, unless the estate says it; from then on people can sign in."""
        self._url = str(self._spec.tower_url if self._spec.tower_url is not None else url).rstrip("/")
        async with self._pool.acquire() as connection:
            await announce(connection, TOWER, self._url, now=self._clock())

    # --- who it is, and what they may do

    async def visitor(self, request: Request) -> Visitor:
        """Who is looking; ``NotSignedIn`` otherwise."""
        cookie = self._cookie(request, _SESSION)
        if cookie is None:
            raise NotSignedIn
        async with self._pool.acquire() as connection:
            found = await page_sessions.by_cookie(connection, cookie, now=self._clock(), lifetimes=self._lifetimes)
            if found is None:
                raise NotSignedIn
            held = await break_glass.of_person(connection, found.caller.actor, now=self._clock())
        grant = held[0] if held else None
        caller = found.caller if grant is None else break_glass.under(found.caller, grant)
        return Visitor(caller, found.name, derived(cookie, "form"), found.caller, grant, _here(request))

    async def allow(
        self, request: Request, action: str, resource: Resource, *, visitor: Visitor | None = None
    ) -> Visitor:
        """The visitor, if the policies allow it; a denial is recorded and raises ``NotAllowed``."""
        who = visitor if visitor is not None else await self.visitor(request)
        decision = self.policy.decide(who.caller, action, resource)
        if not decision:
            await self.access.record(
                Access(
                    who.caller, DENIAL, f"tower.{action}", resource.type, (f"{resource.type}/{resource.id or '*'}",),
                    peer=peer(request), policies=decision.policies, policy_version=self.policy.version,
                )
            )  # fmt: skip
            raise NotAllowed
        return who

    def may(self, visitor: Visitor, action: str, resource: Resource) -> bool:
        """Whether to offer something; doing it asks again."""
        return bool(self.policy.decide(visitor.caller, action, resource))

    def sees_phi(self, visitor: Visitor, resource: Resource) -> bool:
        return self.policy.sees(visitor.caller, "phi", resource)

    # --- why they look

    async def choose_purpose(self, request: Request, purpose: str) -> None:
        """Why whoever is signed in looks from now on; ``ValueError`` for what nobody chooses."""
        cookie = self._cookie(request, _SESSION)
        if cookie is None:
            raise NotSignedIn
        async with self._pool.acquire() as connection, connection.transaction():
            await page_sessions.choose_purpose(connection, cookie, purpose, now=self._clock())

    async def use_grant(self, visitor: Visitor, operation: str, subject: str) -> None:
        """Record what is about to be shown under a grant. ``BreakGlassRefused`` when it ended meanwhile: then nothing is."""
        if visitor.grant is None:
            return
        async with self._pool.acquire() as connection, connection.transaction():
            await break_glass.used(
                connection, visitor.grant.id, actor=visitor.caller.actor, operation=operation, subject=subject,
                now=self._clock(),
            )  # fmt: skip

    def refuse_foreign_form(self, request: Request, visitor: Visitor, sent: str | None) -> None:
        """``FormRefused`` unless the form is one of ours, for this session, sent from our own page (RFC 6749 sec. 10.12)."""
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise FormRefused
        if not is_same(sent, visitor.form):
            raise FormRefused

    # --- signing in and out

    async def sign_in(self, request: Request) -> Response:
        """Send the browser to the provider."""
        if self._url is None:
            raise IdentityAway("the page does not know its own address yet")
        state, browser = self._secret(), self._secret()
        return_to = within(request.query_params.get("to"))
        begun = self._begun(self._spec.sign_in, browser)
        address = await self._provider.address(begun, state)
        async with self._pool.acquire() as connection:
            await page_sessions.begin_sign_in(
                connection, state, browser=browser, issuer=begun.issuer, return_to=return_to, now=self._clock()
            )
        answer = RedirectResponse(address, 303)
        # Lax: the provider's redirect back is a navigation from elsewhere, and has to bring it along.
        self._set_cookie(answer, _UNDER_WAY, browser, samesite="lax", seconds=600)
        return answer

    async def arrive(self, request: Request) -> tuple[str, str]:
        """Take the provider's answer: the address to go on to, and the new session's cookie for ``welcome``.

        ``SignInFailed`` with a sentence for the person.
        """
        given = request.query_params
        state, code, browser = given.get("state"), given.get("code"), self._cookie(request, _UNDER_WAY)
        if state is None or browser is None:
            raise SignInFailed("This sign-in was not begun in this browser, or too long ago. Begin again.")
        async with self._pool.acquire() as connection:
            found = await page_sessions.end_sign_in(connection, state, browser=browser, now=self._clock())
        if found is None:
            raise SignInFailed("This sign-in was not begun in this browser, or too long ago. Begin again.")
        if code is None:
            raise SignInFailed("The provider did not sign you in.")
        issuer, return_to = found
        arrived = await self._provider.arrive(self._begun(issuer, browser), code=code, said_issuer=given.get("iss"))
        cookie = self._secret()
        async with self._pool.acquire() as connection, connection.transaction():
            await page_sessions.begin(
                connection, PageSession(arrived.caller, arrived.name, issuer), cookie=cookie,
                earlier=self._cookie(request, _SESSION), now=self._clock(), lifetimes=self._lifetimes,
            )  # fmt: skip
        return return_to, cookie

    def welcome(self, answer: Response, cookie: str) -> Response:
        """An answer that signs the browser in."""
        self._set_cookie(answer, _SESSION, cookie, samesite="strict")
        answer.delete_cookie(self._called(_UNDER_WAY), path="/")
        return answer

    async def sign_out(self, request: Request) -> str | None:
        """End the session everywhere; where the person signs out of the provider too, if that is somewhere else."""
        cookie = self._cookie(request, _SESSION)
        if cookie is None or self._url is None:
            return None
        async with self._pool.acquire() as connection, connection.transaction():
            await page_sessions.sign_out(connection, cookie, now=self._clock())
        return await self._provider.end_session_address(self._spec.sign_in, self._url + "/signed-out")

    def forget(self, answer: Response) -> Response:
        answer.delete_cookie(self._called(_SESSION), path="/", secure=self._is_secure, httponly=True, samesite="strict")
        return answer

    def _begun(self, issuer: str, browser: str) -> Begun:
        """Nonce and verifier come from the browser's own secret, so that the database alone could not finish a sign-in."""
        assert self._url is not None
        return Begun(issuer, self._url + CALLBACK, derived(browser, "nonce"), derived(browser, "verifier"))

    # --- cookies

    @property
    def _is_secure(self) -> bool:
        return self._url is not None and self._url.startswith("https://")

    def _called(self, name: str) -> str:
        return f"__Host-{name}" if self._is_secure else name

    def _cookie(self, request: Request, name: str) -> str | None:
        value = request.cookies.get(self._called(name))
        return value if value and len(value) <= 200 else None

    def _set_cookie(
        self, answer: Response, name: str, value: str, *, samesite: Any, seconds: int | None = None
    ) -> None:
        answer.set_cookie(
            self._called(name), value, max_age=seconds, path="/", secure=self._is_secure, httponly=True, samesite=samesite
        )  # fmt: skip


def within(address: str | None) -> str:
    """An address of this page to lead back to; the overview for anything else."""
    return address if address is not None and _HERE.fullmatch(address) else "/"


def _here(request: Request) -> str:
    """Where the browser is, as an address that can be opened again."""
    if request.method not in ("GET", "HEAD"):
        return "/"
    return within(request.url.path + (f"?{request.url.query}" if request.url.query else ""))


def peer(request: Request) -> str:
    """The address the request came from."""
    return request.client.host if request.client is not None else ""
