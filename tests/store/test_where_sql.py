"""Conditions say the same in SQL as in memory, for missing values too."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.model.where import EVERYTHING, NOTHING, AllOf, AnyOf, Equals, Has, Not, OneOf, Where, all_of, any_of, negated
from hilum.store.where_sql import UnknownAttribute, sql_condition

COLUMNS = {"facility": "facility", "supplier": "nullif(supplier, '')", "amount": "amount", "urgent": "urgent"}
RECORDS = [
    {"facility": facility, "supplier": supplier, "amount": amount, "urgent": urgent}
    for facility in ("ST-MARY", "HARBOR-VIEW", "it's", None)
    for supplier in ("MEDLINE", None)
    for amount in (0, 5, None)
    for urgent in (True, False, None)
]

LEAVES = st.one_of(
    st.just(EVERYTHING),
    st.just(NOTHING),
    st.sampled_from(sorted(COLUMNS)).map(Has),
    st.sampled_from(["ST-MARY", "HARBOR-VIEW", "it's", "' OR TRUE --"]).map(lambda v: Equals("facility", v)),
    st.just(Equals("supplier", "MEDLINE")),
    st.sampled_from([0, 5, 6]).map(lambda v: Equals("amount", v)),
    st.booleans().map(lambda v: Equals("urgent", v)),
    st.frozensets(st.sampled_from(["ST-MARY", "it's", "NORTH-POINT"])).map(lambda v: OneOf("facility", v)),
)
CONDITIONS: st.SearchStrategy[Where] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(all_of),
        st.lists(inner, max_size=3).map(any_of),
        inner.map(negated),
        inner.map(Not),
        st.just(AllOf(())),
        st.just(AnyOf(())),
    ),
    max_leaves=8,
)


async def records(url: str) -> asyncpg.Connection:
    connection = await asyncpg.connect(url)
    await connection.execute(
        "CREATE TABLE record (id int, facility text, supplier text, amount bigint, urgent boolean)"
    )
    await connection.executemany(
        "INSERT INTO record VALUES ($1, $2, $3, $4, $5)",
        [(n, r["facility"], r["supplier"] or "", r["amount"], r["urgent"]) for n, r in enumerate(RECORDS)],
    )
    return connection


def test_any_condition_finds_in_postgresql_what_it_matches_in_memory(database_url: str):
    with asyncio.Runner() as runner:
        connection = runner.run(records(database_url))

        @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
        @given(CONDITIONS)
        def agrees(where: Where) -> None:
            condition = sql_condition(where, COLUMNS, first_parameter=2)
            found = runner.run(
                connection.fetch(f"SELECT id FROM record WHERE id >= $1 AND {condition.text}", 0, *condition.parameters)
            )
            assert {row["id"] for row in found} == {n for n, r in enumerate(RECORDS) if where.matches(r)}

        agrees()
        runner.run(connection.close())


def test_a_condition_on_what_has_no_column_is_refused():
    with pytest.raises(UnknownAttribute, match="cannot be filtered by 'department'; they have facility"):
        sql_condition(all_of([Equals("facility", "ST-MARY"), Has("department")]), {"facility": "facility"})


def test_values_are_parameters_and_equality_can_use_an_index():
    condition = sql_condition(all_of([Equals("facility", "x'; DROP TABLE"), OneOf("queue", frozenset({"b", "a"}))]), {"facility": "f", "queue": "q"}, first_parameter=3)  # fmt: skip

    assert condition.text == "(f = $3::text AND q = ANY($4::text[]))"
    assert condition.parameters == ("x'; DROP TABLE", ["a", "b"])
