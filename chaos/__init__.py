"""
Chaos: what goes wrong around a proxy, done on purpose, and what must be seen then.

``python -m chaos`` starts a real yallmp process between backends that fail and clients that
misbehave, both on loopback and in this process, and goes through a *catalogue* of items.
An *item* says what is done, what must be seen, and how a broken proxy would fail it; its
check is a function of blocking sockets, so that a new one is a few lines (``README.md``).

The backends and the clients are threads of one process: both ends are seen on one clock, and
a fault is written down as it happens, one step after the other.  Nothing here is in the wheel.

- :mod:`chaos.item`: an item, and what may come of it
- :mod:`chaos.figures`: the figures of reliability, and what each may be
- :mod:`chaos.upstream`, :mod:`chaos.peer` and :mod:`chaos.scripts`: the backends, their
  connections, and what they do
- :mod:`chaos.client` and :mod:`chaos.heard`: the clients, and what they make of an answer
- :mod:`chaos.proxy` and :mod:`chaos.setting`: the proxy's process and its configuration
- :mod:`chaos.memory`: what the proxy takes of it
- :mod:`chaos.reference`: a program that does nothing, to tell the machine's delays from ours
- :mod:`chaos.stand`: what a check has in its hands
- :mod:`chaos.secrets`: what is planted, and the search for it
- :mod:`chaos.run`, :mod:`chaos.report` and :mod:`chaos.command`: running and telling
- :mod:`chaos.items`: the catalogue
- :mod:`chaos.framing`, :mod:`chaos.declared`, :mod:`chaos.framings` and :mod:`chaos.smuggling`:
  requests whose end is doubtful, and sending them
- :mod:`chaos.certificates`: those of backends that speak TLS
- :mod:`chaos.activation`: a proxy on a socket that outlives it
- :mod:`chaos.stall`: how long one request keeps the reactor, with :mod:`chaos.stall_loads` and
  :mod:`chaos.stalled`
- :mod:`chaos.fuzz`: parsers and endpoints under what nobody thought of
- :mod:`chaos.soak`: all of it at once and for long, a package with a map of its own
- :mod:`chaos.broken`: proxies with one thing broken, which the catalogue must find
"""
