"""`hilum parse`, `validate`, `ack` and `convert` on files of any format, through the command people type."""

from __future__ import annotations

import errno
import os
import subprocess
import threading

import orjson
import pytest
from tests.cli.format_terminal import hilum

from hilum.formats.recognition import recognise

COMMANDS = ("parse", "validate", "ack", "convert")

ADMITTED = (
    b"MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20260301120000||ADT^A01^ADT_A01|C-1|P|2.5.1\r"
    b"EVN||20260301120000\rPID|1||MRN-4477^^^ST-MARY^MR||RIVERA^ANA||19700512|F\rPV1|1|I|ICU^101\r"
)
BROKEN = b"MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20260301120000||ADT^A01^ADT_A01|C-2|P|2.5.1\rEVN||yesterday\r"
PATIENT = b'{"resourceType": "Patient", "id": "p1", "gender": "female", "name": [{"family": "RIVERA"}]}'
WRONG_PATIENT = b'{"resourceType": "Patient", "gender": 7}'
PAYMENTS = b"supplier,amount\nACME,12.50\nORTHO-CO,ten\nMED-CO,3\n"
LABEL = b"01008445880032881729112010L-7\x1d21S-9\n"
LAYOUT = b"""
[[columns]]
name = "supplier"
required = true
[[columns]]
name = "amount"
type = "decimal"
"""


# --- parse ----------------------------------------------------------------------------------------------------------


def test_parse_shows_a_message_and_hides_the_patient(terminal):
    shown = terminal.types("parse", "-", stdin=ADMITTED, code=0).stdout

    assert "HL7 v2" in shown and "PID-3" in shown and "PV1-3.1" in shown and "ICU" in shown
    assert "RIVERA" not in shown and "MRN-4477" not in shown
    assert "RIVERA" in terminal.types("parse", "-", "--show-phi", stdin=ADMITTED, code=0).stdout


def test_parse_as_json_masks_the_same(terminal):
    [file] = terminal.reads("parse", "-", stdin=ADMITTED, code=0)["files"]

    text = orjson.dumps(file).decode()
    assert (file["file"], file["format"], file["findings"]) == ("-", "hl7v2", [])
    assert "***77" in text and "RIVERA" not in text
    assert "RIVERA" in orjson.dumps(terminal.reads("parse", "-", "--show-phi", stdin=ADMITTED)).decode()


@pytest.mark.parametrize(
    ("name", "content", "title", "shown"),
    [
        ("a.hl7", ADMITTED, "HL7 v2", "EVN"),
        ("a.json", PATIENT, "FHIR R4", "Patient"),
        ("a.csv", PAYMENTS, "a table", "supplier"),
        ("a.txt", LABEL, "a label", "(17)"),
        ("one-column.csv", b"names\nKNEE-99\n", "a table", "names"),
    ],
)
def test_parse_recognises_what_it_is_given(terminal, name, content, title, shown):
    said = terminal.types("parse", terminal.file(name, content), code=0).stdout
    assert title in said and shown in said


def test_a_value_cannot_play_with_the_terminal(terminal):
    evil = b"a,b\n\x1b[31mred\x1b]0;title\x07,x\n" + b"KNEE-99,2\n" * 9
    said = terminal.types("parse", "-", "--show-phi", stdin=evil).stdout

    assert "\x1b" not in said and "\\x1b[31mred" in said


# --- validate -------------------------------------------------------------------------------------------------------


def test_validate_says_file_line_place_and_code(terminal):
    good, bad = terminal.file("good.hl7", ADMITTED), terminal.file("bad.hl7", BROKEN)
    said = terminal.types("validate", good, bad, code=1).stdout.splitlines()

    assert said[0] == f"{good}: HL7 v2, nothing wrong"
    assert any(line.startswith(f"{bad}:2: error 102: ") and "EVN-2" in line for line in said)
    assert said[-1].startswith(f"{bad}: HL7 v2, ") and "errors" in said[-1]
    terminal.types("validate", good, code=0)


