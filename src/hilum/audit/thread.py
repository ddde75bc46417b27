"""The shape of a trace: one thread through messages, events, a case, its deliveries and the people who acted.

Everything here may be shown as it stands: what is protected was masked when the thread was read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

Address = str
"""``m/<shard>/<seq>`` message, ``e/<shard>/<seq>`` event, ``c/<case>``, ``d/<delivery key>``, ``w/<work item>``,
``r/<replay job>``, ``f/<feed>/<shard>/<seq>``."""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """Bytes that arrived. ``part`` is what they are to the thread: source, resend, second report, replay, replayed."""

    address: Address
    part: str
    system: str
    transport: str
    peer: str
    type: str
    control_id: str
    received_at: datetime
    status: str
    error: str | None
    copy_of: Address | None
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One canonical fact; ``payload`` by its contract."""

    address: Address
    type: str
    version: int
    mapping: str
    at: datetime
    facility: str
    message: Address
    copy_of: Address | None
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """The flow's run for this fact. ``run`` counts how often it was taken up."""

    id: str
    flow: str
    flow_version: int
    state: str
    run: int
    step: str | None
    parked_on: str | None
    error: str | None
    executor: str | None
    facility: str
    created_at: datetime
    updated_at: datetime
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class JournaledStep:
    """A step as the journal holds it now; ``outcome`` is ok, rejected, unavailable or bug."""

    number: int
    name: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str
    result: Any


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to deliver. ``outcome`` is done, found, rejected, unavailable or failed; None while it is on its way."""

    number: int
    executor: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class DeliveryPart:
    """A command to a system. ``cases`` counts the cases that share it; ``found`` says an earlier effect was found."""

    key: str
    system: str
    operation: str
    step: str | None
    state: str
    document: str | None
    found: bool
    cases: int
    error: str | None
    created_at: datetime
    done_at: datetime | None
    request: Any
    response: Any
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class FeedPart:
    """What a feed did with the event: handed over with the system's receipt, or parked (dead, behind, ready)."""

    feed: str
    system: str
    event: Address
    at: datetime
    state: str
    receipt: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class WorkPart:
    """A work item in which the thread waits or waited. ``at_risk_usd`` is this thread's share of ``item_at_risk_usd``."""

    id: int
    queue: str
    cause: str
    title: str
    remedy: str
    state: str
    owner: str
    assignee: str | None
    at_risk_usd: Decimal
    item_at_risk_usd: Decimal
    cases: int
    created_at: datetime
    due_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class ReplayPart:
    """A replay that touched the thread."""

    job: int
    dry_run: bool
    original: Address
    copy: Address | None
    change: str
    detail: str
    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AuditMark:
    """An entry of the audit log about a part of the thread; ``hilum audit proof`` proves it."""

    shard: int
    seq: int
    at: datetime
    actor: str
    action: str
    subject: Address
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Hop:
    """One line of the story.

    ``kind``: message, event, case, step, delivery, feed, work, crosswalk, replay. ``state`` is one word: good,
    waiting, bad or plain. ``system`` is the system the hop touches, None inside the platform.
    """

    at: datetime
    kind: str
    title: str
    detail: str
    actor: str
    system: str | None
    state: str
    subject: Address
    duration_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Thread:
    """Everything known of one fact, and the same as a story in ``hops``, oldest first."""

    address: Address
    title: str
    state: str
    messages: tuple[StoredMessage, ...] = ()
    events: tuple[StoredEvent, ...] = ()
    case: Case | None = None
    steps: tuple[JournaledStep, ...] = ()
    deliveries: tuple[DeliveryPart, ...] = ()
    feeds: tuple[FeedPart, ...] = ()
    work_items: tuple[WorkPart, ...] = ()
    replays: tuple[ReplayPart, ...] = ()
    audit: tuple[AuditMark, ...] = ()
    hops: tuple[Hop, ...] = ()

    @property
    def documents(self) -> list[tuple[str, str]]:
        """(system, document) of every document that was made: ``("erp", "journal 2026/118")``."""
        return [(d.system, d.document) for d in self.deliveries if d.document is not None]


@dataclass(frozen=True, slots=True)
class Summary:
    """A thread in one line, where there are too many to tell in full."""

    address: Address
    title: str
    state: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """What a key led to.

    ``kinds`` says what the key is (usage, account, journal ...). ``threads`` is empty when there are more than were
    asked for; ``summaries`` then lists the newest. ``total`` is a lower bound when ``more_than_total``.
    """

    key: str
    kinds: tuple[str, ...]
    total: int
    more_than_total: bool = False
    threads: list[Thread] = field(default_factory=list)
    summaries: list[Summary] = field(default_factory=list)
