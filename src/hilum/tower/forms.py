"""The page's forms: small, URL-encoded, read once."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request

MOST_BYTES = 4096
MOST_OF_PROSE_BYTES = 16_384
"""For forms in which somebody writes sentences."""


async def read_form(request: Request, *, most_bytes: int = MOST_BYTES) -> dict[str, str]:
    """The fields of a form without the blank ones. ``HTTPException`` 413 for a larger body."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise HTTPException(413, "That is too long for anything that is asked here.")
    fields = parse_qs(body.decode(errors="replace"), max_num_fields=20)
    return {name: values[0].strip() for name, values in fields.items() if values[0].strip()}


def needed(sent: dict[str, str], name: str, otherwise: str) -> str:
    """A field that must be there; ``HTTPException`` 400 with the sentence ``otherwise`` when it is not."""
    value = sent.get(name)
    if value is None:
        raise HTTPException(400, otherwise)
    return value
