"""A watched folder: each file is taken once and put away with a receipt, and no trick with files gets anything else in."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import stat
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from hilum.testing.clock import StoppedClock
from hilum.transports.folder import FolderDrop, FolderUnusable, Part, Taken, open_folder
from hilum.transports.folder.messages import Bounds

KB = 1024


def hl7(control_id: str, *, more: str = "") -> bytes:
    return (
        f"MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20260302073000||ADT^A04|{control_id}|P|2.5.1\r"
        f"EVN|A04|20260302073000\rPID|1||100^^^ST-MARY^MR||KANARI^ANA{more}\rPV1|1|I|4W\r"
    ).encode()


def batch(*messages: bytes, said: int | None = None) -> bytes:
    count = len(messages) if said is None else said
    return b"FHS|^~\\&|EHR\rBHS|^~\\&|EHR\r" + b"".join(messages) + f"BTS|{count}\rFTS|1\r".encode()


@dataclass
class Drop:
    """A watched folder, what came through it, and what it said of files it did not take."""

    data: Path
    watch: FolderDrop
    clock: StoppedClock
    seconds: list[float]
    taken: list[tuple[Part, str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    stored: dict[str, Taken] = field(default_factory=dict)
    fails: int = 0

    @property
    def inbox(self) -> Path:
        return self.data / "drops" / "ehr"

    def put(self, name: str, content: bytes) -> Path:
        file = self.inbox / name
        file.write_bytes(content)
        return file

    def watches(self, *, rounds: int = 3) -> None:
        for _ in range(rounds):
            asyncio.run(self.watch.run_once())
            self.seconds[0] += 1
            self.clock.passes(seconds=1)

    def lying(self, which: str = "") -> list[str]:
        folder = self.inbox.with_name(f"ehr.{which}") if which else self.inbox
        return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".json"))

    def notes(self, which: str) -> list[dict[str, Any]]:
        return [json.loads(p.read_bytes()) for p in sorted(self.inbox.with_name(f"ehr.{which}").glob("*.json"))]

    def refusal(self) -> str:
        """Why the only file was refused; nothing of it was taken in, and nothing is left to be taken."""
        assert self.taken == []
        assert self.lying() == [] and self.lying("work") == []
        [note] = self.notes("refused")
        [said] = self.said
        assert note["refused"] == said
        return said


def opened(
    data: Path,
    clock: StoppedClock | None = None,
    *,
    settle_seconds: float = 0.0,
    keeps_since: Any = None,
    **bounds: Any,
) -> Drop:
    limits = {
        "max_file_bytes": 256 * KB, "max_message_bytes": 32 * KB, "max_messages": 100, "archives": False, **bounds,
    }  # fmt: skip
    clock, seconds = clock if clock is not None else StoppedClock(), [0.0]

    async def take(part: Part, peer: str) -> Taken:
        if drop.fails:
            drop.fails -= 1
            raise ConnectionError("the store is away")
        drop.taken.append((part, peer))
        drop.stored[peer] = Taken("refused" if b"REFUSED" in part.data else "accepted", f"m/1/{len(drop.taken)}")
        return drop.stored[peer]

    async def stored(peers: Sequence[str], since: datetime) -> Mapping[str, Taken]:
        return {peer: drop.stored[peer] for peer in peers if peer in drop.stored}

    watch = FolderDrop(
        open_folder("drops/ehr", data, ()), Bounds(**limits), take=take, stored=stored,
        refused=lambda why: drop.said.append(why), clock=clock, moment=lambda: seconds[0], settle_seconds=settle_seconds,
        **({} if keeps_since is None else {"keeps_since": keeps_since}),
    )  # fmt: skip
    drop = Drop(data, watch, clock, seconds)
    return drop


@pytest.fixture
def drop(tmp_path: Path):
    made = opened(tmp_path)
    yield made
    made.watch.close()


# --- what was put away ---------------------------------------------------------------------------------------------


def test_what_was_put_away_is_the_platforms_alone_and_leaves_with_its_receipt(tmp_path):
    kept: list[datetime | None] = [None]

    async def keeps_since() -> datetime | None:
        return kept[0]

    drop = opened(tmp_path, keeps_since=keeps_since)
    drop.put("monday.dat", hl7("C-1")).chmod(0o644)
    drop.put("words.dat", b"no message").chmod(0o666)
    drop.watches()
    places = [drop.inbox.with_name(f"ehr.{which}") for which in ("done", "refused")]
    for place in places:
        [file] = [p for p in place.iterdir() if p.suffix != ".json"]
        assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(place.stat().st_mode) == 0o700
        (place / "notes.txt").write_text("ana's own")

    def after(hours: float) -> list[int]:
        """A look so much later; what lies in each place, receipts too."""
        drop.seconds[0] += hours * 3600
        asyncio.run(drop.watch.run_once())
        return [len(list(place.iterdir())) for place in places]

    assert after(2) == [3, 3], "a hold keeps all of them"
    kept[0] = drop.clock() - timedelta(days=1)
    assert after(2) == [3, 3], "they are younger than what is kept"
    kept[0] = drop.clock() + timedelta(days=1)
    assert after(0.1) == [3, 3], "nobody looks every second"
    assert after(2) == [1, 1], "what was never a sender's stays"
    drop.watch.close()


# --- what is taken -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "kind", "messages"),
    {
        "one message": (hl7("C-1"), "hl7v2", [hl7("C-1")]),
        "messages one after the other": (hl7("C-1") + hl7("C-2"), "hl7v2", [hl7("C-1"), hl7("C-2")]),
        "a batch": (batch(hl7("C-1"), hl7("C-2")), "hl7v2", [hl7("C-1"), hl7("C-2")]),
        "one document": (b'{"type": "consumption"}', "json", [b'{"type": "consumption"}']),
        "documents on lines": (b'{"n": 1}\n\n{"n": 2}\n', "json", [b'{"n": 1}', b'{"n": 2}']),
        "a bank's file": (b"01,B,L,260302,,1,,,2/\n99,0,0,2/\n", "bai2", [b"01,B,L,260302,,1,,,2/\n99,0,0,2/\n"]),
        "lines of which one is broken": (b'{"n": 1}\n{"n": \n', "json", [b'{"n": 1}', b'{"n": ']),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_is_cut_into_its_messages_and_put_away_with_a_receipt(drop, content, kind, messages):
    drop.put("monday.dat", content)
    drop.watches()

    assert [part.data for part, _ in drop.taken] == messages
    assert {part.kind for part, _ in drop.taken} == {kind}
    assert drop.lying() == [] and drop.lying("work") == []
    [kept] = drop.lying("done")
    assert (drop.inbox.with_name("ehr.done") / kept).read_bytes() == content
    [receipt] = drop.notes("done")
    assert receipt["file"] == "monday.dat" and receipt["messages"] == len(messages)
    assert receipt["counts"] == {"accepted": len(messages)}
    assert [line["message"] for line in receipt["listed"]] == [f"m/1/{n}" for n in range(1, len(messages) + 1)]


def test_a_file_of_which_some_is_refused_is_done_and_one_of_which_all_is_refused_is_refused(drop):
    drop.put("some.hl7", hl7("C-1") + hl7("REFUSED-2"))
    drop.put("all.hl7", hl7("REFUSED-3"))
    drop.watches()

    [done], [refused] = drop.notes("done"), drop.notes("refused")
    assert (done["file"], done["counts"]) == ("some.hl7", {"accepted": 1, "refused": 1})
    assert (refused["file"], refused["counts"]) == ("all.hl7", {"refused": 1})


def test_a_file_is_left_alone_until_it_has_settled(tmp_path):
    drop = opened(tmp_path, settle_seconds=3.0)
    file = drop.put("growing.hl7", hl7("C-1"))
    drop.watches(rounds=3)
    with file.open("ab") as writing:
        writing.write(hl7("C-2"))
    drop.watches(rounds=3)
    assert drop.taken == [] and drop.lying() == ["growing.hl7"]

    drop.watches(rounds=2)
    assert [part.data for part, _ in drop.taken] == [hl7("C-1"), hl7("C-2")]


def test_hidden_names_subfolders_and_other_patterns_are_nobodys_delivery(drop):
    drop.watch._pattern = "*.hl7"
    drop.put(".writing.hl7", hl7("C-1"))
    drop.put("readme.txt", b"not for us")
    (drop.inbox / "old").mkdir()
    (drop.inbox / "old" / "inside.hl7").write_bytes(hl7("C-2"))
    drop.watches()

    assert drop.taken == [] and drop.said == []
    assert drop.lying() == [".writing.hl7", "old", "readme.txt"]


# --- exactly once --------------------------------------------------------------------------------------------------


def test_what_was_claimed_by_a_process_that_died_is_gone_on_with_and_taken_in_once(tmp_path):
    first = opened(tmp_path)
    first.put("monday.hl7", hl7("C-1") + hl7("C-2") + hl7("C-3"))
    first.watch._point = _die_at("folder.before_receipt")
    with pytest.raises(_Died):
        first.watches()
    first.watch.close()
    assert first.lying("work") != [] and len(first.taken) == 3

    second = opened(tmp_path, first.clock)
    second.stored = {peer: first.stored[peer] for _, peer in first.taken[:2]}  # The third commit was lost with it.
    second.watches()
    assert [part.position for part, _ in second.taken] == [3]
    [receipt] = second.notes("done")
    assert receipt["counts"] == {"accepted": 3} and second.lying("work") == []


def test_while_the_store_is_away_a_file_stays_claimed_and_is_finished_later_without_repeating_anything(drop):
    drop.put("monday.hl7", hl7("C-1") + hl7("C-2"))
    drop.fails = 1
    with pytest.raises(ConnectionError):
        drop.watches(rounds=1)
    assert len(drop.lying("work")) == 1 and drop.lying("done") == []

    drop.watches()
    assert sorted(part.position for part, _ in drop.taken) == [1, 2]
    assert drop.notes("done")[0]["counts"] == {"accepted": 2}


def test_with_a_full_disk_the_file_waits_and_nothing_is_taken_in_twice(drop, monkeypatch):
    drop.put("monday.hl7", hl7("C-1"))
    real, full = os.fsync, [True]

    def fsync(descriptor: int) -> None:
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        drop.watches(rounds=1)
    assert len(drop.taken) == 1 and len(drop.lying("work")) == 1
    assert drop.lying("done") == [], "no half a receipt is left behind"

    full[0] = False
    drop.watches()
    assert len(drop.taken) == 1
    assert len(drop.lying("done")) == 1 and len(drop.notes("done")) == 1


def test_a_folder_is_watched_by_one_process_at_a_time(drop):
    with pytest.raises(FolderUnusable, match="watched by another process"):
        open_folder("drops/ehr", drop.data, ())


# --- tricks --------------------------------------------------------------------------------------------------------


def test_a_symbolic_link_is_never_followed(drop, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(hl7("C-SECRET"))
    (drop.inbox / "link.hl7").symlink_to(secret)
    drop.watches()

    assert drop.refusal() == "it is a symbolic link and no file"
    assert drop.lying("refused") == [] and secret.exists()


def test_a_link_put_in_place_of_a_file_between_the_look_and_the_claim_is_not_followed(drop, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(hl7("C-SECRET"))
    file = drop.put("monday.hl7", hl7("C-1"))
    real = drop.watch._folders.claim

    def claim(name: str, as_name: str) -> bool:
        file.unlink()
        file.symlink_to(secret)
        return real(name, as_name)

    drop.watch._folders.claim = claim
    drop.watches(rounds=1)
    assert drop.refusal().startswith("it cannot be opened")


def test_a_file_with_a_second_name_is_refused(drop, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(hl7("C-1"))
    os.link(other, drop.inbox / "monday.hl7")
    drop.watches()

    assert "second name" in drop.refusal()


def test_pipes_and_sockets_are_refused_and_never_waited_for(drop):
    os.mkfifo(drop.inbox / "pipe.hl7")
    drop.watches()
    assert drop.refusal() == "it is a pipe and no file"


def test_a_socket_is_refused(drop, monkeypatch):
    monkeypatch.chdir(drop.inbox)  # A socket's path is short, the folder's is not.
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.hl7")
        drop.watches()
    assert drop.refusal() == "it is a socket and no file"


def test_a_device_is_refused(drop):
    os.mknod(drop.inbox / "zero.hl7", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    drop.watches()
    assert drop.refusal() == "it is a device and no file"


@pytest.mark.parametrize(
    "name",
    [
        "line\nbreak.hl7",
        "escape\x1b[2J.hl7",
        "back\\slash.hl7",
        "n" * 250 + ".hl7",
        "\udcff\udcfe.hl7",
        "rtl\u202e7lh.hl7",
    ],
)
def test_a_name_that_would_lie_or_break_a_terminal_is_refused_and_never_repeated(drop, name):
    drop.put(name, hl7("C-1"))
    drop.watches()

    assert "name" in drop.refusal()
    [kept] = drop.lying("refused")
    assert "--unnamed-" in kept and kept.isprintable()


@pytest.mark.parametrize(
    "name", ["..;rm -rf.hl7", "$(reboot).hl7", "--help.hl7", "C:drive.hl7", "%2e%2e%2f.hl7", "ÄÖ.hl7"]
)
def test_an_odd_but_plain_name_is_only_a_name(drop, name):
    if name.startswith("."):
        name = f"a{name}"
    drop.put(name, hl7("C-1"))
    drop.watches()
    assert len(drop.taken) == 1 and drop.notes("done")[0]["file"] == name


def test_a_file_that_changes_while_it_is_read_is_read_again_when_it_has_come_to_rest(drop, monkeypatch):
    file = drop.put("monday.hl7", hl7("C-1"))
    writer = file.open("ab")
    real, changes = os.fstat, [1]

    def fstat(descriptor: int) -> os.stat_result:
        seen = real(descriptor)
        if changes[0] and stat.S_ISREG(seen.st_mode) and seen.st_size == len(hl7("C-1")):
            changes[0] -= 1
            writer.write(hl7("C-2"))
            writer.flush()
        return seen

    monkeypatch.setattr(os, "fstat", fstat)
    drop.watches(rounds=1)
    assert drop.taken == [] and len(drop.lying("work")) == 1

    writer.close()
    drop.watches()
    assert [part.data for part, _ in drop.taken] == [hl7("C-1"), hl7("C-2")]


def test_a_file_that_may_not_be_read_is_refused(drop, monkeypatch):
    drop.put("monday.hl7", hl7("C-1"))
    real = os.open

    def denied(path: Any, flags: int, *more: Any, **given: Any) -> int:
        if str(path).endswith("monday.hl7"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, *more, **given)

    monkeypatch.setattr(os, "open", denied)
    drop.watches()
    assert drop.refusal() == "the platform's user may not read it"


def test_a_file_that_is_too_large_is_refused_unread(drop):
    with (drop.inbox / "huge.hl7").open("wb") as file:
        file.truncate(10 * 1024**3)  # A sparse file: ten gigabytes that take no room.
    drop.watches()
    assert "at most 262144 are taken" in drop.refusal()


@pytest.mark.parametrize(
    ("content", "why"),
    {
        "a huge line": (hl7("C-1", more="X" * 40 * KB), "message 1 has"),
        "a huge line of JSON": (b'{"n": 1}\n{"n": "' + b"x" * 40 * KB + b'"}\n', "message 2 has"),
        "too many messages": (hl7("C-1") * 101, "more than 100 messages"),
        "nothing": (b"", "it holds no message"),
        "blanks": (b"\r\n \r\n", "it holds no message"),
        "a batch that was cut off": (batch(hl7("C-1"), said=2), "its batch is not whole"),
        "a batch without its end": (b"BHS|^~\\&|EHR\r" + hl7("C-1"), "its batch is not whole"),
        "prose before a message": (b"Monthly report\r" + hl7("C-1"), "its batch is not whole"),
        "a JSON array": (b'[{"n": 1}]', "it is a JSON array"),
        "half a JSON document": (b'{"n": [[[[[', "it is not JSON"),
        "JSON nested without end": (b'{"n":' * 40_000, "it is not JSON"),
        "billion laughs": (
            b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><l>&b;</l>',
            "neither HL7 v2 nor X12 nor JSON",
        ),
        "a program": (b"\x7fELF\x02\x01\x01", "neither HL7 v2 nor X12 nor JSON"),
        "a packed file": (b"\x1f\x8b\x08\x00" + b"\0" * 50, "it is packed"),
        "an archive where none is taken": (b"PK\x03\x04" + b"\0" * 50, "it is packed"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_cannot_be_taken_as_it_is_is_refused_whole(drop, content, why):
    drop.put("monday.dat", content)
    drop.watches()

    assert why in drop.refusal()
    assert len(drop.lying("refused")) == 1


def test_a_refusal_repeats_nothing_of_the_content(drop):
    drop.put("monday.dat", batch(hl7("C-1", more="^CANARY-PATIENT"), said=9))
    drop.watches()
    assert "CANARY" not in drop.refusal() and "KANARI" not in json.dumps(drop.notes("refused"))


# --- archives ------------------------------------------------------------------------------------------------------


def archive(*members: tuple[str | zipfile.ZipInfo, bytes], packed: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", packed) as made:
        for name, content in members:
            made.writestr(name, content, packed)
    return out.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def lying_about_its_size(data: bytes, says: int) -> bytes:
    """The same archive whose directory and header claim that its first member unpacks to ``says`` bytes."""
    changed = bytearray(data)
    struct.pack_into("<I", changed, data.index(b"PK\x01\x02") + 24, says)
    struct.pack_into("<I", changed, 22, says)
    return bytes(changed)


def test_an_archive_is_taken_where_it_may_be(tmp_path):
    drop = opened(tmp_path, archives=True)
    drop.put("month.zip", archive(("a.hl7", hl7("C-1")), ("sub/b.json", b'{"n": 1}'), ("sub/", b"")))
    drop.watches()
    assert [(part.position, part.kind) for part, _ in drop.taken] == [(1, "hl7v2"), (2, "json")]


@pytest.mark.parametrize(
    ("content", "why"),
    {
        "zip slip": (archive(("../../etc/cron.d/x", hl7("C-1"))), "leads out of the archive"),
        "an absolute name": (archive(("/etc/passwd", hl7("C-1"))), "leads out of the archive"),
        "a name of Windows": (archive(("..\\..\\x.hl7", hl7("C-1"))), "leads out of the archive"),
        "a drive": (archive(("C:x.hl7", hl7("C-1"))), "leads out of the archive"),
        "a link": (archive((link("x.hl7"), b"/etc/shadow")), "a link or a device"),
        "a bomb": (archive(("x.hl7", b"M" * 10_000_000)), "unpacks to more than"),
        "a dense member": (archive(("x.hl7", b"M" * 200_000)), "more than 200 times its size"),
        "too many members": (archive(*((f"{n}.hl7", b"") for n in range(1001))), "more than 1000 members"),
        "one inside another": (archive(("x.zip", archive(("y.hl7", hl7("C-1"))))), "another one inside"),
        "a lie about the size": (lying_about_its_size(archive(("x.hl7", b"M" * 300_000)), 100), "cannot be read"),
        "an unusual packing": (archive(("x.hl7", hl7("C-1")), packed=zipfile.ZIP_BZIP2), "not taken"),
        "half of one": (archive(("x.hl7", hl7("C-1")))[:60], "cannot be read"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_dangerous_archive_is_refused_whole(tmp_path, content, why):
    drop = opened(tmp_path, archives=True)
    drop.put("month.zip", content)
    drop.watches()
    assert why in drop.refusal()
    assert not list(tmp_path.rglob("cron.d"))


# --- where a folder may be -----------------------------------------------------------------------------------------


def test_a_folder_outside_the_data_needs_a_declared_root(tmp_path):
    data, elsewhere = tmp_path / "data", tmp_path / "srv" / "ehr"
    data.mkdir()
    elsewhere.mkdir(parents=True)
    with pytest.raises(FolderUnusable, match="leads out of the platform's data"):
        open_folder(str(elsewhere), data, ())
    open_folder(str(elsewhere), data, (str(tmp_path / "srv"),)).close()


def test_a_link_that_leads_out_is_refused_however_it_is_written(tmp_path):
    data = tmp_path / "data"
    (data / "drops").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (data / "drops" / "ehr").symlink_to(tmp_path / "outside")
    with pytest.raises(FolderUnusable, match="leads out"):
        open_folder("drops/ehr", data, ())
    with pytest.raises(FolderUnusable, match="leads out"):
        open_folder("../outside", data, ())


def test_a_folder_into_which_everybody_can_write_is_refused(tmp_path):
    (tmp_path / "ehr").mkdir()
    (tmp_path / "ehr").chmod(0o777)
    with pytest.raises(FolderUnusable, match="every user of this machine"):
        open_folder("ehr", tmp_path, ())


class _Died(BaseException):
    """As if the process had been killed here."""


def _die_at(wanted: str) -> Any:
    def point(name: str) -> None:
        if name == wanted:
            raise _Died

    return point
