"""
What can be read off the parts at any time, as sources of metrics.

Nothing here costs a request anything: it is asked when somebody wants to know.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

import twisted
from yallmp import __version__
from yallmp.core.breaker import State
from yallmp.core.families import (
    BACKEND_CONNECTIONS,
    BREAKERS,
    BUFFERED,
    BUFFERS_REFUSED,
    BUILD,
    CLIENTS,
    CLIENTS_CAME,
    CLIENTS_REFUSED,
    IN_FLIGHT,
    TIMERS,
    Family,
)
from yallmp.core.readings import Instruments, Labels, Value
from yallmp.core.registry import Registry
from yallmp.site import ProxySite
from yallmp.slots import Slots
from yallmp.wires import Wires

#: What a source gives.
Told = Iterator[tuple[Family, Mapping[Labels, Value]]]


def observe(
    instruments: Instruments,
    registry: Registry,
    slots: Slots,
    site: ProxySite,
    wires: Wires,
    clock: IReactorTime,
) -> None:
    """Have *instruments* read the parts of a proxy."""
    parts = (
        Backends(registry, clock), slots, Connections(site, wires), Timers(clock),
        Build(registry),
    )  # fmt: skip
    for each in parts:
        instruments.add(each.read)


@frozen
class Backends:
    """The backends in force: what each has under way, and who rests."""

    registry: Registry
    clock: IReactorTime

    def read(self) -> Told:
        """See :data:`yallmp.core.readings.Source`."""
        names = [each.name for each in self.registry.catalog.config.backends]
        count = self.registry.in_flight.count
        yield IN_FLIGHT, {(name,): [count(name)] for name in names}
        now, of = self.clock.seconds(), self.registry.breakers.of
        states = {name: of(name).state(now) for name in names}
        yield (
            BREAKERS,
            {
                (name, each.value): [int(each is state)]
                for name, state in states.items()
                for each in State
            },
        )


@frozen
class Connections:
    """Connections, of clients and to backends, and what is held for them."""

    site: ProxySite
    wires: Wires

    def read(self) -> Told:
        """See :data:`yallmp.core.readings.Source`."""
        yield CLIENTS, {(): [self.site.sweep.open]}
        yield CLIENTS_CAME, {(): [self.site.sweep.came]}
        yield CLIENTS_REFUSED, {(): [self.site.crowd.count]}
        yield BUFFERED, {(): [self.site.account.held]}
        yield BUFFERS_REFUSED, {(): [self.site.account.refused]}
        yield BACKEND_CONNECTIONS, {(k,): [n] for k, n in self.wires.connections().items()}


@frozen
class Timers:
    """The timers that are set, of which a few are left when there are no requests."""

    clock: IReactorTime

    def read(self) -> Told:
        """See :data:`yallmp.core.readings.Source`."""
        yield TIMERS, {(): [len(self.clock.getDelayedCalls())]}


@frozen
class Build:
    """What runs here."""

    registry: Registry

    def read(self) -> Told:
        """See :data:`yallmp.core.readings.Source`."""
        server = self.registry.catalog.config.server
        versions = __version__, platform.python_version(), twisted.__version__
        yield BUILD, {(*versions, server.reactor, server.http_client): [1]}
