"""AsyncAPI 3.0 from what the estate declares: what comes in by which door, which events follow, who is fed with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from hilum.authoring import X12, Bai2, Table
from hilum.authoring.contract import Contract
from hilum.authoring.estate import Estate, SystemSpec
from hilum.authoring.flow import Feed, Mapping
from hilum.governance.catalogue import contract_schema

ASYNCAPI_VERSION = "3.0.0"
_CLOUD_EVENT = "application/cloudevents+json; version=1.0"


def asyncapi(estate: Estate) -> dict[str, Any]:
    """The document. Operations are the platform's own: it receives messages, sends events to its flows and bytes to systems."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for contract in estate.contracts.values():
        if contract.identities:
            name = contract.type_name()
            messages[name] = _event_message(contract)
            channels[_event_channel(contract)] = {
                "address": f"events/{name}/v{contract.contract_version}",
                "title": name,
                "description": messages[name]["summary"],
                "messages": {name: {"$ref": f"#/components/messages/{name}"}},
                "servers": [{"$ref": "#/servers/platform"}],
            }
    for mapping in estate.mappings:
        channel = _source_channel(mapping)
        message = _name(f"{mapping.source.name}_{mapping.message}")
        messages[message] = _source_message(mapping)
        channels[channel] = {
            "address": f"{mapping.source.name}/{mapping.message}",
            "title": f"{mapping.message} from {mapping.source.name}",
            "messages": {message: {"$ref": f"#/components/messages/{message}"}},
            **_servers_of(estate.systems.get(mapping.source.name), mapping.source.name),
        }
        operations[f"receive_{mapping.name}"] = {
            "action": "receive",
            "title": f"Take {mapping.message} and map it to {', '.join(e.type_name() for e in mapping.events)}",
            "channel": {"$ref": f"#/channels/{channel}"},
            "x-hilum-mapping": f"{mapping.name}@{mapping.version}",
            "x-hilum-events": [event.type_name() for event in mapping.events],
        }
    for flow in estate.flows.values():
        if flow.on.type_name() in messages:
            operations[f"flow_{flow.name}"] = {
                "action": "receive",
                "title": f"Flow {flow.name}",
                "channel": {"$ref": f"#/channels/{_event_channel(flow.on)}"},
                "x-hilum-owner": flow.owner,
                "x-hilum-criticality": flow.criticality,
                "x-hilum-ordering": flow.ordering,
            }
    for collection in estate.collections.values():
        for contract in collection.on:
            if contract.type_name() in messages:
                operations[f"collect_{collection.name}_{contract.type_name()}"] = {
                    "action": "receive",
                    "title": f"Collection {collection.name} into {collection.into.name}",
                    "channel": {"$ref": f"#/channels/{_event_channel(contract)}"},
                    "x-hilum-owner": collection.owner,
                }
    for feed in estate.feeds.values():
        operations[f"feed_{feed.name}"], channels[f"feed_{_name(feed.name)}"] = _feed(estate, feed)
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": f"{estate.title or estate.name} events",
            "version": estate.flows_version,
            "description": "Generated from the estate's contracts, mappings, flows and feeds.",
        },
        "defaultContentType": "application/json",
        "servers": dict(_servers(estate)),
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def _servers(estate: Estate) -> Iterator[tuple[str, Any]]:
    yield "platform", {"host": "localhost", "protocol": "postgresql", "description": "The platform's own event log."}
    for name, spec in estate.systems.items():
        if spec.listen.mllp is not None:
            place = spec.listen.mllp
            yield f"{_name(name)}_mllp", _server(f"{place.host}:{place.port}", "mllp", f"HL7 v2 over MLLP from {name}")
        if spec.listen.webhook is not None:
            server = _server("localhost", "http", f"Signed webhooks (Standard Webhooks) from {name}")
            yield f"{_name(name)}_webhook", {**server, "pathname": spec.listen.webhook.path}
        if any(feed.to.name == name for feed in estate.feeds.values()):
            yield (
                f"{_name(name)}_feed",
                _server(name, spec.connect.get("connector", "http"), f"What {name} is fed with"),
            )


