"""The embedded issuer: OpenID Connect and OAuth 2 for sites without a provider of their own, and for programs."""

from hilum.gateway.identity.app import issuer_app
from hilum.gateway.identity.issuer import Issuer, IssuerSettings

__all__ = ["Issuer", "IssuerSettings", "issuer_app"]
