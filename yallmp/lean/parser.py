"""
The bytes of a backend's answer, as the events that they are.

llhttp (by way of httptools) does the parsing, as strictly as it can: framing that two
readers could read differently is refused (RFC 9112, 6.3 and 11.2).  What it leaves open is
settled here: how long a head may be (and interim ones before it, and whatever comes in
place of the body: trailers, extensions of chunks), which transfer codings there are, that interim
answers are skipped, that nobody asked for another protocol, and that nothing may follow an
answer.  No I/O: bytes go in, and what they were stands in the fields.
"""

from __future__ import annotations

from attrs import define, field
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from yallmp.core.exchange import HeaderPairs

#: The longest head of an answer, unless the configuration says otherwise; bytes.
MAX_HEAD = 64 * 1024
#: So many headers an answer may have: each costs more than its bytes.
MAX_FIELDS = 1000
#: What a head has beside its reason and headers, and a header beside its name and value.
_BARE, _FIELD = len(b"HTTP/1.1 200 \r\n\r\n"), len(b": \r\n")
#: Statuses whose answers never have a body (RFC 9110, 6.4.1).
_BODILESS = (204, 304)


class NotHTTP(Exception):
    """What a backend sent cannot be read as one answer."""


@define(eq=False)
class AnswerParser:
    """
    Reads the answers that come on one connection, one at a time.

    :ivar status: its status, once its head is there.
    :ivar headers: its headers, in their order.
    :ivar head: whether the head is there.
    :ivar complete: whether the body is.
    :ivar until_close: whether the body ends with the connection.
    :ivar keep_alive: whether the connection may be used again, by what both sides say.
    :ivar extra: whether more than the answer came.
    :ivar most: so many bytes may come that are no part of a body: of a head, or at a stretch.
    """

    most: int = MAX_HEAD
    status: int = 0
    head: bool = False
    complete: bool = False
    until_close: bool = False
    keep_alive: bool = False
    extra: bool = False
    reason: bytes = b""
    version: str = "1.1"
    _pairs: list[tuple[bytes, bytes]] = field(factory=list)
    _body: list[bytes] = field(factory=list)
    _left: int = field(init=False)
    _parser: HttpResponseParser = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._left = self.most
        self._parser = HttpResponseParser(self)

    def renew(self) -> None:
        """Another answer is to come, behind one that was complete and left nothing behind."""
        self.status, self.reason, self.version = 0, b"", "1.1"
        self.head = self.complete = self.until_close = self.keep_alive = False
        self._pairs, self._left = [], self.most

    @property
    def headers(self) -> HeaderPairs:
        """The headers, repeated ones repeated."""
        return tuple(self._pairs)

    def feed(self, data: bytes) -> bytes:
        """
        Read *data*; gives the part of the body that was in it.

        :raises NotHTTP: it cannot be read.
        """
        if self.complete:
            self.extra = True
            return b""
        awaited = not self.head
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._refuse(HttpParserError("another protocol, which nobody asked for"))
        except HttpParserError as error:
            self._refuse(error)
        if awaited and self.head:
            if len(data) > self._left:
                self._measure()
            self._left = self.most
        elif self._body:
            self._left = self.most
        elif not self.complete:
            self._count(len(data))
        return self._taken()

    def _count(self, size: int) -> None:
        """*size* more bytes came that are no part of a body."""
        self._left -= size
        if self._left < 0:
            what = "between two parts of a body" if self.head else "of a head"
            raise NotHTTP(f"more than {self.most} bytes {what}")

    def _measure(self) -> None:
        """The head is there, with so much before and behind it that it may be too long."""
        size = _BARE + len(self.reason) + sum(len(n) + len(v) + _FIELD for n, v in self._pairs)
        if size > self.most:
            raise NotHTTP(f"a head of more than {self.most} bytes")

    def _refuse(self, error: HttpParserError) -> None:
        """What cannot be read behind an answer does not spoil it; everything else does."""
        if not self.complete:
            cause = error.__context__
            raise NotHTTP(str(cause if isinstance(cause, NotHTTP) else error)) from None
        self.extra = True

    def _taken(self) -> bytes:
        body, self._body = self._body, []
        return body[0] if len(body) == 1 else b"".join(body)

    # llhttp's callbacks

    def on_message_begin(self) -> None:
        """An answer begins; behind one that is complete there may be none."""
        self.extra = self.extra or self.complete

    def on_status(self, status: bytes) -> None:
        """The reason phrase."""
        self.reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is left out."""
        if not self.head and not self.complete:
            self._pairs.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is there."""
        if self.complete:
            return
        if len(self._pairs) > MAX_FIELDS:
            raise NotHTTP(f"more than {MAX_FIELDS} header fields")
        self.status = self._parser.get_status_code()
        if self.status < 200:
            return
        self.head = True
        self.version = self._parser.get_http_version()
        self.until_close = self._is_unframed()

    def _is_unframed(self) -> bool:
        framed, codings = self.status in _BODILESS, []
        for name, value in self._pairs:
            lowered = name.lower()
            if lowered == b"transfer-encoding":
                codings.append(value.strip().lower())
            framed = framed or lowered == b"content-length"
        if codings and codings != [b"chunked"]:
            raise NotHTTP("a transfer coding other than chunked")
        return not codings and not framed

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        if not self.complete:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """The end of an answer; of an interim one nothing is kept."""
        if self.complete:
            return
        if self.head:
            self.complete = True
            self.keep_alive = self._parser.should_keep_alive()
        else:
            self._pairs.clear()
            self.reason = b""
