"""
The endpoints: what is served where, what is sent upstream, what comes back.
"""

from __future__ import annotations

import json
from typing import Any

from tests.fakes import CHAT_BODY, Got, ProxyCase, answer, completion, error, good, silent
from yallmp.core.access import Access
from yallmp.core.exchange import Attempt, Begin, End, Routed
from yallmp.core.settings import Key, Logging

KEY = "sk-client-key-of-alice-1"


class EndpointTests(ProxyCase):
    """What is served where."""

    def test_each_endpoint_is_forwarded(self) -> None:
        """With and without /v1, to the same path below ``api_base``, the query verbatim."""
        bodies: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
            "/chat/completions": (CHAT_BODY, completion()),
            "/completions": ({"model": "m", "prompt": "x"}, {"choices": [{"text": "y"}]}),
            "/embeddings": ({"model": "m", "input": "x"}, {"data": []}),
            "/rerank": ({"model": "m", "query": "x"}, {"results": []}),
            "/moderations": ({"model": "m", "input": "x"}, {"results": []}),
            "/responses": ({"model": "m", "input": "x"}, {"output": []}),
        }
        for path, (body, back) in bodies.items():
            for prefix in ("/v1", ""):
                self.tearDown()
                self.setUp()
                self.serve(self.fake("m", answer(back)), enable_responses_endpoint=True)
                got = self.finish(self.ask(body, f"{prefix}{path}?a=%2Fb&c"))
                self.assertEqual((got.status, got.json), (200, back), path)
                self.assertEqual(self.fakes["m"].requests[0][1].decode(), f"/v1{path}?a=%2Fb&c")
                (begin,) = self.events_told(Begin)
                self.assertTrue(begin.recorded)

    def test_responses_are_off_unless_switched_on(self) -> None:
        """404 with an error that says how."""
        self.serve(self.fake("m"))
        got = self.finish(self.ask({"model": "m"}, "/v1/responses"))
        self.assertEqual(got.status, 404)
        self.assertIn("enable_responses_endpoint: true", got.json["error"]["message"])

    def test_models(self) -> None:
        """What is registered, in order, with when; ids may contain slashes."""
        self.serve(self.fake("b"), self.fake("org/a:1"), self.fake("virtual-of-b"),
                   fallbacks=[("v", ("b",))])  # fmt: skip
        for path in ("/v1/models", "/models"):
            got = self.finish(self.ask(path=path, method="GET"))
            self.assertEqual(got.json["object"], "list")
            ids = [each["id"] for each in got.json["data"]]
            self.assertEqual(ids, ["b", "org/a:1", "virtual-of-b", "v"])
        one = self.finish(self.ask(path="/v1/models/org/a:1", method="GET"))
        self.assertEqual(
            one.json,
            {"id": "org/a:1", "object": "model", "created": 1_800_000_000, "owned_by": "yallmp"},
        )
        self.assertEqual(self.finish(self.ask(path="/v1/models/x", method="GET")).status, 404)

    def test_health(self) -> None:
        """Every spelling, without a key, and no backend is called."""
        self.serve(self.fake("m"), access=Access(keys=(Key("alice", KEY),)))
        for path in ("/", "/health", "/health/liveliness", "/health/liveness", "/livez",
                     "/healthz", "/health/readiness", "/readyz"):  # fmt: skip
            self.assertEqual(self.finish(self.ask(path=path, method="GET")).status, 200, path)
        self.assertEqual(self.fakes["m"].requests, [])

    def test_not_ready_while_draining(self) -> None:
        """503, while the others still say that the process lives."""
        self.serve(self.fake("m"))
        assert self.parts is not None
        self.parts.draining.value = True
        self.assertEqual(self.finish(self.ask(path="/readyz", method="GET")).status, 503)
        self.assertEqual(self.finish(self.ask(path="/livez", method="GET")).status, 200)

    def test_wrong_paths_and_methods(self) -> None:
        """404, and 405 with what is allowed; always OpenAI's shape."""
        self.serve(self.fake("m"))
        for path, method, status, code in (
            ("/v1/nothing", "GET", 404, "not_found"),
            ("/v1/nothing", "POST", 404, "not_found"),
            ("/v1/models/", "GET", 404, "not_found"),
            ("/v1/chat/completions", "GET", 405, "method_not_allowed"),
            ("/v1/models", "POST", 405, "method_not_allowed"),
            ("/v1/chat/completions", "DELETE", 405, "method_not_allowed"),
            ("/admin/nothing", "GET", 404, "not_found"),
            ("/v1/%ff%00", "GET", 400, "invalid_value"),
        ):
            got = self.finish(self.ask(path=path, method=method))
            self.assertEqual(
                (got.status, got.json["error"]["code"]), (status, code), (path, method)
            )
            self.assertEqual(got.header("content-type"), "application/json")
            self.assertEqual(got.header("allow") is not None, status == 405)

    def test_a_path_that_is_not_utf8(self) -> None:
        """400, without a traceback."""
        self.serve(self.fake("m"))
        client = self.raw(b"GET /v1/\xff HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn(b'"type": "invalid_request_error"', client.data)
        self.assertIn(b"HTTP/1.1 400", client.data)

    def test_other_requests_have_only_a_line(self) -> None:
        """They are told as not recorded; each exactly once."""
        self.serve(self.fake("m"))
        for path in ("/v1/models", "/health", "/v1/nothing", "/admin/models"):
            self.finish(self.ask(path=path, method="GET"))
        self.assertEqual([b.recorded for b in self.events_told(Begin)], [False] * 4)
        self.assertEqual([e.status for e in self.events_told(End)], [200, 200, 404, 200])


class CheckTests(ProxyCase):
    """Bad requests: 400 in OpenAI's shape, and a record each."""

    def refused(self, body: bytes, code: str, param: str | None = None) -> Got:
        got = self.finish(self.ask(body))
        self.assertEqual((got.status, got.json["error"]["code"]), (400, code), body[:60])
        self.assertEqual(got.json["error"]["param"], param)
        return got

    def test_bad_bodies(self) -> None:
        """Each check of the design, by its code."""
        self.serve(self.fake("m"))
        chat = b'{"model": "m", "messages": [{"role": "user", "content": "x"}], %s}'
        cases: list[tuple[bytes, str, str | None]] = [
            (b"", "invalid_json", None),
            (b"{", "invalid_json", None),
            (b"[1]", "invalid_json", None),
            (b'{"model": "\xff"}', "invalid_json", None),
            (chat % b'"x": NaN', "invalid_json", None),
            (chat % b'"x": -Infinity', "invalid_json", None),
            (chat % (b'"x": ' + b"[" * 70 + b"]" * 70), "invalid_json", None),
            (chat % b'"model": "n"', "duplicate_key", "model"),
            (b'{"messages": [1]}', "missing_parameter", "model"),
            (b'{"model": "", "messages": [1]}', "missing_parameter", "model"),
            (b'{"model": 7, "messages": [1]}', "missing_parameter", "model"),
            (b'{"model": null, "messages": [1]}', "missing_parameter", "model"),
            (b'{"model": "m"}', "missing_parameter", "messages"),
            (b'{"model": "m", "messages": []}', "missing_parameter", "messages"),
            (b'{"model": "m", "messages": "x"}', "missing_parameter", "messages"),
            (chat % b'"stream": "yes"', "invalid_value", "stream"),
            (chat % b'"stream": 1', "invalid_value", "stream"),
        ]
        for body, code, param in cases:
            self.refused(body, code, param)
        self.assertEqual(self.fakes["m"].requests, [])
        self.assertEqual([b.body for b in self.events_told(Begin)], [body for body, _, _ in cases])
        self.assertEqual({e.outcome for e in self.events_told(End)}, {"rejected"})

    def test_stream_null_is_no_stream(self) -> None:
        """As OpenAI has it."""
        self.serve(self.fake("m"))
        self.assertEqual(self.finish(self.ask(stream=None)).status, 200)

    def test_unknown_models(self) -> None:
        """404 with the closest name; a name that cannot be one is 400."""
        self.serve(self.fake("gpt-4o"))
        got = self.finish(self.ask(model="gpt-4p"))
        self.assertEqual((got.status, got.json["error"]["code"]), (404, "model_not_found"))
        self.assertIn("gpt-4o", got.json["error"]["message"])
        for name in ("x" * 201, "a\nb", " a", "\ud800"):
            self.assertEqual(self.finish(self.ask(model=name)).status, 400)

    def test_compressed_requests(self) -> None:
        """415."""
        self.serve(self.fake("m"))
        got = self.finish(self.ask(headers={"content-encoding": "gzip"}))
        self.assertEqual(got.status, 415)


class UpstreamTests(ProxyCase):
    """What a backend gets."""

    def sent(self, body: bytes, **settings: Any) -> bytes:
        self.tearDown()
        self.setUp()
        self.serve(self.fake("m", good, **settings))
        self.assertEqual(self.finish(self.ask(body)).status, 200)
        return self.fakes["m"].requests[0][3]

    def test_the_body_is_verbatim(self) -> None:
        """Byte for byte, where the model's name is the same."""
        body = (
            b'{ "messages":[{"role":"user","content":"\\u00e9 \xc3\xa9"}],\n"model":"up","n":1.00 }'
        )
        self.assertEqual(self.sent(body, model_name="up"), body)

    def test_only_the_model_changes(self) -> None:
        """All else keeps its bytes and its place."""
        body = b'{ "messages":[{"role":"user","content":"m"}],\n"model" : "m","n":1.00 }'
        self.assertEqual(self.sent(body), body.replace(b'"m","n"', b'"up","n"'))
        (attempt,) = self.events_told(Attempt)
        self.assertEqual([(s.old, s.new) for s in attempt.splices], [(b'"m"', b'"up"')])

    def test_a_backend_without_a_model_is_asked_for_its_name(self) -> None:
        """Also when the client wrote ``openai/`` before it."""
        body = json.dumps({**CHAT_BODY, "model": "openai/m"}).encode()
        self.assertEqual(json.loads(self.sent(body, sends=None))["model"], "m")

    def test_additions(self) -> None:
        """Thinking, ``extra_body``, ``drop_params``, ``query`` and ``extra_headers``."""
        body = json.dumps({**CHAT_BODY, "user": "u", "top_k": 3}).encode()
        sent = json.loads(
            self.sent(
                body, supports_reasoning=True, extra_body=(("top_k", "9"), ("cache", "true")),
                drop_params=("user",), query=(("api-version", "2024 x"),),
                extra_headers=(("X-Extra", "yes"),),
            )
        )  # fmt: skip
        self.assertEqual(sent["thinking"], {"type": "enabled"})
        self.assertEqual((sent["top_k"], sent["cache"], "user" in sent), (3, True, False))
        _, uri, headers, _ = self.fakes["m"].requests[0]
        self.assertEqual(uri, b"/v1/chat/completions?api-version=2024+x")
        self.assertEqual(headers.getRawHeaders("x-extra"), ["yes"])

    def test_headers(self) -> None:
        """A closed list passes; credentials never do; the backend's own are set."""
        self.serve(self.fake("m", pass_headers=("x-mine",)))
        self.finish(
            self.ask(
                headers={
                    "user-agent": "ua", "x-stainless-lang": "py", "openai-beta": "b",
                    "authorization": "Bearer sk-of-the-client", "cookie": "c=1",
                    "x-api-key": "k", "openai-organization": "o", "x-forwarded-for": "1.2.3.4",
                    "x-other": "o", "x-mine": "m", "x-request-id": "r-1", "te": "trailers",
                    "idempotency-key": "i", "traceparent": "t",
                }
            )
        )  # fmt: skip
        headers = self.fakes["m"].requests[0][2]
        got = {name.decode().lower(): v[0].decode() for name, v in headers.getAllRawHeaders()}
        self.assertEqual(
            got,
            {"user-agent": "ua", "x-stainless-lang": "py", "openai-beta": "b", "x-mine": "m",
             "x-request-id": "r-1", "idempotency-key": "i", "traceparent": "t",
             "content-type": "application/json", "accept-encoding": "identity",
             "x-yallmp-hops": "1",
             "authorization": "Bearer sk-secret-of-m", "host": "10.0.0.1",
             "content-length": str(len(self.fakes["m"].requests[0][3]))},
        )  # fmt: skip

    def test_idempotency_keys_stay_with_their_backend(self) -> None:
        """Sent again to the same one, never to a fallback."""
        self.serve(self.fake("m", error(500)), self.fake("b"), fallbacks=[("m", ("b",))])
        self.finish(self.ask(headers={"idempotency-key": "i"}))
        had = [f.requests[-1][2].hasHeader("idempotency-key") for f in self.fakes.values()]
        self.assertEqual(had, [True, False])

    def test_wildcards(self) -> None:
        """The rest of the name is sent; the longest pattern serves."""
        self.serve(
            self.fake("any", model_name="*", sends=None),
            self.fake("org", model_name="org/*", sends=None),
        )
        self.finish(self.ask(model="org/x/y"))
        self.finish(self.ask(model="z"))
        self.assertEqual(self.fakes["org"].bodies[0]["model"], "x/y")
        self.assertEqual(self.fakes["any"].bodies[0]["model"], "z")

    def test_groups_share_the_load_by_weight(self) -> None:
        """Whoever the drawn number picks comes first."""
        heavy = self.fake("heavy", model_name="m", weight=9.0)
        light = self.fake("light", model_name="m", weight=1.0)
        self.serve(heavy, light)
        for number in range(200):
            self.chance = (number * 0.61803) % 1
            self.finish(self.ask())
        self.assertEqual(sum(len(fake.requests) for fake in self.fakes.values()), 200)


class AnswerTests(ProxyCase):
    """What comes back."""

    def test_headers(self) -> None:
        """All pass but the connection's, the site's and the framing's; ours are added."""
        back = {
            "x-ratelimit-remaining": "9", "openai-processing-ms": "5", "set-cookie": "a=b",
            "strict-transport-security": "max-age=1", "access-control-allow-origin": "*",
            "alt-svc": "h3", "x-request-id": "theirs", "connection": "x-hop", "x-hop": "1",
        }  # fmt: skip
        self.serve(self.fake("m", answer(completion(), headers=back)))
        got = self.finish(self.ask(headers={"x-request-id": "mine"}))
        self.assertEqual(got.header("x-ratelimit-remaining"), "9")
        self.assertEqual(got.header("openai-processing-ms"), "5")
        for name in ("set-cookie", "strict-transport-security", "access-control-allow-origin",
                     "alt-svc", "x-hop"):  # fmt: skip
            self.assertIsNone(got.header(name), name)
        self.assertEqual(got.header("x-request-id"), "mine")
        self.assertEqual(got.header("x-yallmp-upstream-request-id"), "theirs")
        self.assertEqual(got.header("x-yallmp-backend"), "m")
        self.assertEqual(got.header("x-yallmp-attempts"), "1")
        self.assertEqual(got.header("x-yallmp-route"), "m:200")

    def test_repeated_headers_stay_repeated(self) -> None:
        """Two lines remain two."""

        def twice(request: Any) -> None:
            request.responseHeaders.setRawHeaders("x-two", ["a", "b"])
            good(request)

        self.serve(self.fake("m", twice))
        got = self.finish(self.ask())
        self.assertEqual(got.headers.getRawHeaders("x-two"), ["a", "b"])

    def test_request_ids(self) -> None:
        """The client's if it is usable, else ours; ours always."""
        self.serve(self.fake("m"))
        for given, used in (("ok-1", True), ("not ok", False), ("x" * 129, False)):
            got = self.finish(self.ask(headers={"x-request-id": given}))
            ours = got.header("x-yallmp-id")
            self.assertEqual(got.header("x-request-id"), given if used else ours)
            self.assertRegex(str(ours), r"^[0-9a-f]{12}$")

    def test_the_body_is_unchanged(self) -> None:
        """Byte for byte."""
        message = b'"message" : {"role":"assistant","content":"\\u00e9"}'
        body = b' {"choices" : [ {"finish_reason":"stop","x":1.0, %s} ] }\n' % message
        self.serve(self.fake("m", answer(body)))
        self.assertEqual(self.finish(self.ask()).body, body)

    def test_virtual_models(self) -> None:
        """A name that has only fallbacks is served by them."""
        self.serve(self.fake("b"), fallbacks=[("v", ("b",))])
        got = self.finish(self.ask(model="v"))
        self.assertEqual(got.header("x-yallmp-route"), "b:200")
        (routed,) = self.events_told(Routed)
        self.assertEqual((routed.model, routed.backends), ("v", ("b",)))

    def test_an_answer_over_the_limit_leads_on(self) -> None:
        """It is not gathered without bound."""
        from_limits = Logging()
        self.serve(self.fake("m", answer(completion("x" * 70_000_000))), logging=from_limits)
        got = self.finish(self.ask())
        self.assertEqual(got.json["error"]["code"], "upstream_invalid_response")


class AccessTests(ProxyCase):
    """Keys and origins at the door (the rules: test_access)."""

    def test_keys(self) -> None:
        """None: 401. One: its name is told. A limited one sees and asks only its models."""
        access = Access(keys=(Key("alice", KEY), Key("bob", KEY[:-1] + "2", models=("m",))))
        self.serve(self.fake("m"), self.fake("n"), access=access)
        self.assertEqual(self.finish(self.ask()).status, 401)
        self.assertEqual(self.finish(self.ask(path="/v1/models", method="GET")).status, 401)
        alice = {"authorization": f"Bearer {KEY}"}
        self.assertEqual(self.finish(self.ask(headers=alice)).status, 200)
        self.assertEqual(self.events_told(Begin)[-1].key_name, "alice")
        bob = {"x-api-key": KEY[:-1] + "2"}
        self.assertEqual(self.finish(self.ask(headers=bob)).status, 200)
        refused = self.finish(self.ask(headers=bob, model="n"))
        self.assertEqual(
            (refused.status, refused.json["error"]["code"]), (403, "model_not_allowed")
        )
        listed = self.finish(self.ask(path="/v1/models", method="GET", headers=bob))
        self.assertEqual([each["id"] for each in listed.json["data"]], ["m"])

    def test_a_key_is_checked_against_every_fallback(self) -> None:
        """A model that would fall back to one that is not allowed is refused."""
        access = Access(keys=(Key("bob", KEY, models=("m",)),))
        self.serve(self.fake("m"), self.fake("b"), fallbacks=[("m", ("b",))], access=access)
        got = self.finish(self.ask(headers={"x-api-key": KEY}))
        self.assertEqual(got.status, 403)

    def test_a_key_for_a_name_that_a_wildcard_serves(self) -> None:
        """The limit is on what was asked for, not on the pattern that serves it."""
        access = Access(keys=(Key("bob", KEY, models=("org/x",)),))
        self.serve(self.fake("w", model_name="org/*", sends=None), access=access)
        mine = {"x-api-key": KEY}
        self.assertEqual(self.finish(self.ask(headers=mine, model="org/x")).status, 200)
        self.assertEqual(self.finish(self.ask(headers=mine, model="org/y")).status, 403)

    def test_the_last_request_of_a_connection(self) -> None:
        """With ``Connection: close`` an answer has the headers that every answer has."""
        self.serve(self.fake("m"), access=Access(cors_origins=("https://good.test",)))
        for path, method in (("/v1/chat/completions", "POST"), ("/v1/models", "GET"),
                             ("/v1/nowhere", "GET")):  # fmt: skip
            sent = {"origin": "https://good.test", "connection": "close", "x-request-id": "mine"}
            got = self.finish(self.ask(path=path, method=method, headers=sent))
            self.assertEqual(got.header("x-request-id"), "mine", path)
            self.assertEqual(len(got.header("x-yallmp-id") or ""), 12, path)
            self.assertEqual(got.header("access-control-allow-origin"), "https://good.test", path)

    def test_web_pages(self) -> None:
        """An origin that is not listed is refused; a listed one gets CORS answers."""
        self.serve(self.fake("m"), access=Access(cors_origins=("https://good.test",)))
        bad = self.finish(self.ask(headers={"origin": "https://evil.test"}))
        self.assertEqual(bad.status, 403)
        good_page = {"origin": "https://good.test"}
        got = self.finish(self.ask(headers=good_page))
        self.assertEqual(got.header("access-control-allow-origin"), "https://good.test")
        asks = {**good_page, "access-control-request-method": "POST"}
        preflight = self.finish(self.ask(method="OPTIONS", headers=asks))
        self.assertEqual(preflight.status, 204)
        evil = {**asks, "origin": "https://evil.test"}
        self.assertEqual(self.finish(self.ask(method="OPTIONS", headers=evil)).status, 403)

    def test_rebinding_names(self) -> None:
        """On loopback the Host must be a loopback name."""
        self.serve(self.fake("m"))
        got = self.finish(self.ask(headers={"host": "evil.test"}))
        self.assertEqual(got.status, 403)


class RegistrationTests(ProxyCase):
    """Models at run time, end to end."""

    def register(self, **fields: Any) -> Got:
        return self.finish(self.ask(fields, "/admin/models"))

    def test_the_next_request_uses_it(self) -> None:
        """And those under way keep what they had."""
        one = self.fake("one", silent)
        two = self.fake("two")
        self.serve(one)
        under_way = self.ask(model="one")
        base = two.api_base.replace("http://10.0.0.2", "http://10.0.0.2")
        got = self.register(model_name="one", api_base=base, fallbacks="zzz")
        self.assertEqual(got.status, 200)
        self.assertEqual(got.json["replaced"], True)
        self.assertEqual(self.finish(self.ask(model="one")).status, 200)
        self.assertEqual(len(self.fakes["two"].requests), 1)
        self.assertFalse(under_way.over)
        under_way.leave()
        self.net.pump()

    def test_a_name_that_leads_to_metadata_is_not_connected_to(self) -> None:
        """The address is checked when it is known."""
        self.serve(self.fake("m"))
        self.net.nameResolver.names["nice.test"] = ["169.254.169.254"]
        self.net.listen("169.254.169.254", 80, self.net.servers["10.0.0.1", 80])
        self.assertEqual(self.register(model_name="r", api_base="http://nice.test/v1").status, 200)
        got = self.finish(self.ask(model="r"))
        self.assertEqual(got.json["error"]["code"], "upstream_dns")
        self.assertEqual(self.fakes["m"].requests, [])


class ShutdownTests(ProxyCase):
    """What happens to those under way when the proxy stops."""

    def test_whole_and_streamed(self) -> None:
        """503 before the first byte; one error event after it."""
        from_fake = self.fake("m", silent)
        self.serve(from_fake)
        got = self.ask()
        assert self.parts is not None
        idle = self.parts.forwarding.idle()
        self.assertNoResult(idle)
        self.parts.forwarding.shut_down()
        self.finish(got)
        self.assertEqual((got.status, got.json["error"]["code"]), (503, "proxy_shutdown"))
        (end,) = self.events_told(End)
        self.assertEqual(end.outcome, "shutdown")
        self.successResultOf(idle)
