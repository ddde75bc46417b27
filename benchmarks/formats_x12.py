"""X12 beside its public peers: 835 and 837P at 100 claims, 850, 856 and 810 of as many bytes, and a stream of a gigabyte.

Each library reads and checks the same bytes as its users call it: pyx12 with ``x12n_document`` into a 997 or 999, x12sdk with
``X12ModelReader``, ours with ``parse`` and ``validate`` (SNIP types 1 to 4).
"""

from __future__ import annotations

import contextlib
import io
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from hilum.formats import x12
from hilum.formats.x12.writer import Element, NewGroup, NewTransaction, build

NOON = datetime(2026, 3, 1, 12, 0)

# --- documents -------------------------------------------------------------------------------------------------------


def remittance(claims: int = 100, services: int = 2) -> list[list[Element]]:
    """A balanced 835 without its ST and SE: each claim with services, adjusted by contract and by co-insurance."""
    charge, allowed, share = Decimal("150.00"), Decimal("110.00"), Decimal("22.00")
    paid = allowed - share
    body: list[list[Element]] = [
        ["BPR", "I", str(paid * services * claims), "C", "ACH", "CCP", "01", "111000025", "DA", "33", "1935665544", None, "01", "111000025", "DA", "22", "20260301"],
        ["TRN", "1", "71700666555", "1935665544"],
        ["DTM", "405", "20260301"],
        ["N1", "PR", "LAKESHORE HEALTH PLAN"],
        ["N3", "1 SHORE ROAD"],
        ["N4", "CHICAGO", "IL", "60601"],
        ["PER", "BL", "PROVIDER SERVICES", "TE", "3125550100"],
        ["N1", "PE", "ST MARY HOSPITAL", "XX", "1234567893"],
        ["LX", "1"],
    ]  # fmt: skip
    for claim in range(1, claims + 1):
        body += [
            ["CLP", f"KNEE-{claim:05}", "1", str(charge * services), str(paid * services), str(share * services), "12", f"EA{claim:08}", "11", "1"],
            ["NM1", "QC", "1", "DOE", "JANE", None, None, None, "MI", f"W{claim:09}"],
            ["NM1", "82", "1", "SURGEON", "SAM", None, None, None, "XX", "1234567893"],
            ["DTM", "232", "20260210"],
        ]  # fmt: skip
        for line in range(1, services + 1):
            body += [
                ["SVC", ("HC", "99213"), str(charge), str(paid), None, "1"],
                ["DTM", "472", "20260210"],
                ["CAS", "CO", "45", str(charge - allowed)],
                ["CAS", "PR", "2", str(share)],
                ["REF", "6R", f"{claim}-{line}"],
                ["AMT", "B6", str(allowed)],
            ]
    return body


def professional_claims(claims: int = 100, services: int = 1) -> list[list[Element]]:
    """An 837P without its ST and SE: each claim of its own subscriber."""
    charge = Decimal("150.00")
    body: list[list[Element]] = [
        ["BHT", "0019", "00", "BATCH1", "20260301", "1200", "CH"],
        ["NM1", "41", "2", "ST MARY HOSPITAL", None, None, None, None, "46", "STMARY"],
        ["PER", "IC", "BILLING OFFICE", "TE", "3125550111"],
        ["NM1", "40", "2", "LAKESHORE HEALTH PLAN", None, None, None, None, "46", "LAKESHORE"],
        ["HL", "1", None, "20", "1"],
        ["NM1", "85", "2", "ST MARY HOSPITAL", None, None, None, None, "XX", "1234567893"],
        ["N3", "2 HARBOR STREET"],
        ["N4", "CHICAGO", "IL", "606010001"],
        ["REF", "EI", "123456789"],
    ]
    for claim in range(1, claims + 1):
        body += [
            ["HL", str(claim + 1), "1", "22", "0"],
            ["SBR", "P", "18", None, None, None, None, None, None, "CI"],
            ["NM1", "IL", "1", "DOE", "JANE", None, None, None, "MI", f"W{claim:09}"],
            ["N3", "3 QUAY LANE"],
            ["N4", "CHICAGO", "IL", "60601"],
            ["DMG", "D8", "19700402", "F"],
            ["NM1", "PR", "2", "LAKESHORE HEALTH PLAN", None, None, None, None, "PI", "LAKESHORE"],
            ["CLM", f"KNEE-{claim:05}", str(charge * services), None, None, ("11", "B", "1"), "Y", "A", "Y", "Y"],
            ["HI", ("ABK", "M1711"), ("ABF", "Z96651")],
            ["NM1", "82", "1", "SURGEON", "SAM", None, None, None, "XX", "1234567893"],
        ]
        for line in range(1, services + 1):
            body += [
                ["LX", str(line)],
                ["SV1", ("HC", "99213"), str(charge), "UN", "1", None, None, ("1",)],
                ["DTP", "472", "D8", "20260210"],
                ["REF", "6R", f"{claim}-{line}"],
            ]
    return body


