"""
An authority that issues certificates, made anew for each run of the tests.
"""

from __future__ import annotations

import functools
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLContextFactory
from twisted.internet.ssl import CertificateOptions
from zope.interface import implementer

_DAY = timedelta(days=1)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(name: str) -> x509.GeneralName:
    """*name* as a certificate says it: an address, or a DNS name."""
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@frozen
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate for a file."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def options(self, **settings: object) -> CertificateOptions:
        """What a server that has it uses."""
        return CertificateOptions(
            privateKey=crypto.PKey.from_cryptography_key(self.key),
            certificate=crypto.X509.from_cryptography(self.certificate),
            **settings,
        )

    def old_server(self) -> OldServer:
        """A server that knows TLS 1.1 at most."""
        context = self.options().getContext()
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
        context.set_min_proto_version(SSL.TLS1_1_VERSION)
        context.set_max_proto_version(SSL.TLS1_1_VERSION)
        return OldServer(context)


@implementer(IOpenSSLContextFactory)
@frozen
class OldServer:
    """Gives TLS its context, in the way that is older than connection creators."""

    context: SSL.Context

    def getContext(self) -> SSL.Context:  # noqa: N802
        """The context."""
        return self.context


class Authority:
    """Issues certificates under a root of its own."""

    def __init__(self, name: str = "Test Authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        limits = x509.BasicConstraints(ca=True, path_length=None)
        root = self._builder(self._name, self._key).add_extension(limits, critical=True)
        self.root = Issued(root.sign(self._key, hashes.SHA256()), self._key)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, expired: bool = False
    ) -> x509.CertificateBuilder:
        end = _now() - _DAY if expired else _now() + _DAY
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=end - 30 * _DAY,
            not_valid_after=end,
        )

    def issue(self, *names: str, expired: bool = False) -> Issued:
        """A certificate for *names*, which may be addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_named(names[0]), key, expired=expired)
        alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
        return Issued(builder.sign(self._key, hashes.SHA256()), key)


@functools.cache
def authority() -> Authority:
    """One for all tests."""
    return Authority()
