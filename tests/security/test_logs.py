"""Logs: resolved secrets and the texts of exceptions stay out; what is needed to find a fault stays in."""

from __future__ import annotations

import io
import json
import logging

import pytest
from pydantic import BaseModel, PositiveInt

from hilum.authoring import Unavailable
from hilum.security.logs import install_logging, keep_out_of_logs


class Dose(BaseModel):
    patient: str
    milligrams: PositiveInt


@pytest.fixture
def logged():
    """Logging installed for one test; call with ``json_lines`` to read what came out."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()

    def install(json_lines=False):
        install_logging(logging.INFO, json_lines=json_lines, stream=stream)
        return stream

    yield install
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_record_is_one_line_with_when_how_bad_who_and_what(logged):
    stream = logged(json_lines=True)
    logging.getLogger("hilum.intake").warning("port %d is %s", 6661, "busy")
    line = json.loads(stream.getvalue())
    assert line.pop("at").endswith("+00:00")
    assert line == {"level": "warning", "logger": "hilum.intake", "message": "port 6661 is busy"}


def test_a_resolved_secret_is_masked_wherever_it_comes_from(logged):
    stream = logged()
    keep_out_of_logs("tr0ub4dor&3")
    keep_out_of_logs("tr0ub4dor&3-and-longer")
    log = logging.getLogger("hilum.connectors")
    log.info("connecting with %s", "tr0ub4dor&3")
    log.info("with tr0ub4dor&3-and-longer")
    assert "tr0ub4dor" not in stream.getvalue()
    assert "and-longer" not in stream.getvalue()
    assert stream.getvalue().count("***") == 2


def test_a_bug_is_logged_by_its_class_and_its_lines_without_the_data_in_its_text(logged):
    stream = logged()
    try:
        Dose.model_validate({"patient": "Katherine Johnson", "milligrams": "MRN-0042"})
    except ValueError:
        logging.getLogger("hilum.flows").exception("step %s stopped", "known_item")
    text = stream.getvalue()
    assert "step known_item stopped" in text
    assert "ValidationError" in text
    assert "test_logs.py:" in text
    assert "Katherine" not in text and "MRN-0042" not in text


def test_the_causes_of_a_failure_are_named_without_their_texts(logged):
    stream = logged()
    try:
        try:
            raise KeyError("MRN-0042")
        except KeyError as missing:
            raise RuntimeError("account ACC-70012 of Katherine Johnson") from missing
    except RuntimeError:
        logging.getLogger("hilum").exception("stopped")
    text = stream.getvalue()
    assert "builtins.RuntimeError" in text and "builtins.KeyError" in text
    assert "0042" not in text and "70012" not in text


def test_why_a_system_is_away_is_told_since_it_holds_no_data(logged):
    stream = logged()
    try:
        raise Unavailable("erp", "connection refused")
    except Unavailable:
        logging.getLogger("hilum").exception("parked")
    assert "erp is unavailable: connection refused" in stream.getvalue()


def test_installing_twice_logs_once(logged):
    logged()
    stream = logged()
    logging.getLogger("hilum").info("ready")
    assert stream.getvalue().count("ready") == 1
