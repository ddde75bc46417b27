"""Claims as billing sends them (X12 837P) and as partners answer them (999, 277CA, 277), for tests and simulated days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

SENDER, CLEARINGHOUSE = "LAKESHORE", "HARBOR"


@dataclass(frozen=True)
class SentClaim:
    """One claim of an 837. ``original`` is the payer's number of the claim that it replaces (frequency 7) or voids (8)."""

    claim: str
    charge: Decimal
    provider: str = "1234567893"
    payer: str = "HHP01"
    frequency: str = "1"
    original: str | None = None
    day: date = date(2026, 1, 15)


@dataclass(frozen=True)
class AnsweredClaim:
    """One answer to a claim: ``status`` as STC01 has it (A2:20, A7:562:85, P1:0, F1:65)."""

    claim: str
    charge: Decimal
    status: str
    payer_claim: str | None = None
    provider: str = "1234567893"
    paid: Decimal | None = None


def claim_file(
    claims: Sequence[SentClaim], *, control_number: int, on: date, file: str | None = None, terminator: str = "~\n"
) -> bytes:
    """One interchange with one 837P. ``file`` is BHT03; the control numbers are all the same."""
    segments = [
        f"BHT*0019*00*{file if file is not None else f'F{control_number}'}*{on:%Y%m%d}*0600*CH",
        "NM1*41*2*LAKESHORE HEALTH*****46*LAKESHORE",
        "PER*IC*BILLING OFFICE*TE*5550100200",
        "NM1*40*2*HARBOR CLEARING*****46*HARBOR",
    ]
    level = 0
    for claim in claims:
        level += 2
        segments += [
            f"HL*{level - 1}**20*1",
            f"NM1*85*2*LAKESHORE HEALTH*****XX*{claim.provider}",
            "N3*1 LAKE STREET",
            "N4*LAKEPORT*MI*490010001",
            "REF*EI*991000017",
            f"HL*{level}*{level - 1}*22*0",
            "SBR*P*18*******CI",
            "NM1*IL*1*KNEE*NINETY****MI*MBR-99",
            "N3*2 LAKE STREET",
            "N4*LAKEPORT*MI*49001",
            "DMG*D8*19600101*F",
            f"NM1*PR*2*HARBOR HEALTH PLAN*****PI*{claim.payer}",
            f"CLM*{claim.claim}*{claim.charge}***11:B:{claim.frequency}*Y*A*Y*Y",
            *([f"REF*F8*{claim.original}"] if claim.original is not None else []),
            "HI*ABK:M1711",
            "LX*1",
            f"SV1*HC:99213*{claim.charge}*UN*1***1",
            f"DTP*472*D8*{claim.day:%Y%m%d}",
        ]
    return _interchange("837", "HC", "005010X222A1", segments, SENDER, CLEARINGHOUSE, control_number, on, terminator)


def file_acknowledgement(
    sent: int,
    *,
    control_number: int,
    on: date,
    code: str = "A",
    errors: Sequence[str] = (),
    reasons: Sequence[str] = ("5",),
    terminator: str = "~\n",
) -> bytes:
    """A 999 to the file with control number ``sent``; ``errors`` are its IK3 and IK4 segments as they are written."""
    why = "".join(f"*{reason}" for reason in reasons) if code not in ("A",) else ""
    taken = 1 if code in ("A", "E") else 0
    segments = [
        f"AK1*HC*{sent}*005010X222A1", "AK2*837*0001*005010X222A1", *errors, f"IK5*{code}{why}",
        f"AK9*{code if code in ('A', 'E') else 'R'}*1*1*{taken}",
    ]  # fmt: skip
    return _interchange("999", "FA", "005010X231A1", segments, CLEARINGHOUSE, SENDER, control_number, on, terminator)


