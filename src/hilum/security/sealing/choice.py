"""Which key wrapper an installation has, and what is said when its keys are not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import asyncpg

from hilum.security.sealing.key_file import FILE, LocalKeyFile
from hilum.security.sealing.vault_transit import VaultTransit
from hilum.security.sealing.wrapping import KeysLost, KeysUnusable, KeyWrapper
from hilum.security.secrets import resolve_secret

GROUP = "hilum.key_wrappers"

Build = Callable[[Mapping[str, Any], Callable[[str], str], Path], KeyWrapper]


async def wrapper_of(
    pool: asyncpg.Pool, keys: str, settings: Mapping[str, Any], data: Path, *, may_make: bool = False
) -> KeyWrapper:
    """The key wrapper called ``keys`` in ``[protection]``: ``file``, ``vault``, or a plug-in's name.

    The key file is made only where ``may_make`` and the database has never sealed anything: a missing file beside sealed
    data is KeysLost, in words.
    """
    if keys != "file":
        return _built(keys, settings, data)
    path = data / FILE
    try:
        return LocalKeyFile.open(path)
    except KeysLost:
        sealed_by = await pool.fetch(
            "SELECT DISTINCT wrapped_by FROM hilum.data_key WHERE wrapped IS NOT NULL ORDER BY 1"
        )
        if sealed_by:
            ids = ", ".join(r["wrapped_by"] for r in sealed_by)
            raise KeysLost(
                f"The key file {path} is missing, and this database is sealed with it ({ids}).\n"
                f"Put the file back from its backup (mode 0600), or copy it from the machine where the platform ran before; "
                "or give the data directory in which it lies.\n"
                "Nothing was started and nothing was changed. Without the file nobody can ever read what was sealed: do not "
                "delete anything."
            ) from None
        if not may_make:
            raise
        return LocalKeyFile.make(path)


def _built(keys: str, settings: Mapping[str, Any], data: Path) -> KeyWrapper:
    def secret(reference: str) -> str:
        return resolve_secret(reference, data)

    if keys == "vault":
        return VaultTransit.from_settings(settings, secret, data)
    found = entry_points(group=GROUP, name=keys)
    if not found:
        known = ", ".join(sorted({"file", "vault", *(e.name for e in entry_points(group=GROUP))}))
        raise KeysUnusable(f"[protection] keys = {keys!r}: there is no such key wrapper; installed are {known}")
    build: Build = next(iter(found)).load()
    return build(settings, secret, data)
