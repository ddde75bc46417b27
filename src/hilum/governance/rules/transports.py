"""Wires are encrypted or local, go only to plain addresses, and watched folders stay inside declared roots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError

from hilum.authoring.estate import SystemSpec
from hilum.authoring.estate_transport import ClientTls, exposure, is_loopback
from hilum.governance.loader import ESTATE_FILE, Loaded
from hilum.governance.problems import EstateProblem
from hilum.security.egress import BadAddress, forbidden, target

_PLAIN = {"http": "https", "mllp": "mllps"}
_REMEDY = "Give it a tls table with certificate and key, or write `insecure` with the reason why it may."


def transport_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    for name, door in loaded.estate.doors.items():
        found = exposure(door.host, door.tls, door.insecure)
        if found is not None:
            yield EstateProblem(
                loaded.places.toml(ESTATE_FILE, "doors", name, "host"), f"The {name} door {found}.", _REMEDY
            )
    for name, spec in loaded.estate.systems.items():
        yield from _listening(loaded, name, spec)
        yield from _folder(loaded, name, spec)
        if isinstance(spec.connect.get("url"), str):
            yield from _connecting(loaded, name, spec, spec.connect["url"])


def _listening(loaded: Loaded, name: str, spec: SystemSpec) -> Iterator[EstateProblem]:
    mllp = spec.listen.mllp
    found = exposure(mllp.host, mllp.tls, mllp.insecure) if mllp is not None else None
    if found is not None:
        where = loaded.places.toml(f"systems/{name}.toml", "listen", "mllp", "host")
        yield EstateProblem(where, f"The MLLP door of {name} {found}.", _REMEDY)


def _connecting(loaded: Loaded, name: str, spec: SystemSpec, url: str) -> Iterator[EstateProblem]:
    where = loaded.places.toml(f"systems/{name}.toml", "connect", "url")
    schemes = ("mllp", "mllps") if url.startswith("mllp") else ("http", "https")
    try:
        to = target(url, schemes)
        for address in spec.egress.hosts:
            target(f"https://{address}", ("https",))
    except BadAddress as bad:
        yield EstateProblem(where, f"{name} cannot be connected to: {bad}.", "Write it as SCHEME://HOST:PORT/PATH.")
        return
    why = forbidden(to.host, spec.egress.ranges()) if _is_address(to.host) else None
    if why is not None:
        yield EstateProblem(
            where,
            f"{name} is at {to.host}: {why}.",
            "Name its range in [egress] networks if that is where the system is; metadata and link-local addresses never are.",
        )
    yield from _client_tls(loaded, name, spec.connect.get("tls"), to.secure)
    if not to.secure and not is_loopback(to.host) and not str(spec.connect.get("insecure", "")).strip():
        yield EstateProblem(
            where,
            f"{name} is spoken to over {to.scheme}, which nothing encrypts.",
            f"Write {_PLAIN[to.scheme]}://, or `insecure` in [connect] with the reason why it may be read on the way.",
        )


def _client_tls(loaded: Loaded, name: str, given: Any, secure: bool) -> Iterator[EstateProblem]:
    if given is None:
        return
    where = loaded.places.toml(f"systems/{name}.toml", "connect", "tls")
    if not secure:
        yield EstateProblem(
            where, f"{name} has [connect.tls], but its address is not one of TLS.", "Write https:// or mllps://."
        )
    try:
        ClientTls.model_validate(given)
    except ValidationError as error:
        for finding in error.errors(include_input=False, include_url=False, include_context=False):
            setting = ".".join(str(part) for part in ("connect", "tls", *finding["loc"]))
            yield EstateProblem(where, f"`{setting}` cannot be used: {finding['msg']}.", "Correct the value.")


def _folder(loaded: Loaded, name: str, spec: SystemSpec) -> Iterator[EstateProblem]:
    folder = spec.listen.folder
    if folder is None:
        return
    for setting in ("path", "done", "refused"):
        text = getattr(folder, setting)
        if text and not inside(text, loaded.estate.folder_roots):
            yield EstateProblem(
                loaded.places.toml(f"systems/{name}.toml", "listen", "folder", setting),
                f"The folder {text} of {name} is neither inside the platform's data nor inside a declared root.",
                f"Write a relative path without `..`, or add its root to [folders] roots in {ESTATE_FILE}.",
            )


def inside(text: str, roots: tuple[str, ...]) -> bool:
    """Whether a path stays inside the data (relative) or a root (absolute), as it is written; links are judged at start."""
    path = PurePosixPath(text)
    if "\0" in text or ".." in path.parts:
        return False
    return not path.is_absolute() or any(path.is_relative_to(root) for root in roots)


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()
