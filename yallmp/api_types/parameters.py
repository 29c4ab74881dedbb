"""
The parameters of a request, as the configuration wants them (``parameters``).

What changes is a member at the top, and of one that has others inside only the bytes of those that
change.  A parameter that the client may not override is set whatever else could be taken for it:
the same name in other letters (servers written in Go read it so), or another name for the same.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence

from yallmp.core.asked import COMPLETIONS, Asked
from yallmp.core.digits import loads
from yallmp.core.errors import DuplicateKey, RequestFault
from yallmp.core.jsonbody import Document, apply
from yallmp.core.parameters import Parameter

#: Names of which a request needs only one.
_ALIKE = (("max_tokens", "max_completion_tokens", "max_output_tokens"),)


def settled(
    asked: Asked, changes: dict[str, str], parameters: Sequence[Parameter]
) -> tuple[str, ...]:
    """
    Write what *parameters* change into *changes*; the names of members that are to go.

    Endpoints where nothing is generated (embeddings, rerank …) know none of them.
    """
    if not (asked.endpoint.dialect or asked.endpoint is COMPLETIONS):
        return ()
    document = asked.document
    gone: dict[str, None] = {}
    for parameter in parameters:
        name = parameter.path[0]
        if parameter.fixed:
            gone |= dict.fromkeys(_others(document, name))
        elif any(_says(document, other) for other in _alike(name)):
            continue
        before = changes[name].encode() if name in changes else _raw(document, name)
        after = _with(before, parameter.path[1:], parameter)
        if after is not None:
            changes[name] = after
    own = {parameter.path[0] for parameter in parameters}
    return tuple(name for name in gone if name not in own)


def _alike(name: str) -> Iterator[str]:
    """Other names for *name*."""
    for names in _ALIKE:
        if name in names:
            yield from (other for other in names if other != name)


def _others(document: Document, name: str) -> list[str]:
    """Members that could be taken for *name*."""
    alike = {each.lower() for each in (name, *_alike(name))}
    return [each for each in document.places if each != name and each.lower() in alike]


def _raw(document: Document, name: str) -> bytes | None:
    return document.raw(name) if name in document else None


def _says(document: Document, name: str) -> bool:
    return _raw(document, name) not in (None, b"null")


def _with(text: bytes | None, inside: Sequence[str], parameter: Parameter) -> str | None:
    """The JSON *text* with the parameter at the path *inside* of it; ``None`` if it stays."""
    if text is None or text == b"null":
        return _nested(inside, parameter.value)
    if not inside:
        changes = parameter.fixed and text != parameter.value.encode()
        return parameter.value if changes else None
    block = _object(text)
    if block is None:
        return _nested(inside, parameter.value) if parameter.fixed else None
    name = inside[0]
    new = _with(_raw(block, name), inside[1:], parameter)
    gone: Collection[str] = _others(block, name) if parameter.fixed else ()
    if new is None and not gone:
        return None
    changes_of_it = {} if new is None else {name: new}
    return apply(block.body, block.splices(changes_of_it, gone)).decode()


def _object(text: bytes) -> Document | None:
    """The object that *text* is, each of its members once; ``None`` if it is something else."""
    try:
        return Document.parse(text)
    except DuplicateKey:
        return Document.parse(json.dumps(loads(text)).encode())
    except RequestFault:
        return None


def _nested(inside: Sequence[str], value: str) -> str:
    for name in reversed(inside):
        value = f"{{{json.dumps(name)}: {value}}}"
    return value