def test_validate_as_json_counts_and_lists(terminal):
    good, bad = terminal.file("good.json", PATIENT), terminal.file("bad.json", WRONG_PATIENT)
    files = terminal.reads("validate", good, bad, code=1)["files"]

    assert [(file["format"], file["errors"] > 0, bool(file["findings"])) for file in files] == [
        ("fhir", False, False),
        ("fhir", True, True),
    ]
    assert {"severity", "code", "text"} <= files[1]["findings"][0].keys()


def test_validate_keeps_a_table_to_its_layout(terminal):
    layout, table = terminal.file("layout.toml", LAYOUT), terminal.file("payments.csv", PAYMENTS)

    terminal.types("validate", table, code=0)
    said = terminal.types("validate", "--layout", layout, table, code=1).stdout
    assert f"{table}:3: error type: the value is no decimal at amount (row 2, column 2)" in said


def test_warnings_alone_are_no_failure(terminal):
    said = terminal.types("validate", "-", stdin=b"10L-7", code=0).stdout
    assert "-:1: warning device-missing" in said and "2 warnings" in said


def test_a_misread_label_is_an_error(terminal):
    assert "error check" in terminal.types("validate", "-", stdin=b"(01)00844588003289", code=1).stdout


def test_one_bad_message_does_not_hide_the_others(terminal):
    said = terminal.types("validate", "-", stdin=ADMITTED + BROKEN + b"MSH|\r" + ADMITTED, code=1).stdout
    assert "message 2" in said


# --- ack ------------------------------------------------------------------------------------------------------------


def test_ack_prints_what_the_sender_would_get(terminal):
    accepted = terminal.types("ack", "-", stdin=ADMITTED, code=0)
    assert (
        accepted.stdout_bytes.startswith(b"MSH|^~\\&|HILUM|LAKESHORE|EHR|ST-MARY|")
        and b"\rMSA|AA|C-1\r" in accepted.stdout_bytes
    )
    refused = terminal.types("ack", "-", stdin=ADMITTED + BROKEN, code=1)
    assert refused.stdout_bytes.count(b"MSH|") == 2 and b"\rMSA|AE|C-2" in refused.stdout_bytes
    assert "EVN-2" in refused.stderr


def test_ack_of_a_version_nobody_knows_is_a_rejection(terminal):
    assert b"MSA|AR|C-1" in terminal.types("ack", "-", stdin=ADMITTED.replace(b"2.5.1", b"9.9"), code=1).stdout_bytes


def test_ack_of_what_cannot_be_read_is_a_rejection_too(terminal):
    assert b"\rMSA|AR|" in terminal.types("ack", "-", "--format", "hl7v2", stdin=b"MSH", code=1).stdout_bytes


def test_an_acknowledgement_earns_none(terminal):
    answer = terminal.types("ack", "-", stdin=ADMITTED, code=0).stdout_bytes
    assert "earns no acknowledgement" in terminal.types("ack", "-", stdin=answer, code=1).stderr


def test_ack_of_a_resource_is_an_operation_outcome(terminal):
    assert b"OperationOutcome" in terminal.types("ack", "-", stdin=PATIENT, code=0).stdout_bytes
    outcome = orjson.loads(terminal.types("ack", "-", stdin=WRONG_PATIENT, code=1).stdout)
    assert outcome["resourceType"] == "OperationOutcome" and outcome["issue"][0]["severity"] == "error"


def test_ack_writes_bytes_into_a_file_and_json_to_programs(terminal, tmp_path):
    out = tmp_path / "answer.hl7"
    assert terminal.types("ack", "-", "-o", str(out), stdin=ADMITTED, code=0).stdout == ""
    assert out.read_bytes().endswith(b"MSA|AA|C-1\r")
    [file] = terminal.reads("ack", "-", "--control-number", "7", stdin=ADMITTED, code=0)["files"]
    assert file["accepted"] is True and "|7000|" in file["acknowledgement"]
    terminal.types("ack", "-", "-o", str(tmp_path / "none" / "x"), stdin=ADMITTED, code=2)
    assert "no acknowledgement" in terminal.types("ack", "-", stdin=PAYMENTS, code=1).stderr
    terminal.types("ack", "-", "--kind", "998", stdin=ADMITTED, code=2)


