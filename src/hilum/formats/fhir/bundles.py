"""What R4 demands of a Bundle as a whole (chapter 2.36, bdl-1 to bdl-12)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Fault = tuple[str, str, str]
"""Invariant key, text, place below the Bundle."""

WITH_REQUEST = frozenset({"batch", "transaction", "history"})
WITH_RESPONSE = frozenset({"batch-response", "transaction-response", "history"})


@dataclass(slots=True)
class BundleContext:
    """What references between entries need: the Bundle's type and what each fullUrl holds."""

    type: str | None
    targets: dict[str, str | None] = field(default_factory=dict)


def bundle_faults(bundle: Json) -> tuple[BundleContext, list[Fault]]:
    """The context for the entries, and the rules of R4 that do not hold; bears any JSON."""
    kind = bundle.get("type")
    kind = kind if isinstance(kind, str) else None
    context = BundleContext(kind)
    faults: list[Fault] = []
    entries = bundle.get("entry")
    entries = entries if isinstance(entries, list) else []
    if "total" in bundle and kind not in ("searchset", "history"):
        faults.append(("bdl-1", "a total is for searchset and history only", "total"))
    seen: set[tuple[str, str]] = set()
    for index, entry in enumerate(entries):
        if isinstance(entry, dict):
            faults += [(key, text, f"entry[{index}]{place}") for key, text, place in _entry_faults(entry, kind)]
            if kind != "history" and not _is_new(entry, seen):
                text = "a fullUrl is unique in a Bundle, or its entries are versions told apart by meta.versionId"
                faults.append(("bdl-7", text, f"entry[{index}].fullUrl"))
            _note(entry, context)
    faults += _message_faults(bundle, kind, entries)
    return context, faults


def _entry_faults(entry: Json, kind: str | None) -> list[Fault]:
    faults: list[Fault] = []
    if "search" in entry and kind != "searchset":
        faults.append(("bdl-2", "search is for entries of a searchset only", ".search"))
    if ("request" in entry) != (kind in WITH_REQUEST):
        text = "a request is mandatory in batch, transaction and history, and prohibited elsewhere"
        faults.append(("bdl-3", text, ".request"))
    if ("response" in entry) != (kind in WITH_RESPONSE):
        text = "a response is mandatory in batch-response, transaction-response and history, and prohibited elsewhere"
        faults.append(("bdl-4", text, ".response"))
    if not ("resource" in entry or "request" in entry or "response" in entry):
        faults.append(("bdl-5", "an entry has a resource unless it has a request or a response", ""))
    url = entry.get("fullUrl")
    if isinstance(url, str) and "/_history/" in url:
        faults.append(("bdl-8", "a fullUrl names no version", ".fullUrl"))
    return faults


def _is_new(entry: Json, seen: set[tuple[str, str]]) -> bool:
    url = entry.get("fullUrl")
    if not isinstance(url, str):
        return True
    resource = entry.get("resource")
    meta = resource.get("meta") if isinstance(resource, dict) else None
    version = meta.get("versionId") if isinstance(meta, dict) else None
    identity = (url, version if isinstance(version, str) else "")
    if identity in seen:
        return False
    seen.add(identity)
    return True


def _note(entry: Json, context: BundleContext) -> None:
    url = entry.get("fullUrl")
    resource = entry.get("resource")
    if isinstance(url, str):
        kind = resource.get("resourceType") if isinstance(resource, dict) else None
        context.targets[url] = kind if isinstance(kind, str) else None


def _message_faults(bundle: Json, kind: str | None, entries: list[Any]) -> list[Fault]:
    faults: list[Fault] = []
    first = entries[0].get("resource") if entries and isinstance(entries[0], dict) else None
    head = first.get("resourceType") if isinstance(first, dict) else None
    if kind == "document":
        identifier = bundle.get("identifier")
        if not isinstance(identifier, dict) or "system" not in identifier or "value" not in identifier:
            faults.append(("bdl-9", "a document has an identifier with system and value", "identifier"))
        if "timestamp" not in bundle:
            faults.append(("bdl-10", "a document has a timestamp", "timestamp"))
        if head != "Composition":
            faults.append(("bdl-11", "the first resource of a document is a Composition", "entry[0].resource"))
    if kind == "message" and head != "MessageHeader":
        faults.append(("bdl-12", "the first resource of a message is a MessageHeader", "entry[0].resource"))
    return faults
