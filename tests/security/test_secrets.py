"""Secrets by reference: what is read, what is refused, and that a value is never repeated."""

from __future__ import annotations

import pytest

from hilum.security.secrets import SecretMissing, SecretUnusable, is_reference, resolve_secret

VALUE = "correct-horse-battery"


def keep(path, text=VALUE, mode=0o600):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_file_is_read_relative_to_its_base_or_absolutely(tmp_path):
    kept = keep(tmp_path / "secrets" / "erp", VALUE + "\n")
    assert resolve_secret("file:secrets/erp", tmp_path) == VALUE
    assert resolve_secret(f"file:{kept}", tmp_path / "elsewhere") == VALUE


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("s3cret", "s3cret"),
        ("s3cret\n", "s3cret"),
        ("s3cret\r\n", "s3cret"),
        ("s3cret\n\n", "s3cret\n"),
        (" s3 ", " s3 "),
    ],
)
def test_one_newline_at_the_end_is_the_editors_and_the_rest_is_the_secrets(tmp_path, written, value):
    (tmp_path / "s").write_bytes(written.encode())
    (tmp_path / "s").chmod(0o600)
    assert resolve_secret("file:s", tmp_path) == value


def test_a_variable_is_read_from_the_environment(tmp_path):
    assert resolve_secret("env:ERP_PASSWORD", tmp_path, {"ERP_PASSWORD": VALUE}) == VALUE


@pytest.mark.parametrize("reference", ["env:ERP_PASSWORD", "file:secrets/erp"])
def test_a_missing_secret_is_named_by_its_reference(tmp_path, reference):
    with pytest.raises(SecretMissing, match=reference):
        resolve_secret(reference, tmp_path, {"OTHER": VALUE})


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o666, 0o602])
def test_a_file_that_every_user_can_read_or_change_is_refused(tmp_path, mode):
    keep(tmp_path / "erp", mode=mode)
    with pytest.raises(SecretUnusable, match="chmod 600") as refused:
        resolve_secret("file:erp", tmp_path)
    assert VALUE not in str(refused.value)


def test_a_file_that_the_group_can_read_is_an_operators_choice(tmp_path):
    keep(tmp_path / "erp", mode=0o640)
    assert resolve_secret("file:erp", tmp_path) == VALUE


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_secret_is_not_a_secret(tmp_path, text):
    keep(tmp_path / "erp", text)
    with pytest.raises(SecretUnusable, match="file:erp: the secret is empty"):
        resolve_secret("file:erp", tmp_path)
    with pytest.raises(SecretUnusable, match="env:ERP: the secret is empty"):
        resolve_secret("env:ERP", tmp_path, {"ERP": text})


def test_what_is_no_text_or_no_file_is_refused(tmp_path):
    (tmp_path / "key").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(SecretUnusable, match="not UTF-8"):
        resolve_secret("file:key", tmp_path)
    with pytest.raises(SecretUnusable, match="cannot be read"):
        resolve_secret("file:.", tmp_path)


def test_a_secret_in_plain_text_is_refused_without_being_repeated(tmp_path):
    with pytest.raises(SecretUnusable, match="plain text") as refused:
        resolve_secret(VALUE, tmp_path)
    assert VALUE not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "refers"),
    [
        ("file:secrets/erp", True),
        ("file:a file with spaces", True),
        ("env:ERP_PASSWORD", True),
        ("file:", False),
        ("env:", False),
        ("env:ERP PASSWORD", False),
        ("ENV:ERP", False),
        (VALUE, False),
        ("", False),
    ],
)
def test_what_refers_to_a_secret(text, refers):
    assert is_reference(text) is refers
