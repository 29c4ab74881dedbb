"""
Requests whose bodies are read elsewhere: what becomes of them meanwhile.
"""

from __future__ import annotations

import json
import pickle
from typing import Any

from zope.interface.verify import verifyObject

from tests.fakes import DONE, Got, ProxyCase, answer, chunk, completion, stream
from tests.slow_clerk import SlowClerk
from yallmp.clerk_process import NotRead
from yallmp.core.access import Access
from yallmp.core.exchange import Begin, End, Usage
from yallmp.core.settings import Key, Router
from yallmp.core.work import LARGE
from yallmp.interfaces import IClerk


def body(size: int = LARGE + 1, **fields: Any) -> bytes:
    """A chat request of that many bytes."""
    value = {"model": "m", "messages": [{"role": "user", "content": ""}], **fields}
    text = json.dumps(value)
    return text.replace('"content": ""', f'"content": "{"x" * (size - len(text))}"').encode()


class ReadElsewhereTests(ProxyCase):
    """A large body is read by somebody else."""

    def setUp(self) -> None:
        """Have a clerk that waits."""
        super().setUp()
        self.clerk = SlowClerk()

    def test_the_fake_is_a_clerk(self) -> None:
        """The tests speak to what the contract describes."""
        verifyObject(IClerk, self.clerk)

    def test_at_the_limit(self) -> None:
        """A body that is not larger is read at once; one byte more, and it is read elsewhere."""
        self.serve(self.fake("m"))
        self.assertEqual(self.finish(self.ask(body(LARGE))).status, 200)
        got = self.ask(body(LARGE + 1))
        self.assertFalse(got.over)
        self.clerk.work()
        self.assertEqual(self.finish(got).status, 200)

    def test_it_is_sent_as_any_other(self) -> None:
        """With the changes that it needs."""
        self.serve(self.fake("m", answer(completion())))
        got = self.ask(body())
        self.clerk.work()
        self.assertEqual((self.finish(got).status, got.json), (200, completion()))
        (request,) = self.fakes["m"].requests
        self.assertEqual(request[-1], body().replace(b'"model": "m"', b'"model": "up"'))
        (begin,) = self.events_told(Begin)
        self.assertEqual((begin.model, begin.body), ("m", body()))

    def test_what_is_wrong_is_told(self) -> None:
        """In the same words, and recorded in the same way."""
        self.serve(self.fake("m"))
        for wrong, status, model in (
            (body()[:-1], 400, None),
            (body(model="x"), 404, "x"),
            (body(stream="x"), 400, "m"),
            (body(model="y" * LARGE), 400, "y" * 200),
        ):
            self.told.clear()
            got = self.ask(wrong)
            self.clerk.work()
            self.assertEqual(self.finish(got).status, status)
            (begin,), (end,) = self.events_told(Begin), self.events_told(End)
            self.assertEqual((begin.model, begin.body, begin.recorded), (model, wrong, True))
            self.assertEqual((end.status, end.outcome), (status, "rejected"))
        self.assertEqual(self.fakes["m"].requests, [])

    def test_nobody_who_may_not_come_in_has_a_body_read(self) -> None:
        """That is found out before."""
        self.serve(self.fake("m"), access=Access(keys=(Key("alice", "sk-of-alice-123456"),)))
        self.assertEqual(self.finish(self.ask(body())).status, 401)
        self.assertEqual(self.clerk.tasks, [])

    def test_a_client_that_leaves(self) -> None:
        """Nobody waits for its body any more; its end is told, and nothing is sent."""
        self.serve(self.fake("m"))
        got = self.ask(body())
        got.leave()
        self.net.pump()
        (end,) = self.events_told(End)
        self.assertEqual((end.status, end.outcome), (499, "client_gone"))
        self.assertEqual(len(self.events_told(Begin)), 1)
        assert self.parts is not None
        self.successResultOf(self.parts.forwarding.idle())
        self.assertEqual(self.fakes["m"].requests, [])

    def test_a_stop_waits_for_it(self) -> None:
        """A body that is read is a request that is under way."""
        self.serve(self.fake("m"))
        got = self.ask(body())
        assert self.parts is not None
        idle = self.parts.forwarding.idle()
        self.assertNoResult(idle)
        self.clerk.work()
        self.assertNoResult(idle)
        self.assertEqual(self.finish(got).status, 200)
        self.successResultOf(idle)

    def test_a_stop_that_does_not_wait(self) -> None:
        """The client is told why it has no answer."""
        self.serve(self.fake("m"))
        got = self.ask(body())
        assert self.parts is not None
        self.parts.forwarding.shut_down()
        self.assertEqual(self.finish(got).status, 503)
        self.assertEqual(got.json["error"]["code"], "proxy_shutdown")
        self.successResultOf(self.parts.forwarding.idle())

    def test_nobody_gets_to_read_it(self) -> None:
        """The wait is bounded as everything is that comes before an answer."""
        self.serve(self.fake("m"), router=Router(deadline=5.0))
        got = self.ask(body())
        self.net.advance(4.9)
        self.assertEqual(got.status, 0)
        self.net.advance(0.2)
        self.assertEqual(self.finish(got).status, 503)
        self.assertEqual(got.json["error"]["code"], "proxy_overloaded")
        (end,) = self.events_told(End)
        self.assertEqual((end.status, end.outcome), (503, "rejected"))

    def test_a_body_that_could_not_be_read(self) -> None:
        """The client is told so, and the log why."""
        self.serve(self.fake("m"))
        got = self.ask(body())
        self.clerk.tasks[0][2].errback(NotRead("it burns"))
        self.assertEqual(self.finish(got).status, 413)
        (begin,) = self.events_told(Begin)
        self.assertEqual(begin.body, body())


