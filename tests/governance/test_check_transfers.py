"""The check's rules of files that come and go: partners that cannot be reached, answers to nobody, files that nobody sends."""

from __future__ import annotations

import re

import pytest

from hilum.authoring.estate_transfer import SftpListen
from hilum.governance.loader import read_estate
from hilum.governance.rules.mappings import mapping_problems
from hilum.governance.rules.secrecy import secrecy_problems
from hilum.governance.rules.transfers import transfer_problems

FILE = "systems/clearinghouse.toml"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBV4ccwliOda02xKfZmxoi0rfn3JdGpZ+KbVaWfBl6cF"
FOLDER = '[listen.folder]\npath = "inbox/remittances"\n'
SFTP = f'[listen.sftp]\nhost = "sftp.example"\nuser = "lakeshore"\nkey = "file:secrets/x"\nhost_keys = ["{KEY}"]\n'
ACCOUNT = f'[listen.sftp_account]\nuser = "harbor"\nkeys = ["{KEY}"]\n'


def expect(**changed: str) -> str:
    said = {
        "name": '"hhp01"',
        "title": '"The 835"',
        "message": '"835"',
        "by": '"07:30"',
        "queue": '"cash-posting"',
        **changed,
    }
    return "[[expect]]\n" + "".join(f"{name} = {value}\n" for name, value in said.items())


# name: (the clearinghouse's tables, what is said)
BROKEN = {
    "no host key": (SFTP.replace(f'["{KEY}"]', "[]"), "host_keys` cannot be used"),
    "a host key that is none": (SFTP.replace(KEY, "SHA256:abc"), "ssh-ed25519 AAAA"),
    "a private key in the estate": (SFTP.replace("file:secrets/x", "-----BEGIN OPENSSH PRIVATE KEY-----"), "key` cannot be used"),
    "a passphrase in the estate": (SFTP + 'passphrase = "let me in"\n', "a secret in plain text"),
    "a password": (SFTP + 'password = "file:secrets/y"\n', "password` is not a setting"),
    "a partner at the metadata service": (SFTP.replace("sftp.example", "169.254.169.254"), "link-local, metadata"),
    "a partner on loopback that nobody declared": (SFTP.replace("sftp.example", "127.0.0.1"), "private or loopback"),
    "a partner with a port in its name": (SFTP.replace("sftp.example", "sftp.example:22"), "neither a plain name"),
    "a queue for partners that is none": (SFTP + 'queue = "nowhere"\n', "There is no queue nowhere"),
    "a queue for files that is none": (FOLDER + expect(queue='"nowhere"'), "There is no queue nowhere"),
    "a file that no mapping takes": (FOLDER + expect(message='"837"'), "no mapping takes that from it"),
    "a field that no event has": (FOLDER + expect(where='{ payr = "HHP01" }'), "asks what `payr` says"),
    "two expectations of one name": (FOLDER + expect() + expect(by='"18:00"'), "2 expectations called hhp01"),
    "a time of day that is none": (FOLDER + expect(by='"7:30"'), "by` cannot be used"),
    "days that are none": (FOLDER + expect(days='"weekdays"'), "mon-fri"),
    "answers pushed to nobody": (FOLDER + '[answers]\nx12 = "999"\npush = "in"\n', "has no server to push them to"),
    "answers out of the data": (FOLDER + '[answers]\nx12 = "999"\noutbox = "../x"\n', "not inside the platform's data"),
    "answers both ways": (SFTP + '[answers]\nx12 = "999"\noutbox = "x"\npush = "y"\n', "not to both"),
    "answers to nothing": ('[answers]\nx12 = "ta1"\n', "and sends no X12"),
    "nothing that brings X12": ('[listen.webhook]\npath = "/x"\nsecret = "file:x"\n', "Nothing brings 835"),
}  # fmt: skip


def said_of(estate, tables: str) -> list[str]:
    path = estate.root / FILE
    path.write_text(path.read_text().partition("\n# Remittances")[0] + "\n" + tables)
    loaded = read_estate(estate.root)
    found = [*loaded.problems, *secrecy_problems(loaded), *transfer_problems(loaded), *mapping_problems(loaded)]
    return [str(problem) for problem in found if problem.where.startswith(FILE) and "brings table" not in str(problem)]


@pytest.mark.parametrize("name", BROKEN)
def test_the_estate_is_refused(estate, name: str) -> None:
    tables, said = BROKEN[name]
    found = said_of(estate, tables)
    assert [each for each in found if said in each], found


@pytest.mark.parametrize(
    "tables",
    [
        SFTP + '[answers]\nx12 = "999"\npush = "in"\n' + expect(where='{ payer = "HHP01" }', holidays="[2026-12-25]"),
        ACCOUNT + '[answers]\nx12 = "ta1"\n',
        '[listen.webhook]\npath = "/835"\nsecret = "file:x"\nx12 = true\n[answers]\nx12 = "999"\n',
        SFTP.replace("sftp.example", "10.20.0.5") + '[egress]\nnetworks = ["10.20.0.0/16"]\n',
    ],
    ids=["sftp", "account", "http", "private"],
)
def test_the_estate_is_good(estate, tables: str) -> None:
    assert said_of(estate, tables) == []


def test_two_partners_have_no_account_in_common(estate) -> None:
    estate.adds("systems/payer.toml", "\n" + ACCOUNT)
    assert [each for each in said_of(estate, ACCOUNT) if "and so does" in each] or [
        str(p) for p in transfer_problems(read_estate(estate.root)) if "and so does clearinghouse" in str(p)
    ]


def test_the_example_of_the_reference_estate_can_be_used_as_it_is_written(lakeshore) -> None:
    text = (lakeshore / FILE).read_text()
    commented = text.partition("# [listen.sftp]\n")[2].partition("#\n")[0]
    settings = dict(re.findall(r'^# (\w+) = (?:"|\[")?([^"\n]*)', commented, re.MULTILINE))
    assert settings.keys() <= SftpListen.model_fields.keys() and {"host", "key", "host_keys"} <= settings.keys()
