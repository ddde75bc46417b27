"""Messages as the simulated EHR writes them, with synthetic patients only."""

from __future__ import annotations

from datetime import UTC, datetime


def charge_message(
    usage_id: str, charge_code: str, *, quantity: int, facility: str, department: str, charge_usd: str, control_id: str
) -> str:
    """A DFT^P03 with one FT1, as the EHR writes it."""
    moment = _moment()
    return "\r".join(
        [
            f"MSH|^~\\&|EHR|{facility}|HILUM|LAKESHORE|{moment}||DFT^P03^DFT_P03|{control_id}|P|2.5.1",
            f"EVN|P03|{moment}",
            f"PID|1||MRN-{usage_id}^^^{facility}^MR||SYNTHETIC^PATIENT||19700101|F||||||||||ACC-{usage_id}^^^{facility}^AN",
            f"FT1|1|{usage_id}||{moment}||CG|{charge_code}^IMPLANT|||{quantity}|{charge_usd}||{department}",
            "",
        ]
    )


def procedure_message(account: str, usages: dict[str, str], *, facility: str, department: str, control_id: str) -> str:
    """A DFT^P03 that charges several implants of one procedure: charge codes by usage id, one FT1 each."""
    moment = _moment()
    charges = [
        f"FT1|{n}|{usage_id}||{moment}||CG|{code}^IMPLANT|||1|1000.00||{department}"
        for n, (usage_id, code) in enumerate(usages.items(), start=1)
    ]
    return "\r".join(
        [
            f"MSH|^~\\&|EHR|{facility}|HILUM|LAKESHORE|{moment}||DFT^P03^DFT_P03|{control_id}|P|2.5.1",
            f"EVN|P03|{moment}",
            f"PID|1||MRN-{account}^^^{facility}^MR||SYNTHETIC^PATIENT||19700101|F||||||||||ACC-{account}^^^{facility}^AN",
            *charges,
            "",
        ]
    )


def registration_message(account: str, *, facility: str, control_id: str) -> str:
    """An ADT^A04: a patient is registered under an account."""
    moment = _moment()
    return "\r".join(
        [
            f"MSH|^~\\&|EHR|{facility}|HILUM|LAKESHORE|{moment}||ADT^A04^ADT_A01|{control_id}|P|2.5.1",
            f"EVN|A04|{moment}",
            f"PID|1||MRN-{account}^^^{facility}^MR||SYNTHETIC^PATIENT||19700101|F||||||||||ACC-{account}^^^{facility}^AN",
            "PV1|1|O|OR",
            "",
        ]
    )


def _moment() -> str:
    return datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")
