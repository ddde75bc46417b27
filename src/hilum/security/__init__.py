"""Secrets by reference and redaction: what keeps PHI and keys out of logs, titles and error texts."""
