"""The cover: a package told to people, in one page that prints and loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from hilum.audit.signing import SignedHead
from hilum.audit.thread import AuditMark, Thread
from hilum.audit.who_saw import Seen
from hilum.authoring.estate import Estate

_DECISIONS = ("work.", "approval.", "crosswalk.", "replay.", "break_glass.", "access.approval", "hold.")
_MOST_STORIES = 50
"""Of more threads the cover lists the documents; their stories are in threads.jsonl."""
_MOST_ACCESSES = 500


def cover_of(
    manifest: Mapping[str, Any],
    threads: Sequence[Thread],
    accesses: Sequence[Seen],
    head: SignedHead,
    published: Sequence[Mapping[str, Any]],
    estate: Estate,
) -> str:
    """The page as HTML. Times are in the estate's zone; values are masked as in the threads."""
    zone = ZoneInfo(estate.time_zone)

    def moment(at: datetime) -> str:
        return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}"

    environment = Environment(
        loader=PackageLoader("hilum.audit.evidence", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["moment"] = moment
    decisions = [mark for thread in threads for mark in thread.audit if mark.action.startswith(_DECISIONS)]
    return environment.get_template("cover.html").render(
        manifest=manifest,
        made_at=datetime.fromisoformat(manifest["made_at"]),
        zone=estate.time_zone,
        threads=threads,
        stories=threads[:_MOST_STORIES],
        decisions=[(mark, _decided(mark)) for mark in decisions],
        accesses=accesses[-_MOST_ACCESSES:],
        access_count=len(accesses),
        break_glass=[access for access in accesses if access.break_glass],
        head=head,
        root=head.as_fields()["root"],
        published=published,
        amount=sum(item.at_risk_usd for thread in threads for item in thread.work_items),
    )


def _decided(mark: AuditMark) -> str:
    """What was decided, in the entry's own words."""
    return ", ".join(f"{name} {value}" for name, value in sorted(mark.detail.items()))
