"""Verifying a package offline: with the package, the public key, and nothing else.

What is missing, altered, added or swapped is named. With heads published elsewhere at hand, the package's head is held
against them too: a log that was rewritten before the package was made does not continue them.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hilum.audit.entry import MalformedEntry, parse
from hilum.audit.evidence.package import (
    ACCESSES,
    ENTRIES,
    HEADS,
    MANIFEST,
    PAYLOADS,
    PURPOSE,
    SIGNATURE,
    THREADS,
    Package,
)
from hilum.audit.merkle import leaf_hash, verify_consistency, verify_inclusion
from hilum.audit.signing import SignedHead, is_statement_signed, key_id


@dataclass(slots=True)
class PackageReport:
    """What was verified, and every problem found, each naming the file or entry it concerns."""

    digest: str
    subject: str
    key_id: str
    own_key: bool
    """Whether it was verified with the key in the package itself: whole, but not known whose it is."""
    files: int = 0
    threads: int = 0
    entries: int = 0
    messages: int = 0
    head: SignedHead | None = None
    continues: int = 0
    """Heads published elsewhere that the package's head continues or is continued by."""
    problems: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        return not self.problems

    def as_fields(self) -> dict[str, Any]:
        return {
            "whole": self.whole,
            "digest": self.digest,
            "subject": self.subject,
            "key_id": self.key_id,
            "own_key": self.own_key,
            "files": self.files,
            "threads": self.threads,
            "entries": self.entries,
            "messages": self.messages,
            "head": None if self.head is None else self.head.as_fields(),
            "continues": self.continues,
            "problems": self.problems,
        }


def verify_package(
    package: Package,
    *,
    public_key: Ed25519PublicKey | None = None,
    published: Iterable[SignedHead] | None = None,
    name: str | None = None,
) -> PackageReport:
    """Verify everything. ``name`` is the digest under which the package was kept, when it was kept under one."""
    key = package.public_key if public_key is None else public_key
    report = PackageReport(package.digest, str(package.manifest.get("subject", "?")), key_id(key), public_key is None)
    problems = report.problems
    if name is not None and name != package.digest:
        problems.append(f"the package's digest is {package.digest}, not {name} as its name says")
    if not is_statement_signed(key, PURPOSE, package.members[MANIFEST], package.signature):
        named = key_id(package.public_key)
        foreign = f"; the package names the key {named}" if named != key_id(key) else ""
        problems.append(
            f"{MANIFEST} is not signed by the key {key_id(key)}: it was altered or made by another{foreign}"
        )
    _files(package, report)
    try:
        head = SignedHead.from_fields(orjson.loads(package.members.get(HEADS, b"null"))["head"])
    except (ValueError, TypeError, KeyError) as failure:
        problems.append(f"{HEADS} holds no head: {failure}")
        return report
    report.head = head
    if not head.is_signed_by(key):
        problems.append(f"{HEADS}: the head of {head.size} leaves is not signed by the key {key_id(key)}")
    _entries(package, head, report)
    try:
        _continuity(package, head, key, published, report)
        _digests(package, report)
    except (KeyError, TypeError, ValueError, AttributeError, MalformedEntry) as failure:
        problems.append(f"its parts cannot be compared: {type(failure).__name__}: {failure}")
    return report


def _files(package: Package, report: PackageReport) -> None:
    listed: dict[str, Any] = package.manifest["files"]
    for name in sorted(listed):
        content = package.members.get(name)
        if content is None:
            report.problems.append(f"{name} is missing")
        elif sha256(content).hexdigest() != listed[name].get("sha256"):
            report.problems.append(f"{name} was altered: its bytes do not give the digest in the manifest")
        else:
            report.files += 1
    for name in sorted(set(package.members) - set(listed) - {MANIFEST, SIGNATURE}):
        report.problems.append(f"{name} was added: the manifest does not list it")


