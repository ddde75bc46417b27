"""The estate's compiler: it refuses an estate that is not governed, and says where and what to do."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hilum.governance.golden import Sample, SampleUnreadable, rendered, sample_files
from hilum.governance.loader import ESTATE_FILE, Loaded, read_estate
from hilum.governance.policy_tests import policy_test_problems, policy_warnings
from hilum.governance.problems import EstateProblem
from hilum.governance.reach import Reach, reach
from hilum.governance.rules.apis import api_compatibility_problems, api_facts, api_problems
from hilum.governance.rules.claims import claim_problems
from hilum.governance.rules.contracts import contract_problems
from hilum.governance.rules.crosswalks import crosswalk_problems
from hilum.governance.rules.flows import collection_problems, feed_problems, flow_problems, unused_warnings
from hilum.governance.rules.identity import identity_problems, identity_warnings
from hilum.governance.rules.mappings import accepted, mapping_problems
from hilum.governance.rules.master import master_problems
from hilum.governance.rules.policies import policy_problems, release_problems
from hilum.governance.rules.posting import posting_problems
from hilum.governance.rules.queues import queue_problems
from hilum.governance.rules.residency import residency_problems
from hilum.governance.rules.schedules import schedule_problems
from hilum.governance.rules.secrecy import secrecy_problems
from hilum.governance.rules.systems import system_problems
from hilum.governance.rules.transfers import transfer_problems
from hilum.governance.rules.transports import transport_problems


@dataclass(frozen=True)
class Report:
    """What a check found. An estate with problems is refused; warnings and facts are for reading."""

    estate: str
    problems: tuple[EstateProblem, ...] = ()
    warnings: tuple[EstateProblem, ...] = ()
    facts: dict[str, int] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        return not self.problems


def check_estate(root: Path, known_connectors: Collection[str] | None = None, *, today: date | None = None) -> Report:
    """Load the estate at ``root`` and hold it against every rule.

    ``known_connectors`` are the kinds of connector this installation has; None leaves that rule out. Without ``today``
    nobody is warned of what ends soon.
    """
    loaded = read_estate(root)
    reached = reach(loaded)
    found = [*loaded.problems, *_rules(loaded, reached, known_connectors)]
    if not found:  # A description can only be made of what is whole.
        found = [*api_compatibility_problems(loaded)]
    warnings = {*unused_warnings(loaded), *policy_warnings(loaded.estate)}
    if today is not None:
        warnings.update(identity_warnings(loaded, today))
    return Report(
        estate=loaded.estate.name,
        problems=tuple(sorted(set(found))),
        warnings=tuple(sorted(warnings)),
        facts=_facts(loaded, reached),
    )


def accept_samples(root: Path) -> list[str]:
    """Write what each mapping now makes of its samples as what is expected; the files that changed.

    For the author, who reads the difference before committing it. A sample that fails is left to the check.
    """
    loaded = read_estate(root)
    changed = []
    for mapping in loaded.estate.mappings:
        shape = accepted(mapping)
        if shape is None:
            continue
        for suffix in (".hl7", ".x12", ".bai", ".csv", ".json"):
            for file in sample_files(loaded.estate.root, mapping.name, suffix):
                sample = Sample(loaded.estate.root, file)
                try:
                    text = rendered(sample, mapping, shape)
                except SampleUnreadable:
                    continue
                if not sample.expected.exists() or sample.expected.read_text(encoding="utf-8") != text:
                    partial = sample.expected.with_suffix(".partial")
                    partial.write_text(text, encoding="utf-8")
                    os.replace(partial, sample.expected)
                    changed.append(sample.expected.relative_to(loaded.estate.root).as_posix())
    return changed


def _rules(loaded: Loaded, reached: Reach, known_connectors: Collection[str] | None) -> Iterator[EstateProblem]:
    yield from secrecy_problems(loaded)
    if not loaded.header_read:
        return
    yield from _time_zone(loaded)
    yield from system_problems(loaded, reached, known_connectors)
    yield from transport_problems(loaded)
    yield from transfer_problems(loaded)
    yield from residency_problems(loaded)
    yield from contract_problems(loaded)
    yield from api_problems(loaded)
    yield from identity_problems(loaded)
    yield from mapping_problems(loaded)
    yield from flow_problems(loaded)
    yield from feed_problems(loaded)
    yield from collection_problems(loaded)
    yield from schedule_problems(loaded)
    yield from queue_problems(loaded, reached)
    yield from crosswalk_problems(loaded, reached)
    yield from posting_problems(loaded)
    yield from claim_problems(loaded)
    yield from master_problems(loaded)
    yield from policy_problems(loaded)
    yield from release_problems(loaded)
    yield from policy_test_problems(loaded.estate)


def _time_zone(loaded: Loaded) -> Iterator[EstateProblem]:
    try:
        ZoneInfo(loaded.estate.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        yield EstateProblem(
            loaded.places.toml(ESTATE_FILE, "estate", "time_zone"),
            f"{loaded.estate.time_zone!r} is no time zone.",
            "Write one of the IANA database such as America/Chicago.",
        )


def _facts(loaded: Loaded, reached: Reach) -> dict[str, int]:
    estate = loaded.estate
    return {
        "facilities": len(estate.facilities),
        "systems": len(estate.systems),
        "contracts": len(estate.contracts),
        "mappings": len(estate.mappings),
        "flows": len(estate.flows),
        "feeds": len(estate.feeds),
        "collections": len(estate.collections),
        "schedules": len(estate.schedules),
        **api_facts(loaded),
        "crosswalks": len(estate.crosswalks),
        "queues": len(estate.queues),
        "services": len(estate.services),
        "rejections": len(reached.rejections),
    }
