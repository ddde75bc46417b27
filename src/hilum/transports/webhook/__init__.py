"""Signed webhooks over HTTP."""
