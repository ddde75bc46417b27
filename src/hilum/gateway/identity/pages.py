"""The issuer's few pages: rendered here, without scripts, framed by nobody, sending forms nowhere but here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from hilum.gateway.identity.issuer import Issuer
from hilum.identity.digests import derived, is_same

STYLE = (Path(__file__).parent / "identity.css").read_bytes()

_ENVIRONMENT = Environment(
    loader=PackageLoader("hilum.gateway.identity", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def headers(form_goes_on_to: str = "") -> dict[str, str]:
    """``form_goes_on_to``: the client's address to which an answered form leads; browsers hold redirects against it too."""
    parts = urlsplit(form_goes_on_to)
    also = f" {parts.scheme}://{parts.netloc}" if parts.netloc else ""
    return {
        "content-security-policy": f"default-src 'none'; style-src 'self'; form-action 'self'{also}; base-uri 'none'; frame-ancestors 'none'",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
        "cache-control": "no-store",
    }


def page(issuer: Issuer, template: str, *, status: int = 200, form_goes_on_to: str = "", **values: Any) -> HTMLResponse:
    """One page."""
    text = _ENVIRONMENT.get_template(template).render(
        estate=issuer.estate.title or issuer.estate.name, base=issuer.settings.base, **values
    )
    return HTMLResponse(text, status, headers(form_goes_on_to))


def sentence(
    issuer: Issuer, title: str, text: str, *, status: int = 200, link: Mapping[str, str] | None = None
) -> HTMLResponse:
    """A page that says one thing; ``link`` has ``href`` and ``text``."""
    return page(issuer, "sentence.html", status=status, title=title, text=text, link=link)


# --- cookies -----------------------------------------------------------------------------------------------------

SESSION, FORM = "hilum_issuer", "hilum_issuer_form"


def cookie(issuer: Issuer, request: Request, name: str) -> str | None:
    """The value of one of our cookies."""
    value = request.cookies.get(_called(issuer, name))
    return value if value and len(value) <= 200 else None


def set_cookie(issuer: Issuer, answer: Response, name: str, value: str, *, seconds: int | None = None) -> None:
    """With TLS its name begins with __Host-, so that nobody else can have set it (RFC 6265bis section 4.1.3.2)."""
    answer.set_cookie(
        _called(issuer, name), value, max_age=seconds, path="/", secure=issuer.settings.secure, httponly=True, samesite="strict"
    )  # fmt: skip


def _called(issuer: Issuer, name: str) -> str:
    return f"__Host-{name}" if issuer.settings.secure else name


def form_token(secret: str) -> str:
    """What a form has to send back to show that it was ours; derived from the cookie of the browser it was sent to."""
    return derived(secret, "form")


def is_our_form(secret: str | None, token: str | None) -> bool:
    return secret is not None and is_same(token, form_token(secret))
