"""What claims and denials ask of people: work items made of where claims stand, which close by themselves when it is put right.

One item for a cause: a file without an acknowledgement, a payer that does not answer, a reason for which claims come back. Its
subjects are the facilities concerned, each with the dollars of its claims. Whatever somebody skipped stays skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import asyncpg

from hilum.authoring.estate import Estate
from hilum.formats import x12
from hilum.masterdata.claim_tables import ClaimTables
from hilum.runtime import standing_work
from hilum.runtime.work_items import Exceptional

QUEUE = "claims"
_ACTOR = "system:claims"
_PREFIX = "Claim"
_REMEDIES = {
    "ClaimFileUnacknowledged": "Ask the clearinghouse whether it has the file; send it again when it has not. The item closes when a 999 or an "
    "answer to its claims comes.",
    "ClaimFileRejected": "Correct in billing what the reasons name and send the claims again; the item closes when they are sent.",
    "ClaimsUnanswered": "Ask the clearinghouse for the claim acknowledgements (277CA) of these claims. The item closes when they are answered.",
    "ClaimsUndecided": "Ask the payer where the claims stand (POST /claims/v1/status-inquiries). The item closes when it decided.",
    "ClaimsRejected": "Correct in billing what the reason names and send the claims again; the item closes when they are sent.",
    "ClaimsUnknown": "Find out why billing's 837 of these claims did not come here, and send a copy of it. The item closes when it came.",
    "ClaimReversalsAlone": "Ask the payer for the remittance that is taken back here. The item closes when it came.",
    "ClaimsPaidElsewhere": "The payee is another facility than the claim's: the payment stands in the payee's books. Correct the claim's billing "
    "provider, or move the payment in the ERP; then skip this item.",
    "ClaimWriteOffOverturned": "The payer decided anew about what was written off: take the write-off back in the ERP, then skip this item.",
}


@dataclass
class Cause:
    """One thing that a person puts right. ``subjects`` by facility: how many claims, and their dollars."""

    kind: str
    about: str
    title: str
    due_hours: float
    subjects: dict[str, tuple[int, Decimal]] = field(default_factory=dict)
    detail: str = ""

    @property
    def cause(self) -> str:
        return f"{self.kind}:{self.about}"

    def add(self, facility: str, count: int, usd: Decimal) -> None:
        had, already = self.subjects.get(facility, (0, Decimal(0)))
        self.subjects[facility] = (had + count, already + usd)


async def settle(connection: asyncpg.Connection, estate: Estate, tables: ClaimTables, *, now: datetime) -> int:
    """Make the work items what the claims ask for now: open, correct and close them. How many are open afterwards."""
    zone = ZoneInfo(estate.time_zone)
    found: dict[str, Cause] = {}
    for cause in [
        *await _of_files(connection, tables, now, zone),
        *await _of_claims(connection, tables, now, zone),
        *await _of_oddities(connection, tables, now, zone),
    ]:
        found[cause.cause] = cause
    owner = estate.queues.get(QUEUE, "")
    wanted = [
        Exceptional(
            queue=QUEUE, cause=cause.cause, title=cause.title, remedy=_REMEDIES[cause.kind], due_hours=cause.due_hours,
            subject=f"claims/{facility}", at_risk_usd=usd, owner=owner,
            detail=f"{count} claim{'s' if count != 1 else ''}" + (f"; {cause.detail}" if cause.detail else ""),
        )
        for cause in found.values()
        for facility, (count, usd) in sorted(cause.subjects.items())
    ]  # fmt: skip
    return await standing_work.settle(connection, QUEUE, _PREFIX, wanted, now=now, actor=_ACTOR)


async def _of_files(connection: asyncpg.Connection, tables: ClaimTables, now: datetime, zone: ZoneInfo) -> list[Cause]:
    """Files that nobody acknowledged in time, and files that came back whole."""
    rows = await connection.fetch(
        """SELECT c.batch, c.state, c.facility, c.payer_class, b.booked_at, b.on_day, c.codes, count(*) AS claims, sum(c.charge) AS usd
             FROM claim c JOIN claim_batch b ON b.batch = c.batch
            WHERE c.state IN ('submitted', 'rejected')
            GROUP BY c.batch, c.state, c.facility, c.payer_class, b.booked_at, b.on_day, c.codes"""
    )
    found: dict[str, Cause] = {}
    for row in rows:
        if row["state"] == "rejected":
            if any(_is_status(code) for code in row["codes"]):
                continue  # A 277CA gave it back for a reason of its own.
            said = "; ".join(reason_words(code) for code in row["codes"][:6])
            cause = Cause(
                "ClaimFileRejected", row["batch"], f"Claims of file {row['batch']} came back whole", 24, detail=said
            )
        else:
            # The clock runs from the day it was made, or from when its copy came: an old copy is late at once only by its own day.
            since = max(
                row["booked_at"], datetime(row["on_day"].year, row["on_day"].month, row["on_day"].day, tzinfo=zone)
            )
            hours = tables.patience_with(row["payer_class"]).hours_to_acknowledgement
            if now - since < timedelta(hours=hours):
                continue
            cause = Cause(
                "ClaimFileUnacknowledged",
                row["batch"],
                f"No acknowledgement (999) of claims file {row['batch']} in {hours} hours",
                8,
            )
        found.setdefault(cause.cause, cause).add(row["facility"], row["claims"], row["usd"])
    return list(found.values())


async def _of_claims(connection: asyncpg.Connection, tables: ClaimTables, now: datetime, zone: ZoneInfo) -> list[Cause]:
    """Claims that came back, and claims that nobody answers, payer by payer."""
    today = now.astimezone(zone).date()
    rows = await connection.fetch(
        """SELECT payer, payer_class, facility, state, codes, since, count(*) AS claims, sum(charge) AS usd FROM claim
            WHERE state IN ('received', 'accepted', 'pended', 'finalised', 'rejected')
            GROUP BY payer, payer_class, facility, state, codes, since"""
    )
    found: dict[str, Cause] = {}
    for row in rows:
        patience = tables.patience_with(row["payer_class"])
        payer = row["payer"] or "an unnamed payer"
        if row["state"] == "rejected":
            first = next((code for code in row["codes"] if _is_status(code)), None)
            if first is None:
                continue  # The whole file came back: that is one cause for all of its claims.
            cause = Cause(
                "ClaimsRejected", f"{payer}/{first}", f"Claims to {payer} came back: {reason_words(first)}", 48
            )
        elif row["state"] == "received":
            if today <= row["since"] + timedelta(days=patience.days_to_answer):
                continue
            days = patience.days_to_answer
            cause = Cause("ClaimsUnanswered", payer, f"Claims to {payer} without an answer (277CA) in {days} days", 24)
        else:
            if today <= row["since"] + timedelta(days=patience.days_to_decision):
                continue
            days = patience.days_to_decision
            cause = Cause("ClaimsUndecided", payer, f"Claims to {payer} without a decision (835) in {days} days", 72)
        found.setdefault(cause.cause, cause).add(row["facility"], row["claims"], row["usd"])
    return list(found.values())


async def _of_oddities(
    connection: asyncpg.Connection, tables: ClaimTables, now: datetime, zone: ZoneInfo
) -> list[Cause]:
    """Payments for claims that nobody submitted, reversals of what nobody knows, claims that are paid to another facility."""
    today = now.astimezone(zone).date()
    found: dict[str, Cause] = {}
    rows = await connection.fetch(
        """SELECT payer, payer_class, facility, state, awaits_original, paid_at, first_known, since, count(*) AS claims,
                  sum(abs(paid)) AS paid, sum(charge) AS usd
             FROM claim WHERE state = 'unknown' OR awaits_original OR paid_at <> ''
            GROUP BY payer, payer_class, facility, state, awaits_original, paid_at, first_known, since"""
    )
    for row in rows:
        payer, days = row["payer"] or "an unnamed payer", tables.patience_with(row["payer_class"]).days_unknown
        late = today > row["first_known"] + timedelta(days=days)
        if row["state"] == "unknown" and late:
            title = f"{payer} answers or pays claims that nobody is known to have submitted"
            _into(found, Cause("ClaimsUnknown", payer, title, 48), row, row["paid"])
        if row["awaits_original"] and late:
            title = f"{payer} takes back payments that are not known"
            _into(found, Cause("ClaimReversalsAlone", payer, title, 48), row, row["usd"])
        if row["paid_at"]:
            title = f"Claims of {row['facility']} are paid to {row['paid_at']}"
            about = f"{row['facility']}/{row['paid_at']}/{payer}"
            _into(found, Cause("ClaimsPaidElsewhere", about, title, 48), row, row["paid"])
    overturned = await connection.fetch(
        """SELECT payer, facility, count(*) AS claims, sum(amount) AS usd FROM denial d
            WHERE state IN ('overturned', 'reversed')
              AND EXISTS (SELECT 1 FROM denial_decision x WHERE x.denial = d.number AND x.kind = 'written_off')
            GROUP BY payer, facility"""
    )
    for row in overturned:
        title = f"{row['payer']} decided anew about denials that were written off"
        _into(found, Cause("ClaimWriteOffOverturned", row["payer"], title, 48), row, row["usd"])
    return list(found.values())


def _into(found: dict[str, Cause], cause: Cause, row: Mapping[str, object], usd: Decimal) -> None:
    found.setdefault(cause.cause, cause).add(str(row["facility"]), int(str(row["claims"])), usd)


def reason_words(code: str) -> str:
    """A reason of the books in words: a status (``A7:562:85``), a 999's (``IK5 5``, ``AK9 1``), or a place in a file (``NM1 8: 8``)."""
    if _is_status(code):
        category, status, entity = (*code.split(":"), "", "")[:3]
        return x12.status_words(x12.StatusCode(category, status or None, entity or None))
    name, _, reason = code.partition(" ")
    if name in ("IK5", "AK9"):
        return f"{x12.words('ik5' if name == 'IK5' else 'ak9', reason)} ({reason})"
    return x12.error_words(code)


def _is_status(code: str) -> bool:
    return " " not in code and code[:1].isalpha()