# --- convert --------------------------------------------------------------------------------------------------------


def test_convert_writes_one_document_after_another_and_amounts_as_strings(terminal):
    layout = terminal.file("layout.toml", LAYOUT)
    converted = terminal.types("convert", "-", "--layout", layout, stdin=PAYMENTS, code=1)

    assert converted.stdout.count('"kind": "record"') == 2 and '"amount": "12.50"' in converted.stdout
    assert "-:3: error type" in converted.stderr and '"ten"' not in converted.output


def test_convert_as_json_is_one_array_of_all_files(terminal):
    table = terminal.file("payments.csv", PAYMENTS)
    listed = terminal.reads("convert", table, "-", stdin=LABEL, code=0)

    assert [each["type"] for each in listed] == ["row", "row", "row", "udi"]
    assert listed[0]["content"] == {"supplier": "ACME", "amount": "12.50"}
    assert listed[3]["content"]["lot"] == "L-7"
    assert terminal.reads("convert", "-", stdin=b"", code=1) == []


def test_a_number_too_large_for_json_is_a_string(terminal):
    layout = terminal.file("l.toml", b'columns = [{name = "a", type = "integer"}, {name = "b"}]')
    [row] = terminal.reads("convert", "-", "--layout", layout, stdin=b"a,b\n" + b"9" * 30 + b",x\n", code=0)
    assert row["content"]["a"] == "9" * 30


# --- whatever they are given ----------------------------------------------------------------------------------------

ODD = {
    "nothing": b"",
    "blanks": b" \r\n\t",
    "a mark": b"\xef\xbb\xbf",
    "zeros": b"\0" * 5000,
    "every byte": bytes(range(256)) * 30,
    "a request": b"GET / HTTP/1.1\r\n\r\n",
    "a start": b"MSH",
    "half a start": b"MSH|",
    "an image": b"\x89PNG\r\n\x1a\n" + b"\x00\x10\xff" * 400,
    "a long line": b"MSH|^~\\&|" + b"x" * 3_000_000,
    "a long word": b"x" * 3_000_000,
    "brackets": b"[" * 100_000,
    "braces": b'{"a":' * 100_000,
    "a deep resource": b'{"resourceType":"Patient","contact":' + b"[" * 50_000,
    "tags": b"<a>" * 50_000,
    "a bomb": b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><ADT_A01 xmlns="urn:hl7-org:v2xml">&b;</ADT_A01>',
    "UTF-16": ADMITTED.decode().encode("utf-16"),
    "UTF-16 X12": "ISA*00*          *00*          *ZZ*A*ZZ*B*260301*1200*U*00401*1*0*P*>~".encode("utf-16"),
    "Latin letters": ADMITTED.replace(b"RIVERA", b"RIV\xc9RA"),
    "half a character": PATIENT.replace(b"RIVERA", b"RIV\xc3"),
    "an escaped surrogate": PATIENT.replace(b"RIVERA", b"\\ud800"),
    "prose": b"Dear colleague,\nplease find attached, as agreed, the file.\nRegards\n",
    "an ISA alone": b"ISA*00*",
    "a quote": b'a,b\n"' + b"x\n" * 5000,
    "frames": b"\x0b" + ADMITTED + b"\x1c\r",
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("odd", ODD)
def test_whatever_it_is_given_a_command_answers_in_sentences(terminal, command, odd):
    for options in ((), ("--json",)):
        result = terminal.types(command, "-", *options, stdin=ODD[odd])
        if recognise(ODD[odd]) is None:
            assert result.exit_code == 1 and ("this is empty" in result.stderr or "this is no HL7 v2" in result.stderr)
        if options:
            orjson.loads(result.stdout)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["hl7v2", "x12", "fhir", "cxml", "ubl", "table", "label"])
def test_a_file_forced_into_another_format_is_refused_in_sentences(terminal, command, name):
    for odd in ("nothing", "every byte", "a request", "frames", "braces", "tags", "UTF-16", "a quote", "an ISA alone"):
        terminal.types(command, "-", "--format", name, stdin=ODD[odd])


