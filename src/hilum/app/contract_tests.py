"""Contract tests as they are run here: with this installation's connectors, in the worker on a schedule or from the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import orjson

from hilum.app.connectors import connect, way_to
from hilum.app.told import now
from hilum.authoring.estate import Estate, SystemSpec
from hilum.authoring.failures import Unavailable
from hilum.connectors.openapi_description import describe_openapi
from hilum.connectors.vendor_answers import wait_seconds
from hilum.governance.contract_tests import ContractTests, Subject
from hilum.runtime.connections import Connections

EVERY_SECONDS = 60.0
"""How often a worker looks whether a test is due."""


class Observers:
    """The systems that can be looked at: by their connector, in their sandbox, or by the OpenAPI document they publish."""

    def __init__(self, estate: Estate, data: Path, connections: Connections) -> None:
        self._data = data
        in_sandbox = {
            name: spec.model_copy(update={"connect": {**spec.connect, **spec.sandbox.connect}})
            for name, spec in estate.systems.items()
            if spec.sandbox is not None and spec.sandbox.connect
        }
        self._sandboxes = connect(replace(estate, systems=in_sandbox), data)
        self.subjects: dict[str, Subject] = {}
        for name, spec in estate.systems.items():
            if spec.sandbox is not None and spec.sandbox.openapi:
                self.subjects[name] = Subject(self._published(spec))
            elif spec.connect:
                reached = (self._sandboxes if name in in_sandbox else connections).to(name)
                describe = getattr(reached.connector, "describe", None)
                if describe is not None:
                    self.subjects[name] = Subject(describe, reached.announcements.take)

    def _published(self, spec: SystemSpec) -> Any:
        async def describe() -> Mapping[str, Any]:
            sandbox = spec.sandbox
            assert sandbox is not None
            way = way_to(spec.model_copy(update={"connect": {**spec.connect, "url": sandbox.openapi}}), self._data)
            try:
                async with httpx2.AsyncClient(transport=way.http(), timeout=spec.policy.timeout_seconds) as client:
                    answer = await client.get(sandbox.openapi, headers={"accept": "application/json"})
            except httpx2.HTTPError as error:
                raise Unavailable(spec.name, f"its OpenAPI document: {type(error).__name__}") from None
            if not answer.is_success:
                raise Unavailable(
                    spec.name, f"its OpenAPI document: answered {answer.status_code}", wait_seconds(answer.headers)
                )
            return describe_openapi(orjson.loads(answer.content), sandbox.relies_on)

        return describe

    async def close(self) -> None:
        """Give back the connections to sandboxes; those to the systems themselves belong to somebody else."""
        await self._sandboxes.close()


def scheduled(pool: asyncpg.Pool, estate: Estate, data: Path, connections: Connections) -> ContractTests:
    """The tests as a worker's duty."""
    return ContractTests(pool, estate, Observers(estate, data, connections).subjects, clock=now)
