"""Passwords as they are kept: scrypt (RFC 7914) with its parameters beside it, so that they can be raised later."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass

SHORTEST, LONGEST = 12, 256
_MOST_MEMORY = 256 * 1024 * 1024


@dataclass(frozen=True)
class Cost:
    """What one guess costs: 128 * n * r bytes of memory, p times over."""

    n: int = 2**15
    r: int = 8
    p: int = 3


class PasswordRefused(ValueError):
    """A password nobody should have; the text says what is wrong with it."""


def refuse_weak(password: str, login: str) -> None:
    """Length and not being a name (NIST SP 800-63B section 5.1.1): no rules about kinds of characters."""
    if len(password) < SHORTEST:
        raise PasswordRefused(f"A password here has at least {SHORTEST} characters.")
    if len(password) > LONGEST:
        raise PasswordRefused(f"A password here has at most {LONGEST} characters.")
    plain = password.casefold()
    if login in plain or len(set(plain)) < 5 or "hilum" in plain or "password" in plain:
        raise PasswordRefused(
            "This would be guessed: it holds the account's name, an obvious word, or too few characters."
        )


def stored(password: str, salt: bytes, cost: Cost = Cost()) -> str:
    """``scrypt$n$r$p$salt$hash``; takes a few tenths of a second, so call it in a thread."""
    digest = _scrypt(password, salt, cost)
    return f"scrypt${cost.n}${cost.r}${cost.p}${b64encode(salt).decode()}${b64encode(digest).decode()}"


def is_right(password: str, kept: str) -> bool:
    """Whether this is the password that was stored; as slow as storing it."""
    _, n, r, p, salt, digest = kept.split("$")
    found = _scrypt(password[: LONGEST + 1], b64decode(salt), Cost(int(n), int(r), int(p)))
    return hmac.compare_digest(found, b64decode(digest))


def nobodys(cost: Cost = Cost()) -> str:
    """What the password of an account that does not exist is compared with, so that it takes as long as any other."""
    return f"scrypt${cost.n}${cost.r}${cost.p}${b64encode(bytes(16)).decode()}${b64encode(bytes(32)).decode()}"


def _scrypt(password: str, salt: bytes, cost: Cost) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=cost.n,
        r=cost.r,
        p=cost.p,
        maxmem=_MOST_MEMORY,
        dklen=32,
    )
