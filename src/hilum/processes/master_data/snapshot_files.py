"""Complete lists as files: one row for each record, all of one object and one facility, as of one moment.

``as_of,object,facility,code,name,valid_from,valid_to`` and whatever columns more a system has; ``as_of`` is ISO 8601 with its
offset. A last line ``TRAILER,<rows>`` tells a file that was cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from hilum.authoring import InvalidData
from hilum.authoring.master import Scope, ToldRecord
from hilum.formats.tabular import Column, Layout, Table, Trailer, rows
from hilum.processes.master_data.telling import MasterRecordsTold, records_told


def list_told(table: Table, *, system: str, attributes: Sequence[str] = ()) -> MasterRecordsTold:
    """The fact of a complete list. InvalidData for a row that cannot be read: half a list would end what it lacks."""
    layout = Layout(
        columns=(
            Column(name="as_of", type="datetime", required=True),
            Column(name="object", required=True, pattern="[a-z][a-z0-9_]*"),
            Column(name="facility"),
            Column(name="code", required=True, type="code"),
            Column(name="name"),
            Column(name="valid_from", type="date"),
            Column(name="valid_to", type="date"),
            *(Column(name=each) for each in attributes),
        ),
        delimiter=table.layout.delimiter,
        quote=table.layout.quote,
        encoding=table.layout.encoding,
        extra="ignore",
        min_rows=1,
        trailer=Trailer(marker="TRAILER", count=2, required=False),
    )
    records: list[ToldRecord] = []
    scopes: dict[tuple[str, str], None] = {}
    moments: dict[datetime, None] = {}
    for row, findings in rows(table.data, layout):
        wrong = next((finding for finding in findings if finding.severity == "error"), None)
        if wrong is not None:
            raise InvalidData(f"{wrong.text} at {wrong.location}")
        if row is None:
            continue
        at = row.values["as_of"]
        if not isinstance(at, datetime) or at.tzinfo is None:
            raise InvalidData(f"row {row.number}: as_of needs its offset, such as 2026-11-20T06:00:00-06:00")
        record = _record({name: value for name, value in row.values.items() if name != "as_of"}, attributes)
        records.append(record)
        scopes[record.object, record.facility] = None
        moments[at] = None
    if len(scopes) != 1 or len(moments) != 1:
        raise InvalidData("a list is of one object, one facility and one moment; write a file for each")
    codes = [record.code for record in records]
    if len(set(codes)) != len(codes):
        raise InvalidData("a code stands twice in the list")
    ((object, facility),), (at,) = scopes, moments
    return records_told(system, at, records, complete=[Scope(object=object, facility=facility)])


def _record(values: dict[str, object], attributes: Sequence[str]) -> ToldRecord:
    def text(name: str) -> str | None:
        value = values[name]
        return None if value is None else str(value)

    def day(name: str) -> date | None:
        value = values[name]
        return value if isinstance(value, date) else None

    facility, code, object = text("facility"), text("code"), text("object")
    if code is None or object is None:
        raise InvalidData("a row has no code or no object")
    return ToldRecord(
        object=object,
        code=code,
        facility=facility if facility is not None else "",
        name=text("name"),
        attributes={name: text(name) for name in attributes},
        valid_from=day("valid_from"),
        valid_to=day("valid_to"),
    )
