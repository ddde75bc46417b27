"""What an estate declares about files that come and go: SFTP both ways, when they are expected, what answers them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

STRICT = ConfigDict(extra="forbid", frozen=True)
SECRET = r"^(file:\S.*|env:[A-Za-z_][A-Za-z0-9_]*|vault:\S+#\S+)$"
PUBLIC_KEY = re.compile(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+=*( .*)?")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _public_keys(keys: tuple[str, ...]) -> tuple[str, ...]:
    for key in keys:
        if PUBLIC_KEY.fullmatch(key) is None:
            raise ValueError("a public key is written as in known_hosts or authorized_keys: ssh-ed25519 AAAA...")
    return keys


class FileLimits(BaseModel):
    """What one file may hold, whichever way it came."""

    model_config = STRICT

    max_file_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    max_message_bytes: int = Field(default=16 * 1024 * 1024, gt=0)
    max_messages: int = Field(default=100_000, gt=0)
    archives: bool = Field(default=False, description="Whether ZIP archives are taken, within the bounds of one file.")
    type_field: str = "type"


class SftpListen(FileLimits):
    """A folder on a partner's SFTP server that is visited every ``poll_seconds``. ``key`` is our private key (OpenSSH's form).

    ``host_keys`` are required: nobody is trusted on first use. A file is fetched when its size and time have not changed for
    ``settle_seconds``, and moved to ``archive`` (or removed, or kept) there when its messages are stored here.
    """

    host: str = Field(min_length=1)
    port: int = Field(default=22, gt=0, le=65535)
    user: str = Field(min_length=1)
    key: str = Field(pattern=SECRET)
    passphrase: str | None = Field(default=None, pattern=SECRET)
    host_keys: tuple[str, ...] = Field(min_length=1)
    path: str = Field(default=".", min_length=1)
    pattern: str = Field(default="*", min_length=1, description="Shell pattern of names, without folders.")
    unfinished: tuple[str, ...] = ("*.part", "*.tmp", "*.filepart")
    after: Literal["archive", "remove", "keep"] = "archive"
    archive: str = Field(default="archive", min_length=1)
    poll_seconds: float = Field(default=300, gt=0)
    settle_seconds: float = Field(default=10, ge=0)
    timeout_seconds: float = Field(default=30, gt=0)
    queue: str = Field(default="integration", description="Where it is told that the partner cannot be reached.")

    _keys = field_validator("host_keys")(_public_keys)


class SftpAccount(FileLimits):
    """A partner who pushes files to our own SFTP server: into ``inbox``; what is for them lies in ``outbox``."""

    user: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    keys: tuple[str, ...] = Field(min_length=1, description="The partner's public keys, as in authorized_keys.")
    max_files: int = Field(default=1000, gt=0, description="So many files may lie in the inbox at once.")
    poll_seconds: float = Field(default=1.0, gt=0)

    _keys = field_validator("keys")(_public_keys)


class SftpServerSpec(BaseModel):
    """Our own SFTP server, for partners who push. SSH encrypts it; it is opened when a system has an account."""

    model_config = STRICT

    host: str = "127.0.0.1"
    port: int = Field(default=2222, ge=0, le=65535)
    max_connections: int = Field(default=50, gt=0)
    max_connections_by_account: int = Field(default=5, gt=0)
    login_timeout_seconds: float = Field(default=20, gt=0)
    idle_timeout_seconds: float = Field(default=600, gt=0)
    login_attempts: int = Field(default=6, gt=0, description="Keys that one connection may offer before it is closed.")


class Answers(BaseModel):
    """What the sender of an X12 interchange gets back: a 999 (997 where there is no guide), a TA1, or nothing.

    ``outbox`` is a folder of the platform's data; ``push`` one at the server of ``[listen.sftp]``. What came by HTTP is
    answered there. Without either, who pushes by SFTP finds it in their outbox, and others in ``outbox/SYSTEM``.
    """

    model_config = STRICT

    x12: Literal["999", "ta1", "none"] = "none"
    outbox: str = ""
    push: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> Answers:
        if self.outbox and self.push:
            raise ValueError("answers go to `outbox` or to `push`, not to both")
        return self


class Expect(BaseModel):
    """A file that a system sends by a time of day, in the estate's time zone. One that did not come is an alert.

    ``message`` is its type (835; ADT^A04); ``where`` names fields of its event and what they must say. A file counts for
    the day in whose window it comes, which opens ``early_hours`` before it is due; a second one in a window answers the
    oldest day still missing.
    """

    model_config = STRICT

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str = Field(min_length=1, description="What people call it; no patient is ever named here.")
    message: str = Field(min_length=1)
    where: dict[str, str] = Field(default_factory=dict)
    by: str = Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")
    days: str = "mon-fri"
    grace_minutes: float = Field(default=0, ge=0)
    early_hours: float = Field(default=12, gt=0, le=24)
    holidays: tuple[date, ...] = ()
    queue: str = Field(min_length=1)
    due_hours: float = Field(default=4, gt=0)

    @field_validator("days")
    @classmethod
    def _readable(cls, days: str) -> str:
        weekdays(days)
        return days

    def due(self, first: date, last: date, zone: ZoneInfo) -> Iterator[tuple[date, datetime]]:
        """The days from ``first`` to ``last`` on which it is expected, and when each is due, its grace added."""
        expected, (hour, minute) = weekdays(self.days), map(int, self.by.split(":"))
        day = first
        while day <= last:
            if day.weekday() in expected and day not in self.holidays:
                at = datetime.combine(day, time(hour, minute), zone)
                yield day, at.astimezone(ZoneInfo("UTC")) + timedelta(minutes=self.grace_minutes)
            day += timedelta(days=1)


def weekdays(text: str) -> frozenset[int]:
    """``mon-fri``, ``mon,wed,sat-sun`` as numbers, Monday being 0. ValueError for anything else."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = (first, last) if dash else (first, first)
        if not all(end in DAYS for end in ends):
            raise ValueError("days are written as mon-fri or mon,wed,fri")
        start, end = (DAYS.index(each) for each in ends)
        if end < start:
            raise ValueError("days of a range go forward: mon-fri, sat-sun")
        found.update(range(start, end + 1))
    return frozenset(found)
