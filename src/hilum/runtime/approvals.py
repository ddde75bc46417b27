"""Approvals: what takes effect only when somebody else agrees (separation of duties, NIST SP 800-53 AC-5).

Nobody decides what they made or asked for, under none of their names, nor through a program they own. A decision is for
exactly the payload it was asked for: its digest is given again, and what changed in between is not approved.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import asyncpg
import orjson

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.caller import PERSON, Caller
from hilum.authoring.estate import Estate
from hilum.identity import service_keys
from hilum.security.decisions import Resource
from hilum.security.policies import Policies
from hilum.security.policies.explaining import explain

OPEN, APPROVED, REJECTED, WITHDRAWN, EXPIRED = "open", "approved", "rejected", "withdrawn", "expired"


class ApprovalRefused(Exception):
    """Something cannot be asked or decided like this; the text says why and what to do."""


@dataclass(frozen=True)
class Approval:
    """One thing that waits for, or has, another person's agreement. ``kind`` is the type of resource, as policies know it."""

    id: int
    kind: str
    subject: str
    digest: str
    requested_by: str
    authors: tuple[str, ...]
    attributes: Mapping[str, Any]
    quorum: int
    state: str
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    approved_by: tuple[str, ...] = ()


def payload_digest(payload: bytes | Mapping[str, Any]) -> str:
    """``sha256:<hex>`` of what is to be approved: bytes as they are, a document in one spelling whatever its order."""
    data = payload if isinstance(payload, bytes) else orjson.dumps(dict(payload), option=orjson.OPT_SORT_KEYS)
    return f"sha256:{sha256(data).hexdigest()}"


class Names:
    """Who is who: a person's other names, and who owns which program."""

    def __init__(self, estate: Estate) -> None:
        self._one: dict[str, str] = {}
        for login, others in estate.same_person.items():
            for name in (login, *others):
                self._one[name.casefold()] = f"{PERSON}:{login.casefold()}"
        self._owners = {f"service:{name}": spec.owner for name, spec in estate.services.items() if spec.owner}

    def behind(self, actor: str) -> frozenset[str]:
        """Everyone who acts when ``actor`` does, each under one name: the person, or the program and its owner."""
        kind, _, name = actor.partition(":")
        if kind != PERSON:
            owner = self._owners.get(actor)
            return frozenset({actor}) if owner is None else frozenset({actor, self._person(owner)})
        return frozenset({self._person(name)})

    def behind_caller(self, caller: Caller) -> frozenset[str]:
        """Everyone who acts when this caller does: at the terminal also whoever's login it is, whomever they name."""
        return self.behind(caller.actor) | (self.behind(caller.login) if caller.login else frozenset())

    def _person(self, name: str) -> str:
        bare = name.removeprefix(f"{PERSON}:").casefold()
        return self._one.get(bare, f"{PERSON}:{bare}")


async def request(
    connection: asyncpg.Connection,
    *,
    kind: str,
    subject: str,
    digest: str,
    caller: Caller,
    names: Names,
    now: datetime,
    expires_at: datetime,
    authors: Iterable[str] = (),
    attributes: Mapping[str, Any] = {},
    quorum: int = 1,
    policies: Policies | None = None,
    by_desk: bool = False,
) -> Approval:
    """Ask for an approval. The open one of the same payload and attributes is joined; any other is withdrawn.

    Who joins is an author from then on, and the larger quorum holds. Who ever asked for this payload stays one of its
    authors. Only authors withdraw, where ``policies`` still let them, and the desk for flows (``by_desk``):
    ``ApprovalRefused`` for anybody else. ``authors`` are the actors who made it, besides whoever asks. ``attributes`` are
    what policies look at. Inside the caller's transaction, as everything here.
    """
    made_by = sorted({caller.actor, *authors})
    behind = await everyone_behind(connection, caller, made_by, names, now=now)
    told = orjson.dumps(dict(attributes)).decode()
    row = None
    while row is None:
        waiting = await connection.fetchrow(
            "SELECT * FROM hilum.approval WHERE kind = $1 AND subject = $2 AND state = 'open' FOR UPDATE", kind, subject
        )
        if waiting is not None and waiting["expires_at"] > now:
            if waiting["digest"] == digest and orjson.loads(waiting["attributes"]) == orjson.loads(told):
                return await _join(connection, waiting, caller.actor, behind, quorum, now)
            if not by_desk:
                _may_withdraw(waiting, caller, policies, names)
        if waiting is not None:
            state = EXPIRED if waiting["expires_at"] <= now else WITHDRAWN
            await _settle(connection, waiting["id"], state, caller.actor, now, {"replaced_by": digest})
        # Nothing is given when somebody else asks first at the same moment: what they asked is then the one that waits.
        row = await connection.fetchrow(
            """INSERT INTO hilum.approval (kind, subject, digest, requested_by, authors, attributes, quorum, requested_at,
                                           expires_at)
               SELECT $1, $2, $3, $4,
                      ARRAY(SELECT unnest($5::text[]) UNION SELECT unnest(a.authors) FROM hilum.approval AS a
                             WHERE a.kind = $1 AND a.subject = $2 AND a.digest = $3 ORDER BY 1), $6, $7, $8, $9
               ON CONFLICT (kind, subject) WHERE state = 'open' DO NOTHING RETURNING *""",
            kind, subject, digest, caller.actor, sorted(behind), told, quorum, now, expires_at,
        )  # fmt: skip
    detail = {"kind": kind, "subject": subject, "digest": digest, "quorum": quorum, "authors": made_by}
    await append(connection, [Entry(now, caller.actor, "approval.requested", _address(row["id"]), detail)])
    return await _approval(connection, row)


