"""What a supervisor and its workers tell each other, written down and read again."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.backend import Backend
from yallmp.core.changes import Change, Register, Reload, Remove
from yallmp.core.control import (
    Alive,
    Ask,
    Confirm,
    Decoder,
    Drain,
    Go,
    Here,
    Hurry,
    Inquire,
    Knock,
    Measure,
    Message,
    Order,
    Ordered,
    Refused,
    Reread,
    Settled,
    Tell,
    Total,
    decoded,
    encoded,
    size_of,
)
from yallmp.core.differences import Differences
from yallmp.core.registration import parse_registration
from yallmp.core.settings import Access, Config, Key
from yallmp.core.shares import Share

SECRET = "backend-key-0123456789"
numbers = st.integers(0, 2**40)
models = st.dictionaries(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists))
names = st.lists(st.text()).map(tuple)
told = st.builds(Differences, names, names, names, names, names, names, names)
reloads = st.builds(
    Reload, st.builds(Config, drain_timeout=st.floats(0, 9), persist=st.none() | st.text())
)
changes: st.SearchStrategy[Change] = st.builds(Register, models) | st.builds(Remove, st.text())
messages: st.SearchStrategy[Message] = st.one_of(
    st.just(Here()),
    st.just(Go()),
    st.just(Drain()),
    st.just(Hurry()),
    st.just(Knock()),
    st.just(Alive()),
    st.builds(Ask, numbers, changes),
    st.builds(Confirm, numbers),
    st.builds(Reread, numbers),
    st.builds(Inquire, numbers),
    st.builds(Measure, numbers),
    st.builds(Tell, numbers, st.dictionaries(st.text(), st.lists(st.floats(0, 9)))),
    st.builds(Total, numbers, st.dictionaries(st.text(), st.lists(st.integers()))),
    st.builds(Ordered, numbers, changes | reloads, st.none() | numbers),
    st.builds(Settled, numbers, st.none() | st.text(), numbers, told),
    st.builds(Refused, numbers, names, numbers),
)


class MessageTests(SynchronousTestCase):
    """Lines in a pipe."""

    @given(st.lists(messages, max_size=5), st.lists(st.integers(0, 400), max_size=5))
    def test_cut_anywhere(self, said: list[Message], cuts: list[int]) -> None:
        """What is said is what is heard, wherever the pipe cuts it."""
        data = b"".join(map(encoded, said))
        places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
        decoder, heard = Decoder(), []
        for start, end in pairwise(places):
            heard += decoder.feed(data[start:end])
        self.assertEqual(heard, said)

    @given(messages)
    def test_a_line_each(self, message: Message) -> None:
        """Whatever a client wrote, a message is one line of ASCII."""
        line = encoded(message)
        self.assertTrue(line.isascii())
        self.assertEqual(line.count(b"\n"), 1)

    def test_a_worker_sends_no_configuration(self) -> None:
        """What only a supervisor may say is not unpickled when a worker says it."""
        said = encoded(Ordered(1, Reload(Config()))).replace(b'"Ordered"', b'"Ask"')
        self.assertRaises(KeyError, list, Decoder().feed(said))

    def test_keys_are_not_shown(self) -> None:
        """What is logged of a message by accident has no secret in it."""
        shown = repr(Ordered(1, Register({"source": {"api_key": SECRET}})))
        self.assertNotIn(SECRET, shown)


class OrderTests(SynchronousTestCase):
    """What a worker begins with."""

    def test_it_arrives_as_it_is(self) -> None:
        """The configuration, its secrets too, and what was registered."""
        body = {"name": "c", "api_base": "https://h.example/v1", "fallbacks": ["a"]}
        config = Config(
            (Backend("a", "a", api_base="https://h.example/v1", api_key=SECRET),),
            access=Access((Key("k", "sk-1"),), admin_key="admin"),
        )
        order = Order(Share(2, 3), config, (parse_registration(body, Access(), 7),))
        data = order.encoded()
        arrived = decoded(data[8:])
        self.assertEqual(size_of(data[:8]), len(data) - 8)
        self.assertEqual(arrived, order)
        self.assertEqual(arrived.config.access.keys[0].digest, config.access.keys[0].digest)
