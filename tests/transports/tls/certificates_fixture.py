"""An authority of the tests' own and the certificates it makes: good, expired, of another name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates and revokes them."""

    def __init__(self, folder: Path, name: str = "Lakeshore authority") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        own = self._builder(self._name, self._key, 3650.0).add_extension(x509.BasicConstraints(True, 0), True)
        self.certificate = self._write(
            "authority.pem", _pem(own.add_extension(usage, True).sign(self._key, hashes.SHA256()))
        )

    def identity(
        self,
        name: str,
        *,
        days: float = 1.0,
        dns: tuple[str, ...] = (),
        ip: str | None = "127.0.0.1",
        file: str | None = None,
    ) -> Identity:
        """A certificate that ends ``days`` from now; negative when it has ended."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(each) for each in dns]
        names += [x509.IPAddress(ip_address(ip))] if ip is not None else []
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, days)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False) if names else builder
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = builder.add_extension(issuer, False).sign(self._key, hashes.SHA256())
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        stem = file if file is not None else name
        return Identity(self._write(f"{stem}.pem", _pem(certificate)), self._write(f"{stem}.key", text))

    def revokes(self, identity: Identity) -> Path:
        """A revocation list that names the certificate."""
        serial = x509.load_pem_x509_certificate(identity.certificate.read_bytes()).serial_number
        now = datetime.now(UTC)
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
        made = x509.CertificateRevocationListBuilder().issuer_name(self._name).last_update(now - timedelta(hours=1))
        signed = (
            made.next_update(now + timedelta(days=1)).add_revoked_certificate(entry).sign(self._key, hashes.SHA256())
        )
        return self._write("revoked.pem", signed.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: float) -> x509.CertificateBuilder:
        end = datetime.now(UTC) + timedelta(days=days)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(end, datetime.now(UTC)) - timedelta(days=400))
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        )

    def _write(self, name: str, data: bytes) -> Path:
        """Put in place in one step, as a renewal does."""
        part, path = self.folder / f".{name}", self.folder / name
        part.touch(mode=0o600)
        part.write_bytes(data)
        os.replace(part, path)
        return path


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
