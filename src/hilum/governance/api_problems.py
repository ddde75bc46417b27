"""The problems that the door answers with (RFC 9457): their types, what they mean and what the caller does then."""

from __future__ import annotations

from dataclasses import dataclass

PROBLEM_MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class ProblemType:
    """One kind of refusal. ``kind`` is the last part of its ``type``, ``/problems/<kind>``."""

    kind: str
    status: int
    title: str
    remedy: str

    @property
    def uri(self) -> str:
        return f"/problems/{self.kind}"


_TYPES = (
    ProblemType("malformed", 400, "The request cannot be read", "Correct its syntax; `errors` says where."),
    ProblemType("bad-cursor", 400, "The cursor is not one of ours", "Begin the list anew without a cursor."),
    ProblemType(
        "idempotency-key-missing", 400, "A write needs an Idempotency-Key",
        "Send a key of your own choosing (a UUID), the same one with every repeat of this request.",
    ),
    ProblemType("unauthenticated", 401, "Nobody is signed in", "Get an access token for this API's audience and send it."),
    ProblemType("forbidden", 403, "No policy allows this", "Ask the API's owner; `hilum policy explain` says what is missing."),
    ProblemType(
        "purpose-not-agreed", 403, "This purpose is not agreed with this consumer",
        "State one that is, or ask the API's owner to register it for you.",
    ),
    ProblemType(
        "grant-not-in-force", 403, "The break-glass grant is not yours, or not in force",
        "Leave Break-Glass out, or break the glass at the page or the terminal and send the new grant's number.",
    ),
    ProblemType("not-found", 404, "There is nothing here that you may see", "Check the address."),
    ProblemType("method-not-allowed", 405, "This address does not take this method", "Use one of those in Allow."),
    ProblemType("not-acceptable", 406, "No representation that you accept", "Accept application/json."),
    ProblemType("too-slow", 408, "The body did not arrive in time", "Send it again, faster, or less at once."),
    ProblemType("conflict", 409, "The thing is in another state", "Read it again and decide anew."),
    ProblemType(
        "still-running", 409, "The first request with this key is still running", "Wait for Retry-After, then repeat it."
    ),
    ProblemType("gone", 410, "This version of the API has been retired", "Move to its successor."),
    ProblemType("changed-meanwhile", 412, "Somebody changed it meanwhile", "Read it again and repeat with its new ETag."),
    ProblemType("too-large", 413, "The request is larger than agreed", "Send less at once."),
    ProblemType("unsupported-media-type", 415, "This kind of content is not taken", "Send application/json."),
    ProblemType("invalid", 422, "The request is against its contract", "Correct what `errors` points at."),
    ProblemType("key-reused", 422, "The Idempotency-Key was used for another request", "Use a new key for a new request."),
    ProblemType("rejected", 422, "A business rule or a system says no", "`detail` and `remedy` say why and what to do."),
    ProblemType("precondition-required", 428, "This change needs If-Match", "Read the thing and send its ETag as If-Match."),
    ProblemType("too-many-requests", 429, "The agreed rate or quota is used up", "Wait for Retry-After."),
    ProblemType("defect", 500, "The door has a defect", "Repeat with the same key; report the trace id when it stays."),
    ProblemType(
        "outside-contract", 502, "A system behind answered outside its contract",
        "Nothing of it is shown; the incident is recorded. Repeat later.",
    ),
    ProblemType("unavailable", 503, "A system behind does not answer", "Repeat after Retry-After with the same key."),
    ProblemType("overloaded", 503, "The door has more to do than it can", "Repeat after Retry-After with the same key."),
    ProblemType("timeout", 504, "It took longer than agreed", "Repeat with the same key: what was done is not done twice."),
)  # fmt: skip

PROBLEM_TYPES: dict[str, ProblemType] = {found.kind: found for found in _TYPES}

PROBLEM_SCHEMA = {
    "type": "object",
    "title": "Problem",
    "description": "A refusal (RFC 9457).",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri-reference"},
        "trace_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "remedy": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
                "required": ["pointer", "detail"],
            },
        },
    },
    "required": ["type", "title", "status", "trace_id"],
}
