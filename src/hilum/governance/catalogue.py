"""The catalogue: what an estate consists of, as plain data for people and programs."""

from __future__ import annotations

from typing import Any

from hilum.authoring import Agreed, AtRisk, Contract, Phi
from hilum.authoring.contract import key_fields, marked
from hilum.authoring.estate import Estate


def catalogue(estate: Estate) -> dict[str, Any]:
    """Every system, contract, mapping, flow, feed, crosswalk and queue with its owner and place; JSON-ready.

    Addresses and credentials are left out: a catalogue is for reading.
    """
    return {
        "estate": {
            "name": estate.name,
            "title": estate.title,
            "time_zone": estate.time_zone,
            "flows_version": estate.flows_version,
            "retention_days": estate.retention_days,
        },
        "facilities": [{"code": code, "name": name} for code, name in estate.facilities.items()],
        "owners": [{"name": name, "title": title} for name, title in estate.owners.items()],
        "queues": [
            {"name": name, "owner": owner, "declared_at": _place(estate, "queue", name)}
            for name, owner in estate.queues.items()
        ],
        "systems": [
            {
                "name": spec.name,
                "title": spec.title,
                "owner": spec.owner,
                "criticality": spec.criticality,
                "authoritative_for": list(spec.authoritative_for),
                "facilities": list(spec.facilities),
                "disposition": spec.disposition,
                "region": spec.region,
                "connector": spec.connect.get("connector"),
                "listens": [kind for kind in ("mllp", "webhook") if getattr(spec.listen, kind) is not None],
                "declared_at": _place(estate, "system", spec.name),
            }
            for spec in estate.systems.values()
        ],
        "contracts": [
            contract_entry(contract, _place(estate, "contract", name)) for name, contract in estate.contracts.items()
        ],
        "mappings": [
            {
                "name": mapping.name,
                "version": mapping.version,
                "source": mapping.source.name,
                "message": mapping.message,
                "events": [event.type_name() for event in mapping.events],
                "declared_at": _place(estate, "mapping", mapping.name),
            }
            for mapping in estate.mappings
        ],
        "flows": [
            {
                "name": flow.name,
                "version": flow.version,
                "on": flow.on.type_name(),
                "key": flow.key,
                "ordering": flow.ordering,
                "criticality": flow.criticality,
                "owner": flow.owner,
                "recovery": flow.recovery,
                "declared_at": _place(estate, "flow", flow.name),
            }
            for flow in estate.flows.values()
        ],
        "feeds": [
            {
                "name": feed.name,
                "version": feed.version,
                "on": [event.type_name() for event in feed.on],
                "to": feed.to.name,
                "key": feed.key,
                "criticality": feed.criticality,
                "owner": feed.owner,
                "declared_at": _place(estate, "feed", feed.name),
            }
            for feed in estate.feeds.values()
        ],
        "collections": [
            {
                "name": collection.name,
                "version": collection.version,
                "on": [event.type_name() for event in collection.on],
                "into": collection.into.name,
                "owner": collection.owner,
                "declared_at": _place(estate, "collection", collection.name),
            }
            for collection in estate.collections.values()
        ],
        "crosswalks": [
            {
                "name": spec.name,
                "from": spec.source,
                "to": spec.target,
                "owner": spec.owner,
                "file": spec.file,
                "targets": spec.targets,
                "declared_at": _place(estate, "crosswalk", spec.name),
            }
            for spec in estate.crosswalks.values()
        ],
    }


def contract_entry(contract: type[Contract], declared_at: str = "") -> dict[str, Any]:
    """A contract with the classification of each field: ``phi``, ``at_risk``, ``agreed`` and the kind of its key."""
    phi, at_risk, agreed = marked(contract, Phi), marked(contract, AtRisk), marked(contract, Agreed)
    kinds = {name: kind for kind, name in key_fields(contract)}
    own = contract.__dict__.get("__doc__")
    return {
        "name": contract.type_name(),
        "version": contract.contract_version,
        "owner": contract.owner,
        "meaning": " ".join(own.split()) if own else "",
        "identities": [list(identity) for identity in contract.identities],
        "fields": [
            {
                "name": name,
                "required": field.is_required(),
                "phi": name in phi,
                "at_risk": name in at_risk,
                "agreed": name in agreed,
                "key": kinds.get(name),
            }
            for name, field in contract.model_fields.items()
        ],
        "declared_at": declared_at,
    }


def contract_schema(contract: type[Contract]) -> dict[str, Any]:
    """The contract as JSON Schema 2020-12, with its version, owner, identities and classification as ``x-hilum-*``."""
    schema = contract.model_json_schema()
    entry = contract_entry(contract)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["x-hilum-version"] = entry["version"]
    schema["x-hilum-owner"] = entry["owner"]
    schema["x-hilum-identities"] = entry["identities"]
    for field in entry["fields"]:
        shape = schema["properties"][field["name"]]
        marks = [mark for mark in ("phi", "at_risk", "agreed") if field[mark]]
        if marks:
            shape["x-hilum-classification"] = marks
        if field["key"] is not None:
            shape["x-hilum-key"] = field["key"]
    return schema


def _place(estate: Estate, kind: str, name: str) -> str:
    return estate.declared_at.get(f"{kind}:{name}", "")
