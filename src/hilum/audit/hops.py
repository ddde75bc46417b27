"""The story of a thread: its parts and what the audit log says of them, as one list in the order of time.

Rows say what happened; audit entries say who did it. Where both speak of one thing it is told once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from hilum.audit.thread import AuditMark, DeliveryPart, FeedPart, Hop, JournaledStep, StoredEvent, StoredMessage, Thread

_RANK = {
    "message": 0,
    "event": 1,
    "case": 2,
    "crosswalk": 3,
    "step": 4,
    "delivery": 5,
    "feed": 6,
    "work": 7,
    "replay": 8,
}
_BRIEF_CHARACTERS = 150

_STORED = {
    "source": "",
    "resend": " again: a resend, without effect",
    "second report": " reports the same fact: without effect",
    "replay": ", replayed",
    "replayed": ", the original of the replay",
}


def hops_of(thread: Thread) -> Thread:
    """The thread with its story."""
    hops = [
        *_messages(thread),
        *_events(thread),
        *_recorded(thread),
        *_steps(thread),
        *_deliveries(thread),
        *_feeds(thread),
        *_replays(thread),
    ]
    hops.sort(key=lambda h: (h.at, _RANK[h.kind]))
    return replace(thread, hops=tuple(hops))


def _actor(thread: Thread, subject: str, beginning: str, otherwise: str) -> str:
    return next((m.actor for m in thread.audit if m.subject == subject and m.action.startswith(beginning)), otherwise)


def _messages(thread: Thread) -> Iterator[Hop]:
    for message in thread.messages:
        state = {"accepted": "good", "duplicate": "plain", "refused": "bad", "held": "waiting"}.get(
            message.status, "plain"
        )
        kind = message.type if message.type else "unreadable message"
        title = f"{kind} from {message.system}{_STORED.get(message.part, '')}"
        actor = _actor(thread, message.address, "message.", "system:intake")
        yield Hop(
            message.received_at, "message", title, _arrival(message), actor, message.system, state, message.address
        )


def _arrival(message: StoredMessage) -> str:
    parts = [f"{message.status} as {message.address}"]
    if message.error is not None:
        parts.append(message.error)
    parts.append(
        f"{message.size_bytes} bytes over {message.transport}" + (f" from {message.peer}" if message.peer else "")
    )
    if message.control_id:
        parts.append(f"control id {message.control_id}")
    parts.append(f"sha256 {message.sha256[:12]}…")
    return ", ".join(parts)


def _events(thread: Thread) -> Iterator[Hop]:
    for event in thread.events:
        yield Hop(
            event.at, "event", f"{event.type} v{event.version}", f"{event.address} by mapping {event.mapping}: {_facts(event)}",
            "system:intake", None, "good", event.address,
        )  # fmt: skip


def _facts(event: StoredEvent) -> str:
    return brief({name: value for name, value in event.payload.items() if value is not None})


def _recorded(thread: Thread) -> Iterator[Hop]:
    """What only the audit log knows: where a case came to rest, who decided, who corrected a crosswalk."""
    for mark in thread.audit:
        hop = _told(thread, mark)
        if hop is not None:
            yield hop


def _told(thread: Thread, mark: AuditMark) -> Hop | None:
    detail = mark.detail
    where = str(detail.get("step", ""))
    at_step = f"at {where}" if where else ""

    def hop(kind: str, title: str, text: str, state: str, system: str | None = None) -> Hop:
        return Hop(mark.at, kind, title, text, mark.actor, system, state, mark.subject)

    match mark.action:
        case "case.opened":
            flow = f"flow {thread.case.flow} v{thread.case.flow_version}" if thread.case is not None else ""
            return hop("case", f"Case {mark.subject[2:]} opened", f"{flow} from {detail.get('event')}", "good")
        case "case.done":
            return hop("case", "Case done", "every step has its result", "good")
        case "case.waiting":
            return hop(
                "case",
                "Waits for a person",
                _joined(str(detail.get("class", "")), str(detail.get("cause", "")), at_step),
                "waiting",
            )
        case "case.parked":
            system = detail.get("system")
            return hop(
                "case",
                f"Parked until {system} answers",
                at_step,
                "waiting",
                str(system) if system is not None else None,
            )
        case "case.stopped":
            return hop("case", "Stopped by a defect", _joined(str(detail.get("class", "")), at_step), "bad")
        case "work.joined":
            return hop(
                "work",
                f"Joined work item {detail.get('item')} in {detail.get('queue')}",
                f"{_dollars(detail)} at risk, cause {detail.get('cause')}",
                "waiting",
            )
        case "work.released" if not mark.subject.startswith("w/"):
            return hop("work", f"Released from work item {detail.get('item')}", "goes on from where it stopped", "good")
        case "work.skipped" if not mark.subject.startswith("w/"):
            return hop("work", f"Skipped in work item {detail.get('item')}", f"reason: {detail.get('reason')}", "plain")
        case "work.assigned":
            return hop("work", f"Work item {mark.subject[2:]} assigned", f"to {detail.get('assignee')}", "plain")
        case "crosswalk.set" | "crosswalk.retired" if _concerns(thread, mark.at):
            _, name, code = mark.subject.split("/", 2)
            did = "set" if mark.action.endswith("set") else "retired"
            return hop("crosswalk", f"Crosswalk {name} {did}", f"{code}{_arrow(detail)}", "good")
        case "replay.cancelled":
            return hop("replay", f"Replay {mark.subject[2:]} cancelled", "", "plain")
    return None


def _concerns(thread: Thread, at: datetime) -> bool:
    """A steward's decision belongs to the story while the case was open."""
    case = thread.case
    return case is not None and case.created_at <= at and (case.done_at is None or at <= case.done_at)


