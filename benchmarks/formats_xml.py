"""How fast cXML and UBL are parsed and validated, in MB of source per second; documents are made here, of Lakeshore's goods.

``measure()`` gives one figure per document size and format; each is the best of a few rounds, on one core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from time import perf_counter

from hilum.formats import canonical, cxml, ubl


@dataclass(frozen=True, slots=True)
class Speed:
    """One measured figure."""

    what: str
    bytes: int
    megabytes_per_second: float
    documents_per_second: float


_PARTY = canonical.Party(
    name="Lakeshore",
    identifiers=(
        canonical.Identifier(value="7300010000001", scheme="gln"),
        canonical.Identifier(value="DE987654321", scheme="vat"),
    ),
    address_lines=("1 Harbor Way",),
    city="Milwaukee",
    country="US",
)


def invoice(lines: int) -> canonical.Invoice:
    """An invoice of this many lines that adds up."""
    told = tuple(
        canonical.DocumentLine(
            number=str(at),
            order_number="PO-1",
            order_line=str(at),
            identifiers=(canonical.Identifier(value=f"KNEE-{at}", scheme="vendor"),),
            description="Knee implant, left",
            quantity=Decimal(2),
            unit="EA",
            price=Decimal("1200.50"),
            amount=Decimal("2401.00"),
        )
        for at in range(1, lines + 1)
    )
    net = Decimal("2401.00") * lines
    tax = canonical.Tax(amount=(net * 19 / 100).quantize(Decimal("0.01")), kind="S", rate_percent=Decimal(19))
    return canonical.Invoice(
        number="I-1",
        date="2026-03-05",
        due="2026-04-04",
        currency="EUR",
        order_number="PO-1",
        buyer=_PARTY,
        seller=_PARTY,
        total=net + tax.amount,
        net=net,
        lines=told,
        taxes=(tax,),
        balanced=True,
    )


def documents() -> dict[str, tuple[bytes, Callable[[bytes], int]]]:
    """The bytes to measure and how they are read: a name to (source, work that returns the number of findings)."""
    envelope = cxml.Envelope(payload_id="1@lakeshore", timestamp="2026-03-05T10:00:00Z")
    profile = ubl.Profile(customization=ubl.EN16931)
    found: dict[str, tuple[bytes, Callable[[bytes], int]]] = {}
    for lines in (10, 2000):
        told = invoice(lines)
        found[f"cXML invoice of {lines} lines"] = (cxml.write(cxml.build(told, envelope)), read_cxml)
        found[f"UBL invoice of {lines} lines, EN 16931"] = (ubl.write(ubl.build(told, profile)), read_ubl)
    return found


def read_cxml(data: bytes) -> int:
    """Parses and validates a cXML document."""
    return len(cxml.validate(cxml.parse(data)))


def read_ubl(data: bytes) -> int:
    """Parses and validates a UBL document by the schema and by EN 16931."""
    return len(ubl.validate(ubl.parse(data)))


def measure(seconds: float = 1.0) -> list[Speed]:
    """Every document for about this long; raises ``ValueError`` where one has findings, for then it measured something else."""
    speeds = []
    for what, (data, work) in documents().items():
        if work(data):
            raise ValueError(f"{what} has findings")
        best, until = float("inf"), perf_counter() + seconds
        while perf_counter() < until:
            begun = perf_counter()
            work(data)
            best = min(best, perf_counter() - begun)
        speeds.append(Speed(what, len(data), len(data) / best / 1e6, 1 / best))
    return speeds


if __name__ == "__main__":
    for speed in measure():
        print(
            f"{speed.what:45} {speed.bytes:9} bytes {speed.megabytes_per_second:6.1f} MB/s {speed.documents_per_second:8.0f}/s"
        )
