"""
A logged request, ready to be sent again.

:func:`resend` makes it of a record and of what its user chose.  What is sent is byte for
byte what came, unless a choice changes it: then only the bytes of that value change.
What the log hides (masked headers and query values) is left out, what belonged to the
old connection as well, and whatever makes the copy differ from the original is said as a
warning.
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote, urlsplit

from attrs import evolve, field, frozen

from yallmp.core.errors import RequestFault
from yallmp.core.exchange import Begin, HeaderPairs
from yallmp.core.headers import HOP_BY_HOP
from yallmp.core.jsonbody import Document, apply
from yallmp.core.record import Record
from yallmp.core.recordframe import Block, Section
from yallmp.core.secretnames import MASK
from yallmp.core.visit import is_loopback_name

#: Made anew for each connection, or only for the proxy.
_NOT_AGAIN = HOP_BY_HOP | {b"host", b"content-length", b"accept-encoding", b"expect"}
_OURS = b"x-yallmp-"
_HEADER_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Addresses to listen on that nobody can connect to, everywhere.
_ANY = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
#: Of a UNIX socket a log has only that it was one.
_LISTENER = re.compile(r"(https?://)([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\])(:[0-9]{1,5})")
_SAFE_IN_URL = "/%:@!$&'()*+,;=-._~"


class CannotReplay(Exception):
    """The log does not hold what would have to be sent; the message says why."""


@frozen
class Choices:
    """
    What the user wants otherwise; ``None`` leaves it as it was.

    ``base_url`` stands for the record's own listener, ``stream`` for the body's
    ``stream``, ``api_key`` is sent as a bearer token.  ``unasked`` tells that nobody named
    this key for this log: then it does not go to wherever a log, which may be somebody
    else's, says that it came from.
    """

    base_url: str | None = None
    model: str | None = None
    stream: bool | None = None
    api_key: str | None = field(default=None, repr=False)
    unasked: bool = False


@frozen
class Resend:
    """A request to be sent; ``warnings`` say where it is not what was logged."""

    method: str
    url: str
    headers: HeaderPairs = field(repr=False)
    body: bytes = field(repr=False)
    warnings: tuple[str, ...] = ()


def resend(record: Record, choices: Choices) -> Resend:
    """
    The request of *record*, with *choices*.

    :raises CannotReplay: something of it is missing, or a choice cannot be followed.
    """
    begin, section = record.begin, record.request
    if begin is None or section is None:
        raise CannotReplay("The log ends within the request: there is nothing whole to send.")
    block = _whole(section.body)
    key, key_warning = _key(begin, choices)
    headers, left_out = _headers(begin, section, key)
    url, url_warning = _url(begin, section, choices.base_url)
    body, body_warning = _body(block.data, choices)
    warnings = (
        _unfinished(record), left_out, key_warning, url_warning, _altered(block), body_warning,
    )  # fmt: skip
    return Resend(begin.method, url, headers, body, tuple(filter(None, warnings)))


def _whole(block: Block | None) -> Block:
    if block is None:
        raise CannotReplay("The log has no body for its request.")
    if not block.is_whole:
        raise CannotReplay(
            f"The log keeps {len(block.data)} of the {block.total} bytes of the request's body "
            "(logging.bodies), so the request cannot be sent again."
        )
    return block


def _unfinished(record: Record) -> str:
    if record.complete:
        return ""
    return "The log is unfinished; its request is whole and is sent."


def _altered(block: Block) -> str:
    if not block.masked:
        return ""
    return (
        f"The body was altered: a known secret in it reads {MASK} in the log and in what is sent."
    )


def _key(begin: Begin, choices: Choices) -> tuple[str | None, str]:
    """The key to send, and a warning if there is one that is not."""
    if choices.api_key is None or not choices.unasked or choices.base_url is not None:
        return choices.api_key, ""
    host = urlsplit(_listener(begin.listener)).hostname or ""
    if is_loopback_name(host):
        return choices.api_key, ""
    return None, (
        f"The key in the environment is not sent to {host}, which only the log names; to send"
        " it there, give --base-url or --api-key."
    )


def _headers(begin: Begin, section: Section, api_key: str | None) -> tuple[HeaderPairs, str]:
    """The headers to send, and a warning that names those that the log hides."""
    fields = [line for line in section.fields if line.name == "header"]
    pairs = list(zip(begin.headers, fields, strict=True))
    kept = tuple(pair for pair, line in pairs if not line.masked and _goes_again(pair[0]))
    hidden = sorted({pair[0].decode("latin-1").lower() for pair, line in pairs if line.masked})
    if api_key is not None:
        kept = (*kept, (b"authorization", b"Bearer " + api_key.encode()))
    return kept, f"Left out, as the log hides their values: {', '.join(hidden)}." if hidden else ""


def _goes_again(name: bytes) -> bool:
    lowered = name.lower()
    return (
        lowered not in _NOT_AGAIN
        and not lowered.startswith(_OURS)
        and _HEADER_NAME.fullmatch(name) is not None
    )


def _url(begin: Begin, section: Section, base_url: str | None) -> tuple[str, str]:
    """The URL to send to, and a warning if values of its query are left out."""
    if not begin.path.startswith("/"):
        raise CannotReplay("The log's path is none, so that there is nothing to send it to.")
    hidden = any(line.masked for line in section.fields if line.name == "query")
    parts = begin.query.split("&")
    query = "&".join(part for part in parts if not (hidden and MASK in part))
    path = quote(begin.path, safe=_SAFE_IN_URL)
    url = _joined(base_url or _listener(begin.listener), path)
    url += "?" + quote(query, safe=_SAFE_IN_URL + "?") if query else ""
    return url, "Left out: the values of the query that the log hides." if hidden else ""


def _joined(base_url: str, path: str) -> str:
    """*path* below *base_url*, which may or may not bring the ``/v1`` that both may begin with."""
    base = base_url.rstrip("/")
    if base.endswith("/v1") and path.startswith("/v1/"):
        return base + path[len("/v1") :]
    return base + path


def _listener(url: str) -> str:
    """The address to reach a listener at that may listen on all."""
    found = _LISTENER.fullmatch(url)
    if found is None:
        raise CannotReplay(
            "The log names no address that a request could be sent to; give --base-url."
        )
    scheme, host, port = found.groups()
    return f"{scheme}{_ANY.get(host, host)}{port}"


def is_http_url(url: str) -> bool:
    """Whether *url* can be sent to."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _body(body: bytes, choices: Choices) -> tuple[bytes, str]:
    """The body with the choices in it, and a warning if they may not go together."""
    changes = {}
    if choices.model is not None:
        changes["model"] = json.dumps(choices.model)
    if choices.stream is not None:
        changes["stream"] = json.dumps(choices.stream)
    if not changes:
        return body, ""
    document = _document(body)
    odd = choices.stream is False and "stream_options" in document
    warning = "The body has stream_options, which some backends refuse without stream."
    return apply(body, document.splices(changes)), warning if odd else ""


def _document(body: bytes) -> Document:
    try:
        return Document.parse(body)
    except RequestFault as error:
        raise CannotReplay(f"--model and --stream-mode change JSON bodies only. {error}") from None


def without_key(request: Resend) -> Resend:
    """*request* as it may be shown: the API key is hidden."""
    headers = tuple((n, b"Bearer ****" if n == b"authorization" else v) for n, v in request.headers)
    return evolve(request, headers=headers)
