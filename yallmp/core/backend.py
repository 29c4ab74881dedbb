"""
A backend: one configured destination, as a value.

Everything that an attempt needs to know about where it goes stands here; nothing here
changes.  A change is a new value in a new snapshot of the configuration, so a request
under way keeps what it had.
"""

from __future__ import annotations

import math
from functools import cached_property

from attrs import field, frozen

from yallmp.core.parameters import Parameter
from yallmp.core.proxies import Proxy

#: What is in force where the file says nothing; seconds.
DEFAULTS: dict[str, float] = {
    "connect_timeout": 5.0,
    "first_byte_timeout": 60.0,
    "first_content_timeout": 60.0,
    "idle_timeout": 120.0,
    "answer_timeout": 120.0,
    "ping_timeout": 300.0,
    "stream_lifetime": 3600.0,
    "tail_timeout": 2.0,
}
#: The same where no other backend is left to try: giving up early would gain nothing.
DEFAULTS_OF_THE_LAST: dict[str, float] = {
    **DEFAULTS,
    "first_byte_timeout": math.inf,
    "first_content_timeout": math.inf,
    "answer_timeout": 600.0,
}
#: Those that ``request_timeout`` says nothing of.
_OF_THEIR_OWN = ("ping_timeout", "stream_lifetime", "tail_timeout", "rescue_timeout")


@frozen
class Patience:
    """
    How long one backend may take, in seconds; ``None`` where the file says nothing.

    An explicit ``request_timeout`` stands for all of them but ``stream_lifetime``,
    ``ping_timeout``, ``tail_timeout`` and ``rescue_timeout``; an explicit single value wins
    over it.
    """

    request_timeout: float | None = None
    connect_timeout: float | None = None
    first_byte_timeout: float | None = None
    first_content_timeout: float | None = None
    idle_timeout: float | None = None
    answer_timeout: float | None = None
    ping_timeout: float | None = None
    stream_lifetime: float | None = None
    tail_timeout: float | None = None
    rescue_timeout: float | None = None

    def explicit(self, name: str) -> float | None:
        """What the file says of *name* (``"idle_timeout"``), directly or by ``request_timeout``."""
        single: float | None = getattr(self, name)
        if single is not None or name in _OF_THEIR_OWN:
            return single
        if name == "connect_timeout" and self.request_timeout is not None:
            return min(DEFAULTS[name], self.request_timeout)
        return self.request_timeout

    def seconds(self, name: str, *, last: bool = False) -> float:
        """
        The time in force for *name*; infinite where only the deadline ends it.

        :param last: whether no other backend is left to try.
        """
        return (self._of_the_last if last else self._of_others)[name]

    @cached_property
    def _of_others(self) -> dict[str, float]:
        return self._over(DEFAULTS)

    @cached_property
    def _of_the_last(self) -> dict[str, float]:
        return self._over(DEFAULTS_OF_THE_LAST)

    def _over(self, defaults: dict[str, float]) -> dict[str, float]:
        explicit = {name: self.explicit(name) for name in defaults}
        return {name: defaults[name] if e is None else e for name, e in explicit.items()}


@frozen(cache_hash=True)
class Tls:
    """
    How a backend's certificate is checked; backends with equal settings share contexts.

    ``ca_pem`` is the content of ``ssl_ca_file`` (read by :mod:`yallmp.files`).
    """

    verify: bool = True
    ca_pem: bytes | None = field(default=None, repr=False)


@frozen
class Parse:
    """
    What is read out of the texts of a model whose server passes them on as they are.

    :ivar reasoning: ``off``; ``think_tags``; ``open_think_tags``, where the chat template writes
        the opening one.
    :ivar tool_calls: ``off``, ``auto``, ``hermes``, ``qwen``, ``glm`` or ``kimi``.
    """

    reasoning: str = "off"
    tool_calls: str = "off"


@frozen(cache_hash=True)
class Backend:
    """
    One destination for one model name.

    ``sends`` is the model name for upstream, already without its provider's prefix; it
    is ``None`` for a backend without a model of its own, which is asked for
    ``model_name``.  In the names of wildcard backends ``*`` stands for the rest of the
    name that the client asked for.  ``extra_body`` holds values as JSON text.  ``also`` are
    further types that it speaks like, beside ``api_type``.

    ``stream_rescue`` is ``auto``, ``on`` or ``off``; ``stream_commit`` is ``first_content`` or
    ``complete``; ``prefill`` is how the backend is told to go on with a text: ``off``,
    ``plain``, ``vllm`` or ``prefix`` (docs/failover.md).
    """

    name: str
    model_name: str
    api_base: str = ""
    api_key: str | None = field(default=None, repr=False)
    sends: str | None = None
    api_type: str = "openai"
    also: tuple[str, ...] = ()
    supports_reasoning: bool = False
    mock_response: str | None = None
    weight: float = 1.0
    order: int = 0
    patience: Patience = Patience()
    extra_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    extra_body: tuple[tuple[str, str], ...] = ()
    parameters: tuple[Parameter, ...] = ()
    drop_params: tuple[str, ...] = ()
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    pass_headers: tuple[str, ...] = ()
    tls: Tls = Tls()
    proxy: Proxy | None = None
    max_in_flight: int | None = None
    queue_timeout: float = 5.0
    stream_rescue: str = "auto"
    stream_commit: str = "first_content"
    prefill: str = "off"
    parse: Parse | None = None
    log_requests: str | None = None
    registered: bool = False
    created: int = 0

    @property
    def is_wildcard(self) -> bool:
        """Whether the name is a pattern (``openai/*``) rather than one model."""
        return self.model_name.endswith("*")

    def upstream_model(self, asked: str) -> str:
        """
        The model name to send for a client that asked for *asked*.

        >>> Backend("b", "openai/*").upstream_model("openai/gpt-4o")
        'gpt-4o'
        """
        if not self.is_wildcard:
            return self.sends or self.model_name
        prefix = self.model_name[:-1]
        rest = asked[len(prefix) :] if asked.startswith(prefix) else asked
        if self.sends is None:
            return rest
        return self.sends[:-1] + rest if self.sends.endswith("*") else self.sends
