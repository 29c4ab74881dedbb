"""
A request as a command for a POSIX shell, to be read, changed and pasted.

The body goes through ``printf``, which shells have built in, so that its size has no
limit: as it is if it is text that a terminal shows faithfully, otherwise in base64.
"""

from __future__ import annotations

import base64
import shlex

from yallmp.core.escapes import visible
from yallmp.core.resend import Resend

#: Headers that curl would add of itself, unless told not to.
_CURLS_OWN = (b"content-type", b"accept", b"user-agent", b"expect")
_KEY_HEADER = b"authorization"


def command(request: Resend, key_variable: str | None = None) -> str:
    """
    A pipeline that sends *request* with curl and prints the answer as it comes.

    :param key_variable: the environment variable that holds the API key; the command
        then names it in place of the key.
    """
    words = ["curl -sS -N -g --path-as-is", f"-X {shlex.quote(request.method)}"]
    words += [_header(name, value, key_variable) for name, value in sayable(request)]
    given = {name.lower() for name, _ in request.headers}
    words += [f"-H '{name.decode()}:'" for name in _CURLS_OWN if name not in given]
    words += ["--data-binary @-", shlex.quote(request.url)]
    return f"{_body(request.body)} | " + " \\\n  ".join(words)


def sayable(request: Resend) -> list[tuple[bytes, bytes]]:
    """The headers of *request* that a command line can hold."""
    return [pair for pair in request.headers if _is_plain(pair[1]) and b"\n" not in pair[1]]


def _is_plain(data: bytes) -> bool:
    """Whether *data* is text that stays what it is when it is printed and pasted."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    return "\t" not in text and visible(text) == text


def _header(name: bytes, value: bytes, key_variable: str | None) -> str:
    if name == _KEY_HEADER and key_variable:
        return f'-H "{name.decode()}: Bearer ${key_variable}"'
    text = f"{name.decode()}: {value.decode()}" if value else f"{name.decode()};"
    return f"-H {shlex.quote(text)}"


def _body(body: bytes) -> str:
    if _is_plain(body):
        return f"printf '%s' {shlex.quote(body.decode())}"
    return f"printf '%s' {shlex.quote(base64.b64encode(body).decode())} | base64 -d"
