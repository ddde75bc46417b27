"""What a certificate says: whose it is, until when, and the thumbprint by which a token is bound to it (RFC 8705)."""

from __future__ import annotations

import hashlib
import ssl
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

SCOPE_EXTENSION = "tls"
"""Under ``scope["extensions"]``, as the ASGI TLS extension has it; with ``x5t#S256`` beside its own members."""


class CertificateUnreadable(ValueError):
    """A file holds no certificate; the text names the file."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """One X.509 certificate (RFC 5280). ``sha256`` is the hash of its DER form in lower-case hex."""

    subject: str
    issuer: str
    common_name: str | None
    dns_names: tuple[str, ...]
    uris: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    sha256: str
    is_authority: bool

    @property
    def thumbprint(self) -> str:
        """``x5t#S256``: base64url of the SHA-256 of the DER form, without padding (RFC 8705 section 3.1)."""
        return urlsafe_b64encode(bytes.fromhex(self.sha256)).decode("ascii").rstrip("=")

    def days_left(self, now: datetime) -> float:
        """Days until it expires; negative when it has."""
        return (self.not_after - now).total_seconds() / 86_400

    def matches(self, peer: str) -> bool:
        """Whether it is the one written as ``cn:``, ``dns:``, ``uri:``, ``subject:`` or ``sha256:`` and a name."""
        kind, _, name = peer.partition(":")
        match kind:
            case "cn":
                return self.common_name == name
            case "dns":
                return name.lower() in (known.lower() for known in self.dns_names)
            case "uri":
                return name in self.uris
            case "subject":
                return self.subject == name
            case "sha256":
                return self.sha256 == name.replace(":", "").lower()
        return False


def read_der(der: bytes) -> Certificate:
    """The certificate in its binary form. ``ValueError`` when it is none."""
    return _of(x509.load_der_x509_certificate(der))


def read_file(path: Path) -> list[Certificate]:
    """The certificates of a PEM file, in their order. ``CertificateUnreadable`` when there is none."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise CertificateUnreadable(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise CertificateUnreadable(f"{path} holds no certificate in PEM form") from None
    return [_of(certificate) for certificate in found]


def of_peer(ssl_object: Any) -> Certificate | None:
    """The certificate the other end of a TLS connection presented and that was verified; None without one."""
    der = ssl_object.getpeercert(binary_form=True) if ssl_object is not None else None
    return read_der(der) if der else None


def tls_extension(ssl_object: Any) -> dict[str, Any]:
    """What an application may know of the connection, by the ASGI TLS extension 1.0 and RFC 8705."""
    der = ssl_object.getpeercert(binary_form=True)
    peer = read_der(der) if der else None
    cipher = ssl_object.cipher()
    return {
        "tls_version": {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}.get(ssl_object.version()),
        "cipher_suite": cipher[0] if cipher is not None else None,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(der)] if der else [],
        "client_cert_name": peer.subject if peer is not None else None,
        "client_cert_error": None,
        "x5t#S256": peer.thumbprint if peer is not None else None,
    }


def client_thumbprint(scope: Mapping[str, Any]) -> str | None:
    """``x5t#S256`` of the certificate by which this request's client proved itself; None when it presented none."""
    extension = scope.get("extensions", {}).get(SCOPE_EXTENSION, {})
    found: str | None = extension.get("x5t#S256")
    return found


def _of(certificate: x509.Certificate) -> Certificate:
    from cryptography.hazmat.primitives.serialization import Encoding

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    dns: list[str] = []
    uris: list[str] = []
    authority = False
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns = alternatives.get_values_for_type(x509.DNSName)
        uris = alternatives.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        pass  # An older certificate has only its subject; a broken extension names nobody.
    try:
        authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        pass
    return Certificate(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        common_name=str(names[0].value) if names else None,
        dns_names=tuple(dns),
        uris=tuple(uris),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        sha256=hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
        is_authority=authority,
    )