def _server(host: str, protocol: str, description: str) -> dict[str, Any]:
    return {"host": host, "protocol": protocol, "description": description}


def _servers_of(spec: SystemSpec | None, name: str) -> dict[str, Any]:
    doors = [] if spec is None else [kind for kind in ("mllp", "webhook") if getattr(spec.listen, kind) is not None]
    return {"servers": [{"$ref": f"#/servers/{_name(name)}_{door}"} for door in doors]} if doors else {}


def _event_channel(contract: type[Contract]) -> str:
    return f"event_{contract.type_name()}"


def _source_channel(mapping: Mapping[Any]) -> str:
    return f"from_{_name(mapping.source.name)}_{_name(mapping.message)}"


def _name(text: str) -> str:
    """A key of the document: letters, digits and underscores."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")


def _event_message(contract: type[Contract]) -> dict[str, Any]:
    own = contract.__dict__.get("__doc__")
    schema = contract_schema(contract)
    schema.pop("$schema", None)
    return {
        "name": contract.type_name(),
        "title": contract.type_name(),
        "summary": " ".join(own.split()) if own else contract.type_name(),
        "contentType": _CLOUD_EVENT,
        "payload": _standing_alone(schema),
        "x-hilum-owner": contract.owner,
        "x-hilum-version": contract.contract_version,
        "x-hilum-identities": [list(identity) for identity in contract.identities],
    }


def _source_message(mapping: Mapping[Any]) -> dict[str, Any]:
    shape = mapping.accepts
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        payload, kind = _standing_alone(shape.model_json_schema()), "application/json"
    elif shape is X12:
        payload, kind = {"type": "string", "description": f"X12 {mapping.message}"}, "application/edi-x12"
    elif shape in (Bai2, Table):
        kind = "text/csv" if shape is Table else "text/plain"
        payload = {"type": "string", "description": "Delimited text" if shape is Table else "BAI2"}
    else:
        payload, kind = {"type": "string", "description": f"HL7 v2 {mapping.message}"}, "application/hl7-v2+er7"
    return {"name": mapping.message, "title": mapping.message, "contentType": kind, "payload": payload}


def _standing_alone(schema: dict[str, Any]) -> dict[str, Any]:
    """References inside a payload would point into the whole document: each is replaced by what it refers to.

    A shape that contains itself keeps the reference's name as its description.
    """
    inside = schema.pop("$defs", {})

    def led(part: Any, above: tuple[str, ...]) -> Any:
        if isinstance(part, list):
            return [led(inner, above) for inner in part]
        if not isinstance(part, dict):
            return part
        target = part.get("$ref")
        if isinstance(target, str):
            name = target.rpartition("/")[2]
            rest = {key: led(inner, above) for key, inner in part.items() if key != "$ref"}
            if name in above:
                return {"description": name, **rest}
            return {**led(inside[name], (*above, name)), **rest}
        return {key: led(inner, above) for key, inner in part.items()}

    whole = led(schema, ())
    assert isinstance(whole, dict)
    return whole


def _feed(estate: Estate, feed: Feed) -> tuple[dict[str, Any], dict[str, Any]]:
    spec = estate.systems.get(feed.to.name)
    operation = {
        "action": "send",
        "title": f"Feed {feed.name}: {', '.join(e.type_name() for e in feed.on)} to {feed.to.name}",
        "channel": {"$ref": f"#/channels/feed_{_name(feed.name)}"},
        "x-hilum-owner": feed.owner,
        "x-hilum-ordering": feed.key,
        "x-hilum-criticality": feed.criticality,
    }
    channel = {
        "address": f"{feed.to.name}/{feed.name}",
        "title": f"{feed.name} to {feed.to.name}",
        "messages": {
            event.type_name(): {
                "title": f"What {feed.to.name} receives of {event.type_name()}",
                "payload": {"type": "string", "format": "binary"},
            }
            for event in feed.on
        },
        **({"servers": [{"$ref": f"#/servers/{_name(feed.to.name)}_feed"}]} if spec is not None else {}),
    }
    return operation, channel
