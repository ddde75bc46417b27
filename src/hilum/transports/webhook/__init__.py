"""Signed webhooks over HTTP (Standard Webhooks): verified, bounded, and answered only after they are stored."""

from hilum.transports.webhook.app import Accepted, Hook, Refusal, RefusedRequest, webhook_app
from hilum.transports.webhook.serving import Served, serve

__all__ = ["Accepted", "Hook", "Refusal", "RefusedRequest", "Served", "serve", "webhook_app"]
