"""Patient to cash: what happens in registration and billing stands in the ledger, every dollar traceable both ways."""
