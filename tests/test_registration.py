"""
What may be registered at run time.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.errors import MissingParameter, RequestFault
from yallmp.core.registration import FILE_ONLY, parse_registration
from yallmp.core.registry import Registration
from yallmp.core.settings import Access

BASE = "https://api.example.com/v1"


def parse(body: object, access: Access = Access()) -> Registration:  # noqa: B008
    """What *body* comes to."""
    return parse_registration(body, access, 1234)


class AcceptedTests(SynchronousTestCase):
    """Registrations that can be done."""

    def test_all_spellings(self) -> None:
        """The name and the settings may be spelt and placed in several ways."""
        params = {"api_base": BASE, "api_key": "k", "model": "openai/gpt"}
        based = {"base_url": BASE, "api_key": "k", "model": "gpt"}
        for body in (
            {"model_name": "m", "litellm_params": params},
            {"name": "m", "model_params": based},
            {"model_name": "m", **params},
            {"name": "m", **based},
        ):
            (backend,) = parse(body).backends
            self.assertEqual(
                (backend.model_name, backend.api_base, backend.api_key, backend.sends),
                ("m", BASE, "k", "gpt"),
            )
            self.assertEqual((backend.registered, backend.created), (True, 1234))

    def test_values_are_literal(self) -> None:
        """Nothing is taken from the environment."""
        for key in ("${HOME}", "$HOME", "os.environ/HOME", "$$"):
            (backend,) = parse({"name": "m", "api_base": BASE, "api_key": key}).backends
            self.assertEqual(backend.api_key, key)

    def test_streams(self) -> None:
        """How its streams are treated may be said; a word as a boolean, too."""
        params = {
            "stream_rescue": False,
            "stream_commit": "complete",
            "prefill": "prefix",
            "rescue_timeout": 12,
        }
        (backend,) = parse({"name": "m", "api_base": BASE, **params}).backends
        self.assertEqual(
            (backend.stream_rescue, backend.stream_commit, backend.prefill),
            ("off", "complete", "prefix"),
        )
        self.assertEqual(backend.patience.rescue_timeout, 12.0)
        fault = self.assertRaises(
            RequestFault, parse, {"name": "m", "api_base": BASE, "stream_rescue": "maybe"}
        )
        self.assertIn('stream_rescue: "maybe" is not one of auto, on, off', str(fault))

    def test_fallbacks(self) -> None:
        """A list, a string as a list of one, nothing or null to leave them, an empty list."""
        for given_, expected in (
            (["a", "b", "a"], ("a", "b")),
            ("a", ("a",)),
            (None, None),
            ([], ()),
        ):
            body = {"name": "m", "api_base": BASE, "fallbacks": given_}
            self.assertEqual(parse(body).fallbacks, expected)
        self.assertIsNone(parse({"name": "m", "api_base": BASE}).fallbacks)

    def test_source(self) -> None:
        """A registration can be made again of its source, and does not show it."""
        body = {"name": "m", "base_url": BASE, "api_key": "very-secret", "weight": 2}
        first = parse(body)
        self.assertEqual(parse(json.loads(first.source)), first)
        self.assertNotIn("very-secret", repr(first))

    def test_private_addresses(self) -> None:
        """Private networks and this machine are allowed, unless the settings say no."""
        for base in ("http://127.0.0.1:9/v1", "http://localhost/v1", "http://[fd00::1]:80/v1"):
            parse({"name": "m", "api_base": base})
            closed = Access(private_backends=False)
            error = self.assertRaises(RequestFault, parse, {"name": "m", "api_base": base}, closed)
            self.assertIn("private_backends", error.message)


class RefusedTests(SynchronousTestCase):
    """Registrations that cannot be done, and what is said."""

    def refuse(self, body: object, *words: str) -> RequestFault:
        """*body* is refused with a message that has these words."""
        error = self.assertRaises(RequestFault, parse, body)
        self.assertEqual(error.status, 400)
        for word in words:
            self.assertIn(word, error.message)
        return error

    def test_names(self) -> None:
        """A name is needed, once, and it must be one."""
        self.assertIsInstance(self.refuse({"api_base": BASE}, "'model_name'"), MissingParameter)
        for name in ("", None, 5, ["m"]):
            self.refuse({"name": name, "api_base": BASE}, "'model_name'")
        for name in (" m", "m\n", "m" * 201):
            self.refuse({"name": name, "api_base": BASE}, "name")
        self.refuse({"name": "m", "model_name": "m", "api_base": BASE}, "'model_name'", "'name'")

    def test_shapes(self) -> None:
        """The body and the settings are objects, and the settings stand in one place."""
        for body in (None, [], "m", 5):
            self.refuse(body, "object")
        self.refuse({"name": "m", "litellm_params": []}, "object")
        self.refuse({"name": "m", "litellm_params": None}, "object")
        self.refuse({"name": "m", "litellm_params": {}, "model_params": {}}, "'litellm_params'")
        self.refuse({"name": "m", "litellm_params": {}, "api_base": BASE}, "'api_base'", "inside")

    def test_what_only_the_file_may_say(self) -> None:
        """Settings that read files, weaken TLS or lead through a proxy are refused by name."""
        for key in (*FILE_ONLY, "extends"):
            for body in (
                {"name": "m", "api_base": BASE, key: "x"},
                {"name": "m", "litellm_params": {"api_base": BASE, key: None}},
            ):
                self.assertEqual(self.refuse(body, repr(key), "configuration file").param, key)

    def test_settings_are_checked_like_the_files(self) -> None:
        """All problems at once, unknown keys with a suggestion, types of JSON."""
        error = self.refuse(
            {"name": "m", "litellm_params": {"api_bas": BASE, "weight": "2"}},
            "litellm_params.api_bas", "api_base?", "litellm_params.weight",
        )  # fmt: skip
        self.assertEqual(error.param, "litellm_params.api_bas")
        self.refuse({"name": "m"}, "api_base")
        self.refuse({"name": "m", "api_base": BASE, "request_timeout": True}, "request_timeout")

    def test_addresses(self) -> None:
        """Only plain http and https addresses, and none that a registered backend may not have."""
        for base in (
            "ftp://a/v1", "file:///etc/passwd", "//a/v1", "a", "", "http://", "http:///v1",
            "http://u@a/v1", "http://u:p@a/v1", "http://a/v1?x=y", "http://a/v1#x", "http://a\\b/",
            "http://a/\n", "http://a b/", "http://a%2eb/", "http://a,b/", "http://[::1", "http://[x]/",
            "http://169.254.169.254/", "http://2852039166/v1", "http://0xa9.254.43518:80/v1",
            "http://[::ffff:169.254.169.254]/", "http://[::ffff:a9fe:a9fe]:80/", "http://0/v1",
            "http://[fe80::1%25eth0]/", "http://metadata.google.internal/", "http://[fd00:ec2::254]/",
        ):  # fmt: skip
            error = self.refuse({"name": "m", "api_base": base})
            self.assertEqual(error.param, "api_base", base)

    def test_secrets_of_clients(self) -> None:
        """Whoever registers a backend does not get what clients say in confidence."""
        for header in ("x-auth-token", "X-API-Secret", "cf-access-client-secret", "cookie"):
            body = {"name": "m", "api_base": BASE, "pass_headers": ["x-team", header]}
            self.assertEqual(self.refuse(body, header.lower()).param, "pass_headers")
        (backend,) = parse({"name": "m", "api_base": BASE, "pass_headers": ["x-team"]}).backends
        self.assertEqual(backend.pass_headers, ("x-team",))

    def test_framing(self) -> None:
        """No header that would change where a request ends or whom it is for."""
        for header in ("Host", "transfer-encoding", "Content-Length", "TE", "Upgrade", "Expect"):
            self.refuse({"name": "m", "api_base": BASE, "extra_headers": {header: "x"}}, header)
        for headers in ({"a": "b\r\nc: d"}, {"a\r\nb": "c"}, {"a:b": "c"}, {"": "c"}, {"a b": "c"}):
            self.refuse({"name": "m", "api_base": BASE, "extra_headers": headers})

    def test_fallbacks(self) -> None:
        """Names of models, and not the model itself."""
        for value in (5, {}, [5], [""], ["a", None], [" a"], "m", ["m"], ["a"] * 101, True):
            body = {"name": "m", "api_base": BASE, "fallbacks": value}
            self.assertEqual(self.refuse(body).param, "fallbacks")

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=5,
    )
    keys = st.sampled_from(
        ["name", "model_name", "litellm_params", "api_base", "fallbacks", "model", "extra_headers",
         "timeout", "weight", "query", "api_type", "mock_response", "extra_body", "x"]
    )  # fmt: skip

    @given(st.dictionaries(keys, json_values, max_size=6))
    def test_any_json(self, body: dict[str, Any]) -> None:
        """Whatever is sent is registered or refused."""
        try:
            self.assertTrue(parse({"name": "m", **body}).backends[0].registered)
        except RequestFault as error:
            self.assertTrue(error.message)
