"""
Backends that say the credential that they were given, in every way that software has of saying
it; and clients and administrators that put theirs where it does not belong.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from urllib.parse import quote

from chaos import secrets
from chaos.item import Item
from chaos.peer import Ask, Peer
from chaos.scripts import each, events, head, whole
from chaos.stand import Stand

#: What a backend makes of its credential: the bytes of a whole answer.
Says = Callable[[bytes], bytes]
_JSON = "Content-Type: application/json"


def _key(ask: Ask) -> bytes:
    return (ask.field(b"authorization") or b"").removeprefix(b"Bearer ")


def _echo(says: Says) -> Callable[[Peer, Ask], None]:
    return lambda peer, ask: peer.send(says(_key(ask)))


def _error(shape: Callable[[bytes], bytes], status: int = 400) -> Says:
    """An error whose message has the credential in it, as *shape* makes it."""

    def says(key: bytes) -> bytes:
        text = b'{"error": {"message": "bad key %b", "type": "t", "code": "c"}}' % shape(key)
        return whole(status, text)

    return says


def _in_json(key: bytes) -> bytes:
    return json.dumps(key.decode())[1:-1].replace("/", "\\/").encode()


def _in_url(key: bytes) -> bytes:
    return b"https://x/?key=" + quote(key, safe="").encode()


def _in_basic(key: bytes) -> bytes:
    return b"Basic " + base64.b64encode(b"user:" + key)


def _in_a_header(key: bytes) -> bytes:
    told = f'WWW-Authenticate: Bearer realm="{key.decode()}"'
    return head(400, _JSON, told, f"X-Debug: {key.decode()}", "Content-Length: 2") + b"{}"


def _zipped(key: bytes) -> bytes:
    body = gzip.compress(b'{"error": {"message": "bad key %b"}}' % key)
    return head(400, _JSON, "Content-Encoding: gzip", f"Content-Length: {len(body)}") + body


def _page(key: bytes) -> bytes:
    return whole(500, b"<html>key %b</html>" % key, kind="text/html")


def _in_pieces(peer: Peer, ask: Ask) -> None:
    """An error that comes in many reads, the credential torn."""
    answer = _error(bytes)(_key(ask))
    for at in range(0, len(answer), 7):
        peer.send(answer[at : at + 7])
        peer.pause(0.01)


def _first_event(peer: Peer, ask: Ask) -> None:
    told = b'data: {"error": {"message": "bad key %b", "code": 400}}\n\n' % _key(ask)
    peer.send(head(200, "Content-Type: text/event-stream", f"Content-Length: {len(told)}") + told)


def _late_event(peer: Peer, ask: Ask) -> None:
    """An error event after the first words, the credential torn."""
    told = b'data: {"error": {"message": "bad key %b", "code": 400}}\n\n' % _key(ask)
    peer.send(events(0, 5))
    for at in range(0, len(told), 9):
        part = told[at : at + 9]
        peer.send(b"%x\r\n%b\r\n" % (len(part), part))
        peer.pause(0.01)
    peer.send(b"0\r\n\r\n")


def _unseen(stand: Stand, *, stream: bool = False) -> None:
    """The client must not see the credential; that logs do not have it is looked at later."""
    answer = stand.ask(stream=stream)
    stand.must(answer.status, "no answer")
    said = answer.body + "\n".join(f"{k}: {v}" for k, v in answer.fields.items()).encode()
    found = secrets.search("the answer", said, [stand.backend.key])
    stand.must(answer.error is not None or answer.status >= 400, f"no error: {answer}")
    stand.figure("11", float(len(found)))


def _recorded(stand: Stand) -> None:
    """An answer that is none of an error goes on as it is; its record must not have it."""
    stand.ask(stream=True)
    for path in stand.soon(stand.proxy.records, "no record"):
        found = secrets.search(path.name, path.read_bytes(), [stand.backend.key])
        stand.figure("11", float(len(found)))


def _torn_text(peer: Peer, ask: Ask) -> None:
    """A good stream whose text is the credential, torn across reads."""
    peer.send(events(0, 3))
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "%b"}}]}\n\n' % _key(ask)
    for at in range(0, len(event), 5):
        part = event[at : at + 5]
        peer.send(b"%x\r\n%b\r\n" % (len(part), part))
        peer.pause(0.005)
    peer.send(b"0\r\n\r\n")


#: Requests that hold a secret where none belongs; what comes of them does not matter.
def _misplaced() -> list[bytes]:
    client, admin = secrets.CLIENT, secrets.ADMIN
    in_url, body = quote(client, safe=""), b'{"model": "m", "messages": []}'
    lines = [
        f"GET /v1/models?key={in_url} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        f"GET /v1/models?api_key={in_url}&x=1 HTTP/9.9\r\nHost: localhost\r\n\r\n",
        f"GET /{in_url} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        f"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {admin}\r\n\r\n",
        f"GET /v1/models HTTP/1.1\r\nHost: {in_url}\r\nX-Request-Id: {in_url}\r\n\r\n",
        f"GET /admin/models?key={quote(admin, safe='')} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        f"GET /admin/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {admin}\r\n\r\n",
        f"DELETE /admin/models/{quote(admin, safe='')} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        f"{'x' * 190}{client}",
        f"GET /{'x' * 180}{in_url} HTTP/1.1\r\nbad\r\n\r\n",
    ]
    asked = (
        body.replace(b"m", client.replace('"', '\\"').encode(), 1),
        b'{"model": "none", "messages": [], "user": %b}' % json.dumps(client).encode(),
    )
    return [
        *(line.encode() for line in lines),
        *(_post("/v1/chat/completions", each, client) for each in asked),
        *(_post("/admin/models", each, admin) for each in (*asked, *_registrations(in_url))),
    ]


def _registrations(in_url: str) -> list[bytes]:
    """One that can be done, and some that cannot."""
    key = json.dumps(secrets.REGISTERED).encode()
    return [
        b'{"model_name": "x", "api_base": "http://127.0.0.1:9/v1", "api_key": %b}' % key,
        b'{"model_name": "x", "api_base": "http://u:%b@localhost/v1"}' % in_url.encode(),
        b'{"model_name": "x", "api_bas": %b}' % key,
        b'{"model_name": "x", "api_base": %b}' % key,
        b'{"model_name": "x", "api_base": "http://x", "extra_headers": {"X-Key": [%b]}}' % key,
        b'{"model_name": "x", "api_base": "http://x", "api_key": [%b]}' % key,
        b'{"broken": %b' % key,
    ]


def _post(path: str, body: bytes, key: str) -> bytes:
    lines = (
        f"POST {path} HTTP/1.1", "Host: localhost", _JSON, f"Authorization: Bearer {key}",
        f"Cookie: session={secrets.HEADER}", f"X-Auth-Token: {secrets.HEADER}",
        f"Content-Length: {len(body)}", "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + body


def _misplace(stand: Stand) -> None:
    """Send all of them; none of the answers may repeat what was planted."""
    found = []
    for request in _misplaced():
        caller = stand.caller(3.0)
        caller.send(request + b"\r\n\r\n" * (b" HTTP/" not in request))
        answer = caller.answer()
        caller.close()
        said = answer.body + str(answer.fields).encode()
        found += secrets.search("an answer", said, [secrets.REGISTERED, secrets.HEADER])
        found += secrets.search("an answer", said, [secrets.BACKEND])
    found += secrets.search("the proxy's output", stand.proxy.said.encode(), secrets.PLANTED)
    stand.note(f"{len(_misplaced())} requests")
    stand.figure("11", float(len(found)))


def _item(
    name: str, does: str, reply: Callable[[Peer, Ask], None], *, stream: bool = False
) -> Item:
    return Item(
        f"secrets.echo-{name}",
        f"the backend says its credential {does}",
        "an error without it, and no log that has it",
        "passes on a backend's errors as they are, with the operator's key in them",
        lambda stand: _unseen(stand, stream=stream),
        (each(reply),),
        {"stream_rescue": "off"},
    )


ITEMS = (
    _item("plain", "in an error's message", _echo(_error(bytes))),
    _item("json", "in an error's message, escaped as in PHP", _echo(_error(_in_json))),
    _item("percent", "in a URL in an error's message", _echo(_error(_in_url))),
    _item("base64", "as Basic credentials in an error's message", _echo(_error(_in_basic))),
    _item("401", "in the error that refuses it", _echo(_error(bytes, 401))),
    _item("500", "in an error of its own", _echo(_error(bytes, 500))),
    _item("header", "in headers of an error", _echo(_in_a_header)),
    _item("gzip", "in a compressed error", _echo(_zipped)),
    _item("html", "on a web page", _echo(_page)),
    _item("pieces", "in an error that comes in many reads", _in_pieces),
    _item("first-event", "in an error event before any text", _first_event, stream=True),
    _item("late-event", "in an error event after some text", _late_event, stream=True),
    Item(
        "secrets.text-in-pieces",
        "a good stream repeats the credential, torn across reads",
        "the client gets it as the backend sent it; the record does not have it",
        "looks for secrets in each read by itself",
        _recorded,
        (each(_torn_text),),
        {"stream_rescue": "off"},
        config={},
    ),
    Item(
        "secrets.misplaced",
        "keys in paths, queries, names of hosts, bodies, broken heads and broken registrations",
        "nobody is told them, and no log has them",
        "writes the first line of a request that it cannot read into its log",
        _misplace,
        config={},
    ),
)
