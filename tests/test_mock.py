"""Backends that are answered inside the process, seen by a client."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone

from tests.fakes import Got, ProxyCase, error
from tests.network import BUFFER
from yallmp.core.backend import Backend
from yallmp.core.exchange import AttemptEnd, End, Head
from yallmp.mock import PACE, MockResponse
from yallmp.wire import Wire

TEXT = "Hello there, world"


MOCK = Backend("mock", "m", mock_response=TEXT)


class MockCase(ProxyCase):
    """A proxy with one mock, unless the test starts another."""

    def ask(self, *args: Any, **kwargs: Any) -> Got:
        """Ask, and start the proxy if nobody has."""
        if self.parts is None:
            self.serve(MOCK)
        return super().ask(*args, **kwargs)

    def the_end(self) -> Any:
        """The one end that was told."""
        (end,) = self.events_told(End)
        return end


class WholeTests(MockCase):
    """Answers that are not streamed."""

    def test_chat(self) -> None:
        """A completion as OpenAI's API has it, at once."""
        got = self.ask()
        self.assertEqual((got.status, self.net.seconds()), (200, 0.0))
        answer = got.json
        message = {"role": "assistant", "content": TEXT}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self.assertEqual((answer["object"], answer["model"]), ("chat.completion", "m"))
        self.assertEqual((answer["choices"], answer["created"]), ([choice], 1_800_000_000))
        self.assertEqual(answer["usage"]["completion_tokens"], 3)
        self.assertEqual(self.the_end().outcome, "success")

    def test_completions(self) -> None:
        """The older endpoint's shape."""
        answer = self.ask({"model": "m", "prompt": "hi"}, "/v1/completions").json
        self.assertEqual(answer["object"], "text_completion")
        self.assertEqual(answer["choices"][0]["text"], TEXT)

    def test_several_choices_are_asked_for(self) -> None:
        """A mock has one answer, and says it once."""
        for stream in (False, True):
            got = self.finish(self.ask(n=2, stream=stream))
            self.assertEqual((got.status, got.clean), (200, True))
        self.assertEqual([end.outcome for end in self.events_told(End)], ["success"] * 2)

    def test_long_numbers(self) -> None:
        """A request with a number of thousands of digits is answered like any other."""
        body = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "seed": %b}'
        self.assertEqual(self.ask(body % (b"1" * 5000)).status, 200)

    def test_the_model_is_the_one_that_was_sent(self) -> None:
        """As a real backend does, also where a pattern serves many names."""
        self.serve(Backend("any", "mock/*", mock_response=TEXT))
        self.assertEqual(self.ask(model="mock/small").json["model"], "small")

    def test_a_file_for_another_gateway(self) -> None:
        """A mock that also has an ``api_base``, as in a LiteLLM file, is a mock."""
        self.serve(Backend("b", "m", api_base="https://10.9.9.9/v1", mock_response=TEXT))
        self.assertEqual(self.ask().json["choices"][0]["message"]["content"], TEXT)
        self.assertEqual(self.net.connections, 1)  # the client's own

    def test_an_endpoint_that_it_cannot_answer(self) -> None:
        """404, said in OpenAI's shape: it is this backend that does not know."""
        got = self.ask({"model": "m", "input": "x"}, "/v1/embeddings")
        self.assertEqual(got.status, 404)
        self.assertIn("chat completions", got.json["error"]["message"])

    def test_what_a_mock_cannot_answer_another_may(self) -> None:
        """A fallback is asked, as for a real backend that does not know the path."""
        real = self.fake("real", error(500))
        self.serve(MOCK, real, fallbacks=[("m", ("real",))])
        self.finish(self.ask({"model": "m", "input": "x"}, "/v1/embeddings"))
        self.assertTrue(self.fakes["real"].requests)

    def test_it_can_be_the_fallback(self) -> None:
        """A dead backend first: what the shipped configuration shows to a newcomer."""
        dead = self.backend("dead", "http://10.8.8.8/v1", model_name="m")
        mock = Backend("mock", "mock", mock_response=TEXT)
        self.serve(dead, mock, fallbacks=[("m", ("mock",))])
        got = self.finish(self.ask())
        self.assertEqual((got.status, got.header("x-yallmp-backend")), (200, "mock"))
        self.assertEqual(got.header("x-yallmp-route"), "dead:unreachable,dead:unreachable,mock:200")


