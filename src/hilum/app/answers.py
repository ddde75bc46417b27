"""The ways by which acknowledgements of X12 interchanges go back to their senders."""

from __future__ import annotations

from pathlib import Path

from hilum.app.sftp import home_of, session_with
from hilum.authoring.estate import Estate
from hilum.runtime.x12_answers import Outbox
from hilum.transports.folder import FolderOutbox


def outboxes(estate: Estate, data: Path) -> dict[str, Outbox]:
    """By system, for those whose agreement wants answers to files."""
    ways: dict[str, Outbox] = {}
    for name, spec in estate.systems.items():
        if spec.answers.x12 == "none":
            continue
        if spec.answers.push and spec.listen.sftp is not None:
            from hilum.transports.sftp import SftpOutbox

            connect = session_with(spec, spec.listen.sftp, data)
            ways[name] = SftpOutbox(
                name, spec.answers.push, connect=connect, timeout_seconds=spec.listen.sftp.timeout_seconds
            )
        elif spec.listen.sftp_account is not None and not spec.answers.outbox:
            ways[name] = FolderOutbox(home_of(name, data) / "outbox")
        else:
            ways[name] = FolderOutbox(data / (spec.answers.outbox or f"outbox/{name}"))
    return ways
