"""Targets: what is read in memory: bodies, records, the configuration, names and addresses."""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from typing import Any, NoReturn

from chaos.fuzz import seeds
from chaos.fuzz.target import Target, cut, must, same
from yallmp.api_types.openai import OpenAI, read_whole
from yallmp.api_types.openai_streams import ChoiceStream
from yallmp.core import addresses, proxies, secretnames
from yallmp.core.asked import ENDPOINTS, Asked, understand
from yallmp.core.config.environment import Unexpandable, dotenv, expanded, whole_reference
from yallmp.core.config.findings import ConfigError
from yallmp.core.config.listenkinds import worker_count
from yallmp.core.config.whole import parse as parse_config
from yallmp.core.curl import command
from yallmp.core.digits import loads
from yallmp.core.errors import ProxyError
from yallmp.core.escapes import escape, escape_text, unescape, visible
from yallmp.core.gate import Gate
from yallmp.core.hops import check_hops, one_more
from yallmp.core.jsonbody import Document, apply
from yallmp.core.jsontext import MAX_DEPTH, MAX_MEMBERS
from yallmp.core.masking import MaskedStream, Masker
from yallmp.core.problems import answer_problem
from yallmp.core.record import RecordError, format_event, parse
from yallmp.core.registration import parse_registration
from yallmp.core.resend import CannotReplay, Choices, resend
from yallmp.core.retention import is_record
from yallmp.core.settings import Access
from yallmp.core.told import told_in
from yallmp.core.visit import host_of, is_loopback_name

_OPENAI = OpenAI()
#: Two that overlap, so that an end of one is a beginning of the other.
_SECRETS = (seeds.SECRET, seeds.SECRET[6:] + seeds.SECRET[:9])
_MASKER = Masker(_SECRETS)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_ENVIRON = {"A": "a value", "B": ""}


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _strictly(body: bytes) -> Any:
    """*body* as JSON without anything that may be refused; ``None`` if it has something."""
    many = body.count(b"{") + body.count(b"[") >= MAX_DEPTH or body.count(b":") > MAX_MEMBERS
    try:
        text = body.decode()
        return None if many else json.loads(
            text, parse_constant=_refuse, object_pairs_hook=_once
        )  # fmt: skip
    except (ValueError, RecursionError):
        return None


def _alike(one: Any, other: Any) -> bool:
    both = isinstance(one, float) and isinstance(other, float)
    return repr(one) == repr(other) or (both and math.isclose(one, other, rel_tol=1e-15))


def body(data: bytes) -> None:
    """A request's body is what Python's own reader makes of it, or is refused by us."""
    strict = _strictly(data)
    try:
        document = Document.parse(data)
    except ProxyError as error:
        must(not isinstance(strict, dict), f"refused, though it is good: {error}")
        return
    whole = loads(data)
    same(list(document.places), list(whole), "keys")
    for key, value in whole.items():
        must(_alike(document.get(key), value) or isinstance(value, (dict, list)), f"value {key!r}")
        same(loads(document.raw(key)), value, "bytes of a value")
    _changed(document, whole)
    for endpoint in ENDPOINTS:
        try:
            understand(endpoint, document)
        except ProxyError:
            continue


def _changed(document: Document, whole: dict[str, Any]) -> None:
    """A change changes what it says, and nothing else."""
    drop = [key for key in whole if key != "model"][:1]
    made = apply(document.body, document.splices({"model": '"new"'}, drop))
    wanted = {**{key: value for key, value in whole.items() if key not in drop}, "model": "new"}
    same(loads(made), wanted, "changed")


def escapes(data: bytes) -> None:
    """Foreign text is one line of visible characters, and comes back as it was."""
    line = escape(data)
    text = line.decode()
    must(not _CONTROL.search(text), "something unseen is left")
    same(unescape(line), data, "unescaped")
    with suppress(ValueError):
        unescape(data)
    shown = visible(data.decode("utf-8", "surrogateescape"))
    must(not _CONTROL.search(shown.replace("\n", "").replace("\t", "")), "the terminal acts")
    escape_text(data.decode("latin-1"))


def masking(data: bytes) -> None:
    """No secret survives, however a stream is cut; together the reads are the masked whole."""
    whole, parts = cut(data)
    masked = _MASKER.mask(whole)
    must(not any(secret.encode() in masked for secret in _SECRETS), "a secret survives")
    stream = MaskedStream(_MASKER)
    pieces = [piece for part in parts for piece in stream.feed(part)] + stream.flush()
    same(len(pieces), len(parts), "reads")
    joined = b"".join(piece.data for piece in pieces)
    squeezed = [re.sub(rb"\*{4,}", b"****", each) for each in (joined, masked)]
    same(*squeezed, "masked")
    name, _, value = whole.partition(b":")
    secretnames.header_by_name(name, value)
    text = whole.decode("latin-1")
    secretnames.query_by_name(text), secretnames.url_by_name(text)


