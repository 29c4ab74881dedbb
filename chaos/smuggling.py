"""
Sending framings (:mod:`chaos.framings`), straight to the proxy or through nginx.

Straight, what a doubtful one may lead to is known: no 2xx, nothing more served, the end of
the connection.  Through nginx, which mends or refuses much of it, what counts is that both
find the same requests: nginx gives each of its own an id that the backend gets to see, and
notes the id that the proxy gave its answer.  A request that only one of them knows of was
smuggled.  nginx is told to be as lenient as it can be, and passes bodies on as they come,
or whole, as two listeners of it do.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from string import Template

from attrs import frozen

from chaos.framing import Framing
from chaos.upstream import eventually

#: How long a client waits for anything more, once it has all that it hopes for; seconds.
QUIET = 0.3
#: How long it waits for what must come.
PATIENCE = 10.0
AT_A_TIME = 32
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_NGINX = Template("""
daemon off;
master_process off;
pid $folder/nginx.pid;
error_log $folder/error.log;
events { worker_connections 512; }
http {
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    log_format ids "$$request_id $$upstream_http_x_yallmp_id $$upstream_status";
    access_log $folder/access.log ids;
    underscores_in_headers on;
    ignore_invalid_headers off;
    merge_slashes off;
    upstream proxy { server 127.0.0.1:$port; keepalive 8; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $$http_host;
    proxy_set_header X-Request-Id $$request_id;
    server {
        listen 127.0.0.1:$whole;
        location / { proxy_pass http://proxy; }
    }
    server {
        listen 127.0.0.1:$parts;
        proxy_request_buffering off;
        proxy_buffering off;
        location / { proxy_pass http://proxy; }
    }
}
""")


@frozen
class Seen:
    """What a client saw: the statuses of the answers, and whether the connection ended."""

    statuses: tuple[int, ...]
    ended: bool

    @property
    def good(self) -> int:
        """How many answers are 2xx."""
        return sum(200 <= status < 300 for status in self.statuses)


def sent(port: int, framing: Framing, *, to_its_end: bool) -> Seen:
    """
    What becomes of *framing* on a connection of its own.

    :param to_its_end: whether one that is refused is watched until its connection ends.
    """
    hoped = framing.number or (0 if to_its_end else 1)
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        with suppress(OSError):
            sock.sendall(framing.data)
        return _heard(sock, hoped)


def _heard(sock: socket.socket, hoped: int) -> Seen:
    """The answers: until the end, or for a moment after as many as are *hoped* for."""
    data, ended = b"", False
    while not ended:
        enough = hoped and len(_statuses(data)) >= hoped
        sock.settimeout(QUIET if enough else PATIENCE)
        try:
            more = sock.recv(1 << 16)
        except TimeoutError:
            break
        except OSError:
            more = b""
        data, ended = data + more, not more
    return Seen(_statuses(data), ended)


def _statuses(data: bytes) -> tuple[int, ...]:
    return tuple(int(found) for found in _STATUS.findall(data) if found != b"100")


def all_sent(port: int, framings: Sequence[Framing], *, to_its_end: bool = True) -> list[Seen]:
    """The same for several, some at a time."""
    send = partial(sent, port, to_its_end=to_its_end)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return list(pool.map(send, framings))


def wrong(framing: Framing, seen: Seen) -> str | None:
    """What is wrong with what the proxy itself made of *framing*, or ``None``."""
    if framing.meant != "refuse":
        good = seen.statuses == (200,) * framing.number
        return None if good else f"{framing.id}: {seen.statuses} in place of {framing.number} × 200"
    if any(not 400 <= status < 500 for status in seen.statuses) or len(seen.statuses) > 1:
        return f"{framing.id}: {seen.statuses} in place of a refusal"
    return None if seen.ended else f"{framing.id}: refused, but the connection stays open"


@frozen
class Nginx:
    """
    An nginx in front of the proxy.

    :ivar whole: the port where it reads a body before it passes it on.
    :ivar parts: the port where it passes it on as it comes.
    """

    folder: Path
    whole: int
    parts: int

    @property
    def passed(self) -> dict[str, str]:
        """The requests that it passed on: its id of each, and the proxy's."""
        lines = (self.folder / "access.log").read_text().splitlines()
        words = (line.split(" ", 2) for line in lines)
        return {own: theirs for own, theirs, status in words if status.strip("- ")}


def _free_ports(number: int) -> list[int]:
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def is_there() -> bool:
    """Whether this machine has nginx."""
    return shutil.which("nginx", path=_path()) is not None


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


@contextmanager
def nginx(port: int) -> Iterator[Nginx]:
    """An nginx in front of the proxy at *port*, while it is needed."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-nginx-"))
    whole, parts = _free_ports(2)
    made = Nginx(folder, whole, parts)
    values = {"folder": folder, "port": port, "whole": whole, "parts": parts}
    (folder / "nginx.conf").write_text(_NGINX.substitute(values))
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(
        command, env={**os.environ, "PATH": _path()}, stderr=subprocess.DEVNULL
    )
    try:
        _await([whole, parts], process)
        yield made
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _await(ports: Iterable[int], process: subprocess.Popen[bytes]) -> None:
    for port in ports:
        eventually(partial(_listens_or_ended, port, process), PATIENCE)
        if process.poll() is not None:
            raise RuntimeError("nginx does not start")


def _listens_or_ended(port: int, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        return True
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), PATIENCE):
        return True
    return False
