"""From what a handler returned to what this caller is sent: contract, policies, masks, entity tag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import orjson
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from hilum.authoring.api import Accepted, Created, Page
from hilum.authoring.caller import Caller
from hilum.authoring.classification import PROTECTED
from hilum.gateway.asked import JSON, NO_STORE, Answer, Asked
from hilum.gateway.cursors import Cursors
from hilum.gateway.decisions import Attributes, Decisions, frozen
from hilum.gateway.endpoints import Endpoint
from hilum.gateway.etags import Tags, tag, unchanged
from hilum.gateway.problems import Headers, Refusal
from hilum.model.where import EVERYTHING, Where

_PRIVATE = (b"cache-control", b"private, no-cache")
_LOCATION_SAFE = "/-._~!$&'()*+,;=:@?"


class OutsideContract(Exception):
    """The answer is not what the contract says. ``causes`` are places in the contract, never values."""

    def __init__(self, causes: list[str]) -> None:
        super().__init__("; ".join(causes))
        self.causes = causes


@dataclass(slots=True)
class Told:
    """A handler's answer as plain JSON within its contract, before anybody's eyes are considered."""

    document: dict[str, Any] | None
    status: int
    location: str = ""


@dataclass(slots=True)
class Seen:
    """What of an answer this caller sees, for the audit log."""

    shown: set[str] = field(default_factory=set)
    masked: set[str] = field(default_factory=set)
    subjects: list[str] = field(default_factory=list)
    named: str = ""
    """The one thing that is answered about, by its own word, whether anything protected of it is seen or not."""
    found: int = 0


def told(endpoint: Endpoint, returned: Any, most: int) -> Told:
    """Check what the handler returned against the contract. ``OutsideContract``, or ``Refusal`` 404 for nothing."""
    status, location = endpoint.status, ""
    if isinstance(returned, Created | Accepted):
        status = 201 if isinstance(returned, Created) else 202
        returned, location = returned.body, returned.location
    if returned is None:
        if endpoint.answer is not None:
            raise Refusal("not-found")
        return Told(None, 204)
    document = _dumped(endpoint, returned, most)
    if endpoint.answer_checked is not None and not endpoint.answer_checked.is_valid(document):
        raise OutsideContract(endpoint.answer_checked.causes(document))
    return Told(document, status, location)


def _dumped(endpoint: Endpoint, returned: Any, most: int) -> dict[str, Any]:
    shape = endpoint.answer
    if shape is None:
        raise OutsideContract(["an answer where the contract has none"])
    try:
        if endpoint.operation.kind != "list":
            return _plain(shape, returned)
        if not isinstance(returned, Page):
            raise OutsideContract([f"a {type(returned).__name__} where the contract has a page"])
        if len(returned.items) > most:
            raise OutsideContract(["items/more than were asked for"])
        return {"items": [_plain(shape, item) for item in returned.items], "next": returned.next}
    except (PydanticSerializationError, UnicodeEncodeError):
        raise OutsideContract(["a value that its type cannot write"]) from None


def _plain(shape: type[BaseModel], value: Any) -> dict[str, Any]:
    if not isinstance(value, shape):
        raise OutsideContract([f"a {type(value).__name__} where the contract has {shape.__name__}"])
    return value.model_dump(mode="json", by_alias=True, warnings=False)


def attributes_of(endpoint: Endpoint, item: Mapping[str, Any]) -> dict[str, Any]:
    """The resource's attributes, from the answer itself; one that it does not hold is missing."""
    found = {}
    for attribute, path in endpoint.attributes:
        here: Any = item
        for part in path:
            here = here.get(part) if isinstance(here, dict) else None
        if here is not None and not isinstance(here, dict):
            found[attribute] = here
    return found