def _entries(package: Package, head: SignedHead, report: PackageReport) -> None:
    try:
        proofs = package.lines(ENTRIES)
    except ValueError as failure:
        report.problems.append(str(failure))
        return
    for number, proof in enumerate(proofs, start=1):
        where = f"entry {number} of {ENTRIES}"
        try:
            entry, leaf = proof["entry"].encode(), proof["leaf"]
            path = [b64decode(step, validate=True) for step in proof["path"]]
            where = f"{where} (leaf {leaf}, entry {proof['seq']} of shard {proof['shard']})"
            if type(leaf) is not int or not verify_inclusion(leaf_hash(entry), leaf, head.size, path, head.root):
                report.problems.append(f"{where} does not stand under the signed root: it or its proof was swapped")
                continue
            parse(entry)
        except (KeyError, TypeError, ValueError, AttributeError, MalformedEntry) as failure:
            report.problems.append(f"{where} cannot be read: {failure}")
            continue
        report.entries += 1


def _continuity(
    package: Package,
    head: SignedHead,
    key: Ed25519PublicKey,
    published: Iterable[SignedHead] | None,
    report: PackageReport,
) -> None:
    """The proofs to heads published elsewhere; and, where such heads are at hand, that they are those."""
    at_hand = None if published is None else {other.size: other for other in published}
    proved = orjson.loads(package.members[HEADS]).get("published", [])
    seen: set[int] = set()
    for claim in proved:
        try:
            other = SignedHead.from_fields(claim["head"])
            proof = [b64decode(step, validate=True) for step in claim["proof"]]
        except (KeyError, TypeError, ValueError) as failure:
            report.problems.append(f"{HEADS}: a published head cannot be read: {failure}")
            continue
        where = f"{HEADS}: the head of {other.size} leaves published at {claim.get('place', '?')}"
        if not other.is_signed_by(key):
            report.problems.append(f"{where} is not signed by the key {key_id(key)}")
        elif not verify_consistency(other.size, head.size, other.root, head.root, proof):
            report.problems.append(f"{where} is not continued by the package's head: a fork, or a swapped proof")
        else:
            report.continues += 1
            seen.add(other.size)
            if at_hand is not None and other.size in at_hand and at_hand[other.size].root != other.root:
                report.problems.append(f"{where} is not the one that really was published: the log was forked")
    if at_hand is not None:
        same = at_hand.get(head.size)
        if same is not None and same.root != head.root:
            report.problems.append(f"the published head of {head.size} leaves is another: the log was forked")
        elif same is None and not seen & at_hand.keys():
            report.problems.append("no published head at hand is one that the package proves to continue")


def _digests(package: Package, report: PackageReport) -> None:
    """That what the threads say of source bytes is what the log says, and that payloads are those bytes."""
    threads, accesses = package.lines(THREADS), package.lines(ACCESSES)
    entries = [parse(proof["entry"].encode()) for proof in package.lines(ENTRIES)]
    report.threads = len(threads)
    logged = {
        entry["subject"]: entry["detail"]["sha256"]
        for entry in entries
        if entry["action"].startswith("message.") and "sha256" in entry["detail"]
    }
    stated: dict[str, str] = {}
    for thread in threads:
        for message in thread.get("messages", []):
            stated[message["address"]] = message["sha256"]
    for address in sorted(logged.keys() - stated.keys()):
        report.problems.append(f"{THREADS} does not tell of {address}, which an entry proves to have arrived")
    for what, count in (("threads", len(threads)), ("entries", len(entries))):
        if package.manifest.get(what) != count:
            report.problems.append(f"there are {count} {what} where the manifest says {package.manifest.get(what)}")
    for address, digest in stated.items():
        if address not in logged:
            report.problems.append(f"{THREADS}: no proved entry vouches for the bytes of {address}")
        elif logged[address] != digest:
            report.problems.append(f"{THREADS}: the bytes of {address} are not those that the log accepted")
        else:
            report.messages += 1
    for name, content in package.members.items():
        if name.startswith(PAYLOADS):
            address = name.removeprefix(PAYLOADS).replace("-", "/")
            if stated.get(address) != sha256(content).hexdigest():
                report.problems.append(f"{name} holds other bytes than those that arrived as {address}")
    places = {(proof["shard"], proof["seq"]) for proof in package.lines(ENTRIES)}
    unproved = sum((access["shard"], access["seq"]) not in places for access in accesses)
    if unproved:
        report.problems.append(f"{ACCESSES}: {unproved} accesses stand in no proved entry")
