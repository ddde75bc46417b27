"""`hilum evidence`: make a package, verify one offline, send one to the archive, see which are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import asyncpg
import typer
from rich.markup import escape
from rich.table import Table

from hilum.audit.access import EXPORT, Access
from hilum.audit.evidence.assembling import Assembled, NothingToPackage, TooMuchToPackage, assemble
from hilum.audit.evidence.package import NotAPackage, Package
from hilum.audit.evidence.scope import NoPeriod, Scope
from hilum.audit.evidence.shelf import ShelvedPackage, UnknownKey, ask_for, packages, scope_of_key
from hilum.audit.evidence.verifying import PackageReport, verify_package
from hilum.audit.heads import HeadsDamaged
from hilum.audit.places import PlaceAway, PlaceUnusable, read_published
from hilum.audit.proofs import NoProof
from hilum.audit.signing import KeyProblem, Signer, read_public_key
from hilum.authoring.estate import Estate
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
    moment,
    now,
    print_json,
    refused,
    the_estate,
    usage,
)
from hilum.runtime.evidence_desk import sources_of
from hilum.security.decisions import Resource
from hilum.security.policies.engine import digest as policies_digest
from hilum.security.sealing.protected import Protection

evidence_app = typer.Typer(
    name="evidence", help="Make evidence packages, verify them offline, archive them.", no_args_is_help=True
)

KeyArgument = Annotated[
    str | None, typer.Argument(metavar="[KEY]", help="A business key or an address; otherwise give --period.")
]
PeriodOption = Annotated[str | None, typer.Option(help="A year, month or day instead: 2026, 2026-11, 2026-11-21.")]
FacilityOption = Annotated[str | None, typer.Option(help="Only this facility's, such as ST-MARY.")]
ReasonOption = Annotated[str, typer.Option(help="Why: it stands on the cover and in the audit log.")]
PayloadsOption = Annotated[
    bool, typer.Option("--with-payloads", help="With the source bytes, protected data included, where policy allows.")
]


@evidence_app.command("make")
def make(
    reason: ReasonOption,
    key: KeyArgument = None,
    period: PeriodOption = None,
    facility: FacilityOption = None,
    folder: Annotated[Path, typer.Option("--to", help="The folder to write it to.", file_okay=False)] = Path("."),
    with_payloads: PayloadsOption = False,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a package of one key's threads, or of a period, and write it under its digest. It holds no protected data by default.

    Exit 0 made, 1 nothing to make it of, 2 usage.

    Example: hilum evidence make implant_usage/U-1 --reason "audit 2026" --to /tmp
    """
    known = _estate(estate, data, with_payloads)
    caller = terminal_caller(data, who, purpose="audit", estate=estate)
    if not folder.is_dir():
        usage(f"{folder} is not a folder")
    try:
        signer = Signer.open(data / "audit")
    except KeyProblem as problem:
        usage(str(problem))

    async def work(pool: asyncpg.Pool) -> Assembled:
        protection = await _protection(pool, data, known)
        await permit(pool, caller, "export", [Resource("AuditLog")], operation="cli.evidence.make")
        sources = sources_of(known, signer, protection, policies_digest(known.policies))
        async with pool.acquire() as connection:
            scope = await _scope(connection, key, period, facility, protection)
            made = await assemble(
                connection, scope, sources, at=now(), made_by=caller.actor, reason=reason, with_payloads=with_payloads
            )
        await record(
            pool,
            Access(
                caller, EXPORT, "cli.evidence.make", "Evidence", (f"evidence/{made.digest}",),
                shown=frozenset({"phi"}) if with_payloads else frozenset(), found=made.threads,
                detail={"scope": made.subject, "reason": reason},
            ),
        )  # fmt: skip
        return made

    made = _answered(data, database_url, work)
    place = folder / f"{made.digest}.zip"
    try:
        with place.open("xb") as file:
            file.write(made.content)
        place.chmod(0o440)
    except FileExistsError:
        usage(f"{place} exists already: a package is never replaced")
    if as_json:
        print_json(
            {
                "file": str(place), "digest": made.digest, "subject": made.subject, "threads": made.threads,
                "entries": made.entries, "pending": made.pending, "head_size": made.head.size,
            }
        )  # fmt: skip
        return
    console().print(
        f"{escape(str(place))}\n{made.threads} threads, {made.entries} proved entries under a head of {made.head.size} leaves."
    )
    if made.pending:
        console().print(f"{made.pending} entries about it are not under a signed head yet: make it again in a second.")


