"""Who is asking: access tokens of programs and people verified, and what their claims mean in this estate."""

from hilum.security.identity.authenticator import Authenticator, LocalIssuer
from hilum.security.identity.callers import CallerRules
from hilum.security.identity.keys import HttpKeys, KeySource, PublicKeys
from hilum.security.identity.refusals import IdentityAway, Unauthenticated
from hilum.security.identity.revocations import Revocations

__all__ = [
    "Authenticator",
    "CallerRules",
    "HttpKeys",
    "IdentityAway",
    "KeySource",
    "LocalIssuer",
    "PublicKeys",
    "Revocations",
    "Unauthenticated",
]
