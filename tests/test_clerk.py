"""
The clerk: large bodies read in another process, whatever becomes of it, or of who asked.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from functools import partial
from operator import mul
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor  # noqa: TID251 - a process is started
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from yallmp.clerk import AT_ONCE, FOR_RECORDS, IDLE, LAST, PATIENCE, Clerk
from yallmp.clerk_child import exactly, serve
from yallmp.clerk_process import PIECE, Life, NotRead, Task
from yallmp.core.asked import CHAT
from yallmp.core.errors import InvalidJSON
from yallmp.core.understanding import Understand, Understood
from yallmp.core.work import SIZES, Answers, Undone, done, packed
from yallmp.interfaces import IClerk


def boom(body: bytes) -> None:
    """Work that fails with what is in the body."""
    raise ValueError(body)


class FrameTests(SynchronousTestCase):
    """What both processes say to each other."""

    @given(st.lists(st.binary(max_size=40)), st.data())
    def test_answers_come_whole_however_they_are_cut(self, values: list[bytes], data: Any) -> None:
        """Split anywhere."""
        stream = b"".join(done(packed(bytes.upper, b"")[SIZES.size :], value) for value in values)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
        answers, found = Answers(), []
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            found += list(answers.feed(stream[start:end]))
        self.assertEqual(found, [value.upper() for value in values])

    def test_the_process_does_what_comes_and_ends_with_its_input(self) -> None:
        """It says first that it is there; half a body is no work."""
        sent = packed(len, b"abc") + b"abc" + packed(boom, b"x") + b"x" + packed(len, b"ab") + b"a"
        said: list[bytes] = []
        serve(io.BytesIO(sent).read, said.append)
        self.assertEqual(list(Answers().feed(b"".join(said)))[1:], [3, Undone("ValueError")])

    def test_nothing_of_a_body_stands_in_an_error(self) -> None:
        """It would stand in the daemon's log."""
        (failed,) = Answers().feed(done(packed(boom, b"")[SIZES.size :], b"sk-secret"))
        self.assertEqual(failed, Undone("ValueError"))

    def test_exactly(self) -> None:
        """Reads may be short."""
        pieces = iter([b"a", b"bc", b"", b""])
        self.assertEqual(exactly(lambda size: next(pieces)[:size], 3), b"abc")
        with self.assertRaises(EOFError):
            exactly(lambda size: next(pieces), 1)


class UnderstandTests(SynchronousTestCase):
    """What comes back of a large body is small."""

    def test_a_long_name(self) -> None:
        """It would have to be read here once more; it is refused as any other of that length."""
        body = b'{"model": "%b", "messages": [1]}' % (b"m" * 1_000_000)
        understood = Understand(CHAT)(body)
        self.assertIn("longer than 200 characters", str(understood.fault))
        self.assertLess(len(pickle.dumps(understood)), 1000)


class Pretended:
    """A process whose input is taken by tests, and that says what they want."""

    def __init__(self, protocol: ProcessProtocol) -> None:
        self.protocol = protocol
        self.taken = b""
        self.closing = self.dead = False
        self.signals: list[str] = []
        self.producer: Any = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See IConsumer."""
        self.producer = producer
        producer.resumeProducing()

    def write(self, data: bytes) -> None:
        """Its input."""
        self.taken += data

    def drain(self) -> None:
        """It takes all that there is for it."""
        before = None
        while before != self.taken:
            before = self.taken
            self.producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        self.producer = None

    def closeStdin(self) -> None:  # noqa: N802
        """Its input ends as soon as nobody produces it any more."""
        self.closing = True

    @property
    def closed(self) -> bool:
        """Whether its input has ended: a producer keeps Twisted's pipe open."""
        return self.closing and self.producer is None

    def signalProcess(self, name: str) -> None:  # noqa: N802
        """It is sent a signal."""
        if self.dead:
            raise ProcessExitedAlready
        self.signals.append(name)

    def start(self) -> None:
        """It says that it is there."""
        self.protocol.outReceived(done(packed(len, b"")[SIZES.size :], b""))

    def work(self) -> None:
        """It does all that it was given."""
        self.drain()
        said: list[bytes] = []
        serve(io.BytesIO(self.taken).read, said.append)
        self.taken = b""
        for each in said[1:]:
            self.protocol.outReceived(each)

    def die(self, signal: int | None = 9) -> None:
        """It ends, by a signal or (``None``) properly."""
        self.dead = True
        reason = ProcessDone(0) if signal is None else ProcessTerminated(signal=signal)
        self.protocol.processEnded(Failure(reason))


