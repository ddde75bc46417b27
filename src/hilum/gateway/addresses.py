"""What one address may have open at once, where nobody has said yet who they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address

MOST_OPEN = 32
"""Requests to open paths that one address may have in work: several browsers, and far from all that the door takes."""

_ONE_SITE = 64


class TooManyOpen(Exception):
    """The address has as many requests in work as one may; the earlier ones go on."""


def counted_as(peer: str) -> str:
    """The address by which a peer is counted. Of IPv6 it is the network (RFC 4291 section 2.5.4): whoever has one address
    there has 2**64, and would have as many allowances."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer  # A Unix socket's peer has no address, or a name.
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> _ONE_SITE << _ONE_SITE)}/{_ONE_SITE}"


class OpenRequests:
    """Requests in work, by address, in one process."""

    def __init__(self, most: int = MOST_OPEN) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    @contextmanager
    def one(self, address: str) -> Iterator[None]:
        """Counts a request while it lasts; ``TooManyOpen`` when there are as many already."""
        if self._open[address] >= self._most:
            raise TooManyOpen(address)
        self._open[address] += 1
        try:
            yield
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
