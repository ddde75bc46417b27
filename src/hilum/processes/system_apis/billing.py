"""Billing's API: where patient accounts stand and what is owed.

An account's number is PHI and stands in no address: accounts are searched by a body, and further questions use billing's
handle, which says nothing about the patient.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hilum.authoring import Api, Billing, Contract, Example, Financial, Page, PageRequest, Phi
from hilum.model import AccountNumber, Money, PatientAccountStatus, PatientBalance
from hilum.model.where import Where, narrowed

billing = Billing("billing")
billing_api = Api("billing")

AccountState = Literal["provisional", "open", "discharged"]
# Version 1 promises these three words. Whoever reads it knows an account that is not open yet, one that is, and one that is no more.
_IN_WORDS_OF_VERSION_1 = {"expected": "provisional", "cancelled": "discharged", "merged": "discharged"}


class BillingAccount(Contract, version=1, owner="revenue-cycle"):
    """Where one patient account stands."""

    handle: str = Field(
        description="Billing's own number for the account, for further questions; says nothing about the patient."
    )
    account: Annotated[str, Phi] = Field(description="The account number.")
    account_authority: str = Field(description="The facility that issued the number.")
    facility: str | None
    status: AccountState = Field(description="provisional: charged before it was registered.")


class BillingAccountQuery(Contract, version=1, owner="revenue-cycle"):
    """Which accounts are asked for; nothing given: all that you may see."""

    facility: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    status: AccountState | None = None


class BillingAccountSearch(Contract, version=1, owner="revenue-cycle"):
    """The number of one account, and the facility that issued it."""

    account: Annotated[str, Field(min_length=1, max_length=64), Phi]
    account_authority: Annotated[str, Field(min_length=1, max_length=64)]


class BillingBalance(Contract, version=1, owner="revenue-cycle"):
    """What stands on one account: the balance is charges less payments."""

    handle: str
    account: Annotated[str, Phi]
    facility: str | None
    charges: Annotated[Money, Financial]
    payments: Annotated[Money, Financial]
    balance: Annotated[Money, Financial]


_account = BillingAccount(
    handle="AC-000017", account="SYN-A-1", account_authority="ST-MARY", facility="ST-MARY", status="open"
)
_balance = BillingBalance(
    handle="AC-000017", account="SYN-A-1", facility="ST-MARY", charges=Money.usd("4810.00"),
    payments=Money.usd("500.00"), balance=Money.usd("4310.00"),
)  # fmt: skip

OF_FACILITY = {"facility": "facility"}


@billing_api.list(
    "/patient-accounts", resource="PatientAccount", attributes=OF_FACILITY,
    examples=(Example("Open accounts of St. Mary", query={"facility": "ST-MARY", "status": "open"}, answer=_account),),
)  # fmt: skip
def list_accounts(query: BillingAccountQuery, where: Where, page: PageRequest) -> Page[BillingAccount]:
    """Patient accounts of the facilities you work for, oldest first."""
    return billing.accounts(narrowed(where, query.model_dump()), page).each(account_told)


@billing_api.search(
    "/patient-accounts/search", resource="PatientAccount", attributes=OF_FACILITY,
    examples=(
        Example(
            "By its number",
            body=BillingAccountSearch(account="SYN-A-1", account_authority="ST-MARY"),
            answer=_account,
        ),
    ),
)  # fmt: skip
def search_account(body: BillingAccountSearch) -> BillingAccount | None:
    """One patient account by its number, which travels in the body and never in an address."""
    found = billing.account(AccountNumber(value=body.account, authority=body.account_authority))
    return account_told(found) if found is not None else None


@billing_api.get(
    "/patient-accounts/{handle}", resource="PatientAccount", attributes=OF_FACILITY, etag="",
    examples=(Example("By its handle", path={"handle": "AC-000017"}, answer=_account),),
)  # fmt: skip
def read_account(handle: str) -> BillingAccount | None:
    """Where a patient account stands."""
    found = billing.account_status(handle)
    return account_told(found) if found is not None else None


@billing_api.get(
    "/patient-accounts/{handle}/balance", resource="PatientAccount", attributes=OF_FACILITY, etag="",
    examples=(Example("After a payment", path={"handle": "AC-000017"}, answer=_balance),),
)  # fmt: skip
def read_balance(handle: str) -> BillingBalance | None:
    """What stands on a patient account."""
    found = billing.account_balance(handle)
    return balance_told(found) if found is not None else None


def account_told(found: PatientAccountStatus) -> BillingAccount:
    return BillingAccount.model_validate(
        {
            "handle": found.handle,
            "account": found.account.value,
            "account_authority": found.account.authority,
            "facility": found.facility.value if found.facility is not None else None,
            "status": _IN_WORDS_OF_VERSION_1.get(found.status, found.status),
        }
    )


def balance_told(found: PatientBalance) -> BillingBalance:
    return BillingBalance(
        handle=found.handle,
        account=found.account.value,
        facility=found.facility.value if found.facility is not None else None,
        charges=found.charges,
        payments=found.payments,
        balance=found.balance,
    )
