"""Reading public keys that people hand in: PEM or JWK Set, of a kind that signs, and never a private half."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from hilum.security.identity.keys import PublicKeys

_KID = re.compile(r"[A-Za-z0-9._~:-]{1,128}")


class KeyUnreadable(ValueError):
    """What holds no public key that could be used; the text names the file."""


def public_keys(file: Path) -> PublicKeys:
    """The keys of a file: a PEM public key or a JWK Set. A private key is refused: it belongs to the program alone."""
    return PublicKeys(_document(_bytes_of(file), file.name))


def one_public_key(data: bytes, name: str) -> dict[str, Any]:
    """The JWK of the one key that ``data`` holds, with its ``kid``: its own, or its thumbprint (RFC 7638)."""
    keys = _document(data, name)["keys"]
    if len(keys) != 1 or not len(PublicKeys({"keys": keys})):
        raise KeyUnreadable(f"{name} does not hold exactly one key that signs")
    (document,) = keys
    try:
        kid = document.get("kid", JWKRegistry.import_key(document).thumbprint())
    except (JoseError, ValueError, TypeError, KeyError):
        raise KeyUnreadable(f"{name} has a key that cannot be read") from None
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise KeyUnreadable(f"{name} has a `kid` that is no name of up to 128 letters, digits and ._~:-")
    return {**document, "kid": kid}


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise KeyUnreadable(f"{file.name} cannot be read: {error.strerror}") from None


def _document(data: bytes, name: str) -> dict[str, list[dict[str, Any]]]:
    """A JWK Set of public keys."""
    if b"PRIVATE KEY" in data:
        raise KeyUnreadable(f"{name} is a private key: keep it with the program and put its public half here")
    try:
        read = orjson.loads(data) if data.lstrip().startswith(b"{") else {"keys": [_from_pem(data)]}
    except ValueError:
        raise KeyUnreadable(f"{name} is neither a PEM public key nor a JWK Set") from None
    found = read.get("keys") if "keys" in read else [read]
    keys = [key for key in found if isinstance(key, dict)] if isinstance(found, list) else []
    if any("d" in key or "k" in key for key in keys):
        raise KeyUnreadable(f"{name} holds a private key: keep it with the program and put its public half here")
    if not len(PublicKeys({"keys": keys})):
        raise KeyUnreadable(f"{name} has no EC P-256, Ed25519 or RSA key (2048 bits or more) that signs")
    return {"keys": keys}


def _from_pem(data: bytes) -> dict[str, Any]:
    for kind in (ECKey, OKPKey, RSAKey):
        try:
            return dict(kind.import_key(data).as_dict(private=False))
        except (ValueError, TypeError, AttributeError, KeyError):
            continue
    raise ValueError("no public key")
