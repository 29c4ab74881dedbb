"""
Clients with odd manners: half-closed, slow, not reading, many requests at once, old versions.
"""

from __future__ import annotations

from chaos import client, secrets
from chaos.client import Caller
from chaos.item import Backend, Item
from chaos.memory import memory
from chaos.peer import Ask, Peer
from chaos.scripts import (
    TEXT,
    WELL,
    beginning,
    chunked,
    completion,
    each,
    ending,
    event,
    in_chunks,
    says_and_waits,
    stream_head,
    tokens,
    whole,
)
from chaos.stand import Stand, now, refused, served

MIB = 1 << 20
#: What a client that does not read is offered.
OFFER = 64 * MIB
PIECE = chunked(event("m", {"content": "x" * 60000}))


def _request(stand: Stand, *fields: str, **more: object) -> bytes:
    body = stand.body(**more)
    return client.head(len(body), *fields, key=secrets.CLIENT) + body


def _half_closed(stand: Stand) -> None:
    """A client that closes its half behind its request, as some tools do, is not left hanging."""
    caller = stand.caller(10.0)
    caller.send(_request(stand))
    caller.end_writing()
    answer = caller.answer()
    stand.must(answer.ended != "silent", f"nothing happens: {answer}")
    stand.must(not answer.status or answer.text == TEXT, f"neither an answer nor an end: {answer}")


def _kept(stand: Stand) -> None:
    """Many requests on one connection."""
    caller = stand.caller()
    for _ in range(50):
        caller.send(_request(stand))
        served(stand, caller.answer())


def _pipelined(stand: Stand) -> None:
    """Several requests in one write; their answers come in their order."""
    caller = stand.caller()
    caller.send(_request(stand) + _request(stand, model="nobody") + _request(stand))
    first, second, third = caller.answer(), caller.answer(), caller.answer()
    served(stand, first)
    refused(stand, second, 404)
    served(stand, third)


def _pipelined_behind_a_stream(stand: Stand) -> None:
    """A request behind one that streams."""
    caller = stand.caller()
    caller.send(_request(stand, stream=True) + _request(stand))
    served(stand, caller.answer())
    served(stand, caller.answer())


