"""A whole day of the revenue cycle on a real ERP: from the first registration to books that were compared, all by the real doors."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hilum.testing.hospital import ErpAddress, Hospital
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.neighbours.tryton_seed import ErpSeed
from hilum.testing.revenue_day import RevenueDay, make_revenue_day
from hilum.testing.revenue_day_play import RevenueDayPlay

LAKESHORE = Path(__file__).parents[1] / "estates" / "lakeshore"
SEED = 7
PATIENCE_SECONDS = 3600.0
# What a billing system and an ERP are asked to bear at most is a setting; here it is what they can.
UNBOUND = {"rate_per_second": 2000}
_TICKS = os.sysconf("SC_CLK_TCK")


def report(say: Callable[[str], None], quick: int) -> None:
    """The section of the results; a tenth of the day where it is to be quick."""
    now = datetime.now(UTC)
    begun = time.perf_counter()
    day = make_revenue_day(SEED, on=now.date() - timedelta(days=2), size=1.0 / quick)
    made = time.perf_counter() - begun
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        erp = stack.enter_context(Tryton(ErpSeed.from_estate(LAKESHORE, today=now.date())))
        address = ErpAddress(erp.base_url, erp.database, erp.api_key)
        hospital = stack.enter_context(Hospital(folder, estate=LAKESHORE, erp=address, policy=UNBOUND))
        desk = stack.enter_context(erp.desk())
        play = stack.enter_context(RevenueDayPlay(hospital, day, patience_seconds=PATIENCE_SECONDS))
        play.opens(desk)
        hospital.insures(*day.members)
        load_before, begun = os.getloadavg()[0], time.perf_counter()
        play.whole_day()
        whole, load_after = time.perf_counter() - begun, os.getloadavg()[0]
        books = day.books()
        agree = {
            "trial balance": play.trial_balance(desk) == books.trial_balance,
            "claims": play.claims() == books.claims,
            "deposits and remittances": play.cash() == books.cash,
            "work items": (work := play.work()) == books.work,
            "billing": play.billed({each.service_on for each in day.charges}) == books.billed,
        }
        say(_sizes(day, made))
        say("| part | seconds |\n| --- | --- |")
        for part, seconds in play.played.seconds.items():
            say(f"| {part} | {seconds:.1f} |")
        say(f"| **all of it** | **{whole:.1f}** |\n")
        say(f"Load of the machine: {load_before:.1f} when it began, {load_after:.1f} when it ended.\n")
        say("| stream | facts | first stored to last stored, s | to the last journal, s |\n| --- | --- | --- | --- |")
        for line in _streams(hospital):
            say(line)
        say("\nCPU seconds of the platform's processes: " + ", ".join(_cpu(hospital)) + ".\n")
        wrong = [name for name, agrees in agree.items() if not agrees]
        say(f"**Books that differ: {', '.join(wrong)}.**" if wrong else "Every book is the generator's to the cent.")
        for kind in sorted(set(work) | set(books.work)):
            if work[kind] != books.work[kind]:
                say(f"\nWork items {kind}: {work[kind]}, expected {books.work[kind]}.")
    assert not wrong, wrong


def _sizes(day: RevenueDay, made: float) -> str:
    messages = sum(each.by == "ehr" for each in day.arrivals)
    return (
        f"{len(day.encounters):,} encounters, {len(day.charges):,} charges and credits, {len(day.claims):,} claims, {len(day.payments)} "
        f"remittances: {messages:,} HL7 messages on three connections and {len(day.arrivals) - messages} files, made in {made:.1f} s.\n"
    )


def _streams(hospital: Hospital) -> list[str]:
    """When the messages of each stream were stored, and when the last journal of its kind was posted."""
    rows: list[dict[str, Any]] = hospital.query(
        """SELECT system, count(*) AS n, min(received_at) AS first, max(received_at) AS last FROM message
            WHERE system = ANY($1) GROUP BY system ORDER BY system""",
        ["ehr", "lab", "billing", "clearinghouse", "bank"],
    )
    posted = {
        row["kind"]: row
        for row in hospital.query(
            """SELECT s.kind, count(*) AS n, sum(s.entries)::bigint AS entries, max(j.posted_at) AS last, min(s.staged_at) AS first
                 FROM posting_source s JOIN posting_journal j USING (source) GROUP BY s.kind"""
        )
    }
    lines = []
    for row in rows:
        stored = (row["last"] - row["first"]).total_seconds()
        kind = {"clearinghouse": "remittance", "bank": "deposits", "ehr": "charges"}.get(row["system"], "")
        end = posted.get(kind)
        after = f"{(end['last'] - row['first']).total_seconds():.1f}" if end is not None else ""
        lines.append(f"| {row['system']} | {row['n']:,} messages | {stored:.1f} | {after} |")
    for kind, end in sorted(posted.items()):
        seconds = (end["last"] - end["first"]).total_seconds()
        lines.append(
            f"| {kind}, staged to posted | {end['entries']:,} amounts in {end['n']} journals | | {seconds:.1f} |"
        )
    return lines


def _cpu(hospital: Hospital) -> list[str]:
    assert hospital.supervisor is not None
    found = []
    for role in hospital.supervisor.roles:
        if role.process is not None:
            fields = Path(f"/proc/{role.process.pid}/stat").read_text().rpartition(")")[2].split()
            found.append(f"{role.name} {(int(fields[11]) + int(fields[12])) / _TICKS:.0f}")
    return found
