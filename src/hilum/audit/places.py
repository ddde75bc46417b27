"""Places outside the database where signed heads are published, and reading them back.

A published head stands with the proof that it continues the one published before it, so that whoever holds nothing but
the public key can follow the chain. A place never replaces a head: a file is only appended to, an object store is told
to put an object only where there is none (RFC 9110 section 13.1.2, ``If-None-Match: *``).

In a file, one JSON object a line; in a bucket, one object ``<prefix>/heads/<descending number>-<size>.json`` each, the
newest listed first::

    {"size":2,"root":...,"at":...,"key_id":...,"signature":...,"previous":null,"proof":[]}
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hilum.audit.heads import HeadsDamaged, HeadsFile
from hilum.audit.merkle import verify_consistency
from hilum.audit.signing import SignedHead

_DESCENDING_FROM = 999_999_999_999_999


class HeadTaken(Exception):
    """Another head of the same size is published already: the log was forked."""


class PlaceAway(Exception):
    """A place cannot be reached or refuses; the text says which and why, without credentials."""


@dataclass(frozen=True, slots=True)
class PublishedHead:
    """A head as it is published: ``previous`` is the size of the head before it there, ``proof`` leads from that one."""

    head: SignedHead
    previous: int | None
    proof: tuple[bytes, ...] = ()

    def as_bytes(self) -> bytes:
        chain = {"previous": self.previous, "proof": [b64encode(step).decode() for step in self.proof]}
        return orjson.dumps(self.head.as_fields() | chain)

    @classmethod
    def from_bytes(cls, text: bytes) -> PublishedHead:
        """ValueError when these are not the bytes of a published head."""
        fields = orjson.loads(text)
        head = SignedHead.from_fields(fields)
        previous, proof = fields.get("previous"), fields.get("proof", [])
        if previous is not None and type(previous) is not int:
            raise ValueError("the size of the previous head is an integer")
        if not isinstance(proof, list) or not all(isinstance(step, str) for step in proof):
            raise ValueError("a proof is a list of hashes")
        return cls(head, previous, tuple(b64decode(step, validate=True) for step in proof))


class HeadPlace(Protocol):
    """Where heads are published. Methods block: they are called in a thread. PlaceAway when the place cannot answer."""

    name: str
    """Its address, without credentials."""

    def newest(self) -> SignedHead | None: ...

    def publish(self, published: PublishedHead) -> None:
        """Write it durably, or find it there. HeadTaken when another head of that size stands there."""


class FilePlace:
    """A file that is only appended to, on a disk that the platform's administrators should not be able to rewrite."""

    def __init__(self, path: Path) -> None:
        self.name = f"file:{path}"
        self._file = HeadsFile(path)

    def newest(self) -> SignedHead | None:
        try:
            return self._file.last()
        except OSError as failure:
            raise PlaceAway(f"{self.name}: {failure.strerror}") from failure
        except HeadsDamaged as damage:
            raise PlaceAway(str(damage)) from damage

    def publish(self, published: PublishedHead) -> None:
        standing = self.newest()
        if standing is not None and standing.size >= published.head.size:
            if standing != published.head:
                raise HeadTaken(f"{self.name} already knows a head of {standing.size} leaves")
            return
        try:
            self._file.append_lines(published.as_bytes() + b"\n")
        except OSError as failure:
            raise PlaceAway(f"{self.name}: {failure.strerror}") from failure


