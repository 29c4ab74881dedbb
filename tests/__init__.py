"""
The tests; CONTRIBUTING.md says how to run them.

Hypothesis measures time, and machines that run tests are busy: its deadlines and its
complaint about slow generation are off, so that only behaviour fails a test.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "yallmp", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100
)
settings.load_profile("yallmp")
