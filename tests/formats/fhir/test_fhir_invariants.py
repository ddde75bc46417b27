"""Each rule between elements with one object that breaks it and one that keeps it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hilum.formats.fhir.invariants import INVARIANTS, UCUM

RIGHT_AGE = {"value": 70, "code": "a", "system": UCUM}
ERROR = {"coding": [{"code": "entered-in-error"}]}
CODE = {"coding": [{"system": "urn:s", "code": "x"}]}

ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "age-1": ({"value": 0, "code": "a", "system": UCUM}, RIGHT_AGE),
    "att-1": ({"data": "AAAA"}, {"data": "AAAA", "contentType": "a/b"}),
    "cpt-2": ({"value": "1"}, {"value": "1", "system": "phone"}),
    "cnt-3": ({"value": Decimal("1.5"), "code": "1"}, {"value": Decimal("2.0"), "code": "1"}),
    "drq-1": ({}, {"path": "x"}),
    "drq-2": ({"path": "x", "searchParam": "y"}, {"searchParam": "y"}),
    "dis-1": ({"value": 1}, {"value": 1, "code": "m"}),
    "drt-1": ({"code": "h", "system": UCUM}, {"code": "h", "system": UCUM, "value": 1}),
    "exp-1": ({"language": "x"}, {"reference": "urn:x"}),
    "ext-1": ({"url": "urn:x"}, {"url": "urn:x", "valueCode": "y"}),
    "per-1": ({"start": "2026-02", "end": "2026-01-31"}, {"start": "2026-01-31", "end": "2026"}),
    "qty-3": ({"code": "x"}, {"code": "x", "system": "urn:x"}),
    "rng-2": ({"low": {"value": 2}, "high": {"value": 1}}, {"low": {"value": 2, "code": "g"}, "high": {"value": 1, "code": "kg"}}),
    "rat-1": ({"id": "x"}, {"extension": []}),
    "tim-1": ({"duration": 1}, {"duration": 1, "durationUnit": "h"}),
    "tim-2": ({"period": 1}, {"period": 1, "periodUnit": "h"}),
    "tim-4": ({"duration": -1}, {"duration": 0}),
    "tim-5": ({"period": Decimal("-0.1")}, {"period": 0}),
    "tim-6": ({"periodMax": 1}, {"periodMax": 1, "period": 1}),
    "tim-7": ({"durationMax": 1}, {"durationMax": 1, "duration": 1}),
    "tim-8": ({"countMax": 1}, {"countMax": 1, "count": 1}),
    "tim-9": ({"offset": 1, "when": ["C"]}, {"offset": 1, "when": ["HS"]}),
    "tim-10": ({"timeOfDay": ["x"], "when": ["C"]}, {"when": ["C"]}),
    "trd-1": ({"data": [{}], "timingDate": "2026"}, {"data": [{}]}),
    "trd-2": ({"condition": {}}, {"condition": {}, "data": [{}]}),
    "app-1": ({"status": "accepted"}, {"actor": {}}),
    "app-2": ({"start": "x"}, {"start": "x", "end": "y"}),
    "app-3": ({"status": "booked"}, {"status": "waitlist"}),
    "app-4": ({"status": "booked", "cancelationReason": {}}, {"status": "noshow", "cancelationReason": {}}),
    "apr-1": ({}, {"participantType": []}),
    "sev-1": ({"name": "x", "query": "y"}, {"query": "y"}),
    "ces-1": ({"category": {}, "productOrService": {}}, {"category": {}}),
    "ipn-1": ({}, {"name": "x"}),
    "org-1": ({}, {"identifier": []}),
    "org-2": ({"address": [{"use": "home"}]}, {"address": [{"use": "work"}]}),
    "org-3": ({"telecom": [{"use": "home"}]}, {"telecom": [{"use": "work"}]}),
    "inv-1": ({"name": "x"}, {"name": "x", "part": []}),
    "pat-1": ({"gender": "x"}, {"organization": {}}),
    "ait-1": ({}, {"verificationStatus": ERROR}),
    "ait-2": ({"verificationStatus": ERROR, "clinicalStatus": {}}, {"clinicalStatus": {}}),
    "cpl-3": ({"detail": {}, "reference": {}}, {"detail": {}}),
    "cmp-1": ({"title": "x"}, {"text": {}}),
    "cmp-2": ({"emptyReason": {}, "entry": []}, {"emptyReason": {}}),
    "cmd-1": ({"equivalence": "narrower"}, {"equivalence": "narrower", "comment": "x"}),
    "cmd-2": ({"mode": "fixed"}, {"mode": "fixed", "code": "x"}),
    "cmd-3": ({"mode": "other-map"}, {"mode": "other-map", "url": "urn:x"}),
    "con-1": ({}, {"summary": {}}),
    "con-2": ({}, {"detail": []}),
    "con-4": ({"abatementString": "x"}, {"abatementString": "x", "clinicalStatus": {"coding": [{"code": "resolved"}]}}),
    "con-5": ({"verificationStatus": ERROR, "clinicalStatus": {}}, {"verificationStatus": ERROR}),
    "fhs-1": ({"ageString": "x", "bornDate": "x"}, {"bornDate": "x"}),
    "fhs-2": ({"estimatedAge": True}, {"estimatedAge": True, "ageString": "x"}),
    "gol-1": ({"detailString": "x"}, {"detailString": "x", "measure": {}}),
    "grp-1": ({"member": [], "actual": False}, {"member": [], "actual": True}),
    "imm-1": ({}, {"reference": "urn:x"}),
    "imr-1": ({}, {"vaccineCode": []}),
    "lnk-1": ({"item": [{}]}, {"item": [{}, {}]}),
    "lst-1": ({"emptyReason": {}, "entry": []}, {"entry": []}),
    "lst-2": ({"mode": "working", "entry": [{"deleted": True}]}, {"mode": "changes", "entry": [{"deleted": True}]}),
    "lst-3": ({"mode": "changes", "entry": [{"date": "x"}]}, {"mode": "working", "entry": [{"date": "x"}]}),
    "mad-1": ({"text": "x"}, {"rateRatio": {}}),
    "mdd-1": ({"whenPrepared": "2026-02", "whenHandedOver": "2026-01"}, {"whenPrepared": "2026-01", "whenHandedOver": "2026-02"}),
    "obs-3": ({"age": {}}, {"text": "x"}),
    "obs-6": ({"dataAbsentReason": {}, "valueString": "x"}, {"dataAbsentReason": {}}),
    "obs-7": ({"valueString": "x", "code": CODE, "component": [{"code": CODE}]}, {"code": CODE, "component": [{"code": CODE}]}),
    "opd-1": ({}, {"part": []}),
    "opd-2": ({"searchType": "token", "type": "code"}, {"searchType": "token", "type": "string"}),
    "opd-3": ({"targetProfile": [], "type": "code"}, {"targetProfile": [], "type": "canonical"}),
    "qrs-1": ({"answer": [], "item": []}, {"item": []}),
    "rqg-1": ({}, {"resource": {}}),
    "ras-2": ({"probabilityDecimal": Decimal("100.1")}, {"probabilityDecimal": 100}),
    "spd-1": ({"xpath": "x"}, {"xpath": "x", "xpathUsage": "normal"}),
    "spd-2": ({"chain": [], "type": "token"}, {"chain": [], "type": "reference"}),
    "prr-1": ({"orderDetail": []}, {"orderDetail": [], "code": {}}),
    "smp-1": ({"element": "x"}, {"element": "x", "context": "y", "contextType": "z"}),
    "smp-2": ({"context": "y"}, {"context": "y", "contextType": "z"}),
    "vsd-1": ({}, {"valueSet": []}),
    "vsd-2": ({"concept": []}, {"concept": [], "system": "urn:x"}),
    "vsd-3": ({"concept": [], "filter": []}, {"filter": []}),
    "vsd-6": ({}, {"display": "x"}),
    "vsd-9": ({"display": "x"}, {"display": "x", "abstract": True}),
    "vsd-10": ({"code": "x"}, {"code": "x", "system": "urn:x"}),
}  # fmt: skip
RULES = {rule.key: rule for rules in INVARIANTS.values() for rule in rules}


def test_every_rule_has_its_row():
    assert ROWS.keys() == RULES.keys()


@pytest.mark.parametrize("key", ROWS)
def test_a_rule_tells_what_breaks_it_from_what_keeps_it(key):
    wrong, right = ROWS[key]

    assert not RULES[key].holds(wrong)
    assert RULES[key].holds(right)
    assert not wrong or wrong != right
