"""Requests on a real socket, from the token to the record."""

from __future__ import annotations

import re

from tests.gateway.supply_door import SupplyDoor


def test_an_order_is_read_with_everything_that_belongs_to_an_answer(door):
    async def story(one: SupplyDoor) -> None:
        answer = await one.ask("ana", "GET", "/supply/v1/orders/PO-1")
        assert answer.status_code == 200
        assert answer.json()["number"] == "PO-1"
        assert answer.json()["bank_account"] == "***23"
        headers = answer.headers
        assert headers["content-type"] == "application/json"
        assert headers["etag"] == '"1.confidential"'
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", headers["traceresponse"])
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
        assert headers["ratelimit-policy"].startswith('"rate"')

    door(story)
