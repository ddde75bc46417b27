"""Tiles: the tree's hashes in blocks of 256, on levels that are eight heights apart.

Tile ``t`` of level ``l`` holds up to 256 hashes, each the root of a complete subtree of 256**l leaves; the last tile
of a level is partial. From the partial tiles alone (the right edge) the tree grows and its root follows; from a few
tiles every inner node does.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from hilum.audit.merkle import EMPTY_ROOT, HASH_BYTES, Node, fold, split

TILE_HASHES = 256
TILE_HEIGHT = 8
TILE_BYTES = TILE_HASHES * HASH_BYTES

TileAddress = tuple[int, int]
"""(level, tile)."""


def levels_of(size: int) -> list[int]:
    """How many hashes each level holds in a tree of ``size`` leaves, level 0 first."""
    counts = [size]
    while counts[-1] >= TILE_HASHES:
        counts.append(counts[-1] // TILE_HASHES)
    return counts


def right_edge(size: int) -> dict[TileAddress, int]:
    """The partial tiles of a tree of ``size`` leaves, and the bytes each has to have."""
    edge: dict[TileAddress, int] = {}
    for level, count in enumerate(levels_of(size)):
        if count % TILE_HASHES:
            edge[level, count // TILE_HASHES] = count % TILE_HASHES * HASH_BYTES
    return edge


def tile_root(hashes: bytes) -> bytes:
    """The root over the hashes of one tile, which need not be full (at least one)."""
    subtrees: list[bytes] = []
    begin, count = 0, len(hashes) // HASH_BYTES
    while begin < count:
        height = (count - begin).bit_length() - 1
        end = begin + (1 << height)
        subtrees.append(_complete_root(hashes[begin * HASH_BYTES : end * HASH_BYTES]))
        begin = end
    return fold(subtrees)


def _complete_root(hashes: bytes) -> bytes:
    while len(hashes) > HASH_BYTES:
        hashes = b"".join([sha256(b"\x01" + hashes[at : at + 64]).digest() for at in range(0, len(hashes), 64)])
    return hashes


@dataclass(slots=True)
class TileTree:
    """A growing tree of which only the right edge is kept.

    ``extend`` hands out each tile as it fills; ``edge`` is what has to be stored beside them.
    """

    size: int = 0
    partial: list[bytes] = field(default_factory=lambda: [b""])

    @classmethod
    def from_edge(cls, size: int, tiles: Mapping[TileAddress, bytes]) -> "TileTree":
        """The tree of ``size`` leaves from its stored right edge; ValueError names a tile that is missing or short."""
        partial = [b""] * len(levels_of(size))
        for (level, tile), length in right_edge(size).items():
            hashes = tiles.get((level, tile))
            if hashes is None or len(hashes) != length:
                held = "missing" if hashes is None else f"{len(hashes)} bytes long"
                raise ValueError(
                    f"tile {tile} of level {level} is {held}, a tree of {size} leaves needs {length} bytes"
                )
            partial[level] = hashes
        return cls(size, partial)

    def extend(self, leaf_hashes: bytes) -> Iterator[tuple[TileAddress, bytes]]:
        """Append concatenated leaf hashes; yields the tiles that became full. Has to be read to its end."""
        self.size += len(leaf_hashes) // HASH_BYTES
        level, hashes = 0, leaf_hashes
        while hashes:
            if level == len(self.partial):
                self.partial.append(b"")
            hashes = self.partial[level] + hashes
            held = (self.size >> (TILE_HEIGHT * level)) - len(hashes) // HASH_BYTES
            roots: list[bytes] = []
            full = len(hashes) - len(hashes) % TILE_BYTES
            for at in range(0, full, TILE_BYTES):
                tile = hashes[at : at + TILE_BYTES]
                yield (level, (held + at // HASH_BYTES) // TILE_HASHES), tile
                roots.append(_complete_root(tile))
            self.partial[level] = hashes[full:]
            level, hashes = level + 1, b"".join(roots)

    def edge(self) -> dict[TileAddress, bytes]:
        """The partial tiles as they have to be stored."""
        return {(level, tile): self.partial[level] for level, tile in right_edge(self.size)}

    def root(self) -> bytes:
        """The root over all leaves."""
        if self.size == 0:
            return EMPTY_ROOT
        # What hangs below the next hash of a level, as yet incomplete, is one more hash at that level's end.
        below = b""
        for hashes in self.partial:
            if hashes or below:
                below = tile_root(hashes + below)
        return below


def tile_of(node: Node) -> TileAddress:
    """The tile from which a complete subtree's hash follows."""
    height, index = node
    level = height // TILE_HEIGHT
    return level, (index << (height - level * TILE_HEIGHT)) // TILE_HASHES


def node_from_tile(node: Node, hashes: bytes) -> bytes:
    """The hash of a complete subtree from its tile; ValueError when the tile does not reach that far."""
    height, index = node
    span = 1 << (height % TILE_HEIGHT)
    begin = index * span % TILE_HASHES * HASH_BYTES
    part = hashes[begin : begin + span * HASH_BYTES]
    if len(part) != span * HASH_BYTES:
        raise ValueError(f"the tile of subtree {node} holds {len(hashes)} bytes, too few")
    return _complete_root(part)


def leaves_of(hashes: Iterable[bytes]) -> list[bytes]:
    """The leaf hashes in consecutive tiles of level 0."""
    return [leaf for tile in hashes for leaf in split(tile)]
