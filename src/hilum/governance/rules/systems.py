"""Systems are owned, described and reachable; what they listen on is free."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from hilum.authoring.estate import SystemSpec
from hilum.authoring.flow import CRITICALITIES
from hilum.governance.loader import ESTATE_FILE, Loaded
from hilum.governance.problems import EstateProblem
from hilum.governance.reach import Reach
from hilum.governance.rules.owners import owner_problems

DISPOSITIONS = ("retain", "refactor", "replatform", "retire")


def system_problems(
    loaded: Loaded, reached: Reach, known_connectors: Collection[str] | None
) -> Iterator[EstateProblem]:
    for name, spec in loaded.estate.systems.items():
        yield from _described(loaded, name, spec, known_connectors)
    yield from _reachable(loaded, reached)
    yield from _doors(loaded)


def _described(
    loaded: Loaded, name: str, spec: SystemSpec, known_connectors: Collection[str] | None
) -> Iterator[EstateProblem]:
    file, places, what = f"systems/{name}.toml", loaded.places, f"The system {name}"
    yield from owner_problems(what, spec.owner, loaded.estate.owners, places.toml(file, "owner"), "`owner`")
    if spec.criticality not in CRITICALITIES:
        stated = f"criticality {spec.criticality!r}, which is none" if spec.criticality else "no criticality"
        yield EstateProblem(
            places.toml(file, "criticality"),
            f"{what} has {stated}.",
            f"Write `criticality` with one of {', '.join(CRITICALITIES)}.",
        )
    if spec.disposition not in DISPOSITIONS:
        yield EstateProblem(
            places.toml(file, "disposition"),
            f"{what} has the disposition {spec.disposition!r}, which is none.",
            f"Write one of {', '.join(DISPOSITIONS)}.",
        )
    for facility in spec.facilities:
        if facility not in loaded.estate.facilities:
            yield EstateProblem(
                places.toml(file, "facilities"),
                f"{what} serves {facility}, which is no facility of the estate.",
                f"Add [facilities.{facility}] to {ESTATE_FILE} or correct the name.",
            )
    if not spec.connect:
        return
    connector = spec.connect.get("connector")
    if not isinstance(connector, str) or not connector:
        yield EstateProblem(
            places.toml(file, "connect", "connector"),
            f"{what} has a [connect] table without a connector.",
            "Write `connector` with the kind of its interface.",
        )
    elif known_connectors is not None and connector not in known_connectors:
        yield EstateProblem(
            places.toml(file, "connect", "connector"),
            f"{what} is connected by {connector!r}, which Hilum does not have.",
            f"Write one of {', '.join(sorted(known_connectors))}.",
        )


def _reachable(loaded: Loaded, reached: Reach) -> Iterator[EstateProblem]:
    for system, where in reached.systems:
        spec = loaded.estate.systems.get(system.name)
        if not loaded.has_system(system.name):
            yield EstateProblem(
                where,
                f"{system!r} is spoken to, but the estate has no system of that name.",
                f"Describe it in systems/{system.name}.toml.",
            )
        elif spec is not None and type(system).operations() and "connector" not in spec.connect:
            yield EstateProblem(
                loaded.places.toml(f"systems/{system.name}.toml", "connect"),
                f"{system.name} plays the role {type(system).__name__} (at {where}) but has no connector.",
                "Write [connect] with `connector` and what the connector needs.",
            )


def _doors(loaded: Loaded) -> Iterator[EstateProblem]:
    taken: dict[object, str] = {}
    for name, spec in loaded.estate.systems.items():
        file = f"systems/{name}.toml"
        mllp, webhook = spec.listen.mllp, spec.listen.webhook
        if mllp is not None:
            where = loaded.places.toml(file, "listen", "mllp", "port")
            if mllp.port and (other := taken.setdefault(mllp.port, name)) != name:
                yield EstateProblem(
                    where,
                    f"{name} listens on port {mllp.port}, and so does {other}.",
                    "Give each system a port of its own: the port says who is speaking.",
                )
        if webhook is not None and (other := taken.setdefault(webhook.path, name)) != name:
            yield EstateProblem(
                loaded.places.toml(file, "listen", "webhook", "path"),
                f"{name} takes webhooks at {webhook.path}, and so does {other}.",
                "Give each system a path of its own: the path says who is speaking.",
            )
