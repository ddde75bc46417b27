"""Fuzz one format with atheris: ``python -m tests.fuzz hl7v2 -max_total_time=600`` (or x12, cxml; any libFuzzer option).

Starts at the own samples, in a corpus that is kept in the folder given by ``--corpus FOLDER`` or thrown away. A crash is
written where ``-artifact_prefix`` says; put it under tests/fuzz/found/FORMAT/ and it is tried in every test run from then on.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["hilum.formats"]):
    from tests.fuzz.checks import FORMATS, check
    from tests.fuzz.mutators import mutator
    from tests.fuzz.seeds import WORDS, seeds

BOUNDS = ("-rss_limit_mb=600", "-timeout=10", "-max_len=6000", "-print_final_stats=1")


def main() -> None:
    """Run until libFuzzer's own options end it, or something is found."""
    options = sys.argv[1:]
    if not options or options[0] not in FORMATS:
        sys.exit(f"usage: python -m tests.fuzz {'|'.join(FORMATS)} [--corpus FOLDER] [libFuzzer options]")
    name = options.pop(0)
    folder = None
    if options[:1] == ["--corpus"]:
        folder, options = Path(options[1]), options[2:]
    with tempfile.TemporaryDirectory() as thrown_away:
        corpus = folder if folder is not None else Path(thrown_away) / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds(name)):
            (corpus / f"seed-{number:03}").write_bytes(seed)
        words = Path(thrown_away) / "words"
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in WORDS[name]))
        with atheris.instrument_imports(include=["hilum.formats"]):
            one = check(name)
        change = mutator(name)

        def mutate(data: bytes, most: int, seed: int) -> bytes:
            dice = random.Random(seed)
            if dice.random() < 0.5:
                return atheris.Mutate(data, most)
            return change(data, dice)[:most]

        atheris.Setup([sys.argv[0], *BOUNDS, f"-dict={words}", *options, str(corpus)], one, custom_mutator=mutate)
        atheris.Fuzz()


def _escaped(word: str) -> str:
    return "".join(
        f"\\x{ord(letter):02x}" if letter in '"\\' or not letter.isprintable() else letter for letter in word
    )


if __name__ == "__main__":
    main()
