"""
The proxy as a process: under load, at its end, and what it leaves on disk.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import openai
from twisted.trial.unittest import SkipTest

from tests.fakes import DONE
from tests.live_backend import FLOOD, TEXT, WORDS
from tests.live_proxy import (
    CLIENT_KEY,
    PATIENCE,
    ROOT,
    LiveCase,
    environment,
    eventually,
    replays,
    settled,
)
from tests.live_streams import Stream, Streams
from yallmp.core.exchange import Attempt, End, Read
from yallmp.core.record import Record, parse

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

CROWD = 1000
#: Descriptors that a process may need for it: two for each stream, and some.
DESCRIPTORS = 3 * CROWD
HELLO: Any = [{"role": "user", "content": "Hello."}]


def record(path: Path) -> Record:
    """The log at *path*."""
    return parse(path.read_bytes())


def end_of(log: Record) -> End:
    """How an exchange ended."""
    last = log.events[-1]
    assert isinstance(last, End), "the log is not whole"
    return last


class LoadTests(LiveCase):
    """Many streams, and slow clients."""

    def streams(self, count: int, model: str) -> Streams:
        """*count* streams, opened at once."""
        opened = [Stream.opened(self.proxy.port, model, self.tag) for _ in range(count)]
        streams = Streams(opened)
        self.addCleanup(streams.close)
        return streams

    def test_a_thousand_streams(self) -> None:
        """All are open at once, all end whole, and nothing of them stays."""
        self.allow_descriptors()
        proxy = self.own_proxy()
        before = settled(lambda: proxy.descriptors)
        streams = self.streams(CROWD, "gated")
        streams.follow(lambda: self.seen()["open"] == CROWD)
        self.assertGreaterEqual(proxy.descriptors, before + 2 * CROWD)
        self.backend.release(self.tag)
        streams.follow(streams.all_over)
        self.assertEqual([each.whole for each in streams.streams], [True] * CROWD)
        streams.close()
        eventually(lambda: proxy.descriptors <= before, "closed all that it opened")
        self.check_records()

    def allow_descriptors(self) -> None:
        """Allow this process, and those that it starts, as many as the crowd needs."""
        if not os.path.exists("/proc/self/fd"):
            raise SkipTest("only Linux tells how many descriptors a process has")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
            raise SkipTest(f"{DESCRIPTORS} descriptors are needed, {hard} allowed")
        if soft != resource.RLIM_INFINITY and soft < DESCRIPTORS:
            resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))

    def check_records(self) -> None:
        """Each of the crowd has its log."""
        eventually(lambda: len(self.proxy.files("requests/*.log")) == CROWD, "all records")
        outcomes = Counter(end_of(record(p)).outcome for p in self.proxy.files("requests/*.log"))
        self.assertEqual(outcomes, {"success": CROWD})

    def test_a_client_that_does_not_read(self) -> None:
        """It holds the backend back; when it reads again it gets everything."""
        streams = self.streams(1, "flood")
        (stream,) = streams.streams
        streams.send()
        eventually(lambda: self.seen()["sent"] > 0, "a flood that begins")
        held = settled(lambda: self.seen()["sent"])
        self.assertLess(held, FLOOD * 3 // 4)
        streams.follow(streams.all_over)
        self.assertTrue(stream.whole)
        self.assertGreater(len(stream.got), FLOOD)

    def test_a_client_that_never_reads_and_leaves(self) -> None:
        """A backend that is held back is let go with the client."""
        streams = self.streams(1, "flood")
        streams.send()
        eventually(lambda: self.seen()["sent"] > 0, "a flood that begins")
        settled(lambda: self.seen()["sent"])
        streams.close()
        eventually(self.left_alone, "free")


class EndTests(LiveCase):
    """The end of the process, wanted or not."""

    def stream(self, tag: str | None = None) -> Any:
        """A stream of which the first words are there and the rest waits."""
        stream = self.client().chat.completions.create(
            model="gated", messages=HELLO, stream=True, user=tag or self.tag
        )
        next(stream)
        return stream

    def text(self, stream: Any) -> str:
        """The rest of its words."""
        return "".join(each.choices[0].delta.content or "" for each in stream)

    def test_sigterm_lets_streams_finish(self) -> None:
        """No new connections, but what is under way ends well, and so does the process."""
        proxy = self.own_proxy()
        stream = self.stream()
        proxy.process.send_signal(signal.SIGTERM)
        eventually(self.refused, "closed to others")
        self.backend.release(self.tag)
        self.assertIn(self.text(stream), TEXT)
        self.assertEqual(proxy.process.wait(PATIENCE), 0)
        proxy.recorded()
        (log,) = proxy.files("requests/*.log")
        self.assertEqual(end_of(record(log)).outcome, "success")

    def refused(self) -> bool:
        """Whether the proxy takes no connection any more."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.proxy.port)) != 0

    def test_sigterm_tells_streams_that_do_not_finish(self) -> None:
        """After ``drain_timeout`` each gets an error event in place of its end."""
        proxy = self.own_proxy(drain_timeout=0.5)
        streams = [self.stream() for _ in range(5)]
        proxy.process.send_signal(signal.SIGTERM)
        for stream in streams:
            error = self.assertRaises(openai.APIError, self.text, stream)
            self.assertEqual(error.code, "proxy_shutdown")
        self.assertEqual(proxy.process.wait(PATIENCE), 0)
        proxy.recorded()
        outcomes = [end_of(record(log)).outcome for log in proxy.files("requests/*.log")]
        self.assertEqual(outcomes, ["shutdown"] * 5)
        eventually(self.left_alone, "free")

    def test_kill_loses_nothing_that_was_known(self) -> None:
        """Finished records are whole, those under way are there as far as they had come."""
        proxy = self.own_proxy()
        done = self.client().chat.completions.create(model="chat", messages=HELLO)
        self.assertEqual(done.choices[0].message.content, TEXT)
        stream = self.stream()
        eventually(self.first_words_are_recorded, "a record of what came")
        proxy.end(signal.SIGKILL)
        self.assertRaises(openai.APIConnectionError, self.text, stream)
        eventually(self.left_alone, "free")
        (log,) = proxy.files("requests/*.log")
        self.assertTrue(record(log).complete)
        (part,) = proxy.files("requests/*.part")
        self.assertFalse(record(part).complete)
        self.assertIn(self.tag, replays(part))

    def first_words_are_recorded(self) -> bool:
        """Whether the record that is open holds what the backend has sent so far."""
        parts = self.proxy.files("requests/*.part")
        return any(WORDS[1].encode() in part.read_bytes() for part in parts)


