"""The stages one by one, where a story on a socket would not reach every corner."""

from __future__ import annotations

import asyncio
import os
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, computed_field
from tests.gateway.supply_estate import supply_estate

from hilum.authoring import Confidential, Contract, Financial, Phi, Pii
from hilum.authoring.classification import classification
from hilum.gateway.contents import read_body, strict_json
from hilum.gateway.cursors import Cursors
from hilum.gateway.endpoints import Undeclarable, routes_of
from hilum.gateway.masking import Masks
from hilum.gateway.problems import Refusal
from hilum.gateway.routes import AmbiguousRoute, Routes
from hilum.gateway.tracing import trace_of
from hilum.governance.api_schemas import shape_schema
from hilum.governance.rules.contracts import named_by_data
from hilum.model.identifiers import AccountNumber

# --- masks -------------------------------------------------------------------------------------------------------


class Inner(Contract, version=1, owner="x"):
    """Inside."""

    code: str
    name: Annotated[str, Phi]
    amount: Annotated[Decimal, Financial]


class Zoo(Contract, version=1, owner="x"):
    """Every kind of field that may be classified."""

    plain: str
    text: Annotated[str, Phi]
    maybe: Annotated[str | None, Phi] = None
    maybe_inside: Annotated[str, Phi] | None = None
    number: Annotated[int, Phi]
    flag: Annotated[bool, Pii]
    day: Annotated[date, Phi]
    kind: Annotated[Literal["a", "b"], Phi]
    account: Annotated[AccountNumber, Phi]
    accounts: tuple[Annotated[AccountNumber, Phi], ...]
    texts: Annotated[tuple[str, ...], Phi]
    texts_inside: tuple[Annotated[str, Phi], ...]
    numbers: Annotated[tuple[int, ...], Confidential]
    whole: Annotated[Inner, Phi]
    inner: Inner
    inners: tuple[Inner, ...]
    optional: Inner | None = None
    by_name: dict[str, Inner]
    texts_by_name: Annotated[dict[str, str], Phi]


INNER = Inner(code="C", name="SECRET-NAME", amount=Decimal("98765.43"))
ZOO = Zoo(
    plain="shown", text="SECRET-TEXT", maybe="SECRET-MAYBE", maybe_inside="SECRET-INSIDE", number=987654321, flag=True,
    day=date(1961, 4, 2), kind="b", account=AccountNumber("SECRET-ACCOUNT", "ST-MARY"),
    accounts=(AccountNumber("SECRET-ONE"), AccountNumber("SECRET-TWO")), texts=("SECRET-A", "SECRET-B"),
    texts_inside=("SECRET-C", "SECRET-D"), numbers=(987654321, 2), whole=INNER, inner=INNER, inners=(INNER, INNER),
    optional=INNER, by_name={"x": INNER}, texts_by_name={"y": "SECRET-Y"},
)  # fmt: skip


def test_every_masked_form_is_one_that_the_contract_publishes_and_holds_nothing():
    masks = Masks(Zoo)
    item = ZOO.model_dump(mode="json")
    assert masks.classes == set(classification(Zoo).values()) == {"phi", "pii", "financial", "confidential"}
    assert masks.present(item) == masks.classes
    published = jsonschema_rs.Draft202012Validator(shape_schema(Zoo), validate_formats=True)
    assert [e.message for e in published.iter_errors(item)] == []
    masks.apply(item, masks.classes)
    assert [(e.instance_path, e.message) for e in published.iter_errors(item)] == []
    for secret in ("SECRET", "987654321", "1961", "98765", "'b'"):
        assert secret not in str(item), item
    assert item["plain"] == "shown" and item["inners"][1]["code"] == "C" and item["by_name"]["x"]["code"] == "C"
    assert item["account"] == {"value": "***NT", "authority": "ST-MARY"}


def test_only_the_hidden_classes_are_masked():
    item = ZOO.model_dump(mode="json")
    Masks(Zoo).apply(item, {"financial"})
    assert item["inner"] == {"code": "C", "name": "SECRET-NAME", "amount": None} and item["text"] == "SECRET-TEXT"


def test_what_is_missing_stays_missing_and_is_not_present():
    item: dict[str, Any] = {"plain": "shown", "inner": None, "inners": []}
    masks = Masks(Zoo)
    masks.apply(item, masks.classes)
    assert item == {"plain": "shown", "inner": None, "inners": []} and masks.present(item) == frozenset()


class Branch(BaseModel):
    """A shape that holds itself, and says something of itself that is computed."""

    name: Annotated[str, Phi]
    ward: str = "7B"
    children: tuple[Branch, ...] = ()
    by_bed: dict[str, Branch] = {}

    @computed_field(alias="shownAs")
    @property
    def shown_as(self) -> Annotated[str, Phi]:
        return f"Frau {self.name}"


def test_a_shape_that_holds_itself_is_masked_as_deep_as_it_goes_and_so_is_what_it_computes():
    deep = Branch(name="SECRET-A")
    for letter in "BCDEFG":
        deep = Branch(name=f"SECRET-{letter}", children=(deep,), by_bed={"bed 4": deep})
    item = deep.model_dump(mode="json", by_alias=True)
    masks = Masks(Branch)
    assert masks.classes == masks.present(item) == {"phi"} == set(classification(Branch).values())
    published = jsonschema_rs.Draft202012Validator(shape_schema(Branch), validate_formats=True)
    assert [e.message for e in published.iter_errors(item)] == []
    masks.apply(item, {"phi"})
    assert "SECRET" not in str(item) and item["by_bed"]["bed 4"]["children"][0]["ward"] == "7B"
    assert (item["name"], item["shownAs"]) == ("***-G", "***-G")
    assert [(e.instance_path, e.message) for e in published.iter_errors(item)] == []


