"""The ERP's own master data, read through its API: the chart of accounts and the cost centres, as complete lists.

Every night by the schedule of the estate, and whenever somebody asks (`hilum master sync`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from hilum.authoring import Contract, Erp, Key, PageRequest, flow, step
from hilum.authoring.master import Scope, Taken, Telling, ToldRecord
from hilum.model.ledger import CostCentreRecord, LedgerAccount
from hilum.model.where import EVERYTHING
from hilum.processes.master_data.telling import master, take

erp = Erp("erp")

ACCOUNT, COST_CENTRE = "ledger_account", "cost_centre"
_PAGE = 500


class MasterSyncDue(Contract, version=1, identities=["number"], owner="finance"):
    """It is time to read a system's master data anew; ``number`` is the night or the request."""

    number: Annotated[str, Key("sync")]
    system: str
    due_at: datetime


@flow(
    on=MasterSyncDue,
    key="number",
    criticality="low",
    owner="finance",
    recovery="Reading changes nothing, and a list is taken in once. A list that lacks too much waits for a steward.",
)
def read_erp_master_data(due: MasterSyncDue) -> None:
    if due.system != erp.name:
        return
    tell_accounts(due.number)
    tell_cost_centres(due.number)


@step
def tell_accounts(number: str) -> Taken:
    """The whole chart, with the days between which an account takes postings."""
    said_at = master.moment()
    records: list[ToldRecord] = []
    request: PageRequest | None = PageRequest(limit=_PAGE)
    while request is not None:
        page = erp.ledger_accounts(EVERYTHING, request)
        records += [account_record(each) for each in page.items]
        request = PageRequest(limit=_PAGE, cursor=page.next) if page.next is not None else None
    return _tell(number, ACCOUNT, said_at, records)


@step
def tell_cost_centres(number: str) -> Taken:
    """The cost centres in use: one that is not among them any more is out of use."""
    said_at = master.moment()
    records: list[ToldRecord] = []
    request: PageRequest | None = PageRequest(limit=_PAGE)
    while request is not None:
        page = erp.cost_centres(EVERYTHING, request)
        records += [cost_centre_record(each) for each in page.items]
        request = PageRequest(limit=_PAGE, cursor=page.next) if page.next is not None else None
    return _tell(number, COST_CENTRE, said_at, records)


def account_record(account: LedgerAccount) -> ToldRecord:
    """An account as a master record; what nothing can be posted to says so."""
    return ToldRecord(
        object=ACCOUNT,
        code=account.code,
        name=account.name,
        attributes={"kind": account.kind or None, "postable": "yes" if account.postable else "no"},
        valid_from=account.valid_from,
        valid_to=account.valid_to,
    )


def cost_centre_record(centre: CostCentreRecord) -> ToldRecord:
    return ToldRecord(object=COST_CENTRE, code=centre.code, name=centre.name)


def _tell(number: str, object: str, said_at: datetime, records: list[ToldRecord]) -> Taken:
    return take(
        Telling(
            # Repeated, it is the list as it was read first: by this number a person allows what it lacks.
            number=f"{erp.name}/{object}/{number}",
            system=erp.name,
            said_at=said_at,
            records=tuple(records),
            complete=(Scope(object=object),),
        )
    )
