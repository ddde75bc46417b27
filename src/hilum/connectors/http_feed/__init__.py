"""A system that takes a feed over HTTP: one POST for each event, keep-alive, idempotency keys."""

from hilum.connectors.http_feed.feed import GroupOutcome, HttpFeed

__all__ = ["GroupOutcome", "HttpFeed"]
