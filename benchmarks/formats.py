"""The formats beside their public peers in the same run; ``python -m benchmarks --only formats``."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import formats_fhir, formats_hl7v2, formats_x12, formats_xml

STREAM_MEGABYTES = 1000


def report(say: Callable[[str], None], *, quick: int = 1) -> None:
    """Say the results as Markdown: ``quick`` divides the time and the size of everything."""
    say("## HL7 v2\n")
    for line in formats_hl7v2.report(rounds=max(12 // quick, 2)):
        say(line)
    say("\nThe aims are ours: ten times python-hl7 for the full tree, fifty times for lazy access.\n")
    say("## X12\n")
    say(
        "835 and 837P of 100 claims, 850, 856 and 810 of about as many bytes; ours checks SNIP types 1 to 4, balancing included.\n"
    )
    for line in formats_x12.rates(3.0 / quick):
        say(line)
    say("\nThe aims: 20 times pyx12's validation, 10 times x12sdk's models, the supply sets as fast as the 835.\n")
    say(f"Streaming: {formats_x12.stream(STREAM_MEGABYTES // quick)}. The aim is under 200 MB.\n")
    say("## FHIR R4, cXML, UBL\n")
    for rate in formats_fhir.measure([], seconds=2.0 / quick):
        say(
            f"- {rate}; fhir.resources 8.3 was measured once at {formats_fhir.PEER_BUNDLES_PER_SECOND:.0f} files/s on this Bundle"
        )
    for one in formats_xml.measure(seconds=2.0 / quick):
        say(
            f"- {one.what}, {one.bytes:,} bytes: {one.documents_per_second:,.0f} documents/s, {one.megabytes_per_second:.1f} MB/s"
        )
    say("")
