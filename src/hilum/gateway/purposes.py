"""Why a request is made, as its headers say: ``Purpose-Of-Use``, or the number of a break-glass grant in ``Break-Glass``.

Each is one plain word: a header that comes twice or holds a list (RFC 9110 section 5.3) is refused, for which of its
members counted would be anybody's guess.
"""

from __future__ import annotations

import re

from hilum.authoring.caller import EMERGENCY, STATED_PURPOSES, Caller
from hilum.gateway.problems import Refusal

PURPOSE_HEADER, GRANT_HEADER = b"purpose-of-use", b"break-glass"
_GRANT = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


def purpose_in(header: str | None) -> str | None:
    """The purpose that was stated; None for none. ``Refusal`` 400 for anything but one of ``STATED_PURPOSES``."""
    if header is None or header in STATED_PURPOSES:
        return header
    known = ", ".join(STATED_PURPOSES)
    raise _malformed(
        "Purpose-Of-Use",
        f"an {EMERGENCY} is not stated but granted: break the glass and send Break-Glass; what can be stated: {known}"
        if header == EMERGENCY
        else f"it is one of {known}",
    )


def grant_in(header: str | None) -> int | None:
    """The number of the grant under which the request is made; None for none. ``Refusal`` 400 for what is no number."""
    if header is None:
        return None
    if not _GRANT.fullmatch(header):
        raise _malformed("Break-Glass", "it is the number of one grant")
    return int(header)


def refuse_other(stated: str | None, under: Caller) -> None:
    """``Refusal`` 400 when another purpose was stated than the grant is for: one request has one purpose."""
    if stated is not None and stated != under.purpose:
        raise _malformed("Purpose-Of-Use", "the grant says the purpose; leave this header out")


def _malformed(header: str, what: str) -> Refusal:
    return Refusal(
        "malformed", f"{header}: {what}", errors=({"in": "header", "pointer": f"#/{header}", "detail": what},)
    )
