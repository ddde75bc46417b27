"""The four commands on damaged files: real ones cut, mixed and overwritten. Always an exit code, never a traceback."""

from __future__ import annotations

import os
import pty
import random
import select
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.cli.format_terminal import ROOT, Terminal, hilum
from tests.fuzz.mutators import mutator
from tests.fuzz.seeds import seeds

COMMANDS = ("parse", "validate", "ack", "convert")
CORPUS = ROOT.parent / "shared" / "data"
SMALL = (
    sorted(path for path in CORPUS.rglob("*") if path.is_file() and 0 < path.stat().st_size < 12_000)
    if CORPUS.is_dir()
    else []
)
OWN = [(name, seed) for name in ("hl7v2", "x12", "cxml") for seed in seeds(name)]
ROUNDS = 30


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Cut, doubled, overwritten, in another encoding, or with something else in the middle."""
    for _ in range(dice.randint(1, 3)):
        at, to = sorted((dice.randrange(len(data) + 1), dice.randrange(len(data) + 1)))
        act = dice.randrange(6)
        if act == 0:
            data = data[:at]
        elif act == 1:
            data = data[:at] + data[to:]
        elif act == 2:
            data = data[:to] + data[at:]
        elif act == 3:
            data = data[:at] + dice.randbytes(dice.randint(1, 8)) + data[at:]
        elif act == 4:
            data = data.decode("latin-1").encode(dice.choice(["utf-16", "utf-8", "utf-16-be", "utf-8-sig"]))
        else:
            data = data[:at] + dice.choice(OWN)[1] + data[at:]
        data = data[:40_000]
    return data


def all_four(terminal: Terminal, data: bytes, dice: random.Random) -> None:
    for command in COMMANDS:
        options = ["--json"] if dice.random() < 0.3 else []
        if command == "parse" and dice.random() < 0.3:
            options.append("--show-phi")
        terminal.types(command, "-", *options, stdin=data)


@pytest.mark.skipif(not SMALL, reason="the corpora shared/data are not beside this checkout")
def test_real_files_damaged_are_answered_in_sentences(terminal):
    dice = random.Random(11)
    for _ in range(ROUNDS):
        path: Path = dice.choice(SMALL)
        all_four(terminal, damaged(path.read_bytes(), dice), dice)


def test_own_files_with_their_grammar_alive_are_answered_in_sentences(terminal):
    dice = random.Random(12)
    for _ in range(ROUNDS // 2):
        name, seed = dice.choice(OWN)
        all_four(terminal, mutator(name)(seed, dice), dice)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=400), st.text(max_size=200).map(str.encode)))
def test_any_bytes_are_answered_in_sentences(terminal, data):
    for command in COMMANDS:
        terminal.types(command, "-", stdin=data)


def test_a_bar_is_shown_on_a_terminal_alone(tmp_path):
    long = tmp_path / "long.csv"
    long.write_bytes(b"item,count\n" + b"KNEE-99,2\n" * 900_000)
    ours, theirs = pty.openpty()
    process = hilum("validate", str(long), stdout=theirs, errors=theirs, env=os.environ | {"TERM": "xterm"})
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # The other end is closed: this is how a terminal says so.
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait(60) == 0
    assert "nothing wrong" in shown.decode() and b"MB" in shown and "━".encode() in shown
