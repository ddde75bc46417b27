"""The claim tables can be used, and speak of facilities that the estate has."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.governance.loader import Loaded
from hilum.governance.problems import EstateProblem
from hilum.masterdata.claim_tables import AGEING_FILE, CAUSES_FILE, LIMITS_FILE, read_claim_tables
from hilum.masterdata.tables import TableUnreadable


def claim_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    """Nothing for an estate without claim books."""
    estate = loaded.estate
    if not any(spec.connect.get("connector") == "claims_desk" for spec in estate.systems.values()):
        return
    try:
        tables = read_claim_tables(estate.root)
    except TableUnreadable as error:
        yield EstateProblem(
            str(error).partition(" ")[0].rstrip(":"),
            f"The claim books cannot be kept: {error}",
            f"Write {AGEING_FILE}, {CAUSES_FILE} and {LIMITS_FILE}, each with a row for all others.",
        )
        return
    for facility in sorted(set(tables.limits) - {""} - set(estate.facilities)):
        yield EstateProblem(
            LIMITS_FILE,
            f"A limit is for {facility}, which is no facility of the estate.",
            f"Write one of {', '.join(sorted(estate.facilities))}, or leave it empty for all others.",
        )
