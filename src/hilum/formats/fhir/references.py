"""Literal references of R4 (chapter 2.3.0.1): what kind one is, and to which type of resource it points."""

from __future__ import annotations

import re
from typing import Literal

from hilum.formats.fhir.tables import resource_types

Kind = Literal["contained", "urn", "relative", "absolute", "search", "malformed"]

_RELATIVE = re.compile(r"([A-Z][A-Za-z]*)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?").fullmatch
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+").fullmatch
_TAIL = re.compile(r"/([A-Z][A-Za-z]*)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?\Z").search
_SEARCH = re.compile(r"([A-Z][A-Za-z]*)\?\S+").fullmatch


def classify(reference: str) -> tuple[Kind, str | None]:
    """The kind of a literal reference and the resource type it names, if it names one.

    >>> classify("Patient/p1")
    ('relative', 'Patient')
    """
    if reference.startswith("#"):
        return "contained", None
    if reference.startswith(("urn:uuid:", "urn:oid:")):
        return "urn", None
    if found := _RELATIVE(reference):
        return ("relative", found[1]) if found[1] in resource_types() else ("malformed", None)
    if found := _SEARCH(reference):
        return ("search", found[1]) if found[1] in resource_types() else ("malformed", None)
    if not _ABSOLUTE(reference):
        return "malformed", None
    # Only RESTful addresses name the type; any other absolute URL may be a resource of whatever type.
    tail = _TAIL(reference) if reference.startswith(("http://", "https://")) else None
    return "absolute", tail[1] if tail and tail[1] in resource_types() else None
