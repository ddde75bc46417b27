"""Golden samples: a message beside the events it must become, ``samples/<mapping>.hl7`` and ``.expected.json``.

Messages are ``.hl7``, ``.x12`` (one interchange with one transaction), ``.bai``, ``.csv`` or ``.json``.

One mapping may have several: ``<mapping>.<case>.hl7`` beside ``<mapping>.<case>.expected.json``. HL7 samples may be
kept with ordinary line ends; they are turned into the standard's carriage returns (HL7 v2.5.1 ch. 2.5.4).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from hilum.authoring import X12, Bai2, Contract, Hl7, Mapping, Table
from hilum.formats import bai2, tabular, x12

_EXPECTED = ".expected.json"


@dataclass(frozen=True)
class Sample:
    """One message file of an estate."""

    root: Path
    file: Path

    @property
    def shown(self) -> str:
        return self.file.relative_to(self.root).as_posix()

    @property
    def expected(self) -> Path:
        return self.file.with_name(self.file.name.removesuffix(self.file.suffix) + _EXPECTED)


class SampleUnreadable(ValueError):
    """The sample or the mapping failed before there were events to compare."""


def sample_files(root: Path, mapping: str, suffix: str) -> list[Path]:
    """The messages that show what ``mapping`` does."""
    folder = root / "samples"
    found = [folder / f"{mapping}{suffix}", *sorted(folder.glob(f"{mapping}.*{suffix}"))]
    return [path for path in found if path.is_file() and not path.name.endswith(_EXPECTED)]


Shape = type[Hl7] | type[X12] | type[Bai2] | type[Table] | type[BaseModel]
"""What a mapping reads."""


def suffix_of(shape: Shape) -> str:
    """How files with such messages end."""
    known: dict[type, str] = {X12: ".x12", Hl7: ".hl7", Bai2: ".bai", Table: ".csv"}
    return next((suffix for kind, suffix in known.items() if issubclass(shape, kind)), ".json")


def message_of(raw: bytes, shape: Shape) -> Any:
    """The message a mapping is called with, as intake would read it from these bytes."""
    if issubclass(shape, X12):
        (transaction,) = x12.parse(raw).transactions
        return transaction
    if issubclass(shape, Bai2 | Table):
        return bai2.parse(raw) if issubclass(shape, Bai2) else tabular.parse(raw)
    return Hl7.parse(on_the_wire(raw)) if issubclass(shape, Hl7) else shape.model_validate_json(raw)


def on_the_wire(raw: bytes) -> bytes:
    """An HL7 v2 sample with the line ends that the standard and its senders have."""
    return raw.replace(b"\r\n", b"\r").replace(b"\n", b"\r").rstrip(b"\r") + b"\r"


def rendered(sample: Sample, mapping: Mapping[Any], shape: Shape) -> str:
    """The events of a sample as the text of its ``.expected.json``; ``SampleUnreadable`` says what went wrong."""
    try:
        made = mapping(message_of(sample.file.read_bytes(), shape))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SampleUnreadable(f"{place}: {first['msg']}") from error
    except Exception as error:  # A mapping is the author's code: however it fails, it is a finding.
        raise SampleUnreadable(f"{type(error).__name__}: {error}") from error
    events: list[Contract] = made if isinstance(made, list) else [made]
    document = [
        {"type": event.type_name(), "version": event.contract_version, "event": event.model_dump(mode="json")}
        for event in events
    ]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def difference(sample: Sample, mapping: Mapping[Any], shape: Shape) -> tuple[str, str]:
    """What is wrong with a golden pair and what to do, or two empty texts when it holds exactly."""
    try:
        actual = rendered(sample, mapping, shape)
    except SampleUnreadable as error:
        return f"The mapping {mapping.name} fails on its sample: {error}.", "Correct the mapping or the sample."
    expected_name = sample.expected.relative_to(sample.root).as_posix()
    try:
        expected = sample.expected.read_text(encoding="utf-8")
        same = json.loads(expected) == json.loads(actual)
    except FileNotFoundError:
        return (
            f"The sample of the mapping {mapping.name} has no {expected_name} beside it.",
            "Run `hilum check --accept-samples`, read the file and commit it.",
        )
    except ValueError as error:
        return f"{expected_name} is not JSON: {error}.", "Correct it or run `hilum check --accept-samples`."
    if same:
        return "", ""
    lines = unified_diff(expected.splitlines(), actual.splitlines(), expected_name, "the mapping now", lineterm="", n=2)
    return (
        f"The mapping {mapping.name} makes other events of its sample than expected:\n" + "\n".join(lines) + "\n",
        "Correct the mapping, or accept the change with `hilum check --accept-samples` and review it.",
    )
