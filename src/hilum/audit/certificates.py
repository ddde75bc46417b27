"""Purge certificates beside the log that names each: one that was altered, removed or invented is found."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hilum.audit.entry import MalformedEntry, parse
from hilum.audit.parts import Leaf
from hilum.audit.signing import is_statement_signed
from hilum.audit.verifier import Damage, VerifyReport

PURPOSE = "purge"
PURGED = "retention.purged"
_BEGINNING = b'{"action":"retention.purged"'


class CertificateCheck:
    """Compares the certificates that entries name with ``hilum.purge_certificate``."""

    def __init__(self, connection: asyncpg.Connection, report: VerifyReport, public_key: Ed25519PublicKey) -> None:
        self._connection = connection
        self._report = report
        self._public_key = public_key
        self._named: set[int] = set()

    async def check(self, leaves: Sequence[Leaf]) -> None:
        """That each certificate named among the leaves is there, as it was named, and signed."""
        for leaf in leaves:
            if leaf.entry is None or not leaf.entry.startswith(_BEGINNING):
                continue
            try:
                detail = parse(leaf.entry)["detail"]
            except MalformedEntry:
                continue
            number = detail.get("certificate")
            if type(number) is not int:
                continue
            self._named.add(number)
            row = await self._connection.fetchrow(
                "SELECT statement, signature, encode(sha256(statement), 'hex') AS sha256 FROM hilum.purge_certificate WHERE id = $1",
                number,
            )
            if row is None:
                self._tell("certificate-missing", f"purge certificate {number} is gone", leaf)
            elif row["sha256"] != detail.get("sha256"):
                self._tell("certificate-changed", f"purge certificate {number} is not the one that was issued", leaf)
            elif not is_statement_signed(self._public_key, PURPOSE, row["statement"], row["signature"]):
                self._tell("certificate-changed", f"purge certificate {number} is not signed by the log's key", leaf)

    async def finish(self, pending: bool) -> None:
        """That no certificate is there which no entry names; with entries ``pending`` it may be named by one of those."""
        if pending:
            return
        for row in await self._connection.fetch(
            "SELECT id FROM hilum.purge_certificate WHERE NOT id = ANY($1::bigint[]) ORDER BY id LIMIT 100",
            sorted(self._named),
        ):
            text = f"purge certificate {row['id']} was added: no entry names it"
            self._report.add(Damage("certificate-changed", text))

    def _tell(self, kind: str, text: str, leaf: Leaf) -> None:
        where = f"{text} (of leaf {leaf.leaf}, entry {leaf.seq} of shard {leaf.shard})"
        self._report.add(Damage(kind, where, leaf.leaf, leaf.shard, leaf.seq, leaf.subject))
