"""
The secrets that are planted, and the search for them.

They are what a configuration, a client and an administrator give the proxy in confidence.  A
leak rarely looks like what was planted, so that each is also looked for as it stands in JSON,
in a URL and in base64, whatever stands before it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from attrs import frozen

#: The quotation mark, the slash and the plus sign are there because encodings change them.
CLIENT = 'sk-chaos-client/7Kq+"q2x9Vd4T'
ADMIN = "sk-chaos-admin/m3Jw+r8Zs5Lb1N"
HEADER = "chaos-header-secret/4Tz+k9Wq7H"
QUERY = "chaos-query-secret/6Yp+v2Xr8J"
REGISTERED = "sk-chaos-registered/8Qf+n5Bd3C"
#: What the keys of all backends begin with, so that one search finds any of them.
BACKEND = "sk-chaos-backend/"
PLANTED = (CLIENT, ADMIN, HEADER, QUERY, REGISTERED, BACKEND)


def backend_key(item: str, number: int) -> str:
    """The key of a backend."""
    digest = hashlib.sha256(f"{item} {number}".encode()).hexdigest()
    return f"{BACKEND}{digest[:20]}+"


def spellings(secret: str) -> Iterator[bytes]:
    """How *secret* may stand in a file."""
    plain = secret.encode()
    yield plain
    yield json.dumps(secret)[1:-1].encode()
    yield json.dumps(secret)[1:-1].replace("/", "\\/").encode()
    yield quote(secret, safe="").encode()
    yield quote(secret).encode()
    for offset in range(3):
        yield from _in_base64(plain, offset)


def _in_base64(plain: bytes, offset: int) -> Iterator[bytes]:
    """The middle part of it, which is the same whatever stands around."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        coded = encode(b"\0" * offset + plain)
        whole = (offset + len(plain)) // 3 * 4
        yield coded[4 if offset else 0 : whole]


@frozen
class Found:
    """A secret where it does not belong."""

    where: str
    secret: str

    def __str__(self) -> str:
        """Without the secret itself, which would be one more place."""
        return f"{self.where}: {self.secret[:17]}…"


def search(where: str, data: bytes, secrets: Iterable[str]) -> list[Found]:
    """Which of *secrets* stand in *data*."""
    return [
        Found(where, secret)
        for secret in secrets
        if any(spelling in data for spelling in set(spellings(secret)))
    ]


def search_folder(folder: Path, secrets: Iterable[str]) -> list[Found]:
    """The same for all files below *folder* but the configuration."""
    wanted = list(secrets)
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [
        found
        for path in files
        if path.name != "config.yaml" and path.suffix != ".pem"
        for found in search(str(path.relative_to(folder)), path.read_bytes(), wanted)
    ]
