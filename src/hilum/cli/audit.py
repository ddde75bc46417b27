"""`hilum audit`: prove the log whole, export it, prove one entry, look things up.

Exit codes: 0 whole or found, 1 damaged or not found, 2 it could not be asked (usage, key, connection).
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import asyncpg
import orjson
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from hilum.audit.access import EXPORT, SEARCH, Access, NotRecorded
from hilum.audit.export import Export, NotAnExport, export_log, verify_export
from hilum.audit.heads import HEADS, HeadsDamaged
from hilum.audit.places import PlaceAway, PlaceUnusable, PublishedHead, chain_problems, is_chain, read_published
from hilum.audit.proofs import InclusionProof, NoProof, inclusion_proof, leaves_about
from hilum.audit.search import EntryFilter, FoundEntry, find_entries
from hilum.audit.signing import PUBLIC_KEY, KeyProblem, SignedHead, read_public_key
from hilum.audit.verifier import Damage, VerifyReport
from hilum.audit.verify import verify_database
from hilum.cli.accesses import protection_at_hand, record
from hilum.cli.connection import NoDatabase, database
from hilum.cli.permission import permit, terminal_caller
from hilum.cli.platform import the_estate
from hilum.cli.who_saw import who_saw_command
from hilum.security.decisions import Resource

audit_app = typer.Typer(
    name="audit", help="Prove the audit log whole, export it, prove one entry, look entries up.", no_args_is_help=True
)

DataOption = Annotated[
    Path, typer.Option("--data", envvar="HILUM_DATA", help="The platform's data directory.", show_default=True)
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--database-url", envvar="HILUM_DATABASE_URL", help="A PostgreSQL URL instead of the data directory's own."
    ),
]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--public-key", help="The log's public key (PEM); otherwise DATA/audit/public-key.pem.", dir_okay=False
    ),
]
HeadsOption = Annotated[
    str | None,
    typer.Option(
        "--heads",
        help="Published heads: a file, a folder of downloaded objects, or s3://bucket/prefix; otherwise DATA/audit/heads.jsonl.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]

DEFAULT_DATA = Path(".hilum")
_SHOWN_DAMAGES = 20

audit_app.command("who-saw")(who_saw_command)

Answer = TypeVar("Answer")


@audit_app.command()
def verify(
    exported: Annotated[
        Path | None, typer.Argument(metavar="[EXPORT]", help="Verify this export, offline.", dir_okay=False)
    ] = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="Verify an export instead, offline.", dir_okay=False)
    ] = None,
    proof: Annotated[
        Path | None,
        typer.Option("--proof", help="Verify the JSON that `audit proof --json` printed, offline.", dir_okay=False),
    ] = None,
    public_key: KeyOption = None,
    heads: HeadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove the log whole; name the first damaged entry when it is not. Exit 0 whole, 1 damaged, 2 usage.

    With an export nothing else is needed but the public key: no database, no data directory, no network.

    Example: hilum audit verify log.jsonl.gz --public-key public-key.pem --heads published-heads.jsonl
    """
    export = exported if exported is not None else export
    if export is not None and proof is not None:
        _refuse("give an export or --proof, not both")
    published, chained = _published(heads) if heads is not None else (None, None)
    if proof is not None:
        _verify_proof(proof, _public_key(public_key, data), as_json)
        return
    note = ""
    if export is not None:
        try:
            opened = Export(export)
            key = None if public_key is None else read_public_key(public_key)
        except (NotAnExport, KeyProblem, OSError) as failure:
            _refuse(str(failure))
        report = verify_export(opened, public_key=key, heads_file=published, published=_heads_of(chained))
        _follow(report, chained, opened.public_key if key is None else key)
        if key is None:
            note = "Verified with the key in the export itself: give --public-key to know whose log it is."
    else:
        key = _public_key(public_key, data)
        if heads is None and public_key is None:
            published = data / "audit" / HEADS
        with _progress(as_json, "Verifying") as progress:
            known = the_estate(None, data)
            caller = terminal_caller(data, purpose="audit")

            async def work(pool: asyncpg.Pool) -> VerifyReport:
                await permit(pool, caller, "read", [Resource("AuditLog")], operation="cli.audit.verify")
                return await verify_database(
                    pool, public_key=key, heads_file=published, published=_heads_of(chained), progress=progress,
                    protection=await protection_at_hand(pool, data, known),
                )  # fmt: skip

            report = _ask(data, database_url, work)
        _follow(report, chained, key)
    if as_json:
        _print_json(report.as_fields() | {"note": note or None})
    else:
        _print_report(report, note)
    raise typer.Exit(0 if report.whole else 1)


