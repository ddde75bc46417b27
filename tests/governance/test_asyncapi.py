"""The published AsyncAPI of the reference network: accepted by an independent reader of the standard, and complete."""

import json
from pathlib import Path

import pytest
from pydantic_asyncapi.v3 import AsyncAPI

from hilum.governance.asyncapi import asyncapi
from hilum.governance.loader import load_estate

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"


@pytest.fixture(scope="module")
def estate():
    return load_estate(LAKESHORE)


@pytest.fixture(scope="module")
def document(estate):
    return json.loads(json.dumps(asyncapi(estate)))


def test_an_independent_reader_of_asyncapi_3_takes_the_document(document):
    AsyncAPI.model_validate(document)


def test_the_reader_refuses_a_document_that_is_none(document):
    with pytest.raises(ValueError):
        AsyncAPI.model_validate({**document, "operations": {"odd": {"action": "shout"}}})


def test_every_reference_leads_somewhere(document):
    def references(part):
        if isinstance(part, dict):
            if "$ref" in part:
                yield part["$ref"]
            for inner in part.values():
                yield from references(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from references(inner)

    found = list(references(document))
    assert found
    for reference in found:
        here = document
        for step in reference.removeprefix("#/").split("/"):
            here = here[step]


def test_every_mapping_flow_and_feed_is_an_operation(document, estate):
    wanted = (
        {f"receive_{m.name}" for m in estate.mappings}
        | {f"flow_{f}" for f in estate.flows}
        | {f"feed_{f}" for f in estate.feeds}
        | {f"collect_{c.name}_{event.type_name()}" for c in estate.collections.values() for event in c.on}
    )
    assert set(document["operations"]) == wanted
    assert len(wanted) > 5


def test_an_event_says_which_of_its_fields_are_protected(document):
    payload = document["components"]["messages"]["ImplantUsed"]["payload"]
    assert payload["properties"]["account"]["x-hilum-data-class"] == "phi"
    assert payload["properties"]["account"]["properties"]["value"]["type"] == "string"


def test_no_address_or_secret_of_a_system_is_published(document):
    text = json.dumps(document)
    assert "file:secrets" not in text
    assert "6680" not in text
