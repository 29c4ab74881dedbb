"""
Soak: a real proxy under mixed faults for an hour, and whether anything is lost or left over.

``python -m chaos soak`` starts a yallmp between backends that fail and clients that
misbehave, as the catalogue does, but all of it at once and for long.  Every answer is
checked against what it must be: each request has a marker of its own, and its answer is a
text that only this marker leads to.  Meanwhile the proxy's processes are looked at from
outside (``/proc``) and inside (``/metrics``); when the load is over and a minute has
passed, everything must be back where it was.

- :mod:`chaos.soak.wish`: what a client asks for, and the text that answers it
- :mod:`chaos.soak.judge`: what became of a request
- :mod:`chaos.soak.place`: a backend that may die and come back
- :mod:`chaos.soak.faults`: what backends do
- :mod:`chaos.soak.setting`: the proxy's configuration
- :mod:`chaos.soak.visits` and :mod:`chaos.soak.visitor`: what clients do
- :mod:`chaos.soak.tally`: how it went, counted
- :mod:`chaos.soak.load`: clients, so many a second
- :mod:`chaos.soak.mishaps`: what happens to the proxy meanwhile
- :mod:`chaos.soak.samples`: how the proxy is
- :mod:`chaos.soak.verdict`: what all of it comes to
- :mod:`chaos.soak.plot`: the same as a picture
- :mod:`chaos.soak.run` and :mod:`chaos.soak.command`: running and telling
"""