class Reactor(Clock):
    """Starts pretended processes."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[Pretended] = []
        self.refuses = False

    def spawnProcess(  # noqa: N802
        self,
        protocol: ProcessProtocol,
        executable: str,
        args: Sequence[str],
        env: Mapping[str, str],
    ) -> Pretended:
        """See IReactorProcess."""
        if self.refuses:
            raise OSError(11, "no room")
        process = Pretended(protocol)
        self.processes.append(process)
        protocol.makeConnection(process)  # type: ignore[arg-type]
        return process


class ClerkTests(SynchronousTestCase):
    """One process after the other."""

    def setUp(self) -> None:
        """Make a clerk."""
        self.reactor = Reactor()
        self.clerk = Clerk(self.reactor)

    def process(self) -> Pretended:
        """The last process that was started."""
        return self.reactor.processes[-1]

    def test_the_contract(self) -> None:
        """Both are what is asked for."""
        verifyObject(IClerk, self.clerk)
        verifyObject(IClerk, AT_ONCE)
        self.assertEqual(self.successResultOf(AT_ONCE.ask(len, b"abc")), 3)

    def test_work_is_done_in_order_by_one_process(self) -> None:
        """It is started when there is work."""
        self.assertEqual(self.reactor.processes, [])
        answers = [self.clerk.ask(len, b"x" * n) for n in (PIECE + 1, 2, 3)]
        self.process().start()
        self.process().work()
        found = [self.successResultOf(answer) for answer in answers]
        self.assertEqual((found, len(self.reactor.processes)), ([PIECE + 1, 2, 3], 1))

    def test_what_is_short_waits_for_few(self) -> None:
        """Every other turn is the shortest's, the others are kept in order."""
        sizes = (1, 9000, 9001, 9002, 3, 2, 4)
        order: list[int] = []
        for size in sizes:
            self.clerk.ask(len, b"x" * size).addCallback(order.append)
        self.process().start()
        self.process().work()
        self.assertEqual(order, [1, 9000, 2, 9001, 3, 9002, 4])

    def test_a_body_goes_in_pieces(self) -> None:
        """At the pace at which it is taken."""
        self.clerk.ask(len, bytes(3 * PIECE))
        self.process().producer.resumeProducing()
        self.assertLess(len(self.process().taken), 2 * PIECE)

    def test_work_that_fails(self) -> None:
        """Whoever asked is told, and the process goes on."""
        failed, good = self.clerk.ask(boom, b"x"), self.clerk.ask(len, b"x")
        self.process().start()
        self.process().work()
        self.failureResultOf(failed, NotRead)
        self.assertEqual(self.successResultOf(good), 1)

    def test_nobody_waits_any_more(self) -> None:
        """Work that has not begun is not done, an answer that comes is thrown away."""
        begun, waiting = self.clerk.ask(len, bytes(2 * PIECE)), self.clerk.ask(boom, b"x")
        last = self.clerk.ask(len, b"abc")
        for each in (begun, waiting):
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.process().start()
        self.process().drain()
        self.assertNotIn(b"boom", self.process().taken)
        self.process().work()
        self.assertEqual(self.successResultOf(last), 3)

    def test_a_body_that_nobody_waits_for(self) -> None:
        """It is let go of at once, though there is other work before it."""
        task = Task(len, b"abc")
        begun = task.pieces()
        sent = next(begun)
        task.answer.cancel()
        self.failureResultOf(task.answer, CancelledError)
        self.assertEqual(task.body, b"")
        self.assertEqual([sent, *begun], [packed(len, b"abc"), b"abc"])  # whole, if it was begun

    def test_a_process_that_dies_is_followed_by_another(self) -> None:
        """What it had not answered is done there."""
        answers = [self.clerk.ask(len, b"x" * n) for n in (1, 2)]
        self.process().start()
        self.process().drain()
        self.process().die()
        self.process().start()
        self.process().work()
        self.assertEqual([self.successResultOf(answer) for answer in answers], [1, 2])
        self.assertEqual(len(self.reactor.processes), 2)

    def test_work_that_kills(self) -> None:
        """It fails after the second process; what stood behind it does not."""
        deadly, good = self.clerk.ask(boom, b"x"), self.clerk.ask(len, b"x")
        for _ in range(2):
            self.assertNoResult(deadly)
            self.process().start()
            self.process().drain()
            self.process().die()
        self.failureResultOf(deadly, NotRead)
        self.process().start()
        self.process().work()
        self.assertEqual(self.successResultOf(good), 1)

    def test_processes_that_do_not_even_start(self) -> None:
        """Then it is done here: a pause is better than a failure."""
        answer = self.clerk.ask(len, b"abc")
        for _ in range(2):
            self.process().drain()
            self.process().die(1)
        self.assertEqual(self.successResultOf(answer), 3)

    def test_no_process_can_be_started(self) -> None:
        """The same."""
        self.reactor.refuses = True
        self.assertEqual(self.successResultOf(self.clerk.ask(len, b"abc")), 3)
        self.failureResultOf(self.clerk.ask(boom, b"abc"), NotRead)

    def test_work_that_takes_too_long(self) -> None:
        """The process is killed; another would take as long."""
        answer = self.clerk.ask(len, b"abc")
        self.process().start()
        self.process().drain()
        self.reactor.advance(PATIENCE)
        self.assertEqual(self.process().signals, ["KILL"])
        self.process().die()
        self.failureResultOf(answer, NotRead)

    def test_work_that_takes_too_long_while_others_ask(self) -> None:
        """What comes meanwhile gives it no more time."""
        stuck = self.clerk.ask(len, b"abc")
        self.process().start()
        self.process().drain()
        for _ in range(4):
            self.reactor.advance(PATIENCE / 4)
            last = self.clerk.ask(len, b"x")
        self.assertEqual(self.process().signals, ["KILL"])
        self.process().die()
        self.failureResultOf(stuck, NotRead)
        self.process().start()
        self.process().work()
        self.assertEqual(self.successResultOf(last), 1)

    def test_without_work_it_is_dismissed(self) -> None:
        """After a minute; what comes before it is gone goes to another one."""
        self.successful(b"a")
        first = self.process()
        self.reactor.advance(IDLE)
        self.assertTrue(first.closed)
        answer = self.clerk.ask(len, b"abc")
        self.assertEqual(first.taken, b"")
        first.die(None)
        self.process().start()
        self.process().work()
        self.assertEqual(self.successResultOf(answer), 3)
        self.assertEqual(len(self.reactor.processes), 2)

    def successful(self, body: bytes) -> None:
        """Have a body read."""
        answer = self.clerk.ask(len, body)
        self.process().start()
        self.process().work()
        self.assertEqual(self.successResultOf(answer), len(body))

    def stopping(self) -> Deferred[None]:
        """Stop it."""
        self.clerk.startService()
        return self.clerk.stopService()

    def test_stopping_without_a_process(self) -> None:
        """There is nothing to wait for."""
        self.successResultOf(self.stopping())

    def test_stopping_waits_for_what_is_read(self) -> None:
        """Then the process is let go."""
        answer = self.clerk.ask(len, b"abc")
        self.process().start()
        self.process().drain()
        stopped = self.stopping()
        self.assertFalse(self.process().closed)
        self.process().work()
        self.assertEqual(self.successResultOf(answer), 3)
        self.assertTrue(self.process().closed)
        self.assertNoResult(stopped)
        self.process().die(None)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stopping_does_not_wait_for_ever(self) -> None:
        """A process that hangs is killed, and its work fails."""
        answer = self.clerk.ask(len, b"abc")
        self.process().start()
        self.process().drain()
        stopped = self.stopping()
        self.reactor.advance(LAST)
        self.assertEqual(self.process().signals, ["KILL"])
        self.process().die()
        self.failureResultOf(answer, NotRead)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stopping_leaves_time_for_the_records(self) -> None:
        """A process that hangs is killed before all of the time is over."""
        self.clerk = Clerk(self.reactor, lambda: 2.0)
        self.clerk.ask(len, b"abc").addErrback(lambda _: None)
        stopped = self.stopping()
        self.reactor.advance(2.0 - FOR_RECORDS)
        self.assertEqual(self.process().signals, ["KILL"])
        self.process().die()
        self.successResultOf(stopped)


