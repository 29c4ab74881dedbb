"""
Secrets leave nothing behind: what is hidden, and how.

Two rules, both needed.  *By name* (:mod:`yallmp.core.secretnames`): values of headers and
query parameters whose names speak of secrets are hidden, whoever sent them.  *By value*:
every secret that the process knows and that has at least 12 characters is replaced by
``****`` wherever it stands: in a header, a URL, a body, an error message.  It is looked
for in the forms that software gives to text: as it is, in JSON strings, percent-encoded,
and in base64 at each of the three alignments (so also within Basic credentials).  What is
left never tells how long the secret was.

Looking is cheap where there is nothing to find: data is searched for all forms before
anything is taken apart, and where there are many forms only in its long words
(:class:`Words`), of which ordinary text has few, and for all of them at once
(:mod:`yallmp.core.needles`).  A stream is looked at across its reads, and
a read waits for the next one only while its end could be the beginning of a secret
(:class:`MaskedStream`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from attrs import define, field, frozen

from yallmp.core.needles import Needles
from yallmp.core.secretnames import MASK, SHOWN, header_by_name, query_by_name, url_by_name
from yallmp.core.spellings import forms

#: Shorter secrets would be found in innocent text.
LEAST_KNOWN = 12
#: The end of a text is hidden if it is this much of the beginning of a secret.
LEAST_CUT = 16
#: Up to this size one regular expression is quicker than a search for each form.
_SHORT = 1024
#: From so many forms on it is quicker to look for long words first.
_MANY = 12
#: From so many on they are looked for all at once.
_LOTS = 48
#: More bytes are searched a part at a time, as the search copies what it looks at.
_WINDOW = 1 << 20
_MASK = MASK.encode()

Span = tuple[int, int]


class Masker:
    """
    Replaces the secrets that it was made with; immutable once made.

    Make one for each configuration: finding the forms of the secrets takes a moment.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.known = frozenset(secret for secret in secrets if len(secret) >= LEAST_KNOWN)
        self._forms = sorted(
            set().union(*map(forms, self.known)), key=lambda form: (-len(form), form)
        )
        self._needles = Needles(self._forms) if len(self._forms) >= _LOTS else None
        self._search = _any_of(self._forms if self._needles is None else ()).search
        self._starts = frozenset(form[:n] for form in self._forms for n in range(1, SHOWN + 1))
        self._beginnings = _start_of(() if self._needles else self._forms)
        self._sorted = sorted(self._forms)
        self._alphabet = frozenset(b"".join(self._forms))
        self._longest = len(self._forms[0]) if self._forms else 0
        shortest = len(self._forms[-1]) if self._forms else 0
        self._words = Words(self._alphabet, shortest) if len(self._forms) >= _MANY else None

    def finds(self, data: bytes) -> bool:
        """Whether a known secret stands in *data*, whole."""
        if len(data) <= _SHORT and self._needles is None:
            return self._search(data) is not None
        if len(data) <= _WINDOW:
            return self._stands_in(data)
        ends = range(_WINDOW, len(data) + _WINDOW, _WINDOW)
        return any(self._stands_in(data[max(0, at - _WINDOW - self._longest) : at]) for at in ends)

    def _stands_in(self, data: bytes) -> bool:
        """The same for so much that copies of it are small."""
        place = data if self._words is None else self._words.of(data)
        if self._needles is not None:
            return bool(self._needles.found(place))
        return any(map(place.__contains__, self._forms))

    def spans(self, data: bytes) -> list[Span]:
        """Where known secrets stand in *data*: merged, in order."""
        if not self.finds(data):
            return []
        found = self._forms if self._needles is None else self._needles.found(data)
        return merged(span for form in found for span in _occurrences(data, form))

    def held(self, data: bytes) -> int:
        """How many bytes at the end of *data* may be the beginning of a secret."""
        if not data or data[-1] not in self._alphabet:
            return 0
        window = data[1 - self._longest :]
        for at in self._starting(window):
            if self._begins(window[at:]):
                return len(window) - at
        return 0

    def _starting(self, window: bytes) -> Iterator[int]:
        """Where in *window* the first bytes of a secret stand, as far as there are any."""
        if self._needles is not None:
            starts = self._starts
            yield from (n for n in range(len(window)) if window[n : n + SHOWN] in starts)
            return
        yield from (found.start() for found in self._beginnings.finditer(window))
        left = range(max(len(window) - SHOWN + 1, 0), len(window))
        yield from (n for n in left if window[n:] in self._starts)

    def _begins(self, tail: bytes) -> bool:
        """Whether a secret begins with *tail*, and goes on."""
        at = bisect_right(self._sorted, tail)
        return at < len(self._sorted) and self._sorted[at].startswith(tail)

    def mask(self, data: bytes) -> bytes:
        """*data* with every known secret replaced, also one that is cut off at the end."""
        spans = self.spans(data)
        cut = self.held(data)
        if cut >= LEAST_CUT:
            spans = merged([*spans, (len(data) - cut, len(data))])
        return replaced(data, spans) if spans else data

    def mask_text(self, text: str) -> str:
        """The same for text."""
        data = text.encode("utf-8", "surrogatepass")
        masked = self.mask(data)
        return text if masked is data else masked.decode("utf-8", "surrogatepass")

    def mask_query(self, query: str) -> str:
        """A query (what follows the question mark) by both rules."""
        return self.mask_text(query_by_name(query))

    def mask_url(self, url: str) -> str:
        """A URL by both rules."""
        return self.mask_text(url_by_name(url))

    def mask_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Headers by both rules."""
        return [(name, self.mask(header_by_name(name, value))) for name, value in headers]


class Words:
    """
    The stretches of data that something could stand in that has only bytes of *alphabet*.

    :param least: how long it is at least.
    """

    #: Python searches windows of this size in a way that suits what is looked for here.
    WINDOW = 29_000
    #: One word in so many bytes is too much: then it is quicker to look everywhere.
    FEW = 1024

    def __init__(self, alphabet: frozenset[int], least: int) -> None:
        self._kinds = bytes(byte in alphabet for byte in range(256))
        self._word = b"\1" * least
        self._least = least
        self._between = bytes(byte for byte in range(256) if byte not in alphabet)[:1]

    def of(self, data: bytes) -> bytes:
        """The words, with something between that is in none; all of *data* if they are many."""
        kinds = data.translate(self._kinds)
        words: list[bytes] = []
        start = self._next(kinds, 0)
        while start >= 0:
            end = kinds.find(b"\0", start)
            end = len(data) if end < 0 else end
            words.append(data[start:end])
            if len(words) > 8 + len(data) // self.FEW:
                return data
            start = self._next(kinds, end)
        return self._between.join(words) if self._between else data

    def _next(self, kinds: bytes, at: int) -> int:
        """Where the first word from *at* on begins; -1 if there is none."""
        while at + self._least <= len(kinds):
            found = kinds.find(self._word, at, at + self.WINDOW)
            if found >= 0:
                return found
            at += self.WINDOW - self._least + 1
        return -1


@frozen
class Piece:
    """One read of a stream as it may be shown; ``masked`` tells whether something was hidden."""

    data: bytes
    masked: bool = False


@define
class MaskedStream:
    """
    Masks successive reads of one stream, also what stretches over several of them.

    For each read there comes back one piece, in order; a few come late, while their end
    could be the beginning of a secret.  A secret is replaced in the read where it begins.
    """

    _masker: Masker
    _waiting: deque[bytes] = field(factory=deque, init=False)
    #: How much of the first waiting read belongs to a secret that began before it.
    _begun: int = field(default=0, init=False)

    def passes(self, reads: Sequence[bytes]) -> bool:
        """Whether *reads*, the next ones, may be shown as they are, and nothing of them waits."""
        joined = b"".join(reads)
        return (
            not self._waiting and not self._masker.held(joined) and not self._masker.finds(joined)
        )

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces that are certain now that *data* came."""
        if self.passes((data,)):
            return [Piece(data)]
        self._waiting.append(data)
        joined = b"".join(self._waiting)
        return self._certain(self._spans(joined), len(joined) - self._masker.held(joined))

    def flush(self) -> list[Piece]:
        """The rest, when the stream is over; most of a secret at its end is hidden as well."""
        joined = b"".join(self._waiting)
        cut = self._masker.held(joined)
        spans = self._spans(joined)
        if cut >= LEAST_CUT:
            spans = merged([*spans, (len(joined) - cut, len(joined))])
        return self._certain(spans, len(joined))

    def _spans(self, joined: bytes) -> list[Span]:
        begun = [(-1, self._begun)] if self._begun else []
        return merged([*begun, *self._masker.spans(joined)])

    def _certain(self, spans: Sequence[Span], end: int) -> list[Piece]:
        """The pieces of the waiting reads that lie wholly before *end*."""
        pieces, start = [], 0
        while self._waiting and start + len(self._waiting[0]) <= end:
            data = self._waiting.popleft()
            pieces.append(_piece(data, start, spans))
            start += len(data)
        self._begun = max((e - start for s, e in spans if s < start < e), default=0)
        return pieces


