"""
Our side of TLS: who we are to clients, and what of TLS we speak.

TLS 1.2 at least, and HTTP/1.1 above it whatever a client would like to speak.  A connection
keeps what it began with; new ones have the certificate that was read last.

TLS is put between whatever listens and the site, so every kind of listener can have it.  A
client that speaks plain HTTP is told so; one that does not end its side of TLS within a
moment after ours is cut off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

from attrs import define
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IStreamServerEndpoint
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from zope.interface import implementer

from yallmp.core.answerhead import last_answer
from yallmp.core.errors import RequestFault
from yallmp.core.registry import Registry
from yallmp.core.settings import Config, Identity, Server

#: How long a client may take to end its side of TLS, in seconds.
LAST_WORDS = 10.0
#: The first byte of what a client of TLS says (RFC 8446, 5.1: handshake).
_HANDSHAKE = 0x16
#: SSL_OP_NO_RENEGOTIATION (openssl/ssl.h), for which pyOpenSSL has no name.
_NO_RENEGOTIATION = 1 << 30
#: What a client that speaks plain HTTP is told.
_NOT_PLAIN = last_answer(
    RequestFault("This port speaks HTTPS; ask for https://.", code="bad_request")
)
_WHERE = "general_settings.server.tls"
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class IdentityError(Exception):
    """The certificate or the key is of no use; the message is one line that says why."""


def context_of(identity: Identity) -> SSL.Context:
    """
    What makes connections of clients.

    :raises IdentityError: certificate or key cannot be used.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | _NO_RENEGOTIATION)
    context.set_alpn_select_callback(_choose)
    own, *others = certificates(identity)
    context.use_certificate(crypto.X509.from_cryptography(own))
    for each in others:
        context.add_extra_chain_cert(crypto.X509.from_cryptography(each))
    _use_key(context, identity.key)
    return context


def _use_key(context: SSL.Context, pem: bytes) -> None:
    try:
        key: Any = load_pem_private_key(pem, None)
    except (TypeError, ValueError):
        raise IdentityError(f"{_WHERE}.key: it is encrypted, or no private key") from None
    try:
        context.use_privatekey(crypto.PKey.from_cryptography_key(key))
        context.check_privatekey()
    except (SSL.Error, TypeError):
        raise IdentityError(f"{_WHERE}: the key does not belong to the certificate") from None


def certificates(identity: Identity) -> list[x509.Certificate]:
    """
    Our certificate, and those that lead from it to a root.

    :raises IdentityError: there is none, or one that cannot be read.
    """
    try:
        found = [x509.load_pem_x509_certificate(pem) for pem in _PEM.findall(identity.certificates)]
    except ValueError:
        raise IdentityError(f"{_WHERE}.cert: it holds a certificate that cannot be read") from None
    if not found:
        raise IdentityError(f"{_WHERE}.cert: it holds no certificate")
    return found


def check_identity(server: Server) -> None:
    """
    Find out whether *server* can speak TLS, if it shall.

    :raises IdentityError: it cannot.
    """
    if server.tls is not None:
        context_of(server.tls)


def warnings(server: Server, now: float) -> Iterator[str]:
    """What is wrong with our certificate, though it can be used, at *now* (POSIX seconds)."""
    if server.tls is None:
        return
    own, time = certificates(server.tls)[0], datetime.fromtimestamp(now, timezone.utc)
    if time > own.not_valid_after_utc:
        yield f"{_WHERE}.cert: it expired at {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if time < own.not_valid_before_utc:
        yield f"{_WHERE}.cert: it is valid from {own.not_valid_before_utc:%Y-%m-%d %H:%M} UTC only"


def _choose(connection: SSL.Connection, offered: list[bytes]) -> Any:
    """HTTP/1.1 if the client offers it; else it finds out by itself that we speak nothing else."""
    return b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS


@implementer(IOpenSSLServerConnectionCreator)
class Presence:
    """The identity in force."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._context = context_of(identity)

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:  # noqa: N802
        """TLS for a new connection."""
        return SSL.Connection(self._context, None)

    def change(self, config: Config) -> None:
        """Be who *config* says from now on; what it says was checked before."""
        identity = config.server.tls
        if identity is not None and identity != self._identity:
            self._identity, self._context = identity, context_of(identity)


class Secured(BufferingTLSTransport):
    """One connection of a client that speaks TLS, or should."""

    factory: Any
    transport: Any
    _begun = False
    _cut: Any = None

    def dataReceived(self, data: bytes) -> None:
        """Something came; the first byte tells whether it is TLS."""
        if not self._begun:
            self._begun = True
            if data[:1] and data[0] != _HANDSHAKE:
                self._refuse()
                return
        super().dataReceived(data)

    def _refuse(self) -> None:
        self._aborted = True
        self.transport.write(_NOT_PLAIN)
        self.transport.loseConnection()

    def loseConnection(self) -> None:
        """Say goodbye; whoever does not answer is cut off in a moment."""
        super().loseConnection()
        if self._cut is None and self.connected:
            self._cut = self.factory.clock.callLater(LAST_WORDS, self._cut_off)

    def _cut_off(self) -> None:
        self._cut = None
        self.abortConnection()

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]
        """It is gone."""
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
        super().connectionLost(reason)


class Securing(TLSMemoryBIOFactory):
    """Puts TLS before a site."""

    protocol = Secured
    noisy = False

    def __init__(self, presence: Presence, site: Any, clock: Any) -> None:
        super().__init__(presence, False, site, clock)
        self.clock = clock


@implementer(IStreamServerEndpoint)
@define(eq=False)
class SecureEndpoint:
    """
    Listens where another endpoint does, for clients that speak TLS.

    :ivar watch: takes who is told of each configuration that is put in force.
    """

    plain: IStreamServerEndpoint
    identity: Identity
    clock: Any
    watch: Callable[[Callable[[Config], None]], None]

    def listen(self, protocolFactory: Any) -> Deferred[Any]:  # noqa: N803
        """See IStreamServerEndpoint."""
        presence = Presence(self.identity)
        self.watch(presence.change)
        listening: Deferred[Any] = self.plain.listen(
            Securing(presence, protocolFactory, self.clock)
        )
        return listening


def secured(endpoint: IStreamServerEndpoint, registry: Registry, clock: Any) -> Any:
    """*endpoint*, with TLS if the configuration has a certificate."""
    identity = registry.catalog.config.server.tls
    if identity is None:
        return endpoint
    return SecureEndpoint(endpoint, identity, clock, registry.watch)
