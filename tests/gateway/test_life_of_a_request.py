"""Requests on a real socket, from the token to the record."""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import timedelta
from io import StringIO

from tests.gateway.supply_door import SupplyDoor
from tests.gateway.supply_estate import ISSUER, Order

from hilum.security.logs import install_logging

REQUEST = {"facility": "ST-MARY", "supplier": "ORTHO", "amount": 12.5}


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


def test_a_trace_goes_on_and_a_broken_one_begins_anew(door):
    async def story(one: SupplyDoor) -> None:
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        path = "/supply/v1/orders/PO-1"
        kept = await one.ask("ana", "GET", path, headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
        assert kept.headers["traceresponse"].split("-")[1] == trace
        for broken in ("00-" + "0" * 32 + "-00f067aa0ba902b7-01", "ff-" + trace + "-00f067aa0ba902b7-01", "x", trace):
            answer = await one.ask("ana", "GET", path, headers={"traceparent": broken})
            assert answer.status_code == 200 and answer.headers["traceresponse"].split("-")[1] != trace
        refused = await one.ask(
            "ana", "GET", "/supply/v1/orders/PO-9", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        )
        assert refused.json()["trace_id"] == trace

    door(story)


# --- what is reachable -------------------------------------------------------------------------------------------

UNREACHABLE = [
    ("GET", "/legacy/v3/things/1"),
    ("GET", "/legacy/v5/things/1"),
    ("GET", "/ungoverned/v1/secrets"),
    ("GET", "/supply/v1/orders/PO-1/"),
    ("GET", "/supply/v1//orders/PO-1"),
    ("GET", "/Supply/v1/orders/PO-1"),
    ("GET", "/supply/V1/orders/PO-1"),
    ("GET", "/supply/v1/ORDERS/PO-1"),
    ("GET", "/supply/v1/%6frders/PO-1"),
    ("GET", "/supply%2Fv1/orders/PO-1"),
    ("GET", "/supply/v1/orders/%2e%2e"),
    ("GET", "/supply/v1/orders/PO%2F1"),
    ("GET", "/supply/v1/orders/PO-1%00"),
    ("GET", "/supply/v1/orders/%ff"),
    ("GET", "/supply/v1/orders/%zz"),
    ("GET", "/supply/v01/orders/PO-1"),
    ("GET", "/supply/v2/orders/PO-1"),
    ("GET", "/supply"),
    ("GET", "/"),
    ("POST", "/legacy/v3/things/1"),
    ("OPTIONS", "/legacy/v3/things/1"),
    ("OPTIONS", "/ungoverned/v1/secrets"),
    ("HEAD", "/legacy/v3/things/1"),
]


def test_nothing_unpublished_is_reachable_by_any_spelling(door):
    async def story(one: SupplyDoor) -> None:
        for method, path in UNREACHABLE:
            reader, writer = await asyncio.open_connection("127.0.0.1", one.served.port)
            token = one.sso.token("carla")
            writer.write(
                f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n".encode()
            )
            answer = await reader.read()
            writer.close()
            assert answer.startswith(b"HTTP/1.1 404"), (method, path, answer[:80])
            assert b"was reached" not in answer

    door(story)


def test_a_deprecated_version_says_until_when_and_a_retired_one_that_it_is_gone(door):
    async def story(one: SupplyDoor) -> None:
        old = await one.ask("ana", "GET", "/legacy/v1/things/7")
        assert old.json() == {"text": "7"}
        assert old.headers["deprecation"] == "@1780272000"
        assert old.headers["sunset"] == "Tue, 01 Jun 2027 00:00:00 GMT"
        assert old.headers["link"] == '</legacy/v2>; rel="successor-version"'
        current = await one.ask("ana", "GET", "/legacy/v2/things/7")
        assert "deprecation" not in current.headers and "sunset" not in current.headers
        gone = await one.ask("ana", "GET", "/legacy/v4/things/7")
        assert gone.status_code == 410 and gone.json()["type"] == "/problems/gone"
        one.clock.ahead = timedelta(days=400)
        assert (await one.ask(None, "GET", "/legacy/v1/things/7")).status_code == 410

    door(story)


def test_methods_are_answered_as_http_has_it(door):
    async def story(one: SupplyDoor) -> None:
        refused = await one.ask("ana", "DELETE", "/legacy/v2/things/7")
        assert refused.status_code == 405 and refused.headers["allow"] == "GET, HEAD, OPTIONS"
        head = await one.ask("ana", "HEAD", "/supply/v1/orders/PO-1")
        get = await one.ask("ana", "GET", "/supply/v1/orders/PO-1")
        assert head.status_code == 200 and head.content == b""
        assert head.headers["content-length"] == str(len(get.content))
        options = await one.ask("ana", "OPTIONS", "/supply/v1/orders/PO-1")
        assert options.status_code == 204
        assert options.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
        assert (await one.ask(None, "OPTIONS", "/supply/v1/orders/PO-1")).status_code == 401

    door(story)


# --- who asks ----------------------------------------------------------------------------------------------------


def test_only_good_tokens_for_this_door_are_taken(door):
    async def story(one: SupplyDoor) -> None:
        path = "/supply/v1/orders/PO-1"
        nothing = await one.ask(None, "GET", path)
        assert nothing.status_code == 401 and nothing.headers["www-authenticate"] == 'Bearer realm="hilum"'
        bad = {
            "another audience": one.sso.token("ana", aud="billing-portal"),
            "expired": one.sso.token("ana", iat=1, exp=2),
            "another issuer": one.sso.token("ana", iss=ISSUER + "/other"),
            "changed": one.sso.token("ana")[:-8] + "AAAAAAAA",
            "no token": "x",
        }
        for why, token in bad.items():
            answer = await one.ask(None, "GET", path, headers={"authorization": f"Bearer {token}"})
            assert answer.status_code == 401, why
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]
            assert token not in answer.text
        twice = [("authorization", f"Bearer {one.sso.token('ana')}"), ("authorization", "Bearer x")]
        assert (await one.client.get(path, headers=twice)).status_code == 400

    door(story)