@audit_app.command()
def export(
    file: Annotated[
        Path, typer.Argument(help="Where to write it; a name that ends in .gz is compressed.", dir_okay=False)
    ],
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    public_key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the whole log to a file that `hilum audit verify --export FILE` proves with no database."""
    key = _public_key(public_key, data)
    if not file.parent.is_dir():
        _refuse(f"the directory {file.parent} does not exist")
    caller = terminal_caller(data, purpose="audit")

    async def work(pool: asyncpg.Pool) -> dict[str, Any]:
        await permit(pool, caller, "export", [Resource("AuditLog")], operation="cli.audit.export")
        await record(pool, Access(caller, EXPORT, "cli.audit.export", "AuditLog"))
        async with pool.acquire() as connection:
            written = await export_log(connection, file, public_key=key, at=datetime.now(UTC), progress=progress)
        return {"file": str(file), "leaves": written.leaves, "heads": written.heads, "pending": written.pending}

    with _progress(as_json, "Exporting") as progress:
        summary = _ask(data, database_url, work)
    if as_json:
        _print_json(summary)
    else:
        pending = f"; {summary['pending']} entries are not under a head yet" if summary["pending"] else ""
        Console().print(
            f"{summary['leaves']} entries under {summary['heads']} signed heads are in {escape(str(file))}{pending}."
        )


@audit_app.command(name="list")
def list_entries(
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    subject: Annotated[str | None, typer.Option(help="Entries about this; a trailing * matches any ending.")] = None,
    actor: Annotated[str | None, typer.Option(help="Entries by this actor, such as person:jdoe.")] = None,
    action: Annotated[str | None, typer.Option(help="Entries of this action, such as work_item.released.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Entries from this time on (ISO 8601; local time without a zone).")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List entries, oldest first."""
    try:
        from_time = None if since is None else datetime.fromisoformat(since).astimezone(UTC)
    except ValueError:
        _refuse(f"--since {since} is not an ISO 8601 time such as 2026-11-21 or 2026-11-21T08:00:00Z")
    wanted = EntryFilter(subject, actor, action, from_time)
    caller = terminal_caller(data, purpose="audit")

    async def work(pool: asyncpg.Pool) -> list[FoundEntry]:
        asked = {n: v for n, v in (("subject", subject), ("actor", actor), ("action", action)) if v is not None}
        await permit(pool, caller, "search", [Resource("AuditLog")], operation="cli.audit.list")
        async with pool.acquire() as connection:
            found = await find_entries(connection, wanted, limit)
        await record(pool, Access(caller, SEARCH, "cli.audit.list", "AuditLog", filter=asked))
        return found

    found = _ask(data, database_url, work)
    if as_json:
        _print_json([entry.as_fields() for entry in found])
        return
    table = Table("at", "actor", "action", "subject", "detail", box=None, pad_edge=False)
    for entry in found:
        fields = entry.fields or {"at": "?", "actor": "?", "action": "unreadable: run hilum audit verify", "detail": {}}
        cells = (
            fields["at"],
            fields["actor"],
            fields["action"],
            entry.subject,
            orjson.dumps(fields["detail"]).decode(),
        )
        table.add_row(*(escape(str(cell)) for cell in cells))
    Console().print(table)


@audit_app.command()
def proof(
    what: Annotated[
        str, typer.Argument(metavar="LEAF|SUBJECT", help="A leaf's number, or what the entries are about.")
    ],
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    public_key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the proof that an entry, or each entry about a subject, stands under the newest signed head."""
    key = _public_key(public_key, data)
    caller = terminal_caller(data, purpose="audit")

    async def work(pool: asyncpg.Pool) -> list[InclusionProof]:
        await permit(pool, caller, "read", [Resource("AuditLog")], operation="cli.audit.proof")
        async with pool.acquire() as connection:
            leaves = [int(what)] if what.isdecimal() else await leaves_about(connection, what)
            return [await inclusion_proof(connection, leaf) for leaf in leaves]

    try:
        proofs = _ask(data, database_url, work)
    except NoProof as failure:
        _fail(str(failure))
    if not proofs:
        _fail(f"no entry about {what} is under a signed head")
    if as_json:
        _print_json([shown.as_fields() for shown in proofs])
    else:
        for shown in proofs:
            _print_proof(shown)
    problems = [problem for shown in proofs for problem in shown.problems(key)]
    if problems:
        _fail("; ".join(problems))


def _published(place: str) -> tuple[Path | None, list[PublishedHead] | None]:
    """A heads file with every head, or the chain of those that were published now and then."""
    try:
        if not place.startswith("s3://"):
            path = Path(place.removeprefix("file:"))
            if not path.exists():
                _refuse(f"there are no published heads at {place}: it does not exist")
            if path.is_file() and not is_chain(path):
                return path, None
        return None, read_published(place)
    except (HeadsDamaged, PlaceAway, PlaceUnusable, OSError, ValueError) as failure:
        _refuse(f"the published heads cannot be read: {failure}")


def _heads_of(chain: list[PublishedHead] | None) -> list[SignedHead] | None:
    return None if chain is None else [published.head for published in chain]


def _follow(report: VerifyReport, chain: list[PublishedHead] | None, key: Ed25519PublicKey) -> None:
    """Add to the report what is wrong with the published heads among themselves."""
    for problem in chain_problems(chain, key) if chain is not None else ():
        report.add(Damage("heads-file", problem))


def _verify_proof(file: Path, key: Ed25519PublicKey, as_json: bool) -> None:
    try:
        document = orjson.loads(file.read_bytes())
        proofs = [
            InclusionProof.from_fields(fields) for fields in (document if isinstance(document, list) else [document])
        ]
    except (OSError, orjson.JSONDecodeError, NoProof) as failure:
        _refuse(f"{file}: {failure}")
    problems = [problem for shown in proofs for problem in shown.problems(key)]
    if as_json:
        _print_json({"whole": bool(proofs) and not problems, "proofs": len(proofs), "problems": problems})
    elif problems or not proofs:
        Console().print(f"[bold red]Not proved:[/] {escape('; '.join(problems) or 'the file holds no proof')}")
    else:
        Console().print(f"[bold green]Proved:[/] {len(proofs)} entries stand under heads signed by this key.")
    raise typer.Exit(1 if problems or not proofs else 0)


def _ask(data: Path, url: str | None, work: Callable[[asyncpg.Pool], Coroutine[Any, Any, Answer]]) -> Answer:
    async def connected() -> Answer:
        async with database(data, url) as pool:
            return await work(pool)

    try:
        return asyncio.run(connected())
    except NotRecorded as failure:
        _refuse(str(failure))
    except (NoDatabase, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as failure:
        _refuse(f"the database could not be asked: {failure}")


def _public_key(path: Path | None, data: Path) -> Ed25519PublicKey:
    try:
        return read_public_key(data / "audit" / PUBLIC_KEY if path is None else path)
    except KeyProblem as failure:
        _refuse(f"{failure}; give --data or --public-key")


def _refuse(problem: str) -> NoReturn:
    Console(stderr=True).print(f"[bold red]Error:[/] {escape(problem)}")
    raise typer.Exit(2)


def _fail(problem: str) -> NoReturn:
    Console(stderr=True).print(f"[bold red]Not proved:[/] {escape(problem)}")
    raise typer.Exit(1)


@contextmanager
def _progress(quiet: bool, doing: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, at a terminal only."""
    console = Console(stderr=True)
    with Progress(
        TextColumn(doing), BarColumn(), MofNCompleteColumn(), console=console, transient=True,
        disable=quiet or not console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print_json(document: object) -> None:
    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


def _print_report(report: VerifyReport, note: str) -> None:
    console = Console(soft_wrap=True)
    newest = report.newest_head
    under = "" if newest is None else f" (newest of {newest.size} leaves at {newest.at:%Y-%m-%d %H:%M:%S}Z)"
    if report.whole:
        console.print(f"[bold green]Whole:[/] {report.leaves} entries under {report.heads} signed heads{under}.")
    else:
        console.print(
            f"[bold red]Damaged:[/] {report.damage_count} damages in {report.leaves} entries under {report.heads} heads."
        )
        if report.first is not None:
            console.print(f"  First: {escape(report.first.text)}")
        for damage in [damage for damage in report.damages if damage is not report.first][:_SHOWN_DAMAGES]:
            console.print(f"  {damage.kind}: {escape(damage.text)}")
    if report.pending:
        console.print(f"{report.pending} entries are written but not under a head yet.")
    if report.published_heads is None:
        console.print("Not compared with published heads: give --heads to know that its end was not cut off.")
    else:
        newer = f", {report.unpublished_heads} heads are newer" if report.unpublished_heads else ""
        console.print(f"Compared with {report.published_heads} published heads{newer}.")
    if report.messages_checked or report.messages_expired:
        expired = f"; {report.messages_expired} were past their retention" if report.messages_expired else ""
        console.print(f"{report.messages_checked} messages were compared with their entries{expired}.")
    if report.messages_sealed:
        console.print(
            f"{report.messages_sealed} messages are sealed and could not be compared: their keys are not at hand here, or were "
            "destroyed by retention."
        )
    if note:
        console.print(note)


def _print_proof(shown: InclusionProof) -> None:
    console = Console(soft_wrap=True, highlight=False)
    fields = shown.as_fields()
    console.print(f"[bold]leaf {shown.leaf}[/], entry {shown.seq} of shard {shown.shard}")
    console.print(f"  entry      {escape(fields['entry'])}")
    console.print(f"  leaf hash  {fields['leaf_hash']}")
    for step in fields["path"]:
        console.print(f"  path       {step}")
    console.print(f"  root       {fields['head']['root']} of {shown.head.size} leaves at {fields['head']['at']}")
    console.print(f"  signature  {fields['head']['signature']} by key {shown.head.key_id}")
