"""The tree in tiles is the same tree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.audit import merkle, tiles


def numbered(count: int) -> list[bytes]:
    return [merkle.leaf_hash(str(number).encode()) for number in range(count)]


LEAVES = numbered(70_000)


def grown(parts: list[int]) -> tuple[tiles.TileTree, dict[tiles.TileAddress, bytes]]:
    """A tree extended by parts, each time resumed from its stored right edge, and its tile store."""
    store: dict[tiles.TileAddress, bytes] = {}
    tree = tiles.TileTree()
    for part in parts:
        tree = tiles.TileTree.from_edge(tree.size, store)
        store.update(tree.extend(b"".join(LEAVES[tree.size : tree.size + part])))
        store.update(tree.edge())
    return tree, store


@given(st.lists(st.integers(0, 900), min_size=1, max_size=6))
def test_any_batches_give_the_root_and_the_leaves_of_the_plain_tree(parts: list[int]) -> None:
    tree, store = grown(parts)
    size = sum(parts)
    assert tree.size == size
    assert tree.root() == merkle.root(LEAVES[:size])
    level_0 = [hashes for (level, _), hashes in sorted(store.items()) if level == 0]
    assert tiles.leaves_of(level_0) == LEAVES[:size]


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 66_000, 70_000])
def test_a_tree_of_three_levels_has_the_root_of_the_plain_tree(size: int) -> None:
    tree, store = grown([60_000, size - 60_000])
    assert tree.root() == merkle.root(LEAVES[:size])
    counts = tiles.levels_of(size)
    assert len(counts) == (3 if size >= 65_536 else 2)
    for level, count in enumerate(counts):
        held = sum(len(hashes) for (at, _), hashes in store.items() if at == level)
        assert held == count * 32


@given(st.integers(1, 2_000), st.data())
def test_a_few_tiles_answer_every_proof_also_of_an_older_size(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    leaf = data.draw(st.integers(0, old - 1))
    _, store = grown([size])

    def node(height: int, index: int) -> bytes:
        return tiles.node_from_tile((height, index), store[tiles.tile_of((height, index))])

    proof = merkle.range_hashes(merkle.inclusion_ranges(leaf, old), node)
    assert proof == merkle.inclusion_proof(LEAVES[:old], leaf)
    consistency = merkle.range_hashes(merkle.consistency_ranges(old, size), node)
    assert consistency == merkle.consistency_proof(LEAVES[:size], old)


def test_a_missing_or_short_tile_of_the_right_edge_is_named() -> None:
    _, store = grown([300])
    del store[1, 0]
    with pytest.raises(ValueError, match="tile 0 of level 1 is missing"):
        tiles.TileTree.from_edge(300, store)
    _, store = grown([300])
    store[0, 1] = store[0, 1][:-32]
    with pytest.raises(ValueError, match="tile 1 of level 0 is 1376 bytes long"):
        tiles.TileTree.from_edge(300, store)
