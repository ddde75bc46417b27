"""A simulated payer, in a process of its own: ``python -m hilum.testing.neighbours.simulated_payer``.

It knows members and their plans and answers a 270 about one subscriber with a 271, and claims and where they stand and answers a
276 about one of them with a 277, as plans do in real time.

    POST /270      an X12 interchange with one 270 -> its 271; a 999 when the document is not valid
    POST /276      an X12 interchange with one 276 -> its 277; a 999 when the document is not valid
    POST /claims   claims set up: {claim, status, payer_claim, charge, paid}; status as STC01 has it (P3:317)
    POST /members  members set up: {member, family_name, given_name, birth_date, plan, active, copayment, deductible}
    GET  /asked    how many inquiries were answered; no names
    POST /_faults  only with --faults
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hilum.formats import x12
from hilum.formats.x12.writer import Element
from hilum.testing.neighbours.simulated_faults import Faults, FaultyServing
from hilum.testing.neighbours.simulated_process import announce, live_with_parent, run_until_told

MEDIA_TYPE = "application/edi-x12"


class Member(BaseModel):
    """One person as the plan knows them."""

    model_config = ConfigDict(extra="forbid")

    member: str
    family_name: str
    given_name: str
    birth_date: date
    plan: str
    active: bool = True
    copayment: Decimal | None = None
    deductible: Decimal | None = None


class HeldClaim(BaseModel):
    """One claim as the plan has it; ``status`` as STC01 says it."""

    model_config = ConfigDict(extra="forbid")

    claim: str
    status: str
    payer_claim: str | None = None
    charge: Decimal
    paid: Decimal | None = None


_members = TypeAdapter(list[Member])
_claims = TypeAdapter(list[HeldClaim])


class _Plan:
    """The endpoints."""

    def __init__(self, token: str, faults: Faults | None) -> None:
        self._token = token
        self._faults = faults
        self._members: dict[str, Member] = {}
        self._claims: dict[str, HeldClaim] = {}
        self._asked = 0

    def app(self) -> Starlette:
        routes = [
            Route("/270", self._answer, methods=["POST"]),
            Route("/276", self._answer, methods=["POST"]),
            Route("/members", self._set_up, methods=["POST"]),
            Route("/claims", self._set_up_claims, methods=["POST"]),
            Route("/asked", self._count, methods=["GET"]),
            Route("/health", self._health, methods=["GET"]),
        ]
        if self._faults is not None:
            routes.append(Route("/_faults", self._faults.endpoint, methods=["POST"]))
        return Starlette(routes=routes)

    def knows(self, members: list[Member]) -> None:
        self._members.update({member.member: member for member in members})

    async def _health(self, _: Request) -> Response:
        return _json({"simulated": "payer", "status": "ok"})

    async def _count(self, _: Request) -> Response:
        return _json({"asked": self._asked})

    async def _set_up(self, request: Request) -> Response:
        if not self._admits(request):
            return Response(status_code=401)
        self.knows(_members.validate_json(await request.body()))
        return _json({"members": len(self._members)}, 201)

    async def _set_up_claims(self, request: Request) -> Response:
        if not self._admits(request):
            return Response(status_code=401)
        self._claims.update({claim.claim: claim for claim in _claims.validate_json(await request.body())})
        return _json({"claims": len(self._claims)}, 201)

    def _admits(self, request: Request) -> bool:
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode())

    async def _answer(self, request: Request) -> Response:
        if not self._admits(request):
            return Response(status_code=401)
        now = datetime.now(UTC)
        try:
            document = x12.parse(await request.body())
        except x12.X12Error:
            return Response(status_code=400)
        findings = x12.validate(document)
        if any(finding.severity == "error" for finding in findings):
            refusal = x12.acknowledge(document, findings, kind="999", control_number=1, now=now)
            return Response(refusal, media_type=MEDIA_TYPE)
        self._asked += 1
        told = self._status(document, now) if document.transactions[0].set_id == "276" else self._told(document, now)
        return Response(told, media_type=MEDIA_TYPE)

    def _status(self, document: x12.Document, now: datetime) -> bytes:
        """The 277 of a 276 about one claim of a subscriber, found by the provider's number."""
        asked = document.transactions[0]
        if asked.root is None:
            x12.walk(asked)
        assert asked.root is not None
        names = {place: next(asked.root.anywhere(place)).segments[0] for place in ("2100A", "2100B", "2100C", "2100D")}
        claim = next(asked.root.anywhere("2200D"))
        trace, number = x12.value(claim.first("TRN"), 2), x12.value(claim.first("REF", "EJ"), 2)
        known = self._claims.get(number or "")
        segments: list[list[Element]] = [
            ["BHT", "0010", "08", x12.value(asked.segments[1], 3), f"{now:%Y%m%d}", f"{now:%H%M}", "DG"],
            ["HL", "1", None, "20", "1"], [*names["2100A"]],
            ["HL", "2", "1", "21", "1"], [*names["2100B"]],
            ["HL", "3", "2", "19", "1"], [*names["2100C"]],
            ["HL", "4", "3", "22", "0"], [*names["2100D"]],
            ["TRN", "2", trace],
        ]  # fmt: skip
        if known is None:
            segments.append(["STC", ("A4", "35"), f"{now:%Y%m%d}"])
        else:
            paid = str(known.paid) if known.paid is not None else None
            segments.append(["STC", tuple(known.status.split(":")), f"{now:%Y%m%d}", None, str(known.charge), paid])
            if known.payer_claim is not None:
                segments.append(["REF", "1K", known.payer_claim])
        if number is not None:
            segments.append(["REF", "EJ", number])
        segments += [[*segment] for segment in claim.every("DTP")]
        answer = x12.NewTransaction(set_id="277", segments=segments, convention="005010X212")
        return self._sent(document, x12.NewGroup(functional_id="HN", version="005010X212", transactions=[answer]), now)

    def _sent(self, document: x12.Document, group: x12.NewGroup, now: datetime) -> bytes:
        """The interchange back to whoever asked."""
        header = document.interchanges[0].header
        built = x12.build(
            [group],
            sender=(header[7], header[8].strip()),
            receiver=(header[5], header[6].strip()),
            control_number=1,
            now=now,
        )
        return x12.write(built)

    def _told(self, document: x12.Document, now: datetime) -> bytes:
        asked = document.transactions[0]
        if asked.root is None:
            x12.walk(asked)
        assert asked.root is not None
        payer = next(asked.root.anywhere("2100A")).segments[0]
        provider = next(asked.root.anywhere("2100B")).segments[0]
        person = next(asked.root.anywhere("2000C"))
        name = person.inside("2100C")[0].segments[0]
        trace = person.first("TRN")
        segments: list[list[Element]] = [
            ["BHT", "0022", "11", x12.value(trace, 2), f"{now:%Y%m%d}", f"{now:%H%M}"],
            ["HL", "1", None, "20", "1"],
            [*payer],
            ["HL", "2", "1", "21", "1"],
            [*provider],
            ["HL", "3", "2", "22", "0"],
            ["TRN", "2", x12.value(trace, 2), x12.value(trace, 3)],
        ]
        known = self._members.get(x12.value(name, 9) or "")
        if known is None:
            segments += [[*name], ["AAA", "Y", None, "75", "C"]]
        else:
            segments.append(
                ["NM1", "IL", "1", known.family_name, known.given_name, None, None, None, "MI", known.member]
            )
            segments.append(["DMG", "D8", f"{known.birth_date:%Y%m%d}"])
            segments.append(["EB", "1" if known.active else "6", None, "30", None, known.plan])
            if known.active and known.copayment is not None:
                segments.append(["EB", "B", "IND", "98", None, None, "27", str(known.copayment)])
            if known.active and known.deductible is not None:
                segments.append(["EB", "C", "IND", "30", None, None, "23", str(known.deductible)])
        answer = x12.NewTransaction(set_id="271", segments=segments, convention="005010X279A1")
        group = x12.NewGroup(functional_id="HB", version="005010X279A1", transactions=[answer])
        return self._sent(document, group, now)


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


async def _run(told: argparse.Namespace) -> None:
    faults = Faults() if told.faults else None
    plan = _Plan(told.token_file.read_text().strip(), faults)
    if told.members is not None:
        plan.knows(_members.validate_json(told.members.read_bytes()))
    served = await FaultyServing(plan.app(), faults).serve(told.host, told.port)
    announce("payer", {"port": served.port})
    await run_until_told()
    await served.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="A simulated payer.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port; the ready line says which")
    parser.add_argument("--members", type=Path, help="members to set up (JSON list)")
    parser.add_argument("--token-file", type=Path, required=True, help="the bearer token callers must show")
    parser.add_argument("--faults", action="store_true", help="let POST /_faults make it fail")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input closes")
    told = parser.parse_args()
    if told.with_parent:
        live_with_parent()
    asyncio.run(_run(told))


if __name__ == "__main__":
    main()