class Watched(Clerk):
    """A clerk that tells how its processes ended."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.reasons: list[Failure] = []

    def ended(self, life: Life, reason: Failure) -> None:
        """See Owner."""
        self.reasons.append(reason)
        super().ended(life, reason)


class RealProcessTests(TestCase):
    """The process as it is."""

    async def test_a_large_request_is_understood(self) -> None:
        """Good ones and bad ones."""
        clerk = Clerk(reactor)
        self.addCleanup(clerk.stopService)
        body = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
        large = body[:-1] + b', "x": "' + b"y" * 2_000_000 + b'"}'
        for each in (body, large):
            understood: Understood = await clerk.ask(Understand(CHAT), each)
            asked = understood.of(each)
            self.assertEqual((understood.model, asked.model, asked.endpoint), ("m", "m", CHAT))
            self.assertIs(asked.endpoint, CHAT)
            self.assertEqual(asked.document.raw("model"), b'"m"')
        refused: Understood = await clerk.ask(Understand(CHAT), large[:-1])
        self.assertIsInstance(refused.fault, InvalidJSON)
        with self.assertRaises(InvalidJSON):
            refused.of(large)

    async def test_it_ends_by_itself(self) -> None:
        """A process that is dismissed ends with its input; nobody has to kill it."""
        clerk = Watched(reactor)
        clerk.startService()
        self.assertEqual(await clerk.ask(len, b"abc"), 3)
        await clerk.stopService()
        self.assertEqual([reason.type for reason in clerk.reasons], [ProcessDone])

    async def test_too_much_memory(self) -> None:
        """A body that would need it is refused, not read."""
        clerk = Clerk(reactor)
        self.addCleanup(clerk.stopService)
        with self.assertRaises(NotRead):
            await clerk.ask(partial(mul, 4 << 30), b"x")
        self.assertEqual(await clerk.ask(len, b"abc"), 3)
