"""
Sending a logged request again.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import shlex
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IAgent
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from yallmp.core.curl import command
from yallmp.core.exchange import Begin, End
from yallmp.core.masking import Masker
from yallmp.core.record import Record, format_event, parse
from yallmp.core.resend import CannotReplay, Choices, Resend, is_http_url, resend
from yallmp.playback import NoAnswer, Player, Terminal, Verbatim
from yallmp.replay import Options, chosen, main, outcome, preview
from yallmp.upstream import WholeBody

ID = "3f9c2a7b10de"
KEY = "sk-proj-A1b2C3d4E5f6G7h8"
BODY = b'{"model": "m", "n": 1.0}'
BEGIN = Begin(
    ID, time=1792397702.123456, client="127.0.0.1:5", listener="http://127.0.0.1:8000",
    method="POST", path="/v1/chat/completions", query="",
    headers=((b"content-type", b"application/json"),), body=BODY, model="m",
)  # fmt: skip
END = End(ID, at=7, outcome="success", status=200, sent=9)


def logged(begin: Begin, bodies: int | None = None, secret: str = KEY) -> Record:
    """The record of an exchange that began so."""
    events = (begin, END)
    return parse(b"".join(format_event(event, Masker([secret]), bodies) for event in events))


def again(begin: Begin = BEGIN, choices: Choices | None = None) -> Resend:
    """What is sent again of an exchange that began so."""
    return resend(logged(begin), choices or Choices())


class ResendTests(SynchronousTestCase):
    """What is sent."""

    def test_as_it_was(self) -> None:
        """Without choices it is what came, to the proxy that logged it, with nothing to warn of."""
        self.assertEqual(
            again(),
            Resend("POST", "http://127.0.0.1:8000/v1/chat/completions", BEGIN.headers, BODY),
        )

    @given(st.binary(max_size=50))
    def test_bodies_byte_for_byte(self, body: bytes) -> None:
        """Whatever they are."""
        self.assertEqual(again(evolve(BEGIN, body=body)).body, body)

    def test_only_the_chosen_values_change(self) -> None:
        """The rest of the body keeps its bytes."""
        choices = Choices(model='x"', stream=True)
        self.assertEqual(again(BEGIN, choices).body, b'{"model": "x\\"", "n": 1.0, "stream": true}')

    @given(st.text(max_size=20))
    def test_any_model(self, model: str) -> None:
        """Whatever its characters, the body says it."""
        self.assertEqual(json.loads(again(BEGIN, Choices(model=model)).body)["model"], model)

    def test_choices_need_json(self) -> None:
        """A body that is no JSON object cannot be changed."""
        begin = evolve(BEGIN, body=b"[1]")
        error = self.assertRaises(CannotReplay, again, begin, Choices(model="x"))
        self.assertIn("JSON", str(error))
        self.assertEqual(again(begin).body, b"[1]")

    def test_stream_options_without_a_stream(self) -> None:
        """They stay, as nothing else is changed, with a warning."""
        begin = evolve(BEGIN, body=b'{"stream": true, "stream_options": {}}')
        request = again(begin, Choices(stream=False))
        self.assertEqual(request.body, b'{"stream": false, "stream_options": {}}')
        self.assertIn("stream_options", request.warnings[0])

    def test_headers_of_the_connection_stay_behind(self) -> None:
        """They are made anew; the rest goes along as it was."""
        gone = (
            b"Host",
            b"content-length",
            b"Connection",
            b"TE",
            b"accept-encoding",
            b"x-yallmp-hops",
        )
        kept = ((b"X-Note", "é".encode()), (b"x-empty", b""), *BEGIN.headers)
        headers = tuple((name, b"x") for name in gone)
        self.assertEqual(again(evolve(BEGIN, headers=headers + kept)).headers, kept)

    def test_hidden_headers_are_left_out(self) -> None:
        """By the mark of the log, not by what they look like; the user is told."""
        headers = ((b"authorization", b"Bearer x"), (b"x-a", KEY.encode()), (b"x-b", b"****"))
        request = again(evolve(BEGIN, headers=headers))
        self.assertEqual(request.headers, ((b"x-b", b"****"),))
        self.assertEqual(
            request.warnings, ("Left out, as the log hides their values: authorization, x-a.",)
        )

    def test_a_key(self) -> None:
        """It goes as a bearer token, and is not shown."""
        request = again(BEGIN, Choices(api_key="k"))
        self.assertEqual(request.headers[-1], (b"authorization", b"Bearer k"))
        self.assertNotIn("Bearer k", repr(request))

    def test_a_key_that_nobody_named(self) -> None:
        """It is not sent to an address that only the log knows; here, and if named, it is."""
        found = Choices(api_key="k", unasked=True)
        for listener, choices, sent in (
            ("http://127.0.0.1:8000", found, True),
            ("https://[::1]:8000", found, True),
            ("http://0.0.0.0:8000", found, True),
            ("http://10.0.0.5:8000", found, False),
            ("https://evil.example:443", found, False),
            ("http://127.0.0.1.evil.example:80", found, False),
            ("https://evil.example:443", evolve(found, base_url="https://mine.example"), True),
            ("https://evil.example:443", Choices(api_key="k"), True),
        ):
            request = again(evolve(BEGIN, listener=listener), choices)
            self.assertEqual(b"authorization" in dict(request.headers), sent, listener)
            self.assertEqual(
                ["--api-key" in each for each in request.warnings], [True] * (not sent)
            )

    def test_a_path_that_is_none(self) -> None:
        """Behind an address it could name another one."""
        for path in ("@evil.example/v1", ":80@evil.example/", ".evil.example/", "", "v1", "\\x"):
            record = evolve(BEGIN, path=path)
            error = self.assertRaises(CannotReplay, again, record, Choices(api_key="k"))
            self.assertIn("path", str(error))
        self.assertIn(
            "http://127.0.0.1:8000//evil", again(evolve(BEGIN, path="//evil.example")).url
        )

    def test_a_listener_that_is_none(self) -> None:
        """A log may be damaged, or forged, or of a UNIX socket: then the user says where."""
        for listener in (
            "http://unix", "http://[x", "file:///etc/passwd", "http://", "", "http://a b:1",
            "http://x:1\r\nHost: y", "http://x/:1", "ftp://x:1", "http://u:p@x:1", "http://x:1?",
        ):  # fmt: skip
            record = evolve(BEGIN, listener=listener)
            error = self.assertRaises(CannotReplay, again, record)
            self.assertIn("--base-url", str(error))
            again(record, Choices(base_url="http://127.0.0.1:1"))

    def test_urls(self) -> None:
        """The base may end in a slash or in ``/v1``; hidden values of a query are left out."""
        for base, url in (
            ("https://h/", "https://h/v1/chat/completions"),
            ("https://h/v1", "https://h/v1/chat/completions"),
            ("https://h/api/v1/", "https://h/api/v1/chat/completions"),
            ("https://h/api", "https://h/api/v1/chat/completions"),
        ):
            self.assertEqual(again(BEGIN, Choices(base_url=base)).url, url)
        request = again(evolve(BEGIN, query="a=%41&key=x&b=2", path="/v1/a%2Fb\n"))
        self.assertEqual(request.url, "http://127.0.0.1:8000/v1/a%2Fb%0A?a=%41&b=2")
        self.assertIn("query", request.warnings[0])

    def test_a_listener_on_all_addresses(self) -> None:
        """It is reached on loopback."""
        for host, reached in (("0.0.0.0", "127.0.0.1"), ("[::]", "[::1]"), ("h", "h")):
            request = again(evolve(BEGIN, listener=f"http://{host}:80"))
            self.assertTrue(request.url.startswith(f"http://{reached}:80/"), request.url)

    def test_altered_bodies_are_sent_with_a_warning(self) -> None:
        """A secret in the body is not what came, and the user should know."""
        request = again(evolve(BEGIN, body=KEY.encode()))
        self.assertEqual(request.body, b"****")
        self.assertIn("altered", request.warnings[0])

    def test_bodies_that_were_not_kept(self) -> None:
        """They cannot be sent; the message says which setting it was."""
        for bodies in (0, 10):
            error = self.assertRaises(CannotReplay, resend, logged(BEGIN, bodies), Choices())
            self.assertIn(f"keeps {bodies} of the 24 bytes", str(error))
            self.assertIn("logging.bodies", str(error))

    def test_unfinished_logs(self) -> None:
        """A whole request in one is sent; half a request is not."""
        data = format_event(BEGIN)
        request = resend(parse(data), Choices())
        self.assertEqual(request.body, BODY)
        self.assertIn("unfinished", request.warnings[0])
        self.assertRaises(CannotReplay, resend, parse(data[:-1]), Choices())

    def test_http_urls(self) -> None:
        """Only those can be sent to."""
        for url in ("http://h", "https://[::1]:8/x"):
            self.assertTrue(is_http_url(url), url)
        for url in ("localhost:8000", "", "ftp://h", "http://", "http://h:x", "http://[::"):
            self.assertFalse(is_http_url(url), url)


class CurlTests(SynchronousTestCase):
    """A command that does the same."""

    def words(self, request: Resend, variable: str | None = None) -> list[str]:
        """The words that a shell makes of the command."""
        return shlex.split(command(request, variable).replace("\\\n", ""))

    def test_the_command(self) -> None:
        """Method, headers, URL, and nothing that curl would add of itself."""
        words = self.words(again(evolve(BEGIN, query="a=[1]")))
        self.assertEqual(words[:5], ["printf", "%s", BODY.decode(), "|", "curl"])
        self.assertEqual(words[words.index("-X") + 1], "POST")
        headers = [words[at + 1] for at, word in enumerate(words) if word == "-H"]
        wanted = ["content-type: application/json", "accept:", "user-agent:", "expect:"]
        self.assertEqual(headers, wanted)
        self.assertEqual(words[-3:-1], ["--data-binary", "@-"])
        self.assertEqual(words[-1], "http://127.0.0.1:8000/v1/chat/completions?a=%5B1%5D")

    @given(st.binary(max_size=40) | st.text(max_size=20).map(lambda text: text.encode()))
    def test_any_body(self, body: bytes) -> None:
        """Text stands there as it is, everything else in base64; nothing in it is lost."""
        words = self.words(again(evolve(BEGIN, body=body)))
        encoded = words[3:6] == ["|", "base64", "-d"]
        sent = base64.b64decode(words[2]) if encoded else words[2].encode()
        self.assertEqual(sent, body)
        for hidden in "\t\x1b\x00\r\u202e":
            self.assertNotIn(hidden, words[2])

    def test_tabs(self) -> None:
        """A shell that completes words would eat a tab that is pasted."""
        self.assertIn("base64", command(again(evolve(BEGIN, body=b"{\t}"))))

    def test_headers(self) -> None:
        """An empty one is sent empty; one that no command line can hold is left out."""
        headers = ((b"x-e", b""), (b"x-q", b"it's $HOME"), (b"x-bad", b"\xff"), (b"x-n", b"a\nb"))
        words = self.words(again(evolve(BEGIN, headers=headers)))
        given_headers = [words[at + 1] for at, word in enumerate(words) if word == "-H"]
        self.assertEqual(given_headers[:3], ["x-e;", "x-q: it's $HOME", "content-type:"])

    def test_the_key_stays_in_its_variable(self) -> None:
        """The command names the variable, so that the key is not on the screen."""
        request = again(BEGIN, Choices(api_key="sekret"))
        self.assertIn(
            '-H "authorization: Bearer $YALLMP_API_KEY"', command(request, "YALLMP_API_KEY")
        )
        self.assertNotIn("sekret", command(request, "YALLMP_API_KEY"))
        self.assertIn("'authorization: Bearer sekret'", command(request))


class Backend(Resource):
    """Answers as its attributes say; keeps what it was asked."""

    isLeaf = True
    status = 200
    finishes = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: Request | None = None
        self.body = b""

    def render_POST(self, request: Request) -> Any:
        """Begin an answer, or leave it at that."""
        self.asked = request
        assert request.content is not None
        self.body = request.content.read()
        request.setResponseCode(self.status)
        request.setHeader(b"x-yallmp-backend", b"spare\x1b")
        request.write(b"data: 1\n\n")
        if self.finishes:
            request.finish()
        return NOT_DONE_YET


@implementer(IAgent)
class DeadAgent:
    """Fails as told, or never answers."""

    def __init__(self, failure: Exception | None) -> None:
        self.failure = failure

    def request(self, *_: object, **__: object) -> Deferred[Any]:
        """Fail, or wait for ever."""
        deferred: Deferred[Any] = Deferred()
        if self.failure is not None:
            deferred.errback(Failure(self.failure))
        return deferred


class Screen(io.StringIO):
    """A terminal."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        """It is one."""
        return True


class PlayerTests(SynchronousTestCase):
    """Sending it, and showing the answer."""

    def setUp(self) -> None:
        """Make a backend, and a terminal."""
        self.backend = Backend()
        self.agent = RequestTraversalAgent(self.backend)
        self.clock = Clock()
        self.screen = Screen()
        self.said: list[str] = []

    def player(self, agent: Any) -> Player:
        """A player that gives up after 5 seconds."""
        client = HTTPClient(agent, data_to_body_producer=WholeBody)
        return Player(client, self.clock, Terminal(self.screen), self.said.append, 5)

    def play(self, agent: Any = None) -> Deferred[int]:
        """Play the request; the status of its answer."""
        return Deferred.fromCoroutine(self.player(agent or self.agent).play(again()))

    def test_the_answer_is_shown_as_it_comes(self) -> None:
        """Before its end, and a line tells the status."""
        self.backend.finishes = False
        played = self.play()
        self.agent.flush()
        self.assertEqual(self.screen.getvalue(), "data: 1\n\n")
        self.assertRegex(self.said[0], r"completions: 200, x-yallmp-backend spare\\x1b$")
        assert self.backend.asked is not None
        self.backend.asked.finish()
        self.agent.flush()
        self.assertEqual(self.successResultOf(played), 200)

    def test_what_the_backend_gets(self) -> None:
        """The body byte for byte, the headers of the log."""
        self.play()
        self.agent.flush()
        self.assertEqual(self.backend.body, BODY)
        assert self.backend.asked is not None
        headers = self.backend.asked.requestHeaders
        self.assertEqual(headers.getRawHeaders("content-type"), ["application/json"])

    def test_exit_status(self) -> None:
        """0 for an answer 2xx, 1 for any other and for none."""
        for status, wanted in ((200, 0), (201, 0), (302, 1), (404, 1), (503, 1)):
            self.backend.status = status
            code = Deferred.fromCoroutine(outcome(self.player(self.agent), again()))
            self.agent.flush()
            self.assertEqual(self.successResultOf(code), wanted)

    def test_nobody_there(self) -> None:
        """A refused connection is told in a line."""
        played = self.play(DeadAgent(ConnectError(string="no")))
        error = self.failureResultOf(played, NoAnswer).value
        self.assertRegex(str(error), "^no answer from http://127.0.0.1:8000/.*: .*no")

    def test_no_answer_in_time(self) -> None:
        """The timeout ends the wait for a head."""
        played = self.play(DeadAgent(None))
        self.clock.advance(5.1)
        self.assertEqual(str(self.failureResultOf(played, NoAnswer).value), "no answer within 5 s")

    def test_an_answer_that_stops(self) -> None:
        """The timeout ends a stalled body; what came was shown."""
        self.backend.finishes = False
        played = self.play()
        self.agent.flush()
        self.clock.advance(5.1)
        self.agent.flush()
        self.assertIn("stopped for 5 s", str(self.failureResultOf(played, NoAnswer).value))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_answer_that_is_cut(self) -> None:
        """It is not taken for a whole one."""
        self.backend.finishes = False
        played = self.play()
        self.agent.flush()
        assert self.backend.asked is not None
        self.backend.asked.transport.loseConnection()
        self.agent.flush()
        self.assertIn("cut short", str(self.failureResultOf(played, NoAnswer).value))

    def test_a_terminal(self) -> None:
        """Characters are joined across reads, control characters do not act, the line ends."""
        terminal = Terminal(self.screen)
        for read in (b"\xc3", b"\xa9\x1b[2J\xff", b"\xe2\x80"):
            terminal.show(read)
        terminal.end()
        self.assertEqual(self.screen.getvalue(), "é\\x1b[2J\\xff\\xe2\\x80\n")

    def test_a_file(self) -> None:
        """Everywhere else the bytes are left as they are."""
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw)
        shows = Verbatim(stream)
        shows.show(b"\xff\x1b\r\n")
        shows.end()
        self.assertEqual(raw.getvalue(), b"\xff\x1b\r\n")


class CommandTests(SynchronousTestCase):
    """The command line."""

    def run_main(self, *words: str) -> tuple[Any, str, str]:
        """Exit status, output and errors of ``yallmp replay``."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            stopped = self.assertRaises(SystemExit, main, list(words))
        return stopped.code, out.getvalue(), err.getvalue()

    def log(self, begin: Begin = BEGIN) -> str:
        """The path of a log."""
        path = Path(self.mktemp())
        path.write_bytes(b"".join(map(format_event, (begin, END))))
        return str(path)

    def parsed(self, *words: str) -> Options:
        """The options in *words*."""
        options = Options()
        options.parseOptions(words)
        return options

    def test_options_on_either_side(self) -> None:
        """They may stand before the log or behind it."""
        for words in (("--model", "x", "LOG"), ("LOG", "--model=x"), ("LOG", "--model", "x")):
            options = self.parsed(*words)
            self.assertEqual((options["log"], options["model"]), ("LOG", "x"))

    def test_choices(self) -> None:
        """An option beats the environment; an empty variable is none."""
        options = self.parsed("LOG", "--stream-mode", "off")
        wanted = Choices(stream=False, unasked=True)
        self.assertEqual(chosen(options, {"YALLMP_API_KEY": ""}), wanted)
        self.assertEqual(chosen(options, {"YALLMP_API_KEY": "e"}).api_key, "e")
        options = self.parsed("LOG", "--api-key", "o", "--base-url", "http://h")
        wanted = Choices(base_url="http://h", api_key="o")
        self.assertEqual(chosen(options, {"YALLMP_API_KEY": "e"}), wanted)

    def test_mistakes(self) -> None:
        """Each is told in a line or two, with status 2."""
        for words, message in (
            ((), "number of arguments"),
            (("a", "b"), "number of arguments"),
            (("a", "--wat"), "--wat not recognized"),
            (("a", "--timeout", "soon"), '"soon" is not a number of seconds'),
            (("a", "--timeout", "-1"), "is not a number of seconds"),
            (("a", "--stream-mode", "yes"), "none of auto, on, off"),
            (("a", "--base-url", "h:1"), "http:// or https://"),
            (("/no/such/log",), "/no/such/log: cannot be read: No such file"),
            ((__file__,), "not a request log"),
        ):
            code, _, err = self.run_main(*words)
            self.assertEqual(code, 2, words)
            self.assertIn(message, err)
            self.assertLessEqual(err.count("\n"), 2)

    def test_dry_run(self) -> None:
        """It shows what would be sent, the key hidden, and sends nothing."""
        code, out, _ = self.run_main(self.log(), "--dry-run", "--api-key", "sekret")
        self.assertEqual(code, 0)
        self.assertTrue(out.startswith("POST http://127.0.0.1:8000/v1/chat/completions\n"))
        self.assertIn("authorization: Bearer ****\n(body: 24 bytes)\n\n" + BODY.decode(), out)
        self.assertNotIn("sekret", out)

    def test_preview_is_harmless(self) -> None:
        """Control characters in headers and body are shown."""
        request = evolve(again(), headers=((b"x-a", b"\x1b\n"),), body=b"\x1b\xff")
        self.assertIn("x-a: \\x1b\\n\n", preview(request))
        self.assertTrue(preview(request).endswith("\\x1b\\xff"))

    def test_print_curl(self) -> None:
        """The command goes to the output, what is left out to the errors."""
        begin = evolve(BEGIN, headers=((b"x-bad", b"\xff"),))
        code, out, err = self.run_main("--print-curl", self.log(begin))
        self.assertEqual(code, 0)
        self.assertTrue(out.startswith("printf '%s' '{"))
        self.assertIn("command line cannot hold its value: x-bad", err)

    def test_help_and_version(self) -> None:
        """Both end well; help has an example."""
        for words, wanted in (
            (["--help"], "yallmp replay logs/requests/"),
            (["--version"], "yallmp "),
        ):
            code, out, _ = self.run_main(*words)
            self.assertFalse(code)
            self.assertIn(wanted, out)
