"""What an owner of master data tells, and the flow that takes it in: one case for each message, however many records it has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

import orjson
from pydantic import AwareDatetime

from hilum.authoring import Contract, Key, flow, step
from hilum.authoring.master import ListTooShort as ListTooShort
from hilum.authoring.master import MasterDesk, Scope, Taken, Telling, ToldRecord
from hilum.authoring.master import NoAuthority as NoAuthority

master = MasterDesk("master")


class MasterRecordsTold(Contract, version=1, identities=["number"], owner="finance"):
    """What one system said of master records at one time; ``complete`` are the scopes of which it said all there is."""

    number: Annotated[str, Key("telling")]
    system: str
    said_at: AwareDatetime
    records: tuple[ToldRecord, ...]
    complete: tuple[Scope, ...] = ()


def records_told(
    system: str,
    said_at: datetime,
    records: Iterable[ToldRecord],
    *,
    complete: Iterable[Scope] = (),
    reference: str = "",
) -> MasterRecordsTold:
    """The fact of a message. Its number is made of all it says: the same message again is the same fact."""
    told, whole = tuple(records), tuple(complete)
    content = [
        system,
        said_at.isoformat(),
        reference,
        [r.model_dump(mode="json") for r in told],
        [s.model_dump() for s in whole],
    ]
    digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:20]
    return MasterRecordsTold(
        number=f"{system}/{reference}/{digest}" if reference else f"{system}/{digest}",
        system=system,
        said_at=said_at,
        records=told,
        complete=whole,
    )


@flow(
    on=MasterRecordsTold,
    key="number",
    criticality="normal",
    owner="finance",
    recovery="Taking in again changes nothing. What its system has no authority for, or lacks too much, waits as a work item and is "
    "told again when released.",
)
def keep_master_records(told: MasterRecordsTold) -> None:
    take_in(told)


@step
def take_in(told: MasterRecordsTold) -> Taken:
    return take(
        Telling(
            number=told.number, system=told.system, said_at=told.said_at, records=told.records, complete=told.complete
        )
    )


def take(telling: Telling) -> Taken:
    """Tell the registry, inside a step. Rejected as ``NoAuthority`` or ``ListTooShort`` by the desk."""
    return master.tell(telling, key=f"master/{telling.number}")
