"""One entry of the audit log: who did what to what, when, as canonical JSON bytes (RFC 8785).

The bytes are what is hashed, so one fact must have one spelling: keys sorted, no spaces, UTF-8, no floats, times in
UTC with six digits of a second. Entries carry identifiers, digests and amounts; never protected health information,
because an append-only log cannot forget.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from hilum.authoring.caller import Actor

VERSION = 1
MESSAGE_ACCEPTED = "message.accepted"
"""Detail: ``sha256``, the hexadecimal digest of the message's raw bytes. Subject: ``m/<shard>/<seq>`` of the message."""
MESSAGE_EXPIRED = "message.expired"
"""Detail: ``through_seq``. Subject: ``m/<shard>``. Retention removed the shard's messages up to and including it; with
``from_seq`` only those from there, which a wrong clock had dated."""

_ACTOR = re.compile(r"(system|person|service|webhook|anonymous):[^\s\x00-\x1f\x7f]{1,200}")
_ACTION = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_SUBJECT = re.compile(r"[^\x00-\x1f\x7f]{1,500}")
_PLAIN = frozenset({str, int, bool, type(None)})
_DETAIL_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


class MalformedEntry(ValueError):
    """An entry that cannot be written, or bytes that are not an entry; the text says which field and why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One state change.

    ``actor`` is ``system:<part>``, ``person:<login>`` or another kind of caller (``service:ap-bot``); ``action`` is
    dotted, noun first (``message.accepted``); ``subject`` is the thing's address, up to 500 characters (``m/0/123``);
    ``detail`` holds strings, integers up to 2**53, booleans, nulls, lists and objects of these. What was done at the
    terminal gets the login it was done through as ``by``, whomever ``--as`` names.
    """

    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)

    def canonical(self) -> bytes:
        """The exact bytes that are stored and hashed; MalformedEntry when a field breaks the rules above."""
        if not _ACTOR.fullmatch(self.actor):
            raise MalformedEntry(
                f"actor {self.actor!r} is neither system:<part> nor person:<login> nor another caller's"
            )
        if not _ACTION.fullmatch(self.action):
            raise MalformedEntry(f"action {self.action!r} is not dotted lower case such as message.accepted")
        if not _SUBJECT.fullmatch(self.subject):
            raise MalformedEntry("the subject must be 1 to 500 characters without control characters")
        detail = {**self.detail, "by": self.actor.login} if isinstance(self.actor, Actor) else self.detail
        return entry_bytes(at_text(self.at), self.actor, self.action, self.subject, canonical_detail(detail))


def at_text(at: datetime) -> str:
    """An instant as every entry spells it: 2026-11-21T08:00:00.000000Z, 27 characters that sort as time does."""
    if at.utcoffset() is None:
        raise MalformedEntry("the time of an entry needs its time zone")
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at.year >= 1000 else _refuse_year(at)


def _refuse_year(at: datetime) -> str:
    raise MalformedEntry(f"the year {at.year} of an entry does not have four digits")


def canonical_detail(detail: Mapping[str, Any]) -> bytes:
    """Detail as canonical JSON; MalformedEntry names the path of a value that has no canonical spelling."""
    _refuse_ambiguous(detail, "detail")
    try:
        return orjson.dumps(detail if type(detail) is dict else dict(detail), option=_DETAIL_OPTIONS)
    except TypeError as failure:
        raise MalformedEntry(f"detail cannot be written as JSON: {failure}") from failure


def _refuse_ambiguous(value: object, path: str) -> None:
    if type(value) in _PLAIN or isinstance(value, str | int):
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if type(inner) in _PLAIN and type(key) is str and key.isascii():
                continue  # Nearly all of them, on the way of every recorded answer.
            # RFC 8785 sorts keys by UTF-16 units and orjson by code points: they differ above U+FFFF only.
            if not isinstance(key, str) or (key and max(key) > "\uffff"):
                raise MalformedEntry(f"{path} has a key that is no string of the basic multilingual plane")
            _refuse_ambiguous(inner, f"{path}.{key}")
        return
    if isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            if type(inner) not in _PLAIN:
                _refuse_ambiguous(inner, f"{path}[{place}]")
        return
    raise MalformedEntry(f"{path} is a {type(value).__name__}: write amounts as strings, times as text, never floats")


@lru_cache(maxsize=1024)
def _prefix(actor: str, action: str) -> bytes:
    return b'{"action":' + orjson.dumps(action) + b',"actor":' + orjson.dumps(actor) + b',"at":"'


def entry_bytes(at: str, actor: str, action: str, subject: str, detail_json: bytes) -> bytes:
    """The canonical bytes from parts, for the hot path: under a microsecond, nothing checked.

    ``at`` comes from ``at_text`` (one call serves a batch) and ``detail_json`` is canonical already; a caller that
    formats it by hand keeps the keys sorted. Everything else goes through ``Entry.canonical``.
    """
    return b'%b%b","detail":%b,"subject":%b,"v":1}' % (
        _prefix(actor, action),
        at.encode(),
        detail_json,
        orjson.dumps(subject),
    )


def parse(entry: bytes) -> dict[str, Any]:
    """The fields of stored bytes; MalformedEntry when they are not an entry of a version this release knows."""
    try:
        fields = orjson.loads(entry)
    except orjson.JSONDecodeError as failure:
        raise MalformedEntry(f"the bytes are not JSON: {failure}") from failure
    if not isinstance(fields, dict) or fields.get("v") != VERSION:
        raise MalformedEntry(f"the bytes are not an audit entry of version {VERSION}")
    for name in ("at", "actor", "action", "subject"):
        if not isinstance(fields.get(name), str):
            raise MalformedEntry(f"the entry has no text {name!r}")
    if not isinstance(fields.get("detail"), dict):
        raise MalformedEntry("the entry has no detail")
    return fields


Sealed = tuple[str, bytes]
"""A subject and the canonical bytes of its entry, as ``entry_bytes`` made them."""


def sealed(entries: Sequence["Entry | Sealed"]) -> list[Sealed]:
    """Entries of either form as (subject, canonical bytes)."""
    return [(entry.subject, entry.canonical()) if isinstance(entry, Entry) else entry for entry in entries]
