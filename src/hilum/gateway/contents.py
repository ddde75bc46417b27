"""What comes in the body and what may go out in it: size, media types, and JSON read without its ambiguities."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NoReturn

from hilum.gateway.problems import Refusal

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

BODY_SECONDS = 10.0
"""The longest that any body is waited for, however long its operation may take afterwards."""

_LONGEST_NUMBER = 40
_LARGEST_INTEGER = 2**63 - 1
# A string that nobody closes ends with the text: were it no match, each quote in it would be tried anew, in quadratic time.
_STRUCTURE = re.compile(r'"(?>(?:[^"\\]|\\.)*)(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_WEIGHT_ZERO = re.compile(rb"^q=0(?:\.0{0,3})?$")


class Gone(Exception):
    """The caller hung up before the request was complete: there is nobody to answer."""


async def read_body(receive: Receive, content_length: bytes | None, *, max_bytes: int, timeout_seconds: float) -> bytes:
    """The whole body. ``Refusal`` 413 as soon as it is known to be too large, 408 when it does not arrive in time."""
    timeout_seconds = min(timeout_seconds, BODY_SECONDS)
    if content_length is not None and (not content_length.isdigit() or int(content_length[:19]) > max_bytes):
        raise _too_large(max_bytes)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                part: bytes = message.get("body", b"")
                size += len(part)
                if size > max_bytes:
                    raise _too_large(max_bytes)
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts) if len(parts) > 1 else part
    except TimeoutError:
        raise Refusal(
            "too-slow", f"the body did not arrive within {timeout_seconds:g} s", headers=(("connection", "close"),)
        ) from None


def _too_large(max_bytes: int) -> Refusal:
    return Refusal("too-large", f"the body may have {max_bytes} bytes", headers=(("connection", "close"),))


def refuse_content(content_type: bytes | None, content_encoding: bytes | None, *, patch: bool) -> None:
    """415 for everything but uncompressed JSON in UTF-8: a body that has to be unpacked first could be a bomb."""
    if content_encoding is not None and content_encoding.strip().lower() not in (b"", b"identity"):
        raise Refusal("unsupported-media-type", "send the body uncompressed")
    wanted = (b"application/json", b"application/merge-patch+json") if patch else (b"application/json",)
    media, _, parameters = (b"" if content_type is None else content_type).partition(b";")
    named = parameters.strip().lower().replace(b'"', b"").replace(b" ", b"")
    if media.strip().lower() not in wanted or named not in (b"", b"charset=utf-8"):
        accept = b", ".join(reversed(wanted)).decode()
        header = "accept-patch" if patch else "accept-post"
        raise Refusal("unsupported-media-type", f"send {accept}", headers=((header, accept),))


def refuse_unacceptable(accept: bytes | None) -> None:
    """406 when JSON is not among what the caller takes (RFC 9110 section 12.5.1)."""
    if accept is None or accept == b"*/*" or accept == b"application/json":
        return
    best: tuple[int, bool] = (-1, True)
    for part in accept.split(b","):
        media, *parameters = [piece.strip().lower() for piece in part.split(b";")]
        rank = {b"*/*": 0, b"application/*": 1, b"application/json": 2}.get(media, -1)
        if rank > best[0]:
            best = (rank, not any(_WEIGHT_ZERO.match(p.replace(b" ", b"")) for p in parameters))
    if best[0] < 0 or not best[1]:
        raise Refusal("not-acceptable")


def strict_json(body: bytes, *, max_depth: int) -> Any:
    """A JSON value that every reader understands alike (RFC 8259, I-JSON RFC 7493); ``Refusal`` 400 otherwise.

    Refused: another encoding than UTF-8, members given twice, NaN and infinities, integers beyond 64 bits, numbers of
    absurd length, nesting deeper than ``max_depth``, the character NUL, lone surrogates.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise _malformed("the body is no UTF-8") from None
    if text.count("[") + text.count("{") > max_depth:
        _refuse_depth(text, max_depth)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _malformed(f"the body is no JSON: line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _malformed(f"the body is nested deeper than {max_depth}") from None
    if "\\u" in text:
        _refuse_characters(value)
    return value


def _refuse_depth(text: str, max_depth: int) -> None:
    depth = 0
    for token in _STRUCTURE.finditer(text):
        mark = text[token.start()]
        if mark in "[{":
            depth += 1
            if depth > max_depth:
                raise _malformed(f"the body is nested deeper than {max_depth}")
        elif mark in "]}":
            depth -= 1


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _malformed("an object has a member twice")
    return members


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -_LARGEST_INTEGER - 1 <= (value := int(digits)) <= _LARGEST_INTEGER:
        raise _malformed("an integer has more than 64 bits; send it as text if it is an identifier")
    return value


def _number(digits: str) -> float:
    value = float(digits) if len(digits) <= _LONGEST_NUMBER else float("inf")
    if value in (float("inf"), float("-inf")):
        raise _malformed("a number is larger or longer than any reader takes")
    return value


def _constant(name: str) -> NoReturn:
    raise _malformed(f"{name} is no JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_number, parse_constant=_constant
)


def _refuse_characters(value: Any) -> None:
    """Only escapes can bring them in, so this runs for bodies with escapes alone."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            if "\0" in found or any("\ud800" <= character <= "\udfff" for character in found):
                raise _malformed("a text holds NUL or half of a surrogate pair")
        elif isinstance(found, dict):
            waiting.extend(found)
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)


def _malformed(why: str) -> Refusal:
    return Refusal("malformed", why)
