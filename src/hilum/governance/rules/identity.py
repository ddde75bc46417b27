"""Programs that call are owned, end some day, prove themselves in one way and get tokens for doors that there are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from hilum.authoring.estate_identity import LOCAL, ServiceSpec
from hilum.governance.loader import ESTATE_FILE, Loaded
from hilum.governance.problems import EstateProblem
from hilum.governance.rules.owners import owner_problems
from hilum.identity.key_documents import KeyUnreadable, public_keys
from hilum.security.secrets import is_reference

WARNED_AHEAD = timedelta(days=30)
LONGEST_LIFE = timedelta(days=400)


def identity_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    """What is wrong with ``[identity]`` and ``services/``, whatever day it is."""
    for name, issuer in loaded.estate.identity.issuers.items():
        if issuer.client_secret and not is_reference(issuer.client_secret):
            yield EstateProblem(
                loaded.places.toml(ESTATE_FILE, "identity", "issuers", name, "client_secret"),
                f"The client secret for the issuer {name} is written in plain text.",
                "Write `file:PATH` or `env:NAME`; a secret in an estate is everybody's.",
            )
        for group, grant in issuer.groups.items():
            where = loaded.places.toml(ESTATE_FILE, "identity", "issuers", name, "groups", group)
            yield from _facilities(loaded, f"The group {group} of {name}", grant.facilities, where)
    for name, spec in loaded.estate.services.items():
        yield from _service(loaded, name, spec)


def identity_warnings(loaded: Loaded, today: date) -> Iterator[EstateProblem]:
    """Services that end soon, or have ended."""
    for name, spec in loaded.estate.services.items():
        if spec.expires is None or spec.expires - today > WARNED_AHEAD:
            continue
        days = (spec.expires - today).days
        yield EstateProblem(
            loaded.places.toml(f"services/{name}.toml", "expires"),
            f"The service account {name} ends in {days} days."
            if days > 0
            else f"The service account {name} has ended.",
            f"Ask {spec.owner or 'its owner'} whether it is still needed: put a later day, or remove the file.",
        )


def _service(loaded: Loaded, name: str, spec: ServiceSpec) -> Iterator[EstateProblem]:
    file, places, what = f"services/{name}.toml", loaded.places, f"The service account {name}"
    estate = loaded.estate
    yield from owner_problems(what, spec.owner, estate.owners, places.toml(file, "owner"), "`owner`")
    if spec.expires is None:
        yield EstateProblem(
            places.toml(file, "expires"),
            f"{what} never ends.",
            "Write `expires` with a day within a year; until then it gets no token.",
        )
    if not spec.roles:
        yield EstateProblem(
            places.toml(file, "roles"), f"{what} has no role, so no policy allows it anything.", "Write `roles`."
        )
    if spec.ways != 1:
        how = "in no way" if spec.ways == 0 else f"in {spec.ways} ways"
        yield EstateProblem(
            file,
            f"{what} can prove itself {how}.",
            "Write one of `public_key`, `jwks_url`, `registered_key`, `certificates`, or `issuer` with `subject`.",
        )
    if spec.public_key:
        yield from _key(loaded, file, what, spec.public_key)
    if bool(spec.issuer) != bool(spec.subject) or (spec.issuer and spec.issuer not in estate.identity.issuers):
        known = ", ".join(sorted(estate.identity.issuers))
        yield EstateProblem(
            places.toml(file, "issuer"),
            f"{what} is known by another issuer, but that is not said in full.",
            f"Write `issuer` with one of {known} and `subject` with `sub` of its tokens." if known
            else f"Describe the issuer in [identity.issuers] of {ESTATE_FILE} and write `issuer` and `subject`.",
        )  # fmt: skip
    yield from _facilities(loaded, what, spec.facilities, places.toml(file, "facilities"))
    doors = {LOCAL, *(name for api in estate.api_specs.values() for name in api.audience)}
    for audience in spec.audience:
        if audience not in doors:
            yield EstateProblem(
                places.toml(file, "audience"),
                f"{what} gets tokens for {audience!r}, which no API takes.",
                f"Write one of {', '.join(sorted(doors))}.",
            )


def _key(loaded: Loaded, file: str, what: str, key: str) -> Iterator[EstateProblem]:
    where, path = loaded.places.toml(file, "public_key"), Path(key)
    if path.is_absolute() or ".." in path.parts:
        yield EstateProblem(where, f"{what} has its key outside the estate.", "Put the public key beside the service.")
        return
    try:
        public_keys(loaded.estate.root / key)
    except KeyUnreadable as problem:
        yield EstateProblem(where, f"{what} has no usable key: {problem}.", "Write its public key as PEM or JWK Set.")


def _facilities(loaded: Loaded, what: str, facilities: tuple[str, ...], where: str) -> Iterator[EstateProblem]:
    for facility in facilities:
        if facility not in loaded.estate.facilities:
            yield EstateProblem(
                where,
                f"{what} is for {facility}, which is no facility of the estate.",
                f"Add [facilities.{facility}] to {ESTATE_FILE} or correct the name.",
            )