def _dollars(detail: dict[str, Any]) -> str:
    try:
        return f"${Decimal(str(detail.get('at_risk_usd'))):,.2f}"
    except InvalidOperation:
        return "an unknown amount"


def _arrow(detail: dict[str, Any]) -> str:
    target = detail.get("target")
    return f" → {target}" if target is not None else ""


def _steps(thread: Thread) -> Iterator[Hop]:
    worker = thread.case.executor if thread.case is not None else None
    actor = f"system:{worker}" if worker is not None else "system:flows"
    for step in thread.steps:
        state = {"ok": "good", "rejected": "waiting", "unavailable": "waiting"}.get(step.outcome, "bad")
        duration = (step.ended_at - step.started_at).total_seconds() if step.ended_at is not None else None
        yield Hop(
            step.started_at,
            "step",
            f"Step {step.number}: {step.name}",
            _outcome(step),
            actor,
            None,
            state,
            thread.address,
            duration,
        )


def _outcome(step: JournaledStep) -> str:
    if step.outcome == "ok":
        return brief(step.result) if step.result is not None else "done"
    failure = step.result if isinstance(step.result, dict) else {}
    said = [str(failure[k]) for k in ("title", "cause", "system", "reason", "class") if k in failure]
    return _joined(step.outcome, ": ".join(said[:2]))


def _deliveries(thread: Thread) -> Iterator[Hop]:
    for delivery in thread.deliveries:
        actor = _actor(thread, f"d/{delivery.key}", "delivery.", "system:deliveries")
        if not delivery.attempts:
            yield Hop(
                delivery.created_at,
                "delivery",
                f"{delivery.operation} to {delivery.system}",
                f"written down as {delivery.key}",
                actor,
                delivery.system,
                "waiting",
                f"d/{delivery.key}",
            )
        for attempt in delivery.attempts:
            state = {
                "done": "good",
                "found": "good",
                None: "waiting",
                "unavailable": "waiting",
                "rejected": "waiting",
            }.get(attempt.outcome, "bad")
            took = (attempt.ended_at - attempt.started_at).total_seconds() if attempt.ended_at is not None else None
            yield Hop(
                attempt.started_at, "delivery", f"{delivery.operation} to {delivery.system}",
                _attempted(delivery, attempt.number, attempt.outcome, attempt.error, attempt.executor), actor, delivery.system, state,
                f"d/{delivery.key}", took,
            )  # fmt: skip


def _attempted(delivery: DeliveryPart, number: int, outcome: str | None, error: str | None, executor: str) -> str:
    words = {
        "done": "done", "found": "an earlier effect was found, nothing sent again", "rejected": "refused", "unavailable": "no answer",
        "failed": "failed", None: "on its way",
    }  # fmt: skip
    parts = [words.get(outcome, str(outcome))]
    if outcome in ("done", "found") and delivery.document is not None:
        parts.append(delivery.document)
        if delivery.cases > 1:
            parts.append(f"shared by {delivery.cases} cases")
    if error is not None:
        parts.append(error)
    parts.append(f"attempt {number} by {executor}")
    return ", ".join(parts)


def _feeds(thread: Thread) -> Iterator[Hop]:
    for feed in thread.feeds:
        subject = f"f/{feed.feed}/{feed.event[2:]}"
        yield Hop(
            feed.at,
            "feed",
            f"{feed.feed} to {feed.system}",
            _handed(feed),
            "system:feeds",
            feed.system,
            "good" if feed.receipt is not None else "waiting",
            subject,
        )


def _handed(feed: FeedPart) -> str:
    if feed.receipt is not None:
        return _joined("delivered", f"receipt {feed.receipt}" if feed.receipt else "")
    words = {
        "dead": "refused",
        "behind": "waits behind a refused event of its key",
        "ready": "released, about to be sent again",
        "skipped": "skipped",
    }
    return _joined(words.get(feed.state, feed.state), feed.error if feed.error is not None else "")


def _replays(thread: Thread) -> Iterator[Hop]:
    for replay in thread.replays:
        title = f"Replay {replay.job} {'tried (dry run)' if replay.dry_run else 'ran'}"
        yield Hop(
            replay.at,
            "replay",
            title,
            _joined(replay.detail, f"reason: {replay.reason}"),
            replay.actor,
            None,
            "plain",
            f"r/{replay.job}",
        )


def brief(value: Any) -> str:
    """A value in a line, for people: an identifier by its value, a document by its number, money with its currency."""
    text = _brief(value)
    return text if len(text) <= _BRIEF_CHARACTERS else text[: _BRIEF_CHARACTERS - 1] + "…"


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        if "value" in value and set(value) <= {"value", "authority"}:
            return str(value["value"])
        if "amount" in value and set(value) <= {"amount", "currency"}:
            return f"{value['amount']} {value.get('currency', '')}".rstrip()
        if "type" in value and "number" in value:
            return f"{value['type']} {value['number']}"
        return ", ".join(
            f"{name} {_brief(inner)}" for name, inner in value.items() if inner is not None and inner != ""
        )
    if isinstance(value, list):
        return f"[{', '.join(_brief(inner) for inner in value)}]"
    return str(value)


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
