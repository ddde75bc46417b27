"""`hilum audit who-saw`: who looked at a subject or a patient, what a person looked at, since when."""

from __future__ import annotations

import sys
from typing import Annotated

import asyncpg
import typer
from rich.markup import escape
from rich.table import Table

from hilum.audit.access import KINDS, SEARCH, WITHHELD, Access, sought
from hilum.audit.lineage import trace
from hilum.audit.lookup import beginnings
from hilum.audit.thread_access import addresses_of
from hilum.audit.veil import PROTECTED_KINDS
from hilum.audit.who_saw import Seen, sought_marks, subject_marks, who_saw
from hilum.cli.accesses import keys_at_hand, record
from hilum.cli.permission import permit, terminal_caller
from hilum.cli.platform import (
    DEFAULT_DATA,
    AsOption,
    DataOption,
    EstateOption,
    JsonOption,
    UrlOption,
    ask,
    console,
    instant,
    moment,
    print_json,
    the_estate,
    usage,
)
from hilum.security.decisions import Resource

_MOST_THREADS = 200


def who_saw_command(
    subject: Annotated[
        str | None, typer.Argument(help="An address (m/1/7, c/implant_usage/U-1, Supplier/ORTHO) or a business key.")
    ] = None,
    patient: Annotated[
        str | None,
        typer.Option(help="An account number or MRN, a token of one, or - to read it from standard input."),
    ] = None,
    person: Annotated[str | None, typer.Option(help="Only accesses of this person: ana, or service:ap-bot.")] = None,
    kind: Annotated[str | None, typer.Option(help=f"Only of this kind: {', '.join(sorted(KINDS))}.")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on (ISO 8601; local time without a zone).")] = None,
    until: Annotated[str | None, typer.Option(help="Before this time.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest.")] = 200,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell who saw a subject or a patient's data, why and from where, and who searched for it. Oldest first.

    Asking is itself recorded. Exit 0, also when nobody looked.

    Example: hilum audit who-saw implant_usage/U-1 --since 2026-11-01
    """
    if subject is not None and patient is not None:
        usage("give a subject or --patient, not both")
    if kind is not None and kind not in KINDS:
        usage(f"--kind {kind} is none of {', '.join(sorted(KINDS))}")
    if patient == "-":
        patient = sys.stdin.readline().strip()
    if patient is not None and not patient:
        usage("--patient says nobody")
    actor = None if person is None else person if ":" in person else f"person:{person}"
    start, end = instant(since, "--since"), instant(until, "--until")
    known = the_estate(estate, data)
    caller = terminal_caller(data, who, purpose="audit", estate=estate)

    async def work(pool: asyncpg.Pool) -> list[Seen]:
        await permit(pool, caller, "search", [Resource("AuditLog")], operation="cli.audit.who-saw")
        tokens = await keys_at_hand(pool, data, known)
        asked = Access(
            caller, SEARCH, "cli.audit.who-saw", "AccessLog",
            filter={n: v for n, v in (("subject", subject), ("person", actor), ("kind", kind)) if v is not None},
            sought={} if patient is None else {k: sought(k, patient, tokens) for k in sorted(PROTECTED_KINDS)},
        )  # fmt: skip
        await record(pool, asked)
        async with pool.acquire() as connection:
            marks = None
            if patient is not None:
                marks = await _about(connection, patient)
                marks += sought_marks(patient, sorted(PROTECTED_KINDS), tokens)
                if patient.startswith("~"):
                    marks += [f"sought:{k}:{patient}" for k in sorted(PROTECTED_KINDS)]
            elif subject is not None:
                marks = await _about(connection, subject)
            return await who_saw(connection, marks=marks, actor=actor, kind=kind, since=start, until=end, limit=limit)

    seen = ask(data, database_url, work)
    if as_json:
        print_json([access.as_fields() for access in seen])
        return
    _show(seen, limit)


async def _about(connection: asyncpg.Connection, key: str) -> list[str]:
    """The marks of everything that a key leads to."""
    start = await beginnings(connection, key)
    subjects = [key, *start.addresses]
    for thread in await trace(connection, key, limit=_MOST_THREADS):
        subjects.extend(addresses_of(thread))
    return subject_marks(dict.fromkeys(subjects))


def _show(seen: list[Seen], limit: int) -> None:
    out = console()
    if not seen:
        out.print("Nobody, as far as the access log knows.")
        return
    table = Table("at", "who", "did", "what", "saw", "why", "from", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for access in seen:
        table.add_row(
            moment(access.at), escape(access.actor), escape(_did(access)), escape(_what(access)), escape(_saw(access)),
            escape(_why(access)), escape(access.peer if access.peer else access.issuer),
        )  # fmt: skip
    out.print(table)
    people = len({access.actor for access in seen})
    out.print(
        f"\n{len(seen)} accesses by {people} callers." + (" There may be older ones." if len(seen) == limit else "")
    )


def _did(access: Seen) -> str:
    return access.kind if not access.operation else f"{access.kind} ({access.operation})"


def _what(access: Seen) -> str:
    if not access.entry_intact:
        return "its entry is gone: run hilum audit verify"
    parts = list(access.subjects[:3])
    if len(access.subjects) > 3:
        parts.append(f"and {len(access.subjects) - 3} more")
    if not parts:
        parts = [f"{name} {value}" for name, value in access.filter.items()]
        parts += [
            f"{name} withheld" if token == WITHHELD else f"{name} {token}" for name, token in access.sought.items()
        ]
    if not parts:
        parts = [access.resource]
    return ", ".join(parts)


def _saw(access: Seen) -> str:
    if access.shown:
        return f"{', '.join(access.shown)} unmasked"
    if access.masked:
        return f"{', '.join(access.masked)} masked"
    return "nothing" if access.found == 0 else ""


def _why(access: Seen) -> str:
    return f"{access.purpose}, break-glass {access.break_glass}" if access.break_glass else access.purpose
