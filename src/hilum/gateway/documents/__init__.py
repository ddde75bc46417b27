"""What the door publishes about itself: OpenAPI, AsyncAPI and pages for people that load nothing from outside."""

from hilum.gateway.documents.pages import DOCUMENT, document_routes

__all__ = ["DOCUMENT", "document_routes"]
