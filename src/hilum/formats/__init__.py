"""Bytes to documents and back, pure: no input or output, nothing known of the rest of the platform."""
