"""The estate's table of accounts on which nobody but the platform posts."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from hilum.masterdata.tables import TableUnreadable, read_records

CONTROL_FILE = "tables/control_accounts.csv"


def read_control_accounts(root: Path) -> dict[str, date]:
    """Each account and the day from which on every line on it must be ours; ``TableUnreadable`` for a row without either."""
    found: dict[str, date] = {}
    for line, cells in read_records(root, CONTROL_FILE, ("account", "since")):
        try:
            found[cells["account"]] = date.fromisoformat(cells["since"])
        except ValueError:
            raise TableUnreadable(f"{CONTROL_FILE} line {line}: `since` is a day such as 2026-01-01") from None
    return found
