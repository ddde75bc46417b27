"""The tree against the published vectors of Certificate Transparency and against a naive reading of RFC 6962."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.audit import merkle

# The eight leaves and their roots that every implementation of RFC 6962 is tested with.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]


def naive_root(hashes: list[bytes]) -> bytes:
    """MTH as RFC 6962 section 2.1 writes it down."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return sha256(b"\x01" + naive_root(hashes[:k]) + naive_root(hashes[k:])).digest()


def naive_path(leaf: int, hashes: list[bytes]) -> list[bytes]:
    """PATH as RFC 6962 section 2.1.1 writes it down."""
    if len(hashes) == 1:
        return []
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if leaf < k:
        return [*naive_path(leaf, hashes[:k]), naive_root(hashes[k:])]
    return [*naive_path(leaf - k, hashes[k:]), naive_root(hashes[:k])]


def naive_proof(old: int, hashes: list[bytes], whole: bool = True) -> list[bytes]:
    """SUBPROOF as RFC 6962 section 2.1.2 writes it down."""
    if old == len(hashes):
        return [] if whole else [naive_root(hashes)]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if old <= k:
        return [*naive_proof(old, hashes[:k], whole), naive_root(hashes[k:])]
    return [*naive_proof(old - k, hashes[k:], False), naive_root(hashes[:k])]


def numbered(count: int) -> list[bytes]:
    return [merkle.leaf_hash(str(number).encode()) for number in range(count)]


sizes = st.integers(min_value=1, max_value=300)


@pytest.mark.parametrize("size", range(1, 9))
def test_the_roots_are_the_published_ones(size: int) -> None:
    assert merkle.root(HASHES[:size]).hex() == ROOTS[size - 1]


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_published_audit_path_of_the_first_of_eight_leaves() -> None:
    assert [step.hex() for step in merkle.inclusion_proof(HASHES, 0)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


@given(sizes)
def test_the_frontier_gives_the_naive_root_at_every_size(size: int) -> None:
    hashes = numbered(size)
    assert merkle.root(hashes) == naive_root(hashes)


@given(sizes, st.data())
def test_extending_in_two_parts_is_extending_at_once(size: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, size))
    hashes = numbered(size)
    tree = merkle.CompactRange()
    tree.extend(hashes[:cut])
    resumed = merkle.CompactRange(tree.size, tree.frontier)
    resumed.extend(hashes[cut:])
    assert resumed.root() == naive_root(hashes)


@given(sizes, st.data())
def test_inclusion_proofs_are_the_naive_ones_and_verify(size: int, data: st.DataObject) -> None:
    leaf = data.draw(st.integers(0, size - 1))
    hashes = numbered(size)
    proof = merkle.inclusion_proof(hashes, leaf)
    assert proof == naive_path(leaf, hashes)
    assert merkle.verify_inclusion(hashes[leaf], leaf, size, proof, naive_root(hashes))


@given(sizes, st.data())
def test_consistency_proofs_are_the_naive_ones_and_verify(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    hashes = numbered(size)
    proof = merkle.consistency_proof(hashes, old)
    assert proof == naive_proof(old, hashes)
    assert merkle.verify_consistency(old, size, naive_root(hashes[:old]), naive_root(hashes), proof)


@given(st.integers(2, 200), st.data())
def test_a_proof_of_another_leaf_or_of_a_changed_leaf_does_not_verify(size: int, data: st.DataObject) -> None:
    leaf = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1).filter(lambda number: number != leaf))
    hashes = numbered(size)
    top = naive_root(hashes)
    proof = merkle.inclusion_proof(hashes, leaf)
    assert not merkle.verify_inclusion(hashes[leaf], other, size, proof, top)
    assert not merkle.verify_inclusion(merkle.leaf_hash(b"forged"), leaf, size, proof, top)
    assert not merkle.verify_inclusion(hashes[leaf], leaf, size, proof[:-1], top)
    assert not merkle.verify_inclusion(hashes[leaf], leaf, size, [*proof, top], top)


@given(st.integers(2, 200), st.data())
def test_a_rewritten_history_has_no_consistency_proof(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size - 1))
    changed = data.draw(st.integers(0, old - 1))
    hashes = numbered(size)
    rewritten = [*hashes[:changed], merkle.leaf_hash(b"forged"), *hashes[changed + 1 :]]
    proof = merkle.consistency_proof(rewritten, old)
    assert not merkle.verify_consistency(old, size, naive_root(hashes[:old]), naive_root(rewritten), proof)


@given(sizes, st.data())
def test_a_store_of_complete_subtrees_answers_every_proof(size: int, data: st.DataObject) -> None:
    leaf = data.draw(st.integers(0, size - 1))
    hashes = numbered(size)

    def node(height: int, index: int) -> bytes:
        leaves = hashes[index << height : (index + 1) << height]
        assert len(leaves) == 1 << height
        return naive_root(leaves)

    assert merkle.range_hashes(merkle.inclusion_ranges(leaf, size), node) == naive_path(leaf, hashes)
    assert merkle.range_hashes(merkle.consistency_ranges(leaf + 1, size), node) == naive_proof(leaf + 1, hashes)


def test_a_leaf_outside_the_tree_is_refused() -> None:
    with pytest.raises(ValueError, match="leaf 8 is not in a tree of 8 leaves"):
        merkle.inclusion_ranges(8, 8)
    with pytest.raises(ValueError, match="no consistency proof from 0 leaves"):
        merkle.consistency_ranges(0, 8)
