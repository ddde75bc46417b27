"""How a request without a usable identity is refused (RFC 6750 section 3)."""

from __future__ import annotations

REALM = "hilum"

INVALID_REQUEST, INVALID_TOKEN = "invalid_request", "invalid_token"


class Unauthenticated(Exception):
    """The request is refused: 401, or 400 for a malformed one. The text is fit for the caller and repeats nothing of the token.

    ``error`` is empty when nothing was presented at all: the challenge then says only what would be needed.
    """

    def __init__(self, description: str, error: str = INVALID_TOKEN) -> None:
        super().__init__(description)
        self.description = description
        self.error = error

    @property
    def status(self) -> int:
        return 400 if self.error == INVALID_REQUEST else 401

    @property
    def challenge(self) -> str:
        """The value of ``WWW-Authenticate``."""
        if not self.error:
            return f'Bearer realm="{REALM}"'
        # Descriptions are written in this package; none holds a quote, a backslash or a byte of the request.
        return f'Bearer realm="{REALM}", error="{self.error}", error_description="{self.description}"'


class IdentityAway(Exception):
    """Whether the caller may be believed cannot be found out now: 503, and the caller tries again."""
