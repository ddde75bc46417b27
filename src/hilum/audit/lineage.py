"""Lineage: from any business key, the whole thread from source bytes to the documents in other systems.

    found = await search(connection, "U-1", estate=estate)     # a few threads in full, or a list when there are many
    threads = await trace(connection, "journal 2026/118", estate=estate)

Protected health information is masked by the estate's contracts unless ``show_phi``; without an estate, payloads,
requests and results are withheld. ``protection`` opens what is sealed; without it payloads are shown as sealed, and
nothing is found by an account.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson

from hilum.audit.entry import MalformedEntry, parse
from hilum.audit.hops import hops_of
from hilum.audit.lookup import beginnings
from hilum.audit.thread import (
    Address,
    Attempt,
    AuditMark,
    Case,
    DeliveryPart,
    FeedPart,
    Found,
    JournaledStep,
    ReplayPart,
    StoredEvent,
    StoredMessage,
    Summary,
    Thread,
    WorkPart,
)
from hilum.audit.unsealing import Closed, Opens, opened, opened_text
from hilum.audit.veil import PROTECTED_KINDS, Veil, masked
from hilum.authoring.estate import Estate
from hilum.store import sealed_places
from hilum.store.sealed import PLAIN_LENGTH

THREADS_IN_FULL = 5
MOST_SUMMARIES = 50
_MOST_COPIES = 50
_JOURNAL = "dbos"


async def trace(
    connection: asyncpg.Connection,
    key: str,
    *,
    estate: Estate | None = None,
    show_phi: bool = False,
    limit: int = THREADS_IN_FULL,
    protection: Opens | None = None,
) -> list[Thread]:
    """The newest ``limit`` threads of ``key`` in full, the oldest first; empty when nothing is known by it."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        start = await beginnings(connection, key.strip(), protection)
        return [await _thread(connection, a, estate, show_phi, protection) for a in reversed(start.addresses[:limit])]


