"""Judging a log read in order: which entry, range, hash or head is not what was once signed.

Pure: it takes the parts of a log (``hilum.audit.reading``) from a database or an export and knows neither. Two
trees grow side by side while they differ, one from the entries as they stand and one from the stored leaf hashes; the
next signed head tells which of the two was changed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hilum.audit.entry import MalformedEntry, parse
from hilum.audit.heads import HeadsDamaged
from hilum.audit.merkle import CompactRange, leaf_hash
from hilum.audit.parts import Leaf, LogPart, RangeRow
from hilum.audit.signing import SignedHead

KEPT_DAMAGES = 100
"""A report keeps so many damages; all are counted."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is not as it was signed. ``text`` says what and where; ``leaf`` is None when it is no leaf's.

    Kinds: entry-changed, entry-missing, entry-extra, entry-malformed, subject-changed, leaves-changed, tile-changed,
    range-changed, shard-changed, head-forged, head-missing, head-replaced, heads-file, message-changed, message-missing, mark-changed,
    event-changed, event-missing, event-added, certificate-changed, certificate-missing.
    """

    kind: str
    text: str
    leaf: int | None = None
    shard: int | None = None
    seq: int | None = None
    subject: str | None = None

    def as_fields(self) -> dict[str, str | int | None]:
        return {
            "kind": self.kind,
            "text": self.text,
            "leaf": self.leaf,
            "shard": self.shard,
            "seq": self.seq,
            "subject": self.subject,
        }


@dataclass(slots=True)
class VerifyReport:
    """What was verified, and every damage found (the first ``KEPT_DAMAGES`` in full)."""

    leaves: int = 0
    heads: int = 0
    pending: int = 0
    """Entries written but not yet under a signed head."""
    published_heads: int | None = None
    """Heads in the heads file; None when there was none to compare with."""
    unpublished_heads: int = 0
    """Heads newer than the heads file, as a crash between commit and publication leaves one."""
    messages_checked: int = 0
    messages_expired: int = 0
    events_checked: int = 0
    events_sealed: int = 0
    """Events that nobody could open here."""
    messages_sealed: int = 0
    """Messages that could not be compared: their keys are not at hand, or were destroyed."""
    newest_head: SignedHead | None = None
    damages: list[Damage] = field(default_factory=list)
    damage_count: int = 0
    first: Damage | None = None
    """The damage of the lowest leaf; one of no leaf comes after those."""

    @property
    def whole(self) -> bool:
        return self.damage_count == 0

    def add(self, damage: Damage) -> None:
        self.damage_count += 1
        if len(self.damages) < KEPT_DAMAGES:
            self.damages.append(damage)
        if self.first is None or _rank(damage) < _rank(self.first):
            self.first = damage

    def as_fields(self) -> dict[str, object]:
        """JSON values, as the commands print them."""
        return {
            "whole": self.whole,
            "leaves": self.leaves,
            "heads": self.heads,
            "pending": self.pending,
            "published_heads": self.published_heads,
            "unpublished_heads": self.unpublished_heads,
            "messages_checked": self.messages_checked,
            "messages_expired": self.messages_expired,
            "events_checked": self.events_checked,
            "events_sealed": self.events_sealed,
            "messages_sealed": self.messages_sealed,
            "newest_head": None if self.newest_head is None else self.newest_head.as_fields(),
            "first_damage": None if self.first is None else self.first.as_fields(),
            "damage_count": self.damage_count,
            "damages": [damage.as_fields() for damage in self.damages],
        }


def _rank(damage: Damage) -> tuple[bool, int]:
    return damage.leaf is None, damage.leaf or 0


class Verifier:
    """Takes the parts of a log in order and reports.

    ``published`` are heads from outside, by size: every head of the log, or ``sparse``: one now and then.
    """

    def __init__(
        self, public_key: Ed25519PublicKey, published: Iterator[SignedHead] | None = None, *, sparse: bool = False
    ) -> None:
        self.report = VerifyReport()
        self._public_key = public_key
        self._published = None if published is None else _Published(published, self._damage, sparse)
        self._ranges = _Ranges(self._damage)
        self._tiles = CompactRange()
        self._entries: CompactRange | None = None
        """The tree of the entries as they stand, while it differs from the tree of the stored hashes."""
        self._suspects: list[Leaf] = []
        """Leaves since the newest head whose entry and stored hash differ."""
        self._more_suspects = 0
        self._signed_size = 0
        """The leaves under the newest valid head."""
        self._first_unsigned: Leaf | None = None
        self._lost = False
        """Neither tree gave a signed root: no later root can be checked."""

    def _damage(self, kind: str, text: str, leaf: Leaf | None = None) -> None:
        if leaf is None:
            self.report.add(Damage(kind, text))
        else:
            self.report.add(Damage(kind, text, leaf.leaf, leaf.shard, leaf.seq, leaf.subject))

    def take(self, part: LogPart) -> None:
        """The next part of the log."""
        if isinstance(part, SignedHead):
            self._take_head(part)
        elif isinstance(part, RangeRow):
            self._ranges.take(part)
        else:
            self._take_leaves(part)

    def _take_leaves(self, leaves: Sequence[Leaf]) -> None:
        if self._first_unsigned is None and leaves:
            self._first_unsigned = leaves[0]
        stored: list[bytes] = []
        standing: list[bytes] = []
        for leaf in leaves:
            computed = None if leaf.entry is None else leaf_hash(leaf.entry)
            if computed is not None and computed == leaf.hashed:
                self._check_subject(leaf)
                stored.append(computed)
                standing.append(computed)
                continue
            if self._entries is None:
                self._entries = self._tiles.copy()
                self._entries.extend(standing)
                # The forked tree has these already; the list goes on with what follows them.
                standing = []
            stored.append(leaf.hashed or computed or bytes(32))
            standing.append(computed or leaf.hashed or bytes(32))
            self._report_difference(leaf, computed)
        self._tiles.extend(stored)
        if self._entries is not None:
            self._entries.extend(standing)
        self.report.leaves = self._tiles.size

    def _check_subject(self, leaf: Leaf) -> None:
        # The canonical bytes end with the subject; an entry that does not is looked at more closely.
        if leaf.entry is None or leaf.subject is None:
            return
        if leaf.entry.endswith(b',"subject":%b,"v":1}' % orjson.dumps(leaf.subject)):
            return
        try:
            own = parse(leaf.entry)["subject"]
        except MalformedEntry as failure:
            self._damage("entry-malformed", f"{_named(leaf)} was signed but cannot be read: {failure}", leaf)
            return
        if own != leaf.subject:
            self._damage("subject-changed", f"{_named(leaf)}: the entry itself is about {own!r}", leaf)

    def _report_difference(self, leaf: Leaf, computed: bytes | None) -> None:
        if leaf.shard is None:
            # The hole in the range rows has been or will be reported as one.
            if leaf.hashed is None:
                self._damage("tile-changed", f"the stored hash of leaf {leaf.leaf} is missing", leaf)
        elif computed is None:
            self._damage("entry-missing", f"{_named(leaf)} is missing", leaf)
        elif leaf.hashed is None:
            self._damage("tile-changed", f"the stored hash of {_named(leaf)} is missing", leaf)
        elif self._lost:
            self._damage("entry-changed", _changed(leaf), leaf)
        elif len(self._suspects) < KEPT_DAMAGES:
            self._suspects.append(leaf)
        else:
            self._more_suspects += 1

    def _take_head(self, head: SignedHead) -> None:
        self.report.heads += 1
        if self._published is not None:
            self._published.compare(head)
        if not head.is_signed_by(self._public_key):
            self._damage("head-forged", f"the head of {head.size} leaves is not signed by the log's key")
            return
        if head.size > self._tiles.size:
            self._damage("head-missing", f"a head covers {head.size} leaves but the log holds only {self._tiles.size}")
            return
        self.report.newest_head = head
        if not self._lost:
            self._judge(head)
        self._signed_size, self._first_unsigned = head.size, None

    def _judge(self, head: SignedHead) -> None:
        if self._tiles.root() == head.root:
            self._blame("entry-changed", _changed)
            self._entries = None
        elif self._entries is not None and self._entries.root() == head.root:
            self._blame(
                "tile-changed", lambda leaf: f"the stored hash of {_named(leaf)} was changed, the entry was not"
            )
            self._tiles, self._entries = self._entries, None
        else:
            first = self._first_unsigned
            where = "the log" if first is None else _named(first)
            span = f"one of the {head.size - self._signed_size} leaves from there to leaf {head.size - 1} was changed or moved"
            self._damage(
                "leaves-changed", f"{where}: it or {span}, its hash as well: they no longer give the signed root", first
            )
            self._blame("entry-changed", _changed)
            self._lost = True

    def _blame(self, kind: str, text: Callable[[Leaf], str]) -> None:
        for leaf in self._suspects:
            self._damage(kind, text(leaf), leaf)
        self.report.damage_count += self._more_suspects
        self._suspects.clear()
        self._more_suspects = 0

    def finish(self) -> VerifyReport:
        """The report, after the last part."""
        self._ranges.finish(self._tiles.size)
        self._blame("entry-changed", _changed)
        if self._signed_size < self._tiles.size:
            first = self._first_unsigned
            where = f"leaf {self._signed_size}" if first is None else _named(first)
            self._damage(
                "head-missing",
                f"{self._tiles.size - self._signed_size} leaves from {where} on are under no valid head: it was removed",
                first,
            )
        if self._published is not None:
            self._published.finish(self._tiles.size)
            self.report.published_heads = self._published.count
            self.report.unpublished_heads = self._published.newer
        return self.report


def _named(leaf: Leaf) -> str:
    if leaf.shard is None:
        return f"leaf {leaf.leaf}"
    about = "" if leaf.subject is None else f" (subject {leaf.subject})"
    return f"leaf {leaf.leaf}, entry {leaf.seq} of shard {leaf.shard}{about}"


def _changed(leaf: Leaf) -> str:
    return f"{_named(leaf)} was changed: its bytes do not give the hash that was signed"


class _Ranges:
    """That the range rows follow on each other without hole or overlap, in leaves and in each shard."""

    def __init__(self, damage: Callable[[str, str], None]) -> None:
        self._damage = damage
        self._next_leaf = 0
        self._next_seq: dict[int, int] = {}

    def take(self, row: RangeRow) -> None:
        expected_seq = self._next_seq.get(row.shard, 1)
        if row.first_leaf != self._next_leaf:
            self._damage("range-changed", f"a range begins at leaf {row.first_leaf} where {self._next_leaf} is due")
        if row.first_seq != expected_seq:
            self._damage(
                "range-changed",
                f"the range at leaf {row.first_leaf} begins at entry {row.first_seq} of shard {row.shard} "
                f"where {expected_seq} is due",
            )
        self._next_leaf = row.first_leaf + row.count
        self._next_seq[row.shard] = row.first_seq + row.count

    def finish(self, size: int) -> None:
        if self._next_leaf != size:
            self._damage("range-changed", f"the ranges end at leaf {self._next_leaf}, the stored hashes at {size}")


class _Published:
    """The heads of a heads file beside those of the log."""

    def __init__(self, heads: Iterable[SignedHead], damage: Callable[[str, str], None], sparse: bool) -> None:
        self._heads = iter(heads)
        self._damage = damage
        self._sparse = sparse
        self._last: SignedHead | None = None
        self.count = 0
        self.newer = 0
        self._head = self._next()

    def _next(self) -> SignedHead | None:
        while True:
            try:
                head = next(self._heads, None)
            except (HeadsDamaged, OSError) as failure:
                self._damage("heads-file", str(failure))
                return None
            if head is None:
                return None
            if self._last is not None and head.size <= self._last.size:
                # A crash between writing and noting it writes the same line again; anything else is no order of ours.
                if head != self._last:
                    self._damage("heads-file", f"the published head of {head.size} leaves follows a larger one")
                continue
            self._last = head
            self.count += 1
            return head

    def compare(self, head: SignedHead) -> None:
        while self._head is not None and self._head.size < head.size:
            self._damage("head-missing", f"the published head of {self._head.size} leaves is not in the log")
            self._head = self._next()
        if self._head is None:
            self.newer += 1
        elif self._head.size > head.size:
            if not self._sparse:
                self._damage("heads-file", f"the head of {head.size} leaves was never published, but a later one was")
        else:
            if (self._head.root, self._head.key_id) != (head.root, head.key_id):
                self._damage("head-replaced", f"the head of {head.size} leaves is not the one that was published")
            self._head = self._next()

    def finish(self, size: int) -> None:
        lost = 0
        newest = self._head
        while self._head is not None:
            lost, newest = lost + 1, self._head
            self._head = self._next()
        if newest is not None and lost:
            self._damage(
                "head-missing",
                f"{lost} published heads, the newest over {newest.size} leaves, are not in the log of {size} leaves: "
                "its end was cut off or it was set back",
            )
