"""Signed webhooks over HTTP (Standard Webhooks): verified, bounded, and answered only after they are stored."""

from hilum.transports.webhook.app import Accepted, Hook, Refusal, RefusedRequest, is_x12, webhook_app

__all__ = ["Accepted", "Hook", "Refusal", "RefusedRequest", "is_x12", "webhook_app"]