async def search(
    connection: asyncpg.Connection,
    key: str,
    *,
    estate: Estate | None = None,
    show_phi: bool = False,
    limit: int = THREADS_IN_FULL,
    protection: Opens | None = None,
) -> Found:
    """Everything ``key`` leads to: the threads in full when there are at most ``limit``, otherwise one line for each."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        start = await beginnings(connection, key.strip(), protection)
        kinds = PROTECTED_KINDS if protection is None else PROTECTED_KINDS | set(protection.kinds)
        hidden = not show_phi and any(kind in kinds for kind in start.kinds)
        found = Found(masked(key.strip()) if hidden else key.strip(), start.kinds, len(start.addresses), start.more)
        if len(start.addresses) <= limit:
            found.threads.extend(
                [await _thread(connection, a, estate, show_phi, protection) for a in reversed(start.addresses)]
            )
        else:
            found.summaries.extend(await _summaries(connection, start.addresses[:MOST_SUMMARIES]))
        return found


async def _summaries(connection: asyncpg.Connection, addresses: list[Address]) -> list[Summary]:
    lines: dict[Address, Summary] = {}
    cases = [a[2:] for a in addresses if a.startswith("c/")]
    for row in await connection.fetch(
        "SELECT id, state, created_at FROM hilum.flow_case WHERE id = ANY($1::text[])", cases
    ):
        lines[f"c/{row['id']}"] = Summary(f"c/{row['id']}", row["id"], row["state"], row["created_at"])
    for row in await _at(connection, "SELECT t.shard, t.seq, t.type, t.at FROM hilum.event t", addresses, "e/"):
        address = f"e/{row['shard']}/{row['seq']}"
        lines[address] = Summary(address, row["type"], "recorded", row["at"])
    for row in await _at(
        connection, "SELECT t.shard, t.seq, t.type, t.status, t.received_at FROM hilum.message t", addresses, "m/"
    ):
        address = f"m/{row['shard']}/{row['seq']}"
        lines[address] = Summary(
            address, row["type"] if row["type"] else "unreadable message", row["status"], row["received_at"]
        )
    return [lines[a] for a in addresses if a in lines]


async def _at(
    connection: asyncpg.Connection, select: str, addresses: list[Address], letter: str
) -> list[asyncpg.Record]:
    """The rows at these addresses of one letter; ``select`` names its table ``t``."""
    places = [a.split("/") for a in addresses if a.startswith(letter)]
    return list(
        await connection.fetch(
            f"{select} JOIN unnest($1::int[], $2::bigint[]) AS p(shard, seq) ON t.shard = p.shard AND t.seq = p.seq ORDER BY t.seq",
            [int(p[1]) for p in places], [int(p[2]) for p in places],
        )
    )  # fmt: skip


async def _thread(
    connection: asyncpg.Connection, address: Address, estate: Estate | None, show_phi: bool, protection: Opens | None
) -> Thread:
    veil = Veil(estate.contracts if estate is not None else {}, lifted=show_phi)
    case = await _case(connection, address)
    events = await _events(
        connection, address, case, veil, protection
    )  # First: what it masks is masked in all that follows.
    messages = await _messages(connection, address, events, veil)
    subjects = [*(m.address for m in messages), *(e.address for e in events)]
    steps: tuple[JournaledStep, ...] = ()
    deliveries: tuple[DeliveryPart, ...] = ()
    if case is not None:
        subjects.append(f"c/{case['id']}")
        steps = await _steps(connection, case["id"], veil, protection)
        deliveries = await _deliveries(connection, case["id"], veil, protection)
        subjects.extend(f"d/{d.key}" for d in deliveries)
    feeds = await _feeds(connection, events, estate, veil, protection)
    subjects.extend(f"f/{f.feed}/{f.event[2:]}" for f in feeds if f.receipt is None)
    work_items = await _work_items(connection, subjects, veil)
    replays = await _replays(connection, [s for s in subjects if s[0] in "me"], veil)
    subjects.extend([*(f"w/{w.id}" for w in work_items), *(f"r/{r.job}" for r in replays)])
    audit = await _audit(connection, subjects + await _crosswalk_subjects(connection, events), veil)
    title, state = _title(address, case, events, messages, feeds)
    thread = Thread(
        address,
        title,
        state,
        messages,
        events,
        _case_part(case, veil),
        steps,
        deliveries,
        feeds,
        work_items,
        replays,
        audit,
    )
    return hops_of(thread)


def _title(
    address: Address,
    case: Mapping[str, Any] | None,
    events: tuple[StoredEvent, ...],
    messages: tuple[StoredMessage, ...],
    feeds: tuple[FeedPart, ...],
) -> tuple[str, str]:
    if case is not None:
        return case["id"], case["state"]
    if events:
        parked = [f.state for f in feeds if f.receipt is None]
        return f"{events[0].type} {address}", parked[0] if parked else "delivered" if feeds else "recorded"
    if messages:
        kind = messages[0].type if messages[0].type else "unreadable message"
        return f"{kind} {address}", messages[0].status
    return address, "gone"


async def _case(connection: asyncpg.Connection, address: Address) -> asyncpg.Record | None:
    if not address.startswith("c/"):
        return None
    return await connection.fetchrow("SELECT * FROM hilum.flow_case WHERE id = $1", address[2:])


def _case_part(row: Mapping[str, Any] | None, veil: Veil) -> Case | None:
    if row is None:
        return None
    return Case(
        row["id"], row["flow"], row["flow_version"], row["state"], row["run"], row["step"], row["parked_on"],
        _text(row["error"], veil), row["executor"], row["facility"], row["created_at"], row["updated_at"], row["done_at"],
    )  # fmt: skip


async def _events(
    connection: asyncpg.Connection,
    address: Address,
    case: Mapping[str, Any] | None,
    veil: Veil,
    protection: Opens | None,
) -> tuple[StoredEvent, ...]:
    place = f"e/{case['event_shard']}/{case['event_seq']}" if case is not None else address
    rows = await _at(connection, "SELECT t.* FROM hilum.event t", [place], "e/")
    payloads = []
    for r in rows:
        payload = await opened(protection, r["payload"], sealed_places.event_payload(r["shard"], r["seq"]))
        if isinstance(payload, Closed):
            payloads.append(veil.closed(payload.why))
        else:
            payloads.append(veil.event(r["type"], orjson.loads(payload)))
    return tuple(
        StoredEvent(
            f"e/{r['shard']}/{r['seq']}", r["type"], r["version"], r["mapping"], r["at"], r["facility"],
            f"m/{r['shard']}/{r['message_seq']}", r["copy_of"], payload,
        )
        for r, payload in zip(rows, payloads, strict=True)
    )  # fmt: skip


_MESSAGE_COLUMNS = (
    "t.shard, t.seq, t.received_at, t.system, t.transport, t.peer, t.type, t.control_id, t.status, t.error, t.copy_of, t.digest, "
    f"{PLAIN_LENGTH.format('t.raw')} AS size_bytes"
)


async def _messages(
    connection: asyncpg.Connection, address: Address, events: tuple[StoredEvent, ...], veil: Veil
) -> tuple[StoredMessage, ...]:
    """The source; the message it replays, if it is a replay itself; and every later report of the same fact."""
    own = {e.address for e in events}
    source = await _at(
        connection, f"SELECT {_MESSAGE_COLUMNS} FROM hilum.message t", [events[0].message if events else address], "m/"
    )
    if not source:
        return ()
    first = source[0]
    source_address = f"m/{first['shard']}/{first['seq']}"
    rows = [(first, "replay" if first["transport"] == "replay" else "source")]
    if first["copy_of"] is not None and first["copy_of"].startswith("m/"):
        rows += [
            (r, "replayed")
            for r in await _at(connection, f"SELECT {_MESSAGE_COLUMNS} FROM hilum.message t", [first["copy_of"]], "m/")
        ]
    # A message of several facts is remembered as a copy of its first: the same bytes are a resend of all of them.
    siblings = await connection.fetch(
        "SELECT shard, seq FROM hilum.event WHERE shard = $1 AND message_seq = $2", first["shard"], first["seq"]
    )
    originals = [source_address, *own, *(f"e/{r['shard']}/{r['seq']}" for r in siblings)]
    copies = await connection.fetch(
        f"""SELECT {_MESSAGE_COLUMNS} FROM hilum.message t
             WHERE t.copy_of = ANY($1::text[]) AND (t.copy_of = ANY($2::text[]) OR t.digest = $3) ORDER BY t.received_at, t.shard, t.seq LIMIT $4""",
        list(dict.fromkeys(originals)), [source_address, *own], first["digest"], _MOST_COPIES,
    )  # fmt: skip
    for row in copies:
        same_sender = row["system"] == first["system"]
        rows.append((row, "replay" if row["transport"] == "replay" else "resend" if same_sender else "second report"))
    return tuple(_message(row, part, veil) for row, part in rows)


def _message(row: Mapping[str, Any], part: str, veil: Veil) -> StoredMessage:
    return StoredMessage(
        f"m/{row['shard']}/{row['seq']}", part, row["system"], row["transport"], row["peer"], row["type"], row["control_id"],
        row["received_at"], row["status"], _text(row["error"], veil), row["copy_of"], row["digest"].hex(), row["size_bytes"],
    )  # fmt: skip


async def _steps(
    connection: asyncpg.Connection, case_id: str, veil: Veil, protection: Opens | None
) -> tuple[JournaledStep, ...]:
    """The steps as the journal has them; the journal's tables do not exist before a worker first ran."""
    if await connection.fetchval("SELECT to_regclass($1)", f"{_JOURNAL}.operation_outputs") is None:
        return ()
    rows = await connection.fetch(
        f"""SELECT function_id, function_name, output, started_at_epoch_ms, completed_at_epoch_ms
              FROM {_JOURNAL}.operation_outputs WHERE workflow_uuid = $1 ORDER BY function_id""",
        case_id,
    )
    steps = []
    for row in rows:
        envelope = _unwrapped(row["output"])
        outcome, result = "ok", envelope
        if isinstance(envelope, dict) and "sealed" in envelope:
            place = sealed_places.step_result(case_id, row["function_name"])
            result = veil.data(_unwrapped(await opened_text(protection, envelope["sealed"], place)))
        elif isinstance(envelope, dict) and "ok" in envelope:
            result = veil.data(_unwrapped(envelope["ok"]))
        elif isinstance(envelope, dict) and "kind" in envelope:
            # A failure's own words never hold protected data; that is the rule for causes, and authors forget it.
            outcome, result = (
                envelope["kind"],
                veil.recorded(
                    {k: v for k, v in envelope.items() if k not in ("kind", "function_id") and v is not None}
                ),
            )
        else:
            result = veil.data(envelope)
        ended = row["completed_at_epoch_ms"]
        steps.append(
            JournaledStep(
                row["function_id"], row["function_name"], _instant(row["started_at_epoch_ms"]),
                _instant(ended) if ended is not None else None, outcome, result,
            )
        )  # fmt: skip
    return tuple(steps)


