"""Mappings have a door their messages come in by, one owner for each message type, and a golden sample."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from hilum.authoring import X12, Bai2, Hl7, Mapping, Table
from hilum.authoring.flow import BAI2, TABLE
from hilum.formats.hl7v2 import header_of
from hilum.governance.golden import Sample, Shape, difference, message_of, on_the_wire, sample_files, suffix_of
from hilum.governance.loader import Loaded
from hilum.governance.problems import EstateProblem

_SET = re.compile(r"[0-9]{3}")
_HL7_TYPE = re.compile(r"[A-Z][A-Z0-9]{2}\^[A-Z][A-Z0-9]{2}")


def mapping_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    estate = loaded.estate
    first: dict[tuple[str, str], Mapping[Any]] = {}
    for mapping in estate.mappings:
        where = estate.declared_at[f"mapping:{mapping.name}"]
        earlier = first.setdefault((mapping.source.name, mapping.message), mapping)
        if earlier is not mapping:
            yield EstateProblem(
                where,
                f"The mapping {mapping.name} takes {mapping.message} from {mapping.source.name}, and so does "
                f"{earlier.name} ({estate.declared_at[f'mapping:{earlier.name}']}).",
                "Keep one: a message is read in one way.",
            )
        if not mapping.events:
            yield EstateProblem(
                where,
                f"The mapping {mapping.name} does not say which event it makes.",
                "Annotate its result with a contract or a list of contracts.",
            )
        shape = accepted(mapping)
        if shape is None:
            yield EstateProblem(
                where,
                f"The mapping {mapping.name} does not say which message it reads.",
                "Annotate its argument with Hl7, X12, Bai2 or Table, or with a pydantic model for JSON.",
            )
            continue
        yield from _door(loaded, mapping, shape, where)
        if mapping.events:
            yield from _golden(loaded, mapping, shape, where)


def accepted(mapping: Mapping[Any]) -> Shape | None:
    """The type of message a mapping reads, or None when it is none that a door takes."""
    try:
        shape = mapping.accepts
    except (StopIteration, NameError, TypeError):
        return None
    if isinstance(shape, type) and issubclass(shape, Hl7 | X12 | Bai2 | Table | BaseModel):
        return shape
    return None


def _door(loaded: Loaded, mapping: Mapping[Any], shape: Shape, where: str) -> Iterator[EstateProblem]:
    spec = loaded.estate.systems.get(mapping.source.name)
    if spec is None:
        if not loaded.has_system(mapping.source.name):
            yield EstateProblem(
                where,
                f"The mapping {mapping.name} reads messages of {mapping.source.name!r}, which is no system of the estate.",
                f"Describe it in systems/{mapping.source.name}.toml.",
            )
        return
    file = f"systems/{mapping.source.name}.toml"
    if issubclass(shape, Hl7):
        if not _HL7_TYPE.fullmatch(mapping.message):
            yield EstateProblem(
                where,
                f"The mapping {mapping.name} takes {mapping.message!r}, which is no HL7 v2 message type.",
                "Write message code and trigger event as in MSH-9: `DFT^P03`.",
            )
        if spec.listen.mllp is None and spec.listen.files is None:
            yield EstateProblem(
                loaded.places.toml(file, "listen"),
                f"Nothing brings {mapping.message} from {mapping.source.name} to the mapping {mapping.name} ({where}).",
                "Write [listen.mllp] with a port, or [listen.folder] with a path.",
            )
    elif issubclass(shape, X12):
        if not _SET.fullmatch(mapping.message):
            yield EstateProblem(
                where,
                f"The mapping {mapping.name} takes {mapping.message!r}, which is no X12 transaction set.",
                "Write the set's number as in ST01: `835`.",
            )
        if spec.listen.files is None and not (spec.listen.webhook is not None and spec.listen.webhook.x12):
            yield EstateProblem(
                loaded.places.toml(file, "listen"),
                f"Nothing brings {mapping.message} from {mapping.source.name} to the mapping {mapping.name} ({where}).",
                "Write [listen.folder] with a path, [listen.sftp], or `x12 = true` in [listen.webhook].",
            )
    elif issubclass(shape, Bai2 | Table):
        called = BAI2 if issubclass(shape, Bai2) else TABLE
        if mapping.message != called:
            yield EstateProblem(
                where,
                f"The mapping {mapping.name} takes {mapping.message!r}; such files are called {called!r}.",
                f'Write message="{called}".',
            )
        if spec.listen.files is None:
            yield EstateProblem(
                loaded.places.toml(file, "listen"),
                f"Nothing brings {mapping.message} from {mapping.source.name} to the mapping {mapping.name} ({where}).",
                "Write [listen.folder] with a path.",
            )
    elif spec.listen.webhook is None and spec.listen.files is None:
        yield EstateProblem(
            loaded.places.toml(file, "listen"),
            f"Nothing brings {mapping.message!r} from {mapping.source.name} to the mapping {mapping.name} ({where}).",
            "Write [listen.webhook] with a path and a secret, or [listen.folder] with a path.",
        )


def _golden(loaded: Loaded, mapping: Mapping[Any], shape: Shape, where: str) -> Iterator[EstateProblem]:
    suffix = suffix_of(shape)
    files = sample_files(loaded.estate.root, mapping.name, suffix)
    if not files:
        yield EstateProblem(
            where,
            f"The mapping {mapping.name} has no golden sample.",
            f"Put a message without real patients at samples/{mapping.name}{suffix}, run `hilum check --accept-samples`, "
            f"read samples/{mapping.name}.expected.json and commit both.",
        )
    for file in files:
        sample = Sample(loaded.estate.root, file)
        what, do = difference(sample, mapping, shape)
        if what:
            yield EstateProblem(sample.shown, what, do)
        else:
            yield from _comes_by(loaded, mapping, shape, sample)


def _comes_by(loaded: Loaded, mapping: Mapping[Any], shape: Shape, sample: Sample) -> Iterator[EstateProblem]:
    """A golden sample that intake would never hand to this mapping proves nothing."""
    spec = loaded.estate.systems.get(mapping.source.name)
    if spec is None:
        return
    kind: object = None
    if issubclass(shape, Hl7):
        header = header_of(on_the_wire(sample.file.read_bytes()))
        kind = header.type
        versions = spec.listen.mllp.versions if spec.listen.mllp is not None else ()
        if versions and header.version not in versions:
            yield EstateProblem(
                sample.shown,
                f"The sample is of HL7 version {header.version}, which is not taken from {mapping.source.name}.",
                f"Add it to `versions` of [listen.mllp] in systems/{mapping.source.name}.toml or correct MSH-12.",
            )
    elif issubclass(shape, X12):
        kind = message_of(sample.file.read_bytes(), shape).set_id
    elif issubclass(shape, Bai2 | Table):
        kind = mapping.message
    else:
        of_json = spec.listen.webhook if spec.listen.webhook is not None else spec.listen.files
        if of_json is not None:
            kind = json.loads(sample.file.read_bytes()).get(of_json.type_field)
    if kind != mapping.message:
        yield EstateProblem(
            sample.shown,
            f"The sample is of type {kind!r}, but the mapping {mapping.name} takes {mapping.message}.",
            "Correct the sample's type or its name.",
        )