class Shown:
    """Makes answers fit for their callers."""

    def __init__(self, decisions: Decisions, tags: Tags, cursors: Cursors) -> None:
        self._decisions = decisions
        self._tags = tags
        self._cursors = cursors

    def one(
        self, asked: Asked, endpoint: Endpoint, answer: Told, about: Mapping[str, Any], where: Where
    ) -> tuple[Answer, Seen]:
        """One thing. ``Refusal`` 404 when ``where`` leaves it out, just as if it did not exist."""
        seen = Seen()
        if answer.document is None:
            return Answer(answer.status, kept=self._location(endpoint, answer)), seen
        item = answer.document
        seen.named = _named(endpoint, item)
        attributes = attributes_of(endpoint, item)
        if where is not EVERYTHING and not where.matches(attributes):
            raise Refusal("not-found")
        state = self.state(endpoint, item)
        hidden = self._hidden(asked.caller, endpoint, frozen(attributes if attributes else about))
        _mask(endpoint, item, hidden, seen)
        kept = self._location(endpoint, answer)
        cache = NO_STORE
        if state is not None:
            current = tag(state, hidden)
            kept.append((b"etag", current.encode("latin-1")))
            if not seen.shown & PROTECTED:
                cache = _PRIVATE
                kept.append((b"vary", b"authorization, purpose-of-use, break-glass"))
            known = asked.text(b"if-none-match")
            if known is not None and asked.scope["method"] in ("GET", "HEAD") and unchanged(known, current):
                return Answer(304, kept=kept, cache=cache), seen
        return Answer(answer.status, written(item), JSON, kept, cache), seen

    def page(
        self, asked: Asked, endpoint: Endpoint, document: dict[str, Any], where: Where, bound_to: bytes
    ) -> tuple[Answer, Seen, int]:
        """A page, and how many items of it were left out because the handler should not have returned them."""
        seen = Seen()
        shown = []
        # Records of one page mostly share their attributes, and what policies say of them.
        known: dict[Attributes, frozenset[str] | None] = {}
        for item in document["items"]:
            plain = attributes_of(endpoint, item)
            attributes = frozen(plain)
            if attributes not in known:
                inside = where is EVERYTHING or where.matches(plain)
                known[attributes] = self._hidden(asked.caller, endpoint, attributes) if inside else None
            hidden = known[attributes]
            if hidden is not None:
                _mask(endpoint, item, hidden, seen)
                shown.append(item)
        headers: Headers = []
        following = document["next"]
        if following is not None:
            following = self._cursors.sealed(following, bound_to)
            headers.append((b"link", _next_link(asked, following)))
        body = written({"items": shown, "next": following})
        return Answer(200, body, JSON, headers), seen, len(document["items"]) - len(shown)

    def state(self, endpoint: Endpoint, item: Mapping[str, Any]) -> str | None:
        """What an entity tag says of the thing; None where the operation has none."""
        if endpoint.operation.etag is None:
            return None
        if endpoint.etag_path is None:
            return self._tags.digest(endpoint.operation.resource, item)
        here: Any = item
        for part in endpoint.etag_path:
            here = here.get(part) if isinstance(here, dict) else None
        text = str(here)
        # A version that cannot stand in a header, or in front of the view's dot, is told by its digest.
        plain = text.isascii() and text.isprintable() and not set(text) & set('".,\\ ')
        return text if plain else self._tags.digest(endpoint.operation.resource, {"state": text})

    def _hidden(self, caller: Caller, endpoint: Endpoint, attributes: Attributes) -> frozenset[str]:
        """The classes that the caller may not see of a thing with these attributes."""
        if endpoint.masks is None:
            return frozenset()
        kind, sees = endpoint.operation.resource, self._decisions.sees
        return frozenset(c for c in endpoint.masks.classes if not sees(caller, c, kind, attributes))

    def _location(self, endpoint: Endpoint, answer: Told) -> Headers:
        if not answer.location:
            return []
        place = f"/{endpoint.operation.api.name}/v{endpoint.operation.version}{answer.location}"
        return [(b"location", quote(place, safe=_LOCATION_SAFE).encode())]


def written(document: dict[str, Any]) -> bytes:
    """A document as it is sent. ``OutsideContract`` for a number that JSON has no common reading of."""
    try:
        return orjson.dumps(document)
    except TypeError:
        raise OutsideContract(["an integer of more than 64 bits"]) from None


def _mask(endpoint: Endpoint, item: dict[str, Any], hidden: frozenset[str], seen: Seen) -> None:
    """Mask what is hidden of one item, and note what of it is seen."""
    seen.found += 1
    masks = endpoint.masks
    if masks is None:
        return
    visible = endpoint.protected - hidden
    if visible or not hidden <= seen.masked or not masks.classes - hidden <= seen.shown:
        present = masks.present(item)
        seen.shown |= present - hidden
        seen.masked |= present & hidden
        if endpoint.subject_path is not None and present & visible:
            name = _named(endpoint, item)
            if name:
                seen.subjects.append(name)
    if hidden:
        masks.apply(item, hidden)


def _named(endpoint: Endpoint, item: Mapping[str, Any]) -> str:
    """What the answer calls the thing that it is about; empty where it does not say."""
    value = item.get(endpoint.subject_path[0]) if endpoint.subject_path is not None else None
    if value is None:
        return ""
    return str(value.get("value", "")) if isinstance(value, dict) else str(value)


def _next_link(asked: Asked, cursor: str) -> bytes:
    """RFC 8288: the same address with the following page's cursor."""
    query = parse_qsl(asked.scope["query_string"].decode("ascii"), keep_blank_values=True)
    pairs = [(name, value) for name, value in query if name != "cursor"]
    path: bytes = asked.scope["raw_path"].replace(b"<", b"%3C").replace(b">", b"%3E")
    return b"<" + path + b"?" + urlencode([*pairs, ("cursor", cursor)]).encode() + b'>; rel="next"'
