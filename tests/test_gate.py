"""
What of a stream goes on, and what it comes to: the same wherever reads split it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from openai._streaming import SSEDecoder
from twisted.trial.unittest import SynchronousTestCase

from yallmp.api_types.openai_streams import ChoiceStream, ResponseStream
from yallmp.core.gate import HELD_MAX, Gate, Release
from yallmp.core.inspector import Inspector
from yallmp.core.problems import Problem, Reason, answer_problem
from yallmp.core.sse import Parser, bearable


def data(value: Any, name: str = "") -> bytes:
    """An event; *value* is JSON unless it is bytes."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + text + b"\n\n"


def chunk(delta: Any = None, reason: Any = None, index: int = 0, **extra: Any) -> bytes:
    """An event of a chat stream."""
    choice = {"index": index, "delta": delta or {}, "finish_reason": reason}
    return data({"id": "c", "choices": [choice], **extra})


def said(text: str, index: int = 0) -> bytes:
    """An event with content."""
    return chunk({"content": text}, index=index)


DONE = data(b"[DONE]")
STOP = chunk(reason="stop")
USAGE = data({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
ROLE = chunk({"role": "assistant", "content": "", "refusal": None})

#: Nothing in them is an answer yet, and clients bear them.
EMPTY = {
    "a comment": b": ping\n\n",
    "a role": ROLE,
    "an empty delta": chunk({}),
    "an empty finish_reason": chunk({}, ""),
    "empty fields": chunk({"content": "", "tool_calls": [], "function_call": {}, "x": None}),
    "no choices": data({"choices": []}),
    "no usage": data({"choices": [], "usage": None}),
    "what Azure says of the prompt": data({"choices": [], "prompt_filter_results": [{"a": 1}]}),
    "error: null": chunk({"role": "assistant"}, error=None),
    "a ping": data({"type": "ping"}, "ping"),
    "a ping without a name": data({"type": "ping"}),
    "an empty text": data({"choices": [{"index": 0, "text": "", "finish_reason": None}]}),
    "a message of a role": data({"choices": [{"delta": {}, "message": {"role": "assistant"}}]}),
}
CONTENT = {
    "content": said("a"),
    "a blank": said(" "),
    "reasoning": chunk({"reasoning_content": "hm"}),
    "a refusal": chunk({"refusal": "no"}),
    "a tool call": chunk({"tool_calls": [{"index": 0, "function": {"arguments": ""}}]}),
    "a function call": chunk({"function_call": {"name": "f"}}),
    "text": data({"choices": [{"index": 0, "text": "a"}]}),
    "a finish_reason": STOP,
    "usage": USAGE,
    "a kind that nobody knows": data({"x": 1}),
    "a delta of another kind": data({"choices": [{"delta": "a"}]}),
    "a choice of another kind": data({"choices": ["a"]}),
    "choices of another kind": data({"choices": {"0": "a"}}),
    "a message": data({"choices": [{"delta": {}, "message": {"content": "a"}}]}),
}
ERRORS = {
    "at the top": data({"error": {"message": "m", "code": 503}}),
    "a text": data({"error": "m"}),
    "empty": data({"error": {}}),
    "beside choices": chunk({"content": "a"}, error={"message": "m"}),
    "in a choice": data({"choices": [{"index": 0, "delta": {"content": "a"}, "error": {}}]}),
    "as finish_reason": chunk({"content": "a"}, "error"),
    "as status": data({"status": "failed"}),
    "of a response": data({"response": {"status": "failed", "error": {"message": "m"}}}),
    "as type": data({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}),
    "as object": data({"object": "error", "message": "m", "code": 400}),
    "as event": data({"message": "m"}, "error"),
    "as event with text": data(b"Internal Server Error", "error"),
    "as event with a number": data(b"500", "error"),
    "as event without data": b"event: error\n\n",
}
MALFORMED = {
    "no JSON": data(b"not json"),
    "empty": b"data:\n\n",
    "half an object": data(b'{"id": "x"'),
    "a number": data(b"1"),
    "null": data(b"null"),
    "a list": data(b"[]"),
    "bytes": data(b"\xff\xfe\xfd"),
    "too deep": data(b"[" * 100_000),
    "a number without end": data(b"1" * 5000),
}
TELLING = {
    "delta": data(b'{"choices": [{"delta": {"con'),
    "content": data(b'{"message": {"content": "a'),
    "arguments": data(b'{"arguments": "{'),
    "text": data(b'{"choices": [{"text": "a'),
}
#: What openai-python takes for a broken event; nothing of it is sent.
UNBEARABLE = {
    "a name alone": b"event: foo\n\n",
    "a pause alone": b"retry: 3000\n\n",
    "an id alone": b"id: 7\n\n",
    "junk": b"junk\n\n",
}


@frozen
class Course:
    """What a stream led to: the bytes for the client, ``verdict``, and what was dropped."""

    sent: bytes
    verdict: str
    dropped: int
    committed: bool


def problem_of(error: Any) -> Problem:
    """The problem that a backend's error object is."""
    return answer_problem(error, (), 0.0, 2.0)


def gate(inspector: Inspector | None = None, max_event_bytes: int = 1 << 20) -> Gate:
    """A gate for a chat stream."""
    return Gate(inspector or ChoiceStream(), max_event_bytes, problem_of)


def verdict(releases: Iterable[Release]) -> str:
    """``done``, the reason of a problem, or ``open``; there is at most one end."""
    ends = [
        r.problem.reason.value if r.problem else "done" for r in releases if r.problem or r.done
    ]
    assert len(ends) <= 1, ends
    return ends[0] if ends else "open"


def course(*parts: bytes, inspector: Inspector | None = None, ended: bool = True) -> Course:
    """Feed *parts*, and the body's end."""
    it = gate(inspector)
    releases = [it.feed(part) for part in parts]
    releases += [it.end()] if ended else []
    sent = b"".join(release.data for release in releases)
    return Course(sent, verdict(releases), sum(r.dropped for r in releases), it.committed)


class HoldingTests(SynchronousTestCase):
    """Before the commit."""

    def test_what_has_no_content_is_held(self) -> None:
        """Each of a closed list; a sign of life all the same."""
        for name, event in EMPTY.items():
            it = gate()
            release = it.feed(event)
            self.assertEqual(
                (release.data, it.committed, release.content), (b"", False, False), name
            )
            self.assertTrue(release.alive, name)

    def test_the_first_content_commits(self) -> None:
        """Whatever is not on the list, at once, and what was held leads."""
        for name, event in CONTENT.items():
            it = gate()
            it.feed(ROLE + b": held\n\n")
            release = it.feed(event)
            self.assertEqual(release.data, ROLE + b": held\n\n" + event, name)
            self.assertEqual((it.committed, release.content), (True, True), name)

    def test_much_of_nothing_commits(self) -> None:
        """64 KiB of it, however it came."""
        it = gate()
        comment = b": %s\n\n" % (b"x" * 1020)
        events = HELD_MAX // len(comment)
        self.assertEqual(b"".join(it.feed(comment).data for _ in range(events)), b"")
        release = it.feed(comment)
        self.assertEqual(release.data, comment * (events + 1))
        self.assertTrue(it.committed)

    def test_errors_before_the_commit(self) -> None:
        """In every disguise: nothing is sent, and the attempt failed."""
        for name, event in ERRORS.items():
            found = course(ROLE, event + said("b"), DONE)
            self.assertEqual((found.sent, found.committed), (b"", False), name)
            self.assertNotIn(found.verdict, ("done", "open", "invalid_response"), name)

    def test_an_error_is_what_its_code_says(self) -> None:
        """Its problem is made as for an error answer."""
        self.assertEqual(course(ERRORS["at the top"]).verdict, "server_error")
        self.assertEqual(course(ERRORS["as object"]).verdict, "at_fault")
        self.assertEqual(course(ERRORS["a text"]).verdict, "error_in_answer")

    def test_an_event_error_keeps_its_text(self) -> None:
        """What an error event says is not lost because it is not JSON."""
        release = gate().feed(ERRORS["as event with text"])
        assert release.problem is not None
        self.assertEqual(release.problem.message, "Internal Server Error")

    def test_harmless_lines_never_commit(self) -> None:
        """They are dropped and counted, and holding goes on."""
        for name, event in MALFORMED.items():
            found = course(ROLE, event, ended=False)
            self.assertEqual(found, Course(b"", "open", 1, False), name)
            found = course(ROLE, event, said("a"), STOP, DONE)
            self.assertEqual(found, Course(ROLE + said("a") + STOP + DONE, "done", 1, True), name)

    def test_lines_that_may_have_had_content_fail_the_attempt(self) -> None:
        """Nothing is lost yet: the next backend is asked."""
        for name, event in TELLING.items():
            found = course(ROLE, event, said("a"))
            self.assertEqual(found, Course(b"", "invalid_response", 1, False), name)

    def test_ends_without_content(self) -> None:
        """An empty stream, one of comments, one of [DONE] alone are no answers."""
        for parts in ((), (b"",), (ROLE,), (DONE,), (ROLE, DONE), (b": a\n\n", b"data: [DO")):
            found = course(*parts)
            self.assertEqual((found.sent, found.verdict), (b"", "invalid_response"), parts)


class CommittedTests(SynchronousTestCase):
    """After the commit."""

    def test_events_go_on_whole(self) -> None:
        """What a read completes goes on at once, the rest waits for its end."""
        it = gate()
        it.feed(said("a"))
        second = said("b")
        release = it.feed(said("c") + second[:9])
        self.assertEqual(release.data, said("c"))
        self.assertEqual(it.feed(second[9:]).data, second)

    def test_what_has_no_content_goes_on(self) -> None:
        """Comments, pings and empty deltas are the client's too."""
        for name, event in EMPTY.items():
            found = course(said("a"), event, ended=False)
            self.assertEqual(found.sent, said("a") + event, name)

    def test_errors_break_the_stream(self) -> None:
        """What was whole before has gone on, the error itself and what follows do not."""
        for name, event in ERRORS.items():
            found = course(said("a"), said("b") + event + STOP + DONE)
            self.assertEqual(found.sent, said("a") + said("b"), name)
            self.assertNotIn(found.verdict, ("done", "open"), name)

    def test_harmless_lines_are_dropped(self) -> None:
        """Also among others of one read."""
        for name, event in MALFORMED.items():
            found = course(said("a") + event + said("b"), STOP + DONE)
            self.assertEqual(found.sent, said("a") + said("b") + STOP + DONE, name)
            self.assertEqual((found.verdict, found.dropped), ("done", 1), name)

    def test_lines_that_may_have_had_content_break_it(self) -> None:
        """A hole in an answer never looks like none."""
        for name, event in TELLING.items():
            found = course(said("a"), event, STOP, DONE)
            self.assertEqual(found.sent, said("a"), name)
            self.assertEqual(found.verdict, "invalid_response", name)

    def test_no_line_is_harmless_in_a_tool_call(self) -> None:
        """Until its choice has ended, of whatever other choices."""
        call = CONTENT["a tool call"]
        for event in MALFORMED.values():
            self.assertEqual(course(call, event, STOP, DONE).verdict, "invalid_response")
        other = chunk({"content": "b"}, "stop", index=1)
        found = course(call, other, MALFORMED["no JSON"], inspector=ChoiceStream(2))
        self.assertEqual(found.verdict, "invalid_response")
        late = course(call, chunk(reason="tool_calls"), MALFORMED["no JSON"], DONE)
        self.assertEqual((late.verdict, late.dropped), ("done", 1))

    def test_unbearable_events_are_not_sent(self) -> None:
        """Nor are ids and byte order marks; the rest of their event is."""
        for name, event in UNBEARABLE.items():
            found = course(said("a"), event, said("b"), ended=False)
            self.assertEqual(found.sent, said("a") + said("b"), name)
        found = course(b"\xef\xbb\xbf" + said("a"), b"id: 1\n" + said("b"), ended=False)
        self.assertEqual(found.sent, said("a") + said("b"))
        found = course(STOP, b"id: 2\n" + DONE)
        self.assertEqual(found.sent, STOP + DONE)
        self.assertEqual(course(b": c\nretry: 1\n\n", said("a"), ended=False).sent,
                         b": c\n\n" + said("a"))  # fmt: skip


class EndTests(SynchronousTestCase):
    """When an answer is whole."""

    def test_done(self) -> None:
        """[DONE] after every choice's finish_reason; nothing after it passes."""
        found = course(said("a"), STOP + DONE + said("late") + ERRORS["a text"], said("later"))
        self.assertEqual(found, Course(said("a") + STOP + DONE, "done", 0, True))

    def test_done_too_early(self) -> None:
        """Without a finish_reason it ends nothing; the client does not see it."""
        found = course(said("a"), DONE)
        self.assertEqual((found.sent, found.verdict), (said("a"), "incomplete"))

    def test_an_empty_finish_reason_is_none(self) -> None:
        """Some backends send it with every chunk."""
        found = course(chunk({"content": "a"}, ""), DONE)
        self.assertEqual(found.verdict, "incomplete")

    def test_the_end_of_the_body_is_enough(self) -> None:
        """A missing [DONE] is added when every choice has its finish_reason."""
        found = course(said("a"), STOP, USAGE)
        self.assertEqual((found.sent, found.verdict), (said("a") + STOP + USAGE + DONE, "done"))

    def test_early_ends(self) -> None:
        """Anything less is broken, and gets no [DONE]."""
        it = gate()
        it.feed(said("a"))
        release = it.end()
        assert release.problem is not None
        self.assertEqual(release.data, b"")
        self.assertEqual(release.problem.reason, Reason.INCOMPLETE)
        self.assertEqual(release.problem.code, "upstream_incomplete")

    def test_a_last_event_without_its_empty_line(self) -> None:
        """It counts, and gets what it lacks."""
        found = course(said("a"), STOP, DONE[:-2])
        self.assertEqual((found.sent, found.verdict), (said("a") + STOP + DONE, "done"))
        found = course(said("a"), STOP[:-2])
        self.assertEqual((found.sent, found.verdict), (said("a") + STOP + DONE, "done"))

    def test_usage_after_the_finish_reason(self) -> None:
        """It passes, and is told."""
        inspector = ChoiceStream()
        found = course(said("a"), STOP, USAGE, DONE, inspector=inspector)
        self.assertEqual(found.sent, said("a") + STOP + USAGE + DONE)
        assert inspector.usage is not None
        self.assertEqual((inspector.usage.prompt, inspector.finish_reason), (1, "stop"))

    def test_several_choices(self) -> None:
        """The first finish_reason ends nothing while another choice goes on."""
        first, second = said("a", 0), said("b", 1)
        ends = [chunk(reason="stop", index=0), chunk(reason="length", index=1)]
        self.assertEqual(course(first, second, ends[0], DONE).verdict, "incomplete")
        for parts in ((first, second, *ends), (first, ends[0], second, ends[1])):
            found = course(*parts, inspector=ChoiceStream(2))
            self.assertEqual((found.sent, found.verdict), (b"".join(parts) + DONE, "done"))

    def test_fewer_choices_than_asked_for(self) -> None:
        """The backend's own [DONE] says that there are no more; the body's end does not."""
        parts = (said("a"), STOP)
        self.assertEqual(course(*parts, DONE, inspector=ChoiceStream(2)).verdict, "done")
        self.assertEqual(course(*parts, inspector=ChoiceStream(2)).verdict, "incomplete")

    def test_completed_for_a_silent_backend(self) -> None:
        """Where [DONE] does not come in time, it is ours; once."""
        it = gate()
        it.feed(said("a") + STOP)
        self.assertTrue(it.inspector.expects_no_more)
        self.assertEqual((it.complete().data, it.over), (DONE, True))
        for release in (it.complete(), it.feed(DONE), it.end()):
            self.assertEqual(release, Release())

    def test_an_event_over_the_limit(self) -> None:
        """It cannot be followed, before and after the commit; what is over stays over."""
        for before in (b"", said("a")):
            it = gate(max_event_bytes=200)
            it.feed(before)
            release = it.feed(b"data: " + b"x" * 300)
            assert release.problem is not None
            self.assertEqual(release.problem.reason, Reason.INVALID)
        it = gate(max_event_bytes=200)
        it.feed(said("a") + STOP + DONE)
        self.assertEqual(it.feed(b"x" * 300), Release())


def response(kind: str, **extra: Any) -> bytes:
    """An event of the Responses API."""
    return data({"type": f"response.{kind}", **extra}, f"response.{kind}")


CREATED = response("created", response={"id": "r", "status": "in_progress", "error": None})
SAYS = response("output_text.delta", delta="a")
COMPLETED = response("completed", response={
    "id": "r", "status": "completed", "error": None,
    "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}})  # fmt: skip
CALL = response("output_item.added", item={"type": "function_call", "name": "f"})


class ResponsesTests(SynchronousTestCase):
    """The Responses API's own beginning, content and ends."""

    def run_through(self, *parts: bytes) -> Course:
        """Feed *parts*, and the body's end."""
        return course(*parts, inspector=ResponseStream())

    def test_beginnings_are_held(self) -> None:
        """created, in_progress, queued and pings."""
        parts = [CREATED, response("in_progress"), response("queued"), data({"type": "ping"})]
        it = gate(ResponseStream())
        self.assertEqual(b"".join(it.feed(part).data for part in parts), b"")
        self.assertEqual(it.feed(SAYS).data, b"".join(parts) + SAYS)

    def test_ends(self) -> None:
        """completed and incomplete; the rest is not waited for."""
        inspector = ResponseStream()
        found = course(CREATED, SAYS, COMPLETED, DONE, inspector=inspector)
        self.assertEqual(found, Course(CREATED + SAYS + COMPLETED, "done", 0, True))
        assert inspector.usage is not None
        self.assertEqual((inspector.usage.total, inspector.finish_reason), (7, "completed"))
        incomplete = response("incomplete", response={"status": "incomplete"})
        self.assertEqual(self.run_through(SAYS, incomplete).verdict, "done")

    def test_failures(self) -> None:
        """failed and error, before and after the commit."""
        failed = response("failed", response={"status": "failed", "error": {
            "code": "server_error", "message": "m"}})  # fmt: skip
        error = data({"type": "error", "code": "rate_limit_exceeded", "message": "m"}, "error")
        self.assertEqual(self.run_through(CREATED, failed), Course(b"", "server_error", 0, False))
        self.assertEqual(self.run_through(CREATED, error).verdict, "rate_limit")
        found = self.run_through(SAYS, failed)
        self.assertEqual((found.sent, found.verdict), (SAYS, "server_error"))

    def test_early_ends(self) -> None:
        """[DONE] or the end of the body alone are none."""
        self.assertEqual(self.run_through(CREATED, SAYS).verdict, "incomplete")
        self.assertEqual(self.run_through(CREATED, SAYS, DONE).verdict, "incomplete")
        self.assertEqual(self.run_through(CREATED).verdict, "invalid_response")

    def test_malformed(self) -> None:
        """Harmless ones are dropped, save within a tool call."""
        junk = MALFORMED["no JSON"]
        self.assertEqual(self.run_through(SAYS, junk, COMPLETED).verdict, "done")
        self.assertEqual(self.run_through(SAYS, TELLING["delta"]).verdict, "invalid_response")
        self.assertEqual(self.run_through(CALL, junk, COMPLETED).verdict, "invalid_response")
        arguments = response("function_call_arguments.delta", delta="{")
        self.assertEqual(self.run_through(arguments, junk).verdict, "invalid_response")
        called = response("output_item.done", item={"type": "function_call"})
        self.assertEqual(self.run_through(CALL, called, junk, COMPLETED).verdict, "done")

    def test_strange_types(self) -> None:
        """A type that is no text is unknown, and so content."""
        strange: list[Any] = [[], {}, 7, None]
        for kind in strange:
            self.assertEqual(course(data({"type": kind}), ended=False,
                                    inspector=ResponseStream()).committed, True)  # fmt: skip


POOL = [*EMPTY.values(), *CONTENT.values(), *ERRORS.values(), *UNBEARABLE.values(),
        *TELLING.values(), DONE, USAGE, STOP, said("é€"), b"id: 4\n" + said("b"),
        *(event for event in MALFORMED.values() if len(event) < 100)]  # fmt: skip
STREAMS = st.lists(st.sampled_from(POOL), max_size=6).map(b"".join)
BEARABLE = st.lists(st.sampled_from([*EMPTY.values(), *CONTENT.values()]), max_size=8)


def facts(stream: bytes) -> list[tuple[bytes | None, bytes]]:
    """What the events of *stream* say."""
    parser = Parser(1 << 20)
    events = parser.feed(stream) + parser.close()
    return [(event.data, event.name) for event in events if event.data is not None]


class SplitTests(SynchronousTestCase):
    """Reads may split a stream anywhere."""

    @settings(max_examples=40)
    @given(STREAMS)
    def test_split_anywhere(self, stream: bytes) -> None:
        """Every stream split at every byte gives the same bytes and the same verdict."""
        whole = course(stream)
        for at in range(1, len(stream)):
            self.assertEqual(course(stream[:at], stream[at:]), whole)
        self.assertEqual(course(*(bytes([byte]) for byte in stream)), whole)

    @settings(max_examples=40)
    @given(STREAMS, st.sampled_from([b"\r\n", b"\r"]))
    def test_other_line_ends(self, stream: bytes, end: bytes) -> None:
        """So do streams with CRLF and CR, but for a line end that says nothing."""
        expected = course(stream)
        lines = stream.replace(b"\n", end)
        for parts in ([lines], [bytes([byte]) for byte in lines]):
            found = course(*parts)
            self.assertEqual(facts(found.sent), facts(expected.sent))
            self.assertEqual((found.verdict, found.dropped), (expected.verdict, expected.dropped))

    @given(BEARABLE, st.booleans(), st.integers(1, 50))
    def test_a_good_stream_is_not_touched(
        self, events: list[bytes], formal: bool, size: int
    ) -> None:
        """The joined bytes are exactly the backend's, and the formal end where it is missing."""
        stream = b"".join([*events, said("x"), STOP, USAGE, DONE if formal else b""])
        parts = [stream[at : at + size] for at in range(0, len(stream), size)]
        found = course(*parts)
        self.assertEqual(found.sent, stream if formal else stream + DONE)
        self.assertEqual(found.verdict, "done")

    @settings(max_examples=50)
    @given(st.lists(st.sampled_from([*EMPTY.values(), *UNBEARABLE.values()]), max_size=8),
           st.integers(1, 40))  # fmt: skip
    def test_nothing_before_the_first_content(self, events: list[bytes], size: int) -> None:
        """However long it takes and however it comes."""
        stream = b"".join(events)
        parts = [stream[at : at + size] for at in range(0, len(stream), size)]
        self.assertEqual(course(*parts).sent, b"")

    @given(st.lists(st.binary(max_size=12), max_size=8))
    def test_any_bytes(self, parts: list[bytes]) -> None:
        """Whatever comes, there is one verdict and no exception."""
        self.assertNotEqual(course(*parts).verdict, "open")

    @settings(max_examples=50)
    @given(STREAMS, st.sampled_from([b"\n", b"\r\n", b"\r"]))
    def test_openai_python_bears_it(self, stream: bytes, end: bytes) -> None:
        """Its decoder sees only JSON and [DONE], also with keep-alive comments in between."""
        sent = course(stream.replace(b"\n", end)).sent + b": keep-alive\n\n"
        for event in SSEDecoder().iter_bytes(iter([sent])):
            if not event.data.startswith("[DONE]"):
                event.json()


class BearableTests(SynchronousTestCase):
    """What is taken off an event."""

    def test_by_line(self) -> None:
        """Ids and lone fields go, the rest keeps its bytes, its line ends too."""
        for raw, expected in (
            (b"data: 1\r\n\r\n", b"data: 1\r\n\r\n"),
            (b"id: 1\r\ndata: 1\r\n\r\n", b"data: 1\r\n\r\n"),
            (b"data: 1\rid\r\r", b"data: 1\r\r"),
            (b"data: 1\nidea: 2\n\n", b"data: 1\nidea: 2\n\n"),
            (b"event: x\ndata: 1\n\n", b"event: x\ndata: 1\n\n"),
            (b"\ndata: 1\n\n", b"\ndata: 1\n\n"),
            (b"\nevent: x\r\n\r\n", b"\n"),
            (b": a\nid: 1\n: b\n\n", b": a\n: b\n\n"),
            (b"\xef\xbb\xbfdata: 1\n\n", b"data: 1\n\n"),
        ):
            (event,) = Parser(100).feed(raw)
            self.assertEqual(bearable(event), expected, raw)


class CrowdTests(SynchronousTestCase):
    """A stream of nothing but tiny events holds up all others: it is broken."""

    def gate(self) -> Gate:
        """A gate."""
        return Gate(ChoiceStream(), 1 << 20, lambda error: answer_problem(error, (), 0, 0))

    def test_more_than_any_answer_has(self) -> None:
        """Before the commit, and after it."""
        for before in (b"", said("a")):
            gate = self.gate()
            gate.feed(before)
            release = gate.feed(b":\n\n" * 20_000)
            assert release.problem is not None
            self.assertIs(release.problem.reason, Reason.INVALID)

    def test_a_long_answer_at_once(self) -> None:
        """Many events that are no crowd pass, usual or not."""
        gate = self.gate()
        calls = chunk({"tool_calls": [{"index": 0, "function": {"arguments": "x"}}]}) * 20_000
        release = gate.feed(calls + STOP + DONE)
        self.assertTrue(release.done)
        self.assertEqual(release.data, calls + STOP + DONE)
