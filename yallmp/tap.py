"""
From a configuration to the services that twistd runs: the only place where the parts meet.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from attrs import frozen
from twisted.application.service import IService
from twisted.internet import reactor as real_reactor
from twisted.internet.interfaces import IHostnameResolver, IStreamServerEndpoint
from twisted.internet.stdio import StandardIO
from twisted.logger import ILogObserver, globalLogBeginner

from yallmp import signals
from yallmp.admin import AdminAPI
from yallmp.api import API
from yallmp.arrivals import Arrivals, Ids
from yallmp.certificates import Contexts
from yallmp.clerk import AT_ONCE, Clerk
from yallmp.core.addresses import refusal
from yallmp.core.config.findings import ConfigError
from yallmp.core.control import Order
from yallmp.core.counts import Counts
from yallmp.core.exchange import Event
from yallmp.core.maskers import Maskers
from yallmp.core.masking import Masker
from yallmp.core.readings import Instruments
from yallmp.core.registry import Registration, Registry, dated
from yallmp.core.settings import Config
from yallmp.core.shares import WHOLE, Share
from yallmp.daemon import Daemon, Draining
from yallmp.daemonlog import LogFileError, Output, observer_of
from yallmp.duty import Duty
from yallmp.forwarding import Forwarding
from yallmp.front import Front
from yallmp.gaps import gap_of
from yallmp.garbage import Garbage
from yallmp.gauges import observe
from yallmp.identity import secured
from yallmp.interfaces import IClerk
from yallmp.lag import Lag
from yallmp.listening import (
    ListeningError,
    check_listening,
    endpoint_for,
    inherited_endpoint,
)
from yallmp.metrics import Aloof, Metrics
from yallmp.mock import agents
from yallmp.names import Names, ResolvingReactor
from yallmp.observers import telling
from yallmp.persistence import Alone, Persistence
from yallmp.recording import Lines, Recording, recorder_for
from yallmp.reloads import ask_in_passing
from yallmp.rereading import UNUSABLE, Rereading, check, sayings
from yallmp.shortcuts import Shortcuts
from yallmp.siblings import Siblings
from yallmp.site import ProxySite
from yallmp.slots import Slots
from yallmp.source import Source
from yallmp.systemd import Herald, herald_of, silent
from yallmp.tools import Tools
from yallmp.totals import Shared
from yallmp.upstream import Upstream
from yallmp.wires import Wires
from yallmp.worker_process import ANSWERS, LISTENER

#: What keeps the daemon from starting and its user can mend; the message says how.
CANNOT_START = (*UNUSABLE, ConfigError, ListeningError, LogFileError)


@frozen
class Parts:
    """The parts of a proxy that something outside of them needs."""

    registry: Registry
    masker: Maskers
    forwarding: Forwarding
    wires: Wires
    site: ProxySite
    draining: Draining
    changes: Any


def wired(
    config: Config,
    reactor: Any,
    *,
    resolver: IHostnameResolver,
    wall: Callable[[], float],
    draw: Callable[[], float],
    new_id: Callable[[], str],
    tell: Callable[[Event], None],
    metrics: Metrics,
    changes_of: Callable[[Registry], Any] = Alone.of,
    share: Share = WHOLE,
    registrations: Sequence[Registration] = (),
    retired: Sequence[str] = (),
    clerk: IClerk = AT_ONCE,
) -> Parts:
    """
    The parts for *config*, wired; nothing here knows the real world.

    :param changes_of: makes an :class:`yallmp.interfaces.IChanges` of the registry.
    :param share: which of several workers this process is.
    :param registrations: what of *config* was registered at run time.
    :param retired: the secrets from before *config*.
    :param clerk: reads large bodies.
    """
    registry = Registry.like(dated(config, int(wall())), registrations, retired)
    draining = Draining()

    wires = Wires(
        ResolvingReactor(reactor, resolver),
        ResolvingReactor(reactor, resolver, partial(_refused, registry)),
        Contexts(),
        registry.limits,
        lean=config.server.http_client == "llhttp",
    )
    registry.watch(wires.change)
    slots, masker = Slots(reactor, registry.in_flight, share), Maskers(registry.secrets)
    registry.watch(slots.change)
    tools = Tools(
        Upstream(agents(wires, wall), reactor),
        slots,
        registry,
        reactor,
        wall,
        draw,
        tell,
        masker.mask,
        clerk,
    )
    forwarding = Forwarding(tools)
    arrivals = Arrivals(reactor, wall, new_id, tell)
    api = API(registry, forwarding, arrivals, reactor, draw, draining, clerk)
    changes = changes_of(registry)
    admin = AdminAPI(registry, reactor, wall, changes, metrics).app.resource()
    front = Front(api.app.resource(), Shortcuts(api.app), admin, arrivals, registry.access)
    site = ProxySite(
        front, registry.limits, front.refused, front.left, reactor, share, tools.account
    )
    observe(metrics.instruments, registry, tools.slots, site, wires, reactor)
    return Parts(registry, masker, forwarding, wires, site, draining, changes)


def _refused(registry: Registry, address: str) -> str | None:
    """Why a registered backend may not be at *address*, by what is configured now."""
    return refusal(address, private_allowed=registry.access().private_backends)


def makeService(
    config: Config, output: Output, reactor: Any = real_reactor, *, source: Source
) -> IService:
    """
    The daemon for *config*.

    :param output: where the daemon's own log goes.
    :param source: where *config* came from, for reloads.
    :raises Exception: one of :data:`yallmp.rereading.UNUSABLE`.
    :raises ListeningError: the address is taken, or not ours.
    :raises LogFileError: the daemon's own log cannot be written.
    :raises ConfigError: the models that were kept cannot be used.
    """
    check(config)
    check_listening(config.server)
    metrics = Metrics.alone(Aloof(reactor))
    served = _served(config, output, reactor, metrics)
    registry, changes = served.parts.registry, served.parts.changes
    Persistence(registry).restore()
    changes.rereading = Rereading(source, reactor, time.time, served.parts.masker)
    metrics.instruments.add(changes.rereading.history.read)
    changes.herald = herald = herald_of(os.environ, reactor)
    return _daemon(
        served,
        reactor,
        secured(endpoint_for(config.server, reactor), registry, reactor),
        herald,
        sayings=sayings(config, time.time()),
        log_observer=served.daemon_log,
        reload=partial(ask_in_passing, changes.reload),
    )


def work(order: Order, reactor: Any = real_reactor) -> None:
    """Be the worker that *order* describes, until its supervisor ends it."""
    share, totals = order.share, Shared(Instruments(), reactor)
    served = _served(
        order.config,
        Output("-"),
        reactor,
        Metrics(totals.instruments, totals, Aloof(reactor)),
        changes_of=lambda registry: Siblings(registry, reactor, totals),
        share=share,
        registrations=order.registrations,
        retired=order.retired,
    )
    globalLogBeginner.beginLoggingTo([served.daemon_log] if served.daemon_log else [])
    daemon = _daemon(
        served,
        reactor,
        secured(inherited_endpoint(LISTENER, reactor), served.parts.registry, reactor),
        silent(reactor),
        name=f"worker {share.number} of {share.count}",
        is_ended_by_signals=False,
    )
    served.parts.changes.duty = Duty(reactor, daemon)
    StandardIO(  # type: ignore[call-arg]  # that of Windows takes fewer
        served.parts.changes, 0, ANSWERS, reactor
    )
    reactor.callWhenRunning(signals.ignore)  # the reactor has set its own
    reactor.run()


@frozen
class Served:
    """The parts in the real world, what starts before them, what writes the daemon's own log."""

    parts: Parts
    before: Sequence[IService]
    daemon_log: ILogObserver | None


