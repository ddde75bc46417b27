"""The published OpenAPI: valid by the standard's own schema, complete, and silent about what is not published."""

import json

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.governance.api_estate import MEDLINE, ORDER, api_estate

from hilum.governance.openapi import openapi, published_operations


@pytest.fixture(scope="module")
def document():
    return openapi(api_estate())


def test_the_document_is_valid_openapi_3_1(document):
    OpenAPIV31SpecValidator(json.loads(json.dumps(document))).validate()


def test_a_document_with_a_broken_reference_is_not_valid(document):
    broken = json.loads(
        json.dumps(document).replace("#/components/responses/unauthenticated", "#/components/responses/lost")
    )
    with pytest.raises(Exception, match="lost"):
        OpenAPIV31SpecValidator(broken).validate()


def test_only_what_is_published_or_deprecated_is_described(document):
    assert sorted(document["paths"]) == [
        "/erp/v1/orders",
        "/erp/v1/orders/{number}",
        "/erp/v1/suppliers",
        "/erp/v2/orders/{number}",
    ]
    assert "drafts" not in json.dumps(document)


def test_a_deprecated_version_says_so_and_its_successor_does_not(document):
    assert document["paths"]["/erp/v1/orders/{number}"]["get"]["deprecated"] is True
    assert "deprecated" not in document["paths"]["/erp/v2/orders/{number}"]["get"]
    assert {"Deprecation", "Sunset"} <= set(
        document["paths"]["/erp/v1/suppliers"]["get"]["responses"]["200"]["headers"]
    )


def test_every_operation_needs_a_token_and_names_its_problems(document):
    assert document["security"] == [{"oidc": []}]
    for path in document["paths"].values():
        for operation in path.values():
            assert {"400", "401", "403", "404", "429", "500", "502", "503", "504"} <= set(operation["responses"])


def test_a_write_asks_for_a_key_and_a_list_for_a_cursor(document):
    place = document["paths"]["/erp/v1/orders"]["post"]
    listing = document["paths"]["/erp/v1/suppliers"]["get"]
    assert [p["name"] for p in place["parameters"]] == ["Idempotency-Key", "Purpose-Of-Use", "Break-Glass"]
    assert [p["name"] for p in listing["parameters"]] == ["name", "limit", "cursor", "Purpose-Of-Use"]


@pytest.mark.parametrize("masked", [None, "***07"])
def test_what_is_classified_may_be_shown_masked(document, masked):
    schema = {**document["components"]["schemas"]["Supplier"], "components": document["components"]}
    validator = jsonschema_rs.validator_for(schema)
    assert validator.is_valid({**MEDLINE.model_dump(mode="json"), "bank_account": masked})


def test_what_is_not_classified_may_not_be_withheld(document):
    schema = {**document["components"]["schemas"]["Supplier"], "components": document["components"]}
    assert not jsonschema_rs.validator_for(schema).is_valid({**MEDLINE.model_dump(mode="json"), "name": None})


def test_a_request_is_held_to_the_shape_itself_not_to_its_masked_form(document):
    body = document["paths"]["/erp/v1/orders"]["post"]["requestBody"]["content"]["application/json"]
    validator = jsonschema_rs.validator_for({**body["schema"], "components": document["components"]})
    example = body["examples"]["an-implant-for-an-account"]["value"]
    assert validator.is_valid(example)
    assert not validator.is_valid({**example, "price": None})


def test_every_example_satisfies_its_own_schema(document):
    seen = 0
    for path in document["paths"].values():
        for operation in path.values():
            contents = [operation.get("requestBody", {}), *operation["responses"].values()]
            for media in (m for c in contents for m in c.get("content", {}).values()):
                for example in media.get("examples", {}).values():
                    validator = jsonschema_rs.validator_for({**media["schema"], "components": document["components"]})
                    validator.validate(example["value"])
                    seen += 1
    assert seen == 4


def test_fields_say_what_class_of_data_they_hold(document):
    assert document["components"]["schemas"]["Order"]["properties"]["account"]["x-hilum-data-class"] == "phi"
    assert document["paths"]["/erp/v1/orders/{number}"]["get"]["x-hilum-data-classes"] == ["financial", "phi"]


def test_one_version_has_a_document_of_its_own():
    only = openapi(api_estate(), api="erp", version=2)
    assert list(only["paths"]) == ["/erp/v2/orders/{number}"]
    assert only["info"]["version"] == "v2"


def test_of_what_is_not_published_there_is_no_document():
    with pytest.raises(LookupError):
        openapi(api_estate(), api="erp", version=3)


def test_the_operations_come_in_the_order_of_their_routes():
    assert [o.function.__name__ for o in published_operations(api_estate(), version=1)] == [
        "place",
        "order",
        "list_suppliers",
    ]
    assert ORDER.number == "PO-7"
