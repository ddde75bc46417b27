"""The life of one patient account as people read it: every fact with its message, what was merged, what payers said.

Nothing here names anybody: accounts and patients stand as handles of their tokens, which tell them apart and say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import asyncpg

from hilum.model.patient_account import Status, fold_account
from hilum.runtime import account_register as register

_HANDLE_CHARACTERS = 10


@dataclass(frozen=True)
class FactTold:
    """One fact: ``account`` is the handle of the account it was told of, ``event`` and ``message`` are addresses."""

    at: datetime
    change: str
    account: str
    mrn: str
    facility: str
    patient_class: str | None
    location: str | None
    coverages: int | None
    event: str


@dataclass(frozen=True)
class MergeTold:
    """``merged`` is ``survivor`` since then; ``stands`` is False for one that contradicts an earlier one."""

    at: datetime
    kind: str
    merged: str
    survivor: str
    stands: bool
    event: str


@dataclass(frozen=True)
class CoverageTold:
    """What is known of one coverage for one day."""

    on: date
    insurer: str
    payer: str
    status: str
    attempts: int
    at: datetime
    reference: str


@dataclass(frozen=True)
class AccountStory:
    """One account with all that were merged into it. ``account`` is the survivor's handle, ``asked`` that of the number."""

    account: str
    asked: str
    mrn: str
    facility: str
    status: Status
    patient_class: str | None
    location: str | None
    began_at: datetime | None
    discharged_at: datetime | None
    cancelled_at: datetime | None
    waiting: tuple[str, ...]
    facts: tuple[FactTold, ...]
    merges: tuple[MergeTold, ...]
    coverages: tuple[CoverageTold, ...]


def handle_of(token: str) -> str:
    """What people call an account or patient whose number they may not read."""
    return token.lstrip("~")[:_HANDLE_CHARACTERS]


async def accounts_of_number(connection: asyncpg.Connection, number: str) -> list[str]:
    """The accounts of a number's token, whoever issued it; more than one where two hospitals gave it out."""
    rows = await connection.fetch("SELECT account FROM patient_account WHERE number = $1 ORDER BY account", number)
    return [row["account"] for row in rows]


async def story(connection: asyncpg.Connection, account: str) -> AccountStory | None:
    """The life of an account by its token, with what was merged into it and what it was merged into; None when unknown."""
    survivor = await register.survivor_of(connection, register.ACCOUNT, account)
    family = await register.merged_with(connection, register.ACCOUNT, account)
    known = await register.facts_of(connection, family)
    if not known:
        return None
    # An account that was merged away ended with that: what the survivor is, its own facts say, where there are any.
    state = fold_account(known[survivor] if survivor in known else [fact for facts in known.values() for fact in facts])
    rows = await connection.fetch(
        "SELECT * FROM account_fact WHERE account = ANY($1) ORDER BY at, event_shard, event_seq", family
    )
    patients = sorted({row["mrn"] for row in rows})
    merges = await connection.fetch(
        """SELECT f.*, m.survivor IS NOT DISTINCT FROM f.survivor AS stands FROM merge_fact f
             LEFT JOIN merged_identifier m ON m.kind = f.kind AND m.merged = f.merged
            WHERE (f.kind = 'account' AND (f.merged = ANY($1) OR f.survivor = ANY($1)))
               OR (f.kind = 'mrn' AND (f.merged = ANY($2) OR f.survivor = ANY($2))) ORDER BY f.at, f.kind""",
        family, patients,
    )  # fmt: skip
    return AccountStory(
        account=handle_of(survivor), asked=handle_of(account),
        mrn=handle_of(await register.survivor_of(connection, register.MRN, state.mrn)), facility=state.facility,
        status=state.status, patient_class=state.patient_class, location=state.location, began_at=state.began_at,
        discharged_at=state.discharged_at, cancelled_at=state.cancelled_at, waiting=state.waiting,
        facts=tuple(
            FactTold(
                r["at"], r["change"], handle_of(r["account"]), handle_of(r["mrn"]), r["facility"], r["patient_class"],
                r["location"], None if r["coverages"] is None else len(r["coverages"]),
                f"e/{r['event_shard']}/{r['event_seq']}",
            )
            for r in rows
        ),
        merges=tuple(
            MergeTold(
                r["at"], r["kind"], handle_of(r["merged"]), handle_of(r["survivor"]), r["stands"],
                f"e/{r['event_shard']}/{r['event_seq']}",
            )
            for r in merges
        ),
        coverages=tuple(
            CoverageTold(a.on, a.insurer, a.payer, a.status, a.attempt, a.at, a.reference)
            for a in await register.coverage_of(connection, family)
        ),
    )  # fmt: skip
