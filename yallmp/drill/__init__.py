"""
``yallmp drill``: failover rehearsed on the user's own configuration, at no cost.

In place of a model's backends stands a *wall* of faults on loopback; a real proxy is asked
through real sockets, and what the caller got and what the wall saw is judged.  A *cell* is
one fault.  Nothing in the rest of the proxy knows of it.

- :mod:`yallmp.drill.cells`: what is rehearsed
- :mod:`yallmp.drill.faults` and :mod:`yallmp.drill.answers`: what the wall sends
- :mod:`yallmp.drill.wall`: the backends
- :mod:`yallmp.drill.observed`: what both sides saw
- :mod:`yallmp.drill.judge` and :mod:`yallmp.drill.rules`: what it was worth
- :mod:`yallmp.drill.caller`, :mod:`yallmp.drill.heard`: who asks, and what it makes of the answer
- :mod:`yallmp.drill.setting`: the user's configuration with the wall in it
- :mod:`yallmp.drill.timescale`: time that passes faster
- :mod:`yallmp.drill.rehearsal`: running it
- :mod:`yallmp.drill.report`: saying it
- :mod:`yallmp.drill.command`: the command
"""
