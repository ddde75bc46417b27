"""The state of identity: accounts, sessions, grants, service assertions and signing keys. Each change has its audit entry."""
