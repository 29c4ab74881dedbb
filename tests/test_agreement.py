"""All workers make all changes, in one order; what becomes of those who ask and those who die."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.test_changes import changes, fresh, register
from tests.workforce import PretendedWorker, WorkersReactor
from yallmp.agreement import PATIENCE, Agreement
from yallmp.core.backend import Backend
from yallmp.core.changes import Change, Made, Reload, Remove
from yallmp.core.errors import BadConfiguration, Conflict, NotFound, Overloaded
from yallmp.core.registry import Registry
from yallmp.core.settings import Config
from yallmp.persistence import Persistence
from yallmp.siblings import PATIENCE as LONG_PATIENCE
from yallmp.siblings import PATIENCE_OF_READING
from yallmp.systemd import Herald

STEPS = ["ask", "ask", "reload", "receive", "deliver", "die", "time"]
reloads = st.lists(st.sampled_from("abcz"), unique=True).map(
    lambda names: configuration(*names) if names else BadConfiguration(("empty",))
)


class Full(Persistence):
    """A disk that is full."""

    def save(self) -> None:
        """Nothing can be kept."""
        raise OSError(28, "No space left on device")


class AgreementCase(SynchronousTestCase):
    """Three workers and what holds them together."""

    def setUp(self) -> None:
        self.prepare(fresh())

    def prepare(self, registry: Registry, kind: type[Persistence] = Persistence) -> None:
        """Three workers, which serve."""
        self.reactor = WorkersReactor()
        self.registry = registry
        self.read: list[Reload | BadConfiguration] = []
        self.agreement = Agreement(self.reactor, kind(registry), self.rereading)
        self.reactor.employ(self.agreement, 3)

    def ask(self, worker: PretendedWorker, change: Change) -> Deferred[Made]:
        """A client of *worker* wants a change."""
        assert worker.siblings is not None
        return Deferred.fromCoroutine(worker.siblings.make(change))

    async def rereading(self) -> Reload:
        """The next of what a test has written."""
        result = self.read.pop(0)
        if isinstance(result, BadConfiguration):
            raise result
        return result

    def reload(self, worker: PretendedWorker, result: Reload | BadConfiguration) -> Deferred[Made]:
        """A client of *worker* wants what the file says now."""
        assert worker.siblings is not None
        self.read.append(result)
        return Deferred.fromCoroutine(worker.siblings.reload())

    def served(self) -> list[Any]:
        """What each of the living serves."""
        return [worker.registry.catalog for worker in self.reactor.up]


class StartTests(AgreementCase):
    """Workers begin."""

    def test_each_is_told_to_go_when_it_is_ready(self) -> None:
        """Once; and each has its number and all that is served."""
        self.assertEqual([w.told for w in self.reactor.up], [["go"]] * 3)
        orders = [w.order for w in self.reactor.up if w.order]
        shares = [(order.share.number, order.share.count) for order in orders]
        self.assertEqual(shares, [(1, 3), (2, 3), (3, 3)])
        self.assertEqual(self.served(), [self.registry.catalog] * 3)

    def test_the_supervisor_is_gone(self) -> None:
        """A worker ends when nobody holds the other end of its pipe."""
        worker = self.reactor.up[0]
        assert worker.siblings is not None
        worker.siblings.connectionLost()
        self.assertEqual(worker.told, ["go", "drain"])

    def test_one_that_starts_later(self) -> None:
        """It begins with what was registered and removed meanwhile, before it serves."""
        self.ask(self.reactor.up[0], register("c", fallbacks=["a"]))
        self.reactor.pump()
        self.reactor.up[2].die()
        self.reactor.advance(1.0)
        late = self.reactor.up[2]
        late.receive()
        self.ask(self.reactor.up[0], register("d"))
        self.reactor.pump()
        self.assertEqual(late.told, ["go"])
        self.assertEqual(self.served(), [self.registry.catalog] * 3)
        self.assertEqual(late.registry.registrations, self.registry.registrations)


class ChangeTests(AgreementCase):
    """Changes."""

    def test_one_for_all(self) -> None:
        """It is made everywhere when its client is answered."""
        one, two, three = self.reactor.up
        answer = self.ask(one, register("c", fallbacks=["a"]))
        one.deliver()
        for worker in (one, two):
            worker.receive()
            worker.deliver()
        self.assertNoResult(answer)
        three.receive()
        three.deliver()
        self.assertNoResult(answer)
        one.receive()
        made = self.successResultOf(answer)
        assert made.registered is not None
        self.assertEqual((made.registered.model, made.unkept, made.behind), ("c", None, 0))
        self.assertEqual(self.served(), [self.registry.catalog] * 3)

    def test_refusals(self) -> None:
        """What cannot be made is refused by all, and its client is told why."""
        one, two, _ = self.reactor.up
        self.ask(one, register("c", fallbacks=["a"]))
        self.reactor.pump()
        for change, kind in ((Remove("nobody"), NotFound), (Remove("a"), Conflict)):
            answer = self.ask(two, change)
            self.reactor.pump()
            self.failureResultOf(answer, kind)
        self.assertEqual(self.served(), [self.registry.catalog] * 3)

    def test_two_at_once(self) -> None:
        """Both are made in the order of the supervisor, also where they were asked for."""
        one, two, _ = self.reactor.up
        first = self.ask(one, register("c", api_key="k1"))
        second = self.ask(two, register("c", api_key="k2"))
        two.deliver()
        self.reactor.pump()
        replaced = [self.successResultOf(each).registered.replaced for each in (first, second)]
        self.assertEqual(replaced, [True, False])
        self.assertEqual(self.registry.catalog.group("c")[0].api_key, "k1")
        self.assertEqual(self.served(), [self.registry.catalog] * 3)

    def test_one_that_does_not_answer(self) -> None:
        """Its client waits a second, and is told that one is behind."""
        one, two, three = self.reactor.up
        answer = self.ask(one, register("c"))
        one.deliver()
        for worker in (one, two):
            worker.receive()
            worker.deliver()
        self.reactor.advance(PATIENCE - 0.1)
        self.assertEqual(one.to, b"")
        self.reactor.advance(0.1)
        one.receive()
        self.assertEqual(self.successResultOf(answer).behind, 1)
        three.receive()
        three.deliver()
        self.assertEqual(self.served(), [self.registry.catalog] * 3)

    def test_one_that_dies_meanwhile(self) -> None:
        """Nobody waits for it."""
        one, two, three = self.reactor.up
        answer = self.ask(one, Remove("a"))
        one.deliver()
        for worker in (one, two):
            worker.receive()
            worker.deliver()
        three.die()
        one.receive()
        self.assertEqual(self.successResultOf(answer), Made(None))

    def test_the_one_that_asked_dies(self) -> None:
        """The change is made all the same, by its successor too, which nobody answers."""
        one = self.reactor.up[0]
        self.ask(one, register("c"))
        one.deliver()
        one.die()
        self.reactor.pump()
        self.reactor.advance(1.0)
        self.reactor.pump()
        self.assertEqual(self.served(), [self.registry.catalog] * 3)
        self.assertEqual(len(self.registry.registrations), 1)

    def test_a_supervisor_that_does_not_answer(self) -> None:
        """Its client is not left waiting for ever."""
        answer = self.ask(self.reactor.up[0], register("c"))
        self.reactor.advance(LONG_PATIENCE)
        self.failureResultOf(answer, Overloaded)
        self.reactor.pump()
        self.assertEqual(self.served(), [self.registry.catalog] * 3)

    def test_a_client_that_leaves(self) -> None:
        """Its change is made, and nobody is told."""
        answer = self.ask(self.reactor.up[0], register("c"))
        answer.cancel()
        self.failureResultOf(answer)
        self.reactor.pump()
        self.assertEqual(self.served(), [self.registry.catalog] * 3)

    @given(st.data())
    def test_whatever_happens(self, data: st.DataObject) -> None:
        """
        Changes here and there, pipes that are slow, workers that die: in the end all serve
        the same, and whoever asked and lives has an answer.
        """
        self.prepare(fresh())
        answers: list[tuple[PretendedWorker, Deferred[Made]]] = []
        for _ in range(data.draw(st.integers(1, 20))):
            worker = data.draw(st.sampled_from(self.reactor.up))
            step = data.draw(st.sampled_from(STEPS))
            if step == "ask" and worker.siblings is not None:
                answer = self.ask(worker, data.draw(changes))
                answers.append((worker, answer.addErrback(lambda failure: None)))
            elif step == "reload" and worker.siblings is not None:
                answer = self.reload(worker, data.draw(reloads))
                answers.append((worker, answer.addErrback(lambda failure: None)))
            elif step == "receive" and worker.to:
                worker.receive(data.draw(st.integers(1, 400)))
            elif step == "deliver":
                worker.deliver(data.draw(st.integers(1, 400)))
            elif step == "die" and len(self.reactor.up) > 1:
                worker.die()
            elif step == "time":
                self.reactor.advance(0.5)
        self.reactor.advance(32.0)
        self.reactor.pump()
        self.assertEqual(self.served(), [self.registry.catalog] * 3)
        for worker, answer in answers:
            self.assertTrue(worker.is_dead or answer.called)


def configuration(*models: str) -> Reload:
    """A file with these models."""
    return Reload(Config(tuple(Backend(name, name, mock_response="hi") for name in models)))


class ReloadTests(AgreementCase):
    """The configuration is read once, for all."""

    def test_one_for_all(self) -> None:
        """A client of one is answered when all serve it, and learns what has changed."""
        one, two, three = self.reactor.up
        answer = self.reload(one, configuration("b", "z"))
        one.deliver()
        for worker in (one, two):
            worker.receive()
            worker.deliver()
        one.receive()
        self.assertNoResult(answer)
        three.receive()
        three.deliver()
        one.receive()
        made = self.successResultOf(answer)
        self.assertEqual((made.differences.added, made.behind), (("b", "z"), 0))
        self.assertEqual(self.served(), [self.registry.catalog] * 3)

    def test_registered_models_stay(self) -> None:
        """In their place among the changes of others."""
        self.ask(self.reactor.up[1], register("c"))
        self.reload(self.reactor.up[0], configuration("a"))
        self.reactor.pump()
        self.ask(self.reactor.up[2], register("d"))
        self.reactor.pump()
        names = [backend.name for backend in self.registry.catalog.config.backends]
        self.assertEqual(names, ["a", "c", "d"])
        self.assertEqual(self.served(), [self.registry.catalog] * 3)

    def test_of_the_supervisors_own_accord(self) -> None:
        """SIGHUP: nobody is answered, and one that does not confirm holds nobody up."""
        self.read.append(configuration("a"))
        made = self.agreement.reload()
        for worker in self.reactor.up[:2]:
            worker.receive()
            worker.deliver()
        self.assertNoResult(made)
        self.reactor.advance(PATIENCE)
        self.assertEqual(self.successResultOf(made).behind, 1)
        self.reactor.pump()
        self.assertEqual(self.served(), [self.registry.catalog] * 3)

    def test_systemd_is_told(self) -> None:
        """When it begins, and when it is over, whatever comes of it."""
        told: list[str] = []
        self.agreement.herald = Herald(self.reactor, told.append, now=lambda: 7000)
        for result in (configuration("a"), BadConfiguration(("x",))):
            self.reload(self.reactor.up[0], result).addErrback(lambda _: None)
            self.reactor.pump()
            self.assertEqual(told, ["RELOADING=1\nMONOTONIC_USEC=7", "READY=1"])
            told.clear()

    def test_a_bad_one(self) -> None:
        """Whoever asked is told all that is wrong; nobody changes anything."""
        before = self.served()
        answer = self.reload(self.reactor.up[2], BadConfiguration(("x", "y"), 409))
        self.reactor.pump()
        error = self.failureResultOf(answer, BadConfiguration).value
        self.assertEqual((error.problems, error.status), (("x", "y"), 409))
        self.assertEqual(self.served(), before)

    def test_the_one_that_asked_dies(self) -> None:
        """Its successor, which has asked for something else, is not answered for it."""
        one = self.reactor.up[0]
        reading: Deferred[Reload] = Deferred()
        self.agreement.rereading = lambda: reading
        self.reload(one, configuration("a"))
        self.reactor.pump()
        one.die()
        self.reactor.advance(1.0)
        self.reactor.pump()
        late = self.reactor.workers[-1]
        self.agreement.rereading = self.rereading
        answer = self.ask(late, register("c"))
        reading.callback(configuration("b"))
        late.receive()
        self.assertNoResult(answer)
        self.reactor.pump()
        self.assertEqual(self.successResultOf(answer).registered.model, "c")
        self.assertEqual(self.served(), [self.registry.catalog] * 3)

    def test_one_that_starts_later(self) -> None:
        """It begins with the newest, and knows the secrets from before."""
        self.reload(self.reactor.up[0], configuration("z"))
        self.reactor.pump()
        self.reactor.up[1].die()
        self.reactor.advance(1.0)
        self.reactor.pump()
        late = self.reactor.workers[-1].registry
        self.assertEqual(late.catalog.config, self.registry.catalog.config)
        self.assertEqual(late.secrets(), self.registry.secrets())

    def test_a_bug(self) -> None:
        """It is logged, and whoever asked does not wait for ever."""
        answer = Deferred.fromCoroutine(self.reactor.up[0].siblings.reload())
        self.reactor.pump()
        self.assertEqual(len(self.flushLoggedErrors(IndexError)), 1)
        self.reactor.advance(PATIENCE_OF_READING)
        self.failureResultOf(answer, Overloaded)


class KeepingTests(AgreementCase):
    """``admin.persist`` with several workers."""

    def test_one_writes(self) -> None:
        """What was asked for here and there is all in the file."""
        path = Path(self.mktemp())
        registry = Registry(Config(fresh().catalog.config.backends, persist=str(path)))
        self.prepare(registry)
        self.ask(self.reactor.up[0], register("c"))
        self.ask(self.reactor.up[1], register("d"))
        self.reactor.pump()
        models = json.loads(path.read_text())["models"]
        self.assertEqual([each["source"]["model_name"] for each in models], ["c", "d"])

    def test_a_full_disk(self) -> None:
        """The change is in force everywhere, and the client learns that it will not last."""
        self.prepare(fresh(), Full)
        answer = self.ask(self.reactor.up[1], register("c"))
        self.reactor.pump()
        self.assertEqual(self.successResultOf(answer).unkept, "No space left on device")
        self.assertEqual(self.served(), [self.registry.catalog] * 3)