def _flooded(stand: Stand) -> None:
    """Megabytes of requests behind one that is not answered: not kept for ever."""
    caller = stand.caller(5.0)
    request = _request(stand)

    def flood() -> None:
        try:
            for _ in range(64 * MIB // (len(request) * 100)):
                caller.sock.sendall(request * 100)
        except OSError:
            return

    memory(stand, flood)


def _byte_by_byte(stand: Stand) -> None:
    """A request of which each byte comes in a write of its own."""
    caller = stand.caller()
    for byte in _request(stand):
        caller.send(bytes([byte]))
    served(stand, caller.answer())


def _chunked(stand: Stand) -> None:
    """A request in chunks of one byte, with extensions and a trailer."""
    caller = stand.caller()
    caller.send(client.head(None, "Transfer-Encoding: chunked", key=secrets.CLIENT))
    for byte in stand.body():
        caller.send(b"1;a=b\r\n%c\r\n" % byte)
    caller.send(b"0\r\nX-Trailer: yes\r\n\r\n")
    served(stand, caller.answer())


def _expecting(stand: Stand) -> None:
    """A client that wants to be told before it sends its body."""
    caller, body = stand.caller(), stand.body()
    caller.send(client.head(len(body), "Expect: 100-continue", key=secrets.CLIENT))
    stand.must(caller.until(b"100 "), "the client is not told to go on")
    caller.send(body)
    served(stand, caller.answer())


def _old(stand: Stand) -> None:
    """HTTP/1.0, whole and streamed: the body ends with the connection or has a length."""
    for streamed in (False, True):
        caller = stand.caller()
        caller.send(_request(stand, stream=streamed).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        served(stand, caller.answer())


def _last(stand: Stand) -> None:
    """Connection: close is kept to."""
    caller = stand.caller()
    caller.send(_request(stand, "Connection: close"))
    served(stand, caller.answer())
    stand.must(not caller.read_some(), "the connection stays open")


def _dripped_head(stand: Stand) -> None:
    """A head of which a byte comes now and then is given up on in time."""
    caller = stand.caller()
    began = now()
    data = b"POST /v1/chat/completions HTTP/1.1\r\n" + b"X-A: b\r\n" * 100
    seen = _dripped(caller, data)
    stand.must(seen is not None, "the connection is kept open")
    stand.figure("3", max(0.0, (seen or 0.0) - began - 2.0 - 1.0))


def _dripped(caller: Caller, data: bytes) -> float | None:
    """Drip until something comes back, or the end; when that was."""
    caller.sock.settimeout(0.1)
    for byte in data:
        try:
            caller.sock.sendall(bytes([byte]))
            caller.sock.recv(1000)
        except TimeoutError:
            continue
        except OSError:
            return now()
        return now()
    return None


def offering(peer: Peer, _: Ask) -> None:
    """A stream of 64 MiB, as fast as it is taken."""
    peer.send(stream_head(), chunked(beginning("m")))
    for _number in range(OFFER // len(PIECE)):
        peer.send(PIECE)
    peer.send(in_chunks([*tokens("m"), *ending("m")]), chunked(b""))


def _unread(stand: Stand) -> None:
    """Who does not read holds the backend back, and takes no memory."""
    callers = [stand.open(stream=True) for _ in range(4)]

    def look() -> None:
        stand.soon(lambda: len(stand.backend.peers) == len(callers), "the backend is not asked")
        stand.wait(2.0)

    memory(stand, look)
    sent = max(peer.sent for peer in stand.backend.peers)
    stand.must(sent < 16 * MIB, f"the backend could send {sent / MIB:.0f} MiB")
    for caller in callers:
        caller.leave()
    stand.soon(lambda: not stand.backend.open, "the backend is not let go")


def _read_late(stand: Stand) -> None:
    """Who reads after a while gets everything."""
    caller = stand.open(stream=True)
    stand.wait(1.0)
    answer = caller.answer()
    stand.must(len(answer.body) > OFFER * 0.9, f"something is missing: {answer}")
    stand.must(answer.done and answer.whole, f"it does not end well: {answer}")


def _read_slowly(stand: Stand) -> None:
    """Who reads a little at a time gets everything."""
    caller = stand.open(stream=True)
    for _ in range(100):
        caller.read_some()
        stand.wait(0.005)
    answer = caller.answer()
    stand.must(answer.done and answer.whole, f"it does not end well: {answer}")


def _stuck(stand: Stand) -> None:
    """Who never reads is given up on."""
    stand.open(stream=True)
    stand.soon(lambda: stand.backend.peers, "the backend is not asked")
    peer = stand.backend.peers[0]
    stand.soon(lambda: peer.gone, "a client that never reads is kept for ever", 20.0)


def _silent_crowd(stand: Stand) -> None:
    """Clients that connect and say nothing are in nobody's way."""
    for _ in range(300):
        stand.caller()
    for _ in range(5):
        served(stand, stand.ask())


def slow_answer(peer: Peer, _: Ask) -> None:
    """A good answer, after a moment."""
    peer.pause(0.3)
    peer.send(whole(200, completion("m")))


ITEMS = (
    Item("client.half-closed", "the client closes its half behind its request",
         "it gets its answer, or the connection ends", "waits for the other half for ever",
         _half_closed, (Backend(each(slow_answer), unasked=True),)),
    Item("client.kept", "50 requests on one connection", "50 answers",
         "mixes them, or closes in between", _kept, (WELL,)),
    Item("client.pipelined", "three requests in one write, one of them bad",
         "three answers in their order", "loses those behind the first, or swaps them",
         _pipelined, (WELL,)),
    Item("client.pipelined-behind-a-stream", "a request in one write with one that streams",
         "both answers, one behind the other", "mixes the answer into the stream",
         _pipelined_behind_a_stream, (WELL,)),
    Item("client.floods", "64 MiB of requests behind one that is not answered",
         "little memory", "keeps all of them for later", _flooded, (says_and_waits(),),
         config={}, limit=60),
    Item("client.byte-by-byte", "a request of which each byte is a write of its own",
         "the answer", "parses reads in place of requests", _byte_by_byte, (WELL,)),
    Item("client.tiny-chunks", "a request in chunks of one byte, with extensions and a trailer",
         "the answer", "takes the trailer for the next request", _chunked, (WELL,)),
    Item("client.expects-100", "a client that waits to be told to go on", "it is told, and served",
         "waits for the body while the client waits for the word", _expecting, (WELL,)),
    Item("client.http-1.0", "a client of HTTP/1.0, whole and streamed", "answers without chunks",
         "sends chunks to who does not know them", _old, (WELL,)),
    Item("client.connection-close", "Connection: close", "the answer, then the end",
         "keeps the connection open", _last, (WELL,)),
    Item("client.drips-its-head", "a head of which ten bytes a second come", "408 in time",
         "starts its timer anew with every line: a few hundred of these stop everybody",
         _dripped_head, (), config={"limits": {"head_timeout": 2}}, limit=40),
    Item("client.silent-crowd", "300 clients connect and say nothing",
         "others are served", "gives each of them what is needed for a request",
         _silent_crowd, (WELL,), config={}),
    Item("client.does-not-read", "four clients do not read what streams to them, 64 MiB each",
         "the backend is held back; little memory", "buffers all of it", _unread,
         (each(offering),), config={}, limit=60),
    Item("client.never-reads", "a client that never reads",
         "it is given up on as write_timeout is over", "keeps it, and the backend, for ever",
         _stuck, (each(offering),), config={"limits": {"write_timeout": 2}}, limit=60),
    Item("client.reads-late", "a client that begins to read after a second",
         "all of it", "has dropped what did not fit",
         _read_late, (each(offering),), config={}, limit=60),
    Item("client.reads-slowly", "a client that reads a little at a time", "all of it",
         "gives up on who is merely slow",
         _read_slowly, (each(offering),), config={}, limit=60),
)  # fmt: skip
