"""
Kinds of values that go over the wire: lists, headers, queries, JSON, addresses.

As in :mod:`yallmp.core.config.kinds`, ``None`` stands for what is not set or wrong; of a list or
a mapping what is wrong is missing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from yallmp.core.config.kinds import text
from yallmp.core.config.reading import Reading
from yallmp.core.config.yamltree import Map, Node, Scalar, Seq
from yallmp.core.proxies import BadProxy, Proxy, parsed

Pairs = tuple[tuple[str, str], ...]

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#@*]+")
_STATUS = re.compile(r"(?P<class>[45])xx|(?P<first>[45]\d\d)(\s*-\s*(?P<last>[45]\d\d))?", re.ASCII)
_LIKE = "429, 5xx, 520-529"
_FRAMING = {
    "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}  # fmt: skip


def texts(reading: Reading, node: Node) -> tuple[str, ...]:
    """A list of texts; one text is a list of one."""
    found = [text(reading, item) for item in reading.items(node)]
    return tuple(value for value in found if value is not None)


def names(reading: Reading, node: Node) -> tuple[str, ...] | None:
    """Different texts, at least one where there is anything at all."""
    found = texts(reading, node)
    twice = next((each for each in found if found.count(each) > 1), None)
    if twice is not None:
        reading.problem(node, f"{json.dumps(twice)} stands in it twice")
    if not found and not (isinstance(node, Scalar) and node.value is None):
        reading.problem(node, "is empty; name one at least, or remove it")
    return tuple(dict.fromkeys(found)) or None


def dropped(reading: Reading, node: Node) -> tuple[str, ...]:
    """Names of parameters; what LiteLLM means by ``true`` would need a table of providers."""
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        reading.ignore(node, "drop_params", "parameters pass as they are: list those to drop")
        return ()
    return texts(reading, node)


def statuses(reading: Reading, node: Node) -> frozenset[int] | None:
    """Statuses of errors: numbers, classes (``5xx``), ranges (``520-529``); an empty list too."""
    if isinstance(node, Scalar) and node.value is None:
        return None
    found = [_statuses(reading, item) for item in reading.items(node)]
    return frozenset(status for some in found for status in some)


def _statuses(reading: Reading, node: Node) -> Iterable[int]:
    scalar = reading.scalar(node)
    if scalar is None:
        return ()
    found = _STATUS.fullmatch(_written(scalar).strip().lower())
    if found is None:
        reading.problem(node, f"{reading.shown(scalar)} is not a status from 400 to 599 ({_LIKE})")
        return ()
    if found["class"]:
        first = int(found["class"]) * 100
        return range(first, first + 100)
    first, last = int(found["first"]), int(found["last"] or found["first"])
    if first > last:
        reading.problem(node, f"{reading.shown(scalar)} begins after its end")
    return range(first, last + 1)


def _written(scalar: Scalar) -> str:
    """A number as it is written, so that 0650 is not 424."""
    if isinstance(scalar.value, str):
        return scalar.value
    return scalar.source or str(scalar.value)


def origins(reading: Reading, node: Node) -> tuple[str, ...]:
    """Origins of web pages, as browsers send them."""
    found = texts(reading, node)
    for origin in found:
        if not _ORIGIN.fullmatch(origin):
            reading.problem(node, f"{json.dumps(origin)} is not an origin (https://app.example)")
    return found


def header_names(reading: Reading, node: Node) -> tuple[str, ...]:
    """Names of headers, in lower case."""
    found = texts(reading, node)
    for header in found:
        if not _TOKEN.fullmatch(header):
            reading.problem(node, f"{json.dumps(header)} is not the name of a header")
    return tuple(header.lower() for header in found)


def headers(reading: Reading, node: Node) -> Pairs:
    """Headers to set; their values are never shown."""
    found = query(reading, node)
    places = dict(reading.pairs(node)) if isinstance(node, Map) else {}
    for header, value in found:
        if not _TOKEN.fullmatch(header):
            reading.problem(places[header], f"{json.dumps(header)} is not the name of a header")
        elif header.lower() in _FRAMING:
            reading.problem(places[header], "belongs to the connection and cannot be set")
        elif not (value.isascii() and value.isprintable()):
            reading.problem(places[header], "has a line break or a character beyond ASCII in it")
    return found


def query(reading: Reading, node: Node) -> Pairs:
    """Names with texts."""
    found = [(key, text(reading, value)) for key, value in reading.pairs(node)]
    return tuple((key, value) for key, value in found if value is not None)


def json_values(reading: Reading, node: Node) -> Pairs:
    """Names with JSON values, as JSON text."""
    pairs = reading.pairs(node)
    return tuple((key, json.dumps(plain(reading, value))) for key, value in pairs)


def plain(reading: Reading, node: Node) -> object:
    """*node* as a value of Python's, with variables filled in at any depth."""
    if isinstance(node, Map):
        return {key: plain(reading, value) for key, value in node.items}
    if isinstance(node, Seq):
        return [plain(reading, item) for item in node.items]
    scalar = reading.scalar(node)
    value = scalar.value if scalar is not None else None
    if isinstance(value, float) and not math.isfinite(value):
        reading.problem(node, f"{reading.shown(node)} is no JSON value")
        return None
    return value


def proxy(reading: Reading, node: Node) -> Proxy | None:
    """A proxy that leads to backends; never shown, as it may have a password in it."""
    value = text(reading, node)
    if value is None:
        return None
    try:
        return parsed(value)
    except BadProxy as error:
        reading.problem(node, str(error))
        return None


def url(reading: Reading, node: Node) -> str | None:
    """The address of an API, without a slash at its end."""
    value = text(reading, node)
    if value is None:
        return None
    problem = url_problem(value)
    if problem:
        reading.problem(node, problem)
        return None
    return value.rstrip("/")


def url_problem(value: str) -> str | None:
    """What keeps *value* from being an ``api_base``; it is not repeated, as it may hold a key."""
    if not (value.isascii() and value.isprintable()) or " " in value or "\\" in value:
        return "has a blank, a backslash, a control character or a character beyond ASCII in it"
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        return "is not an address such as https://api.example.com/v1"
    if "@" in parts.netloc:
        return "must not hold a user's name or password; use api_key or extra_headers"
    if "?" in value or "#" in value:
        return "must not have a query or a fragment; put a query under query:"
    if parts.path.rstrip("/").endswith("/chat/completions"):
        return "must end before /chat/completions, which is added to it"
    return None
