"""The door is killed between an order's effect and its answer: the repeat is answered, and the order is placed once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import httpx2
import orjson
import pytest
from tests.gateway.supply_door import Sso
from tests.gateway.supply_estate import Order, WarehouseInFile

PLACE = "/supply/v1/orders"
REQUEST = {"facility": "ST-MARY", "supplier": "ORTHO", "amount": 12.5}


def started(url: str, tmp_path: Path, fault: str = "") -> tuple[subprocess.Popen[str], str]:
    environment = {**os.environ, **({"HILUM_FAULT": fault} if fault else {})}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.gateway.supply_door", url, str(tmp_path / "warehouse.json"), str(tmp_path / "key.pem")],
        stdout=subprocess.PIPE, text=True, env=environment, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


@pytest.mark.parametrize("where", ["delivery.sent:place", "api.effected:supply.place", "api.handled:supply.place"])
def test_an_order_is_placed_once_though_the_door_dies(database_url: str, tmp_path: Path, where: str):
    sso = Sso()
    (tmp_path / "key.pem").write_bytes(orjson.dumps(sso.key.as_dict(private=True)))
    headers = {"authorization": f"Bearer {sso.token('ana')}", "idempotency-key": "K-1"}

    def place(address: str) -> httpx2.Response:
        return httpx2.post(address + PLACE, json=REQUEST, headers=headers, trust_env=False, timeout=30)

    killed, address = started(database_url, tmp_path, f"{where}=kill")
    with pytest.raises(httpx2.TransportError):
        place(address)
    assert killed.wait(20) == -9

    second, address = started(database_url, tmp_path)
    try:
        waiting = place(address)
        assert waiting.status_code == 409 and int(waiting.headers["retry-after"]) >= 1
        asyncio.run(let_leases_end(database_url))
        answer = place(address)
        assert answer.status_code == 201, answer.text
        again = place(address)
        assert again.content == answer.content and again.headers["idempotency-replayed"] == "true"
    finally:
        second.terminate()
        second.wait(20)
    book = orjson.loads((tmp_path / "warehouse.json").read_bytes())
    assert list(book["orders"]) == ["PO-1"] and len(book["keys"]) == 1


def test_a_note_is_put_once_on_the_state_that_was_named_though_the_door_dies(database_url: str, tmp_path: Path):
    """The repeat finds the order as the killed request left it, which is not the state that it names."""
    sso = Sso()
    (tmp_path / "key.pem").write_bytes(orjson.dumps(sso.key.as_dict(private=True)))
    WarehouseInFile(tmp_path / "warehouse.json").keep(
        Order(number="PO-1", revision=1, facility="ST-MARY", supplier="ORTHO")
    )
    headers = {"authorization": f"Bearer {sso.token('ana')}", "idempotency-key": "K-1", "if-match": '"1"'}

    def put(address: str) -> httpx2.Response:
        place = f"{address}{PLACE}/PO-1"
        return httpx2.put(place, json={"text": "call first"}, headers=headers, trust_env=False, timeout=30)

    killed, address = started(database_url, tmp_path, "delivery.sent:annotate=kill")
    with pytest.raises(httpx2.TransportError):
        put(address)
    assert killed.wait(20) == -9
    second, address = started(database_url, tmp_path)
    try:
        asyncio.run(let_leases_end(database_url))
        answer = put(address)
        assert answer.status_code == 200 and answer.json()["revision"] == 2, answer.text
    finally:
        second.terminate()
        second.wait(20)
    book = orjson.loads((tmp_path / "warehouse.json").read_bytes())
    assert book["orders"]["PO-1"]["revision"] == 2 and len(book["keys"]) == 1


async def let_leases_end(url: str) -> None:
    """As if the time of the killed process had passed."""
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE hilum.api_idempotency SET leased_until = now() - interval '1 second'")
    await connection.execute("UPDATE hilum.delivery SET leased_until = now() - interval '1 second'")
    await connection.close()
