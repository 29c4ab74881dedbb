"""
The proxy as a service of systemd: a socket that outlives it.
"""

from __future__ import annotations

import sys
import threading

from attrs import define, field

from chaos import client
from chaos.activation import Activated
from chaos.client import Caller
from chaos.item import Absent, Item
from chaos.stand import Stand

#: Requests, by how many clients at once, and restarts under them.
REQUESTS, CLIENTS, RESTARTS = 1000, 8, 5
_MODEL = {"model_name": "m", "litellm_params": {"mock_response": "Hello"}}


@define(eq=False)
class Crowd:
    """
    Clients that ask, each time on a new connection, until all requests are made.

    :ivar seen: what came instead of an answer.
    """

    port: int
    left: int = REQUESTS
    seen: list[str] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock)
    _pause: threading.Event = field(factory=threading.Event)

    def run(self) -> None:
        """Be one of them."""
        while self._take():
            caller = Caller(self.port, 30.0)
            try:
                caller.post(client.chat("m"))
                answer = caller.answer()
                if answer.status != 200 or not answer.whole:
                    self.seen.append(str(answer))
            except OSError as error:
                self.seen.append(repr(error))
            finally:
                caller.close()
            self._pause.wait(0.05)

    def _take(self) -> bool:
        with self._lock:
            self.left -= 1
            return self.left >= 0


def _over_restarts(stand: Stand) -> None:
    """The requests, with the restarts spread over them."""
    if not sys.platform.startswith("linux"):
        raise Absent("sockets are passed on by systemd only")
    proxy = Activated(stand.proxy.command, {"model_list": [_MODEL]})
    try:
        proxy.start()
        crowd = Crowd(proxy.port)
        clients = [threading.Thread(target=crowd.run, daemon=True) for _ in range(CLIENTS)]
        for each in clients:
            each.start()
        for number in range(1, RESTARTS + 1):
            due = REQUESTS - number * REQUESTS // (RESTARTS + 1)
            stand.soon(lambda due=due: crowd.left <= due, "the requests get stuck", 30.0)
            proxy.stop()
            proxy.start()
        for each in clients:
            each.join(30.0)
        stand.note(f"{REQUESTS} requests, {RESTARTS} restarts" + "".join(crowd.seen[:1]))
        stand.figure("8", float(len(crowd.seen)))
    finally:
        proxy.remove()


ITEMS = (
    Item(
        "service.restarts-under-a-socket",
        f"{REQUESTS} requests on new connections while the service is restarted {RESTARTS} times",
        "all are answered: connections wait in the socket; systemd hears of each start and end",
        "refuses connections while it restarts, or drops those it has accepted as it ends",
        _over_restarts,
        limit=90.0,
    ),
)
