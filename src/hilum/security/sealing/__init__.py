"""Encryption at rest: sealed values, the keys that open them, and tokens by which protected values are found unread."""
