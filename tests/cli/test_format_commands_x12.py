"""The four commands on X12, cXML and UBL: transactions stand for themselves, and a long file is read as it comes."""

from __future__ import annotations

import subprocess
import sys

import orjson
import pytest
from tests.cli.format_terminal import ROOT
from tests.fuzz.seeds import seeds

ISA = "ISA*00*          *00*          *ZZ*LAKESHORE      *ZZ*PAYER          *260301*1200*^*00501*{:09}*0*P*:~\n"


def remittance(number: int, paid: str = "80") -> str:
    """One transaction that balances when 80 is paid."""
    lines = [
        f"ST*835*{number:04}*005010X221A1",
        "BPR*I*80*C*CHK************20260301",
        f"TRN*1*T-{number}*1512345678",
        "DTM*405*20260301",
        "N1*PR*PAYER",
        "N3*1 STREET",
        "N4*CITY*NC*27601",
        "PER*BL*HELP*TE*5555555555",
        "N1*PE*LAKESHORE*XX*1234567893",
        "LX*1",
        f"CLP*A-{number}*1*100*{paid}**12*ICN-1*11*1",
        "NM1*QC*1*RIVERA*ANA",
        "SVC*HC:99213*100*80",
        "DTM*472*20260301",
        "CAS*CO*45*20",
        f"SE*16*{number:04}",
    ]
    return "".join(line.replace("**005010X221A1", "") + "~\n" for line in lines).replace("*005010X221A1", "")


def interchange(*transactions: str, number: int = 1) -> bytes:
    inside = "".join(transactions)
    return (
        ISA.format(number)
        + f"GS*HP*PAYER*LAKESHORE*20260301*1200*{number}*X*005010X221A1~\n{inside}"
        + f"GE*{len(transactions)}*{number}~\nIEA*1*{number:09}~\n"
    ).encode()


BALANCED = interchange(remittance(1), remittance(2))
ONE_BAD = interchange(remittance(1), remittance(2, paid="70"), remittance(3))


def test_validate_tells_the_segment_its_line_and_the_transaction(terminal):
    terminal.types("validate", "-", stdin=BALANCED, code=0)
    found = terminal.reads("validate", "-", stdin=ONE_BAD, code=1)["files"][0]["findings"]

    assert found and {finding["transaction"] for finding in found} == {"0002"}
    [balance] = [finding for finding in found if finding["code"] == "835-claim-balance"]
    assert ONE_BAD.decode().splitlines()[balance["line"] - 1].startswith("CLP*A-2")
    assert balance["snip"] == 3


def test_a_payment_that_does_not_balance_is_listed_after_thousands_of_other_findings(terminal):
    stray = "ZZZ*1~\n" * 200
    noise = [remittance(n).replace("SE*16", stray + "SE*216") for n in range(1, 31)]
    data = interchange(*noise, remittance(31, paid="70"))

    shown = terminal.types("validate", "-", stdin=data, code=1).stdout
    assert "835-claim-balance" in shown and "835-transaction-balance" in shown
    assert "where amounts do not balance" in shown.splitlines()[-1]
    found = terminal.reads("validate", "-", stdin=data, code=1)["files"][0]["findings"]
    assert {finding["transaction"] for finding in found if finding.get("level") == "balance"} == {"0031"}


@pytest.mark.parametrize(
    ("written", "wrong", "place"),
    [
        (b"SE*16*0002", b"SE*17*0002", "SE"),
        (b"SE*16*0002", b"SE*16*0009", "SE"),
        (b"GE*2*1", b"GE*3*1", "GE"),
        (b"IEA*1*000000001", b"IEA*1*000000002", "IEA"),
    ],
)
def test_validate_looks_at_every_envelope(terminal, written, wrong, place):
    [file] = terminal.reads("validate", "-", stdin=BALANCED.replace(written, wrong), code=1)["files"]

    assert [finding["severity"] for finding in file["findings"]] == ["error"]
    assert place in str(file["findings"][0])
    assert "-:" in terminal.types("convert", "-", stdin=BALANCED.replace(written, wrong), code=1).stderr


def test_prose_before_the_isa_is_no_obstacle(terminal):
    data = b"From: payer\nSubject: remittance\n\n" + BALANCED
    said = terminal.types("validate", "-", stdin=data).stdout
    assert "-: X12, " in said


def test_ack_is_a_999_that_rejects_the_one_bad_transaction(terminal):
    accepted = terminal.types("ack", "-", "--control-number", "17", stdin=BALANCED, code=0).stdout
    assert accepted.count("IK5*A") == 2 and "*000000017*" in accepted and "AK9*A*2*2*2" in accepted
    partial = terminal.types("ack", "-", stdin=ONE_BAD, code=1).stdout
    assert partial.count("IK5*A") == 2 and partial.count("IK5*R") == 1 and "AK9*P*3*3*2" in partial
    assert "TA1*000000001*" in terminal.types("ack", "-", "--kind", "TA1", stdin=BALANCED, code=0).stdout
    assert "ST*997*" in terminal.types("ack", "-", "--kind", "997", stdin=BALANCED, code=0).stdout


