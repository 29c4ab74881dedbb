"""
What backends say of their errors, and the row of the decision table that it means.

The bodies are those of the providers' own documentation and servers, shortened.
"""

from __future__ import annotations

import json
import os
import time
from email.utils import formatdate
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.exchange import HeaderPairs
from yallmp.core.problems import (
    AttemptFailed,
    Problem,
    Reason,
    Wait,
    answer_problem,
    status_problem,
    wait_of,
)
from yallmp.core.told import Told, parsed, told_by, told_in

NOW = 1_790_000_000.0
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NAMES = st.sampled_from(
    ["error", "errors", "detail", "message", "msg", "code", "type", "status", "innererror",
     "metadata", "raw"]
)  # fmt: skip


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What JSON can wrap around *inner*."""
    return st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4)


def openai(message: str, code: str | None = None, kind: str = "invalid_request_error") -> Any:
    """OpenAI's shape; Azure, Groq, DeepSeek, LM Studio and many others have it too."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic(kind: str, message: str) -> Any:
    """Anthropic's shape."""
    error = {"type": kind, "message": message}
    return {"type": "error", "error": error, "request_id": "req_011"}


def gemini(code: int, status: str, message: str) -> Any:
    """Gemini's shape: on its OpenAI endpoint a list of one."""
    return [{"error": {"code": code, "message": message, "status": status}}]


def vllm(code: int, kind: str, message: str) -> Any:
    """vLLM's flat shape."""
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def llama_cpp(code: int, kind: str, message: str) -> Any:
    """llama.cpp's shape."""
    return {"error": {"code": code, "message": message, "type": kind}}


