"""Twisted's own tests of its reactors, run against ours (Linux only)."""

from __future__ import annotations

import select
import sys
import time
import unittest
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

OURS = "yallmp.lightreactor.LightReactor"

#: The suites, by module of ``twisted.internet.test``.
SUITES = {
    "test_core": ["SystemEventTestsBuilder"],
    "test_fdset": ["ReactorFDSetTestsBuilder"],
    "test_socket": [
        "AdoptDatagramPortErrorsTestsBuilder", "AdoptStreamConnectionErrorsTestsBuilder",
        "AdoptStreamPortErrorsTestsBuilder", "IReactorSocketVerificationTestsBuilder",
    ],
    "test_tcp": [
        "AbortConnectionTests", "AdoptStreamConnectionTestsBuilder", "TCP4ClientTestsBuilder",
        "TCP4ConnectorTestsBuilder", "TCP6ClientTestsBuilder", "TCP6ConnectorTestsBuilder",
        "TCPConnectionTestsBuilder", "TCPFDPortTestsBuilder", "TCPPortTestsBuilder",
        "TCPTransportTestsBuilder", "TestBindAddressBuilder",
    ],
    "test_threads": ["ThreadTestsBuilder"],
    "test_time": ["TimeTestsBuilder"],
    "test_tls": [
        "AbortSSLConnectionTests", "SSLClientTestsMixin", "StartTLSClientTestsMixin",
        "TLSPortTestsBuilder",
    ],
    "test_unix": [
        "UNIXAdoptStreamConnectionTestsBuilder", "UNIXDatagramTestsBuilder",
        "UNIXFDPortTestsBuilder", "UNIXPortTestsBuilder", "UNIXTestsBuilder",
        "UnixClientTestsBuilder",
    ],
}  # fmt: skip

#: What is meant to be different.
DIFFERENT = {
    "test_logPrefix": "events have no log context",
    "test_lostFileDescriptor": "epoll forgets a closed descriptor; Twisted leaves its own out here",
}


def suite(module: str) -> ModuleType:
    """
    A module of Twisted's tests.

    They import hamcrest, which none of the suites above needs.
    """
    absent = {} if find_spec("hamcrest") else {"hamcrest": ModuleType("hamcrest")}
    with patch.dict(sys.modules, absent):
        return import_module(f"twisted.internet.test.{module}")


def left_out(reason: str) -> Any:
    """A test that is not run, and why."""
    return unittest.skip(reason)(lambda self: None)


def contracts() -> Iterator[tuple[str, type[SynchronousTestCase]]]:
    """The suites, with our reactor in place of Twisted's."""
    for module, names in SUITES.items():
        for name in names:
            builder: Any = getattr(suite(module), name)
            others = {
                test: left_out(why) for test, why in DIFFERENT.items() if hasattr(builder, test)
            }
            mine: Any = type(name, (builder,), {"_reactors": [OURS], **others})
            yield from mine.makeTestCaseClasses().items()


class TimeTests(SynchronousTestCase):
    """What its time is."""

    @unittest.skipUnless(hasattr(select, "epoll"), "there is no epoll")
    def test_the_clock_is_set(self) -> None:
        """What is due in a second is so by a clock that nobody sets."""
        ours = import_module("yallmp.lightreactor").LightReactor()
        self.addCleanup(ours.disconnectAll)
        before = time.monotonic()
        call = ours.callLater(1.0, lambda: None)
        self.addCleanup(call.cancel)
        self.assertTrue(before + 1.0 <= call.getTime() <= time.monotonic() + 1.0)


if hasattr(select, "epoll"):
    globals().update(contracts())
