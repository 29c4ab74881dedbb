"""
What a message or a tool's output is made of, as Responses puts it.

Sources: OpenAI's API reference, "Create a model response" (``input_text``, ``input_image``,
``input_file``, ``input_audio``, ``output_text``, ``refusal``).
"""

from __future__ import annotations

import re
from typing import Any

from yallmp.core.errors import RequestFault
from yallmp.dialects.conversation import Media, Opaque, Part, Refusal, Text
from yallmp.dialects.loose import known, members, text, text_or_none, without
from yallmp.dialects.losses import Losses

NAME = "responses"
#: ``data:image/png;base64,…``; anything else behind ``data:`` stays the URL that it is.
_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,", re.ASCII)
_TEXTS = ("input_text", "output_text", "text")
_SOUNDS = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/wav": "wav", "audio/x-wav": "wav"}
_ENDINGS = {"application/pdf": "pdf", "text/plain": "txt", "text/html": "html", "text/csv": "csv"}


def parts_of(content: Any, path: str) -> tuple[Part, ...]:
    """
    What *content*, a text or a list of parts, says.

    :param path: where it stands.
    :raises RequestFault: it is neither.
    """
    if isinstance(content, str):
        return (Text(content),)
    if not isinstance(content, list):
        raise RequestFault(f"{path!r} must be a string or a list of parts.", param=path)
    return tuple(_part(each, f"{path}[{at}]") for at, each in enumerate(content))


def _part(part: Any, path: str) -> Part:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise RequestFault(f"{path!r} must be an object with a 'type'.", param=path)
    kind = part["type"]
    if kind in _TEXTS and isinstance(part.get("text"), str):
        return _text(part)
    if kind == "refusal" and isinstance(part.get("refusal"), str):
        return Refusal(part["refusal"])
    read = {"input_image": _image, "input_file": _file, "input_audio": _audio}.get(kind)
    return (read(part) if read else None) or Opaque(NAME, part)


def _text(part: dict[str, Any]) -> Text:
    extra = without(part, "type", "text", "annotations", "logprobs")
    if part.get("logprobs"):
        extra["logprobs"] = part["logprobs"]
    annotations = part.get("annotations")
    listed = tuple(annotations) if isinstance(annotations, list) else ()
    return Text(part["text"], annotations=listed, extra=extra)


def _image(part: dict[str, Any]) -> Media | None:
    extra = without(part, "type", "image_url", "file_id", "detail")
    detail = text_or_none(part.get("detail"))
    url, file_id = text_or_none(part.get("image_url")), text_or_none(part.get("file_id"))
    if url is None:
        return (file_id and Media("image", file_id=file_id, detail=detail, extra=extra)) or None
    media_type, data = _unpacked(url)
    if data is None:
        return Media("image", url=url, detail=detail, extra=extra)
    return Media("image", media_type, data, detail=detail, extra=extra)


def _file(part: dict[str, Any]) -> Media | None:
    extra = without(part, "type", "file_data", "file_url", "file_id", "filename", "detail")
    about: dict[str, Any] = {
        "name": text_or_none(part.get("filename")),
        "detail": text_or_none(part.get("detail")),
        "extra": extra,
    }
    if text_or_none(part.get("file_data")):
        media_type, data = _unpacked(part["file_data"])
        return Media("document", media_type, data or part["file_data"], **about)
    if text_or_none(part.get("file_url")):
        return Media("document", url=part["file_url"], **about)
    file_id = text_or_none(part.get("file_id"))
    return Media("document", file_id=file_id, **about) if file_id else None


def _audio(part: dict[str, Any]) -> Media | None:
    sound = members(part.get("input_audio"))
    data = text_or_none(sound.get("data"))
    extra = without(part, "type", "input_audio")
    return (
        data and Media("audio", f"audio/{text(sound.get('format'))}", data, extra=extra)
    ) or None


def _unpacked(url: str) -> tuple[str | None, str | None]:
    """Type and data of a ``data:`` URL; nothing for another one."""
    match = _DATA.match(url)
    return (match[1], url[match.end() :]) if match and len(url) > match.end() else (None, None)


def written(part: Part, *, assistant: bool, own: bool, path: str, losses: Losses) -> Any:
    """
    *part* as one of a message's or an output's; ``None`` if there is no such thing.

    :param assistant: whether it is the model that says it.
    :param own: whether ``extra`` has this dialect's names.
    :param path: where it stood, in the client's words, for what gets lost.
    """
    if isinstance(part, Text):
        return _written_text(part, assistant, own, path, losses)
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    if isinstance(part, Opaque) and part.dialect == NAME:
        return part.value
    if isinstance(part, Media) and not assistant:
        return _written_media(part, own, path, losses)
    losses.note(path)
    return None


def noted(part: Any, own: bool, path: str, losses: Losses) -> dict[str, Any]:
    """The members of ``extra`` that belong to *part* here; what does not is noted."""
    if getattr(part, "cache", None) is not None:
        losses.note(f"{path}.cache_control")
    if own:
        return dict(part.extra)
    for name in part.extra:
        losses.note(f"{path}.{name}")
    return {}


def _written_text(part: Text, assistant: bool, own: bool, path: str, losses: Losses) -> Any:
    extra = noted(part, own, path, losses)
    if not assistant:
        if part.annotations:
            losses.note(f"{path}.annotations")
        return {"type": "input_text", "text": part.text, **extra}
    if part.annotations and not own:
        losses.note(f"{path}.annotations")
    kept = list(part.annotations) if own else []
    return {"type": "output_text", "text": part.text, "annotations": kept, **extra}


def _written_media(part: Media, own: bool, path: str, losses: Losses) -> Any:
    write = {"image": _written_image, "document": _written_file, "audio": _written_audio}
    value = write[part.kind](part) if part.kind in write else None
    if value is None:
        losses.note(path)
        return None
    return {**value, **noted(part, own, path, losses)}


def _written_image(part: Media) -> Any:
    detail = known(detail=part.detail)
    if part.data is not None:
        url = f"data:{part.media_type or 'image/png'};base64,{part.data}"
        return {"type": "input_image", "image_url": url, **detail}
    if part.url is None and part.file_id is None:
        return None
    return {"type": "input_image", **known(image_url=part.url, file_id=part.file_id), **detail}


def _written_file(part: Media) -> Any:
    if part.text is not None:
        return {"type": "input_text", "text": part.text}
    name = known(filename=part.name, detail=part.detail)
    if part.data is None:
        if part.url is None and part.file_id is None:
            return None
        return {"type": "input_file", **known(file_url=part.url, file_id=part.file_id), **name}
    if part.media_type is None:
        return {"type": "input_file", "file_data": part.data, **name}
    data = f"data:{part.media_type};base64,{part.data}"
    named = {"filename": f"document.{_ENDINGS.get(part.media_type, 'bin')}", **name}
    return {"type": "input_file", "file_data": data, **named}


def _written_audio(part: Media) -> Any:
    if part.data is None:
        return None
    kind = part.media_type or "audio/wav"
    sound = {"data": part.data, "format": _SOUNDS.get(kind, kind.removeprefix("audio/"))}
    return {"type": "input_audio", "input_audio": sound}
