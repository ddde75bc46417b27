"""What has to hold for any bytes whatever: a typed refusal, or a document that can be checked, shown and written as it was."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from hilum.formats.canonical import as_json
from hilum.formats.findings import Finding, FormatError
from hilum.formats.recognition import recognise

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FORMATS = ("hl7v2", "x12", "cxml", "bai2")
_MOST_FINDINGS = 1000


def check(name: str) -> Callable[[bytes], None]:
    """A function of bytes that fails when the format named does anything but what it promises."""
    module = import_module(f"hilum.formats.{name}")

    def one(data: bytes) -> None:
        recognise(data)
        assert module.recognise(data) in (True, False)
        try:
            document = module.parse(data)
        except FormatError as refused:
            assert refused.code and refused.text and isinstance(refused.finding, Finding)
            return
        findings = module.validate(document)
        assert len(findings) <= _MOST_FINDINGS
        for finding in findings:
            assert isinstance(finding, Finding) and finding.code and finding.text and finding.severity
            finding.details()
        assert module.write(document) == data, "written otherwise than read"
        module.outline(document).as_json(lambda text: "***")
        _typed(lambda: [as_json(each) for each in module.convert(document)])
        _typed(lambda: _acknowledged(name, module, document, findings))

    return one


def _typed(act: Callable[[], Any]) -> None:
    try:
        act()
    except FormatError as refused:
        assert refused.code and refused.text


def _acknowledged(name: str, module: Any, document: Any, findings: list[Finding]) -> None:
    if name == "hl7v2":
        for message in document.messages if isinstance(document, module.Batch) else [document]:
            answer = module.acknowledge(message, "AE", module.validate(message), control_id="H1", timestamp=NOON)
            module.parse(answer)
    elif name == "x12":
        answer = module.acknowledge(document, findings, control_number=1, now=NOON)
        if answer is not None:
            module.parse(module.write(answer))
    elif name == "cxml":
        answer = module.acknowledge(document, findings, payload_id="1@hilum", timestamp=NOON.isoformat())
        module.parse(module.write(answer))
