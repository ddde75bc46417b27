"""Key wrappers: who keeps the key-encryption key, and what is asked of them."""

from __future__ import annotations

from typing import Protocol


class KeysUnusable(RuntimeError):
    """The keys cannot be used as they are kept; the text says where they were looked for and what to do now."""


class KeysLost(KeysUnusable):
    """What this database was sealed with is not here. Without it nothing that was sealed is ever read again."""


class KeysAway(KeysUnusable):
    """Whoever keeps the key-encryption key does not answer now; it may later."""


class KeyWrapper(Protocol):
    """Wraps data keys under a key-encryption key that never comes into the database.

    Plug-ins: an entry point of the group ``hilum.key_wrappers`` names a callable
    ``(settings: Mapping[str, Any], secret: Callable[[str], str], data: Path) -> KeyWrapper``.
    """

    @property
    def key_id(self) -> str:
        """The key that ``wrap`` uses now, as it is written beside each wrapped key. No secret."""

    def wrap(self, key: bytes, about: bytes) -> bytes:
        """Wrap a data key of 32 bytes, bound to ``about``. KeysAway when it cannot be done now."""

    def unwrap(self, wrapped: bytes, about: bytes, key_id: str) -> bytes:
        """The data key again. KeysLost when ``key_id`` is not here or does not open it, KeysAway when not now."""

    def rotate(self) -> str:
        """Make a new key-encryption key the current one, keeping the earlier ones for ``unwrap``; its id."""

    def forget(self, keep: frozenset[str]) -> list[str]:
        """Destroy the key-encryption keys that wrap nothing any more: all but ``keep`` and the current; which went."""
