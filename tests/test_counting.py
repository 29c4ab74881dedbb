"""
Estimates of tokens: near what tokenizers make of text, and whatever it is, never an error.

The numbers to compare with were counted once by two tokenizers that their providers have made
public: ``o200k_base`` of OpenAI's models, and the one of Claude 2.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.dialects.conversation import (
    Format,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from yallmp.dialects.counting import (
    IMAGE,
    TOOLS,
    estimated_tokens,
    image_tokens,
    json_tokens,
    text_tokens,
)

#: A text, and what the two tokenizers make of it.
COUNTED = (
    (
        (
            "The proxy keeps a record of every request, so that an operat"
            "or can see what happened. When a backend fails, the next one"
            " answers, and the client notices nothing."
        ),
        34,
        34,
    ),
    (
        (
            'def read(self, event):\n    """What *event* says."""\n    valu'
            "e = parsed(event.data)\n    if value is None:\n        return "
            '()\n    return self._deltas(value["type"])\n'
        ),
        40,
        44,
    ),
    (
        (
            '{"name": "get_weather", "input_schema": {"type": "object", "'
            'properties": {"city": {"type": "string"}, "days": {"type": "'
            'integer"}}, "required": ["city"]}}'
        ),
        46,
        47,
    ),
    (
        "2026-11-24T22:07:34.123Z INFO GET /v1/models 200 17ms id=9f86d081884c 127.0.0.1:53412",
        46,
        45,
    ),
    (
        "人工智能正在改变我们的生活方式。越来越多的企业开始使用大型语言模型来提高工作效率。",
        22,
        36,
    ),
    (
        (
            "Сегодня утром мы обсуждали новые требования к системе, котор"
            "ые должны быть выполнены до конца месяца."
        ),
        19,
        49,
    ),
    (
        (
            "Die Bundesregierung hat gestern beschlossen, die Förderung e"
            "rneuerbarer Energien auszuweiten."
        ),
        17,
        31,
    ),
    (
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        43,
        44,
    ),
)


def request(*parts: Part, **members: Any) -> Request:
    """A request of one message."""
    return evolve(Request("messages", "m", (Turn("user", parts),)), **members)


def png(width: int, height: int) -> bytes:
    """The beginning of a PNG."""
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + size + bytes(50)


def jpeg(width: int, height: int) -> bytes:
    """The beginning of a JPEG, with a segment before its frame."""
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return b"\xff\xd8\xff\xe0\x00\x10" + bytes(14) + b"\xff\xc0\x00\x11\x08" + size + bytes(50)


def webp(width: int, height: int) -> bytes:
    """The beginning of an extended WebP."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00" + size + bytes(50)


def gif(width: int, height: int) -> bytes:
    """The beginning of a GIF."""
    return b"GIF89a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") + bytes(50)


class TextTests(SynchronousTestCase):
    """Text."""

    def test_near_what_tokenizers_count(self) -> None:
        """It is within a fifth of one of them, or between the two."""
        for text, *counted in COUNTED:
            about = text_tokens(text)
            self.assertGreaterEqual(about, min(counted) * 0.8, text)
            self.assertLessEqual(about, max(counted) * 1.2, text)

    def test_nothing(self) -> None:
        """No text has no tokens."""
        self.assertEqual(text_tokens(""), 0)

    @settings(max_examples=100)
    @given(st.text(), st.text())
    def test_more_is_more(self, one: str, other: str) -> None:
        """A text is not estimated at less for what is put behind it, but for rounding."""
        self.assertGreaterEqual(text_tokens(one + " . " + other) + 1, text_tokens(one))

    @settings(max_examples=100)
    @given(st.text(min_size=1))
    def test_bounds(self, text: str) -> None:
        """It is never more than three tokens a character."""
        self.assertLessEqual(text_tokens(text), 3 * len(text))


class ImageTests(SynchronousTestCase):
    """Images."""

    def test_by_their_size(self) -> None:
        """Pixels by 750, whatever kind of image it is."""
        for make in (png, jpeg, webp, gif):
            data = b64encode(make(750, 500)).decode()
            self.assertEqual(image_tokens(data), 500, make.__name__)

    def test_scaled_down(self) -> None:
        """A large one is looked at as a smaller one, and none takes more than the most."""
        self.assertEqual(image_tokens(b64encode(png(8000, 1000)).decode()), 410)
        self.assertEqual(image_tokens(b64encode(png(8000, 8000)).decode()), IMAGE)

    @settings(max_examples=100)
    @given(st.binary(max_size=60), st.sampled_from([b"", png(1, 1)[:8], b"\xff\xd8\xff", b"GIF8"]))
    def test_anything(self, data: bytes, start: bytes) -> None:
        """What cannot be read counts as the largest; nothing raises."""
        about = image_tokens(b64encode(start + data).decode())
        self.assertTrue(0 < about <= IMAGE)
        self.assertEqual(image_tokens("no base64!"), IMAGE)


class RequestTests(SynchronousTestCase):
    """Whole requests."""

    def test_all_of_it_counts(self) -> None:
        """Whatever is said anywhere adds to it."""
        plain = estimated_tokens(request(Text("hello")))
        long = "one two three four five six seven eight nine ten"
        for part in (
            Text(long), Reasoning(long), Reasoning(summary=(long,)), Refusal(long),
            ToolCall("a", "f", '{"a": [1, 2, 3, 4, 5]}'), ToolResult("a", (Text(long),)),
            Media("document", text=long), Media("image", url="https://example.com/a.png"),
            Reasoning(encrypted="A" * 100, redacted=True), Media("document", data="A" * 400),
            Opaque("messages", {"type": "x", "y": long}),
        ):  # fmt: skip
            self.assertGreater(estimated_tokens(request(Text("hello"), part)), plain + 9, part)

    def test_system_and_tools(self) -> None:
        """So do the system prompt, tools and the schema of the answer."""
        plain = request(Text("hello"))
        system = evolve(plain, turns=(Turn("system", (Text("be brief"),)), *plain.turns))
        self.assertGreater(estimated_tokens(system), estimated_tokens(plain))
        schema = {"type": "object", "properties": {"a": {"type": "string"}}}
        tool = Tool("f", "does it", schema)
        more = estimated_tokens(evolve(plain, tools=(tool,))) - estimated_tokens(plain)
        self.assertGreater(more, TOOLS + json_tokens(schema))
        own = evolve(plain, tools=(Tool("w", kind="web", value={"type": "web", "uses": 1}),))
        self.assertGreater(estimated_tokens(own), estimated_tokens(plain) + TOOLS)
        form = evolve(plain, format=Format("json_schema", schema=schema))
        self.assertEqual(estimated_tokens(form), estimated_tokens(plain) + json_tokens(schema))

    def test_at_least_one(self) -> None:
        """An empty request has a token; the API says so, too."""
        self.assertEqual(estimated_tokens(Request("messages", "m")), 1)
