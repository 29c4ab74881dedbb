"""
Standard output, which never waits for whoever reads it.

It may be a pipe, a terminal or journald's socket, and who is at the other end may be slow,
stopped, or gone; a plain ``write`` would stop the reactor for as long.  So:

- On Linux a pipe or a terminal is opened once more, by ``/proc/self/fd``: that makes an open
  file of our own, which does not block although the one that we were given does (that is
  shared with others, who would not expect it to change).  A socket has a flag for each
  send.  Elsewhere it is asked before whether there is room, and for no more than fits.
- What finds no room waits, up to :data:`MOST_WAITING`, and a thread passes it on as soon as
  there is some.  There is no such thread while all is well.
- What does not fit there either is lost, counted, and told (:mod:`yallmp.gaps`).  So is what
  a full disk or a reader that is gone refuses.
"""

from __future__ import annotations

import atexit
import os
import select
import socket
import stat
import sys
from collections.abc import Callable
from functools import partial
from threading import Lock, Thread
from typing import IO, Any, cast

from yallmp.gaps import Gap

MOST_WAITING = 1024 * 1024
#: What always goes at once into a pipe that has room (``PIPE_BUF``, pipe(7)).
_PIECE = 4096
#: Seconds that what waits has at the end of the process.
_LAST_MOMENT = 0.2
_UNREAD = "nobody reads standard output"


def hold_standard_streams() -> None:
    """
    Open those of the first three descriptors that are closed, on nothing.

    Or else the next file or connection would get the number, and what is written to
    standard output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free


def outlet(stream: IO[Any] | None) -> IO[Any]:
    """What writes to where *stream* does; *stream* itself if that is no file of the system's."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    try:
        return cast("IO[Any]", Outlet(*_ways(stream.fileno())))
    except (OSError, ValueError):
        return stream


def _ways(descriptor: int) -> tuple[Callable[[bytes], int], int]:
    """What writes to *descriptor* without waiting, and what to watch until there is room."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        sender = socket.socket(fileno=os.dup(descriptor))
        return partial(_send, sender), sender.fileno()
    if stat.S_ISREG(mode) or not hasattr(select, "poll"):
        return partial(os.write, descriptor), descriptor
    try:
        own = _opened_again(descriptor)
    except OSError:
        return partial(_write_a_piece, descriptor), descriptor
    return partial(os.write, own), own


def _opened_again(descriptor: int) -> int:
    if not sys.platform.startswith("linux"):
        raise OSError("no open file of our own is to be had")
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    return os.open(f"/proc/self/fd/{descriptor}", flags)


def _send(sender: socket.socket, content: bytes) -> int:
    return sender.send(content, socket.MSG_DONTWAIT)


def _write_a_piece(descriptor: int, content: bytes) -> int:
    if not _poll(descriptor, 0):
        raise BlockingIOError
    return os.write(descriptor, content[:_PIECE])


def _poll(descriptor: int, patience: float | None) -> bool:
    """Whether there is room, or will be none any more, within *patience* milliseconds."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(patience))


class Outlet:
    """
    Writes lines, from any thread, and waits for nobody.

    :param send: writes some of what it is given and says how much; ``BlockingIOError`` for none.
    :param watched: the descriptor that says when there is room again.
    """

    def __init__(self, send: Callable[[bytes], int], watched: int) -> None:
        self._send = send
        self._watched = watched
        self._lock = Lock()
        self._waiting = bytearray()
        self._thread: Thread | None = None
        self.gap = Gap()
        self._is_torn = False
        atexit.register(self.close)

    def write(self, text: str | bytes) -> None:
        """Write whole lines, now or a little later, or lose them."""
        content = text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text
        try:
            with self._lock:
                is_out = self._passed_on(content)
        except OSError as error:
            self.gap.add(content, error)
        else:
            if is_out and self.gap.lines:
                self.gap.tell()

    def flush(self) -> None:
        """Nothing is kept back that there is room for."""

    def close(self) -> None:
        """At the end, what waits has a last moment."""
        thread = self._thread
        if thread is not None:
            thread.join(_LAST_MOMENT)

    def _passed_on(self, content: bytes) -> bool:
        """Whether *content* is out; if not, the rest of it waits."""
        if self._is_torn:
            content = b"\n" + content
        sent = 0 if self._waiting else self._sent(content)
        self._is_torn = False
        if sent == len(content):
            return True
        self._keep(content[sent:])
        return False

    def _sent(self, content: bytes) -> int:
        try:
            return self._send(content)
        except BlockingIOError:
            return 0

    def _keep(self, content: bytes) -> None:
        if self._waiting and len(self._waiting) + len(content) > MOST_WAITING:
            self.gap.add(content, _UNREAD)
            return
        self._waiting += content
        if self._thread is None:
            self._thread = Thread(target=self._drain, name="standard output", daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:  # the system has no thread left
                self._give_up(error)

    def _drain(self) -> None:
        """Runs in the thread: pass on what waits until nothing does."""
        while self._thread is not None:
            _poll(self._watched, None)
            with self._lock:
                try:
                    del self._waiting[: self._sent(bytes(self._waiting[: 16 * _PIECE]))]
                except OSError as error:
                    self._give_up(error)
                if not self._waiting:
                    self._thread = None

    def _give_up(self, error: Exception) -> None:
        """What waits is lost, and it may begin in the middle of a line."""
        self.gap.add(bytes(self._waiting), error)
        self._waiting.clear()
        self._is_torn, self._thread = True, None