def _unwrapped(text: str | None) -> Any:
    """JSON in JSON: the journal writes the step's text as a JSON string, and an envelope its result."""
    value: Any = text
    for _ in range(3):
        if not isinstance(value, str):
            break
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            break
    return value


def _instant(epoch_milliseconds: int) -> datetime:
    return datetime.fromtimestamp(epoch_milliseconds / 1000, UTC)


async def _deliveries(
    connection: asyncpg.Connection, case_id: str, veil: Veil, protection: Opens | None
) -> tuple[DeliveryPart, ...]:
    rows = await connection.fetch(
        """SELECT d.*, dc.step AS asked_by, (SELECT count(*) FROM hilum.delivery_case s WHERE s.key = d.key) AS cases
             FROM hilum.delivery_case dc JOIN hilum.delivery d ON d.key = dc.key WHERE dc.case_id = $1 ORDER BY dc.at, d.key""",
        case_id,
    )
    tries: dict[str, list[Attempt]] = {}
    for row in await connection.fetch(
        "SELECT * FROM hilum.delivery_attempt WHERE key = ANY($1::text[]) ORDER BY key, attempt",
        [r["key"] for r in rows],
    ):
        tries.setdefault(row["key"], []).append(
            Attempt(
                row["attempt"],
                row["executor"],
                row["started_at"],
                row["ended_at"],
                row["outcome"],
                _text(row["error"], veil),
            )
        )
    said = {
        (r["key"], name): _read(await opened(protection, r[name], place(r["key"])))
        for r in rows
        for name, place in (
            ("request", sealed_places.delivery_request),
            ("response", sealed_places.delivery_response),
        )
        if r[name] is not None
    }
    return tuple(
        DeliveryPart(
            r["key"], r["system"], r["operation"], r["asked_by"], r["state"], r["document"], r["found"], r["cases"],
            _text(r["error"], veil), r["created_at"], r["done_at"], veil.data(said.get((r["key"], "request"))), veil.data(said.get((r["key"], "response"))),
            tuple(tries.get(r["key"], ())),
        )
        for r in rows
    )  # fmt: skip