class BucketPlace:
    """A bucket of an S3-compatible object store. Where the bucket has Object Lock, each head is locked (COMPLIANCE).

    ``client`` is boto3's; ``retain_days`` is how long a locked head can be removed by nobody.
    """

    def __init__(self, client: Any, bucket: str, prefix: str, *, retain_days: int) -> None:
        self.name = f"s3://{bucket}/{prefix}".rstrip("/")
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/heads/" if prefix.strip("/") else "heads/"
        self._retain = timedelta(days=retain_days)
        self._locks: bool | None = None

    def newest(self) -> SignedHead | None:
        return next((published.head for published in self.heads()), None)

    def heads(self) -> Iterator[PublishedHead]:
        """Every published head, the newest first.

        Of a name that was overwritten or hidden by a delete marker the first version counts: it is what was published.
        """
        marker: dict[str, str] = {}
        first: tuple[str, str] | None = None
        while True:
            page = self._ask("list_object_versions", Bucket=self._bucket, Prefix=self._prefix, **marker)
            for item in page.get("Versions", []):
                # The versions of a name come newest first.
                if first is not None and first[0] != item["Key"]:
                    yield self._read(*first)
                first = (item["Key"], item["VersionId"])
            if not page.get("IsTruncated"):
                break
            marker = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page.get("NextVersionIdMarker", "")}
        if first is not None:
            yield self._read(*first)

    def publish(self, published: PublishedHead) -> None:
        key = f"{self._prefix}{_DESCENDING_FROM - published.head.size:015d}-{published.head.size}.json"
        lock: dict[str, Any] = {}
        if self._is_locked():
            lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": published.head.at + self._retain}
        body = published.as_bytes()
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*",
                ChecksumAlgorithm="SHA256", **lock,
            )  # fmt: skip
        except store_failures() as failure:
            if _code(failure) not in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
                raise self._away(failure) from failure
            standing = next((p.head for p in self.heads() if p.head.size <= published.head.size), None)
            if standing != published.head:
                raise HeadTaken(f"{self.name} already knows another head of {published.head.size} leaves") from None

    def _is_locked(self) -> bool:
        if self._locks is None:
            try:
                found = self._client.get_object_lock_configuration(Bucket=self._bucket)
                self._locks = found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"
            except store_failures() as failure:
                if _code(failure) not in ("ObjectLockConfigurationNotFoundError", "NotImplemented", "404"):
                    raise self._away(failure) from failure
                self._locks = False
        return self._locks

    def _read(self, key: str, version: str) -> PublishedHead:
        which = {"VersionId": version} if version != "null" else {}
        body = self._ask("get_object", Bucket=self._bucket, Key=key, **which)["Body"].read()
        try:
            return PublishedHead.from_bytes(body)
        except ValueError as damage:
            raise PlaceAway(f"{self.name}: the object {key} is not a signed head: {damage}") from damage

    def _ask(self, operation: str, **how: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**how)
        except store_failures() as failure:
            raise self._away(failure) from failure
        return answer

    def _away(self, failure: Exception) -> PlaceAway:
        return PlaceAway(f"{self.name}: {why_failed(failure)}")


def why_failed(failure: Exception) -> str:
    """What a failure of boto3 says in a word; in the guard's own where the way to the store was refused."""
    code, cause = _code(failure), failure.__cause__
    return code if code else str(cause) if isinstance(cause, ConnectionRefusedError) else type(failure).__name__


def store_failures() -> tuple[type[Exception], ...]:
    """What boto3 raises when an object store refuses or cannot be reached."""
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError


def _code(failure: Exception) -> str:
    """The error code of the object store; empty when the failure is none of its answers."""
    answer = getattr(failure, "response", None)
    return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""


class PlaceUnusable(ValueError):
    """A place's address that cannot be used; the text says what is wrong with it."""


_SETTINGS = ("endpoint", "region", "credentials", "authorities")


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """``s3://bucket/prefix?endpoint=https://...&region=us-east-1&credentials=file:secrets/archive&authorities=file:tls/ca.pem``.

    ``credentials`` refers to a secret ``ACCESS_KEY:SECRET_KEY``; without it boto3 looks where it always does.
    ``authorities`` are those of the endpoint's certificate where they are not the machine's.
    """

    bucket: str
    prefix: str
    endpoint: str | None = None
    region: str | None = None
    credentials: str | None = None
    authorities: str | None = None

    @classmethod
    def parse(cls, address: str) -> BucketAddress:
        parts = urlsplit(address)
        if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc:
            raise PlaceUnusable("a bucket's address is s3://bucket/prefix, with no credential in it")
        given = parse_qs(parts.query, strict_parsing=bool(parts.query))
        unknown = set(given) - set(_SETTINGS)
        if unknown:
            raise PlaceUnusable(
                f"{', '.join(sorted(unknown))} is unknown in a bucket's address: {', '.join(_SETTINGS)}"
            )
        return cls(parts.netloc, parts.path.strip("/"), *(_one(given, n) for n in _SETTINGS))

    def client(self, secret: str | Callable[[], str] | None, *, timeout_seconds: float = 10.0) -> Any:
        """A client of boto3, which the extra ``hilum[s3]`` brings. PlaceUnusable when it is not installed.

        A ``secret`` that is called is asked before each request is signed: what was changed is used from then on.
        """
        try:
            import boto3
            from botocore.config import Config
        except ModuleNotFoundError as missing:
            raise PlaceUnusable("an object store needs the extra s3: pip install 'hilum[s3]'") from missing
        session = boto3.session.Session()
        if secret is not None:
            session = boto3.session.Session(botocore_session=_signing_by(lambda: self._pair(secret)))
        settings = Config(
            connect_timeout=timeout_seconds, read_timeout=timeout_seconds, retries={"total_max_attempts": 1}
        )
        return session.client("s3", endpoint_url=self.endpoint, region_name=self.region or "us-east-1", config=settings)

    def _pair(self, secret: str | Callable[[], str]) -> tuple[str, str]:
        access, colon, key = (secret if isinstance(secret, str) else secret()).partition(":")
        if not colon:
            raise PlaceUnusable(f"the secret {self.credentials} is not of the form ACCESS_KEY:SECRET_KEY")
        return access, key


