"""The catalogue and the schemas: what an estate consists of, as data."""

from __future__ import annotations

import json

from hilum.governance.catalogue import catalogue, contract_schema
from hilum.governance.loader import load_estate


def test_the_catalogue_has_everything_with_its_owner_and_place(lakeshore):
    entries = json.loads(json.dumps(catalogue(load_estate(lakeshore))))
    for kind in ("systems", "contracts", "flows", "feeds", "crosswalks", "queues"):
        assert entries[kind]
        for entry in entries[kind]:
            assert entry["owner"] and entry["declared_at"], f"{kind}: {entry['name']}"
    (erp,) = [system for system in entries["systems"] if system["name"] == "erp"]
    assert erp["connector"] == "tryton" and "connect" not in erp
    assert "secrets/" not in json.dumps(entries)


def test_a_contract_is_listed_with_the_classification_of_its_fields(lakeshore):
    entries = catalogue(load_estate(lakeshore))
    (used,) = [contract for contract in entries["contracts"] if contract["name"] == "ImplantUsed"]
    fields = {field["name"]: field for field in used["fields"]}
    assert [name for name, field in fields.items() if field["phi"]] == ["account"]
    assert [name for name, field in fields.items() if field["agreed"]] == ["quantity"]
    assert fields["usage_id"] == {
        "name": "usage_id",
        "required": True,
        "phi": False,
        "at_risk": False,
        "agreed": False,
        "key": "usage",
    }
    assert used["identities"] == [["usage_id"], ["device_identifier", "serial"]]


def test_a_contract_is_exported_as_json_schema(lakeshore):
    schema = contract_schema(load_estate(lakeshore).contracts["ImplantUsed"])
    json.dumps(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (schema["x-hilum-version"], schema["x-hilum-owner"]) == (1, "supply-chain")
    assert schema["properties"]["account"]["x-hilum-classification"] == ["phi"]
    assert schema["properties"]["usage_id"]["x-hilum-key"] == "usage"
    assert schema["additionalProperties"] is False
    assert "usage_id" in schema["required"]
