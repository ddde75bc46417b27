"""The door's keys: one for each use, the same in every process, and never seen half-written."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hilum.app.gateway import KEY_BYTES, door_keys


def test_cursors_and_entity_tags_have_keys_of_their_own_and_neither_is_the_file(tmp_path: Path) -> None:
    keys = door_keys(tmp_path)
    secret = (tmp_path / "gateway.key").read_bytes()
    assert len({keys.cursors, keys.tags, secret}) == 3
    assert {len(key) for key in (keys.cursors, keys.tags, secret)} == {KEY_BYTES}
    assert door_keys(tmp_path) == keys and keys.tags.hex() not in repr(keys)
    assert stat.S_IMODE((tmp_path / "gateway.key").stat().st_mode) == 0o600


def test_processes_that_start_together_have_the_same_keys(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as many:
        for turn in range(20):
            place = tmp_path / str(turn)
            place.mkdir()
            assert len(set(many.map(door_keys, [place] * 16))) == 1
            assert [found.name for found in place.iterdir()] == ["gateway.key"]


def test_a_file_that_is_no_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "gateway.key").write_bytes(b"")
    with pytest.raises(ValueError, match="Remove it and start again"):
        door_keys(tmp_path)
