"""TLS contexts for every transport: at least TLS 1.2, forward secrecy, and renewed certificates without a restart.

NIST SP 800-52r2: TLS 1.2 with ephemeral keys and AEAD ciphers, TLS 1.3 as it is; no renegotiation, no compression.
A context looks at its files before each handshake. What has changed is read and checked as a whole and used from then
on; connections that stand keep what they were made with. What cannot be read leaves the last good one in use.
"""

from __future__ import annotations

import logging
import os
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.authoring.estate_transport import ClientTls, ServerTls
from hilum.security.secrets import resolve_secret

log = logging.getLogger(__name__)

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; those of TLS 1.3 are all authenticated encryption with forward secrecy."""

HANDSHAKE_SECONDS = 10.0


class TlsUnusable(ValueError):
    """Certificates or keys that cannot be used; the text says which file and what to do, never what is in it."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the parts of a context are."""

    certificate: Path | None = None
    key: Path | None = None
    passphrase: str | None = None
    authorities: Path | None = None
    revoked: Path | None = None

    def paths(self) -> list[Path]:
        return [p for p in (self.certificate, self.key, self.authorities, self.revoked) if p is not None]


class RenewableContext(ssl.SSLContext):
    """A context that stands for the newest one its files make: every connection is wrapped by that."""

    _make: Callable[[], ssl.SSLContext]
    _files: TlsFiles
    _seen: tuple[object, ...]
    _current: ssl.SSLContext
    reloads: int

    @classmethod
    def of(cls, protocol: int, files: TlsFiles, make: Callable[[], ssl.SSLContext]) -> RenewableContext:
        """``TlsUnusable`` when there is no good first one: then nothing may listen or connect."""
        self = cls(protocol)
        self._files, self._make = files, make
        self._seen, self._current = _signature(files), make()
        self.reloads = 0
        # Whoever asks the outer context (a library that looks before it wraps) must see the same strictness.
        if protocol == ssl.PROTOCOL_TLS_SERVER:
            self.verify_mode = self._current.verify_mode
        self.minimum_version = ssl.TLSVersion.TLSv1_2
        return self

    @property
    def current(self) -> ssl.SSLContext:
        """The newest good context."""
        seen = _signature(self._files)
        if seen != self._seen:
            self._seen = seen  # A broken renewal is told once, and looked at again when it changes.
            try:
                self._current = self._make()
            except (TlsUnusable, OSError) as error:
                log.error("renewed TLS files cannot be used, the earlier ones stay in use: %s", error)
            else:
                self.reloads += 1
                log.info("TLS files have been renewed: %s", self._files.certificate or self._files.authorities)
        return self._current

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        return self.current.wrap_bio(*arguments, **options)

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        return self.current.wrap_socket(*arguments, **options)

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        """A client says before each connection what it speaks."""
        self._current.set_alpn_protocols(alpn_protocols)


def server_tls(files: TlsFiles, *, require_client_certificate: bool = False) -> RenewableContext:
    """For a listener. With authorities a client may present a certificate, which is verified; it must when required."""
    if files.certificate is None or files.key is None:
        raise TlsUnusable("a listener needs a certificate and its key")
    if require_client_certificate and files.authorities is None:
        raise TlsUnusable("client certificates cannot be verified without their authorities")

    def make() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _strict(context)
        _own(context, files)
        if files.authorities is not None:
            _trust(context, files.authorities, files.revoked)
            context.verify_mode = ssl.CERT_REQUIRED if require_client_certificate else ssl.CERT_OPTIONAL
        return context

    return RenewableContext.of(ssl.PROTOCOL_TLS_SERVER, files, make)


def client_tls(files: TlsFiles | None = None) -> RenewableContext:
    """For a client: the server and its name are always verified, by the authorities given or else the machine's."""
    given = files if files is not None else TlsFiles()

    def make() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # Verifies certificate and host name.
        _strict(context)
        context.hostname_checks_common_name = False  # RFC 9525 section 2: only the alternative names count.
        if given.authorities is not None:
            _trust(context, given.authorities, given.revoked)
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        if given.certificate is not None:
            _own(context, given)
        return context

    return RenewableContext.of(ssl.PROTOCOL_TLS_CLIENT, given, make)


def server_context(spec: ServerTls, base: Path) -> RenewableContext:
    """The context an estate declares; ``base`` is the platform's data, from which ``file:`` is relative."""
    return server_tls(server_files(spec, base), require_client_certificate=spec.require_client_certificate)


def client_context(spec: ClientTls | None, base: Path) -> RenewableContext:
    """The context of one system's ``[connect.tls]``."""
    return client_tls(client_files(spec if spec is not None else ClientTls(), base))


def server_files(spec: ServerTls, base: Path) -> TlsFiles:
    return TlsFiles(
        _path(spec.certificate, base),
        _path(spec.key, base),
        resolve_secret(spec.passphrase, base) if spec.passphrase is not None else None,
        _path(spec.client_ca, base) if spec.client_ca is not None else None,
        _path(spec.revoked, base) if spec.revoked is not None else None,
    )


def client_files(spec: ClientTls, base: Path) -> TlsFiles:
    return TlsFiles(
        _path(spec.certificate, base) if spec.certificate is not None else None,
        _path(spec.key, base) if spec.key is not None else None,
        resolve_secret(spec.passphrase, base) if spec.passphrase is not None else None,
        _path(spec.authorities, base) if spec.authorities is not None else None,
    )


def _strict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE


def _own(context: ssl.SSLContext, files: TlsFiles) -> None:
    assert files.certificate is not None and files.key is not None
    try:
        if os.stat(files.key).st_mode & (stat.S_IROTH | stat.S_IWOTH):
            raise TlsUnusable(f"{files.key}: every user of this machine can read or change this key; chmod 600 it")
        # An empty answer instead of a question at the terminal when the key is encrypted and nobody gave its passphrase.
        phrase = files.passphrase if files.passphrase is not None else ""
        context.load_cert_chain(files.certificate, files.key, password=lambda: phrase)
    except ssl.SSLError as error:
        why = "do not belong together" if "MISMATCH" in str(error.reason) else "cannot be read as PEM"
        raise TlsUnusable(f"{files.certificate} and {files.key} {why} ({error.reason})") from None
    except OSError as error:
        raise TlsUnusable(f"{files.certificate} and {files.key}: {error.strerror or type(error).__name__}") from None


def _trust(context: ssl.SSLContext, authorities: Path, revoked: Path | None) -> None:
    try:
        context.load_verify_locations(authorities)
        if revoked is not None:
            context.load_verify_locations(revoked)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    except ssl.SSLError as error:
        raise TlsUnusable(f"{authorities}: no certificates of authorities in PEM form ({error.reason})") from None
    except OSError as error:
        raise TlsUnusable(f"{authorities}: {error.strerror or type(error).__name__}") from None


def _path(reference: str, base: Path) -> Path:
    return base / reference.removeprefix("file:")


def _signature(files: TlsFiles) -> tuple[object, ...]:
    """What changes when a file is written or put in another's place."""
    seen: list[object] = []
    for path in files.paths():
        try:
            status = os.stat(path)
        except OSError:
            seen.append(None)
        else:
            seen.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(seen)
