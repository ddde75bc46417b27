"""What makes an installation of the estate on this machine: its secrets and its addresses."""

from __future__ import annotations

import csv
import json
import secrets
import tomllib
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def make_secrets(folder: Path, erp_credentials: str) -> None:
    """Write the estate's secrets, each for its owner alone; what was made before stays, but for the ERP's, which is told."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = {
        "stock-api-token": secrets.token_urlsafe(24),
        "billing-api-token": secrets.token_urlsafe(24),
        "payer-token": secrets.token_urlsafe(24),
        "stock-webhook": "whsec_" + b64encode(secrets.token_bytes(24)).decode(),
        "ehr-webhook": "whsec_" + b64encode(secrets.token_bytes(24)).decode(),
        "erp": erp_credentials,
    }
    for name, value in made.items():
        place = folder / name
        if not place.exists() or name == "erp":
            place.touch(mode=0o600)
            place.write_text(value)


def connections(estate: Path, connect: Mapping[str, Mapping[str, str]], policy: Mapping[str, Any]) -> str:
    """The overlay's tables for those of the systems that the estate has: where each is, and how it is spoken to."""
    text = ""
    for name, settings in connect.items():
        if not (estate / "systems" / f"{name}.toml").exists():
            continue
        text += f"[systems.{name}.connect]\n" + "".join(f'{key} = "{value}"\n' for key, value in settings.items())
        if policy:
            text += f"[systems.{name}.policy]\n"
            text += "".join(f"{key} = {json.dumps(value)}\n" for key, value in policy.items())
    return text


def nothing_expected(estate: Path) -> str:
    """The overlay's tables that expect no files: a hospital in a test stands at any time of day, also when one would be late."""
    text = ""
    for file in sorted((estate / "systems").glob("*.toml")):
        if "expect" in tomllib.loads(file.read_text(encoding="utf-8")):
            text += f"[systems.{file.stem}]\nexpect = []\n"
    return text


def locations(estate: Path) -> dict[str, str]:
    """At which facility each location of the estate's table is."""
    table = estate / "tables" / "locations.csv"
    if not table.exists():
        return {}
    with table.open(newline="", encoding="utf-8") as file:
        return {row["location"]: row["facility"] for row in csv.DictReader(file)}
