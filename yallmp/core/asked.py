"""
What a client asks for: its request, understood once.

:func:`understand` is the edge at which a body becomes a value; nothing behind it parses
the body again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from typing import Any

from attrs import evolve, field, frozen

from yallmp.core.errors import DuplicateKey, MissingParameter, RequestFault
from yallmp.core.jsonbody import Document
from yallmp.core.search import has_word

#: Ids of what one provider keeps, wherever they stand; never inside a text (there the
#: quotation marks are escaped) or as a name in a schema (there no text follows).
_IDS = re.compile(
    rb'"(?:file_id|container_id|container)"\s*:\s*"[^"]'
    rb'|"(?:file_ids|vector_store_ids)"\s*:\s*\[\s*"'
)
#: ``model`` in all other cases: backends written in Go read each of them as the model, too.
_OTHERWISE = frozenset(
    "".join(letters) for letters in product(*((letter, letter.upper()) for letter in "model"))
) - {"model"}
#: Members that may bind a request.
_BINDING = ("previous_response_id", "conversation", "background", "store")


@frozen
class Endpoint:
    """
    One forwarded path of the API.

    ``path`` is without its ``/v1``; ``promises`` is the list that every good answer has
    (``None``: the shape is checked in another way); ``needs`` a list that every request has;
    ``streams`` tells whether ``stream`` means anything there; ``dialect`` is the name of the one
    that clients speak there, if there are others that say the same
    (:mod:`yallmp.dialects`).
    """

    name: str
    path: str
    promises: str | None
    needs: str | None = None
    streams: bool = True
    dialect: str = ""

    def __reduce__(self) -> tuple[Callable[[str], Endpoint], tuple[str]]:
        """There is only one of each, in whichever process."""
        return _called, (self.name,)


def _called(name: str) -> Endpoint:
    return next(each for each in ENDPOINTS if each.name == name)


CHAT = Endpoint("chat", "/chat/completions", "choices", needs="messages", dialect="chat")
COMPLETIONS = Endpoint("completions", "/completions", "choices")
EMBEDDINGS = Endpoint("embeddings", "/embeddings", "data", streams=False)
RERANK = Endpoint("rerank", "/rerank", "results", streams=False)
MODERATIONS = Endpoint("moderations", "/moderations", "results", streams=False)
RESPONSES = Endpoint("responses", "/responses", None, dialect="responses")
MESSAGES = Endpoint("messages", "/messages", "content", needs="messages", dialect="messages")
COUNT_TOKENS = Endpoint(
    "count_tokens", "/messages/count_tokens", None, "messages", streams=False, dialect="counting"
)
ENDPOINTS = (
    CHAT, COMPLETIONS, EMBEDDINGS, RERANK, MODERATIONS, RESPONSES, MESSAGES, COUNT_TOKENS
)  # fmt: skip


@frozen
class Asked:
    """
    A request that can be forwarded.

    ``model`` is the name as the client wrote it; ``choices`` how many answers it wants;
    ``wants_usage`` whether its stream is to end with an event that tells the usage;
    ``bound`` whether it depends on what one provider keeps.
    """

    endpoint: Endpoint
    document: Document = field(repr=False)
    model: str
    stream: bool = False
    choices: int = 1
    wants_usage: bool = False
    bound: bool = False


def without_body(asked: Asked) -> Asked:
    """*asked* for somebody who needs to know no more than what was asked for."""
    return evolve(asked, document=evolve(asked.document, body=b""))


def understand(endpoint: Endpoint, document: Document) -> Asked:
    """
    Check what every request must have.

    :raises MissingParameter: no usable ``model``, or for chat no ``messages``.
    :raises RequestFault: ``stream`` is neither a boolean nor null.
    :raises DuplicateKey: the model stands there a second time, in another spelling.
    """
    if not document.places.keys().isdisjoint(_OTHERWISE):
        raise DuplicateKey("Only 'model' in lower case may name the model.", param="model")
    model = document.get("model")
    if not isinstance(model, str) or not model:
        raise MissingParameter("The body needs a 'model': a non-empty string.", param="model")
    if endpoint.needs:
        _check_list(document, endpoint.needs)
    stream = document.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise RequestFault("'stream' must be true, false or null.", param="stream")
    return Asked(
        endpoint,
        document,
        model,
        stream=bool(stream) and endpoint.streams,
        choices=_choices(document),
        wants_usage=_wants_usage(document),
        bound=is_bound(document),
    )


def is_bound(document: Document) -> bool:
    """
    Whether the request depends on what one provider keeps, or makes it keep something.

    Conversations and earlier responses, stored and background answers, files, containers.
    """
    if not document.places.keys().isdisjoint(_BINDING) and _binds(document.get):
        return True
    return _names_ids(document.body)


def _binds(get: Callable[[str], Any]) -> bool:
    if get("previous_response_id") or get("conversation"):
        return True
    return get("background") is True or get("store") is True


def _names_ids(body: bytes) -> bool:
    hinted = has_word(body, b'container"', 9) or has_word(body, b"_id", 0)
    return hinted and _IDS.search(body) is not None


def _check_list(document: Document, name: str) -> None:
    if not document.has_items(name):
        raise MissingParameter(f"The body needs {name!r}: a non-empty list.", param=name)


def _choices(document: Document) -> int:
    n = document.get("n")
    each = n if isinstance(n, int) and n > 0 else 1
    prompt = document.get("prompt") if document.has_items("prompt") else ()
    return each * (len(prompt) if prompt and isinstance(prompt[0], (str, list)) else 1)


def _wants_usage(document: Document) -> bool:
    options: Any = document.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True
