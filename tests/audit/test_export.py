"""An export proves itself with no database at hand, and carries the damage it was made from."""

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from hilum.audit.export import Export, NotAnExport, export_log, verify_export
from hilum.audit.heads import HeadsFile
from hilum.audit.signing import Signer

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def exports(office: Any, target: Path) -> Any:
    async def work() -> Any:
        async with office.pool.acquire() as connection:
            return await export_log(connection, target, public_key=office.signer.public_key, at=NOON)

    return office.run(work())


@pytest.fixture
def kept(office: Any) -> Any:
    """Ten entries w/1 to w/10 of two shards, under three heads."""
    for numbers in (range(1, 5), range(5, 9), range(9, 11)):
        office.records(*(f"w/{number}" for number in numbers), shard=numbers.start // 5)
        office.sequences()
    return office


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
def test_an_export_is_whole_without_its_database(kept: Any, tmp_path: Path, name: str) -> None:
    kept.records("w/11")
    target = tmp_path / name
    summary = exports(kept, target)
    assert (summary.leaves, summary.heads, summary.pending) == (10, 3, 1)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [name]
    report = verify_export(Export(target), public_key=kept.signer.public_key, heads_file=kept.heads_file)
    assert report.whole
    assert (report.leaves, report.heads, report.published_heads) == (10, 3, 3)


def test_an_export_holds_the_exact_bytes(kept: Any, tmp_path: Path) -> None:
    exports(kept, tmp_path / "log.jsonl")
    lines = [orjson.loads(line) for line in (tmp_path / "log.jsonl").read_bytes().splitlines()]
    entries = {line["subject"]: line["entry"].encode() for line in lines if "leaf" in line}
    stored = {row["subject"]: row["entry"] for row in kept.rows("SELECT subject, entry FROM hilum.audit_entry")}
    assert entries == stored
    assert lines[0]["format"] == "hilum-audit-export" and lines[-1] == {"end": {"leaves": 10, "heads": 3}}


def test_an_entry_changed_in_the_export_is_named(kept: Any, tmp_path: Path) -> None:
    target = tmp_path / "log.jsonl"
    exports(kept, target)
    target.write_bytes(target.read_bytes().replace(b'\\"subject\\":\\"w/6\\"', b'\\"subject\\":\\"w/7\\"'))
    report = verify_export(Export(target), public_key=kept.signer.public_key)
    assert [damage.kind for damage in report.damages] == ["entry-changed"]
    assert (report.first.leaf, report.first.shard, report.first.seq, report.first.subject) == (5, 1, 2, "w/6")


def test_damage_in_the_database_is_exported_as_it_stands(kept: Any, tmp_path: Path) -> None:
    kept.tampers("DELETE FROM hilum.audit_entry WHERE subject = 'w/3'")
    kept.tampers("UPDATE hilum.audit_entry SET entry = '\\xff00' WHERE subject = 'w/7'")
    exports(kept, tmp_path / "log.jsonl")
    report = verify_export(Export(tmp_path / "log.jsonl"), public_key=kept.signer.public_key)
    assert {(damage.kind, damage.leaf) for damage in report.damages} == {("entry-missing", 2), ("entry-changed", 6)}


@pytest.mark.parametrize("kept_lines", [2, 9, 16])
def test_an_export_that_was_cut_off_says_so(kept: Any, tmp_path: Path, kept_lines: int) -> None:
    target = tmp_path / "log.jsonl"
    exports(kept, target)
    target.write_bytes(b"".join(target.read_bytes().splitlines(keepends=True)[:kept_lines]))
    report = verify_export(Export(target), public_key=kept.signer.public_key)
    assert "export-damaged" in [damage.kind for damage in report.damages]


def test_a_compressed_export_that_was_cut_off_says_so(office: Any, tmp_path: Path) -> None:
    office.records(*(f"w/{number}" for number in range(3000)))
    office.sequences()
    target = tmp_path / "log.jsonl.gz"
    exports(office, target)
    target.write_bytes(target.read_bytes()[: target.stat().st_size // 2])
    report = verify_export(Export(target), public_key=office.signer.public_key)
    assert "export-damaged" in [damage.kind for damage in report.damages]


def test_an_export_shortened_to_an_earlier_head_is_found_by_the_published_heads(kept: Any, tmp_path: Path) -> None:
    target = tmp_path / "log.jsonl"
    exports(kept, target)
    lines = target.read_bytes().splitlines(keepends=True)
    second_head = [place for place, line in enumerate(lines) if line.startswith(b'{"head"')][1]
    target.write_bytes(b"".join([*lines[: second_head + 1], b'{"end":{}}\n']))
    assert verify_export(Export(target), public_key=kept.signer.public_key).whole
    report = verify_export(Export(target), public_key=kept.signer.public_key, heads_file=kept.heads_file)
    assert [damage.kind for damage in report.damages] == ["head-missing"]


def test_an_export_of_another_log_is_not_signed_by_this_ones_key(kept: Any, tmp_path: Path) -> None:
    exports(kept, tmp_path / "log.jsonl")
    other = Signer.open(tmp_path / "other")
    report = verify_export(Export(tmp_path / "log.jsonl"), public_key=other.public_key)
    assert [damage.kind for damage in report.damages] == ["head-forged"] * 3 + ["head-missing"]
    assert verify_export(Export(tmp_path / "log.jsonl")).whole


@pytest.mark.parametrize(
    "content",
    [b"", b"nothing", b"{}\n", b"\x1f\x8bnothing", b'{"format":"hilum-audit-export","version":9,"public_key":""}\n'],
)
def test_a_file_that_is_no_export_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log.jsonl").write_bytes(content)
    with pytest.raises(NotAnExport, match=r"log\.jsonl is"):
        Export(tmp_path / "log.jsonl")


@pytest.mark.parametrize(
    "line", [b"nothing", b"[]", b"{}", b'{"range":{}}', b'{"head":{"size":"4"}}', b'{"leaf":0,"entry":1}']
)
def test_a_line_that_cannot_be_read_is_named(kept: Any, tmp_path: Path, line: bytes) -> None:
    target = tmp_path / "log.jsonl.gz"
    exports(kept, target)
    lines = gzip.decompress(target.read_bytes()).split(b"\n")
    lines[3] = line
    target.write_bytes(gzip.compress(b"\n".join(lines)))
    report = verify_export(Export(target), public_key=kept.signer.public_key)
    (damage,) = [damage for damage in report.damages if damage.kind == "export-damaged"]
    assert "line 4 of" in damage.text


def test_heads_published_elsewhere_are_read_from_a_copy(kept: Any, tmp_path: Path) -> None:
    exports(kept, tmp_path / "log.jsonl")
    heads = list(HeadsFile(kept.heads_file).read())
    copy = HeadsFile(tmp_path / "copy.jsonl")
    copy.append(heads[:2])
    report = verify_export(Export(tmp_path / "log.jsonl"), public_key=kept.signer.public_key, heads_file=copy.path)
    assert report.whole and report.unpublished_heads == 1
