"""
How an exchange ends for its client when no answer came, or not all of one.

Before the first byte the client gets a whole answer that says what is wrong; after it, an
error event and the end of the connection.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from yallmp.core.asked import Asked
from yallmp.core.errors import ProxyError
from yallmp.core.exchange import HeaderPairs
from yallmp.core.problems import Problem, Reason
from yallmp.core.replies import Reply, error_of, event_error, fault, reply_to
from yallmp.core.voice import respoken, spoken_body, spoken_event
from yallmp.downstream import Client

_SHUTDOWN = Problem(Reason.DISCONNECTED, "the proxy is shutting down", code="proxy_shutdown")


@define(eq=False)
class Ending:
    """
    Says the last words of one exchange.

    :ivar mask: replaces known secrets.
    :ivar said: what was said, if it was ours.
    """

    client: Client
    asked: Asked
    mask: Callable[[bytes], bytes]
    said: bytes | None = None

    async def refuse(self, problem: Problem, headers: HeaderPairs) -> None:
        """Nothing answered; *problem* is what the client is told of."""
        reply = reply_to(problem, self.asked.model, self.mask)
        if self.client.started:
            await self._last_words(error_of(reply))
        else:
            self._whole(reply, headers)

    async def break_off(self, problem: Problem) -> None:
        """The answer broke with *problem* after it had begun."""
        await self._last_words(event_error(problem, self.asked.model, self.mask))

    async def shut_down(self, headers: HeaderPairs) -> None:
        """The proxy stops."""
        if self.client.started:
            await self.break_off(_SHUTDOWN)
            return
        body = spoken_body(fault("proxy_shutdown", self.asked.model, 503), self.asked.endpoint)
        ours = ((b"content-type", b"application/json"), (b"retry-after", b"1"))
        self._whole(Reply(503, ours, body), headers)

    def _whole(self, reply: Reply, headers: HeaderPairs) -> None:
        self.said = respoken(reply.status, reply.body, self.asked.endpoint)
        self.client.whole(reply.status, (*reply.headers, *headers), self.said)

    async def _last_words(self, error: ProxyError) -> None:
        self.said = spoken_event(error, self.asked.endpoint)
        await self.client.break_off(self.said)
