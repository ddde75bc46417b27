"""How much is kept of what nobody has signed: the first of it as it came, and of the rest its number and digests.

Evidence of an attack is worth keeping; a store that an attacker fills is worth more to the attacker. An address has so many
refusals kept as they came, and each door has so many from all addresses together; both come back slowly.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

ADDRESS_BURST, ADDRESS_SECONDS = 10, 600.0
"""Of one address and door: ten at once, and one more each ten minutes."""
DOOR_BURST, DOOR_SECONDS = 60, 60.0
"""Of one door: sixty at once, and one more each minute. At 64 KB each that is less than 100 MB a day, whoever sends what."""
MOST_ADDRESSES = 10_000
MOST_DIGESTS = 100


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float

    def take(self, now: float, burst: int, seconds: float) -> bool:
        self.left = min(self.left + (now - self.at) / seconds, burst)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass(slots=True)
class NotKept:
    """What a door refused beyond its allowance: how many, and the SHA-256 of the first bodies, as (address, hex) pairs."""

    number: int = 0
    digests: list[tuple[str, str]] = field(default_factory=list)

    def text(self) -> bytes:
        """As it is stored: a line for each digest, under one that says how many there were."""
        lines = [
            f"{self.number} requests were refused and not kept; of {len(self.digests)} of them address and SHA-256:"
        ]
        lines += [f"{address} {digest}" for address, digest in self.digests]
        return "\n".join(lines).encode()


class RefusedEvidence:
    """Decides what is kept, for one process. ``monotonic`` gives seconds."""

    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._addresses: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()
        self._doors: dict[str, _Bucket] = {}
        self._beyond: dict[str, NotKept] = {}

    def keeps(self, door: str, address: str, body: bytes) -> bool:
        """Whether this refusal is kept as it came; otherwise it is counted, and its digest kept until ``beyond``."""
        now = self._monotonic()
        place = (door, address)
        own = self._addresses.get(place)
        if own is None:
            if len(self._addresses) >= MOST_ADDRESSES:
                self._addresses.popitem(last=False)  # Forgotten, it begins anew; the door's own allowance still holds.
            own = self._addresses[place] = _Bucket(ADDRESS_BURST, now)
        self._addresses.move_to_end(place)
        whole = self._doors.setdefault(door, _Bucket(DOOR_BURST, now))
        if own.take(now, ADDRESS_BURST, ADDRESS_SECONDS) and whole.take(now, DOOR_BURST, DOOR_SECONDS):
            return True
        beyond = self._beyond.setdefault(door, NotKept())
        beyond.number += 1
        if len(beyond.digests) < MOST_DIGESTS:
            beyond.digests.append((address, sha256(body).hexdigest()))
        return False

    def beyond(self) -> dict[str, NotKept]:
        """What each door refused beyond its allowance since this was last asked."""
        found, self._beyond = self._beyond, {}
        return found
