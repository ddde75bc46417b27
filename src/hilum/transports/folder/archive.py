"""ZIP archives, read in memory within bounds and never unpacked onto a disk.

What an archive says of itself is checked first (names, kinds, sizes, ratio), and then not believed: each member is read
up to what is left of the bound (CWE-409). APPNOTE 6.3.10; only stored and deflated members are taken.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import PurePosixPath

from hilum.transports.folder.places import FileRefused

MAGIC = b"PK\x03\x04"
MOST_MEMBERS = 1000
MOST_RATIO = 200
"""HL7 packs to a tenth of its size, a batch of near-identical messages to a fiftieth."""

PACKED = (
    MAGIC,
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\x00",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!",
    b"\x28\xb5\x2f\xfd",
)
"""How packed files begin; one inside another is refused, however deep a sender thinks it should go."""


def members(data: bytes, most_bytes: int) -> Iterator[bytes]:
    """The contents of an archive's files in their order; ``FileRefused`` for whatever is suspicious about any of them."""
    if data.count(b"PK\x01\x02") > MOST_MEMBERS:
        raise FileRefused(f"the archive has more than {MOST_MEMBERS} members")
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            infos = archive.infolist()
            _check(infos, most_bytes)
            left = most_bytes
            for info in infos:
                if info.is_dir():
                    continue
                with archive.open(info) as member:
                    content = member.read(left + 1)
                if len(content) > left:
                    raise FileRefused(f"the archive unpacks to more than {most_bytes} bytes")
                if content.startswith(PACKED):
                    raise FileRefused("the archive has another one inside")
                left -= len(content)
                yield content
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError, ValueError, OSError) as error:
        raise FileRefused(f"the archive cannot be read ({type(error).__name__})") from None


def _check(infos: list[zipfile.ZipInfo], most_bytes: int) -> None:
    if len(infos) > MOST_MEMBERS:
        raise FileRefused(f"the archive has more than {MOST_MEMBERS} members")
    if sum(info.file_size for info in infos) > most_bytes:
        raise FileRefused(f"the archive unpacks to more than {most_bytes} bytes")
    seen: set[str] = set()
    for info in infos:
        name = info.orig_filename
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or not name.isprintable():
            raise FileRefused("a member's name leads out of the archive")
        if name in seen:
            raise FileRefused("two members have the same name")
        seen.add(name)
        mode = info.external_attr >> 16
        if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_IFMT(mode) == 0):
            raise FileRefused("a member is a link or a device")
        if info.flag_bits & 0x1:
            raise FileRefused("a member is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FileRefused("a member is packed in a way that is not taken")
        if info.file_size > MOST_RATIO * max(info.compress_size, 1):
            raise FileRefused(f"a member unpacks to more than {MOST_RATIO} times its size")
