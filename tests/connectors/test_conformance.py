"""What every connector keeps, whatever it speaks: one effect for each key, and time told apart from decisions."""

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.benches import BENCHES, Bench, fresh_key

from hilum.authoring import Rejected, Unavailable


@pytest.fixture(scope="module", params=BENCHES, ids=lambda make: make.__name__.removesuffix("_bench"))
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory: Path = tmp_path_factory.mktemp("neighbour")
    bench = request.param(directory)
    yield bench
    bench.neighbour.stop()


@pytest.fixture
def bench(running: Bench) -> Iterator[Bench]:
    """The bench with its neighbour up and without a fault, whatever the test before did."""
    if not running.neighbour.is_running:
        running.neighbour.start()
    running.neighbour.fault("ok")
    yield running


def test_a_connector_has_an_async_method_for_each_operation_of_its_role(bench: Bench) -> None:
    if bench.role is None:
        assert list(inspect.signature(bench.connector().send).parameters) == ["body", "key", "content_type"]
        return
    for name, stub in bench.role.operations().items():
        method = getattr(bench.connector(), name)
        assert inspect.iscoroutinefunction(method), name
        assert list(inspect.signature(method).parameters) == list(inspect.signature(stub).parameters)[1:], name


def test_a_command_is_idempotent_or_can_be_found(bench: Bench) -> None:
    connector = bench.connector()
    operations = bench.role.operations() if bench.role is not None else {}
    commands = {name for name, stub in operations.items() if getattr(stub, "__hilum_operation__", "") == "command"}
    unfindable = {name for name in commands if not hasattr(connector, f"find_{name}")}

    assert unfindable <= connector.idempotent_commands
    assert bench.role is None or connector.idempotent_commands <= commands


def test_a_repeated_key_has_one_effect_and_the_same_answer(bench: Bench) -> None:
    key = fresh_key()

    async def story() -> tuple[Any, Any]:
        async with bench.connected() as connector:
            return await bench.do(connector, key), await bench.do(connector, key)

    first, second = asyncio.run(story())

    assert bench.effects(key) == 1
    assert _document(first) == _document(second)


def test_one_key_sent_by_two_at_once_has_one_effect(bench: Bench) -> None:
    key = fresh_key()

    async def story() -> None:
        async with bench.connected() as one, bench.connected() as other:
            await asyncio.gather(*(bench.do(connector, key) for connector in (one, other, one, other)))

    asyncio.run(story())

    assert bench.effects(key) == 1


def test_different_keys_have_an_effect_each(bench: Bench) -> None:
    keys = [fresh_key() for _ in range(20)]

    async def story() -> None:
        async with bench.connected() as connector:
            await asyncio.gather(*(bench.do(connector, key) for key in keys))

    asyncio.run(story())

    assert [bench.effects(key) for key in keys] == [1] * 20


@pytest.mark.parametrize("mode", ["down", "busy", "slow"])
def test_a_neighbour_that_cannot_answer_now_is_unavailable_and_later_is_not(bench: Bench, mode: str) -> None:
    key = fresh_key()
    # "down" meets a kept-alive connection's one silent repetition too.
    bench.fault(mode, seconds=3.0 if mode == "slow" else 0.0, requests=3)

    async def story() -> None:
        async with bench.connected() as connector:
            with pytest.raises(Unavailable):
                await bench.do(connector, key)
            bench.neighbour.fault("ok")
            await bench.do(connector, key)

    asyncio.run(story())

    assert bench.effects(key) == 1


def test_an_effect_whose_answer_was_lost_is_not_repeated(bench: Bench) -> None:
    key = fresh_key()
    bench.fault("cut", requests=1)

    async def story() -> None:
        async with bench.connected() as connector:
            with pytest.raises(Unavailable):
                await bench.do(connector, key)
            assert bench.effects(key) == 1
            await bench.do(connector, key)

    asyncio.run(story())

    assert bench.effects(key) == 1


def test_a_killed_neighbour_is_unavailable_and_keeps_what_it_answered(bench: Bench) -> None:
    before, after = fresh_key(), fresh_key()

    async def story() -> None:
        async with bench.connected() as connector:
            await connector.ping()
            await bench.do(connector, before)
            bench.neighbour.kill()
            with pytest.raises(Unavailable):
                await bench.do(connector, after)
            bench.neighbour.start()
            await bench.do(connector, before)
            await bench.do(connector, after)

    asyncio.run(story())

    assert [bench.effects(before), bench.effects(after)] == [1, 1]


def test_ping_tells_whether_the_neighbour_is_there(bench: Bench) -> None:
    async def story() -> None:
        async with bench.connected() as connector:
            await connector.ping()
        bench.neighbour.kill()
        async with bench.connected() as connector:
            with pytest.raises(Unavailable):
                await connector.ping()

    asyncio.run(story())


def test_unavailable_is_no_rejection() -> None:
    assert not issubclass(Unavailable, Rejected)


def _document(result: Any) -> Any:
    """What identifies the effect: a repeated answer may say that it is one."""
    if isinstance(result, str):
        return result if result.startswith("{") else result.split()[0]
    return getattr(result, "movement", None) or result.number
