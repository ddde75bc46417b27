"""How fast FHIR R4 is read and checked: functions that `benchmarks` can call, each measuring over bytes given to it.

    PYTHONPATH=src python -m benchmarks.formats_fhir [FILE ...]

The yardstick is the 24 KB Bundle of 51 resources that fhir.resources 8 (pydantic, R4B, no required codes) parses and checks
68 times a second on one core of this kind of machine.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.formats import fhir

PEER_BUNDLES_PER_SECOND = 68.0
"""fhir.resources 8.3.0 on a Bundle of 51 resources, 24 KB (R4B)."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How often a second all the files were worked through, divided into files and megabytes."""

    name: str
    files_per_second: float
    megabytes_per_second: float

    def __str__(self) -> str:
        return f"{self.name}: {self.files_per_second:,.0f} files/s, {self.megabytes_per_second:,.1f} MB/s"


def rate(name: str, work: Callable[[bytes], object], files: Sequence[bytes], seconds: float = 1.0) -> Rate:
    """Works through the files again and again for about so many seconds, once beforehand to load the tables."""
    for data in files:
        work(data)
    rounds = 0
    start = time.perf_counter()
    while (took := time.perf_counter() - start) < seconds:
        for data in files:
            work(data)
        rounds += 1
    return Rate(name, rounds * len(files) / took, rounds * sum(map(len, files)) / took / 1e6)


def parse_and_validate(data: bytes) -> list[fhir.FHIRFinding]:
    return fhir.validate(fhir.parse(data))


def patients_bundle(count: int = 50) -> bytes:
    """A transaction Bundle of so many Patients and their organization, about 24 KB at 50, as compact JSON."""
    hospital = "urn:uuid:00000000-0000-4000-8000-000000000000"
    entries = [
        {
            "fullUrl": hospital,
            "resource": {"resourceType": "Organization", "name": "St. Mary"},
            "request": {"method": "POST", "url": "Organization"},
        }
    ]
    for number in range(1, count + 1):
        patient = {
            "resourceType": "Patient",
            "identifier": [{"use": "official", "system": "urn:example:st-mary:mrn", "value": f"MRN-{number}"}],
            "active": True,
            "name": [{"use": "official", "family": "Doe", "given": ["Ada"]}],
            "telecom": [{"system": "phone", "value": "+1 555 0100", "use": "home"}],
            "gender": "female",
            "birthDate": "1950-02-28",
            "address": [{"line": ["1 Lake Road"], "city": "Lakeshore", "state": "MI", "postalCode": "49001"}],
            "managingOrganization": {"reference": hospital},
        }
        url = f"urn:uuid:00000000-0000-4000-8000-{number:012d}"
        entries.append({"fullUrl": url, "resource": patient, "request": {"method": "POST", "url": "Patient"}})
    return fhir.json_bytes({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def measure(files: Sequence[bytes], seconds: float = 1.0) -> list[Rate]:
    """Parse alone, parse and validate, over the files; and the yardstick's Bundle."""
    found = []
    if files:
        found.append(rate("FHIR parse", fhir.parse, files, seconds))
        found.append(rate("FHIR parse + validate", parse_and_validate, files, seconds))
    found.append(
        rate("FHIR parse + validate, Bundle of 51 resources", parse_and_validate, [patients_bundle()], seconds)
    )
    return found


def load_seconds() -> float:
    """How long the tables take to load in a fresh process, with the resources of a claim."""
    import subprocess

    code = (
        "import time; from hilum.formats import fhir; start = time.perf_counter();"
        'fhir.validate(fhir.parse(b\'{"resourceType":"Claim"}\')); print(time.perf_counter() - start)'
    )
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    for one in measure([Path(name).read_bytes() for name in sys.argv[1:]]):
        print(one)
    print(f"tables and first claim: {load_seconds() * 1000:.0f} ms")
