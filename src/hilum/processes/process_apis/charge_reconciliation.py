"""Reconciling one charge: what was used, taken from the shelf, posted in the ledger and told to billing, side by side."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from hilum.authoring import Api, Contract, Example, Financial
from hilum.authoring.platform import Platform
from hilum.processes.implant_usage import implant_usage

charges = Api("charge-reconciliation")

_STEPS = {"take_from_stock": "shelf", "attribute_cost": "ledger", "tell_billing": "billing"}


class Witness(Contract, version=1, owner="revenue-cycle"):
    """What one system did for the usage; `document` is its own number."""

    book: Literal["shelf", "ledger", "billing"]
    state: Literal["done", "open", "refused", "missing"]
    document: Annotated[str | None, Financial] = None


class ChargeReconciliation(Contract, version=1, owner="revenue-cycle"):
    """Where one usage stands. `reconciled`: every book has it once. No patient is named."""

    usage_id: str
    facility: str
    state: str
    reconciled: bool
    at_risk_usd: Annotated[Decimal | None, Financial] = None
    witnesses: tuple[Witness, ...]


@charges.get(
    "/usages/{usage_id}",
    resource="Charge",
    attributes={"facility": "facility"},
    examples=(
        Example(
            "A knee that is posted and charged",
            path={"usage_id": "U-1"},
            answer=ChargeReconciliation(
                usage_id="U-1", facility="ST-MARY", state="done", reconciled=True,
                witnesses=(
                    Witness(book="shelf", state="done", document="stock movement MV-9"),
                    Witness(book="ledger", state="done", document="journal 2026/118"),
                    Witness(book="billing", state="done", document="charge CH-7"),
                ),
            ),
        ),
    ),
)  # fmt: skip
async def reconcile_charge(usage_id: str, platform: Platform) -> ChargeReconciliation | None:
    """Read how far one usage is in every book: the shelf, the ledger and billing."""
    case = f"{implant_usage.name}/{usage_id}"
    async with platform.pool.acquire() as connection:
        row = await connection.fetchrow("SELECT state, facility FROM flow_case WHERE id = $1", case)
        if row is None:
            return None
        deliveries = {
            d["key"]: d
            for d in await connection.fetch(
                """SELECT d.key, d.state, d.document FROM delivery_case c JOIN delivery d ON d.key = c.key
                    WHERE c.case_id = $1""",
                case,
            )
        }
        at_risk = await connection.fetchval(
            """SELECT sum(c.at_risk_usd) FROM work_item_case c JOIN work_item w ON w.id = c.work_item
                WHERE c.subject = $1 AND w.state = 'open'""",
            f"c/{case}",
        )
    witnesses = tuple(_witness(book, deliveries.get(f"{case}/{step}")) for step, book in _STEPS.items())
    return ChargeReconciliation(
        usage_id=usage_id,
        facility=row["facility"],
        state=row["state"],
        reconciled=row["state"] == "done" and all(w.state == "done" for w in witnesses),
        at_risk_usd=at_risk,
        witnesses=witnesses,
    )


def _witness(book: str, delivery: dict[str, str | None] | None) -> Witness:
    if delivery is None:
        return Witness.model_validate({"book": book, "state": "missing"})
    states = {"done": "done", "rejected": "refused"}
    return Witness.model_validate(
        {"book": book, "state": states.get(str(delivery["state"]), "open"), "document": delivery["document"]}
    )
