"""Nobody sees or does anything without a decision, and what a decision leaves out does not exist."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from tests.gateway.supply_door import SupplyDoor
from tests.gateway.supply_estate import POLICIES, supply_estate

from hilum.authoring.caller import Caller
from hilum.gateway.documents import document_routes
from hilum.model.where import NOTHING, Where
from hilum.security.decisions import Decision, Resource
from hilum.security.policies import Policies

REQUEST = {"facility": "ST-MARY", "supplier": "ORTHO", "amount": 12.5}


def test_each_caller_reads_what_is_its_own_and_the_rest_does_not_exist(door):
    async def story(one: SupplyDoor) -> None:
        seen = {
            who: [(await one.ask(who, "GET", f"/supply/v1/orders/{n}")).status_code for n in ("PO-1", "PO-2", "PO-9")]
            for who in ("ana", "ben", "carla", "otto", "nobody-special")
        }
        assert seen == {
            "ana": [200, 404, 404],
            "ben": [404, 200, 404],
            "carla": [200, 200, 404],
            "otto": [200, 404, 404],
            "nobody-special": [403, 403, 403],
        }
        hidden = (await one.ask("ana", "GET", "/supply/v1/orders/PO-2")).json()
        absent = (await one.ask("ana", "GET", "/supply/v1/orders/PO-9")).json()
        of_the_trace = {"instance", "trace_id"}
        assert {k: v for k, v in hidden.items() if k not in of_the_trace} == {
            k: v for k, v in absent.items() if k not in of_the_trace
        }

    door(story)


def test_lists_are_asked_for_with_the_condition_and_checked_again(door, caplog):
    async def story(one: SupplyDoor) -> None:
        for path in ("/supply/v1/orders", "/supply/v1/leaking"):
            listed = {
                who: [o["number"] for o in (await one.ask(who, "GET", path)).json()["items"]]
                for who in ("ana", "ben", "carla", "otto")
            }
            assert listed == {
                "ana": ["PO-1", "PO-3"],
                "ben": ["PO-2"],
                "carla": ["PO-1", "PO-2", "PO-3"],
                "otto": ["PO-1"],
            }
            assert (await one.ask("nobody-special", "GET", path)).status_code == 403

    with caplog.at_level(logging.ERROR):
        door(story)
    told = [r.getMessage() for r in caplog.records if "outside of what its caller may see" in r.getMessage()]
    assert len(told) == 3 and all(t.startswith("supply.leaking@v1") for t in told)


def test_a_write_is_decided_before_any_effect(door):
    async def story(one: SupplyDoor) -> None:
        assert (
            await one.ask("ana", "POST", "/supply/v1/orders", body={**REQUEST, "facility": "ST-LUKE"})
        ).status_code == 403
        assert (await one.ask("carla", "POST", "/supply/v1/orders", body=REQUEST)).status_code == 403
        assert one.warehouse.read()["keys"] == {}
        assert (await one.ask("ana", "POST", "/supply/v1/orders", body=REQUEST)).status_code == 201
        # That it exists is told to those who may read it, and to nobody else.
        assert (await one.ask("ana", "POST", "/supply/v1/orders/PO-2/approvals")).status_code == 404
        assert (await one.ask("otto", "DELETE", "/supply/v1/orders/PO-1")).status_code == 403
        assert (await one.ask("ana", "POST", "/supply/v1/orders/PO-9/approvals")).status_code == 404
        approved = await one.ask("ana", "POST", "/supply/v1/orders/PO-1/approvals")
        assert approved.status_code == 202 and approved.json() == {"text": "person:ana"}
        assert (await one.ask("ana", "DELETE", "/supply/v1/orders/PO-1")).status_code == 204
        # Nothing is known of what it is about, so a policy that asks for a facility allows nothing.
        assert (await one.ask("ana", "DELETE", "/supply/v1/suppliers/ORTHO/orders/PO-1")).status_code in (403, 404)

    door(story)


def test_values_are_shown_by_role_and_facility(door):
    async def story(one: SupplyDoor) -> None:
        shown = (await one.ask("dora", "GET", "/billing/v1/accounts/A-1001")).json()
        assert shown == {
            "account": {"value": "A-1001", "authority": "ST-MARY"}, "facility": "ST-MARY", "patient": "Maria Alvarez",
            "balance": "12.50", "born": "1961-04-02",
        }  # fmt: skip
        masked = (await one.ask("emil", "GET", "/billing/v1/accounts/A-1001")).json()
        assert masked == {
            "account": {"value": "***01", "authority": "ST-MARY"}, "facility": "ST-MARY", "patient": "***ez",
            "balance": "12.50", "born": None,
        }  # fmt: skip
        audited = (await one.ask("carla", "GET", "/billing/v1/accounts/A-1001")).json()
        assert audited["balance"] is None and audited["patient"] == "***ez"
        assert (await one.ask("otto", "GET", "/supply/v1/orders/PO-1")).json()["bank_account"] == "DE-440010023"

    door(story)


def test_who_saw_protected_data_is_recorded_before_the_answer_leaves(door):
    async def story(one: SupplyDoor) -> None:
        await one.ask("dora", "GET", "/billing/v1/accounts/A-1001")
        await one.ask("emil", "GET", "/billing/v1/accounts/A-1001")
        await one.ask("dora", "POST", "/billing/v1/accounts/search", body={"patient": "Maria Alvarez"})
        await one.ask("nobody-special", "GET", "/supply/v1/orders/PO-1")
        await one.ask("ana", "POST", "/supply/v1/orders", body=REQUEST)
        told = [(a["actor"], a["action"], a["detail"]["operation"]) for a in await one.accesses()]
        assert told == [
            ("person:dora", "access.read", "billing.account@v1"),
            ("person:dora", "access.search", "billing.find_account@v1"),
            ("person:nobody-special", "access.denial", "supply.order@v1"),
            ("person:ana", "access.change", "supply.place@v1"),
        ]
        text = str(await one.accesses())
        assert "A-1001" not in text and "Alvarez" not in text
        read = (await one.accesses())[0]["detail"]
        assert read["shown"] == ["financial", "phi"] and read["policy_version"].startswith("sha256:")

    door(story)


def test_what_cannot_be_recorded_is_not_answered(door):
    async def story(one: SupplyDoor) -> None:
        await one.pool.execute("ALTER FUNCTION record_accesses RENAME TO away")
        answer = await one.ask("dora", "GET", "/billing/v1/accounts/A-1001")
        assert answer.status_code == 503 and "Alvarez" not in answer.text
        assert (await one.ask("emil", "GET", "/billing/v1/accounts/A-1001")).status_code == 200

    door(story)


class Silent:
    """A policy point that allows everything and whose decisions get lost."""

    version = "none"

    def decide(self, caller: Caller, action: str, resource: Resource, context: Mapping[str, Any] = {}) -> Decision:
        return Decision(False)

    def where(self, caller: Caller, action: str, resource_type: str, context: Mapping[str, Any] = {}) -> Where:
        return NOTHING

    def sees(self, caller: Caller, data_class: str, resource: Resource, context: Mapping[str, Any] = {}) -> bool:
        return True


def test_where_policies_allow_nothing_no_route_answers(door):
    """Every published route, and every page, asks: with nothing allowed, none of them gives anything."""
    pages = lambda admit: document_routes(supply_estate(), admit)  # noqa: E731

    async def story(one: SupplyDoor) -> None:
        asked = 0
        for endpoint in one.door.endpoints:
            path = endpoint.operation.route
            for name in endpoint.operation.path_parameters:
                path = path.replace("{" + name + "}", "1")
            body = {"facility": "ST-MARY", "supplier": "S", "amount": 1} if endpoint.body is not None else None
            for who in (None, "ana", "carla"):
                answer = await one.ask(who, endpoint.operation.method, path, body=body, headers={"if-match": '"1"'})
                # A write to one thing says 404: that it exists is told only to those who may read it.
                denied = (401, 403, 404, 410, 422) if endpoint.operation.kind == "write" else (401, 403, 410, 422)
                assert answer.status_code in denied, (path, answer.status_code)
                asked += 1
        assert asked == 3 * len(one.door.endpoints) > 40
        for page in _addresses(one):
            for who in (None, "carla"):
                answer = await one.ask(who, "GET", page)
                assert answer.status_code in (401, 403, 404), (page, answer.status_code)
        assert (await one.ask(None, "GET", "/health")).json() == {"status": "up"}

    door(story, point=Silent(), pages=pages)


def _addresses(one: SupplyDoor) -> list[str]:
    found = []
    for page in one.door.pages:
        if isinstance(page, Route) and page.path != "/health":
            address = page.path.replace("{api}", "supply").replace("{version:int}", "1").replace("{kind}", "gone")
            found.append(address)
        elif isinstance(page, Mount):
            found.append(page.path + "/docs.css")
    assert len(found) > 8
    return found


def test_an_answer_without_a_decision_is_withheld(door, caplog):
    """Whoever adds a page and forgets to ask finds it closed, and the log says so."""

    async def forgotten(request: Any) -> PlainTextResponse:
        return PlainTextResponse("SECRET")

    async def story(one: SupplyDoor) -> None:
        answer = await one.ask("ana", "GET", "/forgotten")
        assert answer.status_code == 500 and "SECRET" not in answer.text
        assert "hilum_api_undecided_total 1.0" in (await one.ask("olga", "GET", "/metrics")).text

    with caplog.at_level(logging.CRITICAL):
        door(story, pages=lambda admit: [Route("/forgotten", forgotten)])
    assert "no policy had decided" in caplog.text


def test_pages_are_open_to_whom_policies_admit(door):
    more = (
        POLICIES
        + """
    @id("documents") permit (principal, action == Hilum::Action::"read", resource is Hilum::Document);
    """
    )
    pages = lambda admit: document_routes(supply_estate(), admit)  # noqa: E731

    async def story(one: SupplyDoor) -> None:
        for page in ("/docs", "/docs/problems", "/openapi.json", "/problems/gone", "/supply/v1/openapi.json"):
            assert (await one.ask(None, "GET", page)).status_code == 401
            answer = await one.ask("ana", "GET", page)
            assert answer.status_code == 200, page
            assert answer.headers["x-content-type-options"] == "nosniff" and "traceresponse" in answer.headers
        assert (await one.ask("ana", "GET", "/docs/")).status_code == 404
        assert (await one.ask("ana", "POST", "/docs")).status_code == 405
        assert (await one.ask("ana", "GET", "/metrics")).status_code == 403

    door(story, pages=pages, point=Policies({"policies/supply.cedar": more}))
