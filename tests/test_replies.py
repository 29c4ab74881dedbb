"""
What a client is told when nothing could answer.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.exchange import HeaderPairs
from yallmp.core.masking import Masker
from yallmp.core.problems import Problem, Reason, answer_problem, status_problem
from yallmp.core.replies import Reply, error_of, event_error, fault, reply_to
from yallmp.core.verdicts import TABLE

SECRET = "sk-very-secret-key-000001"
#: What an exception of the network says; no client may see it.
TELLTALE = "DNS lookup failed: no results for hostname api.internal.example /etc/keys 10.0.0.7"


def mask(data: bytes) -> bytes:
    """Replace the one secret there is."""
    return Masker([SECRET]).mask(data)


def reply(problem: Problem) -> Reply:
    """The answer for *problem*."""
    return reply_to(problem, "gpt-x", mask)


def answered(
    status: int, body: Any = b"", *headers: tuple[bytes, bytes], retry_after_max: float = 2.0
) -> Reply:
    """The answer for a backend's error answer that was the last."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return reply(status_problem(status, headers, raw, 0.0, retry_after_max))


def said(found: Reply) -> dict[str, Any]:
    """The error object in an answer."""
    error: dict[str, Any] = json.loads(found.body)["error"]
    return error


def values(headers: HeaderPairs, name: bytes) -> list[bytes]:
    """All values of a header."""
    return [value for each, value in headers if each == name]


class OursTests(SynchronousTestCase):
    """Failures that have no answer to pass on."""

    def test_status_and_code(self) -> None:
        """As the table says, in OpenAI's shape, with the name of the model."""
        for reason, row in TABLE.items():
            found = reply(Problem(reason, TELLTALE))
            error = said(found)
            self.assertEqual(found.status, row.status or 502, reason)
            self.assertEqual(error["code"], row.code, reason)
            self.assertEqual(set(error), {"message", "type", "param", "code"})
            self.assertIn("'gpt-x'", error["message"])
            self.assertEqual(values(found.headers, b"content-type"), [b"application/json"])

    def test_nothing_of_the_network(self) -> None:
        """Never an address, a path or an exception, in an answer or an event."""
        for reason in Reason:
            problem = Problem(reason, TELLTALE)
            shown = reply(problem).body + event_error(problem, "gpt-x", mask).message.encode()
            shown += error_of(reply(problem)).message.encode()
            for word in TELLTALE.split():
                if word not in ("no", "for"):
                    self.assertNotIn(word.encode(), shown, reason)

    def test_should_retry(self) -> None:
        """Said where trying again at once is pointless, and only there."""
        for reason, row in TABLE.items():
            for problem in (Problem(reason), Problem(reason, status=429, body=b"{}")):
                hints = values(reply(problem).headers, b"x-should-retry")
                self.assertEqual(hints, [] if row.retry else [b"false"], reason)

    def test_a_full_backend(self) -> None:
        """A moment later it may work."""
        found = reply(Problem(Reason.FULL))
        self.assertEqual((found.status, values(found.headers, b"retry-after")), (503, [b"1"]))

    def test_refused_credentials(self) -> None:
        """The backend's words are about our key: they stay in the record."""
        told = {"error": {"message": f"Incorrect API key provided: {SECRET[:9]}", "code": "x"}}
        for status in (401, 402, 403, 407, 400):
            found = answered(status, told, (b"x-request-id", b"r"), (b"www-authenticate", b"B"))
            self.assertEqual((found.status, said(found)["code"]), (502, "upstream_auth"), status)
            self.assertNotIn(SECRET[:9].encode(), found.body)
            self.assertEqual(values(found.headers, b"x-should-retry"), [b"false"])
            self.assertEqual(len(found.headers), 2)

    def test_redirects(self) -> None:
        """Not followed, and where to is not told."""
        found = answered(302, b"", (b"location", b"https://elsewhere.example"))
        self.assertEqual((found.status, said(found)["code"]), (502, "upstream_redirect"))
        self.assertEqual(values(found.headers, b"location"), [])

    def test_names_of_models_are_quoted(self) -> None:
        """A name that looks like a format or a line is neither."""
        found = reply_to(Problem(Reason.DNS), "{x}\n{model}", mask)
        self.assertIn(r"'{x}\n{model}'", said(found)["message"])

    def test_every_code_has_its_words(self) -> None:
        """Also those of streams that broke."""
        general = fault("no such code", "m").message
        codes = {row.code for row in TABLE.values() if row.status} - {"upstream_error"}
        for code in (*codes, "upstream_idle_timeout", "stream_lifetime_exceeded", "proxy_shutdown"):
            self.assertNotEqual(fault(code, "m").message, general, code)