def _read(body: bytes | Closed) -> Any:
    if isinstance(body, Closed):
        return body.why
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return f"{len(body)} bytes"


async def _feeds(
    connection: asyncpg.Connection,
    events: tuple[StoredEvent, ...],
    estate: Estate | None,
    veil: Veil,
    protection: Opens | None,
) -> tuple[FeedPart, ...]:
    targets = {name: feed.to.name for name, feed in estate.feeds.items()} if estate is not None else {}
    parts = []
    for event in events:
        _, shard, seq = event.address.split("/")
        place = (int(shard), int(seq))
        for row in await connection.fetch(
            "SELECT feed, at, receipt FROM hilum.feed_result WHERE shard = $1 AND event_seq = $2 ORDER BY at, feed",
            *place,
        ):
            there = sealed_places.receipt(row["feed"], *place)
            parts.append(
                FeedPart(
                    row["feed"],
                    targets.get(row["feed"], row["feed"]),
                    event.address,
                    row["at"],
                    "delivered",
                    veil.text(await opened_text(protection, row["receipt"], there)),
                    None,
                )
            )
        for row in await connection.fetch(
            "SELECT feed, at, state, error FROM hilum.feed_parked WHERE shard = $1 AND event_seq = $2 ORDER BY at, feed",
            *place,
        ):
            error = _text(row["error"], veil)
            parts.append(
                FeedPart(
                    row["feed"],
                    targets.get(row["feed"], row["feed"]),
                    event.address,
                    row["at"],
                    row["state"],
                    None,
                    error,
                )
            )
    return tuple(parts)