@evidence_app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(metavar="PACKAGE", exists=True, dir_okay=False)],
    public_key: Annotated[
        Path | None, typer.Option("--public-key", help="The log's public key (PEM).", dir_okay=False)
    ] = None,
    heads: Annotated[str | None, typer.Option(help="Published heads: a file, a folder, or s3://bucket/prefix.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify a package offline, with nothing but the public key. Exit 0 whole, 1 not, 2 usage.

    Example: hilum evidence verify 3f1c....zip --public-key public-key.pem --heads published-heads.jsonl
    """
    try:
        package = Package.open(file)
        key = None if public_key is None else read_public_key(public_key)
        published = None if heads is None else [p.head for p in read_published(heads)]
    except (NotAPackage, KeyProblem, HeadsDamaged, PlaceAway, PlaceUnusable, OSError, ValueError) as problem:
        usage(str(problem))
    name = file.stem if len(file.stem) == 64 else None
    report = verify_package(package, public_key=key, published=published, name=name)
    if as_json:
        print_json(report.as_fields())
    else:
        _show(report, heads is not None)
    raise typer.Exit(0 if report.whole else 1)


def _show(report: PackageReport, compared: bool) -> None:
    out = console()
    if report.whole:
        out.print(
            f"[bold green]Whole:[/] {escape(report.subject)}: {report.threads} threads, {report.entries} entries proved, "
            f"{report.messages} messages' bytes vouched for, {report.files} files as they were signed."
        )
    else:
        out.print(f"[bold red]Not whole:[/] {len(report.problems)} problems in {escape(report.subject)}")
        for problem in report.problems[:50]:
            out.print(f"  {escape(problem)}")
    if report.own_key:
        out.print("Verified with the key in the package itself: give --public-key to know whose it is.")
    if not compared:
        out.print("Not compared with published heads: give --heads to know that the log was not rewritten before.")


@evidence_app.command("archive")
def archive(
    reason: ReasonOption,
    key: KeyArgument = None,
    period: PeriodOption = None,
    facility: FacilityOption = None,
    with_payloads: PayloadsOption = False,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the platform to assemble a package and keep it in the compliance archive, as a case of its own.

    Example: hilum evidence archive implant_usage/U-1 --reason "claim 2026-118"
    """
    known = _estate(estate, data, with_payloads)
    caller = terminal_caller(data, who, purpose="audit", estate=estate)

    async def work(pool: asyncpg.Pool) -> int | None:
        protection = await _protection(pool, data, known)
        await permit(pool, caller, "export", [Resource("AuditLog")], operation="cli.evidence.archive")
        async with pool.acquire() as connection:
            scope = await _scope(connection, key, period, facility, protection)
            if scope.key is not None:
                scope = await scope_of_key(connection, scope.key, protection)
            number = await ask_for(
                connection, scope, actor=caller.actor, reason=reason, now=now(), with_payloads=with_payloads
            )
        detail = {"reason": reason}
        await record(
            pool,
            Access(caller, EXPORT, "cli.evidence.archive", "Evidence", (f"evidence/EV-{number}",), detail=detail),
        )
        return number

    number = _answered(data, database_url, work)
    if as_json:
        print_json({"request": number, "case": f"archive_evidence/EV-{number}"})
    else:
        console().print(f"The platform does it. `hilum trace archive_evidence/EV-{number}` follows it.")


@evidence_app.command("list")
def list_packages(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List packages that the platform assembled, the newest first, and where they are kept."""

    caller = terminal_caller(data, purpose="audit")

    async def work(pool: asyncpg.Pool) -> list[ShelvedPackage]:
        await permit(pool, caller, "list", [Resource("Evidence")], operation="cli.evidence.list")
        async with pool.acquire() as connection:
            return await packages(connection, limit)

    found = ask(data, database_url, work)
    if as_json:
        print_json(found)
        return
    table = Table(
        "made", "subject", "bytes", "kept in", "since", "digest", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for package in found:
        table.add_row(
            moment(package.made_at), escape(package.subject), f"{package.size_bytes:,}",
            escape(package.kept_in) if package.kept_in is not None else "[yellow]not yet[/]", moment(package.kept_at),
            package.digest[:16],
        )  # fmt: skip
    console().print(table)


def _answered(data: Path, url: str | None, work: Any) -> Any:
    try:
        return ask(data, url, work)
    except (NothingToPackage, TooMuchToPackage, UnknownKey, NoProof) as nothing:
        refused(str(nothing))
    except NoPeriod as unclear:
        usage(str(unclear))


def _estate(given: Path | None, data: Path, with_payloads: bool) -> Estate:
    known = the_estate(given, data)
    if known is None:
        usage("the estate is needed to mask what is protected: give --estate")
    if with_payloads and not known.evidence.payloads:
        refused("the estate allows no source bytes in packages: [evidence] payloads = true would")
    return known


async def _protection(pool: asyncpg.Pool, data: Path, known: Estate) -> Protection | None:
    sealer = await keys_at_hand(pool, data, known)
    return None if sealer is None else Protection(sealer, known)


async def _scope(
    connection: asyncpg.Connection,
    key: str | None,
    period: str | None,
    facility: str | None,
    protection: Protection | None,
) -> Scope:
    if (key is None) == (period is None):
        usage("give a key, or --period")
    if period is not None:
        return Scope.of_period(period, facility)
    assert key is not None
    if facility is not None:
        usage("--facility goes with --period")
    return await scope_of_key(connection, key, protection)
