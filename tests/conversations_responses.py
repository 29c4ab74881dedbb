"""
Requests for Responses as hypothesis makes them, of what the API reference has.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

JSON = Any
WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
NAMES = st.text("abcdefgh_", min_size=1, max_size=8)
#: The tools that calls in these conversations are of.
OFFERED = ({"type": "custom", "name": "patch", "format": {"type": "text"}},
           {"type": "namespace", "name": "agents", "description": "others", "tools": [
               {"type": "function", "name": "spawn", "parameters": {"type": "object"},
                "strict": False}]})  # fmt: skip
_BASE64 = st.sampled_from(["AAAA", "iVBORw0KGgo="])
_DETAILS = st.sampled_from(["low", "high", "auto"])


def objects(required: dict[str, Any], optional: dict[str, Any] | None = None) -> Any:
    """Objects with all *required* members and some *optional* ones."""
    return st.fixed_dictionaries(required, optional=optional or {})


_TEXT = objects({"type": st.just("input_text"), "text": WORDS})
_IMAGE = objects(
    {
        "type": st.just("input_image"),
        "image_url": st.one_of(
            st.builds("data:image/png;base64,{}".format, _BASE64),
            st.just("https://example.com/a.png"),
            st.just("data:,odd"),
        ),
    },
    {"detail": _DETAILS},
)
_FILE = st.one_of(
    objects(
        {"type": st.just("input_file"),
         "file_data": st.builds("data:application/pdf;base64,{}".format, _BASE64)},
        {"filename": NAMES},
    ),
    objects({"type": st.just("input_file"), "file_url": st.just("https://example.com/a.pdf")}),
    objects({"type": st.just("input_file"), "file_id": NAMES}, {"detail": _DETAILS}),
)  # fmt: skip
_AUDIO = objects(
    {
        "type": st.just("input_audio"),
        "input_audio": objects({"data": _BASE64, "format": st.sampled_from(["mp3", "wav"])}),
    }
)
_PARTS = st.lists(st.one_of(_TEXT, _IMAGE, _FILE, _AUDIO), min_size=1, max_size=3)
_OUTPUTS = st.one_of(st.text(max_size=8), st.lists(st.one_of(_TEXT, _IMAGE, _FILE), max_size=2))
_STATUS = st.sampled_from(["completed", "incomplete"])
_URL = {"type": "url_citation", "start_index": 0, "end_index": 1, "title": "t", "url": "u"}
_SAID = st.lists(
    st.one_of(
        objects(
            {"type": st.just("output_text"), "text": WORDS},
            {"annotations": st.sampled_from([[], [_URL]])},
        ),
        objects({"type": st.just("refusal"), "refusal": WORDS}),
    ),
    min_size=1,
    max_size=2,
)
_SUMMARIES = st.lists(objects({"type": st.just("summary_text"), "text": WORDS}), max_size=2)
_THOUGHTS = st.lists(
    objects({"type": st.just("reasoning_text"), "text": WORDS}), min_size=1, max_size=1
)

ITEMS = st.one_of(
    objects({"role": st.sampled_from(["user", "system", "developer"]), "content": WORDS}),
    objects({"role": st.just("user"), "content": _PARTS}, {"type": st.just("message"),
                                                          "status": _STATUS}),
    objects({"role": st.just("assistant"), "content": WORDS}, {"phase": st.just("commentary")}),
    objects({"type": st.just("message"), "id": NAMES, "role": st.just("assistant"),
             "status": _STATUS, "content": _SAID}),
    objects({"type": st.just("function_call"), "call_id": NAMES, "name": NAMES,
             "arguments": st.sampled_from(["{}", '{"a": 1}', ""])},
            {"id": NAMES, "status": _STATUS}),
    objects({"type": st.just("function_call"), "call_id": NAMES, "name": st.just("spawn"),
             "namespace": st.just("agents"), "arguments": st.just("{}")}),
    objects({"type": st.just("function_call_output"), "call_id": NAMES, "output": _OUTPUTS},
            {"id": NAMES, "status": _STATUS}),
    objects({"type": st.just("custom_tool_call"), "call_id": NAMES, "name": st.just("patch"),
             "input": st.text(max_size=8)}, {"id": NAMES}),
    objects({"type": st.just("custom_tool_call_output"), "call_id": NAMES, "output": _OUTPUTS}),
    objects({"type": st.just("reasoning"), "id": NAMES, "summary": _SUMMARIES},
            {"content": _THOUGHTS, "encrypted_content": NAMES, "status": _STATUS}),
    objects({"type": st.just("web_search_call"), "id": NAMES, "status": st.just("completed"),
             "action": st.just({"type": "search", "query": "q"})}),
    objects({"type": st.just("mcp_approval_response"), "approval_request_id": NAMES,
             "approve": st.booleans()}),
)  # fmt: skip
_FUNCTIONS = objects(
    {"type": st.just("function"), "name": NAMES, "parameters": st.just({"type": "object"})},
    {"strict": st.booleans(), "description": WORDS, "defer_loading": st.booleans()},
)
_OWN_TOOLS = st.sampled_from([
    {"type": "web_search", "external_web_access": False},
    {"type": "local_shell"},
    {"type": "mcp", "server_label": "s", "server_url": "https://example.com"},
    {"type": "image_generation"},
])  # fmt: skip
_CHOICES = st.sampled_from([
    "auto", "none", "required", {"type": "function", "name": "f"}, {"type": "web_search_preview"},
    {"type": "custom", "name": "patch"}, {"type": "mcp", "server_label": "s"},
    {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
])  # fmt: skip
_FORMATS = st.sampled_from([
    {"type": "text"}, {"type": "json_object"},
    {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True},
])  # fmt: skip
_INCLUDED = st.lists(
    st.sampled_from(["reasoning.encrypted_content", "message.output_text.logprobs"]),
    min_size=1,
    unique=True,
)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, JSON]:
    """Bodies of requests."""
    body: dict[str, JSON] = draw(
        objects(
            {
                "model": NAMES,
                "input": st.one_of(WORDS, st.lists(ITEMS, min_size=1, max_size=6)),
                "tools": st.lists(st.one_of(_FUNCTIONS, _OWN_TOOLS), max_size=2),
            },
            {
                "instructions": WORDS,
                "tool_choice": _CHOICES,
                "parallel_tool_calls": st.booleans(),
                "stream": st.just(True),
                "max_output_tokens": st.integers(1, 100),
                "temperature": st.sampled_from([0.5, 1, 2]),
                "top_p": st.sampled_from([0.5, 1]),
                "top_logprobs": st.integers(1, 20),
                "include": _INCLUDED,
                "text": objects({"verbosity": st.just("low")}, {"format": _FORMATS}),
                "reasoning": objects({"effort": st.just("low")}, {"summary": st.just("auto"),
                                                                  "mode": st.just("pro")}),
                "metadata": st.just({"a": "b"}),
                "user": NAMES,
                "prompt_cache_key": NAMES,
                "service_tier": st.just("flex"),
                "truncation": st.just("auto"),
                "max_tool_calls": st.integers(1, 9),
            },
        )
    )  # fmt: skip
    body["tools"] = [*body["tools"], *OFFERED]
    return body


def normal(body: dict[str, JSON]) -> dict[str, JSON]:
    """*body* in the longest of several ways to say the same."""
    items = body.get("input", [])
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    return {**body, "input": [_normal(item) for item in items]}


def _normal(item: dict[str, JSON]) -> dict[str, JSON]:
    if item.get("type", "message") == "message":
        kind = "output_text" if item["role"] == "assistant" else "input_text"
        return {**item, "type": "message", "content": _parts(item["content"], kind)}
    if "output" in item:
        return {**item, "output": _parts(item["output"], "input_text")}
    return item


def _parts(content: JSON, kind: str) -> JSON:
    if isinstance(content, str):
        content = [{"type": kind, "text": content}] if content else []
    return [{name: value for name, value in part.items() if value != []} for part in content]
