"""The file: a ZIP of readable parts, a manifest that names each with its digest, and the log's signature over that.

::

    manifest.json     what it is about, when and by whom it was made, the head its proofs lead to, every file's SHA-256
    signature.json    {"key_id", "signature"}: Ed25519 by the log's key over the manifest
    cover.html        the same for people; prints; loads nothing
    threads.jsonl     one thread a line: messages (hash), events (mapping, contract, masked values), steps, deliveries,
                      documents, work items and decisions
    entries.jsonl     the audit entries about all of that, each with its proof under the head
    heads.json        the head, and proofs that it continues (or is continued by) the heads published elsewhere
    accesses.jsonl    who saw it
    postings.jsonl    one staged source a line: its amounts with the rule of each, and the journals they stand in
    tables/<digest>/  the posting tables by which they were staged
    payloads/m-1-7    source bytes, where they were asked for and policy allows

The same content gives the same bytes: members are sorted, stored without compression and carry no time. The package's
name is its digest.
"""

from __future__ import annotations

import io
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hilum.audit.signing import KeyProblem, Signer, parse_public_key

FORMAT, VERSION = "hilum-evidence-package", 1
PURPOSE = "evidence"
MANIFEST, SIGNATURE, COVER = "manifest.json", "signature.json", "cover.html"
THREADS, ENTRIES, HEADS, ACCESSES, POSTINGS, TABLES, PAYLOADS = (
    "threads.jsonl", "entries.jsonl", "heads.json", "accesses.jsonl", "postings.jsonl", "tables/", "payloads/",
)  # fmt: skip
_NEVER = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o100444 << 16
_MOST_MEMBER_BYTES = 4 << 30


class NotAPackage(Exception):
    """A file that is no evidence package, or of a version this release cannot read; the text says why."""


def json_bytes(value: object) -> bytes:
    """Canonical enough to be compared: sorted keys, no spaces, one line."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC, default=str)


def json_lines(values: list[Any]) -> bytes:
    return b"".join(json_bytes(value) + b"\n" for value in values)


def write_package(manifest: Mapping[str, Any], files: Mapping[str, bytes], signer: Signer) -> bytes:
    """The package's bytes. ``manifest`` gains format, version and the digests of ``files``."""
    listed = {name: {"bytes": len(content), "sha256": sha256(content).hexdigest()} for name, content in files.items()}
    statement = json_bytes({**manifest, "format": FORMAT, "version": VERSION, "files": listed})
    signature = b64encode(signer.sign_statement(PURPOSE, statement)).decode()
    members = {
        **files,
        MANIFEST: statement,
        SIGNATURE: json_bytes({"key_id": signer.key_id, "signature": signature}),
    }
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members, key=lambda name: (name not in (MANIFEST, SIGNATURE, COVER), name)):
            entry = zipfile.ZipInfo(name, _NEVER)
            entry.external_attr, entry.create_system = _READABLE, 3
            archive.writestr(entry, members[name])
    return target.getvalue()


@dataclass(frozen=True)
class Package:
    """A package opened for reading: its members as they stand, nothing of it believed yet."""

    digest: str
    members: Mapping[str, bytes]
    manifest: Mapping[str, Any]
    signature: bytes
    public_key: Ed25519PublicKey
    """The key that the package itself names: whoever forged one would name their own."""

    @classmethod
    def open(cls, path: Path) -> Package:
        """NotAPackage when it is none; OSError when it cannot be read."""
        return cls.of(path.read_bytes(), str(path))

    @classmethod
    def of(cls, content: bytes, name: str) -> Package:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                infos = archive.infolist()
                names = [info.filename for info in infos]
                if len(set(names)) != len(names):
                    raise NotAPackage(f"{name} holds two files of one name")
                if sum(info.file_size for info in infos) > max(_MOST_MEMBER_BYTES, 2 * len(content)):
                    raise NotAPackage(f"{name} would unpack to more than it is")
                members = {info.filename: archive.read(info) for info in infos if not info.is_dir()}
        except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError) as failure:
            raise NotAPackage(f"{name} is not a whole ZIP file: {failure}") from failure
        try:
            manifest = orjson.loads(members[MANIFEST])
            signed = orjson.loads(members[SIGNATURE])
            if manifest["format"] != FORMAT:
                raise NotAPackage(f"{name} is not an evidence package")
            if manifest["version"] != VERSION:
                raise NotAPackage(f"{name} is of version {manifest['version']}; this release reads version {VERSION}")
            if not isinstance(manifest["files"], dict):
                raise NotAPackage(f"the manifest of {name} lists no files")
            key = parse_public_key(manifest["public_key"], f"the manifest of {name}")
            signature = b64decode(signed["signature"], validate=True)
        except KeyError as missing:
            raise NotAPackage(f"{name} has no {missing}") from missing
        except (ValueError, TypeError, AttributeError) as failure:
            raise NotAPackage(f"{name}: its manifest or signature cannot be read: {failure}") from failure
        except KeyProblem as failure:
            raise NotAPackage(str(failure)) from failure
        return cls(sha256(content).hexdigest(), members, manifest, signature, key)

    def lines(self, name: str) -> list[Any]:
        """A member of JSON lines; ValueError names the line that is none."""
        found = []
        for number, line in enumerate(self.members.get(name, b"").splitlines(), start=1):
            try:
                found.append(orjson.loads(line))
            except orjson.JSONDecodeError as failure:
                raise ValueError(f"line {number} of {name} is not JSON") from failure
        return found
