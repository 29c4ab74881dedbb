"""
Framings that two readers could read differently, straight and through nginx; and answers that
try the same on a client.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from chaos import smuggling
from chaos.framing import KEY, MARKER, Framing
from chaos.framings import framings
from chaos.item import Absent, Item
from chaos.scripts import WELL
from chaos.stand import Stand

_SERVED = re.compile(r" outcome=(\w+) id=(\w+)")
GROUPS = ("coding", "length", "line", "chunk", "target", "plain")


def _of(group: str) -> list[Framing]:
    return [each for each in framings() if each.id.startswith(f"{group}.")]


def _straight(stand: Stand) -> None:
    """Each of a group, straight to the proxy."""
    some = _of(stand.item.id.rpartition("-")[2])
    seen = smuggling.all_sent(stand.proxy.port, some)
    for framing, each in zip(some, seen, strict=True):
        why = smuggling.wrong(framing, each)
        stand.must(why is None, why)
    (well,) = smuggling.all_sent(stand.proxy.port, [_of("plain")[0]])
    stand.must(well.good == 1, f"a plain request behind them got {well.statuses}")
    _none_hidden(stand)
    refused = sum(each.meant == "refuse" for each in some)
    stand.note(f"{len(some)} framings, {refused} of them doubtful: 0 smuggled, 0 answered 2xx")


def _none_hidden(stand: Stand) -> None:
    hidden = b'"content":"%b"' % MARKER
    got = [ask for ask in stand.backend.asks if hidden in ask.body]
    stand.must(not got, f"the backend got {len(got)} requests that were hidden in others")


def _through(port: Callable[[smuggling.Nginx], int]) -> Callable[[Stand], None]:
    """All of them, through one of nginx's listeners."""

    def check(stand: Stand) -> None:
        if not smuggling.is_there():
            raise Absent("nginx is not installed")
        with smuggling.nginx(stand.proxy.port) as front:
            some = list(framings())
            seen = smuggling.all_sent(port(front), some, to_its_end=False)
            _agreed(stand, front)
        good = sum(each.good > 0 for f, each in zip(some, seen, strict=True) if f.meant == "refuse")
        stand.note(f"{len(some)} framings: 0 smuggled; {good} of the doubtful ones were mended")

    return check


def _agreed(stand: Stand, front: smuggling.Nginx) -> None:
    """nginx, the proxy and the backend must know of the same requests."""
    passed = front.passed
    known = set(passed.values())
    told = _SERVED.findall(stand.proxy.said)
    extra = [each for outcome, each in told if each not in known and outcome != "client_gone"]
    stand.must(not extra, f"the proxy had {len(extra)} requests that nginx knows nothing of")
    ids = [(ask.field(b"x-request-id") or b"").decode() for ask in stand.backend.asks]
    stand.must(len(set(ids)) == len(ids), "a request came twice to the backend")
    stand.must(set(ids) <= set(passed), "the backend got requests that nginx never passed on")
    stand.must(len(ids) > 50, f"only {len(ids)} requests came through: nothing is shown")


def _item(name: str, does: str, fails: str, check: Callable[[Stand], None]) -> Item:
    identity = f"smuggling.{name}"
    return Item(
        identity,
        does,
        "no request but those that were sent; nothing doubtful answered 2xx",
        fails,
        check,
        (WELL,),
        config={
            "general_settings": {"api_keys": {"framing": KEY.decode()}},
            "router_settings": {"model_group_alias": {"m": identity}},
        },
        limit=120.0,
    )


ITEMS = (
    *(
        _item(
            f"straight-{group}",
            f"requests with doubtful framing ({group}), each hiding another",
            _of(group)[0].broken,
            _straight,
        )
        for group in GROUPS
    ),
    _item(
        "nginx-whole",
        "all of them through an nginx that reads a body before it passes it on",
        "finds a request where nginx sees a body",
        _through(lambda front: front.whole),
    ),
    _item(
        "nginx-parts",
        "all of them through an nginx that passes bodies on as they come",
        "finds a request where nginx sees a body",
        _through(lambda front: front.parts),
    ),
)
