"""Which changes of a published API break those who use it: a table, each row a change and its verdict."""

import copy

import pytest
from tests.governance.api_estate import api_estate

from hilum.governance.compatibility import changes
from hilum.governance.openapi import openapi

ORDERS, ORDER = "/erp/v1/orders", "/erp/v1/orders/{number}"


def schema(name):
    return lambda d: d["components"]["schemas"][name]


def body(d):
    return d["paths"][ORDERS]["post"]


def listing(d):
    return d["paths"]["/erp/v1/suppliers"]["get"]


def drop(part, *path):
    def change(d):
        here = part(d)
        for step in path[:-1]:
            here = here[step]
        if isinstance(here, list):
            here.remove(path[-1])
        else:
            del here[path[-1]]

    return change


def put(part, *path):
    def change(d):
        here = part(d)
        for step in path[:-2]:
            here = here[step]
        if isinstance(here, list):
            here.append(path[-1])
        else:
            here[path[-2]] = path[-1]

    return change


def both(*done):
    def change(d):
        for one in done:
            one(d)

    return change


REQUEST, SUPPLIER, ANSWER = schema("OrderRequest"), schema("Supplier"), schema("Order")

BREAKING = {
    "an operation is removed": (lambda d: d["paths"].pop(ORDER), "the operation is gone"),
    "a query parameter is removed": (lambda d: listing(d)["parameters"].pop(0), "name is no longer taken"),
    "a query parameter becomes required": (lambda d: listing(d)["parameters"][0].update(required=True), "name became required"),
    "a required parameter is added": (
        lambda d: listing(d)["parameters"].append({"name": "site", "in": "query", "required": True, "schema": {"type": "string"}}),
        "a new required parameter site",
    ),
    "a field of the body becomes required": (
        both(put(REQUEST, "properties", "note", {"type": "string"}), put(REQUEST, "required", None, "note")), "the field became required",
    ),
    "a field of the body is no longer taken": (
        both(drop(REQUEST, "properties", "account"), drop(REQUEST, "required", "account")), "no longer taken",
    ),
    "a field of the body gets another type": (put(REQUEST, "properties", "supplier", {"type": "integer"}), "string is no longer taken"),
    "a field of the body gets shorter": (put(REQUEST, "properties", "supplier", {"type": "string", "maxLength": 3}), "maxLength"),
    "a field of the body takes fewer values": (put(REQUEST, "properties", "supplier", {"type": "string", "enum": ["MEDLINE"]}), "any value"),
    "a field of the answer is removed": (both(drop(ANSWER, "properties", "supplier"), drop(ANSWER, "required", "supplier")), "the field is gone"),
    "a field of the answer may be missing": (drop(ANSWER, "required", "supplier"), "may be missing now"),
    "a field of the answer may be null": (
        put(ANSWER, "properties", "supplier", {"anyOf": [{"type": "string"}, {"type": "null"}]}), "it may now be null",
    ),
    "a field of the answer becomes a number": (put(ANSWER, "properties", "supplier", {"type": "number"}), "it may now be number"),
    "a field deep in the answer is removed": (both(drop(schema("OrderLine"), "properties", "item"), drop(schema("OrderLine"), "required", "item")), "the field is gone"),
    "the status of success changes": (lambda d: body(d)["responses"].update({"200": body(d)["responses"].pop("201")}), "no longer answers 201"),
}  # fmt: skip

HARMLESS = {
    "nothing": lambda d: None,
    "an operation is added": lambda d: d["paths"].update({"/erp/v1/items": d["paths"][ORDER]}),
    "an optional parameter is added": lambda d: listing(d)["parameters"].append({"name": "site", "in": "query", "schema": {"type": "string"}}),
    "an optional field of the body is added": put(REQUEST, "properties", "note", {"type": "string"}),
    "a field of the body becomes optional": drop(REQUEST, "required", "supplier"),
    "a field of the body takes more": put(REQUEST, "properties", "supplier", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    "a field of the answer is added": put(ANSWER, "properties", "note", {"type": "string"}),
    "a field of the answer is always there now": put(SUPPLIER, "required", None, "bank_account"),
    "a field of the answer promises a format": put(ANSWER, "properties", "supplier", {"type": "string", "format": "uuid"}),
    "descriptions and examples change": put(ANSWER, "description", "Another sentence."),
}  # fmt: skip


@pytest.fixture
def pair():
    document = openapi(api_estate(), api="erp", version=1)
    return document, copy.deepcopy(document)


@pytest.mark.parametrize("name", BREAKING)
def test_it_breaks_consumers_when(name, pair):
    change, says = BREAKING[name]
    before, after = pair
    change(after)
    found = [c for c in changes(before, after) if c.breaking]
    assert any(says in f"{c.where} {c.what}" for c in found), found


@pytest.mark.parametrize("name", HARMLESS)
def test_it_breaks_nobody_when(name, pair):
    before, after = pair
    HARMLESS[name](after)
    assert not [c for c in changes(before, after) if c.breaking]


def test_a_harmless_change_is_told_all_the_same(pair):
    before, after = pair
    HARMLESS["a field of the answer is added"](after)
    assert {(c.breaking, c.what) for c in changes(before, after)} == {(False, "a new field")}


def test_no_change_is_no_change(pair):
    assert changes(*pair) == []
