"""Files that come and go can be reached, answered and missed: partners have plain addresses, expectations a queue and a sender."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hilum.authoring.estate import SystemSpec
from hilum.authoring.estate_transfer import Expect
from hilum.authoring.flow import Mapping
from hilum.governance.loader import ESTATE_FILE, Loaded
from hilum.governance.problems import EstateProblem
from hilum.governance.rules.transports import inside
from hilum.security.egress import BadAddress, forbidden, plain_host


def transfer_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    users: dict[str, str] = {}
    for name, spec in loaded.estate.systems.items():
        yield from _partner(loaded, name, spec)
        yield from _answers(loaded, name, spec)
        account = spec.listen.sftp_account
        if account is not None and (other := users.setdefault(account.user, name)) != name:
            yield EstateProblem(
                loaded.places.toml(f"systems/{name}.toml", "listen", "sftp_account", "user"),
                f"{name} signs in to our SFTP server as {account.user}, and so does {other}.",
                "Give each system an account of its own: the account says whose files they are.",
            )
        for expect in spec.expect:
            yield from _expected(loaded, name, expect)
        for twice, times in Counter(expect.name for expect in spec.expect).items():
            if times > 1:
                yield EstateProblem(
                    loaded.places.toml(f"systems/{name}.toml", "expect"),
                    f"{name} has {times} expectations called {twice}.",
                    "Give each a name of its own: by it a day's file is known.",
                )


def _partner(loaded: Loaded, name: str, spec: SystemSpec) -> Iterator[EstateProblem]:
    partner = spec.listen.sftp
    if partner is None:
        return
    where = loaded.places.toml(f"systems/{name}.toml", "listen", "sftp", "host")
    try:
        host = plain_host(partner.host)
    except BadAddress as bad:
        yield EstateProblem(where, f"The SFTP server of {name} cannot be connected to: {bad}.", "Write the host alone.")
    else:
        why = forbidden(host, spec.egress.ranges()) if ":" in host or host.replace(".", "").isdigit() else None
        if why is not None:
            yield EstateProblem(
                where,
                f"The SFTP server of {name} is at {host}: {why}.",
                "Name its range in [egress] networks if that is where it is; metadata and link-local addresses never are.",
            )
    yield from _queue(loaded, name, partner.queue, "listen", "sftp", "queue")


def _answers(loaded: Loaded, name: str, spec: SystemSpec) -> Iterator[EstateProblem]:
    answers = spec.answers
    file = f"systems/{name}.toml"
    if answers.outbox and (answers.outbox.startswith("/") or not inside(answers.outbox, ())):
        yield EstateProblem(
            loaded.places.toml(file, "answers", "outbox"),
            f"The outbox {answers.outbox} of {name} is not inside the platform's data.",
            "Write a relative path without `..`.",
        )
    if answers.push and spec.listen.sftp is None:
        yield EstateProblem(
            loaded.places.toml(file, "answers", "push"),
            f"Answers to {name} are pushed by SFTP, and it has no server to push them to.",
            "Write [listen.sftp], whose server and key are used, or `outbox`.",
        )
    by_http = spec.listen.webhook is not None and spec.listen.webhook.x12
    if answers.x12 != "none" and spec.listen.files is None and not by_http:
        yield EstateProblem(
            loaded.places.toml(file, "answers", "x12"),
            f"{name} is answered by {answers.x12}, and sends no X12.",
            'Write [listen.folder], [listen.sftp] or `x12 = true` in [listen.webhook], or x12 = "none".',
        )


def _expected(loaded: Loaded, name: str, expect: Expect) -> Iterator[EstateProblem]:
    where = loaded.places.toml(f"systems/{name}.toml", "expect")
    yield from _queue(loaded, name, expect.queue, "expect")
    sent = [each for each in loaded.estate.mappings if each.source.name == name and each.message == expect.message]
    if not sent:
        yield EstateProblem(
            where,
            f"{name} is expected to send {expect.message} ({expect.name}), and no mapping takes that from it.",
            "Write the mapping, or correct `message`.",
        )
    for field in expect.where:
        if sent and not any(_has(each, field) for each in sent):
            yield EstateProblem(
                where,
                f"{expect.name} of {name} asks what `{field}` says, which no event of {expect.message} has.",
                "Name a field of the event.",
            )


def _has(mapping: Mapping[object], field: str) -> bool:
    return any(field.partition(".")[0] in event.model_fields for event in mapping.events)


def _queue(loaded: Loaded, name: str, queue: str, *setting: str) -> Iterator[EstateProblem]:
    if queue not in loaded.estate.queues:
        yield EstateProblem(
            loaded.places.toml(f"systems/{name}.toml", *setting),
            f"There is no queue {queue}, where people are told of files of {name}.",
            f"Add [queues.{queue}] with an owner to {ESTATE_FILE}, or name one of {', '.join(sorted(loaded.estate.queues))}.",
        )
