"""
The configuration as values: what every other module reads.

Paths and defaults are those of ``docs/configuration.md``.  :mod:`yallmp.core.config`
makes one :class:`Config` from a file; registration at run time makes a new one with
``attrs.evolve``.  Times are seconds, sizes bytes.
"""

from __future__ import annotations

from hashlib import sha256

from attrs import field, frozen

from yallmp.core.backend import Backend

MIB = 1024 * 1024


@frozen
class Router:
    """
    ``router_settings``: how failures are met.

    ``retry_statuses`` and ``failover_statuses`` are the statuses of answers that lead to
    another try on the same model, and to the next backend; ``None`` where the table says it.
    """

    num_retries: int = 1
    deadline: float = 600.0
    retry_after_max: float = 2.0
    stream_headers_after: float | None = 20.0
    sse_keepalive: float | None = 15.0
    retry_statuses: frozenset[int] | None = None
    failover_statuses: frozenset[int] | None = None


@frozen
class Fallbacks:
    """
    What serves a model when its own backends do not, by model name, in order.

    ``aliases`` is ``model_group_alias``: another name for a model.
    """

    by_model: tuple[tuple[str, tuple[str, ...]], ...] = ()
    default: tuple[str, ...] = ()
    context_window: tuple[tuple[str, tuple[str, ...]], ...] = ()
    content_policy: tuple[tuple[str, tuple[str, ...]], ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()


@frozen
class Identity:
    """
    Who we are to clients that speak TLS: the content of ``tls.cert`` and ``tls.key``.

    ``certificates`` is ours and those between it and a root, in PEM form.
    """

    certificates: bytes = field(repr=False)
    key: bytes = field(repr=False)


@frozen
class Server:
    """
    Where we listen; ``listen`` is a Twisted endpoint string in place of the other two.

    ``http_client`` is what speaks HTTP to backends: ``llhttp`` or ``twisted``.  ``workers``
    is how many processes serve; 0 is one for each core.
    ``reactor`` is what all of it runs on: ``light`` (where there is epoll) or ``twisted``.
    With ``tls`` it is HTTPS.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    listen: str | None = None
    http_client: str = "llhttp"
    workers: int = 1
    reactor: str = "light"
    tls: Identity | None = None


@frozen
class Key:
    """
    One of ``api_keys``; ``models`` limits what it may ask for (``None``: everything).

    ``digest`` is what a client's key is compared with; it is made once.
    """

    name: str
    secret: str = field(repr=False)
    models: tuple[str, ...] | None = None
    digest: bytes = field(init=False, repr=False, eq=False)

    @digest.default
    def _digest(self) -> bytes:
        return sha256(self.secret.encode()).digest()


@frozen
class Access:
    """Who may do what (``docs/security.md``)."""

    keys: tuple[Key, ...] = ()
    admin_key: str | None = field(default=None, repr=False)
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    private_backends: bool = True


@frozen
class Limits:
    """
    What one request or answer may take, and all of them together, in bytes and seconds.

    ``body_rate`` is in bytes a second.
    """

    max_body_bytes: int = 32 * MIB
    max_response_bytes: int = 64 * MIB
    max_event_bytes: int = 16 * MIB
    max_head_bytes: int = 16 * 1024
    max_head_fields: int = 100
    max_target_bytes: int = 8 * 1024
    head_timeout: float = 10.0
    upstream_idle: float = 30.0
    body_timeout: float = 30.0
    body_rate: int = 16 * 1024
    max_hops: int = 3
    max_connections: int = 10_000
    max_buffered_bytes: int = 512 * MIB
    max_client_buffer: int = MIB
    write_timeout: float = 60.0
    max_response_head_bytes: int = 64 * 1024


@frozen
class Logging:
    """
    ``logging``: what is recorded and for how long.

    ``bodies`` is ``None`` for everything, otherwise the bytes of each body that are
    kept (``none`` in the file is 0).
    """

    directory: str = "logs"
    requests: str = "on"
    bodies: int | None = None
    format: str = "text"
    level: str = "info"
    max_age: float = 7 * 86400.0
    max_total_bytes: int = 1024 * MIB
    queue_bytes: int = 64 * MIB


@frozen
class Notice:
    """
    Something about a configuration that its owner should read.

    ``level`` is ``"warning"`` or ``"info"`` (errors do not make a :class:`Config`).
    """

    text: str
    level: str = "warning"


@frozen
class Config:
    """A whole configuration, checked; one immutable snapshot is in force at a time."""

    backends: tuple[Backend, ...] = ()
    fallbacks: Fallbacks = Fallbacks()
    router: Router = Router()
    server: Server = Server()
    access: Access = Access()
    limits: Limits = Limits()
    logging: Logging = Logging()
    enable_responses_endpoint: bool = False
    drain_timeout: float = 30.0
    drain_delay: float = 0.0
    persist: str | None = None
    notices: tuple[Notice, ...] = ()