def test_a_rate_is_kept_and_told(door):
    async def story(one: SupplyDoor) -> None:
        answers = [await one.ask("svc-tight-bot", "GET", "/supply/v1/orders/PO-1") for _ in range(6)]
        assert [a.status_code for a in answers].count(200) == 3
        refused = answers[-1]
        assert refused.status_code == 429 and refused.json()["type"] == "/problems/too-many-requests"
        assert int(refused.headers["retry-after"]) >= 1 and "ratelimit" in refused.headers
        assert (await one.ask("svc-ap-bot", "GET", "/supply/v1/orders/PO-1")).status_code == 200

    door(story)


# --- what is asked -----------------------------------------------------------------------------------------------

BODIES = {
    b"": 400,
    b"{": 400,
    b'{"facility": "ST-MARY", "facility": "ST-LUKE", "supplier": "S", "amount": 1}': 400,
    b'{"facility": "ST-MARY", "supplier": "S", "amount": NaN}': 400,
    b'{"facility": "ST-MARY", "supplier": "S", "amount": 1e999}': 400,
    b'{"facility": "ST-MARY", "supplier": "S", "amount": 99999999999999999999}': 400,
    b'{"facility": "ST-MARY\\u0000", "supplier": "S", "amount": 1}': 400,
    b'{"facility": "ST-MARY", "supplier": "\\ud800", "amount": 1}': 400,
    b'\xef\xbb\xbf{"facility": "ST-MARY", "supplier": "S", "amount": 1}': 400,
    '{"facility": "ST-MARY", "supplier": "S", "amount": 1}'.encode("utf-16"): 400,
    b"[" * 9 + b"]" * 9: 400,
    b"[" * 2000 + b"]" * 2000: 400,
    b"x" * 5000: 413,
    b'{"facility": "ST-MARY", "supplier": "S"}': 422,
    b'{"facility": "ST-MARY", "supplier": "S", "amount": 1, "MRN-SECRET": 1}': 422,
    b'{"facility": 7, "supplier": "S", "amount": 1}': 422,
    b'{"facility": "ST-MARY", "supplier": "S", "amount": "SECRET"}': 422,
    b'{"facility": "ST-MARY", "supplier": "S", "amount": 1, "wanted_by": "SECRET"}': 422,
    b'{"facility": "ST-MARY", "supplier": "NOBODY", "amount": 1}': 422,
    b"null": 422,
    b"[]": 422,
}


