"""HL7 v2 beside python-hl7 and hl7apy, in the same run on the same message: ``python -m benchmarks.formats_hl7v2``.

Each case does the same work with both. The two take turns in short rounds and the best round of each counts, so that whatever
else the machine does meets both alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import hl7
from hl7apy.parser import parse_message

from hilum.formats import hl7v2

# An admission of 1.3 KB: HILDE has her knee done at ST-MARY.
ADT = "\r".join(
    (
        "MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20260301083000-0600||ADT^A01^ADT_A01|C-100001|P|2.5.1|||AL|NE|USA|UNICODE UTF-8",
        "EVN|A01|20260301083000-0600|||REG07^CLERK^CARLA^^^^^^ST-MARY|20260301082500-0600",
        "PID|1||MRN-7^^^ST-MARY^MR~OLD-7^^^LAKESHORE^PI||HIP^HILDE^MARIA^^MS^^L||19500102|F||2106-3^White^HL70005"
        "|1 LAKE ST^APT 2^LAKESHORE^IL^60601^USA^H||^PRN^PH^^1^312^5550101~^PRN^CP^^1^312^5550102|^WPN^PH^^1^312^5550103"
        "|ENG^English^HL70296|M^Married^HL70002|PRO^Protestant^HL70006|A-7^^^ST-MARY^AN||||N^Not Hispanic^HL70189||N||||||N",
        "PD1|||LAKESHORE CLINIC^^1001|P-77^DOE^JOHN^^^DR",
        "NK1|1|HIP^HANS^^^MR|SPO^Spouse^HL70063|1 LAKE ST^APT 2^LAKESHORE^IL^60601^USA^H|^PRN^PH^^1^312^5550104||EC^Emergency contact^HL70131",
        "PV1|1|I|OR^2^A^ST-MARY^^^^MAIN|E|||P-12^KNEE^KARL^^^DR^^^ST-MARY|P-13^HAND^HEIKE^^^DR|P-14^FOOT^FINN^^^DR|ORT||||1|||"
        "P-12^KNEE^KARL^^^DR|IN|V-9^^^ST-MARY^VN|COM||||||||||||||||||||||||20260301083000-0600",
        "AL1|1|DA^Drug allergy^HL70127|PCN^Penicillin \\T\\ related^L|SV^Severe^HL70128|RASH",
        "DG1|1||M17.11^Osteoarthritis, right knee^I10||20260301|A",
        "GT1|1||HIP^HILDE^MARIA||1 LAKE ST^APT 2^LAKESHORE^IL^60601^USA|^PRN^PH^^1^312^5550101||19500102|F||SEL^Self^HL70063",
        "IN1|1|PPO^PPO Plan^L|INS-4|LAKE INSURANCE|PO BOX 1^^LAKESHORE^IL^60602|||G-100|||||||COM|HIP^HILDE|SEL^Self^HL70063"
        "|19500102||||||||||||||||||M-4711",
        "",
    )
)
DATA = ADT.encode()


class Case(NamedTuple):
    """The same work done by both; ``wanted`` is how many times the peer's rate ours should be, 0 where nothing was set."""

    name: str
    ours: Callable[[], object]
    peer_name: str
    peer: Callable[[], object]
    wanted: float


def cases() -> list[Case]:
    """What is measured; both sides of each case do it once when they are called."""
    return [
        Case("full tree: every leaf read and unescaped", _tree, "python-hl7 (parsed, not unescaped)", _peer_tree, 10),
        Case("lazy: header and three values", _lazy, "python-hl7", _peer_lazy, 50),
        Case("parse and validate", _validate, "hl7apy", _peer_validate, 0),
    ]


def measure(case: Case, rounds: int = 12, seconds: float = 0.12) -> tuple[float, float]:
    """Messages per second, ours and the peer's: the best of ``rounds`` rounds that took turns."""
    ours = peer = 0.0
    for _ in range(rounds):
        ours = max(ours, _rate(case.ours, seconds))
        peer = max(peer, _rate(case.peer, seconds))
    return ours, peer


def report(rounds: int = 12) -> list[str]:
    """The results as lines of a Markdown table."""
    lines = [
        f"| HL7 v2, an ADT^A01 of {len(DATA):,} bytes | per second | peer | peer per second | ratio | wanted |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for case in cases():
        ours, peer = measure(case, rounds)
        wanted = f"{case.wanted:.0f}" if case.wanted else ""
        lines.append(f"| {case.name} | {ours:,.0f} | {case.peer_name} | {peer:,.0f} | {ours / peer:.1f} | {wanted} |")
    return lines


def _rate(work: Callable[[], object], seconds: float) -> float:
    done = 0
    started = time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        for _ in range(4):
            work()
        done += 4
    return done / spent


def _tree() -> object:
    return hl7v2.tree(hl7v2.Message.parse(DATA))


def _peer_tree() -> object:
    return hl7.parse(ADT)


def _lazy() -> object:
    message = hl7v2.Message.parse(DATA)
    return message.control_id, message["PID-3.1"], message["PID-5.1"], message["PV1-19.1"]


def _peer_lazy() -> object:
    message = hl7.parse(ADT)
    return (
        str(message.segment("MSH")[10]),
        message.extract_field("PID", 1, 3, 1, 1, 1),
        message.extract_field("PID", 1, 5, 1, 1, 1),
        message.extract_field("PV1", 1, 19, 1, 1, 1),
    )


def _validate() -> object:
    return hl7v2.validate(hl7v2.Message.parse(DATA))


def _peer_validate() -> object:
    return parse_message(ADT, find_groups=True).validate()


if __name__ == "__main__":
    print("\n".join(report()))
