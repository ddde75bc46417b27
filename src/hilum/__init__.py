"""Hilum: the integration platform of a health system."""

__version__ = "0.1.0"
