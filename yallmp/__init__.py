"""
yallmp, an LLM proxy.
"""

__version__ = "0.1.0"
