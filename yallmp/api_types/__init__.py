"""
How each kind of backend speaks; one module for each, one line in this table.
"""

from __future__ import annotations

from collections.abc import Mapping

from yallmp.api_types.anthropic import Anthropic
from yallmp.api_types.openai import OpenAI
from yallmp.interfaces import IApiType

API_TYPES: Mapping[str, IApiType] = {
    "openai": OpenAI(),
    "openai-responses": OpenAI(),
    "anthropic": Anthropic(),
}