def problem(status: int, body: Any = b"", *headers: tuple[str, str]) -> Problem:
    """The problem that an error answer is."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    pairs = tuple((name.encode(), value.encode()) for name, value in headers)
    return status_problem(status, pairs, raw, NOW, 2.0)


def reason(status: int, body: Any = b"", *headers: tuple[str, str]) -> Reason:
    """The row of an error answer."""
    return problem(status, body, *headers).reason


class Rows(SynchronousTestCase):
    """Each row with what providers send for it."""

    def rows(self, expected: Reason, *answers: tuple[Any, ...]) -> None:
        """All of *answers* are *expected*."""
        for each in answers:
            self.assertIs(reason(*each), expected, each)


class RequestRows(Rows):
    """What is wrong with the request."""

    def test_context_length(self) -> None:
        """400, 413, 422 and 500, by code or by text."""
        self.rows(
            Reason.CONTEXT_LENGTH,
            (400, openai("Too long.", "context_length_exceeded")),
            (400, openai("This model's maximum context length is 8192 tokens.")),
            (400, openai("Please reduce the length of the messages or completion.")),
            (400, openai("string too long", "string_above_max_length")),
            (400, anthropic("invalid_request_error", "prompt is too long: 200082 tokens > 200000")),
            (400, anthropic("invalid_request_error", "input length and `max_tokens` exceed context"
                            " limit: 197626 + 21333 > 200000")),
            (413, anthropic("request_too_large", "Request exceeds the maximum size")),
            (400, gemini(400, "INVALID_ARGUMENT", "The input token count (1048577) exceeds the"
                         " maximum number of tokens allowed (1048576).")),
            (400, gemini(400, "INVALID_ARGUMENT", "The input token count is 36432 but model only"
                         " supports up to 32768")),
            (400, vllm(400, "BadRequestError", "This model's maximum context length is 4096")),
            (400, vllm(400, "BadRequestError", "The decoder prompt (length 5000) is longer than the"
                       " maximum model length of 4096.")),
            (400, llama_cpp(400, "exceed_context_size_error", "the request exceeds the available"
                            " context size, try increasing it")),
            (500, llama_cpp(500, "server_error", "input is too large to process. increase the"
                            " physical batch size")),
            (500, openai("Context size has been exceeded.", kind="server_error")),
            (500, {"error": "the input length exceeds the context length"}),
            (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be"
                            " <= 4096. Given: 5000", "error_type": "validation"}),
            (422, {"error": "`inputs` must have less than 1024 tokens. Given: 4000"}),
            (400, openai("This model's maximum prompt length is 131072 but the request has 5e5")),
            (400, {"message": "Input is too long for requested model."}),
            (400, {"error": {"code": 400, "message": "Provider returned error", "metadata": {
                "raw": '{"error":{"message":"maximum context length is 8192"}}'}}}),
            (400, b"prompt is too long\n"),
        )  # fmt: skip

    def test_too_large(self) -> None:
        """413 whatever it says, and a 429 that no wait will help."""
        groq = openai("Request too large for model `x` on tokens per minute", "rate_limit_exceeded")
        self.rows(
            Reason.CONTEXT_LENGTH,
            (413, b"<html><h1>413 Request Entity Too Large</h1>"),
            (413, groq),
            (413, {"error": {"code": "tokens_limit_reached", "message": "Request body too large"}}),
            (429, openai("Request too large for gpt-4 on tokens per min (TPM): Limit 10000"),
             ("retry-after", "1")),
        )  # fmt: skip

    def test_content_filter(self) -> None:
        """400, and 403 with moderation or policy."""
        azure = openai("The response was filtered due to the prompt triggering Azure OpenAI's"
                       " content management policy.", "content_filter")  # fmt: skip
        azure["error"]["innererror"] = {"code": "ResponsibleAIPolicyViolation"}
        self.rows(
            Reason.CONTENT_FILTER,
            (400, azure),
            (400, {"error": {"innererror": azure["error"]["innererror"], "message": "no"}}),
            (400, openai("no", "content_policy_violation")),
            (400, openai("Your prompt was flagged as potentially violating our usage policy.")),
            (400, openai("rejected as a result of our safety system", "moderation_blocked")),
            (400, anthropic("invalid_request_error", "Output blocked by content filtering policy")),
            (403, {"error": {"code": 403, "message": "x requires moderation on OpenRouter. Your"
                             " input was flagged"}}),
            (403, {"code": "forbidden", "error": "Content violates usage guidelines."}),
            (400, {"code": "data_inspection_failed", "message": "inappropriate content"}),
        )  # fmt: skip

    def test_models_for_moderation_are_no_filter(self) -> None:
        """A name or a path that only contains the word is an ordinary error."""
        self.rows(
            Reason.AT_FAULT,
            (400, openai("'text-moderation-007' does not support this.")),
            (400, openai("Unknown parameter for /v1/moderations: 'foo'.")),
        )
        self.rows(
            Reason.AUTH,
            (403, {"message": "no identity-based policy allows bedrock:InvokeModel"}),
            (403, openai("Country, region, or territory not supported")),
        )

    def test_at_fault(self) -> None:
        """The statuses of a request that is wrong, whatever the body."""
        for status in (400, 406, 411, 414, 415, 416, 422, 431, 451):
            self.assertIs(reason(status), Reason.AT_FAULT, status)
        self.rows(
            Reason.AT_FAULT,
            (422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required"}]}),
            (400, openai("max_tokens is too large: 50000.", "invalid_value")),
            (400, openai("Invalid schema for function 'get_credit_score'.")),
            (400, openai("Unrecognized request argument supplied: api_key")),
            (400, vllm(400, "BadRequestError", "temperature must be non-negative")),
            (400, anthropic("invalid_request_error", "messages.0: user turn expected")),
            (400, b"\x00\xff"),
            (400, b""),
        )

    def test_unknown_there(self) -> None:
        """It knows no such model or path."""
        self.rows(
            Reason.UNKNOWN_THERE,
            (404, openai("The model `gpt-9` does not exist", "model_not_found")),
            (404, vllm(404, "NotFoundError", "The model `x` does not exist.")),
            (404, {"error": "model 'llama9' not found"}),
            (404, {"detail": "Not Found"}),
            (404, anthropic("not_found_error", "model: claude-9")),
            (405, {"detail": "Method Not Allowed"}),
            (410, b"gone"),
        )


class AccountRows(Rows):
    """What is wrong with our account or our key."""

    def test_account(self) -> None:
        """400 that names credit, billing, quota or our key."""
        self.rows(
            Reason.ACCOUNT,
            (400, anthropic("invalid_request_error", "Your credit balance is too low to access the"
                            " Anthropic API. Please go to Plans & Billing.")),
            (400, anthropic("invalid_request_error", "You have reached your specified API usage"
                            " limits. You will regain access on 2026-01-01.")),
            (400, openai("Billing hard limit has been reached", "billing_hard_limit_reached")),
            (400, openai("no", "insufficient_quota")),
            (400, gemini(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid key.")),
            (400, gemini(400, "INVALID_ARGUMENT", "API Key not found. Please pass a valid key.")),
            (400, {"code": "Client specified an invalid argument",
                   "error": "Incorrect API key provided: xa***ey."}),
        )  # fmt: skip

    def test_auth(self) -> None:
        """401, 402, other 403, and 407 from a proxy before it."""
        self.rows(
            Reason.AUTH,
            (401, openai("Incorrect API key provided", "invalid_api_key")),
            (401, {"statusCode": 401, "message": "Access denied due to invalid subscription key"}),
            (401, {"detail": "Unauthorized"}),
            (402, openai("Insufficient Balance", "invalid_request_error")),
            (403, anthropic("permission_error", "Your API key does not have permission")),
            (403, b"<html>Forbidden"),
            (407, b""),
        )

    def test_quota(self) -> None:
        """429 that no wait will help: no money, or a limit of spending."""
        self.rows(
            Reason.QUOTA,
            (429, openai("You exceeded your current quota, please check your plan and billing"
                         " details.", "insufficient_quota", "insufficient_quota")),
            (429, openai("no", "insufficient_quota"), ("retry-after", "1")),
            (429, anthropic("rate_limit_error", "This would exceed the workspace's spend limit")),
        )  # fmt: skip

    def test_advertisements_are_no_quota(self) -> None:
        """A limit of the minute that mentions where to pay for more is a limit of the minute."""
        groq = openai("Rate limit reached for model `x` on tokens per minute. Please try again in"
                      " 5.2s. Need more tokens? Upgrade at https://console.groq.com/settings/billing",
                      "rate_limit_exceeded", "tokens")  # fmt: skip
        google = gemini(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check"
                        " your plan and billing details. Please retry in 23.4s.")  # fmt: skip
        paid = openai("Rate limit reached on requests per min. Please add a payment method: visit"
                      " https://platform.openai.com/account/billing")  # fmt: skip
        self.rows(Reason.RATE_LIMIT, (429, groq), (429, google), (429, paid))


class BusyRows(Rows):
    """What may be over in a moment."""

    def test_busy(self) -> None:
        """408, 409 and 425."""
        self.rows(Reason.BUSY, (408,), (409, openai("conflict")), (425, b""))

    def test_rate_limit(self) -> None:
        """429 without a wait that can be kept."""
        self.rows(
            Reason.RATE_LIMIT,
            (429, openai("Rate limit reached", "rate_limit_exceeded")),
            (429, anthropic("rate_limit_error", "Number of requests has exceeded your limit")),
            (429, b"", ("retry-after", "soon")),
            (429, b"", ("retry-after", "0")),
        )

    def test_waits(self) -> None:
        """429, 503 and 529 with a wait; up to two seconds it is kept, inclusively."""
        for status in (429, 503, 529):
            self.rows(
                Reason.WAIT,
                (status, b"", ("Retry-After", "2")),
                (status, b"", ("retry-after-ms", "2000"), ("retry-after", "60")),
                (status, b"", ("retry-after", formatdate(NOW + 3, usegmt=True))),
            )
            self.rows(
                Reason.LONG_WAIT,
                (status, b"", ("retry-after", "2.01")),
                (status, b"", ("retry-after-ms", "2001")),
                (status, b"", ("retry-after", formatdate(NOW + 4, usegmt=True))),
            )

    def test_other_statuses_name_no_wait(self) -> None:
        """A wait elsewhere does not change the row."""
        self.assertIs(reason(500, b"", ("retry-after", "60")), Reason.SERVER_ERROR)
        self.assertIs(reason(409, b"", ("retry-after", "1")), Reason.BUSY)

    def test_server_errors(self) -> None:
        """5xx, also Cloudflare's; 501 and 505 will not change."""
        for status in (500, 502, 503, 504, 520, 524, 529, 530, 599):
            self.assertIs(reason(status, b"<html>"), Reason.SERVER_ERROR, status)
        self.rows(
            Reason.SERVER_ERROR,
            (529, anthropic("overloaded_error", "Overloaded")),
            (503, gemini(503, "UNAVAILABLE", "The model is overloaded.")),
            (503, llama_cpp(503, "unavailable_error", "Loading model")),
            (500, {"error": "llama runner process has terminated"}),
            (500, {"detail": "Internal Server Error"}),
        )
        self.rows(Reason.UNABLE, (501,), (505,))

    def test_redirects(self) -> None:
        """3xx, with or without a body."""
        for status in (301, 302, 304, 307, 308):
            self.assertIs(reason(status, openai("context length")), Reason.REDIRECT)