def test_a_mapping_whose_names_are_data_may_not_hold_classified_values():
    class Ward(BaseModel):
        """Each of these shows a name that no mask reaches, but for the last three."""

        remarks: dict[str, Annotated[str, Phi]] = {}
        counts: dict[Annotated[str, Phi], int] = {}
        inside: list[dict[str, Annotated[int, Financial]]] | None = None
        whole: Annotated[dict[str, str], Phi] = {}
        either: Annotated[dict[str, str] | None, Phi] = None
        words: dict[Literal["bed", "room"], Annotated[str, Phi]] = {}

    class House(BaseModel):
        wards: tuple[Ward, ...] = ()
        branch: Branch

    assert {(holder.__name__, name) for holder, name in named_by_data(House)} == {
        ("Ward", "remarks"), ("Ward", "counts"), ("Ward", "inside"),
    }  # fmt: skip


# --- routes ------------------------------------------------------------------------------------------------------


ROUTES, _ = routes_of(supply_estate())
PIECES = st.sampled_from(
    [b"supply", b"Supply", b"billing", b"v1", b"v2", b"v3", b"orders", b"accounts", b"PO-1", b"/", b"%2f", b"%2F", b"..", b".",
     b"%2e", b"%00", b"%0d%0a", b"\\", b";", b"%", b"%c3%bc", b"\xfc", b"//"]
)  # fmt: skip


@settings(deadline=None, max_examples=500)
@given(
    st.one_of(
        st.binary(max_size=80), st.lists(PIECES, max_size=9).map(b"".join), st.lists(PIECES, max_size=6).map(b"/".join)
    )
)
def test_no_path_breaks_the_routes_or_reaches_what_it_does_not_spell(raw: bytes):
    found = ROUTES.find(b"/" + raw)
    if found is not None:
        spelled = "/" + raw.decode("ascii")
        assert spelled.split("/")[1] in ("supply", "billing", "legacy") and spelled.split("/")[2].startswith("v")
        assert all(value and not set(value) & set("/\\\0\n\r") for value in found[1])


def test_two_operations_of_one_route_are_refused():
    routes: Routes[str] = Routes()
    routes.add("GET", "/a/v1/x/{one}", "first")
    routes.add("PUT", "/a/v1/x/{other}", "second")
    with pytest.raises(AmbiguousRoute):
        routes.add("GET", "/a/v1/x/{another}", "third")
    routes.add("GET", "/a/v1/x/fixed", "literal")
    assert routes.find(b"/a/v1/x/fixed") == ({"GET": "literal"}, ())
    assert routes.find(b"/a/v1/x/f%C3%BCr") == ({"GET": "first", "PUT": "second"}, ("für",))
    assert routes.find(b"/a/v1/x/") is None and routes.find(b"/a/v1/x/..") is None


def test_an_operation_that_cannot_be_served_is_refused_at_the_start():
    from hilum.authoring import Api

    estate = supply_estate()
    odd = Api("supply")

    @odd.get("/odd", resource="Item")
    async def takes_what_nobody_gives(patient: str) -> None:
        """Odd."""

    estate.apis["supply"] = odd
    with pytest.raises(Undeclarable, match="patient"):
        routes_of(estate)


# --- contents ----------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))), inner, max_size=3),
    max_leaves=8,
))  # fmt: skip
def test_what_every_reader_reads_alike_is_read(value: Any):
    import json

    assert strict_json(json.dumps(value, ensure_ascii=False).encode(), max_depth=20) == value
    assert strict_json(json.dumps(value).encode(), max_depth=20) == value


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_refusal(body: bytes):
    try:
        strict_json(body, max_depth=5)
    except Refusal as refused:
        assert refused.kind == "malformed"


def test_depth_counts_brackets_and_not_what_stands_in_texts():
    assert strict_json(b'{"a": "[[[[[[[[[[[[", "b": [1]}', max_depth=2) == {"a": "[" * 12, "b": [1]}
    with pytest.raises(Refusal, match="deeper"):
        strict_json(b'{"a": "\\"", "b": [[1]]}', max_depth=2)


def test_a_body_that_does_not_come_is_not_waited_for():
    async def silent() -> dict[str, Any]:
        await asyncio.sleep(30)
        return {}

    async def endless() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * 10, "more_body": True}

    with pytest.raises(Refusal) as slow:
        asyncio.run(read_body(silent, None, max_bytes=10, timeout_seconds=0.01))
    assert slow.value.kind == "too-slow" and slow.value.status == 408
    with pytest.raises(Refusal) as large:
        asyncio.run(read_body(endless, None, max_bytes=95, timeout_seconds=5))
    assert large.value.kind == "too-large"


# --- cursors and traces ------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.text(max_size=30), st.binary(max_size=20))
def test_a_cursor_opens_where_it_was_sealed_and_nowhere_else(inner: str, place: bytes):
    if any("\ud800" <= c <= "\udfff" for c in inner):
        return
    cursors = Cursors(b"k" * 32, os.urandom)
    sealed = cursors.sealed(inner, place)
    assert cursors.opened(sealed, place) == inner
    for other in (Cursors(b"x" * 32, os.urandom), cursors):
        with pytest.raises(Refusal):
            other.opened(sealed, place + b"!")


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_any_traceparent_gives_a_trace(header: bytes):
    trace = trace_of(header, os.urandom)
    assert len(trace.trace_id) == 32 and len(trace.span_id) == 16 and trace.trace_id.strip("0")
