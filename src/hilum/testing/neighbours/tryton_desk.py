"""The people at the ERP: whoever sits at the desk agrees prices, opens and closes periods, receives goods.

A synchronous JSON-RPC client of Tryton 8.2, signed in with a password as a person is. Seeding, demos and tests use it;
the platform never does.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import httpx2

from hilum.connectors.tryton import wire

Domain = Sequence[Any]


class DeskError(RuntimeError):
    """The ERP said no to a person, or did not answer; the text is the ERP's own."""


class Desk:
    """One signed-in person. Every method is one or more calls of the public RPC API and raises DeskError when refused."""

    def __init__(self, base_url: str, database: str, login: str, password: str, *, timeout_seconds: float = 60) -> None:
        self._client = httpx2.Client(
            base_url=base_url, timeout=timeout_seconds, headers={"Content-Type": "application/json"}
        )
        self._path = f"/{database}/rpc/"
        self._context: dict[str, Any] = {}
        self.user, token, _ = self._call("common.db.login", [login, {"password": password}, "en"])
        session = b64encode(f"{login}:{self.user}:{token}".encode()).decode()
        self._client.headers["Authorization"] = f"Session {session}"
        self.use_preferences()

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the API, by its own words

    def use_preferences(self) -> None:
        """Take over the person's company and language, as the desktop client does after signing in."""
        self._context = self.call("res.user", "get_preferences", True)

    def call(self, model: str, method: str, *arguments: Any, **context: Any) -> Any:
        return self._call(f"model.{model}.{method}", [*arguments, {**self._context, **context}])

    def create(self, model: str, **values: Any) -> int:
        [made] = self.call(model, "create", [values])
        return int(made)

    def write(self, model: str, record: int, **values: Any) -> None:
        self.call(model, "write", [record], values)

    def delete(self, model: str, records: Sequence[int]) -> None:
        self.call(model, "delete", list(records))

    def search(self, model: str, domain: Domain) -> list[int]:
        return [int(found) for found in self.call(model, "search", domain, 0, None, None)]

    def read(self, model: str, records: Sequence[int], fields: Sequence[str], **context: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call(model, "read", list(records), list(fields), **context)
        return found

    def press(self, model: str, button: str, *records: int) -> None:
        self.call(model, button, list(records))

    def xml_id(self, module: str, name: str) -> int:
        """The record that a module brought along under this name."""
        return int(self.call("ir.model.data", "get_id", module, name))

    def made_from(self, model: str, module: str, template: str) -> int:
        """The record that a wizard made from this template."""
        [found] = self.search(model, [("template", "=", self.xml_id(module, template))])
        return found

    @contextmanager
    def wizard(self, name: str) -> Iterator[Callable[..., dict[str, Any]]]:
        """A wizard's run; call it with the next state and, by name, the forms filled in so far."""
        session, *_ = self._call(f"wizard.{name}.create", [self._context])
        filled: dict[str, Any] = {}

        def go(state: str, **forms: Any) -> dict[str, Any]:
            filled.update(forms)
            data = {form: values for form, values in filled.items() if values}
            found: dict[str, Any] = self._call(f"wizard.{name}.execute", [session, data, state, self._context])
            return found

        yield go
        self._call(f"wizard.{name}.delete", [session, self._context])

    # -- what people do

    def agree_price(self, item: str, price: Decimal) -> None:
        """A buyer agrees a contract price for an item with its supplier, in place of the earlier one if there is one."""
        [supplier] = self.search("purchase.product_supplier", [("template.code", "=", item)])
        earlier = self.search("purchase.product_supplier.price", [("product_supplier", "=", supplier)])
        if earlier:
            self.write("purchase.product_supplier.price", earlier[0], unit_price=price)
        else:
            self.create("purchase.product_supplier.price", product_supplier=supplier, quantity=0.0, unit_price=price)

    def receive(self, purchase: int, quantity: int, *, on: date) -> None:
        """Goods of a one-line order arrive: so many of the units that are still expected."""
        [order] = self.read("purchase.purchase", [purchase], ["company", "party", "warehouse", "moves"])
        [zones] = self.read("stock.location", [order["warehouse"]], ["input_location", "storage_location"])
        [move] = self.search("stock.move", [("id", "in", list(order["moves"])), ("state", "=", "draft")])
        self.write("stock.move", move, quantity=float(quantity))
        shipment = self.create(
            "stock.shipment.in", company=order["company"], supplier=order["party"], warehouse=order["warehouse"],
            warehouse_input=zones["input_location"], warehouse_storage=zones["storage_location"], effective_date=on,
            incoming_moves=[["add", [move]]],
        )  # fmt: skip
        self.press("stock.shipment.in", "receive", shipment)
        self.press("stock.shipment.in", "do", shipment)

    def posts_by_hand(self, debit: str, credit: str, amount: Decimal, *, on: date) -> str:
        """An accountant posts between two accounts by hand; the entry's number."""
        [debited], [credited] = (self.search("account.account", [("code", "=", code)]) for code in (debit, credit))
        [journal] = self.search("account.journal", [("type", "=", "general")])[:1]
        entry = self.create(
            "account.move", journal=journal, period=self._period(f"{on:%Y-%m}"), date=on,
            lines=[["create", [
                {"account": debited, "debit": amount, "credit": Decimal(0)},
                {"account": credited, "debit": Decimal(0), "credit": amount},
            ]]],
        )  # fmt: skip
        self.press("account.move", "post", entry)
        [made] = self.read("account.move", [entry], ["number"])
        return str(made["number"])

    def close_period(self, month: str) -> None:
        """An accountant closes a period, ``2026-03``: nothing more is posted into it."""
        self.press("account.period", "close", self._period(month))

    def reopen_period(self, month: str) -> None:
        self.press("account.period", "reopen", self._period(month))

    def _period(self, month: str) -> int:
        [found] = self.search("account.period", [("name", "=", month)])
        return found

    def _call(self, method: str, parameters: Sequence[Any]) -> Any:
        body = wire.dumps({"id": 0, "method": method, "params": parameters})
        try:
            answer = self._client.post(self._path, content=body)
            answer.raise_for_status()
            said = wire.loads(answer.content)
        except (httpx2.HTTPError, json.JSONDecodeError) as failure:
            raise DeskError(f"{method}: {failure}") from failure
        if said.get("error"):
            raise DeskError(f"{method}: {said['error']}")
        return said["result"]
