"""
Registration as a way inside: what whoever registers a backend can make of it.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import Got, ProxyCase, answer, good
from yallmp.arrivals import Arrival, Ends
from yallmp.core.backend import Backend
from yallmp.core.exchange import Attempt, Begin
from yallmp.core.masking import Masker
from yallmp.core.settings import Access, Fallbacks, Key
from yallmp.core.visit import Visit
from yallmp.upstream import Outgoing

CLIENT = "sk-client-0123456789abcdef"


class InsideCase(ProxyCase):
    """A victim's backend, and one that belongs to whoever registers."""

    def setUp(self) -> None:
        super().setUp()
        self.victim = self.fake("m")
        self.fake("evil")
        self.evil = self.fakes["evil"]

    def register(self, **body: Any) -> Got:
        """Register a backend; it is done."""
        got = self.ask({"api_base": "http://10.0.0.2/v1", **body}, path="/admin/models")
        self.assertEqual(got.status, 200, got.body)
        return got


class KeyTests(InsideCase):
    """What the backend that took a name's place gets to see."""

    def test_the_key_of_the_one_before(self) -> None:
        """Nothing is inherited from what a registration replaces."""
        self.serve(self.victim)
        self.register(model_name="m")
        self.assertEqual(self.ask().status, 200)
        ((_, _, headers, body),) = self.evil.requests
        self.assertFalse(headers.hasHeader("authorization"))
        self.assertNotIn(b"sk-secret-of-m", str(headers).encode() + body)

    def test_keys_of_clients(self) -> None:
        """None passes, whatever the registration asks for."""
        self.serve(self.victim)
        names = ["authorization", "x-api-key", "api-key", "cookie", "x-goog-api-key"]
        got = self.ask({"model_name": "m", "api_base": "http://10.0.0.2/v1",
                        "pass_headers": names}, path="/admin/models")  # fmt: skip
        self.assertEqual(got.status, 400)
        self.register(model_name="m", pass_headers=["host", "content-length", "x-team"])
        self.ask(headers=dict.fromkeys([*names, "proxy-authorization"], CLIENT))
        ((_, _, headers, _),) = self.evil.requests
        self.assertNotIn(CLIENT, str(list(headers.getAllRawHeaders())))

    def test_a_fallback_of_others(self) -> None:
        """A registered fallback gets the request, and its own credentials only."""
        self.serve(self.fake("down", answer({"error": {"message": "x"}}, 503)), self.victim)
        self.register(model_name="spare", api_key="sk-of-evil-0123456789")
        self.register(model_name="down", api_base="http://10.0.0.9/v1", fallbacks=["spare"])
        self.assertEqual(self.finish(self.ask(model="down")).status, 200)
        ((_, _, headers, _),) = self.evil.requests
        sent = headers.getRawHeaders("authorization")
        self.assertEqual(sent, ["Bearer sk-of-evil-0123456789"])


class AddressTests(InsideCase):
    """Where a registered backend can make the proxy connect to."""

    def metadata(self) -> None:
        """A metadata service answers like any backend would."""
        for address in ("169.254.169.254", "100.100.100.200"):
            self.net.listen(address, 80, self.net.servers["10.0.0.1", 80])

    def test_a_name_that_is_rebound(self) -> None:
        """The address is looked at for each connection, not once."""
        self.serve(self.victim)
        self.metadata()
        self.net.nameResolver.names["evil.test"] = ["10.0.0.2"]
        self.evil.script = [answer({"choices": []}, headers={"connection": "close"}),
                            good]  # fmt: skip
        self.register(model_name="r", api_base="http://evil.test/v1")
        self.finish(self.ask(model="r"))
        self.assertEqual(len(self.evil.requests), 1)
        self.net.nameResolver.names["evil.test"] = ["169.254.169.254"]
        self.net.pass_time(60, step=1)  # nothing is kept open any more
        got = self.finish(self.ask(model="r"))
        self.assertEqual((got.status, got.json["error"]["code"]), (502, "upstream_dns"))
        self.assertEqual(self.fakes["m"].requests, [])
        self.assertNotIn("169.254", got.json["error"]["message"])

    def test_one_bad_address_among_good_ones(self) -> None:
        """It is passed over, whichever comes first."""
        self.serve(self.victim)
        self.metadata()
        for number, found in enumerate((["169.254.169.254", "10.0.0.2"],
                                        ["10.0.0.2", "100.100.100.200"])):  # fmt: skip
            self.net.nameResolver.names["evil.test"] = found
            self.register(model_name=f"r{number}", api_base="http://evil.test/v1")
            self.assertEqual(self.finish(self.ask(model=f"r{number}")).status, 200)
        self.assertEqual(self.fakes["m"].requests, [])
        self.assertEqual(len(self.evil.requests), 2)

    def test_this_machine(self) -> None:
        """Where private addresses are refused, a name that leads to one gets no connection."""
        self.serve(self.victim, access=Access(private_backends=False))
        self.net.listen("127.0.0.1", 80, self.net.servers["10.0.0.1", 80])
        for number, address in enumerate(("127.0.0.1", "10.0.0.1", "::ffff:10.0.0.1", "fd00::1")):
            self.net.nameResolver.names["evil.test"] = [address]
            self.register(model_name=f"r{number}", api_base="http://evil.test/v1")
            got = self.finish(self.ask(model=f"r{number}"))
            self.assertEqual((got.status, got.json["error"]["code"]), (502, "upstream_dns"))
        self.assertEqual(self.fakes["m"].requests, [])

    def test_redirects(self) -> None:
        """They are not followed, wherever they lead."""
        self.serve(self.victim)
        self.metadata()
        for status in (301, 302, 303, 307, 308):
            to = {"location": "http://169.254.169.254/latest/meta-data/"}
            self.evil.script = [answer(b"", status, to)]
            self.register(model_name="r")
            got = self.finish(self.ask(model="r"))
            self.assertEqual((got.status, got.json["error"]["code"]), (502, "upstream_redirect"))
        self.assertEqual(self.fakes["m"].requests, [])

    def test_the_clients_query(self) -> None:
        """It cannot add a header, a fragment or a line to what is sent."""
        self.serve(self.victim)
        self.register(model_name="q", query={"a&b": "c#\r\nX: y"})
        self.ask(model="q", path="/v1/chat/completions?x=%0d%0aZ:1#frag")
        ((_, uri, headers, _),) = self.evil.requests
        self.assertEqual(uri, b"/v1/chat/completions?x=%0d%0aZ:1&a%26b=c%23%0D%0AX%3A+y")
        self.assertFalse(headers.hasHeader("z") or headers.hasHeader("x"))


