"""`hilum demo`: a short day at Lakeshore, on a real ERP, from the first patient to books that agree."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from hilum.cli import demo_revenue
from hilum.cli.account import first_sign_in
from hilum.cli.demo_check import Comparison, compare
from hilum.testing.day import Day, make_day
from hilum.testing.hospital import ErpAddress, Hospital
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.neighbours.tryton_seed import ErpSeed

UNKNOWN_CODE = "IMP-2050"
OUTAGE_SHARE = 0.45  # How much of the day has been sent when the ERP is taken away.

EstateFolder = Annotated[Path, typer.Option("--estate", help="The estate to play.", exists=True, file_okay=False)]
DataFolder = Annotated[Path, typer.Option("--data", help="Where the demo keeps its platform; made anew each time.")]
Once = Annotated[bool, typer.Option("--once", help="Stop after the summary, as it does without a terminal.")]
Usages = Annotated[int, typer.Option("--usages", help="How many implants are used.", min=30, max=2000)]
Seed = Annotated[int, typer.Option("--seed", help="Another seed is another day.")]
PagePort = Annotated[int, typer.Option("--port", help="Port of the page; 0 takes a free one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as one JSON document (implies --once).")]


def demo(
    estate: EstateFolder = Path("estates/lakeshore"),
    data: DataFolder = Path(".hilum/demo"),
    once: Once = False,
    usages: Usages = 40,
    seed: Seed = 7,
    port: PagePort = 0,
    as_json: AsJson = False,
) -> None:
    """Play a short day at Lakeshore: three hospitals, a real Tryton ERP, and what goes wrong on real days.

    At a terminal it runs on after the summary until Ctrl-C. Exit code 0 if and only if the books reconcile.
    """
    console = Console(stderr=as_json, soft_wrap=True, highlight=False)
    stays = sys.stdin.isatty() and sys.stdout.isatty() and not once and not as_json
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _interrupt(stop))
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_alone(data))
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True, mode=0o700)
        say = _Progress(console, began)
        say("Starting the ERP (Tryton 8.2; the first run installs it and builds its database)")
        erp = Tryton(ErpSeed.from_estate(estate, today=datetime.now(UTC).date()), progress=say.detail)
        stack.enter_context(erp)
        day = make_day(seed, usages=usages, tables=estate / "tables", on=datetime.now(UTC).date())
        say("Starting the platform and the simulated EHR, billing and inventory platform")
        hospital = Hospital(
            data,
            estate=estate,
            erp=ErpAddress(erp.base_url, erp.database, erp.api_key),
            positions=tuple(day.positions_json()),
            policy={"breaker_open_seconds": 1.0},
            tower_port=port,
            gateway_port=0,
        )
        stack.enter_context(hospital)
        _play(hospital, erp, day, say)
        settled = hospital.settles(seconds=240)
        say(f"Every case has come to rest: {_words(settled)}")
        before = _waiting(hospital)
        released = _steward(hospital, say)
        hospital.settles(seconds=120)
        say("Comparing the books")
        books = _reconcile(hospital)
        expected = compare(hospital, day, released)
        revenue_day = datetime.now(UTC).date() - timedelta(days=2)  # Its night is over in every zone.
        revenue = demo_revenue.handful(revenue_day) if demo_revenue.is_played(estate) else None
        if revenue is not None:
            say("Charges, claims, a remittance and its deposit come as files")
            demo_revenue.drop(hospital, revenue)
        audit = _audit(hospital)
        if revenue is not None:
            demo_revenue.follow(hospital, revenue, lambda: _hilum(hospital, "schedule", "run", "charges_due"))
            expected.lines += demo_revenue.found(hospital, revenue)
        good = bool(books["reconciled"]) and expected.good and audit["whole"]
        page = hospital.ready["tower"]["address"]
        summary = {
            "reconciled": good, "books": books, "oracle": expected.as_fields(), "audit": audit, "work_items_before": before,
            "work_items": _waiting(hospital), "page": page, "apis": hospital.ready["gateway"]["address"],
            "revenue": demo_revenue.summary(hospital, revenue_day) if revenue is not None else None,
            "seconds": round(time.monotonic() - began, 1), "data": str(hospital.data),
        }  # fmt: skip
        say.done()
        if as_json:
            sys.stdout.write(orjson.dumps(summary, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")
        else:
            _show(console, hospital, day, summary, expected, estate if stays else None)
        if stays:
            # From here Ctrl-C is the ordinary end and no interruption.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stop.set())
            while not stop.wait(0.2):
                assert hospital.supervisor is not None
                hospital.supervisor.watch()
            console.print("Stopping everything ...")
    raise typer.Exit(0 if good else 1)


@contextlib.contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Be the only demo of this folder, which each one empties first: another that runs there would lose its books."""
    data.parent.mkdir(parents=True, exist_ok=True)
    with open(data.with_name(f"{data.name}.lock"), "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"Error: a demo is running in {data}. End it with Ctrl-C, or play this one elsewhere with --data FOLDER."
            typer.echo(message, err=True)
            raise typer.Exit(2) from None
        yield


class _Progress:
    """One line for each stage, with the time since the start."""

    def __init__(self, console: Console, began: float) -> None:
        self._console = console
        self._began = began
        self._status = console.status("")
        self._status.start()

    def __call__(self, text: str) -> None:
        self._console.print(f"[dim]{time.monotonic() - self._began:6.1f} s[/]  {text}")
        self.passing("at work")  # What passed before is over.

    def passing(self, text: str) -> None:
        """What changes too often to be kept."""
        self._status.update(f"[dim]{text} ...[/]")

    def detail(self, text: str) -> None:
        self.passing(text)
        if not self._console.is_terminal:
            self._console.print(f"[dim]{time.monotonic() - self._began:6.1f} s[/]    {text}")

    def done(self) -> None:
        self._status.stop()


def _interrupt(stop: threading.Event) -> None:
    if stop.is_set():
        return
    stop.set()
    raise KeyboardInterrupt


def _play(hospital: Hospital, erp: Tryton, day: Day, say: _Progress) -> None:
    """Send the day; in the middle the ERP is killed for a while, and nobody who sends notices."""
    outage_from = int(len(day.actions) * OUTAGE_SHARE)
    codes: Counter[str] = Counter()
    say(f"Playing {len(day.actions)} messages of three hospitals")
    for number, action in enumerate(day.actions):
        if number == outage_from:
            erp.kill()
            say("The ERP is killed in the middle of its work; usage keeps being accepted")
        if action.actor == "ehr":
            outcome = hospital.ehr.send(action.message)
            codes[str(outcome["code"])] += 1
        else:
            hospital.scans_raw(action.message)
            codes["scan"] += 1
        say.passing(f"{number + 1} of {len(day.actions)} messages sent")
    hospital.reported(seconds=30)
    say(f"All sent: {_words(codes)} (AA accepted, AE and AR refused in the standard's words)")
    waiting = hospital.query("SELECT count(*) AS n FROM flow_case WHERE state IN ('parked', 'ready', 'running')")[0][
        "n"
    ]
    say(f"The ERP comes back; {waiting} cases go on by themselves")
    erp.start()


def _steward(hospital: Hospital, say: _Progress) -> int:
    """One crosswalk entry, one release: everything that waited for it completes. Returns how many."""
    for item, _, cause, cases in hospital.work_queue():
        if cause == f"UnknownItem:{UNKNOWN_CODE}":
            hospital.maps("charge_code_to_item", UNKNOWN_CODE, "SCREW-3")
            say(f"A steward maps {UNKNOWN_CODE} to SCREW-3 and releases work item {item}: {cases} cases, one decision")
            time.sleep(0.5)
            return len(hospital.releases(item))
    return 0


def _waiting(hospital: Hospital) -> list[dict[str, Any]]:
    return hospital.query(
        """SELECT w.id, w.queue, w.title, w.remedy, w.at_risk_usd, w.due_at, count(c.subject) AS cases
             FROM work_item w JOIN work_item_case c ON c.work_item = w.id WHERE w.state = 'open' GROUP BY w.id ORDER BY w.at_risk_usd DESC"""
    )


def _hilum(hospital: Hospital, *arguments: str) -> dict[str, Any]:
    """Ask as a person would: by the command line."""
    done = subprocess.run(
        [sys.executable, "-m", "hilum.app", *arguments, "--data", str(hospital.data), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not done.stdout.strip():
        raise SystemExit(f"`hilum {' '.join(arguments)}` failed: {done.stderr.strip()}")
    answer: dict[str, Any] = orjson.loads(done.stdout)
    return answer


def _reconcile(hospital: Hospital) -> dict[str, Any]:
    return _hilum(hospital, "reconcile")


def _audit(hospital: Hospital) -> dict[str, Any]:
    return _hilum(hospital, "audit", "verify")


def _words(counts: Any) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(dict(counts).items()))


def _show(
    console: Console, hospital: Hospital, day: Day, summary: dict[str, Any], expected: Comparison, estate: Path | None
) -> None:
    stays = estate is not None
    books = summary["books"]
    console.rule("[bold]A day at Lakeshore")
    came = Table(
        "System", "By", "Received", "Refused", "Repeats", "Violations", title="What came in", title_justify="left"
    )
    for row in hospital.query("SELECT * FROM channel ORDER BY system, transport"):
        came.add_row(
            row["system"], row["transport"], *(str(row[k]) for k in ("received", "refused", "duplicates", "violations"))
        )
    console.print(came)
    posted = Table("What", "How many", "USD", title="What was posted", title_justify="left")
    posted.add_row("implant usages (facts)", str(books["facts"]), "")
    posted.add_row("units taken from shelves", str(books["units_taken"]), "")
    posted.add_row("journals in the ERP", str(books["journals"]), f"{float(books['cost_usd']):,.2f}")
    posted.add_row("replenishment orders in the ERP", str(books["orders"]), "")
    posted.add_row("charges told to billing", str(books["charges"]), "")
    console.print(posted)
    waits = Table(
        "Item", "Queue", "What and why", "Cases", "At risk USD", title="What waits for a person", title_justify="left"
    )
    for item in summary["work_items"]:
        waits.add_row(
            str(item["id"]),
            item["queue"],
            f"{item['title']}\n[dim]{item['remedy']}[/]",
            str(item["cases"]),
            f"{item['at_risk_usd']:,.2f}",
        )
    console.print(waits)
    if summary["revenue"] is not None:
        for table in demo_revenue.tables(summary["revenue"]):
            console.print(table)
    for line in expected.lines:
        console.print(
            f"  [{'green' if line.good else 'bold red'}]{'agrees ' if line.good else 'DIFFERS'}[/]  {line.what}: {line.found}"
            + ("" if line.good else f", expected {line.expected}")
        )
    audit = summary["audit"]
    console.print(
        f"  [{'green' if audit['whole'] else 'bold red'}]{'whole  ' if audit['whole'] else 'DAMAGED'}[/]  audit log verified"
    )
    verdict = (
        "[bold green]The books reconcile.[/]" if summary["reconciled"] else "[bold red]The books do not reconcile.[/]"
    )
    console.print(f"\n{verdict} {summary['seconds']} s in all.")
    usage = day.usages[0].usage_id
    console.print(
        f"Page   {summary['page']}" + ("" if stays else "  (gone with this demo; run it at a terminal to look around)")
    )
    if estate is not None:
        link = first_sign_in(hospital.data, hospital.database_url, estate)
        if link is not None:
            console.print("Nobody can sign in yet. This link makes the administrator, once, within 30 minutes:")
            console.print(f"  {link}", markup=False, highlight=False)
        console.print(f"APIs   {summary['apis']}")
        console.print(f"Trace  .venv/bin/hilum trace {usage} --data {hospital.data}")
        console.print("Ctrl-C stops everything.")