def _signing_by(pair: Callable[[], tuple[str, str]]) -> Any:
    """A session of botocore that signs each request by what ``pair`` gives then."""
    from botocore.credentials import CredentialProvider, CredentialResolver, Credentials, ReadOnlyCredentials
    from botocore.session import Session

    class Given(Credentials):  # type: ignore[misc]
        def get_frozen_credentials(self) -> Any:
            access, key = pair()
            return ReadOnlyCredentials(access, key, None)

    class Provider(CredentialProvider):  # type: ignore[misc]
        METHOD = "hilum"

        def load(self) -> Any:
            return Given(*pair(), method=self.METHOD)

    session = Session()
    session.register_component("credential_provider", CredentialResolver([Provider()]))
    return session


def _one(given: dict[str, list[str]], name: str) -> str | None:
    return given[name][0] if name in given else None


def read_published(place: str, environment_client: Any = None) -> list[PublishedHead]:
    """What was published at ``place``, by size: a file, a folder of downloaded objects, or ``s3://...``.

    HeadsDamaged when something there is no head; PlaceAway or OSError when it cannot be read.
    """
    if place.startswith("s3://"):
        address = BucketAddress.parse(place)
        client = environment_client if environment_client is not None else address.client(None)
        heads = list(BucketPlace(client, address.bucket, address.prefix, retain_days=0).heads())
        return sorted(heads, key=lambda published: published.head.size)
    path = Path(place.removeprefix("file:"))
    if path.is_dir():
        found = []
        for file in sorted(path.rglob("*.json")):
            try:
                found.append(PublishedHead.from_bytes(file.read_bytes()))
            except ValueError as damage:
                raise HeadsDamaged(f"{file} is not a signed head: {damage}") from damage
        return sorted(found, key=lambda published: published.head.size)
    return [PublishedHead.from_bytes(line) for line in HeadsFile(path).lines()]


def is_chain(place: Path) -> bool:
    """Whether a file holds heads published now and then, each with its proof, rather than every head of the log."""
    with place.open("rb") as file:
        return b'"previous":' in file.readline()


def chain_problems(heads: Iterable[PublishedHead], public_key: Ed25519PublicKey) -> list[str]:
    """Why published heads are not one log's, each continuing the one before; empty when they are."""
    found: list[str] = []
    before: SignedHead | None = None
    for published in heads:
        head = published.head
        if not head.is_signed_by(public_key):
            found.append(f"the head of {head.size} leaves is not signed by this key")
        elif before is not None and (head.size, head.root) == (before.size, before.root):
            continue
        elif before is not None and head.size <= before.size:
            found.append(
                f"the head of {head.size} leaves was published after one of {before.size}: a rollback or a fork"
            )
        elif before is not None and published.previous is not None:
            if published.previous != before.size:
                found.append(
                    f"the head of {head.size} leaves continues one of {published.previous} leaves, but the one before it "
                    f"has {before.size}: one was removed"
                )
            elif not verify_consistency(before.size, head.size, before.root, head.root, published.proof):
                found.append(f"the head of {head.size} leaves does not continue the one of {before.size}: a fork")
        before = head
    return found
