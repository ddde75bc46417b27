"""Messages as the simulated EHR writes them, with synthetic patients only."""

from __future__ import annotations

from datetime import UTC, datetime


def charge_message(
    usage_id: str,
    charge_code: str,
    *,
    quantity: int,
    facility: str,
    department: str,
    charge_usd: str,
    control_id: str,
    used_at: datetime | None = None,
) -> str:
    """A DFT^P03 with one FT1, as the EHR writes it; used now unless ``used_at`` says when."""
    moment = _moment()
    used = used_at.strftime("%Y%m%d%H%M%S%z") if used_at is not None else moment
    return "\r".join(
        [
            f"MSH|^~\\&|EHR|{facility}|HILUM|LAKESHORE|{moment}||DFT^P03^DFT_P03|{control_id}|P|2.5.1",
            f"EVN|P03|{moment}",
            f"PID|1||MRN-{usage_id}^^^{facility}^MR||SYNTHETIC^PATIENT||19700101|F||||||||||ACC-{usage_id}^^^{facility}^AN",
            f"FT1|1|{usage_id}||{used}||CG|{charge_code}^IMPLANT|||{quantity}|{charge_usd}||{department}",
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


def account_message(trigger: str, account: str, *, facility: str, control_id: str) -> str:
    """An ADT: a patient arrives (A01, A04), moves (A02) or leaves (A03) under an account."""
    moment = _moment()
    structure = {"A01": "A01", "A04": "A01", "A02": "A02", "A03": "A03"}[trigger]
    return "\r".join(
        [
            f"MSH|^~\\&|EHR|{facility}|HILUM|LAKESHORE|{moment}||ADT^{trigger}^ADT_{structure}|{control_id}|P|2.5.1",
            f"EVN|{trigger}|{moment}",
            f"PID|1||MRN-{account}^^^{facility}^MR||SYNTHETIC^PATIENT||19700101|F||||||||||ACC-{account}^^^{facility}^AN",
            "PV1|1|O|OR",
            "",
        ]
    )


def _moment() -> str:
    return datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")
