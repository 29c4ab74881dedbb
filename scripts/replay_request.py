#!/usr/bin/env python3
"""Sends a logged request again; the same as ``yallmp replay``, also from a checkout."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
runpy.run_module("yallmp.replay", run_name="__main__")
