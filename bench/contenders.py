"""
Contenders: who stands between the load and the backend, and how each is started.

``direct`` is nobody.  nginx and yallmp are described here; others in a small JSON file, such as
``contenders.json`` beside this module, which maps names to:

``command``
    what starts it in the foreground, a list of words;
``files``
    what to write into its folder first: name → text, or a list of lines;
``environment``, ``headers``
    variables for it, and header lines that clients send;
``path``, ``model``
    what clients ask for, ``/v1/chat/completions`` and ``bench`` unless said otherwise;
``patience``
    how many seconds it may take to its first answer, 60;
``note``
    for people.

In all of them ``@PORT@`` is the port it shall listen on at 127.0.0.1, ``@UPSTREAM@`` the
backend's, ``@FOLDER@`` its folder, ``@PYTHON@`` this Python, ``@CHECKOUT@`` this source tree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from bench.figures import BASE, DIRECT

CHECKOUT = Path(__file__).parent.parent
KNOWN_FILE = Path(__file__).with_name("contenders.json")


class Unusable(Exception):
    """Something that the user must mend before anything can be measured; its text says what."""


@dataclass(frozen=True)
class Contender:
    """
    A proxy and how to start it.

    ``records`` is a pattern of the files that it writes, one for each request, so that a
    request log which was given up under load does not go unseen.
    """

    name: str
    command: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    path: str = "/v1/chat/completions"
    model: str = "bench"
    patience: float = 60.0
    records: str = ""

    def filled(self, places: Mapping[str, str]) -> Contender:
        """The same with every ``@NAME@`` of *places* replaced."""
        return Contender(**{f.name: _fill(getattr(self, f.name), places) for f in fields(self)})


def _fill(thing: Any, places: Mapping[str, str]) -> Any:
    if isinstance(thing, str):
        for name, text in places.items():
            thing = thing.replace(f"@{name}@", text)
        return thing
    if isinstance(thing, tuple):
        return tuple(_fill(part, places) for part in thing)
    if isinstance(thing, Mapping):
        return {name: _fill(part, places) for name, part in thing.items()}
    return thing


#: As plain as nginx gets: no access log, connections kept on both sides, every read passed on.
NGINX = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid @FOLDER@/nginx.pid;
error_log stderr error;
events { worker_connections 8192; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path @FOLDER@/body;
    proxy_temp_path @FOLDER@/proxy;
    fastcgi_temp_path @FOLDER@/fastcgi;
    uwsgi_temp_path @FOLDER@/uwsgi;
    scgi_temp_path @FOLDER@/scgi;
    client_max_body_size 64m;
    client_body_buffer_size 2m;
    upstream backend {
        server 127.0.0.1:@UPSTREAM@;
        keepalive 2048;
        keepalive_requests 1000000000;
    }
    server {
        listen 127.0.0.1:@PORT@ backlog=4096;
        location / {
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }
    }
}
"""

YALLMP = """\
model_list:
  - model_name: bench
    litellm_params:
      model: openai/bench-upstream
      api_base: http://127.0.0.1:@UPSTREAM@/v1
      api_key: bench-upstream-key
general_settings:
  api_keys: [bench-client-key]
  server: {host: 127.0.0.1, port: @PORT@, workers: WORKERS}
logging:
  directory: @FOLDER@/logs
  requests: "REQUESTS"
  level: LEVEL
"""


def nginx() -> Contender:
    """The measure of all things: a plain reverse proxy that neither parses nor logs."""
    words = ("nginx", "-p", "@FOLDER@", "-e", "stderr", "-c", "@FOLDER@/nginx.conf")
    return Contender(BASE, words, {"nginx.conf": NGINX})


def yallmp(name: str, requests: str, level: str, workers: int = 1) -> Contender:
    """yallmp from this source tree, as a client with a key finds it."""
    text = YALLMP.replace("REQUESTS", requests).replace("LEVEL", level)
    text = text.replace("WORKERS", str(workers))
    return Contender(
        name,
        ("@PYTHON@", "-m", "yallmp", "-c", "@FOLDER@/yallmp.yaml"),
        {"yallmp.yaml": text},
        {"PYTHONPATH": "@CHECKOUT@"},
        ("Authorization: Bearer bench-client-key",),
        records="logs/requests/*.log" if requests == "on" else "",
    )


#: Those that run only when they are named: they answer a question of their own.
NAMED_ONLY = {"yallmp-2"}


def built_in() -> dict[str, Contender]:
    """Those that are described here, in the order of the tables."""
    known = (
        Contender(DIRECT),
        nginx(),
        yallmp("yallmp", "on", "info"),
        yallmp("yallmp-errors", "errors", "info"),
        yallmp("yallmp-off", "off", "warn"),
        yallmp("yallmp-2", "on", "info", workers=2),
    )
    return {contender.name: contender for contender in known}


def read_file(path: Path) -> dict[str, Contender]:
    """
    The contenders that a file describes.

    :raises Unusable: where it cannot be read, or says something that is not known here.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Unusable(f"{path}: {error}") from error


def parse(text: str) -> dict[str, Contender]:
    """
    The contenders in *text*.

    :raises ValueError: with what is wrong, and where.
    """
    described = json.loads(text)
    if not isinstance(described, dict):
        raise ValueError("it must be an object: a name for each contender")
    return {name: _contender(name, entry) for name, entry in described.items()}


def _contender(name: str, entry: Any) -> Contender:
    allowed = {f.name for f in fields(Contender)} - {"name"} | {"note"}
    if not isinstance(entry, dict) or not entry.get("command"):
        raise ValueError(f"{name}: it needs a command, a list of words")
    for key in entry:
        if key not in allowed:
            raise ValueError(f"{name}.{key} is not known here; there are: {sorted(allowed)}")
    known = {key: _frozen(part) for key, part in entry.items() if key != "note"}
    files = {file: _lines(text) for file, text in known.get("files", {}).items()}
    return Contender(name, **{**known, "files": files})


def _frozen(part: Any) -> Any:
    return tuple(part) if isinstance(part, list) else part


def _lines(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "\n".join(text) + "\n"


def chosen(names: list[str], known: Mapping[str, Contender]) -> list[Contender]:
    """
    The contenders called *names*, or the usual ones; always with the direct way, as the base.

    :raises Unusable: for a name that nobody has.
    """
    for name in names:
        if name not in known:
            raise Unusable(f'there is no contender "{name}"; known are: {", ".join(known)}')
    wanted = {DIRECT, *(names or set(built_in()) - NAMED_ONLY)}
    return [contender for name, contender in known.items() if name in wanted]
