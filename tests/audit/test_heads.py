"""Keys, signatures and the file of published heads."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from hilum.audit.heads import HeadsDamaged, HeadsFile, head_line
from hilum.audit.signing import KeyProblem, SignedHead, Signer, public_pem, read_public_key

EIGHT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.open(tmp_path / "audit")


def some_heads(signer: Signer, *sizes: int) -> list[SignedHead]:
    return [signer.sign(size, bytes([size]) * 32, EIGHT) for size in sizes]


def test_the_key_pair_is_made_once_and_kept_from_other_users(tmp_path: Path) -> None:
    first = Signer.open(tmp_path / "audit")
    again = Signer.open(tmp_path / "audit")
    assert (tmp_path / "audit/signing-key.pem").stat().st_mode & 0o777 == 0o600
    assert first.key_id == again.key_id
    assert public_pem(read_public_key(tmp_path / "audit/public-key.pem")) == public_pem(first.public_key)
    assert sorted(path.name for path in (tmp_path / "audit").iterdir()) == ["public-key.pem", "signing-key.pem"]


def test_a_private_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    Signer.open(tmp_path)
    (tmp_path / "signing-key.pem").chmod(0o644)
    with pytest.raises(KeyProblem, match="chmod 600"):
        Signer.open(tmp_path)


def test_a_public_key_of_another_log_is_refused(tmp_path: Path) -> None:
    Signer.open(tmp_path / "here")
    Signer.open(tmp_path / "there")
    (tmp_path / "here/public-key.pem").write_bytes((tmp_path / "there/public-key.pem").read_bytes())
    with pytest.raises(KeyProblem, match="does not belong to"):
        Signer.open(tmp_path / "here")


def test_what_is_signed_is_a_readable_checkpoint(signer: Signer) -> None:
    head = signer.sign(3, bytes(32), EIGHT)
    assert head.signed_bytes().decode() == (
        f"hilum-audit/{signer.key_id}\n3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nat 2026-11-21T08:00:00.000000Z\n"
    )
    assert head.is_signed_by(signer.public_key)
    assert SignedHead.from_fields(head.as_fields()) == head


def test_a_changed_head_or_another_key_does_not_verify(signer: Signer, tmp_path: Path) -> None:
    head = signer.sign(3, bytes(32), EIGHT)
    larger = SignedHead(4, head.root, head.at, head.key_id, head.signature)
    other = Signer.open(tmp_path / "other")
    assert not larger.is_signed_by(signer.public_key)
    assert not head.is_signed_by(other.public_key)
    assert not SignedHead(3, head.root, head.at, other.key_id, head.signature).is_signed_by(other.public_key)


def test_heads_are_read_as_they_were_appended(signer: Signer, tmp_path: Path) -> None:
    file = HeadsFile(tmp_path / "heads.jsonl")
    heads = some_heads(signer, 1, 2, 5)
    assert file.last() is None
    file.append(heads[:2])
    published = file.length()
    file.append(heads[2:])
    assert file.last() == heads[2]
    assert list(file.read()) == heads
    assert list(file.read(published)) == heads[:2]


@pytest.mark.parametrize("kept", [1, 40, 200])
def test_a_line_cut_short_by_a_crash_is_written_again(signer: Signer, tmp_path: Path, kept: int) -> None:
    file = HeadsFile(tmp_path / "heads.jsonl")
    heads = some_heads(signer, 1, 2, 5)
    file.append(heads[:1])
    with file.path.open("ab") as handle:
        handle.write(head_line(heads[1])[:kept])
    assert file.last() == heads[0]
    assert list(file.read()) == heads[:1]
    file.append(heads[1:])
    assert file.last() == heads[2]
    assert list(file.read()) == heads


def test_a_garbled_line_is_named(signer: Signer, tmp_path: Path) -> None:
    file = HeadsFile(tmp_path / "heads.jsonl")
    file.append(some_heads(signer, 1, 2, 5))
    lines = file.path.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b'"size":2', b'"size":x')
    file.path.write_bytes(b"\n".join(lines))
    with pytest.raises(HeadsDamaged, match="line 2 of"):
        list(file.read())
    lines[2] = b"nothing"
    file.path.write_bytes(b"\n".join(lines))
    with pytest.raises(HeadsDamaged, match="the last line"):
        file.last()
