"""An entry has one spelling, and the hot path spells it the same way."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.audit.entry import Entry, MalformedEntry, at_text, canonical_detail, entry_bytes, parse

EIGHT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)

texts = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def test_an_entry_is_sorted_compact_json() -> None:
    entry = Entry(EIGHT, "person:jdoe", "work_item.released", "w/7", {"waiting": 50, "cause": "KNEE-99"})
    assert entry.canonical() == (
        b'{"action":"work_item.released","actor":"person:jdoe","at":"2026-11-21T08:00:00.000000Z",'
        b'"detail":{"cause":"KNEE-99","waiting":50},"subject":"w/7","v":1}'
    )


@given(st.dictionaries(texts, values, max_size=5))
def test_the_fast_spelling_is_the_canonical_one(detail: dict[str, Any]) -> None:
    subject = 'm/1/1 "Ärzte"'
    entry = Entry(EIGHT, "system:intake", "message.accepted", subject, detail)
    fast = entry_bytes(at_text(EIGHT), "system:intake", "message.accepted", subject, canonical_detail(detail))
    plain = json.dumps(
        {
            "v": 1,
            "at": at_text(EIGHT),
            "actor": "system:intake",
            "action": "message.accepted",
            "subject": subject,
            "detail": detail,
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()
    assert entry.canonical() == fast == plain
    assert parse(fast)["detail"] == detail


def test_times_of_any_zone_are_spelt_in_utc() -> None:
    chicago = timezone(timedelta(hours=-6))
    assert at_text(datetime(2026, 11, 21, 2, 0, 0, 5, tzinfo=chicago)) == "2026-11-21T08:00:00.000005Z"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (Entry(EIGHT, "jdoe", "work_item.released", "w/7"), "actor 'jdoe' is neither"),
        (Entry(EIGHT, "person:jdoe", "Released", "w/7"), "action 'Released' is not dotted"),
        (Entry(EIGHT, "person:jdoe", "work_item.released", ""), "the subject must be"),
        (Entry(EIGHT, "person:jdoe", "work_item.released", "w/\n7"), "the subject must be"),
        (Entry(datetime(2026, 11, 21), "person:jdoe", "work_item.released", "w/7"), "needs its time zone"),
        (Entry(EIGHT, "person:jdoe", "work_item.released", "w/7", {"usd": 1.5}), "detail.usd is a float"),
        (Entry(EIGHT, "person:jdoe", "work_item.released", "w/7", {"due": [EIGHT]}), r"detail.due\[0\] is a datetime"),
        (Entry(EIGHT, "person:jdoe", "work_item.released", "w/7", {"n": 2**53}), "cannot be written as JSON"),
        (Entry(EIGHT, "person:jdoe", "work_item.released", "w/7", {"\U0001f9b4": 1}), "basic multilingual plane"),
    ],
)
def test_what_has_no_single_spelling_is_refused(entry: Entry, reason: str) -> None:
    with pytest.raises(MalformedEntry, match=reason):
        entry.canonical()


@pytest.mark.parametrize(
    "stored", [b"", b"[]", b'{"v":2}', b'{"v":1}', b'{"v":1,"at":"","actor":"","action":"","subject":""}', b"\xff"]
)
def test_bytes_that_are_no_entry_are_refused(stored: bytes) -> None:
    with pytest.raises(MalformedEntry):
        parse(stored)