async def _work_items(connection: asyncpg.Connection, subjects: list[Address], veil: Veil) -> tuple[WorkPart, ...]:
    rows = await connection.fetch(
        """SELECT w.*, sum(c.at_risk_usd) AS share, (SELECT count(*) FROM hilum.work_item_case a WHERE a.work_item = w.id) AS cases
             FROM hilum.work_item_case c JOIN hilum.work_item w ON w.id = c.work_item
            WHERE c.subject = ANY($1::text[]) GROUP BY w.id ORDER BY w.created_at, w.id""",
        subjects,
    )
    return tuple(
        WorkPart(
            r["id"], r["queue"], veil.text(r["cause"]), veil.text(r["title"]), r["remedy"], r["state"], r["owner"], r["assignee"],
            r["share"], r["at_risk_usd"], r["cases"], r["created_at"], r["due_at"], r["closed_at"], r["closed_by"], _text(r["reason"], veil),
        )
        for r in rows
    )  # fmt: skip


async def _replays(connection: asyncpg.Connection, subjects: list[Address], veil: Veil) -> tuple[ReplayPart, ...]:
    rows = await connection.fetch(
        """SELECT j.id, j.dry_run, j.actor, j.reason, j.created_at, r.original, r.copy, r.change, r.detail
             FROM hilum.replay_result r JOIN hilum.replay_job j ON j.id = r.job
            WHERE r.original = ANY($1::text[]) OR r.copy = ANY($1::text[]) ORDER BY j.id, r.ordinal""",
        subjects,
    )
    return tuple(
        ReplayPart(
            r["id"],
            r["dry_run"],
            r["original"],
            r["copy"],
            r["change"],
            veil.text(r["detail"]),
            r["actor"],
            veil.text(r["reason"]),
            r["created_at"],
        )
        for r in rows
    )


async def _crosswalk_subjects(connection: asyncpg.Connection, events: tuple[StoredEvent, ...]) -> list[Address]:
    """Where a steward's decision about a code of these events would be recorded."""
    names = [r["name"] for r in await connection.fetch("SELECT name FROM hilum.crosswalk")]
    codes = {code for event in events for code in _codes(event.payload)}
    return [f"x/{name}/{code}" for name in names for code in sorted(codes)]


def _codes(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [code for inner in value.values() for code in _codes(inner)]
    return [value] if isinstance(value, str) and 0 < len(value) <= 64 else []


async def _audit(connection: asyncpg.Connection, subjects: list[Address], veil: Veil) -> tuple[AuditMark, ...]:
    rows = await connection.fetch(
        "SELECT shard, seq, entry FROM hilum.audit_entry WHERE subject = ANY($1::text[])", subjects
    )
    marks = []
    for row in rows:
        try:
            entry = parse(row["entry"])
        except MalformedEntry:
            continue  # `hilum audit verify` is who reports damage.
        at = datetime.fromisoformat(entry["at"])
        detail = veil.recorded(entry["detail"])
        marks.append(AuditMark(row["shard"], row["seq"], at, entry["actor"], entry["action"], entry["subject"], detail))
    return tuple(sorted(marks, key=lambda m: (m.at, m.shard, m.seq)))


def _text(text: str | None, veil: Veil) -> str | None:
    return veil.text(text) if text is not None else None
