"""Tryton as the platform's ERP, attacked: answers lost, drafts left behind, locks, closed periods, two runners at once."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import TypeVar

import asyncpg
import pytest

from hilum.authoring import ErpRefused, PageRequest, Unavailable
from hilum.connectors.tryton import PlacedOrder, PostedJournal, TrytonErp
from hilum.model import (
    CostCentre,
    DocumentRef,
    FacilityCode,
    ItemNumber,
    Journal,
    JournalLine,
    LocationCode,
    Money,
    Replenishment,
)
from hilum.model.where import EVERYTHING
from hilum.testing.neighbours.faulty_proxy import Fault, FaultyProxy
from hilum.testing.neighbours.tryton import Tryton

pytestmark = pytest.mark.erp

R = TypeVar("R")
THIS_YEAR = datetime.now(UTC).date().year
USED_ON = datetime(THIS_YEAR, 3, 4).date()
KNEE = ItemNumber("KNEE-99")

_numbers = count(1)


@pytest.fixture
def usage() -> Iterator[str]:
    """The key of a usage that no other test has."""
    yield f"implant_usage/U-{next(_numbers)}/attribute_cost"


@pytest.fixture
def ask(erp: Tryton, erp_line: FaultyProxy) -> Callable[[Callable[[TrytonErp], Awaitable[R]]], R]:
    """Do something with the ERP, over the line that may fail."""

    def asked(work: Callable[[TrytonErp], Awaitable[R]], **options: object) -> R:
        async def run() -> R:
            connector = TrytonErp(erp_line.url, erp.database, erp.api_key, **{"timeout_seconds": 20, **options})
            try:
                return await work(connector)
            finally:
                await connector.close()

        return asyncio.run(run())

    return asked


def knee_journal(amount: str = "4810.00", cost_centre: str = "CC-ORTHO", on=USED_ON, expense: str = "5100") -> Journal:
    return Journal(
        date=on,
        description="Implant usage U-1: 1 x KNEE-99",
        lines=(
            JournalLine(account=expense, debit=Decimal(amount), cost_centre=CostCentre(cost_centre)),
            JournalLine(account="1300", credit=Decimal(amount)),
        ),
    )


def knees_for_st_mary(quantity: int = 3, supplier: str = "Orthovia") -> Replenishment:
    return Replenishment(
        item=KNEE,
        facility=FacilityCode("ST-MARY"),
        location=LocationCode("STM-OR1"),
        quantity_each=quantity,
        unit_price=Money.usd("4810.00"),
        supplier=supplier,
        cost_centre=CostCentre("CC-ORTHO"),
    )


def posted_under(ask, key: str) -> list[PostedJournal]:
    return ask(lambda erp: erp.journals(key))


def drafts(erp: Tryton, model: str, field: str, key: str) -> int:
    with erp.desk() as desk:
        return len(desk.search(model, [(field, "=", key), ("state", "=", "draft")]))


def number_of(ref: DocumentRef) -> int:
    return int(ref.number.rsplit("-", 1)[1])


# --- journals ----------------------------------------------------------------------------------------------------


def test_a_posted_journal_stands_in_the_books_with_its_cost_centre(ask, usage):
    before = ask(lambda erp: erp.trial_balance(["5100", "1300"], USED_ON))
    centre = ask(lambda erp: erp.cost_by_cost_centre())["CC-ORTHO"]

    ref = ask(lambda erp: erp.post_journal(knee_journal("1249.75"), key=usage))

    assert (ref.type, ref.state) == ("journal", "posted")
    [journal] = posted_under(ask, usage)
    assert journal.number == ref.number
    assert journal.date == USED_ON
    assert [(line.account, line.debit, line.credit, line.cost_centre) for line in journal.lines] == [
        ("5100", Decimal("1249.75"), Decimal(0), "CC-ORTHO"),
        ("1300", Decimal(0), Decimal("1249.75"), None),
    ]
    after = ask(lambda erp: erp.trial_balance(["5100", "1300"], USED_ON))
    assert after == {"5100": before["5100"] + Decimal("1249.75"), "1300": before["1300"] - Decimal("1249.75")}
    assert ask(lambda erp: erp.cost_by_cost_centre())["CC-ORTHO"] == centre + Decimal("1249.75")


def test_posting_again_under_the_same_key_answers_with_the_same_journal(ask, usage):
    first = ask(lambda erp: erp.post_journal(knee_journal(), key=usage))
    second = ask(lambda erp: erp.post_journal(knee_journal(), key=usage))
    assert first == second
    assert len(posted_under(ask, usage)) == 1


def test_nothing_is_found_under_a_key_that_was_never_used(ask, usage):
    assert ask(lambda erp: erp.find_post_journal(knee_journal(), key=usage)) is None
    assert ask(lambda erp: erp.find_order_replenishment(knees_for_st_mary(), key=usage)) is None


@pytest.mark.parametrize("lost", [r"POST .*account\.move\?", r"POST .*account\.move/\d+/post"])
def test_a_journal_whose_answer_was_lost_is_found_and_not_posted_again(ask, erp, erp_line, usage, lost):
    erp_line.fail(lost, Fault.ANSWER_LOST)
    with pytest.raises(Unavailable, match="broke before the answer"):
        ask(lambda erp: erp.post_journal(knee_journal(), key=usage))

    found = ask(lambda erp: erp.find_post_journal(knee_journal(), key=usage))

    assert found is not None
    assert found.state == "posted"
    assert [journal.number for journal in posted_under(ask, usage)] == [found.number]
    assert drafts(erp, "account.move", "description", usage) == 0


def test_a_draft_left_between_create_and_post_is_posted_by_the_next_attempt(ask, erp, erp_line, usage):
    erp_line.fail(r"account\.move/\d+/post", Fault.DOWN)
    with pytest.raises(Unavailable):
        ask(lambda erp: erp.post_journal(knee_journal(), key=usage))
    assert drafts(erp, "account.move", "description", usage) == 1
    assert posted_under(ask, usage) == []

    ref = ask(lambda erp: erp.post_journal(knee_journal(), key=usage))

    assert [journal.number for journal in posted_under(ask, usage)] == [ref.number]
    assert drafts(erp, "account.move", "description", usage) == 0


def test_a_draft_that_says_something_else_is_left_to_a_person(ask, erp, erp_line, usage):
    erp_line.fail(r"account\.move/\d+/post", Fault.DOWN)
    with pytest.raises(Unavailable):
        ask(lambda erp: erp.post_journal(knee_journal(cost_centre="CC-CATH"), key=usage))
    with pytest.raises(ErpRefused, match="draft journal with another content"):
        ask(lambda erp: erp.post_journal(knee_journal(cost_centre="CC-ORTHO"), key=usage))
    assert posted_under(ask, usage) == []


def test_concurrent_posters_all_succeed_and_the_numbers_have_no_gap(erp, ask, usage):
    """Three platforms at once: they compete for the one row from which journals take their number."""
    platforms, posters = 3, 24

    async def post_all() -> list[DocumentRef]:
        connectors = [
            TrytonErp(erp.base_url, erp.database, erp.api_key, rng=random.Random(n)) for n in range(platforms)
        ]
        try:
            return await asyncio.gather(
                *(connectors[n % platforms].post_journal(knee_journal(), key=f"{usage}/{n}") for n in range(posters))
            )
        finally:
            for connector in connectors:
                await connector.close()

    numbers = sorted(number_of(ref) for ref in asyncio.run(post_all()))

    assert numbers == list(range(numbers[0], numbers[0] + posters))
    assert len(posted_under(ask, f"{usage}/")) == posters


def test_a_lock_that_somebody_holds_is_waited_for_a_while_and_then_the_erp_is_unavailable(ask, erp, usage):
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def post_while_locked() -> None:
        other = await asyncpg.connect(erp.database_url)
        platform = TrytonErp(erp.base_url, erp.database, erp.api_key, rng=random.Random(7), sleep=pause)
        try:
            async with other.transaction():
                await other.execute("SELECT 1 FROM ir_sequence_strict FOR UPDATE")
                with pytest.raises(Unavailable, match="could not obtain lock"):
                    await platform.post_journal(knee_journal(), key=usage)
        finally:
            await platform.close()
            await other.close()

    asyncio.run(post_while_locked())

    assert len(pauses) == 5
    assert all(0 < seconds <= 1.5 for seconds in pauses)
    assert drafts(erp, "account.move", "description", usage) == 1
    assert ask(lambda erp: erp.find_post_journal(knee_journal(), key=usage)).state == "posted"
    assert len(posted_under(ask, usage)) == 1


def test_runners_that_post_under_one_key_at_once_end_with_one_journal(ask, erp, usage):
    async def race(erp: TrytonErp) -> list[DocumentRef | BaseException]:
        return await asyncio.gather(
            *(erp.post_journal(knee_journal("38.15"), key=usage) for _ in range(4)), return_exceptions=True
        )

    outcomes = ask(race)

    assert len(posted_under(ask, usage)) == 1
    assert drafts(erp, "account.move", "description", usage) == 0
    # One that lost its turn says so and is tried again; none says that a person must look.
    assert [o for o in outcomes if not isinstance(o, DocumentRef | Unavailable)] == []


def test_a_closed_period_is_a_refusal_and_after_reopening_the_journal_is_posted(ask, erp, usage):
    february = f"{THIS_YEAR}-02"
    journal = knee_journal(on=USED_ON.replace(month=2))
    with erp.desk() as desk:
        desk.close_period(february)
        try:
            with pytest.raises(ErpRefused, match="closed period") as refused:
                ask(lambda erp: erp.post_journal(journal, key=usage))
            assert refused.value.queue == "erp-refusals"
            assert posted_under(ask, usage) == []
        finally:
            desk.reopen_period(february)

    assert ask(lambda erp: erp.post_journal(journal, key=usage)).state == "posted"


@pytest.mark.parametrize(
    ("journal", "reason"),
    [
        (knee_journal(expense="5999"), "no account 5999"),
        (knee_journal(cost_centre="CC-DENTAL"), "no cost centre CC-DENTAL"),
        (knee_journal(on=USED_ON.replace(year=THIS_YEAR + 7)), "no period for"),
        (knee_journal("10.005"), "not a whole number of cents"),
    ],
    ids=["account", "cost centre", "period", "half a cent"],
)
def test_a_journal_the_ledger_cannot_take_is_refused_and_leaves_nothing(ask, erp, usage, journal, reason):
    with pytest.raises(ErpRefused, match=reason):
        ask(lambda erp: erp.post_journal(journal, key=usage))
    assert drafts(erp, "account.move", "description", usage) == 0


def test_an_unbalanced_journal_never_leaves_the_house(ask, erp_line, usage):
    lines = (JournalLine(account="5100", debit=Decimal(10)), JournalLine(account="1300", credit=Decimal(9)))
    skewed = Journal.model_construct(date=USED_ON, description="skewed", currency="USD", lines=lines)
    with pytest.raises(ErpRefused, match="does not balance"):
        ask(lambda erp: erp.post_journal(skewed, key=usage))
    assert erp_line.count("POST") == 0


def test_an_account_that_was_added_after_a_refusal_is_seen_at_once(ask, erp, usage):
    async def refused_then_added(connector: TrytonErp) -> DocumentRef:
        journal = knee_journal(expense="5190")
        with pytest.raises(ErpRefused):
            await connector.post_journal(journal, key=usage)
        with erp.desk() as desk:
            [known] = desk.search("account.account", [("code", "=", "5100")])
            desk.call("account.account", "copy", [known], {"code": "5190", "name": "Loaner implants"})
        return await connector.post_journal(journal, key=usage)

    assert ask(refused_then_added).state == "posted"


# --- prices and items --------------------------------------------------------------------------------------------


def test_the_contract_price_names_supplier_and_contract(ask):
    price = ask(lambda erp: erp.contract_price(ItemNumber("STENT-12"), USED_ON))
    assert price is not None
    assert price.unit_price == Money.usd("1249.75")
    assert (price.supplier, price.contract) == ("Cardelis", "CTR-CARDELIS")


def test_an_item_without_a_contract_has_no_price_until_a_buyer_agrees_one(ask, erp):
    assert ask(lambda erp: erp.contract_price(ItemNumber("MESH-20"), USED_ON)) is None
    with erp.desk() as desk:
        desk.agree_price("MESH-20", Decimal("612.40"))
    price = ask(lambda erp: erp.contract_price(ItemNumber("MESH-20"), USED_ON))
    assert price is not None
    assert price.unit_price == Money.usd("612.40")


def test_an_unknown_item_is_none_and_a_known_one_has_its_name(ask):
    assert ask(lambda erp: erp.item(ItemNumber("KNEE-0"))) is None
    found = ask(lambda erp: erp.item(KNEE))
    assert found is not None
    assert (found.number, found.name, found.unit) == (KNEE, "Knee system total cemented", "EA")


def test_the_cost_centres_are_those_of_the_estate(ask):
    page = ask(lambda erp: erp.cost_centres(EVERYTHING, PageRequest()))
    assert [centre.code for centre in page.items] == ["CC-ORTHO", "CC-CATH", "CC-EYE", "CC-GEN"]


# --- orders ------------------------------------------------------------------------------------------------------


def test_an_order_goes_to_the_supplier_for_the_hospitals_warehouse(ask, erp, usage):
    ref = ask(lambda erp: erp.order_replenishment(knees_for_st_mary(3), key=usage))

    assert ref.type == "purchase order"
    assert ref.number.startswith("PO-")
    assert ask(lambda erp: erp.replenishments(usage)) == [
        PlacedOrder(
            key=usage, number=ref.number, state="processing", supplier="Orthovia", warehouse="ST-MARY", item=KNEE,
            quantity_each=3, unit_price=Money.usd("4810.00"),
        )
    ]  # fmt: skip
    with erp.desk() as desk:
        [order] = desk.search("purchase.purchase", [("reference", "=", usage)])
        [expected] = desk.search("stock.move", [("origin.purchase", "=", order, "purchase.line")])
        assert desk.read("stock.move", [expected], ["quantity"])[0]["quantity"] == 3


@pytest.mark.parametrize(
    ("button", "fault"),
    [
        (r"purchase\.purchase\?", Fault.ANSWER_LOST),
        (r"/quote", Fault.DOWN),
        (r"/quote", Fault.ANSWER_LOST),
        (r"/confirm", Fault.DOWN),
        (r"/confirm", Fault.ANSWER_LOST),
    ],
)
def test_an_order_interrupted_anywhere_is_finished_and_placed_once(ask, erp_line, usage, button, fault):
    erp_line.fail(f"POST .*{button}", fault)
    with pytest.raises(Unavailable):
        ask(lambda erp: erp.order_replenishment(knees_for_st_mary(), key=usage))

    ref = ask(lambda erp: erp.order_replenishment(knees_for_st_mary(), key=usage))

    orders = ask(lambda erp: erp.replenishments(usage))
    assert [(order.number, order.state) for order in orders] == [(ref.number, "processing")]


def test_an_order_to_an_unknown_supplier_is_refused(ask, usage):
    with pytest.raises(ErpRefused, match="no supplier Nobody"):
        ask(lambda erp: erp.order_replenishment(knees_for_st_mary(supplier="Nobody"), key=usage))
    assert ask(lambda erp: erp.replenishments(usage)) == []


def test_an_order_that_a_buyer_cancelled_is_not_placed_again(ask, erp, usage):
    ref = ask(lambda erp: erp.order_replenishment(knees_for_st_mary(), key=usage))
    with erp.desk() as desk:
        order = int(ref.id)
        [move] = desk.search("stock.move", [("origin.purchase", "=", order, "purchase.line")])
        desk.press("stock.move", "cancel", move)
    again = ask(lambda erp: erp.order_replenishment(knees_for_st_mary(), key=usage))
    assert again.number == ref.number
    assert len(ask(lambda erp: erp.replenishments(usage))) == 1


# --- away ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "reason"),
    [(Fault.DOWN, "refused"), (Fault.BUSY, "503"), (Fault.ANSWER_LOST, "broke"), (Fault.SLOW, "within")],
)
def test_an_erp_that_is_away_is_unavailable_and_comes_back(ask, erp_line, usage, mode, reason):
    erp_line.mode = mode
    with pytest.raises(Unavailable, match=reason):
        ask(lambda erp: erp.post_journal(knee_journal(), key=usage), timeout_seconds=0.5)
    erp_line.mode = Fault.NONE
    assert ask(lambda erp: erp.post_journal(knee_journal(), key=usage)).state == "posted"
    assert len(posted_under(ask, usage)) == 1


def test_a_request_that_arrives_after_its_sender_gave_up_has_no_second_effect(ask, erp, erp_line, usage):
    erp_line.delay_seconds = 1.5
    erp_line.fail(r"POST .*account\.move\?", Fault.SLOW)
    with pytest.raises(Unavailable, match="within"):
        ask(lambda erp: erp.post_journal(knee_journal(), key=usage), timeout_seconds=1)

    ref = ask(lambda erp: erp.post_journal(knee_journal(), key=usage))

    time.sleep(1.5)  # Now the late one has arrived.
    assert ask(lambda erp: erp.post_journal(knee_journal(), key=usage)).number == ref.number
    assert len(posted_under(ask, usage)) == 1


def test_a_wrong_key_says_what_to_do_and_does_not_blame_the_case(erp):
    async def ping() -> None:
        connector = TrytonErp(erp.base_url, erp.database, "f" * 128)
        try:
            await connector.ping()
        finally:
            await connector.close()

    with pytest.raises(Unavailable, match="administrator validate a key"):
        asyncio.run(ping())


def test_a_database_that_is_not_there_is_unavailable(erp):
    async def ping() -> None:
        connector = TrytonErp(erp.base_url, "elsewhere", erp.api_key, timeout_seconds=5)
        try:
            await connector.ping()
        finally:
            await connector.close()

    with pytest.raises(Unavailable):
        asyncio.run(ping())
