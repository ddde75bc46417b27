"""Masking: what people may see of a patient's data."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BaseModel

from hilum.authoring import Contract, Phi
from hilum.model import AccountNumber, FacilityCode, Mrn
from hilum.security.redaction import mask, mask_event


class Visitor(BaseModel):
    name: Annotated[str, Phi]
    badge: str


class BedAssigned(Contract, version=1, identities=["bed"], owner="patient-access"):
    """A patient lies in a bed."""

    bed: str
    account: Annotated[AccountNumber, Phi]
    mrn: Annotated[Mrn, Phi] | None = None
    aliases: Annotated[tuple[str, ...], Phi] = ()
    weight_g: Annotated[int | None, Phi] = None
    facility: FacilityCode
    visitors: tuple[Visitor, ...] = ()
    contact: Visitor | None = None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ACC-70012", "***12"),
        ("123456", "***56"),
        ("12345", "***"),
        ("12", "***"),
        ("", "***"),
        ("Weiß-Müller", "***er"),
    ],
)
def test_two_characters_remain_of_what_is_long_enough(text, shown):
    assert mask(text) == shown


def test_an_event_is_shown_with_its_phi_masked_and_the_rest_as_it_is():
    event = BedAssigned(
        bed="4-12",
        account=AccountNumber("ACC-70012", "ST-MARY"),
        mrn=Mrn("MRN-0042"),
        aliases=("Katherine Johnson",),
        weight_g=64000,
        facility=FacilityCode("ST-MARY"),
        visitors=(Visitor(name="Dorothy Vaughan", badge="V-7"),),
    )
    assert mask_event(BedAssigned, event.model_dump(mode="json")) == {
        "bed": "4-12",
        "account": {"value": "***12", "authority": "ST-MARY"},
        "mrn": {"value": "***42", "authority": ""},
        "aliases": ["***on"],
        "weight_g": "***",
        "facility": {"value": "ST-MARY", "authority": ""},
        "visitors": [{"name": "***an", "badge": "V-7"}],
        "contact": None,
    }


def test_what_is_missing_stays_missing():
    shown = mask_event(BedAssigned, {"bed": "4-12", "mrn": None})
    assert shown == {"bed": "4-12", "mrn": None}


def test_a_field_that_this_version_does_not_know_is_masked():
    shown = mask_event(
        BedAssigned, {"bed": "4-12", "diagnosis": "fracture of the neck", "guarantor": {"name": "Mary Jackson"}}
    )
    assert shown["diagnosis"] == "***ck"
    assert shown["guarantor"] == {"name": "***on"}


def test_masking_changes_no_stored_event():
    payload = {"account": {"value": "ACC-70012", "authority": "ST-MARY"}}
    mask_event(BedAssigned, payload)
    assert payload == {"account": {"value": "ACC-70012", "authority": "ST-MARY"}}