async def everyone_behind(
    connection: asyncpg.Connection, caller: Caller, made_by: Collection[str], names: Names, *, now: datetime
) -> frozenset[str]:
    """Everyone who acts when this caller asks for what ``made_by`` made: none of them decides about it."""
    behind = names.behind_caller(caller).union(*(names.behind(actor) for actor in made_by))
    # Who registered a program's key may hold it, and would ask by the program what they then approve themselves.
    services = [actor.removeprefix("service:") for actor in made_by if actor.startswith("service:")]
    return behind.union(*(names.behind(who) for who in await service_keys.behind(connection, services, now=now)))


async def _join(
    connection: asyncpg.Connection, waiting: asyncpg.Record, actor: str, behind: frozenset[str], quorum: int, now: datetime
) -> Approval:  # fmt: skip
    """The approval that waits, asked for by these as well; nothing changes when they had asked before."""
    authors, wanted = sorted({*waiting["authors"], *behind}), max(quorum, waiting["quorum"])
    if len(authors) == len(waiting["authors"]) and wanted == waiting["quorum"]:
        return await _approval(connection, waiting)
    row = await connection.fetchrow(
        "UPDATE hilum.approval SET authors = $2, quorum = $3 WHERE id = $1 RETURNING *", waiting["id"], authors, wanted
    )
    detail = {"digest": waiting["digest"], "quorum": wanted, "authors": authors}
    await append(connection, [Entry(now, actor, "approval.joined", _address(waiting["id"]), detail)])
    return await _approval(connection, row)


def _may_withdraw(waiting: asyncpg.Record, caller: Caller, policies: Policies | None, names: Names) -> None:
    """ApprovalRefused unless this caller has a part in what waits and may still ask for such a thing."""
    if not names.behind_caller(caller) & frozenset(waiting["authors"]):
        raise ApprovalRefused(
            f"approval {waiting['id']} of {waiting['kind']} {waiting['subject']} waits as {waiting['requested_by']} asked "
            "for it, and only who asked replaces it; ask them, or let somebody reject it"
        )
    if policies is not None:
        about = Resource(
            "Approval", str(waiting["id"]), {"kind": waiting["kind"], **orjson.loads(waiting["attributes"])}
        )
        told = explain(policies, caller, "create", about)
        if not told.decision:
            raise ApprovalRefused(told.sentence(caller.actor, "create", about))


async def decide(
    connection: asyncpg.Connection,
    approval: int,
    *,
    caller: Caller,
    approves: bool,
    digest: str,
    policies: Policies,
    names: Names,
    now: datetime,
    reason: str = "",
) -> Approval:
    """One person's decision about exactly the payload of ``digest``. ``ApprovalRefused`` when it does not count.

    The same decision again changes nothing. One rejection rejects; ``quorum`` different people approve.
    """
    row = await connection.fetchrow("SELECT * FROM hilum.approval WHERE id = $1 FOR UPDATE", approval)
    if row is None:
        raise ApprovalRefused(f"there is no approval {approval}")
    voice = names.behind(caller.actor)
    before = await connection.fetchrow(
        """SELECT decided_by, approves FROM hilum.approval_decision
            WHERE approval = $1 AND (decided_by = ANY($2) OR behind && $2) ORDER BY decided_by = ANY($3) DESC LIMIT 1""",
        approval, sorted(names.behind_caller(caller)), sorted(voice),
    )  # fmt: skip
    if before is not None and before["decided_by"] not in voice:
        raise ApprovalRefused(
            f"{caller.login} has decided approval {approval} before, as {before['decided_by']}; one login is one voice"
        )
    if before is not None and before["approves"] == approves and row["digest"] == digest:
        return await _approval(connection, row)
    if before is not None:
        raise ApprovalRefused(f"{caller.actor} has decided approval {approval} before; a decision is not taken back")
    if row["state"] != OPEN:
        raise ApprovalRefused(f"approval {approval} is {row['state']}; ask for a new one")
    if row["expires_at"] <= now:
        raise ApprovalRefused(
            f"approval {approval} expired at {row['expires_at']:%Y-%m-%d %H:%M} UTC; ask for a new one"
        )
    if row["digest"] != digest:
        raise ApprovalRefused(
            f"what approval {approval} was asked for has changed since ({row['digest'][:19]}, now {digest[:19]}); ask anew"
        )
    _separate(row, caller, policies, names)
    await connection.execute(
        """INSERT INTO hilum.approval_decision (approval, decided_by, approves, reason, at, behind)
           VALUES ($1, $2, $3, $4, $5, $6)""",
        approval, min(voice), approves, reason, now, sorted(names.behind_caller(caller)),
    )  # fmt: skip
    detail = {"digest": digest, "reason": reason, "policy_version": policies.version}
    action = "approval.given" if approves else "approval.refused"
    await append(connection, [Entry(now, caller.actor, action, _address(approval), detail)])
    if not approves or len(await _voices(connection, approval, row["authors"])) >= row["quorum"]:
        await _settle(connection, approval, APPROVED if approves else REJECTED, caller.actor, now, {"digest": digest})
    return await read(connection, approval)