class StreamTests(MockCase):
    """Answers that are streamed."""

    def test_word_by_word(self) -> None:
        """Each at its time, as a stream that one can see."""
        got = self.finish(self.ask(stream=True))
        self.assertEqual((got.text, got.clean), (TEXT, True))
        self.assertEqual(got.events[-1], "[DONE]")
        self.assertEqual(got.events[0]["choices"][0]["delta"]["role"], "assistant")
        self.assertEqual(got.events[-2]["choices"][0]["finish_reason"], "stop")
        self.assertTrue(all(event["model"] == "m" for event in got.events[:-1]))
        times = [at for at, data in got.parts if b"content" in data]
        self.assertEqual(len(set(times)), 3)
        self.assertEqual(self.the_end().finish_reason, "stop")

    def test_completions(self) -> None:
        """The older endpoint's events."""
        body = {"model": "m", "prompt": "hi", "stream": True}
        got = self.finish(self.ask(body, "/v1/completions"))
        texts = [choice["text"] for event in got.events[:-1] for choice in event["choices"]]
        self.assertEqual("".join(texts), TEXT)

    def test_usage_where_it_is_asked_for(self) -> None:
        """In an event of its own, after the last choice."""
        got = self.finish(self.ask(stream=True, stream_options={"include_usage": True}))
        self.assertEqual(got.events[-2]["choices"], [])
        self.assertEqual(got.events[-2]["usage"]["completion_tokens"], 3)
        self.assertEqual(self.the_end().usage.completion, 3)

    def test_no_usage_where_it_is_not(self) -> None:
        """Also with options that say nothing of it."""
        got = self.finish(self.ask(stream=True, stream_options=None))
        self.assertNotIn(b'"usage"', got.body)

    def test_it_has_no_connection(self) -> None:
        """The record says neither that one was made nor that one was used again."""
        self.finish(self.ask(stream=True))
        (head,) = self.events_told(Head)
        self.assertEqual((head.reused, head.connected), (False, None))

    def test_a_client_that_leaves_in_the_middle(self) -> None:
        """The stream stops, and no timer is left of it."""
        got = self.ask(stream=True)
        self.net.pass_time(PACE, step=PACE / 2)
        got.leave()
        self.net.pump()
        self.assertEqual(self.the_end().outcome, "client_gone")
        (attempt,) = self.events_told(AttemptEnd)
        self.assertEqual(attempt.error, "cancelled")

    def test_a_shutdown_in_the_middle(self) -> None:
        """The stream ends with the event that says so."""
        got = self.ask(stream=True)
        self.net.pass_time(PACE, step=PACE / 2)
        assert self.parts is not None
        self.parts.forwarding.shut_down()
        self.finish(got)
        self.assertEqual(got.events[-1]["error"]["code"], "proxy_shutdown")
        self.assertEqual(self.the_end().outcome, "shutdown")

    def test_a_client_that_does_not_read_makes_it_wait(self) -> None:
        """No more is made than the connection holds; the rest comes when it reads."""
        words = "x" * 8000 + " "
        self.serve(Backend("mock", "m", mock_response=words * 40))
        got = self.ask(stream=True, reading=False)
        self.net.pass_time(5)
        (end,) = [e for e in self.net.ends if e.host.port == 8000]
        self.assertLess(end.written, 3 * BUFFER)
        got.transport.resumeProducing()
        self.finish(got)
        self.assertEqual(got.text, words * 40)


class Reader(Protocol):
    """Takes a body, and does something at each read."""

    def __init__(self, act: Any = lambda transport: None) -> None:
        self.got: list[bytes] = []
        self.ends: list[Any] = []
        self.act = act

    def dataReceived(self, data: bytes) -> None:
        self.got.append(data)
        self.act(self.transport)

    def connectionLost(self, reason: Any = None) -> None:
        self.ends.append(reason.type)


class DeliveryTests(SynchronousTestCase):
    """A mock's body as a producer."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.wire = Wire(self.clock, 5.0)

    def deliver(self, reader: Reader) -> Reader:
        """Start to deliver three parts to *reader*."""
        MockResponse(self.wire, 200, "text/plain", [b"a", b"b", b"c"]).deliverBody(reader)
        return reader

    def pass_time(self, seconds: float = 1.0) -> None:
        """Let time pass in small steps."""
        self.clock.pump([PACE / 4] * int(seconds * 4 / PACE))

    def test_it_ends_once(self) -> None:
        """Whole, and then nothing more."""
        reader = self.deliver(Reader())
        self.pass_time()
        self.assertEqual((reader.got, reader.ends), ([b"a", b"b", b"c"], [ResponseDone]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_resumed_though_never_paused(self) -> None:
        """Asking for more in the middle of a read neither doubles the rest nor the end."""
        reader = self.deliver(Reader(lambda transport: transport.resumeProducing()))
        self.pass_time()
        self.assertEqual((reader.got, reader.ends), ([b"a", b"b", b"c"], [ResponseDone]))

    def test_resumed_after_the_end(self) -> None:
        """Nothing comes any more."""
        reader = self.deliver(Reader())
        self.pass_time()
        reader.transport.resumeProducing()
        self.pass_time()
        self.assertEqual(len(reader.ends), 1)

    def test_paused_and_resumed(self) -> None:
        """While it is paused nothing comes and no timer runs."""
        reader = self.deliver(Reader(lambda transport: transport.pauseProducing()))
        self.pass_time()
        self.assertEqual((reader.got, self.clock.getDelayedCalls()), ([b"a"], []))
        for _ in range(3):
            reader.transport.resumeProducing()
            self.pass_time()
        self.assertEqual((reader.got, reader.ends), ([b"a", b"b", b"c"], [ResponseDone]))

    def test_cut(self) -> None:
        """The end comes at once, is not a clean one, and comes once."""
        reader = self.deliver(Reader())
        self.clock.advance(0)
        self.wire.cut()
        self.wire.cut()
        reader.transport.resumeProducing()
        self.pass_time()
        self.assertEqual((reader.got, len(reader.ends)), ([b"a"], 1))
        self.assertIsNot(reader.ends[0], ResponseDone)
        self.assertEqual(self.clock.getDelayedCalls(), [])
