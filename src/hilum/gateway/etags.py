"""Entity tags (RFC 9110 section 8.8): ``"<state>.<view>"``, the state of the thing and what of it this caller is shown.

The state is the answer's own field (a version number), or a keyed digest of the whole answer: an unkeyed one would let
whoever sees a masked field try values until the digest fits. ``If-Match`` looks at the state alone.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

import orjson

from hilum.gateway.problems import Refusal

_LONGEST = 1024


class Tags:
    """``key`` is the same in every process of the door."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def digest(self, operation: str, answer: Mapping[str, Any]) -> str:
        """The state of an answer that has no version of its own."""
        return hmac.digest(self._key, operation.encode() + b"\0" + orjson.dumps(answer), sha256)[:12].hex()


def tag(state: str, masked: Iterable[str]) -> str:
    view = "-".join(sorted(masked))
    return f'"{state}.{view}"' if view else f'"{state}"'


def tags_in(header: str) -> list[str]:
    """The opaque tags of an ``If-Match`` or ``If-None-Match``, ``*`` included; ``Refusal`` 400 for what is none.

    Commas inside a tag are nothing this door ever gave.
    """
    if len(header) > _LONGEST:
        raise Refusal("malformed", "the entity tag is longer than any of this door's")
    found = []
    for part in header.split(","):
        text = part.strip(" \t").removeprefix("W/")
        if text != "*" and not (len(text) >= 2 and text[0] == text[-1] == '"' and '"' not in text[1:-1]):
            raise Refusal("malformed", "an entity tag is a text in double quotes")
        found.append(text)
    return found


def state_of(opaque: str) -> str:
    """The state inside a tag."""
    return opaque.strip('"').partition(".")[0]


def unchanged(if_none_match: str, current: str) -> bool:
    """Whether the caller has just this (weak comparison, RFC 9110 section 13.1.2)."""
    given = tags_in(if_none_match)
    return "*" in given or current in given


def expected_state(if_match: str) -> str | None:
    """The one state that the caller expects; None for ``*``, any. ``Refusal`` 400 for several: which one would count?"""
    given = tags_in(if_match)
    if len(given) != 1:
        raise Refusal("malformed", "If-Match names exactly one entity tag here")
    return None if given[0] == "*" else state_of(given[0])
