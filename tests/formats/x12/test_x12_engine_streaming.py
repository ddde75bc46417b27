"""A long file in flat memory, transaction by transaction, and a bad one among good ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hilum.formats import x12

ROOT = Path(__file__).parents[3]

# In a process of its own: the peak of resident memory is the process's, and nothing else ran in it.
PROGRAM = """
import resource, sys
from hilum.formats import x12

BODY = "".join(f"PO1*{n}*5*EA*1250.50**VP*KNEE-{n:04}~PID*F****KNEE IMPLANT CEMENTED SIZE {n}~" for n in range(1, 101))

def chunks(megabytes):
    header = "ISA*00*          *00*          *ZZ*LAKESHORE      *ZZ*STMARY         *260301*1200*U*00401*000000905*0*P*:~"
    yield (header + "GS*PO*LAKESHORE*STMARY*20260301*1200*7*X*004010~").encode()
    count = size = 0
    while size < megabytes * 1_000_000:
        count += 1
        said = 205 if count != 100 else 999
        text = f"ST*850*{count:09}~BEG*00*SA*PO-{count}**20260301~{BODY}CTT*100~SE*{said - 1 if count != 100 else said}*{count:09}~"
        size += len(text)
        yield text.encode()
    yield f"GE*{count}*7~IEA*1*000000905~".encode()

def run(megabytes):
    told, bad, good = [], [], 0
    for transaction in x12.transactions(chunks(megabytes), told.append):
        findings = transaction.envelope_findings + x12.walk(transaction)
        if findings:
            bad.append((transaction.control_number, [finding.code for finding in findings]))
        good += not findings
    return told, bad, good

run(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
told, bad, good = run(int(sys.argv[1]))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, good, bad, told)
"""


def test_a_file_of_many_transactions_passes_in_flat_memory_and_a_bad_one_is_rejected_alone():
    run = [sys.executable, "-c", PROGRAM, "25"]
    told = subprocess.run(run, check=True, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "src")})

    grown, good, rest = told.stdout.split(maxsplit=2)
    assert int(grown) < 20, "megabytes of memory beyond what the first megabyte took"
    assert int(good) > 3000
    assert rest.strip() == "[('000000100', ['4'])] []"


def test_a_transaction_too_long_to_keep_is_rejected_alone():
    header = (
        "ISA*00*          *00*          *ZZ*LAKESHORE      *ZZ*STMARY         *260301*1200*U*00401*000000905*0*P*:~"
    )
    long = "ST*850*0001~" + "".join(f"PO1*{n}*5*EA*1~" for n in range(50_000)) + "SE*50002*0001~"
    short = "ST*850*0002~BEG*00*SA*PO-2**20260301~PO1*1*5*EA*1~SE*4*0002~"
    data = f"{header}GS*PO*LAKESHORE*STMARY*20260301*1200*7*X*004010~{long}{short}GE*2*7~IEA*1*000000905~".encode()
    told: list[x12.X12Finding] = []

    first, second = x12.transactions([data], told.append, longest=100_000)

    assert len(first.segments) < 10_000
    assert [(f.level, f.code) for f in first.envelope_findings] == [("transaction", "5")]
    assert second.envelope_findings == [] == told
    assert len(next(x12.transactions([data])).segments) == 50_002