class AnswerErrorTests(SynchronousTestCase):
    """Errors inside answers that say 200."""

    def inside(self, error: Any, headers: HeaderPairs = ()) -> Problem:
        """The problem that *error* in a 200 is."""
        return answer_problem(error, headers, NOW, 2.0)

    def test_by_code_or_status(self) -> None:
        """Its code, type or status decides like that of an error answer."""
        for error, status, row in (
            ({"message": "m", "code": "rate_limit_exceeded"}, 429, Reason.RATE_LIMIT),
            ({"message": "m", "code": 429}, 429, Reason.RATE_LIMIT),
            ({"message": "m", "code": "503"}, 503, Reason.SERVER_ERROR),
            ({"message": "m", "type": "overloaded_error"}, 529, Reason.SERVER_ERROR),
            ({"message": "m", "type": "server_error", "code": None}, 500, Reason.SERVER_ERROR),
            ({"message": "m", "code": "content_filter"}, 400, Reason.CONTENT_FILTER),
            ({"message": "m", "code": "context_length_exceeded"}, 400, Reason.CONTEXT_LENGTH),
            ({"message": "m", "type": "invalid_request_error"}, 400, Reason.AT_FAULT),
            ({"message": "m", "code": "invalid_api_key"}, 401, Reason.AUTH),
            ({"message": "m", "code": 8, "status": "RESOURCE_EXHAUSTED"}, 429, Reason.RATE_LIMIT),
            ({"error": {"message": "m", "code": 500}}, 500, Reason.SERVER_ERROR),
        ):
            found = self.inside(error)
            self.assertEqual((found.status, found.reason, found.message), (status, row, "m"), error)

    def test_without_either(self) -> None:
        """Nothing is known: it leads on to the next backend."""
        nothing: list[Any] = ["boom", {"message": "boom"}, {}, True, 7, [], {"code": 200}]
        for error in [*nothing, {"code": "e17"}]:
            found = self.inside(error)
            self.assertEqual((found.status, found.reason), (None, Reason.ANSWER_ERROR), error)

    def test_a_wait_is_kept(self) -> None:
        """The answer's headers may name a wait; of them only those are passed on."""
        headers = ((b"Retry-After", b"30"), (b"content-type", b"text/event-stream"))
        found = self.inside({"code": 429, "message": "m"}, headers)
        self.assertEqual((found.reason, found.wait), (Reason.LONG_WAIT, Wait(30.0)))
        self.assertEqual(found.headers, ((b"Retry-After", b"30"),))

    def test_body(self) -> None:
        """An error object is passed on as it is, anything else in OpenAI's shape."""
        kept = {"message": "m", "code": 500, "x": [1]}
        self.assertEqual(json.loads(self.inside(kept).body), {"error": kept})
        made = json.loads(self.inside("boom").body)["error"]
        self.assertEqual(made["message"], "boom")
        self.assertEqual(set(made), {"message", "type", "param", "code"})


