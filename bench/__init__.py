"""
The benchmark: what a proxy costs, in figures that anyone can measure again.

``python -m bench`` builds the two ends (``rig.c``), starts a backend, and lets contenders
stand between it and the load, one after the other, in several rounds.  CPU time is the
operating system's own account of the contender's whole process tree; it is the headline
because it is the steadiest figure on a machine that others use as well.  Every answer is
checked to the byte, and one wrong answer voids the figure.  ``docs/performance.md`` says how
to read the result.

Only Python's standard library is needed, and Linux, a C compiler and, to compare with, nginx.
"""
