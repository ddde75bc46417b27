"""The places of sealed values: table, column and row, as they are authenticated. A place never changes: what it says is sealed in."""

from __future__ import annotations


def message_raw(shard: int, seq: int) -> str:
    return f"message.raw/{shard}/{seq}"


def event_payload(shard: int, seq: int) -> str:
    return f"event.payload/{shard}/{seq}"


def delivery_request(key: str) -> str:
    return f"delivery.request/{key}"


def delivery_response(key: str) -> str:
    return f"delivery.response/{key}"


def receipt(feed: str, shard: int, seq: int) -> str:
    return f"feed_result/{feed}/{shard}/{seq}"


def step_result(case_id: str, step: str) -> str:
    """A step's result in the journal: bound to case and step, so that none can be put in another's place."""
    return f"journal/{case_id}/{step}"
