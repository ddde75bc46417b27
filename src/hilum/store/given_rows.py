"""Rows that a statement is given as parameters: arrays for many, plain values for one.

asyncpg asks of every element of every array whether it is an array itself. A row that comes alone, as it does while
nobody else is at the door, is a third cheaper as plain values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class GivenRows:
    """Rows of these PostgreSQL types, as a statement selects from them.

    ::

        rows = GivenRows("text", "bytea")
        rows.source(1)       # (VALUES ($1::text, $2::bytea))
        rows.source(2)       # unnest($1::text[], $2::bytea[])
    """

    def __init__(self, *types: str, first: int = 1) -> None:
        numbered = list(enumerate(types, start=first))
        self._one = f"(VALUES ({', '.join(f'${n}::{kind}' for n, kind in numbered)}))"
        self._many = f"unnest({', '.join(f'${n}::{kind}[]' for n, kind in numbered)})"

    def source(self, rows: int) -> str:
        """What stands after FROM for so many rows; the parameters are numbered from ``first`` on."""
        return self._one if rows == 1 else self._many

    @staticmethod
    def arguments(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The parameters, in order."""
        return list(rows[0]) if len(rows) == 1 else [list(column) for column in zip(*rows, strict=True)]
