"""Patient accounts asked of billing: by number in a body, then by a handle; balances; lists by facility."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest
from tests.connectors.benches import billing_at, noon, usage

from hilum.authoring import PageRequest, Refused, Unavailable
from hilum.connectors.billing_hl7v2 import BillingAccounts, BillingHl7
from hilum.model import AccountNumber, Money
from hilum.model.where import EVERYTHING, NOTHING, Equals, Not, OneOf
from hilum.testing.neighbours.launch import simulated_billing
from hilum.testing.neighbours.process import Neighbour

R = TypeVar("R")
Ask = Callable[[Callable[[BillingHl7], Coroutine[Any, Any, R]]], R]
TOKEN = "billing-api-token"


@pytest.fixture(scope="module")
def billing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbour]:
    place: Path = tmp_path_factory.mktemp("billing")
    token = place / "token"
    token.write_text(TOKEN)
    with simulated_billing(place, token_file=token) as neighbour:
        asyncio.run(patients(neighbour))
        yield neighbour


async def patients(neighbour: Neighbour) -> None:
    """Two at St. Mary, of whom one has left; one at Harbor View; and a charge before anybody was registered."""
    sender = billing_at(neighbour)
    for number, (account, facility, trigger) in enumerate(
        [("SYN-A-1", "ST-MARY", "A04"), ("SYN-A-2", "ST-MARY", "A03"), ("SYN-A-1", "HARBOR-VIEW", "A01")]
    ):
        lines = [
            f"MSH|^~\\&|HILUM|{facility}|BILLING|LAKESHORE|20260302120000||ADT^{trigger}|C{number}|P|2.5.1",
            f"EVN|{trigger}|20260302120000",
            f"PID|1||SYN-M-1^^^{facility}^MR|||||||||||||||{account}^^^{facility}^AN",
            "PV1|1|I|WARD",
        ]
        await sender.send("".join(f"{line}\r" for line in lines).encode(), key=f"C{number}", content_type="x")
    await sender.charge_usage(usage("U-1"), key="U-1/tell_billing")
    await sender.charge_usage(usage("U-2", account="SYN-A-9"), key="U-2/tell_billing")
    await sender.close()


@pytest.fixture(scope="module")
def ask(billing: Neighbour) -> Iterator[Ask]:
    loop = asyncio.new_event_loop()
    accounts = BillingAccounts(billing.url, TOKEN, 2.0)
    connector = BillingHl7(lambda message: pytest.fail("nothing is sent"), clock=noon, accounts=accounts)
    yield lambda work: loop.run_until_complete(work(connector))
    loop.run_until_complete(connector.close())
    loop.close()


def test_an_account_is_found_by_its_number_at_its_authority(ask: Ask[Any]) -> None:
    at_st_mary = ask(lambda b: b.account(AccountNumber("SYN-A-1", "ST-MARY")))
    at_harbor_view = ask(lambda b: b.account(AccountNumber("SYN-A-1", "HARBOR-VIEW")))
    assert (at_st_mary.status, at_st_mary.facility.value) == ("open", "ST-MARY")
    assert at_harbor_view.facility.value == "HARBOR-VIEW"
    assert at_st_mary.handle != at_harbor_view.handle
    assert ask(lambda b: b.account(AccountNumber("SYN-A-404", "ST-MARY"))) is None


def test_a_handle_says_nothing_of_the_patient_and_answers_further_questions(ask: Ask[Any]) -> None:
    account = ask(lambda b: b.account(AccountNumber("SYN-A-2", "ST-MARY")))
    assert "SYN" not in account.handle
    assert ask(lambda b: b.account_status(account.handle)) == account
    assert account.status == "discharged"
    strange = [
        "AC-999999",
        "SYN-A-2",
        "..",
        f"{account.handle}/balance",
        f"{account.handle}%2Fbalance",
        "",
        "AC--1",
        "AC-1",
    ]
    for handle in [*strange, f"../accounts/{account.handle}", f"{account.handle}?x=1", "AC-" + "9" * 400]:
        assert ask(lambda b, h=handle: b.account_status(h)) is None
        assert ask(lambda b, h=handle: b.account_balance(h)) is None


def test_a_balance_is_charges_less_payments(ask: Ask[Any], billing: Neighbour) -> None:
    account = ask(lambda b: b.account(AccountNumber("SYN-A-1", "ST-MARY")))
    before = ask(lambda b: b.account_balance(account.handle))
    assert (before.charges, before.payments, before.balance) == (
        Money.usd("9620.00"), Money.usd("0.00"), Money.usd("9620.00"),
    )  # fmt: skip

    billing.ask("POST", f"/api/accounts/{account.handle}/payments", {"amount": "620.00"}, token=TOKEN)

    assert ask(lambda b: b.account_balance(account.handle)).balance == Money.usd("9000.00")


def test_lists_hold_the_facilities_that_are_asked_for_page_by_page(ask: Ask[Any]) -> None:
    def facilities(where: Any) -> list[tuple[str, str]]:
        found, cursor = [], None
        while True:
            page = ask(lambda b, at=cursor: b.accounts(where, PageRequest(1, at)))
            found += [(account.facility.value, account.status) for account in page.items]
            cursor = page.next
            if cursor is None:
                return found

    everyone = [("ST-MARY", "open"), ("ST-MARY", "discharged"), ("HARBOR-VIEW", "open"), ("ST-MARY", "provisional")]
    assert facilities(EVERYTHING) == everyone
    assert facilities(Equals("facility", "HARBOR-VIEW")) == [("HARBOR-VIEW", "open")]
    assert facilities(Not(OneOf("facility", frozenset({"HARBOR-VIEW"})))) == [f for f in everyone if f[0] == "ST-MARY"]
    assert facilities(Equals("number", "SYN-A-1")) == []  # Nobody is found by what a list does not offer.
    assert facilities(NOTHING) == []


def test_billing_that_is_away_is_unavailable_and_one_that_refuses_says_no_number(
    billing: Neighbour, ask: Ask[Any]
) -> None:
    billing.fault("busy", requests=1, path="/api")
    with pytest.raises(Unavailable):
        ask(lambda b: b.account(AccountNumber("SYN-A-1", "ST-MARY")))

    async def with_a_stolen_token() -> None:
        stranger = BillingAccounts(billing.url, "stolen", 2.0)
        try:
            await stranger.account(AccountNumber("SYN-A-1", "ST-MARY"))
        finally:
            await stranger.close()

    with pytest.raises(Refused) as raised:
        asyncio.run(with_a_stolen_token())
    assert "SYN-A-1" not in str(raised.value)


def test_billing_without_a_rest_interface_says_what_to_do() -> None:
    async def story() -> None:
        await BillingHl7(lambda message: pytest.fail("nothing is sent"), clock=noon).account_status("AC-000001")

    with pytest.raises(Refused, match="write `rest` and `token`"):
        asyncio.run(story())


def test_an_accounts_number_stands_in_no_address() -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        return httpx2.Response(404)

    async def story() -> None:
        accounts = BillingAccounts("http://billing.test", TOKEN, transport=httpx2.MockTransport(answer))
        await accounts.account(AccountNumber("CANARY-77", "ST-MARY"))
        await accounts.close()

    asyncio.run(story())
    assert asked == ["http://billing.test/api/accounts/lookup"]
