"""Masking: what people may see of a patient's data."""

from __future__ import annotations

import pytest

from hilum.security.redaction import mask, mask_hl7, mask_json


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


ADMISSION = "\r".join(
    [
        r"MSH|^~\&|EHR|ST-MARY|HILUM|LAKESHORE|20261121073012||ADT^A01|ADT-1001|P|2.5.1",
        "EVN|A01|20261121073000",
        'PID|1||MRN-0042^^^ST-MARY^MR~900-11-2222^^^SSA&1.2.3&ISO^SS||Johnson^Katherine^^^""||19180826|F',
        "NK1|1|Goble^James|SPO",
        "PV1|1|I|STM-4W^412^A||||1234^Vaughan^Dorothy||||||||||||V-500112",
        "IN1|1|PLAN|77|Blue Plan|||||||||||Johnson^Katherine",
        "FT1|1|U-3001||20261121104500||CG|IMP-1001^Knee|||1|6200.00||OR||||||S72.001",
        "ZPT|Mary Jackson",
        "NTE|1||Katherine Johnson called",
    ]
)


def test_an_hl7_message_is_shown_in_its_structure_without_the_patient():
    assert mask_hl7(ADMISSION.encode()).splitlines() == [
        r"MSH|^~\&|EHR|ST-MARY|HILUM|LAKESHORE|20261121073012||ADT^A01|ADT-1001|P|2.5.1",
        "EVN|A01|20261121073000",
        'PID|1||***42^^^***RY^***~***22^^^***&***&***^***||***on^***ne^^^""||***26|***',
        "NK1|1|***^***|***",
        "PV1|1|I|STM-4W^412^A||||***^***an^***hy||||||||||||***12",
        "IN1|1|***|***|***an|||||||||||***on^***ne",
        "FT1|1|U-3001||20261121104500||CG|IMP-1001^Knee|||1|6200.00||OR||||||***01",
        "ZPT|***on",
        "NTE|***||***ed",
    ]


@pytest.mark.parametrize(
    "raw",
    [
        ADMISSION.replace("\r", "\n").encode(),
        ADMISSION.replace("\r", "\r\n").encode(),
        b"\x0b" + ADMISSION.encode() + b"\r\x1c\r",
        ADMISSION.replace("|", "#").replace("^", "*").replace("MSH#*", "MSH#*").encode(),
        ADMISSION.replace("Katherine Johnson called", "Katherine\nJohnson\rcalled").encode(),
        ADMISSION.replace("Johnson", "J\u00f6hnson").encode("latin-1"),
        ADMISSION.replace("PID|", "pid|").encode(),
        ADMISSION.encode()[12:],
        ADMISSION.encode("utf-16"),
        b"Katherine Johnson, MRN-0042",
        b"MSH",
        b"MSH|",
        b"",
    ],
)
def test_no_spelling_of_a_message_shows_the_patient(raw):
    shown = mask_hl7(raw)
    for phi in ("Johnson", "hnson", "Katherine", "Mary", "MRN-0042", "900-11", "19180826", "S72", "500112"):
        assert phi not in shown


def test_a_json_message_is_shown_by_its_members():
    raw = b'{"type": "consumption", "account": "ACC-9001", "n": 3, "at": null, "lines": [{"type": "x", "name": "Johnson"}]}'
    assert mask_json(raw) == (
        '{\n  "type": "consumption",\n  "account": "***01",\n  "n": "***",\n  "at": null,\n'
        '  "lines": [\n    {\n      "type": "x",\n      "name": "***on"\n    }\n  ]\n}'
    )
    assert mask_json(b"Katherine Johnson") == "*** (17 bytes that are no JSON)"
