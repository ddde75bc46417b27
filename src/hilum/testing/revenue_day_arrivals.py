"""What reaches the platform in a revenue day: messages and files, each with when and from whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

FOLDERS = {"billing": "claims", "clearinghouse": "remittances", "lab": "charges", "bank": "bank"}
"""Where each sender drops its files, below the inbox."""


@dataclass(frozen=True)
class Arrival:
    """A message of the EHR, or a file of somebody else under a name. ``morning``: after the night that posts the day."""

    at: datetime
    by: Literal["ehr", "billing", "clearinghouse", "lab", "bank"]
    data: bytes
    facility: str = ""
    name: str = ""
    morning: bool = False
    repeats: bool = False  # It says nothing that was not said by another one.
