"""The log as one file that proves itself with no database at hand: JSON lines, gzipped when the name ends in .gz.

::

    {"format":"hilum-audit-export","version":1,"key_id":...,"public_key":<PEM>,"exported_at":...}
    {"range":{"first_leaf":0,"shard":0,"first_seq":1,"count":2}}
    {"leaf":0,"shard":0,"seq":1,"subject":"w/1","entry":<the exact bytes as text>,"hash":<base64>}
    ...
    {"head":{"size":2,"root":...,"at":...,"key_id":...,"signature":...}}
    {"end":{"leaves":2,"heads":1}}

Ranges, leaves and heads come in the order in which they are verified. What is missing or damaged in the database is
exported as it stands: a missing entry is null, bytes that are not UTF-8 stand base64-encoded under "entry_base64".
"""

import gzip
import os
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import asyncpg
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hilum.audit.entry import at_text
from hilum.audit.heads import HeadsFile
from hilum.audit.parts import Leaf, LogPart, RangeRow
from hilum.audit.reading import PAGE_LEAVES, LogReader
from hilum.audit.signing import SignedHead, key_id, parse_public_key, public_pem
from hilum.audit.verifier import Damage, Verifier, VerifyReport
from hilum.audit.verify import Progress

FORMAT = "hilum-audit-export"
VERSION = 1


class NotAnExport(Exception):
    """A file that is no audit export, or of a version this release cannot read."""


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What was written; ``pending`` entries were not, as no signed head covers them yet."""

    leaves: int
    heads: int
    pending: int


async def export_log(
    connection: asyncpg.Connection,
    target: Path,
    *,
    public_key: Ed25519PublicKey,
    at: datetime,
    progress: Progress | None = None,
) -> ExportSummary:
    """Write everything under a signed head to ``target``, from one snapshot. The file appears when it is complete."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        reader = LogReader(connection)
        leaf_count = await reader.leaf_count()
        leaves = heads = 0
        with _written(target) as file:
            header = {
                "format": FORMAT,
                "version": VERSION,
                "key_id": key_id(public_key),
                "public_key": public_pem(public_key),
                "exported_at": at_text(at),
            }
            file.write(orjson.dumps(header) + b"\n")
            async for part in reader.parts():
                file.write(_lines(part))
                if isinstance(part, SignedHead):
                    heads += 1
                elif not isinstance(part, RangeRow):
                    leaves += len(part)
                    if progress is not None:
                        progress(leaves, leaf_count)
            file.write(orjson.dumps({"end": {"leaves": leaves, "heads": heads}}) + b"\n")
        written = await connection.fetchval("SELECT coalesce(sum(next_seq - 1), 0)::bigint FROM hilum.audit_shard")
    return ExportSummary(leaves, heads, max(0, written - leaves))


@contextmanager
def _written(target: Path) -> Iterator[BufferedIOBase]:
    """A file that takes its name when it is complete and on disk."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with draft.open("wb") as plain:
            if target.name.endswith(".gz"):
                with gzip.GzipFile(filename="", fileobj=plain, mode="wb", mtime=0) as packed:
                    yield packed
            else:
                yield plain
            plain.flush()
            os.fsync(plain.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _lines(part: LogPart) -> bytes:
    if isinstance(part, SignedHead):
        return orjson.dumps({"head": part.as_fields()}) + b"\n"
    if isinstance(part, RangeRow):
        return orjson.dumps({"range": asdict(part)}) + b"\n"
    return b"".join([orjson.dumps(_leaf_fields(leaf)) + b"\n" for leaf in part])


def _leaf_fields(leaf: Leaf) -> dict[str, Any]:
    fields: dict[str, Any] = {"leaf": leaf.leaf, "shard": leaf.shard, "seq": leaf.seq, "subject": leaf.subject}
    try:
        fields["entry"] = None if leaf.entry is None else leaf.entry.decode()
    except UnicodeDecodeError:
        fields["entry_base64"] = b64encode(leaf.entry or b"").decode()
    fields["hash"] = None if leaf.hashed is None else b64encode(leaf.hashed).decode()
    return fields


class Export:
    """An export opened for reading. NotAnExport when it is none, OSError when it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with self._opened() as file:
                header = orjson.loads(file.readline())
        except (EOFError, gzip.BadGzipFile, zlib.error, orjson.JSONDecodeError) as failure:
            raise NotAnExport(f"{path} is not an audit export: {failure}") from failure
        if (
            not isinstance(header, dict)
            or header.get("format") != FORMAT
            or not isinstance(header.get("public_key"), str)
        ):
            raise NotAnExport(f"{path} is not an audit export: its first line is no {FORMAT} header")
        if header.get("version") != VERSION:
            raise NotAnExport(f"{path} is of version {header.get('version')}; this release reads version {VERSION}")
        self.public_key = parse_public_key(header["public_key"], f"the header of {path}")
        """The key that the export itself names: whoever forged an export would name their own."""

    def _opened(self) -> BufferedIOBase:
        with self.path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        return gzip.open(self.path, "rb") if packed else self.path.open("rb")

    def parts(self) -> Iterator[LogPart]:
        """The parts in order. ValueError names the line where the file is damaged or cut off."""
        number = 0
        try:
            with self._opened() as file:
                leaves: list[Leaf] = []
                for number, line in enumerate(file, start=1):
                    if number == 1:
                        continue
                    fields = orjson.loads(line)
                    if "leaf" in fields:
                        leaves.append(_leaf(fields))
                        if len(leaves) < PAGE_LEAVES:
                            continue
                    if leaves:
                        yield leaves
                        leaves = []
                    if "end" in fields:
                        return
                    if "range" in fields:
                        yield RangeRow(**{name: int(value) for name, value in fields["range"].items()})
                    elif "head" in fields:
                        yield SignedHead.from_fields(fields["head"])
                    elif "leaf" not in fields:
                        raise ValueError("neither range, leaf, head nor end")
        except (EOFError, zlib.error, gzip.BadGzipFile) as failure:
            raise ValueError(f"{self.path} is damaged after line {number}: {failure}") from failure
        except (ValueError, KeyError, TypeError, AttributeError) as failure:
            raise ValueError(f"line {number} of {self.path} cannot be read: {failure}") from failure
        raise ValueError(f"{self.path} ends at line {number} without its last line: it was cut off")


def _leaf(fields: dict[str, Any]) -> Leaf:
    entry: bytes | None
    if "entry_base64" in fields:
        entry = b64decode(fields["entry_base64"], validate=True)
    else:
        entry = None if fields["entry"] is None else fields["entry"].encode()
    hashed = None if fields["hash"] is None else b64decode(fields["hash"], validate=True)
    return Leaf(int(fields["leaf"]), fields["shard"], fields["seq"], fields["subject"], entry, hashed)


def verify_export(
    export: Export,
    *,
    public_key: Ed25519PublicKey | None = None,
    heads_file: Path | None = None,
    published: Iterable[SignedHead] | None = None,
) -> VerifyReport:
    """Verify an export, offline and in flat memory.

    Without ``public_key`` the key in its own header is believed, which proves it whole but not whose it is; without
    ``heads_file`` (a copy from another place) or heads ``published`` now and then, an export that ends early, at a head,
    looks whole.
    """
    sparse = published is not None
    heads = iter(published) if published is not None else None if heads_file is None else HeadsFile(heads_file).read()
    verifier = Verifier(export.public_key if public_key is None else public_key, heads, sparse=sparse)
    try:
        for part in export.parts():
            verifier.take(part)
    except ValueError as failure:
        verifier.report.add(Damage("export-damaged", str(failure)))
    return verifier.finish()
