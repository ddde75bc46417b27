"""Facts that an operation of an API took in are read anew like any message, and have one effect however often."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

import pytest
from tests.runtime.test_replay import Used, World, estate, play, replaying
from tests.sealing_parts import protection_for

from hilum.authoring import Contract, Key
from hilum.authoring.failures import InvalidData
from hilum.authoring.platform import Submitted
from hilum.gateway.platform import OwnPlatform
from hilum.runtime.dispatch import Dispatcher
from hilum.runtime.intake import Intake
from hilum.runtime.replay import Replayer
from hilum.security.policies import Policies


async def taken_in(w: World, usage: str = "U-1", quantity: int = 2) -> Submitted:
    """As the mobile API takes in what a nurse scanned."""
    platform = OwnPlatform(w.pool, w.estate, w.intake, policies=Policies({}), clock=w.clock)
    return await platform.submit(Used(usage=usage, quantity=quantity), source="mobile", actor="person:nina")


async def replayed(
    w: World, subject: str, *, dry_run: bool = False, replayer: Replayer | None = None
) -> tuple[str, str]:
    """What one replay of ``subject`` changed, and its sentence."""
    job = await w.ask(dry_run=dry_run, subject=subject)
    await (replayer if replayer is not None else w.replayer()).run_once()
    (result,) = (await w.job(job)).results
    return result.change, result.detail


async def effect_is_forgotten(w: World) -> None:
    """A store that was put back together without its events, as after a restore of the messages alone."""
    await w.pool.execute("TRUNCATE event, fact, business_key, flow_case CASCADE")


def test_a_fact_that_had_its_effect_changes_nothing_dry_or_for_real(database_url: str) -> None:
    async def story(w: World) -> None:
        fact = await taken_in(w)
        await Dispatcher(w.pool, w.estate, w.protection, clock=w.clock).run_once()
        before = await w.everything()
        assert (before["message"], before["event"], before["flow_case"]) == (1, 1, 1)

        assert await replayed(w, fact.address, dry_run=True) == ("none", "every fact is known")
        assert await w.everything() == before

        assert await replayed(w, fact.address) == ("none", "every fact is known")
        await Dispatcher(w.pool, w.estate, w.protection, clock=w.clock).run_once()
        assert await w.everything() == {**before, "message": 2}, (
            "the copy is kept as evidence, and is all there is more"
        )

    play(database_url, story, "usage_flow")


def test_a_fact_whose_effect_is_missing_gets_it_once(database_url: str) -> None:
    async def story(w: World) -> None:
        fact = await taken_in(w)
        stored = await w.pool.fetchrow("SELECT type, version, key, mapping, facility FROM event")
        await effect_is_forgotten(w)

        assert await replayed(w, fact.address, dry_run=True) == ("new_event", "would make Used")
        assert (await w.everything())["event"] == 0
        assert await replayed(w, fact.address) == ("new_event", "made Used")
        assert await w.pool.fetchrow("SELECT type, version, key, mapping, facility FROM event") == stored
        assert await replayed(w, fact.address) == ("none", "every fact is known")
        assert (await taken_in(w)).known, "the caller who sends it again starts nothing either"
        await Dispatcher(w.pool, w.estate, w.protection, clock=w.clock).run_once()
        counted = await w.everything()
        assert (counted["event"], counted["flow_case"]) == (1, 1)

    play(database_url, story, "usage_flow")


def test_a_copy_is_replayed_as_what_it_is_a_copy_of_and_also_when_that_is_past_its_retention(database_url: str) -> None:
    async def story(w: World) -> None:
        fact = await taken_in(w)
        await replayed(w, fact.address)
        (copy,) = await w.pool.fetch("SELECT shard, seq FROM message WHERE transport = 'replay'")
        address = f"m/{copy['shard']}/{copy['seq']}"
        assert await replayed(w, address, dry_run=True) == ("none", "every fact is known")
        await w.pool.execute("DELETE FROM message WHERE transport = 'api'")
        assert await replayed(w, address, dry_run=True) == ("none", "every fact is known")

    play(database_url, story)


def test_an_api_that_is_called_like_a_system_is_no_sender_of_its_messages(database_url: str) -> None:
    async def story(w: World) -> None:
        platform = OwnPlatform(w.pool, w.estate, w.intake, policies=Policies({}), clock=w.clock)
        fact = await platform.submit(Used(usage="U-7", quantity=1), source="ehr", actor="person:nina")
        assert await w.arrives("U-8") == ["accepted"]
        job = await w.ask(dry_run=True, system="ehr")
        await w.replayer().run_once()
        results = {r.original: (r.change, r.detail) for r in (await w.job(job)).results}
        assert results == dict.fromkeys((fact.address, w.addresses["U-8"]), ("none", "every fact is known"))

    play(database_url, story)


@pytest.mark.parametrize("gone", ["the contract is gone", "the contract asks for more"])
def test_a_fact_that_the_estate_no_longer_reads_is_refused_in_words(database_url: str, gone: str) -> None:
    class Used(Contract, version=2, identities=["usage"], owner="supply-chain"):
        """One implant was used, by whom."""

        usage: str
        quantity: int
        used_by: str

    async def story(w: World) -> None:
        fact = await taken_in(w)
        await effect_is_forgotten(w)
        known = replace(estate(), contracts={} if gone == "the contract is gone" else {"Used": Used}, mappings=[])
        other = Replayer(w.pool, known, w.protection, w.own_intake, clock=w.clock)
        change, words = await replayed(w, fact.address, replayer=other)
        assert change == "refused"
        assert words == (
            "200: the estate has no contract Used" if gone == "the contract is gone" else "101: used_by: Field required"
        )
        assert (await w.everything())["event"] == 0

    play(database_url, story)


class Noted(Contract, version=1, identities=["number"], owner="supply-chain"):
    """Something was noted under a number that people search by."""

    number: Annotated[str, Key("note")]


def test_what_the_store_cannot_keep_is_refused_to_the_caller_and_not_said_to_be_taken_in(database_url: str) -> None:
    async def whole() -> None:
        async with replaying(database_url) as w:
            known = replace(w.estate, contracts={"Noted": Noted})
            intake = Intake(w.pool, await protection_for(w.pool, known, w.clock), name="gateway", clock=w.clock)
            await intake.start()
            try:
                platform = OwnPlatform(w.pool, known, intake, policies=Policies({}), clock=w.clock)
                with pytest.raises(InvalidData) as refused:
                    await platform.submit(Noted(number="N\x001"), source="mobile", actor="person:nina")
                assert "N\x00" not in str(refused.value)
                assert not (await platform.submit(Noted(number="N-1"), source="mobile", actor="person:nina")).known
            finally:
                await intake.stop()
            assert await w.pool.fetchval("SELECT count(*) FROM event") == 1

    asyncio.run(whole())
