"""
A proxy for each test, alone or with workers, and requests to it one by one, the
administrator's too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from tests.live_proxy import (
    CLIENT_KEY,
    PATIENCE,
    LiveCase,
    ProxyProcess,
    configuration,
    eventually,
)
from tests.live_streams import Stream, Streams

_direct = build_opener(ProxyHandler({}))


def children(pid: int) -> set[int]:
    """The processes that *pid* has started and that live."""
    return {int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


class AdminCase(LiveCase):
    """``value`` is what the file says; the key of clients is the administrator's as well."""

    def start(self, workers: int, **general_settings: Any) -> None:
        """Start a proxy; all its workers serve when this returns."""
        self.value = json.loads(configuration(self.backend.api_base))
        self.value["general_settings"]["server"]["workers"] = workers
        self.value["general_settings"] |= {"admin_key": CLIENT_KEY, **general_settings}
        self.proxy = ProxyProcess(json.dumps(self.value))
        self.serving(workers)

    def serving(self, times: int) -> None:
        """Wait until one process or another has begun to serve so many times."""
        eventually(lambda: self.proxy.said.count(" listens on ") == times, "all that serve")

    def read(self, method: str, path: str, value: Any = None) -> tuple[int, bytes]:
        """The status and the body of the answer to a request on a connection of its own."""
        body = None if value is None else json.dumps(value).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {CLIENT_KEY}"}
        url = f"http://127.0.0.1:{self.proxy.port}{path}"
        try:
            request = Request(url, body, headers, method=method)
            with _direct.open(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()

    def ask(self, method: str, path: str, value: Any = None) -> tuple[int, Any]:
        """The same, where the body is JSON."""
        status, body = self.read(method, path, value)
        return status, json.loads(body)

    def chat(self, model: str = "chat") -> int:
        """The status of a small chat request."""
        messages = [{"role": "user", "content": "Hello."}]
        body = {"model": model, "messages": messages, "user": self.tag}
        return self.ask("POST", "/v1/chat/completions", body)[0]

    def streams(self, count: int) -> Streams:
        """Streams that wait for the backend to be released; it has seen all of them."""
        opened = [Stream.opened(self.proxy.port, "gated", self.tag) for _ in range(count)]
        streams = Streams(opened)
        self.addCleanup(streams.close)
        streams.follow(lambda: self.seen()["open"] == count)
        return streams
