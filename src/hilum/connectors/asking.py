"""One HTTP exchange with a system, and what its failures mean: the same for every connector that speaks HTTP."""

from __future__ import annotations

from typing import Any

import httpx2

from hilum.authoring.failures import Throttled, Unavailable
from hilum.connectors.vendor_answers import wait_seconds
from hilum.security.egress_http import why_refused

_LATER = frozenset({408, 425, 429})


async def exchange(http: httpx2.AsyncClient, system: str, method: str, url: str, **request: Any) -> httpx2.Response:
    """The system's answer, good or bad. ``Unavailable`` when there is none, or it says to come back; ``Throttled`` for a 429."""
    try:
        answer = await http.request(method, url, **request)
    except httpx2.TimeoutException as error:
        raise Unavailable(system, f"no answer in time ({type(error).__name__})") from None
    except httpx2.TransportError as error:
        reason = why_refused(error) or f"connection failed ({type(error).__name__})"
        raise Unavailable(system, reason) from None
    if answer.status_code >= 500 or answer.status_code in _LATER:
        kind = Throttled if answer.status_code == 429 else Unavailable
        raise kind(system, f"answered {answer.status_code}", wait_seconds(answer.headers))
    return answer