def _piece(data: bytes, start: int, spans: Sequence[Span]) -> Piece:
    """The read that begins at *start*; spans that began before it leave no second mask."""
    end = start + len(data)
    parts, done, hit = [], start, False
    at = max(bisect_right(spans, (start, start)) - 1, 0)
    while at < len(spans) and spans[at][0] < end:
        first, last = spans[at]
        at += 1
        if last > start:
            hit = True
            parts += [data[done - start : max(first, start) - start], _MASK * (first >= start)]
            done = min(last, end)
    return Piece(b"".join([*parts, data[done - start :]]), hit) if hit else Piece(data)


def merged(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, those that touch or overlap joined."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def replaced(data: bytes, spans: Sequence[Span]) -> bytes:
    """*data* with each of the spans replaced by the mask."""
    parts, done = [], 0
    for start, end in spans:
        parts += [data[done:start], _MASK]
        done = end
    return b"".join([*parts, data[done:]])


def _any_of(texts: Iterable[bytes]) -> re.Pattern[bytes]:
    """A pattern for any of the texts, as they are; it finds nothing if there are none."""
    return re.compile(b"|".join(map(re.escape, texts)) or b"(?!)")


def _start_of(texts: Iterable[bytes]) -> re.Pattern[bytes]:
    """A pattern for where one of the texts may begin."""
    return re.compile(b"(?=%b)" % _any_of({text[:SHOWN] for text in texts}).pattern)


def _occurrences(data: bytes, form: bytes) -> Iterator[Span]:
    at = data.find(form)
    while at >= 0:
        yield at, at + len(form)
        at = data.find(form, at + 1)