def _separate(row: asyncpg.Record, caller: Caller, policies: Policies, names: Names) -> None:
    """ApprovalRefused unless this person may decide and has no part in what is decided."""
    part = names.behind_caller(caller) & frozenset(row["authors"])
    if caller.kind != PERSON:
        raise ApprovalRefused(f"{caller.actor} is no person; an approval is a person's judgement")
    if part:
        raise ApprovalRefused(f"{caller.actor} has a part in it ({', '.join(sorted(part))}), so somebody else decides")
    about = Resource(row["kind"], row["subject"], {**orjson.loads(row["attributes"]), "author": row["requested_by"]})
    told = explain(policies, caller, "approve", about)
    if not told.decision:
        raise ApprovalRefused(told.sentence(caller.actor, "approve", about))


async def approved(connection: asyncpg.Connection, kind: str, subject: str, digest: str) -> Approval | None:
    """The approval of exactly this payload, if there is one: what the thing itself asks before it takes effect."""
    row = await connection.fetchrow(
        """SELECT * FROM hilum.approval WHERE kind = $1 AND subject = $2 AND digest = $3 AND state = 'approved'
            ORDER BY id DESC LIMIT 1""",
        kind, subject, digest,
    )  # fmt: skip
    return None if row is None else await _approval(connection, row)


async def read(connection: asyncpg.Connection, approval: int) -> Approval:
    """One approval; ``ApprovalRefused`` when there is none of this number."""
    row = await connection.fetchrow("SELECT * FROM hilum.approval WHERE id = $1", approval)
    if row is None:
        raise ApprovalRefused(f"there is no approval {approval}")
    return await _approval(connection, row)


async def waiting(connection: asyncpg.Connection, *, now: datetime, limit: int = 100) -> list[Approval]:
    """What waits for a decision, the oldest first."""
    rows = await connection.fetch(
        "SELECT * FROM hilum.approval WHERE state = 'open' AND expires_at > $1 ORDER BY id LIMIT $2", now, limit
    )
    return [await _approval(connection, row) for row in rows]


async def is_agreed_without(connection: asyncpg.Connection, approval: Approval, people: Collection[str]) -> bool:
    """Whether enough others agreed: what it was asked for by these as well would still be approved."""
    voices = await _voices(connection, approval.id, [*approval.authors, *people])
    return approval.state == APPROVED and len(voices) >= approval.quorum


async def _voices(connection: asyncpg.Connection, approval: int, authors: Collection[str]) -> tuple[str, ...]:
    """Who agreed, but for those who have a part in it, also when they came to have one afterwards."""
    given = await connection.fetch(
        """SELECT decided_by FROM hilum.approval_decision
            WHERE approval = $1 AND approves AND NOT (decided_by = ANY($2) OR behind && $2) ORDER BY at""",
        approval, sorted(authors),
    )  # fmt: skip
    return tuple(record["decided_by"] for record in given)


async def _approval(connection: asyncpg.Connection, row: asyncpg.Record) -> Approval:
    known = {**row, "authors": tuple(row["authors"]), "attributes": orjson.loads(row["attributes"])}
    return Approval(**known, approved_by=await _voices(connection, row["id"], row["authors"]))


async def _settle(
    connection: asyncpg.Connection, approval: int, state: str, actor: str, now: datetime, detail: Mapping[str, Any]
) -> None:
    await connection.execute(
        "UPDATE hilum.approval SET state = $2, decided_at = $3 WHERE id = $1", approval, state, now
    )
    await append(connection, [Entry(now, actor, f"approval.{state}", _address(approval), detail)])


def _address(approval: int) -> str:
    return f"approval/{approval}"