def test_a_body_against_its_contract_is_refused_without_its_values(door):
    async def story(one: SupplyDoor) -> None:
        for body, status in BODIES.items():
            answer = await one.ask("ana", "POST", "/supply/v1/orders", body=body)
            assert answer.status_code == status, (body[:60], answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert "SECRET" not in answer.text
            if answer.status_code == 422:
                assert all(set(e) == {"in", "pointer", "detail"} for e in answer.json()["errors"])
        assert one.warehouse.read()["keys"] == {}

    door(story)


def test_findings_say_where(door):
    async def story(one: SupplyDoor) -> None:
        body = {"facility": 7, "supplier": "S", "lines": ["a", 2]}
        answer = await one.ask("ana", "POST", "/supply/v1/orders", body=body)
        found = {e["pointer"]: e["detail"] for e in answer.json()["errors"]}
        assert found["#/facility"] == 'this is not of type "string"'
        assert found["#/lines/1"] == 'this is not of type "string"'
        assert found["#"] == "amount is missing"

    door(story)


def test_contents_and_representations_are_negotiated(door):
    async def story(one: SupplyDoor) -> None:
        for headers in ({"content-type": "text/plain"}, {"content-encoding": "gzip"},
                        {"content-type": "application/json; charset=latin1"}):  # fmt: skip
            answer = await one.ask("ana", "POST", "/supply/v1/orders", body=REQUEST, headers=headers)
            assert answer.status_code == 415, headers
        for accept, status in (("text/html", 406), ("application/json;q=0", 406), ("*/*", 200), ("application/*", 200),
                               ("text/html, application/json;q=0.1", 200), ("*/*, application/json;q=0", 406)):  # fmt: skip
            answer = await one.ask("ana", "GET", "/supply/v1/orders/PO-1", headers={"accept": accept})
            assert answer.status_code == status, accept
        bodied = await one.ask("ana", "DELETE", "/supply/v1/orders/PO-1", body={"x": 1})
        assert bodied.status_code == 413
        twice = [("authorization", f"Bearer {one.sso.token('ana')}"), ("if-match", '"1"'), ("if-match", '"2"')]
        assert (await one.client.get("/supply/v1/orders/PO-1", headers=twice)).status_code == 400

    door(story)


def test_queries_are_typed_by_their_contract(door):
    async def story(one: SupplyDoor) -> None:
        good = "supplier=ORTHO&item=KNEE-99&item=HIP-1&urgent=true&since=2026-01-01&limit=2"
        assert (await one.ask("ana", "GET", f"/supply/v1/orders?{good}")).status_code == 200
        for query, status in {
            "urgent=SECRET": 422, "limit=0": 422, "limit=201": 422, "limit=SECRET": 422, "unknown=SECRET": 422,
            "since=SECRET": 422, "supplier=a&supplier=b": 400, "supplier=%ff": 400, "supplier=%zz": 400,
            "supplier=a%00": 400, "cursor=SECRET": 400, "limit=2&limit=3": 400, "supplier=" + "x" * 9000: 400,
        }.items():  # fmt: skip
            answer = await one.ask("ana", "GET", f"/supply/v1/orders?{query}")
            assert answer.status_code == status, query
            assert "SECRET" not in answer.text
        assert (await one.ask("ana", "GET", "/legacy/v2/things/seven")).status_code == 422
        assert (await one.ask("ana", "GET", "/legacy/v2/things/-1")).status_code == 422

    door(story)


# --- what goes wrong ---------------------------------------------------------------------------------------------


def test_every_failure_is_a_problem_that_tells_nothing_of_the_inside(door):
    async def story(one: SupplyDoor) -> None:
        expected = {
            "bug": (500, "/problems/defect"),
            "problem": (409, "/problems/closed-period"),
            "rejected": (422, "/problems/rejected"),
            "away": (503, "/problems/unavailable"),
            "outside": (502, "/problems/outside-contract"),
            "outside-shape": (502, "/problems/outside-contract"),
            "other-shape": (502, "/problems/outside-contract"),
            "nothing": (404, "/problems/not-found"),
            "huge": (502, "/problems/outside-contract"),
            "forever": (503, "/problems/unavailable"),
        }
        for how, (status, kind) in expected.items():
            answer = await one.ask("carla", "GET", f"/supply/v1/wrong/{how}")
            told = answer.json()
            assert (answer.status_code, told["type"], told["status"]) == (status, kind, status), how
            assert answer.headers["content-type"] == "application/problem+json"
            assert {"title", "detail", "instance", "trace_id"} <= set(told)
            for inside in ("MRN-SECRET", "10.0.0.7", "Traceback", "KeyError", "stays inside"):
                assert inside not in answer.text
        away = await one.ask("carla", "GET", "/supply/v1/wrong/away")
        assert away.headers["retry-after"] == "3"
        rejected = (await one.ask("carla", "GET", "/supply/v1/wrong/rejected")).json()
        assert rejected["cause"] == "2026-10" and rejected["remedy"].startswith("Open the period")
        assert (await one.ask("carla", "GET", "/supply/v1/wrong/problem")).json()["period"] == "2026-10"

    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    written = StringIO()
    install_logging(stream=written)
    try:
        door(story)
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    assert "defect in supply.wrong@v1" in written.getvalue()
    assert "MRN-SECRET" not in written.getvalue()


def test_a_handler_has_its_time_and_no_more(door):
    from tests.gateway.supply_estate import LIMITS, supply_estate

    short = supply_estate(limits=LIMITS.model_copy(update={"timeout_seconds": 0.3}))

    async def story(one: SupplyDoor) -> None:
        for path in ("/supply/v1/wrong/slow", "/supply/v1/stuck"):
            answer = await one.ask("carla", "GET", path)
            assert answer.status_code == 504 and answer.json()["type"] == "/problems/timeout"
        one.warehouse.slow_seconds = 0.6
        assert (await one.ask("carla", "GET", "/supply/v1/orders/PO-1")).status_code == 504

    door(story, estate=short)


def test_a_system_whose_answer_its_connector_cannot_read_is_an_incident_and_no_crash(door):
    async def story(one: SupplyDoor) -> None:
        one.warehouse.file.write_bytes(b"<html>we are moving</html>")
        answer = await one.ask("ana", "GET", "/supply/v1/orders/PO-1")
        assert (answer.status_code, answer.json()["type"]) == (502, "/problems/outside-contract")
        assert "moving" not in answer.text
        titles = [
            row["cause"] for row in await one.pool.fetch("SELECT cause FROM work_item WHERE queue = 'integration'")
        ]
        assert len(titles) == 1 and "warehouse.order: JSONDecodeError" in titles[0]

    door(story)


def test_a_system_outside_its_contract_is_an_incident_once_for_each_cause(door):
    async def story(one: SupplyDoor) -> None:
        for _ in range(3):
            assert (await one.ask("carla", "GET", "/supply/v1/wrong/outside")).status_code == 502
        assert (await one.ask("carla", "GET", "/supply/v1/wrong/outside-shape")).status_code == 502
        items = await one.pool.fetch("SELECT queue, cause, title, owner FROM work_item ORDER BY id")
        assert [i["cause"] for i in items] == [
            "OutsideContract:supply.wrong/v1:number/type", "OutsideContract:supply.wrong/v1:number",
        ]  # fmt: skip
        assert {(i["queue"], i["owner"]) for i in items} == {("integration", "integration-team")}
        entries = await one.pool.fetchval(
            "SELECT count(*) FROM audit_entry WHERE subject = 'api/supply.wrong/v1' AND convert_from(entry, 'UTF8') LIKE '%api.outside_contract%'"
        )
        assert entries == 2
        text = (await one.ask("olga", "GET", "/metrics")).text
        assert 'hilum_api_outside_contract_total{api="supply",operation="supply.wrong",version="1"} 4.0' in text

    door(story)


def test_a_kept_answer_stands_in_marked_as_stale_while_a_system_is_away(door):
    async def story(one: SupplyDoor) -> None:
        path = "/supply/v1/orders/PO-1"
        fresh = await one.ask("ana", "GET", path)
        one.warehouse.away = True
        stale = await one.ask("ana", "GET", path)
        assert stale.status_code == 200 and stale.json() == fresh.json()
        assert stale.headers["hilum-stale"] == "true" and "ttl=-" in stale.headers["cache-status"]
        assert (await one.ask("ben", "GET", path)).status_code in (404, 503)
        one.clock.ahead = timedelta(seconds=120)
        late = await one.ask("ana", "GET", path)
        assert late.status_code == 503 and int(late.headers["retry-after"]) >= 1

    door(story)


def test_usage_is_counted_by_consumer_version_operation_and_outcome(door):
    async def story(one: SupplyDoor) -> None:
        for _ in range(3):
            await one.ask("ana", "GET", "/legacy/v1/things/7")
        await one.ask("svc-ap-bot", "GET", "/legacy/v2/things/7")
        await one.ask(None, "GET", "/legacy/v2/things/7")
        await one.usage.write()
        await one.ask("ana", "GET", "/legacy/v1/things/7")
        await one.usage.write()
        rows = await one.pool.fetch(
            "SELECT consumer, version, operation, status_class, requests FROM api_usage ORDER BY 1, 2, 4"
        )
        assert [tuple(r) for r in rows] == [
            ("anonymous", 2, "thing", 4, 1),
            ("person:ana", 1, "old_thing", 2, 4),
            ("service:ap-bot", 2, "thing", 2, 1),
        ]

    door(story)


def test_the_platform_takes_a_fact_in_once(door):
    async def story(one: SupplyDoor) -> None:
        body = {"usage_id": "U-1", "item": "KNEE-99"}
        first = await one.ask("olga", "POST", "/supply/v1/usages", body=body)
        again = await one.ask("olga", "POST", "/supply/v1/usages", body=body)
        assert (first.status_code, first.json()["text"], again.json()["text"]) == (202, "False", "True")
        assert first.headers["location"].startswith("/supply/v1/usages/m/")
        assert await one.pool.fetchval("SELECT count(*) FROM event WHERE type = 'Usage'") == 1

    door(story)


def test_a_read_commands_nothing(door, caplog):
    async def story(one: SupplyDoor) -> None:
        assert (await one.ask("carla", "GET", "/supply/v1/commanding")).status_code == 500
        assert Order.model_validate(one.warehouse.read()["orders"]["PO-1"]).note == ""

    with caplog.at_level(logging.ERROR):
        door(story)
    assert [r.exc_info[0].__name__ for r in caplog.records if r.exc_info] == ["CommandInQuestion"]