class ToldTests(SynchronousTestCase):
    """Where the message, the code and the status stand."""

    def test_shapes(self) -> None:
        """Every provider's shape gives its message."""
        for value in (
            openai("m"), anthropic("t", "m"), gemini(400, "S", "m"), vllm(400, "t", "m"),
            llama_cpp(500, "t", "m"), {"error": "m"}, {"detail": "m"}, {"detail": {"message": "m"}},
            {"detail": [{"loc": ["body"], "msg": "m"}]}, {"message": "m"}, "m", ["m"],
            {"errors": [{"message": "m", "code": 7}]}, {"error": {"message": "m", "detail": "d"}},
            {"error": "Bad Request", "message": "m"}, {"message": "x", "error": {"message": "m"}},
        ):  # fmt: skip
            self.assertEqual(told_by(value).message, "m", value)

    def test_codes_are_kept_together(self) -> None:
        """Code, type and inner code are all looked through."""
        error = {"code": "a", "type": "b", "innererror": {"code": "c"}, "message": "M"}
        self.assertEqual(told_by({"error": error}), Told("M", "a b c"))
        self.assertEqual(told_by({"error": error}).words.split(), ["a", "b", "c", "m"])

    def test_text(self) -> None:
        """Plain text is a message, a page in HTML is none."""
        self.assertEqual(told_in(b" no such thing\n").message, "no such thing")
        self.assertEqual(told_in(b"<html>context length"), Told())

    def test_long_numbers(self) -> None:
        """A number of thousands of digits beside it hides no message."""
        body = b'{"error": {"message": "m", "code": "c", "at": %b}}' % (b"1" * 5000)
        self.assertEqual(told_in(body), Told("m", "c"))

    def test_messages_can_be_encoded(self) -> None:
        """Half a surrogate pair in a message does not break what writes it down."""
        self.assertEqual(told_in(b'{"error": "a\\ud800b"}').message.encode(), b"a?b")

    def test_messages_are_bounded(self) -> None:
        """A message of megabytes is cut, and a problem's is short."""
        body = json.dumps({"error": "x" * 1_000_000}).encode()
        self.assertLess(len(told_in(body).message), 20_000)
        self.assertEqual(len(problem(400, body).message), 500)

    @given(st.recursive(LEAVES, containers, max_leaves=8))
    def test_anything(self, value: Any) -> None:
        """Whatever a backend sends is a problem, never an exception."""
        told_by(value).words.encode()
        answer_problem(value, (), NOW, 2.0)
        self.assertIsInstance(problem(400, value).reason, Reason)

    @given(st.binary(max_size=40))
    def test_any_bytes(self, body: bytes) -> None:
        """Bodies that are no JSON neither."""
        problem(500, body).message.encode()

    def test_deep_nesting(self) -> None:
        """Nesting to the limits of the parser, and beyond, is borne."""
        for depth in (9, 200, 900, 960, 975, 985, 100_000):
            for body in (
                b"[" * depth + b"]" * depth,
                b'{"error":' * depth + b"1" + b"}" * depth,
                b'{"error":{"message":' + b"[" * depth + b"]" * depth + b"}}",
            ):
                problem(400, body).message.encode()
                answer_problem(parsed(body), (), NOW, 2.0)

    def test_absurd_numbers(self) -> None:
        """Codes of thousands of digits are no status."""
        for code in ("9" * 5000, int("9" * 4000), "٤٠٤", "404.0", True, 40404, "-500"):
            self.assertIsNone(told_by({"error": {"code": code}}).status)


