"""Signed tree heads: the log's promise, at one instant, of every entry before it.

What is signed (Ed25519, RFC 8032) is a checkpoint in the manner of C2SP tlog-checkpoint, UTF-8, every line ended by LF::

    hilum-audit/<key id>
    <number of leaves, decimal>
    <root hash, base64>
    at <time, 2026-11-21T08:00:00.000000Z>
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from hilum.audit.entry import at_text

SIGNING_KEY = "signing-key.pem"
PUBLIC_KEY = "public-key.pem"


class KeyProblem(Exception):
    """A key file that is missing, of another kind, or readable by others; the text says what to do."""


def key_id(public_key: Ed25519PublicKey) -> str:
    """The first 16 hexadecimal digits of SHA-256 over the 32 raw bytes of the public key."""
    return sha256(public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class SignedHead:
    """The root over the first ``size`` leaves, signed; ``at`` is in UTC."""

    size: int
    root: bytes
    at: datetime
    key_id: str
    signature: bytes

    def signed_bytes(self) -> bytes:
        return _signed_bytes(self.size, self.root, self.at, self.key_id)

    def is_signed_by(self, public_key: Ed25519PublicKey) -> bool:
        if self.key_id != key_id(public_key):
            return False
        try:
            public_key.verify(self.signature, self.signed_bytes())
        except InvalidSignature:
            return False
        return True

    def as_fields(self) -> dict[str, str | int]:
        """As it stands in heads files and exports: JSON values, hashes and signature in base64."""
        return {
            "size": self.size,
            "root": b64encode(self.root).decode(),
            "at": at_text(self.at),
            "key_id": self.key_id,
            "signature": b64encode(self.signature).decode(),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "SignedHead":
        """From a row of ``hilum.audit_head``."""
        return cls(row["size"], row["root"], row["at"], row["key_id"], row["signature"])

    @classmethod
    def from_fields(cls, fields: object) -> "SignedHead":
        """The reverse of ``as_fields``; ValueError when a field is missing or of another kind."""
        if not isinstance(fields, dict):
            raise ValueError("a head is a JSON object")
        try:
            size, root, at = fields["size"], fields["root"], fields["at"]
            head = cls(
                size,
                b64decode(root, validate=True),
                datetime.strptime(at, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC),
                fields["key_id"],
                b64decode(fields["signature"], validate=True),
            )
        except KeyError as missing:
            raise ValueError(f"a head without its {missing}") from missing
        except TypeError as failure:
            raise ValueError(f"a head with a field of the wrong kind: {failure}") from failure
        if type(size) is not int or size < 1 or not isinstance(head.key_id, str):
            raise ValueError("a head's size is a positive integer and its key id is text")
        return head


def _signed_bytes(size: int, root: bytes, at: datetime, key: str) -> bytes:
    return f"hilum-audit/{key}\n{size}\n{b64encode(root).decode()}\nat {at_text(at)}\n".encode()


class Signer:
    """Signs heads with one Ed25519 key."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        self.public_key = private_key.public_key()
        self.key_id = key_id(self.public_key)

    @classmethod
    def open(cls, directory: Path) -> "Signer":
        """The signer of ``directory`` (``<data>/audit``); its key pair is made on first use.

        KeyProblem when the private key can be read by other users or is of another kind.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / SIGNING_KEY
        if not path.exists():
            _make_private_key(path)
        if path.stat().st_mode & 0o077:
            raise KeyProblem(f"{path} can be read by other users; run: chmod 600 {path}")
        try:
            private_key = load_pem_private_key(path.read_bytes(), password=None)
        except (ValueError, TypeError) as failure:
            raise KeyProblem(f"{path} is not an unencrypted PEM private key: {failure}") from failure
        if not isinstance(private_key, Ed25519PrivateKey):
            raise KeyProblem(f"{path} holds a key that is not Ed25519")
        signer = cls(private_key)
        public = directory / PUBLIC_KEY
        if not public.exists():
            _write_whole(public, public_pem(signer.public_key).encode(), 0o644)
        elif key_id(read_public_key(public)) != signer.key_id:
            raise KeyProblem(
                f"{public} does not belong to {path}; put the matching pair back before anything is signed"
            )
        return signer

    def sign(self, size: int, root: bytes, at: datetime) -> SignedHead:
        """A signed head over ``size`` leaves; ``at`` needs its time zone."""
        at = at.astimezone(UTC)
        signature = self._private_key.sign(_signed_bytes(size, root, at, self.key_id))
        return SignedHead(size, root, at, self.key_id, signature)

    def sign_statement(self, purpose: str, statement: bytes) -> bytes:
        """The signature of a statement that is no head (64 bytes); ``purpose`` keeps kinds of statement apart."""
        return self._private_key.sign(_statement_bytes(purpose, self.key_id, statement))


def _statement_bytes(purpose: str, key: str, statement: bytes) -> bytes:
    return f"hilum-{purpose}/{key}\n{sha256(statement).hexdigest()}\n".encode()


def is_statement_signed(public_key: Ed25519PublicKey, purpose: str, statement: bytes, signature: bytes) -> bool:
    """Whether ``signature`` is the key's over this statement of this purpose."""
    try:
        public_key.verify(signature, _statement_bytes(purpose, key_id(public_key), statement))
    except InvalidSignature:
        return False
    return True


def _make_private_key(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write_whole(path, pem, 0o600)


def _write_whole(path: Path, content: bytes, mode: int) -> None:
    """Write a file that either is there whole or not at all, and never replace one that another process made first."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def public_pem(public_key: Ed25519PublicKey) -> str:
    return public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def parse_public_key(pem: str, source: str) -> Ed25519PublicKey:
    """The public key in PEM text; KeyProblem names ``source`` when it is not one."""
    try:
        public_key = load_pem_public_key(pem.encode())
    except ValueError as failure:
        raise KeyProblem(f"{source} is not a PEM public key: {failure}") from failure
    if not isinstance(public_key, Ed25519PublicKey):
        raise KeyProblem(f"{source} holds a key that is not Ed25519")
    return public_key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a PEM file; KeyProblem when it cannot be read."""
    try:
        pem = path.read_text()
    except (OSError, UnicodeDecodeError) as failure:
        raise KeyProblem(f"the public key {path} cannot be read: {failure}") from failure
    return parse_public_key(pem, str(path))