class LargeAnswerTests(ProxyCase):
    """A large answer is looked at by somebody else before it goes on."""

    def setUp(self) -> None:
        """Have a clerk that waits."""
        super().setUp()
        self.clerk = SlowClerk()

    def answered(self, *script: Any, **fields: Any) -> Got:
        """Ask a backend that answers so, and let the clerk work."""
        self.serve(self.fake("m", *script))
        got = self.ask(**fields)
        self.assertFalse(got.over)
        pickle.loads(pickle.dumps(self.clerk.tasks[0][0]))
        self.clerk.work()
        return self.finish(got)

    def test_a_good_one(self) -> None:
        """It goes on as it is."""
        value = completion("x" * LARGE)
        got = self.answered(answer(value))
        self.assertEqual((got.status, got.json), (200, value))
        (end,) = self.events_told(End)
        self.assertEqual((end.finish_reason, end.usage), ("stop", Usage(1, 2, 3)))

    def test_one_byte_less(self) -> None:
        """It is looked at at once."""
        value = completion()
        room = LARGE - len(json.dumps(value)) + len("hello")
        self.serve(self.fake("m", answer(completion("x" * room))))
        self.assertEqual(self.finish(self.ask()).status, 200)

    def test_one_that_is_none(self) -> None:
        """The next backend is asked, as for a small one."""
        for wrong in (b"x" * LARGE * 2, json.dumps({"error": "x" * LARGE * 2}).encode()):
            self.tearDown()
            self.setUp()
            a = self.fake("a", answer(wrong))
            self.serve(a, self.fake("b", answer(completion())), fallbacks=[("a", ("b",))])
            got = self.ask(model="a")
            self.clerk.work()
            self.assertEqual((self.finish(got).status, got.json), (200, completion()))

    def test_a_stream_that_was_not_asked_for(self) -> None:
        """One answer is made of it."""
        got = self.answered(stream((chunk("x" * LARGE), chunk(finish="stop"), DONE)))
        self.assertEqual(got.json["choices"][0]["message"]["content"], "x" * LARGE)

    def test_one_answer_where_a_stream_was_asked_for(self) -> None:
        """A stream is made of it."""
        got = self.answered(answer(completion("x" * LARGE)), stream=True)
        self.assertTrue(got.body.endswith(DONE))
        self.assertIn(b"x" * LARGE, got.body)

    def test_a_client_that_leaves(self) -> None:
        """Nothing is waited for any more."""
        self.serve(self.fake("m", answer(completion("x" * LARGE))))
        got = self.ask()
        got.leave()
        self.net.pump()
        (end,) = self.events_told(End)
        self.assertEqual(end.outcome, "client_gone")

    def test_how_long_that_takes(self) -> None:
        """It is not the backend's time, which has answered; the deadline ends it all the same."""
        a = self.fake("a", answer(completion("x" * LARGE)), request_timeout=5.0)
        self.serve(a, self.fake("b", answer(completion())), fallbacks=[("a", ("b",))])
        got, late = self.ask(model="a"), self.ask(model="a")
        self.net.pass_time(60.0)
        stuck = self.clerk.tasks.pop()
        self.clerk.work()
        self.assertEqual(self.finish(got).header("x-yallmp-backend"), "a")
        self.net.pass_time(600.0)
        self.assertEqual(self.finish(late).json["error"]["code"], "deadline_exceeded")
        self.assertTrue(stuck[2].called)

    def test_it_could_not_be_looked_at(self) -> None:
        """It is no answer."""
        self.serve(self.fake("m", answer(completion("x" * LARGE))))
        got = self.ask()
        self.clerk.tasks[0][2].errback(NotRead("it burns"))
        self.assertEqual(self.finish(got).status, 502)

    def test_an_error_that_is_too_long(self) -> None:
        """Its status counts, and the beginning of its words; it does not go on."""
        value = {"error": {"message": "bad " + "x" * LARGE, "code": "c"}}
        self.serve(self.fake("m", answer(value, 400)))
        got = self.finish(self.ask())
        self.assertEqual((got.status, got.json["error"]["code"]), (400, "upstream_error"))
        self.assertLess(len(got.body), 1000)
