"""Files are fetched from a real OpenSSH server: each once, gone there only when safe here, whatever breaks in between."""

from __future__ import annotations

import os

import pytest
from tests.transports.sftp.sftp_parts import Installation, by_sftp, remittance

from hilum.testing.neighbours.openssh import OpenSsh, make_key

pytestmark = pytest.mark.slow

PATIENT_NAME = "kanari-ana-19610412.835"


def settled(installation: Installation, count: int) -> None:
    """Until so many files came to their end at the partner's."""
    installation.until(lambda: installation.files().count("finished") == count)


def test_a_remittance_is_fetched_stored_and_archived_at_the_partners(
    installation: Installation, partner: OpenSsh
) -> None:
    content = remittance("EFT-1")
    partner.put(PATIENT_NAME, content)
    partner.put("half.835.part", content)
    partner.put("old.835", content, folder="elsewhere")
    os.symlink("/etc/hostname", partner.files / "link.835")
    with installation.running():
        settled(installation, 1)
        [message] = installation.ask("SELECT system, transport, type, status FROM message")
        assert tuple(message) == ("clearinghouse", "sftp", "835", "accepted")
        assert partner.lying("archive") == [PATIENT_NAME]
        assert partner.lying() == ["half.835.part", "link.835"] and partner.lying("elsewhere") == ["old.835"]

        partner.put(PATIENT_NAME, content)  # The same name and content again: another file, the same fact.
        settled(installation, 2)
        assert installation.messages() == ["accepted", "duplicate"] and installation.facts() == 1
        assert len(partner.lying("archive")) == 2, "SFTP replaces nothing: the second has a name of its own"
    assert "kanari" not in installation.log().lower(), "names of files may be names of patients"
    tables = installation.ask("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'hilum'")
    rows = [r["row"] for t in tables for r in installation.ask(f"SELECT t::text AS row FROM {t['name']} t")]
    assert rows and not [row for row in rows if "kanari" in row.lower()]


POINTS = (
    "sftp.before_fetched", "sftp.fetched", "sftp.arrived", "folder.claimed", "intake.after_commit",
    "folder.before_receipt", "folder.moved", "sftp.before_finish", "sftp.before_finished", "sftp.finished",
)  # fmt: skip


def test_processes_killed_one_after_the_other_neither_lose_nor_double_a_file(
    installation: Installation, partner: OpenSsh
) -> None:
    """Each begins with what the one before left, and dies with a file of its own in its hands."""
    for number, point in enumerate(POINTS):
        two = remittance(f"EFT-{number}a", number=number) + remittance(f"EFT-{number}b", number=100 + number)
        with installation.running(HILUM_FAULT=f"{point}=kill@{1 if not number else 2}") as process:
            # The first passing of a point may be by the file that was left; the second is by the new one.
            partner.put(f"{number:02}.835", two)
            if number:
                partner.put(f"{number:02}-more.835", remittance(f"EFT-{number}c", number=200 + number))
            installation.until(lambda process=process: process.poll() is not None)
            assert process.returncode == -9, installation.log()
    count = 2 * len(POINTS) - 1
    with installation.running():
        settled(installation, count)
    assert partner.lying() == [] and len(partner.lying("archive")) == count
    assert installation.messages() == ["accepted"] * (3 * len(POINTS) - 1)
    assert installation.facts() == 3 * len(POINTS) - 1
    fetched = installation.data / "sftp" / "clearinghouse"
    assert [*fetched.glob("fetched/*"), *fetched.glob("fetched/.*"), *fetched.glob("fetched.work/*")] == []
    assert len([p for p in fetched.glob("fetched.done/*") if p.suffix != ".json"]) == count


@pytest.mark.parametrize(("after", "left"), [("remove", []), ("keep", ["monday.835"])])
def test_what_becomes_of_a_file_at_the_partners_is_the_estates_choice(
    installation: Installation, partner: OpenSsh, after: str, left: list[str]
) -> None:
    installation.clearinghouse(by_sftp(partner, after=after))
    partner.put("monday.835", remittance("EFT-1"))
    with installation.running():
        settled(installation, 1)
        assert partner.lying() == left and partner.lying("archive") == []
        partner.put("tuesday.835", remittance("EFT-2", number=2))
        settled(installation, 2)
    with installation.running():
        partner.put("wednesday.835", remittance("EFT-3", number=3))
        settled(installation, 3)
    assert installation.messages() == ["accepted"] * 3, (
        "what was kept there is not fetched again, also by a new process"
    )


def test_a_file_that_grows_is_left_until_it_is_whole(installation: Installation, partner: OpenSsh) -> None:
    content = remittance("EFT-1", claims=50)
    place = partner.put("growing.835", content[:400])
    partner.put("whole.835", remittance("EFT-2", number=2))
    installation.clearinghouse(by_sftp(partner, settle_seconds=0.6))
    with installation.running():
        with place.open("ab") as out:
            for start in range(400, len(content), 250):
                out.write(content[start : start + 250])
                out.flush()
                installation.ask("SELECT pg_sleep(0.05)")
        settled(installation, 2)
    assert installation.messages() == ["accepted", "accepted"]
    assert place.name in partner.lying("archive")


