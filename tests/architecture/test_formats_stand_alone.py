"""The formats are a library of their own: one shape for all, nothing of the platform behind them."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from hilum.formats.findings import FormatError
from hilum.formats.recognition import FORMATS

OF_THE_PLATFORM = ("asyncio", "asyncpg", "dbos", "httpx2", "pydantic", "socket", "starlette", "uvicorn")
ANSWERING = {"hl7v2", "x12", "fhir", "cxml"}
"""Formats whose standard has an acknowledgement."""


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_imported_without_the_platform(name: str):
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys, {FORMATS[name].package}; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert f"hilum.formats.{FORMATS[name].package.rpartition('.')[2]}" in loaded
    ours = [module for module in loaded if module.startswith("hilum.") and not module.startswith("hilum.formats")]
    assert ours == [], "a format is bytes to documents and back; who uses it stands above"
    assert not set(OF_THE_PLATFORM).intersection(loaded), "a pure library loads neither network nor frameworks"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_the_same_shape(name: str):
    module = import_module(FORMATS[name].package)
    wanted = {"parse", "validate", "write", "outline", "recognise"} | ({"acknowledge"} if name in ANSWERING else set())
    assert wanted - set(module.__all__) == set(), "one shape for all formats"


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_no_document_at_all_is_a_typed_error_or_a_finding(name: str):
    module = import_module(FORMATS[name].package)
    for data in (b"", b"\0", b"\xff\xfe", b"ISA", b"MSH|", b"<", b"{", b"]d2"):
        try:
            document = module.parse(data)
        except FormatError as error:
            assert error.code and error.text
        else:
            assert isinstance(module.validate(document), list)