def test_an_x12_acknowledgement_earns_none_and_is_converted(terminal):
    answer = terminal.types("ack", "-", stdin=ONE_BAD, code=1).stdout.encode()

    assert "earns no acknowledgement" in terminal.types("ack", "-", "--kind", "999", stdin=answer, code=1).stderr
    [said] = terminal.reads("convert", "-", stdin=answer)
    assert said["kind"] == "acknowledgement" and said["accepted"] is False
    ta1 = terminal.types("ack", "-", "--kind", "TA1", stdin=BALANCED, code=0).stdout.encode()
    assert [each["type"] for each in terminal.reads("convert", "-", stdin=ta1, code=0)] == ["TA1"]
    assert "earns no acknowledgement" in terminal.types("ack", "-", stdin=ta1, code=1).stderr


def test_a_transaction_that_was_never_looked_at_is_not_accepted(terminal):
    bad = [
        remittance(number, paid="70").replace("SVC*HC:99213", "SVC*HC:99213*1*1*1*1*1*1*1*1*1*1")
        for number in range(1, 400)
    ]
    said = terminal.types("ack", "-", stdin=interchange(*bad), code=1).stdout
    assert "IK5*A" not in said and said.count("IK5*R") == 399


def test_convert_lets_the_neighbours_of_a_bad_transaction_through(terminal):
    broken = remittance(2).replace("BPR*I*80", "BPR*I*eighty")
    converted = terminal.types(
        "convert", "-", "--json", stdin=interchange(remittance(1), broken, remittance(3)), code=1
    )

    listed = orjson.loads(converted.stdout)
    assert {"T-1", "T-3"} <= {each.get("trace_number") for each in listed}
    assert listed[0]["amount"] == "80" and listed[0]["balanced"] is True
    assert "0002" in converted.stderr
    sources = {each["source"]["transaction"]: each["source"]["errors"] for each in listed}
    assert sources["0001"] == sources["0003"] == 0 and sources.get("0002", 1) > 0


def test_code_lists_of_the_user_are_looked_into(terminal):
    lists = terminal.file("codes.csv", b"list,code\ncarc,1\n")
    said = terminal.types("validate", "--codes", lists, "-", stdin=BALANCED, code=1).stdout
    assert "CAS02" in said
    misspelt = terminal.file("misspelt.csv", b"list,code\ncarcs,1\n")
    assert "carcs" in terminal.types("validate", "--codes", misspelt, "-", stdin=BALANCED, code=0).stderr
    terminal.types("validate", "--codes", terminal.file("wrong.csv", b"a,b\n1,2\n"), "-", stdin=BALANCED, code=2)
    terminal.types("validate", "--codes", str(terminal.folder / "none.csv"), "-", stdin=BALANCED, code=2)


@pytest.mark.parametrize("seed", seeds("cxml"), ids=len)
def test_cxml_is_shown_checked_answered_and_converted(terminal, seed):
    assert "cXML" in terminal.types("parse", "-", stdin=seed).stdout
    terminal.types("validate", "-", stdin=seed)
    answer = terminal.types("ack", "-", stdin=seed)
    assert b"<Response>" in answer.stdout_bytes or "earns no acknowledgement" in answer.stderr
    assert terminal.reads("convert", "-", stdin=seed)


def test_a_long_x12_file_is_validated_in_flat_memory(tmp_path):
    long = tmp_path / "long.835"
    with long.open("wb") as out:
        for number in range(1, 1101):
            out.write(interchange(*(remittance(inner) for inner in range(1, 61)), number=number))
    assert long.stat().st_size > 20_000_000
    # VmHWM is of this process alone; ru_maxrss of a child begins with what its parent had.
    script = (
        "import re, sys; from hilum.app import main; sys.argv[1:] = ['validate', sys.argv[1]]\n"
        "try: main()\nexcept SystemExit as end: print(end.code, re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(long)], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    code, kilobytes = map(int, done.stdout.splitlines()[-1].split())
    assert code == 0 and "nothing wrong" in done.stdout, done.stdout + done.stderr
    assert kilobytes < 200_000


def test_no_two_answers_have_the_same_control_number(terminal):
    twice = terminal.file("twice.835", BALANCED + BALANCED.replace(b"000000001", b"000000002"))
    said = terminal.types("ack", twice, twice, "--control-number", "17").stdout
    assert [number for number in range(15, 23) if f"*{number:09}*0*" in said] == [17, 18, 19, 20]
