"""Drift: what a difference between two descriptions means, and whom it meets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hilum.connectors.json_shapes import shape_of
from hilum.connectors.openapi_description import describe_openapi
from hilum.governance.drift import Description, DescriptionUnusable, compare, described, read_recorded, record, verdict

STATE = {
    "type": "selection", "values": ["draft", "posted"], "side": "both", "required": True, "relied_on_by": ["post_journal"],
}  # fmt: skip


def of(parts: dict[str, dict[str, Any]], unseen: tuple[str, ...] = ()) -> Description:
    return described("erp", {"source": "tryton", "parts": parts, "unseen": unseen})


def told(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [f"{c.kind}: {c}" for c in compare(of({"move.state": before}), of({"move.state": after}))]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "char"}, "breaking: move.state was selection and is char"),
        ({"values": ["draft"]}, "breaking: move.state has lost the values posted"),
        ({"values": ["draft", "posted", "void"]}, "additive: move.state has the new values void"),
        ({"required": False}, "additive: move.state need not be given any more"),
        ({"deprecated": True}, "deprecated: move.state is deprecated"),
    ],
)
def test_each_difference_is_named_and_weighed(change: dict[str, Any], words: str) -> None:
    assert told(STATE, {**STATE, **change}) == [f"{words} (relied on by post_journal)"]


def test_what_we_read_may_not_become_optional_and_what_we_give_may_not_become_required() -> None:
    read, given = {"type": "char", "side": "asked"}, {"type": "char", "side": "given"}
    must = {"required": True}
    assert told({**read, **must}, read) == ["breaking: move.state may be absent now"]
    assert told(read, {**read, **must}) == ["additive: move.state is always there now"]
    assert told(given, {**given, **must}) == ["breaking: move.state must be given now"]


def test_what_is_gone_may_only_be_called_otherwise() -> None:
    text = {"type": "char", "relied_on_by": ["post_journal"]}
    [gone, new] = compare(of({"move.description": text}), of({"move.descriptions": {"type": "char"}}))
    assert str(gone) == (
        "move.description is gone; move.descriptions is new and may be what it is called now (relied on by post_journal)"
    )
    assert (gone.kind, new.kind) == ("breaking", "additive")


def test_a_new_thing_that_must_be_given_breaks_every_request() -> None:
    [change] = compare(of({}), of({"POST /x body.tax": {"type": "number", "side": "given", "required": True}}))
    assert change.kind == "breaking"


def test_what_could_not_be_seen_is_no_change() -> None:
    before = of({"GET /movements": {"type": "list"}, "GET /movements[].reference": {"type": "string"}})
    after = of({"GET /movements": {"type": "list"}}, unseen=("GET /movements[]",))
    assert compare(before, after) == []
    assert compare(after, before) == []
    assert [c.part for c in compare(before, of({"GET /movements": {"type": "list"}}))] == ["GET /movements[].reference"]


def test_the_worst_comes_first_and_is_the_verdict() -> None:
    changes = compare(
        of({"a": {"type": "char"}, "b": STATE}), of({"b": {**STATE, "deprecated": True}, "c": {"type": "x"}})
    )
    assert [c.kind for c in changes] == ["breaking", "deprecated", "additive"]
    assert (verdict(changes), verdict([])) == ("breaking", "same")


def test_a_description_is_written_for_people_to_compare_and_read_back_as_it_was(tmp_path: Path) -> None:
    description = of({"move.state": STATE}, unseen=("x[]",))
    file = record(tmp_path, description)
    assert read_recorded(tmp_path, "erp") == description
    assert file.read_text().count("\n") > 5
    assert read_recorded(tmp_path, "stock") is None
    file.write_text("{}")
    with pytest.raises(DescriptionUnusable, match="--record"):
        read_recorded(tmp_path, "erp")


# --- descriptions of answers and documents ------------------------------------------------------------------------


def test_the_shape_of_an_answer_is_that_of_all_its_records() -> None:
    records = [{"on_hand": 3, "note": None, "lines": [{"item": "KNEE-99"}]}, {"on_hand": 4, "par": 6, "lines": [{}]}]
    parts, unseen = shape_of("GET /positions", records, ["on_hand", "par", "note", "lines[].item", "gone"], "positions")
    assert parts["GET /positions[].on_hand"] == {"type": "number", "required": True, "relied_on_by": ["positions"]}
    assert parts["GET /positions[].par"]["required"] is False
    assert parts["GET /positions[].lines[].item"] == {
        "type": "string",
        "required": False,
        "relied_on_by": ["positions"],
    }
    assert "GET /positions[].gone" not in parts
    assert unseen == ["GET /positions[].note"]
    assert shape_of("GET /positions", [], ["on_hand"], "positions")[1] == ["GET /positions[]"]


PATIENTS: dict[str, Any] = {
    "openapi": "3.1.0",
    "paths": {
        "/patients/{id}": {
            "parameters": [{"$ref": "#/components/parameters/Id"}],
            "get": {
                "responses": {
                    "200": {"content": {"application/fhir+json": {"schema": {"$ref": "#/components/schemas/Patient"}}}}
                }
            },
        },
        "/orders": {
            "post": {
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"required": ["item"], "properties": {"item": {"type": "string"}}}}},
                },
                "responses": {"201": {"description": "made"}},
            }
        },
    },
    "components": {
        "parameters": {"Id": {"in": "path", "name": "id", "required": True, "schema": {"type": "string"}}},
        "schemas": {
            "Patient": {
                "type": "object",
                "required": ["status"],
                "properties": {
                    "status": {"type": "string", "enum": ["active", "merged"]},
                    "born": {"type": ["string", "null"], "format": "date"},
                    "links": {"type": "array", "items": {"$ref": "#/components/schemas/Patient"}},
                },
            }
        },
    },
}  # fmt: skip


def test_a_vendors_openapi_document_is_reduced_to_what_is_relied_on() -> None:
    found = describe_openapi(PATIENTS, ["GET /patients/{id}"])["parts"]
    assert found["GET /patients/{id} path.id"]["required"] is True
    assert found["GET /patients/{id} 200.status"]["values"] == ["active", "merged"]
    assert found["GET /patients/{id} 200.born"]["type"] == "null|string:date"
    assert "GET /patients/{id} 200.links[].status" in found, "and schemas that hold themselves come to an end"
    assert not any("/orders" in name for name in found)
    everything = describe_openapi(PATIENTS)["parts"]
    assert everything["POST /orders body.item"] == {
        "type": "string", "side": "given", "required": True, "relied_on_by": ["POST /orders"],
    }  # fmt: skip
    with pytest.raises(ValueError, match="no OpenAPI 3"):
        describe_openapi({"swagger": "2.0"})


def test_a_vendors_release_is_weighed_by_its_documents() -> None:
    import copy

    release = copy.deepcopy(PATIENTS)
    patient = release["components"]["schemas"]["Patient"]
    patient["properties"]["status"]["enum"].remove("merged")
    patient["required"] = []
    release["paths"]["/orders"]["post"]["deprecated"] = True
    before, after = (described("ehr", describe_openapi(document)) for document in (PATIENTS, release))
    changes = compare(before, after)
    assert ("breaking", "GET /patients/{id} 200.status has lost the values merged") in [
        (c.kind, f"{c.part} {c.what}") for c in changes
    ]
    assert ("deprecated", "POST /orders") in [(c.kind, c.part) for c in changes]
    assert verdict(changes) == "breaking"
