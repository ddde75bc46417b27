"""HTTP doors in general: an ASGI application, served on the platform's own event loop."""

from hilum.transports.http.serving import HeadTimeout, Served, serve

__all__ = ["HeadTimeout", "Served", "serve"]
