"""
How backends' certificates are checked.

Chain and name, TLS 1.2 at least.  Making a context costs as much as dozens of requests,
so one is made for each distinct pair of settings and host and then shared.  Trust comes
from ``ssl_ca_file`` where a backend has one, else from the system; where the system has
no certificates at all (a bare container), from certifi.
"""

from __future__ import annotations

import re
import ssl as standard_ssl
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import certifi
from attrs import frozen
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    TLSVersion,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from zope.interface import implementer

from yallmp.core.backend import Backend, Tls

#: Contexts kept; registered backends could otherwise name hosts without end.
KEPT = 256
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class CertificateError(Exception):
    """What a backend is to be checked with is no certificate; the message is one line."""


@implementer(IOpenSSLClientConnectionCreator)
@frozen
class _Unchecked:
    """Connections whose peer is not checked (``ssl_verify: false``)."""

    context: SSL.Context
    host: str

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:  # noqa: N802
        connection = SSL.Connection(self.context, None)
        if not re.fullmatch(r"[\d.]+|.*:.*", self.host):
            connection.set_tlsext_host_name(self.host.encode("idna"))
        return connection


class Contexts:
    """Makes and keeps the contexts."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Tls, str], Any] = OrderedDict()
        self._roots: dict[bytes | None, Any] = {}

    def creator(self, tls: Tls, host: str) -> IOpenSSLClientConnectionCreator:
        """What makes connections to *host* under the settings *tls*."""
        key = (tls, host)
        if key not in self._kept:
            self._kept[key] = self._made(tls, host)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        creator: IOpenSSLClientConnectionCreator = self._kept[key]
        return creator

    def _made(self, tls: Tls, host: str) -> Any:
        if not tls.verify:
            return _Unchecked(CertificateOptions(verify=False).getContext(), host)
        return optionsForClientTLS(
            host,
            trustRoot=self._root(tls.ca_pem),
            extraCertificateOptions={"insecurelyLowerMinimumTo": TLSVersion.TLSv1_2},
        )

    def _root(self, pem: bytes | None) -> Any:
        if pem not in self._roots:
            self._roots[pem] = trust_root(pem)
        return self._roots[pem]


def trust_root(pem: bytes | None) -> Any:
    """
    Whom to trust: the certificates in *pem*, or the system's, or certifi's.

    :raises CertificateError: *pem* holds none, or one that cannot be read.
    """
    if pem is None:
        return _system_root() or _root_of(Path(certifi.where()).read_bytes())
    return _root_of(pem)


def _root_of(pem: bytes) -> Any:
    found = _PEM.findall(pem)
    if not found:
        raise CertificateError("it holds no certificate (BEGIN CERTIFICATE … END CERTIFICATE)")
    return trustRootFromCertificates([_loaded(block) for block in found])


def _loaded(block: bytes) -> Certificate:
    try:
        certificate: Certificate = Certificate.loadPEM(block)
    except crypto.Error:
        raise CertificateError("it holds a certificate that cannot be read") from None
    return certificate


def _system_root() -> Any:
    """
    Whom the system trusts; ``None`` if it has no certificates.

    A file is read by ourselves: where Python knows one, pyOpenSSL may look in a place of
    its own that does not exist (macOS).
    """
    paths = standard_ssl.get_default_verify_paths()
    if paths.cafile is not None and Path(paths.cafile).is_file():
        with suppress(CertificateError):
            return _root_of(Path(paths.cafile).read_bytes())
    folder = Path(paths.capath) if paths.capath else None
    in_folder = folder is not None and folder.is_dir() and any(folder.iterdir())
    return platformTrust() if in_folder else None


def check_certificates(backends: Iterable[Backend]) -> None:
    """
    Read what *backends* trust, before anything depends on it.

    :raises CertificateError: an ``ssl_ca_file`` is of no use.
    """
    for backend in backends:
        if backend.tls.ca_pem is not None:
            try:
                trust_root(backend.tls.ca_pem)
            except CertificateError as error:
                raise CertificateError(f"{backend.name}: ssl_ca_file: {error}") from None