def _served(
    config: Config,
    output: Output,
    reactor: Any,
    metrics: Metrics,
    share: Share = WHOLE,
    **more: Any,
) -> Served:
    """The parts for *config* in the real world; *more* is for :func:`wired`."""
    masker: Callable[[], Masker] = lambda: parts.masker()  # noqa: E731, PLW0108 - made below
    outfile = output.outfile()
    daemon_log = observer_of(outfile, config.logging, masker)
    lines = Lines(daemon_log, masker)
    counts = Counts(lambda name: parts.registry.catalog.known(name))  # noqa: PLW0108 - likewise
    left: Callable[[], float] = lambda: parts.draining.left(reactor)  # noqa: E731
    make = partial(recorder_for, reactor, share, left)
    clerk = Clerk(reactor, left)
    recording = Recording(reactor, config.logging, make, lines, counts, clerk)
    parts: Parts = wired(
        config,
        reactor,
        resolver=Names(reactor),
        wall=time.time,
        draw=random.random,
        new_id=Ids(secrets.token_hex),
        tell=telling(recording.ledger),
        metrics=metrics,
        share=share,
        clerk=clerk,
        **more,
    )
    parts.registry.watch(recording.change)
    lag = Lag(reactor)
    for each in (counts, recording, lag, gap_of(outfile)):
        metrics.instruments.add(each.read)
    return Served(parts, [recording, clerk, Garbage(), lag], daemon_log)


def _daemon(
    served: Served, reactor: Any, endpoint: IStreamServerEndpoint, herald: Herald, **more: Any
) -> Daemon:
    """The life of what is *served* at *endpoint*; *more* is for :class:`Daemon`."""
    parts = served.parts
    return Daemon(
        reactor,
        endpoint,
        parts.site,
        parts.forwarding,
        parts.wires,
        served.before,
        parts.draining,
        herald,
        lambda: parts.registry.catalog.config,
        **more,
    )
