"""The Merkle tree of RFC 6962 section 2 and RFC 9162 section 2.1, pure: hashes in, hashes out.

Every hash is 32 bytes of SHA-256. A leaf is hashed with a 0x00 before it and an inner node with a 0x01, so that neither
can be passed off as the other.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 || entry)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def split(hashes: bytes) -> list[bytes]:
    """Concatenated hashes as a list; ValueError when the length is no multiple of 32."""
    if len(hashes) % HASH_BYTES:
        raise ValueError(f"{len(hashes)} bytes are not a whole number of {HASH_BYTES}-byte hashes")
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The Merkle tree hash of a list of leaf hashes (RFC 6962 section 2.1)."""
    tree = CompactRange()
    tree.extend(leaf_hashes)
    return tree.root()


class CompactRange:
    """The frontier of a growing tree: the roots of its complete subtrees, largest first.

    It holds one hash for each bit set in ``size``, so a tree of any size is extended and its root computed
    in O(log n) space, whoever holds the leaves.
    """

    __slots__ = ("frontier", "size")

    def __init__(self, size: int = 0, frontier: Iterable[bytes] = ()) -> None:
        self.size = size
        self.frontier = list(frontier)
        if len(self.frontier) != size.bit_count():
            raise ValueError(
                f"a tree of {size} leaves has {size.bit_count()} complete subtrees, not {len(self.frontier)}"
            )

    def copy(self) -> "CompactRange":
        return CompactRange(self.size, self.frontier)

    def append(self, leaf: bytes) -> None:
        self.extend((leaf,))

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Append leaf hashes in order; about one node hash a leaf."""
        frontier, size = self.frontier, self.size
        for hashed in leaf_hashes:
            # Each low bit that is set is a complete subtree as tall as the one just finished: they merge.
            bits = size
            while bits & 1:
                hashed = sha256(b"\x01" + frontier.pop() + hashed).digest()
                bits >>= 1
            frontier.append(hashed)
            size += 1
        self.size = size

    def root(self) -> bytes:
        return fold(self.frontier) if self.frontier else EMPTY_ROOT


def fold(subtrees: Sequence[bytes]) -> bytes:
    """The hash over adjoining complete subtrees, largest first (at least one)."""
    hashed = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        hashed = node_hash(left, hashed)
    return hashed


# A proof is a list of hashes of leaf ranges. The ranges are computed apart from the hashes, so that a store that keeps
# inner nodes answers a proof with a handful of reads.

LeafRange = tuple[int, int]
"""First leaf, and the leaf after the last."""

Node = tuple[int, int]
"""A complete subtree of 2**height leaves: (height, index), its first leaf being index * 2**height."""


def _largest_power_of_two_below(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)


def inclusion_ranges(leaf: int, size: int) -> list[LeafRange]:
    """The ranges whose hashes are PATH(leaf, D[size]) of RFC 9162 section 2.1.3.1, in the order of the proof."""
    if not 0 <= leaf < size:
        raise ValueError(f"leaf {leaf} is not in a tree of {size} leaves")
    ranges: list[LeafRange] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _largest_power_of_two_below(end - begin)
        if leaf < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    ranges.reverse()
    return ranges


def consistency_ranges(old_size: int, size: int) -> list[LeafRange]:
    """The ranges whose hashes are PROOF(old_size, D[size]) of RFC 9162 section 2.1.4.1, in the order of the proof."""
    if not 0 < old_size <= size:
        raise ValueError(f"a tree of {size} leaves has no consistency proof from {old_size} leaves")
    if old_size == size:
        return []
    ranges: list[LeafRange] = []
    begin, end = 0, size
    while old_size != end:
        middle = begin + _largest_power_of_two_below(end - begin)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    if begin:
        # The old tree's own last subtree; when it is the whole old tree, the verifier knows its hash: the old root.
        ranges.append((begin, end))
    ranges.reverse()
    return ranges


def complete_subtrees(begin: int, end: int) -> list[Node]:
    """A range of a proof as complete subtrees, largest first; ``begin`` is aligned as the ranges of proofs are."""
    nodes: list[Node] = []
    while begin < end:
        height = (end - begin).bit_length() - 1
        nodes.append((height, begin >> height))
        begin += 1 << height
    return nodes


def range_hashes(ranges: Iterable[LeafRange], node: Callable[[int, int], bytes]) -> list[bytes]:
    """The hashes of ranges, from a function that gives the hash of a complete subtree (height, index)."""
    return [fold([node(*place) for place in complete_subtrees(begin, end)]) for begin, end in ranges]


def inclusion_proof(leaf_hashes: Sequence[bytes], leaf: int) -> list[bytes]:
    """The audit path of one leaf, from all leaf hashes."""
    return [root(leaf_hashes[begin:end]) for begin, end in inclusion_ranges(leaf, len(leaf_hashes))]


def consistency_proof(leaf_hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """The proof that the first ``old_size`` leaves are a prefix of all, from all leaf hashes."""
    return [root(leaf_hashes[begin:end]) for begin, end in consistency_ranges(old_size, len(leaf_hashes))]


def verify_inclusion(leaf_hashed: bytes, leaf: int, size: int, proof: Sequence[bytes], root_hash: bytes) -> bool:
    """Whether the proof leads from the leaf to the root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= leaf < size:
        return False
    index, last = leaf, size - 1
    hashed = leaf_hashed
    for step in proof:
        if last == 0:
            return False
        if index & 1 or index == last:
            hashed = node_hash(step, hashed)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            hashed = node_hash(hashed, step)
        index >>= 1
        last >>= 1
    return last == 0 and hashed == root_hash


def verify_consistency(old_size: int, size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree of ``size`` leaves begins with the tree of ``old_size`` (RFC 9162 section 2.1.4.2).

    Every tree begins with the empty tree: from size 0 the proof is empty and the old root that of nothing.
    """
    if not 0 <= old_size <= size:
        return False
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    if old_size == size:
        return not proof and old_root == new_root
    steps = list(proof)
    if old_size & (old_size - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        return False
    index, last = old_size - 1, size - 1
    while index & 1:
        index >>= 1
        last >>= 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            old = node_hash(step, old)
            new = node_hash(step, new)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            new = node_hash(new, step)
        index >>= 1
        last >>= 1
    return last == 0 and old == old_root and new == new_root