def stand_in(zone: str | None) -> None:
    """Let this process stand in a time zone (where the system can do that)."""
    os.environ.pop("TZ", None)
    os.environ.update({} if zone is None else {"TZ": zone})
    if hasattr(time, "tzset"):
        time.tzset()


class WaitTests(SynchronousTestCase):
    """Waits in headers."""

    def wait(self, *headers: tuple[str, str]) -> Wait | None:
        """The wait that *headers* name."""
        return wait_of(tuple((n.encode(), v.encode()) for n, v in headers), NOW)

    def test_seconds_and_milliseconds(self) -> None:
        """Milliseconds are exact, so they come first."""
        self.assertEqual(self.wait(("Retry-After", " 7 ")), Wait(7.0))
        self.assertEqual(self.wait(("retry-after", "0.5")), Wait(0.5))
        self.assertEqual(self.wait(("retry-after", "7"), ("Retry-After-Ms", "250")), Wait(0.25))
        self.assertEqual(self.wait(("retry-after", "7"), ("retry-after-ms", "x")), Wait(7.0))

    def test_dates(self) -> None:
        """A date has no fractions: it is allowed a second."""
        for text in (formatdate(NOW + 5, usegmt=True), formatdate(NOW + 5)[:-6]):
            self.assertEqual(self.wait(("retry-after", text)), Wait(5.0, slack=1.0), text)

    def test_dates_without_a_zone(self) -> None:
        """They are UTC, wherever this machine stands."""
        before = os.environ.get("TZ")
        self.addCleanup(stand_in, before)
        stand_in("XYZ-7")
        self.assertEqual(self.wait(("retry-after", formatdate(NOW + 5)[:-6])), Wait(5.0, slack=1.0))

    def test_no_wait(self) -> None:
        """Nothing, the past, and what is no wait at all."""
        for text in ("", "0", "0.0", "-3", "soon", "1e9", "nan", "inf", "1" * 30,
                     "12:00", formatdate(NOW, usegmt=True), formatdate(0, usegmt=True),
                     "Wed, 99 Foo 2015 99:99:99 GMT",
                     "Wed, 21 Oct 99999 07:28:00 GMT"):  # fmt: skip
            self.assertIsNone(self.wait(("retry-after", text)), text)
        self.assertIsNone(self.wait())

    @given(st.text(alphabet="0123456789 ,:+-MonJan GMT()", max_size=30) | st.text(max_size=12))
    def test_anything(self, text: str) -> None:
        """No header breaks it, and no wait is negative."""
        wait = wait_of(((b"retry-after", text.encode("utf-8", "replace")),), NOW)
        self.assertGreater(wait.seconds if wait else 1.0, 0.0)


class ProblemTests(SynchronousTestCase):
    """Problems as values."""

    def test_word(self) -> None:
        """The status if there is one, else the class."""
        self.assertEqual(Problem(Reason.SERVER_ERROR, status=503).word, "503")
        self.assertEqual(Problem(Reason.TIMEOUT).word, "timeout")

    def test_bodies_and_headers_are_not_shown(self) -> None:
        """They may hold secrets, so no traceback repeats them."""
        shown = repr(Problem(Reason.AUTH, headers=((b"a", b"sekret"),), body=b"sekret"))
        self.assertNotIn("sekret", shown)

    def test_failure(self) -> None:
        """An attempt's failure says what its problem says."""
        self.assertEqual(str(AttemptFailed(Problem(Reason.DNS, "no name"))), "no name")
        self.assertEqual(str(AttemptFailed(Problem(Reason.DNS))), "dns")
