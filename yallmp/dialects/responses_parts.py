"""
What a message or a tool's output is made of, as Responses puts it.

Sources: OpenAI's API reference, "Create a model response" (``input_text``, ``input_image``,
``input_file``, ``input_audio``, ``output_text``, ``refusal``).
"""

from __future__ import annotations

import re
from typing import Any

from attrs import frozen

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
        return Media("image", file_id=file_id, detail=detail, extra=extra) if file_id else None
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
    data, kind = text_or_none(sound.get("data")), f"audio/{text(sound.get('format'))}"
    if data is None:
        return None
    return Media("audio", kind, data, extra=without(part, "type", "input_audio"))


def _unpacked(url: str) -> tuple[str | None, str | None]:
    """Type and data of a ``data:`` URL; nothing for another one."""
    match = _DATA.match(url)
    return (match[1], url[match.end() :]) if match and len(url) > match.end() else (None, None)


@frozen
class Writing:
    """
    Writes what messages and outputs are made of.

    :ivar own: whether ``extra`` has this dialect's names.
    """

    own: bool
    losses: Losses

    def written(self, part: Part, path: str, *, assistant: bool) -> Any:
        """
        *part*; ``None`` if there is no such thing.

        :param path: where it stood, in the client's words, for what gets lost.
        :param assistant: whether it is the model that says it.
        """
        if isinstance(part, Text):
            return self._text(part, path, assistant)
        if isinstance(part, Refusal):
            return {"type": "refusal", "refusal": part.text}
        if isinstance(part, Opaque) and part.dialect == NAME:
            return part.value
        value = _media(part) if isinstance(part, Media) and not assistant else None
        if value is None or not isinstance(part, Media):
            self.losses.note(path)
            return None
        kept = value if self.own else self._foreign(value, part, path)
        return {**kept, **self.noted(part, path)}

    def noted(self, part: Any, path: str) -> dict[str, Any]:
        """The members of ``extra`` that belong to *part* here; what does not is noted."""
        if part.cache is not None:
            self.losses.note(f"{path}.cache_control")
        if self.own:
            return dict(part.extra)
        for name in part.extra:
            self.losses.note(f"{path}.{name}")
        return {}

    def _text(self, part: Text, path: str, assistant: bool) -> Any:
        extra = self.noted(part, path)
        if part.annotations and not (assistant and self.own):
            self.losses.note(f"{path}.annotations")
        if not assistant:
            return {"type": "input_text", "text": part.text, **extra}
        kept = list(part.annotations) if self.own else []
        return {"type": "output_text", "text": part.text, "annotations": kept, **extra}

    def _foreign(self, value: dict[str, Any], part: Media, path: str) -> dict[str, Any]:
        """*value* with the file's name, which the API wants with ``file_data``."""
        if part.name is not None and "filename" not in value:
            self.losses.note(f"{path}.title")
        if "file_data" not in value:
            return value
        return {"filename": f"document.{_ENDINGS.get(part.media_type or '', 'bin')}", **value}


def _media(part: Media) -> Any:
    write = {"image": _written_image, "document": _written_file, "audio": _written_audio}
    return write[part.kind](part) if part.kind in write else None


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
    return {"type": "input_file", "file_data": data, **name}


def _written_audio(part: Media) -> Any:
    if part.data is None:
        return None
    kind = part.media_type or "audio/wav"
    sound = {"data": part.data, "format": _SOUNDS.get(kind, kind.removeprefix("audio/"))}
    return {"type": "input_audio", "input_audio": sound}