def purchase_order(lines: int = 300) -> list[list[Element]]:
    """An 850 without its ST and SE."""
    body: list[list[Element]] = [
        ["BEG", "00", "SA", "PO-4711", None, "20260301"],
        ["N1", "ST", "ST MARY HOSPITAL", "92", "STMARY"],
        ["N3", "2 HARBOR STREET"],
        ["N4", "CHICAGO", "IL", "60601"],
    ]
    for line in range(1, lines + 1):
        body += [
            [
                "PO1",
                str(line),
                "5",
                "EA",
                "1250.50",
                None,
                "VP",
                f"KNEE-{line:04}",
                "IN",
                f"10{line:06}",
                "MG",
                f"OS-{line:05}",
            ],
            ["PID", "F", None, None, None, "KNEE IMPLANT CEMENTED"],
            ["DTM", "002", "20260315"],
        ]
    return [*body, ["CTT", str(lines)]]


def invoice(lines: int = 400) -> list[list[Element]]:
    """A balanced 810 without its ST and SE."""
    body: list[list[Element]] = [
        ["BIG", "20260301", "INV-100", "20260215", "PO-4711"],
        ["N1", "ST", "ST MARY HOSPITAL", "92", "STMARY"],
    ]
    for line in range(1, lines + 1):
        body += [
            ["IT1", str(line), "5", "EA", "10.00", None, "VP", f"KNEE-{line:04}", "IN", f"10{line:06}"],
            ["PID", "F", None, None, None, "KNEE IMPLANT CEMENTED"],
        ]
    return [*body, ["TDS", str(5000 * lines)], ["CTT", str(lines)]]


def ship_notice(lines: int = 300) -> list[list[Element]]:
    """An 856 without its ST and SE: shipment, order, items."""
    body: list[list[Element]] = [
        ["BSN", "00", "SHIP-1", "20260301", "1200"],
        ["HL", "1", None, "S"],
        ["N1", "ST", "ST MARY HOSPITAL", "92", "STMARY"],
        ["HL", "2", "1", "O"],
        ["PRF", "PO-4711"],
    ]
    for line in range(1, lines + 1):
        body += [
            ["HL", str(line + 2), "2", "I"],
            ["LIN", str(line), "VP", f"KNEE-{line:04}", "IN", f"10{line:06}", "LT", f"LOT{line:05}"],
            ["SN1", str(line), "5", "EA", None, "5", "EA"],
            ["MAN", "GM", "001234567890123452"],
            ["DTM", "036", "20290331"],
        ]
    return [*body, ["CTT", str(lines + 2)]]


def document(set_id: str, body: list[list[Element]], transactions: int = 1) -> bytes:
    """An interchange with so many transactions of this body."""
    functional, version, guide = {
        "835": ("HP", "005010X221A1", True),
        "837": ("HC", "005010X222A1", True),
        "850": ("PO", "004010", False),
        "810": ("IN", "004010", False),
        "856": ("SH", "004010", False),
    }[set_id]
    # An 835 has no ST03 in pyx12's eyes; the guide wants none either.
    convention = version if guide and set_id != "835" else None
    group = NewGroup(
        functional_id=functional,
        version=version,
        transactions=[NewTransaction(set_id=set_id, segments=body, convention=convention)] * transactions,
    )
    made = build(
        [group],
        sender=("ZZ", "LAKESHORE"),
        receiver=("ZZ", "STMARY"),
        control_number=1,
        now=NOON,
        version="00501" if guide else "00401",
    )
    return x12.write(made)