class RecordTests(LiveCase):
    """What is on disk after all kinds of requests."""

    def ask(self, key: str = CLIENT_KEY, model: str = "chat", **fields: Any) -> Any:
        """A small chat request; an error is as good as an answer."""
        try:
            return self.client(key).chat.completions.create(
                model=model, messages=HELLO, user=self.tag, **fields
            )
        except openai.APIError:
            return None

    def all_kinds(self) -> None:
        """One request for each kind of outcome, a failover, and one of another endpoint."""
        self.ask()
        list(self.ask(stream=True))
        self.ask(model="rescued")
        self.ask(key="sk-none-of-ours-4711")
        self.ask(model="no/such/../model")
        self.ask(model="dead")
        self.assertRaises(openai.APIError, list, self.ask(model="ends-early", stream=True))
        self.ask(model="gated", stream=True).close()
        self.client().embeddings.create(model="chat", input=["a"], user=self.tag)
        self.client().models.list()

    def outcomes(self) -> Counter[str]:
        """How many records there are of each outcome."""
        self.proxy.recorded()
        return Counter(end_of(record(p)).outcome for p in self.proxy.files("requests/*.log"))

    def test_every_request_has_its_record(self) -> None:
        """One each, whole, which ``replay`` reads; errors beside them; no secret anywhere."""
        proxy = self.own_proxy()
        self.all_kinds()
        expected = {"success": 4, "rejected": 2, "upstream_error": 1, "incomplete": 1,
                    "client_gone": 1}  # fmt: skip
        eventually(lambda: self.outcomes() == expected, f"{expected}, but {self.outcomes()}")
        self.assertEqual(proxy.end(), 0)
        for log in proxy.files("requests/*.log"):
            self.assertIn(self.tag, replays(log), log.name)
        self.check_errors()
        self.check_modes()

    def check_errors(self) -> None:
        """What failed is told beside the record that has the same name."""
        failed = [
            log.stem
            for log in self.proxy.files("requests/*.log")
            if any(isinstance(e, Attempt) for e in record(log).events)
            and end_of(record(log)).outcome in ("upstream_error", "incomplete")
        ]
        told = {error.stem for error in self.proxy.files("errors/*.err")}
        self.assertLessEqual(set(failed), told)
        self.assertTrue(any("rescued" in name for name in told))

    def check_modes(self) -> None:
        """Only the owner may read it."""
        for path in self.proxy.files("**/*"):
            expected = 0o700 if path.is_dir() else 0o600
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), expected, path.name)

    def test_a_stream_is_recorded_to_its_last_byte(self) -> None:
        """All that the backend sent is there, what came with its end included."""
        proxy = self.own_proxy()
        list(self.ask(stream=True))
        eventually(lambda: self.outcomes() == {"success": 1}, "a record")
        (log,) = proxy.files("requests/*.log")
        reads = b"".join(e.data for e in record(log).events if isinstance(e, Read))
        self.assertTrue(reads.endswith(DONE), reads)
        self.assertEqual(len(reads), self.seen()["sent"])

    def test_a_record_is_sent_again(self) -> None:
        """``yallmp replay`` asks the proxy that wrote it, and prints the stream."""
        proxy = self.own_proxy()
        list(self.ask(stream=True))
        eventually(lambda: self.outcomes() == {"success": 1}, "a record")
        (log,) = proxy.files("requests/*.log")
        command = [sys.executable, "-m", "yallmp", "replay", str(log)]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**environment(), "YALLMP_API_KEY": CLIENT_KEY},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.endswith("data: [DONE]\n\n"), done.stdout)
        self.assertEqual(self.seen()["requests"], 2)
