"""
The dialects that there are, by name; one line for each.
"""

from __future__ import annotations

from collections.abc import Mapping

from yallmp.dialects.chat import Chat
from yallmp.dialects.messages import Messages
from yallmp.dialects.responses import Responses
from yallmp.interfaces import IDialect

DIALECTS: Mapping[str, IDialect] = {
    "chat": Chat(),
    "messages": Messages(),
    "responses": Responses(),
}