def test_a_changed_host_key_stops_everything_and_says_so_until_it_is_the_known_one_again(
    installation: Installation, partner: OpenSsh
) -> None:
    good = (partner.home / "host_key").read_bytes()
    partner.put("monday.835", remittance("EFT-1"))
    stranger = partner.new_host_key()
    partner.restart()
    with installation.running():
        installation.until(installation.work)
        [item] = installation.ask("SELECT queue, owner, cause, state, title, remedy FROM work_item")
        assert (item["queue"], item["cause"]) == ("integration", "SftpPartner:clearinghouse/HostKeyRefused")
        assert "shows the host key SHA256:" in item["title"] and "by telephone" in item["remedy"]
        assert stranger.split()[1] not in item["title"] and installation.messages() == []
        assert partner.lying() == ["monday.835"]

        (partner.home / "host_key").write_bytes(good)
        partner.restart()
        settled(installation, 1)
        assert installation.work() == [("SftpPartner:clearinghouse/HostKeyRefused", "resolved")]


def test_a_key_that_the_partner_does_not_take_is_work_for_a_person(
    installation: Installation, partner: OpenSsh, tmp_path
) -> None:
    ours = (partner.home / "authorized_keys").read_text()
    partner.admits(make_key(tmp_path / "somebody-elses"))
    partner.put("monday.835", remittance("EFT-1"))
    with installation.running():
        installation.until(installation.work)
        assert installation.work() == [("SftpPartner:clearinghouse/LoginRefused", "open")]
        partner.admits(ours)
        settled(installation, 1)
        assert installation.work() == [("SftpPartner:clearinghouse/LoginRefused", "resolved")]


def test_a_server_that_is_away_is_visited_again_and_nothing_is_anybodys_work(
    installation: Installation, partner: OpenSsh
) -> None:
    installation.clearinghouse(by_sftp(partner, path=f"{partner.files}/elsewhere"))
    with installation.running():
        installation.until(lambda: "the folder that is named is not there" in installation.log())
    installation.clearinghouse(by_sftp(partner))
    partner.stop()
    with installation.running() as process:
        installation.until(lambda: "clearinghouse was not reached" in installation.log())
        partner.put("monday.835", remittance("EFT-1"))
        partner.start()
        settled(installation, 1)
        partner.restart()  # Every session is cut.
        partner.put("tuesday.835", remittance("EFT-2", number=2))
        settled(installation, 2)
        assert process.poll() is None
    assert installation.work() == []


def test_what_is_too_large_stays_there_and_garbage_is_put_aside_and_neither_holds_up_others(
    installation: Installation, partner: OpenSsh
) -> None:
    installation.clearinghouse(by_sftp(partner, max_file_bytes=20_000))
    partner.put("huge.835", b"ISA*" + b"x" * 30_000)
    partner.put("noise.835", os.urandom(4000))
    partner.put("unreadable.835", remittance("EFT-9", number=9)).chmod(0o000)
    partner.put("zip.835", b"PK\x05\x06" + bytes(18))
    partner.put("monday.835", remittance("EFT-1"))
    with installation.running():
        settled(installation, 3)
        installation.until(lambda: sorted(installation.files()) == ["finished"] * 3 + ["refused"])
    assert partner.lying() == ["huge.835", "unreadable.835"]
    assert partner.lying("archive") == ["monday.835", "noise.835", "zip.835"]
    said = {row["problem"] for row in installation.ask("SELECT problem FROM fetched_file")}
    assert said == {
        "", "it has 30004 bytes; at most 20000 are taken", "it is neither HL7 v2 nor X12 nor JSON",
        "it is packed; drop the files themselves",
    }  # fmt: skip
    assert installation.messages() == ["accepted"]


def test_a_partner_in_a_network_nobody_declared_is_not_connected_to(
    installation: Installation, partner: OpenSsh
) -> None:
    installation.clearinghouse(by_sftp(partner).replace("127.0.0.0/8", "10.20.0.0/16"))
    partner.put("monday.835", remittance("EFT-1"))
    with installation.running():
        installation.until(installation.work)
    assert installation.work() == [("SftpPartner:clearinghouse/EgressRefused", "open")]
    assert (
        "Connection from"
        not in (partner.home / "sshd.log").read_text().partition("listening")[2].replace("Connection closed", "")
        or installation.messages() == []
    )


def test_the_private_key_and_what_it_opens_stand_in_no_log(installation: Installation, partner: OpenSsh) -> None:
    partner.put("monday.835", remittance("EFT-1"))
    key = (installation.data / "secrets" / "clearinghouse").read_text()
    with installation.running():
        settled(installation, 1)
    lines = [line for line in key.splitlines() if not line.startswith("-")]
    assert lines and not [line for line in lines if line in installation.log()]
