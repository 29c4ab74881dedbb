"""
What a secret looks like in text that software wrote: in JSON, in a URL, in base64.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote, quote_plus


@lru_cache(maxsize=4096)
def forms(secret: str) -> frozenset[bytes]:
    """What *secret* looks like in text that software wrote; remembered, as most secrets stay."""
    data = secret.encode("utf-8", "surrogatepass")
    return frozenset({data, *_json_forms(secret), *_percent_forms(data), *_base64_forms(data)})


def _json_forms(secret: str) -> Iterator[bytes]:
    """In JSON strings: ASCII or not, slashes escaped (PHP), HTML escaped (Go), JSON within JSON."""
    html = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
    for ascii_only in (True, False):
        text = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        for form in (text, text.replace("/", "\\/"), text.translate(html)):
            data = form.encode("utf-8", "surrogatepass")
            yield data
            yield re.sub(rb"(?<=\\u)[0-9a-f]{4}", lambda found: found[0].upper(), data)
            yield data.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def _percent_forms(data: bytes) -> Iterator[bytes]:
    """Percent-encoded, with the characters that libraries leave alone, in both cases."""
    for safe in ("", "/", "!'()*", "/:@!$&'()*+,;="):
        for form in (quote(data, safe=safe), quote_plus(data, safe=safe)):
            yield form.encode()
            yield re.sub("%..", lambda found: found[0].lower(), form).encode()


def _base64_forms(data: bytes) -> Iterator[bytes]:
    """The characters that depend on *data* alone, whatever surrounds it, in both alphabets."""
    for before in range(3):
        first = (8 * before + 5) // 6
        last = 8 * (before + len(data)) // 6
        padded = bytes(before) + data + b"\0\0"
        yield base64.b64encode(padded)[first:last]
        yield base64.urlsafe_b64encode(padded)[first:last]