@pytest.mark.parametrize("command", COMMANDS)
def test_what_cannot_be_opened_is_told_and_the_others_still_come(terminal, command, tmp_path):
    good = terminal.file("good.hl7", ADMITTED)
    said = terminal.types(command, str(tmp_path), str(tmp_path / "none.hl7"), "\0", "x" * 300, good, code=2)

    terminal.types(command, str(tmp_path / "none.hl7"), terminal.file("bad.hl7", BROKEN), code=2)
    assert said.stderr.count("cannot be read") == 4 and "Is a directory" in said.stderr
    assert "C-1" in said.stdout or "nothing wrong" in said.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_that_makes_no_sense_is_told(terminal, command, tmp_path):
    good = terminal.file("good.hl7", ADMITTED)
    terminal.types(command, code=2)
    assert "none of hl7v2" in terminal.types(command, "--format", "word", good, code=2).stderr
    if command != "ack":
        assert "cannot be read" in terminal.types(command, "--layout", str(tmp_path), good, code=2).stderr
        wrong = terminal.file("wrong.toml", b"columns = 3")
        assert "a list is wanted" in terminal.types(command, "--layout", wrong, good, code=2).stderr


def test_a_reader_who_goes_away_early_is_no_traceback(tmp_path):
    long = tmp_path / "long.csv"
    long.write_bytes(b"a,b\n" + b"KNEE-99,2\n" * 20_000)
    process = hilum("convert", str(long), stdout=subprocess.PIPE)
    process.stdout.read(100)
    process.stdout.close()

    said = process.stderr.read()
    assert process.wait(60) in (0, 1) and said == b""
    process.stderr.close()


def test_closed_and_full_outputs_and_inputs_are_sentences(tmp_path):
    table = tmp_path / "a.csv"
    table.write_bytes(PAYMENTS)
    with open("/dev/full", "wb") as full:
        process = hilum("convert", str(table), stdout=full)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 2 and b"Traceback" not in said and os.strerror(errno.ENOSPC).encode() in said
    closed = hilum("validate", "-", stdout=subprocess.PIPE, preexec_fn=lambda: os.close(0))
    said = closed.communicate(timeout=60)[1]
    assert closed.returncode == 2 and b"Traceback" not in said and b"cannot be read" in said


def test_a_stream_without_end_that_is_nothing_is_refused_at_its_start():
    with open("/dev/urandom", "rb") as noise:
        process = hilum("validate", "-", stdin=noise, stdout=subprocess.PIPE)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and b"this is no HL7 v2" in said


def test_what_has_to_be_in_memory_has_a_limit(terminal, monkeypatch):
    monkeypatch.setattr("hilum.cli.documents.MOST_BYTES", 300_000)
    long = terminal.file("long.hl7", ADMITTED * 5000)
    for command in COMMANDS:
        said = terminal.types(command, long, code=2).stderr
        assert "is larger than" in said and "split it" in said


def test_a_long_table_is_validated_as_it_comes(terminal):
    process = hilum("validate", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    written: list[int] = []

    def feed() -> None:
        process.stdin.write(b"a,b\n")
        for _ in range(40):
            written.append(process.stdin.write(b"KNEE-99,2\n" * 1000))
        process.stdin.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    said = process.stdout.read()
    feeder.join()
    assert process.wait(60) == 0 and b"nothing wrong" in said and len(written) == 40
    process.stdout.close()
    process.stderr.close()


def test_ack_answers_as_msh_15_and_16_ask(terminal):
    header = b"ADT^A01^ADT_A01|C-1|P|2.5.1"
    accept = ADMITTED.replace(header, header + b"|||AL|NE")
    assert "MSA|CA|C-1" in terminal.types("ack", "-", stdin=accept, code=0).stdout
    nothing = ADMITTED.replace(header, header + b"|||ER|NE")
    assert terminal.types("ack", "-", stdin=nothing, code=1).stdout == ""
    assert "MSA|CE|C-2" in terminal.types("ack", "-", stdin=BROKEN.replace(b"|2.5.1", b"|2.5.1|||ER|NE"), code=1).stdout