CASES: dict[str, Callable[[], bytes]] = {
    "835": lambda: document("835", remittance()),
    "837": lambda: document("837", professional_claims()),
    "850": lambda: document("850", purchase_order()),
    "856": lambda: document("856", ship_notice()),
    "810": lambda: document("810", invoice()),
}

# --- runners ---------------------------------------------------------------------------------------------------------


def by_hilum(data: bytes) -> None:
    findings = x12.validate(x12.parse(data))
    assert not findings, findings[:3]


def by_pyx12(data: bytes) -> None:
    import pyx12.params
    import pyx12.x12n_document

    with tempfile.NamedTemporaryFile("w", suffix=".x12") as file:
        file.write(data.decode())
        file.flush()
        answer = io.StringIO()
        pyx12.x12n_document.x12n_document(
            param=pyx12.params.params(), src_file=file.name, fd_997=answer, fd_html=None, fd_xmldoc=None
        )


def by_x12sdk(data: bytes) -> None:
    from x12sdk.io import X12ModelReader

    with X12ModelReader(data.decode()) as reader:
        for _ in reader.models():
            pass


def rates_of(runs: list[Callable[[bytes], None]], data: bytes, seconds: float) -> list[float]:
    """Bytes per second of processor time of each, in its best run.

    They take turns, and only their own time counts, so that whatever else the machine does meets all alike.
    """
    best = [float("inf")] * len(runs)
    until = time.perf_counter() + seconds * len(runs)
    while True:
        for at, run in enumerate(runs):
            turn = time.perf_counter()
            while True:
                started = time.process_time()
                run(data)
                best[at] = min(best[at], time.process_time() - started)
                if time.perf_counter() - turn > 0.15:
                    break
        if time.perf_counter() >= until:
            return [len(data) / one for one in best]


def rates(seconds: float = 3.0) -> Iterator[str]:
    """A table of files and megabytes per second, ours and the peers' in one run."""
    logging.disable(logging.CRITICAL)
    yield "| set | bytes | hilum files/s (MB/s) | pyx12 | x12sdk | times pyx12 | times x12sdk |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, make in CASES.items():
        data = make()
        peers: list[Callable[[bytes], None]] = [by_pyx12, by_x12sdk] if name in ("835", "837") else []
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            own, *others = rates_of([by_hilum, *peers], data, seconds)
        shown = [f"{p / len(data):,.1f} ({p / 1e6:.2f})" for p in others] or ["no map"] * 2
        times = [f"{own / p:,.0f}" for p in others] or [""] * 2
        yield f"| {name} | {len(data):,} | {own / len(data):,.0f} ({own / 1e6:.1f}) | {' | '.join((*shown, *times))} |"
    logging.disable(logging.NOTSET)


# --- the stream ------------------------------------------------------------------------------------------------------


def endless(megabytes: int) -> Iterator[bytes]:
    """An 837 file of so many megabytes, made as it is read: one group of transactions of 100 claims."""
    sample = document("837", professional_claims()).decode()
    start, end = sample.index("ST*"), sample.index("GE*")
    yield sample[:start].encode()
    transaction = sample[start:end]
    count = 0
    for count in range(1, megabytes * 1_000_000 // len(transaction) + 1):
        control = f"{count:09}"
        yield transaction.replace("*0001*005010", f"*{control}*005010").replace("*0001~", f"*{control}~").encode()
    yield sample[end:].replace("GE*1*", f"GE*{count}*").encode()


def stream(megabytes: int) -> str:
    """Read and check a file of so many megabytes in a fresh process: transactions, seconds, peak of resident memory."""
    command = [sys.executable, "-m", "benchmarks.formats_x12", str(megabytes)]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1]
    ).stdout.strip()


def main(megabytes: int) -> None:
    findings: list[x12.X12Finding] = []
    started, count = time.perf_counter(), 0
    for transaction in x12.transactions(endless(megabytes), findings.append):
        findings += x12.check(transaction)
        count += 1
    seconds = time.perf_counter() - started
    assert not findings, findings[:3]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{megabytes:,} MB, {count:,} transactions in {seconds:.0f} s ({megabytes / seconds:.1f} MB/s), peak {peak:.0f} MB"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
