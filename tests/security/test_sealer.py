"""Sealed values: what opens where, what does not, and what is said then."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.sealing_parts import key_file, sealer_for

from hilum.security.sealing import keyring as keyring_module
from hilum.security.sealing.choice import wrapper_of
from hilum.security.sealing.key_file import FILE, LocalKeyFile
from hilum.security.sealing.sealer import Sealer, open_sealer
from hilum.security.sealing.wrapping import KeysLost, KeysUnusable
from hilum.store.pool import open_pool
from hilum.store.sealed import OVERHEAD_BYTES, KeyNotAtHand, NotOurs, Shredded, nonce_of

MONDAY = datetime(2026, 11, 16, 8, tzinfo=UTC)
LETTER = b"SMITH^JOAN is in room 4"


def clock() -> datetime:
    return MONDAY


Test = Callable[[asyncpg.Pool, Sealer], Awaitable[None]]


def with_sealer(database_url: str, test: Test) -> None:
    async def run() -> None:
        pool = await open_pool(database_url, max_size=4)
        try:
            await test(pool, await sealer_for(pool, clock))
        finally:
            await pool.close()

    asyncio.run(run())


def test_a_sealed_value_opens_in_its_place_and_nowhere_else(database_url: str):
    async def test(pool: asyncpg.Pool, sealer: Sealer) -> None:
        await sealer.ready("message", MONDAY, 2)
        sealed = sealer.seal(LETTER, "message", "message.raw/1/7", MONDAY)
        assert LETTER not in sealed and len(sealed) == len(LETTER) + OVERHEAD_BYTES
        assert sealer.seal(LETTER, "message", "message.raw/1/7", MONDAY) != sealed, "each value has a nonce of its own"

        assert await sealer.opened(sealed, "message.raw/1/7") == LETTER
        for elsewhere in ("message.raw/1/8", "event.payload/1/7", "message.raw/1/70"):
            with pytest.raises(NotOurs, match="sealed for another place"):
                sealer.open(sealed, elsewhere)

    with_sealer(database_url, test)


def test_no_two_values_of_a_batch_have_the_same_nonce(database_url: str):
    """NIST SP 800-38D section 8: one repeated nonce under a key gives both plain texts away."""

    async def test(pool: asyncpg.Pool, sealer: Sealer) -> None:
        await sealer.ready("message", MONDAY, 800)
        nonces = []
        for _ in range(2):
            seal = sealer.sealing("message", MONDAY)
            nonces += [nonce_of(seal(LETTER, f"message.raw/1/{n}")) for n in range(400)]
        assert len(set(nonces)) == 800

    with_sealer(database_url, test)


@pytest.mark.parametrize("at", [4, 11, 12, 23, 24, 40, -1])
def test_a_flipped_bit_anywhere_is_noticed(database_url: str, at: int):
    async def test(pool: asyncpg.Pool, sealer: Sealer) -> None:
        sealed = bytearray(await sealer.sealed(LETTER, "message", "message.raw/1/7", MONDAY))
        sealed[at] ^= 1
        with pytest.raises(NotOurs):
            await sealer.opened(bytes(sealed), "message.raw/1/7")

    with_sealer(database_url, test)


def test_another_process_opens_what_this_one_sealed_even_under_a_key_made_after_it_started(database_url: str):
    async def test(pool: asyncpg.Pool, sealer: Sealer) -> None:
        other = await sealer_for(pool, clock)
        sealed = await sealer.sealed(LETTER, "answer", "answer/k-1", MONDAY)
        with pytest.raises(KeyNotAtHand):
            other.open(sealed, "answer/k-1")
        assert await other.opened(sealed, "answer/k-1") == LETTER

    with_sealer(database_url, test)


def test_what_an_earlier_release_stored_is_read_as_it_is(database_url: str):
    async def test(pool: asyncpg.Pool, sealer: Sealer) -> None:
        assert await sealer.opened(b"MSH|^~\\&|EHR", "message.raw/1/1") == b"MSH|^~\\&|EHR"
        assert sealer.read_text("AA accepted", "feed_result/x/1/1") == "AA accepted"

    with_sealer(database_url, test)


def test_a_day_has_its_own_key_and_two_processes_share_it(database_url: str):
    async def test(pool: asyncpg.Pool, sealer: Sealer) -> None:
        other = await sealer_for(pool, clock)
        for one in (sealer, other):
            for hours in (0, 3, 30):
                await one.sealed(LETTER, "event", "event.payload/1/1", MONDAY + timedelta(hours=hours))
        rows = [r for r in await sealer.keyring.rows() if r.data_class == "event"]
        assert [(r.period, r.ends, r.generation) for r in rows] == [
            (date(2026, 11, 16), date(2026, 11, 17), 1),
            (date(2026, 11, 17), date(2026, 11, 18), 1),
        ]

    with_sealer(database_url, test)


def test_a_key_whose_number_of_values_is_used_up_is_followed_by_another(
    database_url: str, monkeypatch: pytest.MonkeyPatch
):
    """NIST SP 800-38D section 8.3 bounds the values under one key with random nonces."""
    monkeypatch.setattr(keyring_module, "BLOCK_VALUES", 2)
    monkeypatch.setattr(keyring_module, "LIMIT_VALUES", 4)

    async def test(pool: asyncpg.Pool, sealer: Sealer) -> None:
        sealed = [await sealer.sealed(b"%d" % n, "message", f"m/{n}", MONDAY) for n in range(10)]
        used: dict[int, int] = {}
        for value in sealed:
            used[int.from_bytes(value[4:12], "big")] = used.get(int.from_bytes(value[4:12], "big"), 0) + 1
        assert list(used.values()) == [4, 4, 2]
        assert [await sealer.opened(value, f"m/{n}") for n, value in enumerate(sealed)] == [
            b"%d" % n for n in range(10)
        ]

    with_sealer(database_url, test)


def test_sealing_without_asking_for_room_first_is_refused(database_url: str):
    async def test(pool: asyncpg.Pool, sealer: Sealer) -> None:
        with pytest.raises(KeyNotAtHand, match="no key is ready"):
            sealer.seal(LETTER, "message", "m/1", MONDAY)

    with_sealer(database_url, test)


# --- rotation and shredding


def test_the_database_holds_no_key_that_opens_anything(database_url: str):
    async def test(pool: asyncpg.Pool, sealer: Sealer) -> None:
        await sealer.sealed(LETTER, "message", "m/1", MONDAY)
        for row in await sealer.keyring.rows():
            material = await sealer.keyring.material(row)
            assert len(material) == 32 and row.wrapped is not None and material not in row.wrapped

    with_sealer(database_url, test)


def test_a_new_wrapping_key_touches_no_sealed_value_and_the_old_one_can_be_forgotten(database_url: str, tmp_path: Path):
    async def run() -> None:
        pool = await open_pool(database_url, max_size=4)
        wrapper = key_file(tmp_path / "keys" / "master.json")
        sealer = await open_sealer(pool, wrapper, clock)
        sealed = await sealer.sealed(LETTER, "message", "m/1", MONDAY)
        old_file = (tmp_path / "keys" / "master.json").read_bytes()
        before = wrapper.key_id

        running = await open_sealer(pool, LocalKeyFile.open(tmp_path / "keys" / "master.json"), clock)
        new, changed, gone = await sealer.keyring.rotate_wrapping(forget=True)
        assert new != before and changed == 2, "the message key and the index key"
        assert {r.wrapped_by for r in await sealer.keyring.rows()} == {new} and gone == [before]
        # A process that runs on learns of it when it next needs a key, and wraps with nothing that was forgotten.
        assert await running.opened(sealed, "m/1") == LETTER
        await running.sealed(LETTER, "event", "e/1", MONDAY)
        assert {r.wrapped_by for r in await sealer.keyring.rows()} == {new}

        afresh = await open_sealer(pool, LocalKeyFile.open(tmp_path / "keys" / "master.json"), clock)
        assert await afresh.opened(sealed, "m/1") == LETTER
        assert afresh.token("account", "ACC-1") == sealer.token("account", "ACC-1")

        (tmp_path / "keys" / "old.json").write_bytes(old_file)
        (tmp_path / "keys" / "old.json").chmod(0o600)
        with pytest.raises(KeysLost, match="does not have the key"):
            await open_sealer(pool, LocalKeyFile.open(tmp_path / "keys" / "old.json"), clock)
        await pool.close()

    asyncio.run(run())


def test_after_data_keys_were_rotated_new_values_have_new_keys_and_old_values_still_open(database_url: str):
    async def test(pool: asyncpg.Pool, sealer: Sealer) -> None:
        old = await sealer.sealed(LETTER, "message", "m/1", MONDAY)
        async with pool.acquire() as connection:
            assert await sealer.keyring.retire(connection, None, MONDAY) == 1
        await sealer.keyring.refresh()
        new = await sealer.sealed(LETTER, "message", "m/2", MONDAY)
        assert old[4:12] != new[4:12]
        assert (await sealer.opened(old, "m/1"), await sealer.opened(new, "m/2")) == (LETTER, LETTER)

    with_sealer(database_url, test)


def test_what_was_shredded_opens_nowhere_and_says_under_which_certificate(database_url: str):
    async def test(pool: asyncpg.Pool, sealer: Sealer) -> None:
        other = await sealer_for(pool, clock)
        monday = await sealer.sealed(LETTER, "message", "m/1", MONDAY)
        tuesday = await sealer.sealed(LETTER, "message", "m/2", MONDAY + timedelta(days=1))
        kept = await sealer.sealed(LETTER, "event", "e/1", MONDAY)
        await other.load(monday, tuesday, kept)
        [wrapped] = [r.wrapped for r in await sealer.keyring.rows() if r.data_class == "message" and r.period.day == 16]

        async with pool.acquire() as connection, connection.transaction():
            gone = await sealer.keyring.destroy(
                connection, "message", date(2026, 11, 17), certificate="P-12", now=MONDAY + timedelta(days=90)
            )
        await sealer.keyring.erase_traces()
        assert (gone.data_class, len(gone.ids), gone.first_period, gone.last_period) == (
            "message", 1, date(2026, 11, 16), date(2026, 11, 16),
        )  # fmt: skip

        await other.keyring.refresh()
        for one in (sealer, other, await sealer_for(pool, clock)):
            with pytest.raises(Shredded, match="shredded under certificate P-12"):
                await one.opened(monday, "m/1")
            assert (await one.opened(tuesday, "m/2"), await one.opened(kept, "e/1")) == (LETTER, LETTER)
        path = await pool.fetchval("SELECT pg_relation_filepath('hilum.data_key')")
        await pool.execute("CHECKPOINT")
        heap = Path(await pool.fetchval("SHOW data_directory")) / path
        assert wrapped is not None and wrapped not in heap.read_bytes(), "the page still holds the destroyed key"

    with_sealer(database_url, test)


def test_destruction_can_keep_days_that_open_work_still_needs(database_url: str):
    async def test(pool: asyncpg.Pool, sealer: Sealer) -> None:
        sealed = await sealer.sealed(LETTER, "event", "e/1", MONDAY)
        async with pool.acquire() as connection, connection.transaction():
            gone = await sealer.keyring.destroy(
                connection, "event", date(2027, 1, 1), certificate="P-1", now=MONDAY, keep=[date(2026, 11, 16)]
            )
        assert gone.ids == ()
        assert await sealer.opened(sealed, "e/1") == LETTER

    with_sealer(database_url, test)


# --- tokens


def test_a_token_finds_a_value_however_it_is_typed_and_tells_kinds_apart(database_url: str):
    async def test(pool: asyncpg.Pool, sealer: Sealer) -> None:
        assert sealer.token("account", "ACC-1001") == sealer.token("account", " acc-1001 ")
        assert len(sealer.token("account", "ACC-1001")) == 16
        others = {sealer.token("mrn", "ACC-1001"), sealer.token("account", "ACC-1002")}
        assert sealer.token("account", "ACC-1001") not in others

    with_sealer(database_url, test)


def test_an_ordering_token_is_exact_because_two_accounts_must_never_become_one(database_url: str):
    async def test(pool: asyncpg.Pool, sealer: Sealer) -> None:
        assert sealer.order_token("acc-1") != sealer.order_token("ACC-1")
        assert sealer.order_token("ACC-1").startswith("~")

    with_sealer(database_url, test)


def test_tokens_of_two_databases_have_nothing_in_common(postgres: Any, migrated_template: str):
    urls = [postgres.create_database(f"hilum_tokens_{n}", template=migrated_template) for n in (1, 2)]

    async def run() -> None:
        tokens = []
        for url in urls:
            pool = await open_pool(url)
            sealer = await sealer_for(pool, clock)
            tokens.append({sealer.search_token("mrn", "M-1"), sealer.order_token("M-1"), sealer.fact(b"x" * 16).hex()})
            await pool.close()
        assert not tokens[0] & tokens[1]

    asyncio.run(run())
    for n in (1, 2):
        postgres.drop_database(f"hilum_tokens_{n}")


# --- the key file


def test_the_key_file_is_made_for_its_owner_alone_and_refused_when_others_can_read_it(tmp_path: Path):
    place = tmp_path / "data" / FILE
    LocalKeyFile.make(place)
    assert (place.stat().st_mode & 0o777, place.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    place.chmod(0o640)
    with pytest.raises(KeysUnusable, match="chmod 600"):
        LocalKeyFile.open(place)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format":"hilum-key-file/1","current":"x","keys":{}}', b"[]"])
def test_a_damaged_key_file_is_told_in_words(tmp_path: Path, content: bytes):
    place = tmp_path / "master.json"
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, content)
    os.close(descriptor)
    with pytest.raises(KeysUnusable, match="damaged"):
        LocalKeyFile.open(place)


def test_a_lost_key_file_is_never_replaced_by_a_new_one(database_url: str, tmp_path: Path):
    async def run() -> None:
        pool = await open_pool(database_url)
        wrapper = await wrapper_of(pool, "file", {}, tmp_path, may_make=True)
        await open_sealer(pool, wrapper, clock)
        (tmp_path / FILE).unlink()
        with pytest.raises(KeysLost, match="is missing, and this database is sealed with it") as lost:
            await wrapper_of(pool, "file", {}, tmp_path, may_make=True)
        assert wrapper.key_id in str(lost.value) and "backup" in str(lost.value)
        assert not (tmp_path / FILE).exists()
        await pool.close()

    asyncio.run(run())


def test_an_unknown_key_wrapper_is_refused_with_those_that_are_installed(database_url: str, tmp_path: Path):
    async def run() -> None:
        pool = await open_pool(database_url)
        with pytest.raises(KeysUnusable, match="installed are file, vault"):
            await wrapper_of(pool, "cloud", {}, tmp_path)
        await pool.close()

    asyncio.run(run())
