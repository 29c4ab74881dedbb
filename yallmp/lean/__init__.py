"""
An HTTP client for one kind of request: a POST whose body is there already.

It stands at Twisted's own seam, ``IAgent`` with an ``IResponse``, in place of Twisted's
agent, and costs a fraction: the request is one write, the answer is parsed by llhttp, what
one read brought is one ``dataReceived`` of the body's protocol.  Twisted's own stays
selectable (``general_settings.server.http_client``), and both pass the same tests.

A connection goes back to the pool only if its answer ended as it should, with nothing
behind it; paused by backpressure, it is resumed first.  One that brings anything while it is
idle is closed, and one that is being closed is not given out.

- :mod:`yallmp.lean.agent`: the seam, and the request's bytes
- :mod:`yallmp.lean.pool`: connections that wait
- :mod:`yallmp.lean.connection`: one connection
- :mod:`yallmp.lean.response`: an answer whose body is on its way
- :mod:`yallmp.lean.parser`: the answer's bytes
"""
