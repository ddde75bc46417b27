"""Conditions on records as SQL, so that a list is read already filtered.

Values always go as parameters. In SQL a comparison with a missing value is neither true nor false, in ``Where`` it is
false: what is negated is therefore pushed down to its leaves, where NULL has its own spelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hilum.model.where import AllOf, AnyOf, Equals, Everything, Has, Not, Nothing, OneOf, Where

PLATFORM_ATTRIBUTES = ("facility", "supplier", "department", "owner", "author", "kind", "queue", "system", "data_class")
"""What policies may ask of what the platform itself is made of (``baseline.cedarschema``)."""


class UnknownAttribute(LookupError):
    """The condition asks for something the table has no column for: the question is refused, not widened."""


@dataclass(frozen=True)
class SqlCondition:
    """A condition for a WHERE clause, parenthesised where needed, and its parameters in order."""

    text: str
    parameters: tuple[object, ...]


def platform_columns(**held: str) -> dict[str, str]:
    """The columns of a table of the platform's own: the expressions given, and NULL for whatever else policies may ask."""
    return dict.fromkeys(PLATFORM_ATTRIBUTES, "NULL::text") | held


def sql_condition(where: Where, columns: Mapping[str, str], *, first_parameter: int = 1) -> SqlCondition:
    """``where`` as SQL. ``columns`` maps each attribute to the expression that holds it, SQL the author wrote:
    ``{"queue": "queue", "facility": "nullif(facility, '')"}``, NULL where the record does not have it.

    ``UnknownAttribute`` when the condition needs an attribute without a column. The comparison's type is that of the
    value (text, bigint, boolean), so a column of another kind is cast in its expression.
    """
    writer = _Writer(columns, first_parameter)
    return SqlCondition(writer.write(where, negate=False), tuple(writer.parameters))


@dataclass
class _Writer:
    columns: Mapping[str, str]
    next_parameter: int
    parameters: list[object] = field(default_factory=list)

    def write(self, where: Where, *, negate: bool) -> str:
        match where:
            case Everything():
                return "FALSE" if negate else "TRUE"
            case Nothing():
                return "TRUE" if negate else "FALSE"
            case Not(part):
                return self.write(part, negate=not negate)
            case AllOf(parts):
                return self._joined(parts, " OR " if negate else " AND ", negate)
            case AnyOf(parts):
                return self._joined(parts, " AND " if negate else " OR ", negate)
            case Has(attribute):
                return f"{self._column(attribute)} IS {'' if negate else 'NOT '}NULL"
            case Equals(attribute, value):
                return f"{self._column(attribute)} {'IS DISTINCT FROM' if negate else '='} {self._parameter(value)}"
            case OneOf(attribute, values):
                column, parameter = self._column(attribute), self._parameter(sorted(values))
                return (
                    f"({column} IS NULL OR {column} <> ALL({parameter}))" if negate else f"{column} = ANY({parameter})"
                )
        raise TypeError(f"{type(where).__name__} is no condition that has SQL")

    def _joined(self, parts: tuple[Where, ...], operator: str, negate: bool) -> str:
        if not parts:
            return "TRUE" if operator == " AND " else "FALSE"
        return "(" + operator.join(self.write(part, negate=negate) for part in parts) + ")"

    def _column(self, attribute: str) -> str:
        try:
            return self.columns[attribute]
        except KeyError:
            raise UnknownAttribute(
                f"these records cannot be filtered by {attribute!r}; they have {', '.join(sorted(self.columns))}"
            ) from None

    def _parameter(self, value: object) -> str:
        self.parameters.append(value)
        number = self.next_parameter
        self.next_parameter += 1
        kind = {bool: "boolean", int: "bigint", list: "text[]"}.get(type(value), "text")
        return f"${number}::{kind}"
