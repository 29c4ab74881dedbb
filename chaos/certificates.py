"""
Certificates for backends that speak TLS: good ones and bad ones, made anew for each run.
"""

from __future__ import annotations

import shutil
import ssl
import tempfile
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)
#: By name: whom it is for, whether it has expired, and whether our authority issued it.
KINDS = {
    "good": ("127.0.0.1", False, True),
    "other-name": ("other.invalid", False, True),
    "expired": ("127.0.0.1", True, True),
    "unknown": ("127.0.0.1", False, False),
    "old-tls": ("127.0.0.1", False, True),
}
#: A server that is called by TLS and does not speak it.
NO_TLS = "none"


@define(eq=False)
class Certificates:
    """An authority, a stranger, and what they issued; files in a folder."""

    _folder: Path = field(init=False)
    _made: dict[str, ssl.SSLContext] = field(factory=dict)
    _keys: dict[bool, ec.EllipticCurvePrivateKey] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="chaos-tls-"))
        self._keys = {known: ec.generate_private_key(ec.SECP256R1()) for known in (True, False)}
        root = self._builder(True, _named("Chaos"), self._keys[True].public_key())
        limits = x509.BasicConstraints(ca=True, path_length=None)
        signed = root.add_extension(limits, critical=True).sign(self._keys[True], hashes.SHA256())
        Path(self.authority).write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    @property
    def authority(self) -> str:
        """The file of the authority to trust."""
        return str(self._folder / "authority.pem")

    def get(self, kind: str | None) -> ssl.SSLContext | None:
        """What a server with that certificate uses; nothing without TLS."""
        if kind is None or kind == NO_TLS:
            return None
        if kind not in self._made:
            self._made[kind] = self._server(kind)
        return self._made[kind]

    def _server(self, kind: str) -> ssl.SSLContext:
        path = self._folder / f"{kind}.pem"
        path.write_bytes(self._issued(*KINDS[kind]))
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(path)
        if kind == "old-tls":
            made.set_ciphers("ALL:@SECLEVEL=0")
            made.minimum_version = made.maximum_version = ssl.TLSVersion.TLSv1_1
        return made

    def _issued(self, name: str, expired: bool, known: bool) -> bytes:
        """A key and its certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(known, _named(name), key.public_key(), expired=expired)
        names = x509.SubjectAlternativeName([_alternative(name)])
        signed = builder.add_extension(names, critical=False).sign(
            self._keys[known], hashes.SHA256()
        )
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return private + signed.public_bytes(serialization.Encoding.PEM)

    def _builder(
        self, known: bool, subject: x509.Name, key: ec.EllipticCurvePublicKey,
        *, expired: bool = False,
    ) -> x509.CertificateBuilder:  # fmt: skip
        end = datetime.now(timezone.utc) + (-_DAY if expired else _DAY)
        return x509.CertificateBuilder(
            issuer_name=_named("Chaos" if known else "Nobody"),
            subject_name=subject,
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=end - 30 * _DAY,
            not_valid_after=end,
        )

    def remove(self) -> None:
        """Delete the files."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