def record(data: bytes) -> None:
    """A log, whatever was done to it, is read or refused; what was read can be written and sent."""
    try:
        found = parse(data)
    except RecordError:
        return
    for event in found.events:
        format_event(event)
    try:
        sent = resend(found, Choices(base_url="http://127.0.0.1:1"))
    except CannotReplay:
        return
    command(sent, "KEY")


def _asked(number: int) -> Asked:
    document = Document.parse(b'{"model": "m", "messages": [1]}')
    return understand(ENDPOINTS[number % len(ENDPOINTS)], document)


def whole(data: bytes) -> None:
    """A backend's whole answer is judged at a glance as it is when read; any error is told."""
    asked, rest = _asked(data[0] if data else 0), data[1:]
    same(repr(_OPENAI.check(asked, rest)), repr(read_whole(asked, rest)), "judged")
    told = told_in(rest)
    told.words.encode()


class Careful(ChoiceStream):
    """Looks at each event by itself."""

    def follow(self, lines: bytes, count: int) -> bool:
        """Nothing is beyond doubt."""
        return False


def _course(inspector: Any, parts: list[bytes]) -> Any:
    gate = Gate(inspector, 1 << 20, lambda error: answer_problem(error, (), 0.0, 2.0))
    releases = [gate.feed(part) for part in parts]
    releases.append(gate.end())
    sent = b"".join(release.data for release in releases)
    ends = [
        release.problem.reason if release.problem else "done"
        for release in releases
        if release.problem or release.done
    ]
    return sent, ends, sum(release.dropped for release in releases), gate.committed


def stream(data: bytes) -> None:
    """A stream passes the gate the same however it comes, and the fast way as the slow one."""
    rest, parts = cut(data)
    careful = _course(Careful(), [rest])
    same(_course(ChoiceStream(), [rest]), careful, "the fast way")
    if b"\r" not in rest:  # there one line end more or less may be left out
        same(_course(ChoiceStream(), parts), careful, "cut")
    must(len(careful[1]) == 1, "there is one end")


def config(data: bytes) -> None:
    """Whatever the file says, it is a configuration or our own error says what is wrong."""
    text = data.decode("utf-8", "replace")
    dotenv(text)
    with suppress(Unexpandable):
        whole_reference(text), expanded(text, _ENVIRON)
    try:
        parse_config(text, "fuzz.yaml", _ENVIRON)
    except ConfigError as error:
        str(error)


def names(data: bytes) -> None:
    """Addresses, hosts, proxies, lists of exceptions, names of files: read, or nothing."""
    text = data.decode("utf-8", "replace")
    for private in (True, False):
        addresses.refusal(text, private_allowed=private)
    addresses.is_near(text), addresses.is_loopback(text), addresses.peer_key(text)
    host = host_of(text)
    must(host is None or not is_loopback_name(host) or host == host.lower(), "upper case")
    worker_count(text), is_record(text)
    proxies.is_excepted("example.org", 443, text)
    proxies.variable_for("https://example.org/v1", {"HTTPS_PROXY": text, "NO_PROXY": text})
    try:
        proxies.parsed(text)
    except proxies.BadProxy as error:
        must(len(text) < 8 or text not in str(error), "a password is told")
    _hops(data, text)


def _hops(data: bytes, text: str) -> None:
    one_more(data)
    with suppress(ProxyError):
        check_hops({"x-yallmp-hops": (text,)}, 3)


def registration(data: bytes) -> None:
    """Any JSON at all: a registration that can be written down again, or our own error."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        made = parse_registration(value, Access(), 1)
    except ProxyError as error:
        json.dumps(error.message)
        return
    again = parse_registration(json.loads(made.source), Access(), 1)
    same(again.backends, made.backends, "read again")


TARGETS = (
    Target("body", "a request's body, against Python's own reader", body, seeds.BODIES,
           seeds.JSON),
    Target("escapes", "foreign text, there and back", escapes, seeds.TEXTS),
    Target("masking", "secrets, in streams cut anywhere", masking, seeds.MASKED, seeds.SECRETS),
    Target("record", "logs: read, written, sent again", record, seeds.RECORDS, seeds.LOG),
    Target("whole", "whole answers at a glance, against reading them", whole, seeds.WHOLES,
           seeds.JSON),
    Target("stream", "streams: the fast way against the slow one", stream, seeds.STREAMS,
           seeds.EVENTS),
    Target("config", "configurations, .env, references", config, seeds.CONFIGS, seeds.YAML),
    Target("names", "addresses, hosts, proxies, file names", names, seeds.NAMES),
    Target("registration", "registered models", registration, seeds.REGISTRATIONS, seeds.JSON),
)  # fmt: skip
