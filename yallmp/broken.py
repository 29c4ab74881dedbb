"""
A streamed answer that broke after its client had content of it.
"""

from __future__ import annotations

from yallmp.core.problems import Problem
from yallmp.core.transcript import Transcript


class Broken(Exception):
    """
    The answer broke with ``problem`` after the client had content of it: ``transcript``.

    ``flowed`` are the seconds from sending to the last content.
    """

    def __init__(self, problem: Problem, transcript: Transcript, flowed: float) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.transcript = transcript
        self.flowed = flowed
