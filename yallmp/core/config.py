"""
A configuration file as a :class:`~yallmp.core.settings.Config`.
"""

from __future__ import annotations

from yallmp.core.entries import parse_backend
from yallmp.core.findings import ConfigError, Problem

__all__ = ["ConfigError", "Problem", "parse_backend"]
