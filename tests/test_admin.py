"""
The administration, through the real tree and a real client.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve
from treq.testing import StubTreq
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource, Resource

from yallmp.admin import MAX_BODY, AdminAPI
from yallmp.arrivals import Arrivals, Ends
from yallmp.core.backend import Backend
from yallmp.core.changes import Change, Made, Reload
from yallmp.core.errors import BadConfiguration, ProxyError
from yallmp.core.registry import Registry
from yallmp.core.settings import Access, Config, Fallbacks, Key, Notice, Server
from yallmp.gauges import Backends
from yallmp.metrics import Metrics
from yallmp.persistence import Alone, Persistence
from yallmp.systemd import Herald

URL = "http://127.0.0.1:8000/admin/models"
ADMIN = "admin-key-0123456789"
SECRET = "backend-key-0123456789"
BASE = "https://api.example.com/v1"


class Door(Resource):
    """Lets requests through to the tree as if they came from some peer."""

    isLeaf = True

    def __init__(self, tree: IResource, peer: str) -> None:
        super().__init__()
        self.tree, self.peer = tree, peer

    def render(self, request: Any) -> Any:
        """Pass it on."""
        local = request.channel.getHost().host
        request.channel.ends = Ends(self.peer, "http://127.0.0.1", self.peer, local)
        request.arrival = Arrivals(Clock(), lambda: 0.0, lambda: "0" * 12, print).of(request)
        return self.tree.render(request)


class Full(Persistence):
    """A disk that is full."""

    def save(self) -> None:
        """Nothing can be kept."""
        raise OSError(28, "No space left on device")


class AdminCase(SynchronousTestCase):
    """Asks the administration."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.registry = Registry(
            Config(
                backends=(
                    Backend("a", "a", api_base=BASE, api_key=SECRET, created=7),
                    Backend("b", "b", mock_response="hi", extra_headers=(("x-key", SECRET),)),
                ),
                fallbacks=Fallbacks(by_model=(("a", ("b",)),)),
            )
        )
        self.admin = self.admin_of(Persistence(self.registry))

    def admin_of(self, persistence: Persistence) -> AdminAPI:
        """The administration, at some time of day."""
        metrics = Metrics.alone()
        metrics.instruments.add(Backends(persistence.registry, self.clock).read)
        changes = Alone(persistence)
        return AdminAPI(self.registry, self.clock, lambda: 1234.5, changes, metrics)

    def configure(self, **fields: Any) -> None:
        """Put a configuration with these fields in force, as if started with it."""
        self.registry = Registry(Config(self.registry.catalog.config.backends, **fields))
        self.admin = self.admin_of(Persistence(self.registry))

    def ask(
        self, method: str, url: str = URL, body: Any = None, peer: str = "127.0.0.1", **headers: str
    ) -> tuple[Any, Any]:
        """The response and its JSON."""
        client = StubTreq(Door(self.admin.app.resource(), peer))
        named = {name.replace("_", "-"): [value] for name, value in headers.items()}
        if body is not None:
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            named.setdefault("content-type", ["application/json"])
        response = self.successResultOf(
            client.request(method, url, headers=named, data=body, allow_redirects=False)
        )
        content = self.successResultOf(client.content(response))
        return response, json.loads(content) if content else None

    def post(self, **body: Any) -> dict[str, Any]:
        """Register a model, successfully."""
        response, answer = self.ask("POST", body=body)
        self.assertEqual(response.code, 200, answer)
        self.assertEqual(response.headers.getRawHeaders("content-type"), ["application/json"])
        return answer  # type: ignore[no-any-return]

    def refuse(self, status: int, code: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The error of a request that is refused."""
        response, answer = self.ask(*args, **kwargs)
        error = answer["error"]
        self.assertEqual((response.code, error["code"]), (status, code), error)
        self.assertEqual(set(error), {"message", "type", "param", "code"})
        self.assertEqual(self.flushWarnings(), [])
        return {**error, "headers": response.headers}


class RegisteringTests(AdminCase):
    """``POST /admin/models``."""

    def test_a_new_model(self) -> None:
        """It is there at once, with the time of day, and the answer says what is in force."""
        answer = self.post(model_name="c", api_base=BASE, fallbacks="b")
        self.assertEqual(
            answer, {"status": "ok", "model": "c", "replaced": False, "fallbacks": ["b"]}
        )
        (backend,) = self.registry.catalog.group("c")
        self.assertEqual((backend.created, backend.registered), (1234, True))

    def test_replacing(self) -> None:
        """What had the name is replaced, its fallbacks stay unless others are given."""
        self.assertEqual(self.post(name="a", base_url=BASE)["fallbacks"], ["b"])
        answer = self.post(name="a", litellm_params={"api_base": BASE}, fallbacks=[])
        self.assertEqual((answer["replaced"], answer["fallbacks"]), (True, []))
        self.assertIsNone(self.registry.catalog.group("a")[0].api_key)

    def test_unknown_fallbacks(self) -> None:
        """A fallback that is not known is kept and said."""
        answer = self.post(name="c", api_base=BASE, fallbacks=["b", "gone"])
        self.assertEqual(answer["fallbacks"], ["b", "gone"])
        self.assertEqual(len(answer["warnings"]), 1)
        self.assertIn("'gone'", answer["warnings"][0])

    def test_what_cannot_be_registered(self) -> None:
        """Said with the field, and nothing changes."""
        before = self.registry.catalog
        error = self.refuse(400, "invalid_value", "POST", body={"name": "c", "api_base": "x"})
        self.assertEqual(error["param"], "api_base")
        self.refuse(400, "missing_parameter", "POST", body={})
        self.assertIs(self.registry.catalog, before)

    def test_strict_json(self) -> None:
        """The body is one JSON object, with no key twice at any depth."""
        for body in (b"", b"{", b"[]", b"\xff", b'{"a": NaN}', b"[" * 70, b'{"name": "c"} x'):
            self.refuse(400, "invalid_json", "POST", body=body)
        long = b'{"name": "c", "litellm_params": {"weight": %b}}' % (b"1" * 5000)
        self.refuse(400, "invalid_json", "POST", body=long)
        for body in (b'{"name": "c", "name": "d"}', b'{"litellm_params": {"a": 1, "a": 2}}'):
            self.refuse(400, "duplicate_key", "POST", body=body)

    def test_large_and_compressed_bodies(self) -> None:
        """A body of more than 1 MiB is refused, and so is a compressed one."""
        self.refuse(413, "request_too_large", "POST", body=b" " * (MAX_BODY + 1))
        self.refuse(415, "unsupported_media_type", "POST", body={}, content_encoding="gzip")

    def test_a_disk_that_is_full(self) -> None:
        """What cannot be kept is in force all the same; the answer and the log say so."""
        self.admin = self.admin_of(Full(self.registry))
        answer = self.post(name="c", api_base=BASE)
        self.assertIn("No space left", answer["warnings"][0])
        self.assertEqual(len(self.registry.catalog.group("c")), 1)

    def test_workers_that_are_behind(self) -> None:
        """The change is in force here, and whoever asked is told where it may not be yet."""

        class Behind(Alone):
            async def make(self, change: Change) -> Made:
                return evolve(await super().make(change), behind=2)

        behind = Behind(Persistence(self.registry))
        self.admin = AdminAPI(self.registry, self.clock, lambda: 1234.5, behind, Metrics.alone())
        answer = self.post(name="c", api_base=BASE)
        self.assertEqual(answer["warnings"], ["Workers that have not confirmed this yet: 2."])


class ListingTests(AdminCase):
    """``GET /admin/models``."""

    def test_state_without_secrets(self) -> None:
        """Each backend with its state; of a key only whether there is one."""
        self.registry.in_flight.begin("a")
        self.post(name="c/d", api_base=BASE, api_key=SECRET, model="up", query={"api_key": SECRET})
        response, answer = self.ask("GET")
        self.assertEqual(response.code, 200)
        self.assertNotIn(SECRET, json.dumps(answer))
        a, b, c = answer["data"]
        self.assertEqual(
            a,
            {
                "name": "a", "model_name": "a", "api_base": BASE, "api_type": "openai",
                "api_key": "set", "upstream_model": "a", "weight": 1.0, "order": 0,
                "registered": False, "created": 7, "in_flight": 1, "fallbacks": ["b"],
                "state": "closed", "rests_for": 0.0, "why": "", "workers": {"closed": 1},
            },
        )  # fmt: skip
        self.assertEqual((b["api_base"], b["api_key"]), (None, "none"))
        self.assertEqual(
            (c["model_name"], c["upstream_model"], c["registered"], c["api_key"], c["created"]),
            ("c/d", "up", True, "set", 1234),
        )

    def test_head(self) -> None:
        """HEAD has no body."""
        response, answer = self.ask("HEAD")
        self.assertEqual((response.code, answer), (200, None))


class RemovingTests(AdminCase):
    """``DELETE /admin/models/{name}``."""

    def test_names_of_all_kinds(self) -> None:
        """Slashes, blanks, percent signs and letters beyond ASCII, encoded or not."""
        for name, path in (
            ("c", "c"), ("c/d", "c/d"), ("c/d", "c%2Fd"), ("c//d", "c//d"), ("x y%", "x%20y%25"),
            ("größe:1", "gr%C3%B6%C3%9Fe:1"), ("openai/*", "openai/*"), ("a?b#c", "a%3Fb%23c"),
        ):  # fmt: skip
            self.post(name=name, api_base=BASE)
            response, answer = self.ask("DELETE", f"{URL}/{path}")
            self.assertEqual((response.code, answer), (200, {"status": "ok", "model": name}))
            self.assertEqual(self.registry.catalog.group(name), ())

    def test_unknown(self) -> None:
        """A model that is not there is said to be unknown."""
        self.assertIn("'c/d'", self.refuse(404, "not_found", "DELETE", f"{URL}/c/d")["message"])

    def test_needed(self) -> None:
        """A model that others fall back to stays, and they are named."""
        self.assertIn("'a'", self.refuse(409, "conflict", "DELETE", f"{URL}/b")["message"])
        self.ask("DELETE", f"{URL}/a")
        self.assertEqual(self.ask("DELETE", f"{URL}/b")[0].code, 200)


class PathTests(AdminCase):
    """What is not there."""

    def test_wrong_methods(self) -> None:
        """405 names the methods there are."""
        for method, url, allowed in (
            ("PUT", URL, "GET, HEAD, POST"),
            ("DELETE", URL, "GET, HEAD, POST"),
            ("POST", f"{URL}/a", "DELETE"),
        ):
            error = self.refuse(405, "method_not_allowed", method, url)
            self.assertEqual(error["headers"].getRawHeaders("allow"), [allowed])

    def test_unknown_paths(self) -> None:
        """404, in the shape of all errors."""
        for path in ("", "/x", "/models/", "/models2"):
            self.refuse(404, "not_found", "GET", f"http://127.0.0.1/admin{path}")

    def test_failures_of_our_own(self) -> None:
        """An error that should not be is told without its text, and logged with it."""
        self.admin.wall = lambda: 1 // 0
        error = self.refuse(500, "internal_error", "POST", body={"name": "c", "api_base": BASE})
        self.assertNotIn("zero", error["message"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class EnteringTests(AdminCase):
    """Who may come in."""

    requests = (
        ("GET", URL, None),
        ("POST", URL, {"name": "c", "api_base": BASE}),
        ("DELETE", f"{URL}/a", None),
        ("GET", "http://127.0.0.1/admin/x", None),
        ("PATCH", URL, None),
    )

    def refuse_all(self, **kwargs: Any) -> None:
        """Nothing lets this visitor in, not even to learn what is there."""
        before = self.registry.catalog
        for method, url, body in self.requests:
            error = self.refuse(403, "forbidden", method, url, body, **kwargs)
            self.assertIn("general_settings.admin_key", error["message"])
        self.assertIs(self.registry.catalog, before)

    def test_with_a_key(self) -> None:
        """The admin key opens from anywhere; the API's keys do not."""
        key = Key("alice", "alice-0123456789")
        self.configure(access=Access(admin_key=ADMIN, keys=(key,)), server=Server("0.0.0.0"))
        response, _ = self.ask("GET", peer="1.2.3.4", authorization=f"Bearer {ADMIN}")
        self.assertEqual(response.code, 200)
        self.refuse_all(authorization=f"Bearer {key.secret}")

    def test_without_a_key(self) -> None:
        """Only this machine, directly; each sign of something else closes the door."""
        self.assertEqual(self.ask("GET")[0].code, 200)
        for kwargs in (
            {"peer": "10.0.0.1"},
            {"host": "llm.example"},
            {"origin": "http://127.0.0.1:8000"},
            {"x_forwarded_for": "127.0.0.1"},
            {"forwarded": "for=127.0.0.1"},
            {"via": "1.1 x"},
        ):
            self.admin = self.admin_of(Persistence(self.registry))
            self.refuse_all(**kwargs)

    def test_other_media_types(self) -> None:
        """A form that a web page may send without asking is refused."""
        self.refuse(
            403,
            "forbidden",
            "POST",
            body={"name": "c", "api_base": BASE},
            content_type="text/plain",
        )

    def test_listeners_and_keys(self) -> None:
        """Without an admin key a listener on the network, or keys of the API, close the door."""
        self.configure(server=Server("0.0.0.0"))
        self.refuse_all()
        self.configure(access=Access(keys=(Key("alice", "alice-0123456789"),)))
        self.refuse_all()

    def test_failures_are_limited(self) -> None:
        """After ten failures a peer waits; the right key is never refused."""
        self.configure(access=Access(admin_key=ADMIN))
        for _ in range(10):
            self.refuse(403, "forbidden", "GET", authorization="Bearer wrong")
        error = self.refuse(429, "rate_limit_exceeded", "GET", authorization="Bearer wrong")
        self.assertEqual(error["headers"].getRawHeaders("retry-after"), ["60"])
        self.assertEqual(self.ask("GET", authorization=f"Bearer {ADMIN}")[0].code, 200)
        self.refuse(403, "forbidden", "GET", peer="127.0.0.2", authorization="Bearer wrong")
        self.clock.advance(60)
        self.refuse(403, "forbidden", "GET", authorization="Bearer wrong")


class ReloadTests(AdminCase):
    """The configuration is read again."""

    reload_url = URL.replace("models", "reload")

    def reload(self, result: Reload | ProxyError) -> Any:
        """The status and the answer, where reading comes to *result*."""
        changes: Any = self.admin.changes

        async def rereading() -> Reload:
            if isinstance(result, ProxyError):
                raise result
            return result

        changes.rereading = rereading
        response, answer = self.ask("POST", self.reload_url)
        return response.code, answer

    def test_what_changed(self) -> None:
        """By name, with what needs a restart and what is to be read."""
        new = Config((Backend("a", "a", mock_response="hi"), Backend("c", "c")),
                     server=Server(port=1), notices=(Notice("look"),))  # fmt: skip
        status, answer = self.reload(Reload(new))
        self.assertEqual(status, 200)
        self.assertEqual(
            answer,
            {
                "status": "ok",
                "backends": {"added": ["c"], "removed": ["b"], "changed": ["a"]},
                "settings": ["router_settings.fallbacks"],
                "restart": ["general_settings.server.port"],
                "warnings": ["look"],
                "notes": [],
            },
        )
        self.assertEqual([b.name for b in self.registry.catalog.config.backends], ["a", "c"])

    def test_systemd_is_told(self) -> None:
        """When it begins, and when it is over, whatever comes of it."""
        told: list[str] = []
        changes: Any = self.admin.changes
        changes.herald = Herald(self.clock, told.append, now=lambda: 7000)
        for result in (Reload(Config()), BadConfiguration(("x",))):
            self.reload(result)
            self.assertEqual(told, ["RELOADING=1\nMONOTONIC_USEC=7", "READY=1"])
            told.clear()

    def test_a_bad_one(self) -> None:
        """All that is wrong is told, and nothing changes."""
        before = self.registry.catalog
        status, answer = self.reload(BadConfiguration(("c.yaml:1: x", "c.yaml:2: y")))
        self.assertEqual((status, answer["error"]["code"]), (400, "invalid_configuration"))
        self.assertEqual(answer["error"]["problems"], ["c.yaml:1: x", "c.yaml:2: y"])
        self.assertIs(self.registry.catalog, before)

    def test_one_that_cannot_be_in_force_here(self) -> None:
        """It is good, but something is in its way."""
        self.assertEqual(self.reload(BadConfiguration(("no room",), 409))[0], 409)

    def test_without_a_file(self) -> None:
        """Where there is none, it says so."""
        self.refuse(409, "conflict", "POST", self.reload_url)

    def test_not_for_everyone(self) -> None:
        """It is the administration's."""
        self.configure(access=Access(admin_key=ADMIN))
        self.refuse(403, "forbidden", "POST", self.reload_url)