def claim_answers(
    answers: Sequence[AnsweredClaim], *, file: str, control_number: int, on: date, terminator: str = "~\n"
) -> bytes:
    """A 277CA to the claims of the file whose BHT03 was ``file``."""
    total = sum((each.charge for each in answers), Decimal(0))
    segments = [
        f"BHT*0085*08*CA{control_number}*{on:%Y%m%d}*0700*TH",
        "HL*1**20*1",
        "NM1*PR*2*HARBOR HEALTH PLAN*****PI*HHP01",
        f"TRN*1*CA{control_number}",
        f"DTP*050*D8*{on:%Y%m%d}",
        f"DTP*009*D8*{on:%Y%m%d}",
        "HL*2*1*21*1",
        "NM1*41*2*LAKESHORE HEALTH*****46*LAKESHORE",
        f"TRN*2*{file}",
        f"STC*A1:20*{on:%Y%m%d}*WQ*{total}",
    ]
    for at, each in enumerate(answers):
        provider, patient = 3 + 2 * at, 4 + 2 * at
        action = "U" if each.status[:2] in ("A3", "A4", "A6", "A7", "A8") else "WQ"
        segments += [
            f"HL*{provider}*2*19*1",
            f"NM1*85*2*LAKESHORE HEALTH*****XX*{each.provider}",
            f"HL*{patient}*{provider}*PT",
            "NM1*QC*1*KNEE*NINETY****MI*MBR-99",
            f"TRN*2*{each.claim}",
            f"STC*{each.status}*{on:%Y%m%d}*{action}*{each.charge}",
            *([f"REF*1K*{each.payer_claim}"] if each.payer_claim is not None else []),
            "DTP*472*D8*20260115",
        ]
    return _interchange("277", "HN", "005010X214", segments, CLEARINGHOUSE, SENDER, control_number, on, terminator)


def claim_status(answers: Sequence[AnsweredClaim], *, control_number: int, on: date, terminator: str = "~\n") -> bytes:
    """A 277 that answers a 276 about these claims."""
    segments = [
        f"BHT*0010*08*ST{control_number}*{on:%Y%m%d}*0700*DG",
        "HL*1**20*1",
        "NM1*PR*2*HARBOR HEALTH PLAN*****PI*HHP01",
        "HL*2*1*21*1",
        "NM1*41*2*LAKESHORE HEALTH*****46*LAKESHORE",
    ]
    for at, each in enumerate(answers):
        provider, patient = 3 + 2 * at, 4 + 2 * at
        paid = f"*{each.paid}" if each.paid is not None else ""
        segments += [
            f"HL*{provider}*2*19*1",
            f"NM1*1P*2*LAKESHORE HEALTH*****XX*{each.provider}",
            f"HL*{patient}*{provider}*22*0",
            "NM1*IL*1*KNEE*NINETY****MI*MBR-99",
            f"TRN*2*T{at + 1}",
            f"STC*{each.status}*{on:%Y%m%d}**{each.charge}{paid}",
            *([f"REF*1K*{each.payer_claim}"] if each.payer_claim is not None else []),
            f"REF*EJ*{each.claim}",
            "DTP*472*D8*20260115",
        ]
    return _interchange("277", "HN", "005010X212", segments, CLEARINGHOUSE, SENDER, control_number, on, terminator)


def _interchange(
    set_id: str,
    group: str,
    version: str,
    segments: Sequence[str],
    sender: str,
    receiver: str,
    number: int,
    on: date,
    end: str,
) -> bytes:
    whole = [
        f"ISA*00*          *00*          *ZZ*{sender:<15}*ZZ*{receiver:<15}*{on:%y%m%d}*0600*^*00501*{number:09}*0*T*:",
        f"GS*{group}*{sender}*{receiver}*{on:%Y%m%d}*0600*{number}*X*{version}",
        f"ST*{set_id}*0001*{version}",
        *segments,
        f"SE*{len(segments) + 2}*0001",
        f"GE*1*{number}",
        f"IEA*1*{number:09}",
    ]
    return "".join(each + end for each in whole).encode()