class AsItIsTests(SynchronousTestCase):
    """Answers of a backend that are passed on."""

    def test_status_headers_and_body(self) -> None:
        """Byte for byte, but for the connection's and the site's headers."""
        body = b'{ "error": {"message":"no",  "code":null} }'
        headers = (
            (b"Content-Type", b"application/problem+json"), (b"X-RateLimit-Remaining", b"0"),
            (b"x-ratelimit-remaining", b"1"), (b"x-request-id", b"r"), (b"Set-Cookie", b"c"),
            (b"transfer-encoding", b"chunked"), (b"retry-after", b"30"),
        )  # fmt: skip
        for status in (408, 409, 429, 500, 503, 524):
            found = answered(status, body, *headers)
            self.assertEqual((found.status, found.body), (status, body))
            self.assertEqual(found.headers, (
                (b"content-type", b"application/problem+json"), (b"x-ratelimit-remaining", b"0"),
                (b"x-ratelimit-remaining", b"1"), (b"retry-after", b"30"),
                (b"x-yallmp-upstream-request-id", b"r"),
            ))  # fmt: skip

    def test_requests_at_fault(self) -> None:
        """The backend's reason, and no invitation to try again."""
        for status, code in ((400, "context_length_exceeded"), (400, "content_filter"),
                             (413, None), (404, "model_not_found"), (422, None)):  # fmt: skip
            body = {"error": {"message": "no", "type": "t", "param": None, "code": code}}
            found = answered(status, body)
            self.assertEqual((found.status, json.loads(found.body)), (status, body))
            self.assertEqual(values(found.headers, b"x-should-retry"), [b"false"])

    def test_waits_are_kept(self) -> None:
        """Long or short, in either spelling, and the client may come back."""
        for wait in (b"1", b"3600", b"Wed, 21 Oct 2099 07:28:00 GMT"):
            for status in (429, 503, 529):
                headers = (b"retry-after", wait), (b"retry-after-ms", b"1500")
                found = answered(status, {"error": "busy"}, *headers)
                self.assertEqual(found.headers[:2], headers)
                self.assertEqual(values(found.headers, b"x-should-retry"), [])

    def test_the_backends_own_hint(self) -> None:
        """It passes where we have none, and gives way to ours: never both."""
        hint = (b"X-Should-Retry", b"true")
        self.assertEqual(values(answered(503, {}, hint).headers, b"x-should-retry"), [b"true"])
        self.assertEqual(values(answered(422, {}, hint).headers, b"x-should-retry"), [b"false"])

    def test_bodies_that_are_not_json(self) -> None:
        """They become our shape with the same status; the other headers stay."""
        for body in (b"", b"<html>Bad Gateway</html>", b"upstream connect error", b"\xff", b"{"):
            headers = (b"Content-Type", b"text/html"), (b"retry-after", b"5")
            found = answered(502, body, *headers)
            self.assertEqual((found.status, said(found)["code"]), (502, "upstream_error"))
            self.assertEqual(found.headers, (
                (b"content-type", b"application/json"), (b"retry-after", b"5")))  # fmt: skip

    def test_a_missing_content_type(self) -> None:
        """JSON says so."""
        self.assertEqual(answered(500, {}).headers, ((b"content-type", b"application/json"),))

    def test_secrets(self) -> None:
        """Known secrets are replaced, in the body and in headers."""
        body = {"error": {"message": f"{SECRET} is over its limit", "code": None}}
        found = answered(429, body, (b"x-key-used", SECRET.encode()))
        self.assertNotIn(SECRET.encode(), found.body)
        self.assertIn("is over its limit", said(found)["message"])
        self.assertNotIn(SECRET.encode(), b"".join(value for _, value in found.headers))

    def test_an_error_in_a_200(self) -> None:
        """Its own status where it tells one, else 502."""
        error = {"message": "slow down", "code": 429}
        found = reply(answer_problem(error, ((b"retry-after", b"9"),), 0.0, 2.0))
        self.assertEqual((found.status, said(found)), (429, error))
        self.assertEqual(values(found.headers, b"retry-after"), [b"9"])
        found = reply(answer_problem({"message": "boom"}, (), 0.0, 2.0))
        self.assertEqual((found.status, said(found)["code"]), (502, "upstream_error"))


class EventTests(SynchronousTestCase):
    """What the client of a broken stream is told."""

    def test_codes(self) -> None:
        """The problem's own."""
        for code in ("upstream_idle_timeout", "upstream_incomplete", "upstream_disconnected",
                     "stream_lifetime_exceeded", "proxy_shutdown"):  # fmt: skip
            error = event_error(Problem(Reason.TIMEOUT, TELLTALE, code=code), "gpt-x", mask)
            self.assertEqual(error.code, code)
            self.assertNotIn("said", error.message)

    def test_what_the_backend_said(self) -> None:
        """Its error is told, without secrets."""
        for code in (None, 503, "content_filter"):
            error = {"message": f"failed for {SECRET}", "code": code}
            found = event_error(answer_problem(error, (), 0.0, 2.0), "gpt-x", mask)
            self.assertEqual(found.code, "upstream_error")
            self.assertIn("It said: failed for", found.message)
            self.assertNotIn(SECRET, found.message)

    def test_what_it_said_of_our_key(self) -> None:
        """That stays in the record."""
        for code in (401, 403, "invalid_api_key"):
            problem = answer_problem({"message": "bad key sk-1", "code": code}, (), 0.0, 2.0)
            self.assertNotIn("sk-1", event_error(problem, "gpt-x", mask).message)

    def test_what_we_found(self) -> None:
        """Our own findings are not put into the backend's mouth."""
        for reason in (Reason.INVALID, Reason.INCOMPLETE, Reason.TIMEOUT, Reason.UNREACHABLE):
            error = event_error(Problem(reason, TELLTALE), "gpt-x", mask)
            self.assertEqual(error.message, fault("upstream_error", "gpt-x").message)

    def test_a_cut_secret(self) -> None:
        """A long message is cut; half a secret at its end is none the less one."""
        text = "x" * (500 - 18) + SECRET
        found = event_error(answer_problem(text, (), 0.0, 2.0), "gpt-x", mask)
        self.assertNotIn(SECRET[:12], found.message)

    def test_after_an_early_head(self) -> None:
        """Headers were out already: the answer's error becomes an event's."""
        found = error_of(reply(Problem(Reason.TIMEOUT)))
        self.assertEqual((found.code, found.status), ("upstream_timeout", 504))
        own = error_of(answered(429, {"error": {"message": "m", "type": "t", "code": "c"}}))
        self.assertEqual((own.code, own.message, own.status), ("c", "m", 429))
        strange = error_of(answered(500, {"x": 1}))
        self.assertEqual(strange.code, "upstream_error")
        self.assertTrue(strange.message)