class ListingTests(ProxyCase):
    """What a key that is limited to some models learns of the others."""

    def test_names_of_others_are_not_told(self) -> None:
        """Neither in the list, nor one by one, nor as the closest to one that there is not."""
        keys = (Key("narrow", CLIENT, ("chat",)), Key("wide", CLIENT + "w"))
        self.serve(self.fake("chat"), self.fake("hidden-model"), access=Access(keys=keys))
        narrow, wide = ({"authorization": f"Bearer {k.secret}"} for k in keys)
        listed = self.ask(method="GET", path="/v1/models", headers=narrow)
        self.assertEqual([each["id"] for each in listed.json["data"]], ["chat"])
        one = self.ask(method="GET", path="/v1/models/hidden-model", headers=narrow)
        self.assertEqual(one.status, 404)
        for headers, told in ((narrow, False), (wide, True)):
            got = self.ask(model="hidden-modem", headers=headers)
            self.assertEqual(got.status, 404)
            self.assertEqual(b"hidden-model" in got.body, told)

    def test_every_way_to_another_model(self) -> None:
        """Whatever a narrow key asks for, no backend but its own is asked."""
        names = ("chat", "dear", "org/*")
        backends = [self.fake(name, model_name=name, sends=None) for name in names]
        fallbacks = Fallbacks(
            by_model=(("virtual", ("chat", "dear")), ("falls", ("dear",)), ("plain", ("chat",))),
            context_window=(("long", ("dear",)),),
            content_policy=(("rude", ("org/x",)),),
            aliases=(("chatty", "dear"), ("chat-2", "chat")),
        )
        also = [self.fake(name) for name in ("falls", "long", "rude")]
        mine = ("chat", "virtual", "falls", "long", "rude", "chatt*", "plain", "org/a*")
        access = Access(keys=(Key("narrow", CLIENT, mine),))
        self.serve(*backends, *also, fallbacks=fallbacks, access=access)
        allowed = {"chat", "openai/chat", "chat-2", "chatty", "plain", "org/a", "org/abc"}
        for model in (
            *allowed, "virtual", "falls", "long", "rude", "dear", "openai/dear", "org/x", "org/",
            "org/*", "openai/openai/chat", "chat*", "CHAT", "dear\u200b", "openai/org/x", "*",
        ):  # fmt: skip
            got = self.finish(self.ask(model=model, headers={"x-api-key": CLIENT}))
            self.assertEqual(got.status == 200, model in allowed, (model, got.body))
        served = [b["model"] for name in ("dear", "org/*") for b in self.fakes[name].bodies]
        self.assertEqual(sorted(served), ["a", "abc", "dear"])  # an alias that is allowed


class ReprTests(SynchronousTestCase):
    """A value that ends up in a traceback or a log line tells no secret."""

    def test_values_on_their_way(self) -> None:
        """Neither headers, nor queries, nor bodies are in what values say of themselves."""
        pairs = ((b"authorization", b"Bearer " + CLIENT.encode()),)
        query, body = f"key={CLIENT}", CLIENT.encode()
        ends = Ends("", "", "", "")
        arrival = Arrival("1", 0, 0, ends, "GET", "/", query, pairs, Visit("", "", "GET", "/"))
        shown = [
            arrival,
            Begin("1", 0, "", "", "GET", "/", query, pairs, body),
            Attempt("1", 1, 0, "b", f"http://x/?{query}", pairs),
            Outgoing(f"http://x/?{query}", pairs, body),
            Key("k", CLIENT),
            Access(admin_key=CLIENT),
            Backend(
                "b", "b", api_key=CLIENT, query=(("k", CLIENT),), extra_headers=(("k", CLIENT),)
            ),
            Visit("", "", "GET", "/", headers={"x": (CLIENT,)}),
            Masker([CLIENT]),
        ]
        for each in shown:
            self.assertNotIn(CLIENT, repr(each))
