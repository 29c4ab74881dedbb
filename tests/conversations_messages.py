"""
Requests of Messages, made at random of what the reference of the API has.

They are what a careful client sends: users and assistants take turns, results follow their calls
and come first, no text is empty.  What the API takes in two forms that mean the same (a text, or
one block of it) is made in both; :func:`plainly` gives the one that is written.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

JSON = dict[str, Any]

WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
#: The end of an answer that is gone on with must not be blank, so no text ends so.
TEXTS = WORDS.map(lambda text: text + ".")
NAMES = st.from_regex(r"[a-zA-Z0-9_-]{1,10}", fullmatch=True)
BASE64 = st.sampled_from(["AAAA", "iVBORw0KGgo=", "/9j/4AAQ"])
CACHES = st.sampled_from([{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
INPUTS = st.dictionaries(WORDS, VALUES, max_size=3)


def block(kind: str, /, needs: JSON | None = None, **may: Any) -> st.SearchStrategy[JSON]:
    """Blocks of a *kind* with the members that it needs, and some of those that it may have."""
    needed = {"type": st.just(kind), **(needs or {})}
    return st.fixed_dictionaries(needed, optional=may)


CITATIONS = block(
    "char_location",
    {
        "cited_text": WORDS,
        "document_index": st.just(0),
        "document_title": WORDS,
        "start_char_index": st.just(0),
        "end_char_index": st.just(3),
    },
)
TEXT = block("text", {"text": TEXTS}, cache_control=CACHES)
CITED = block("text", {"text": TEXTS, "citations": st.lists(CITATIONS, min_size=1, max_size=2)})
URLS = block("url", {"url": st.just("https://example.com/a")})
FILES = block("file", {"file_id": NAMES})
IMAGE = block(
    "image",
    {
        "source": URLS
        | FILES
        | block("base64", {"media_type": st.just("image/png"), "data": BASE64})
    },
    cache_control=CACHES,
)
DOCUMENT = block(
    "document",
    {
        "source": URLS
        | FILES
        | block("base64", {"media_type": st.just("application/pdf"), "data": BASE64})
        | block("text", {"media_type": st.just("text/plain"), "data": TEXTS})
        | block("content", {"content": TEXTS | st.lists(TEXT | IMAGE, min_size=1, max_size=2)})
    },
    title=TEXTS,
    context=TEXTS,
    citations=st.just({"enabled": True}),
    cache_control=CACHES,
)
FOUND = block(
    "search_result",
    {"source": WORDS, "title": TEXTS, "content": st.lists(TEXT, min_size=1, max_size=2)},
    citations=st.just({"enabled": True}),
)
THINKING = block("thinking", {"thinking": WORDS, "signature": NAMES}) | block(
    "redacted_thinking", {"data": BASE64}
)
OWN = block(
    "server_tool_use", {"id": NAMES, "name": st.just("web_search"), "input": INPUTS}
) | block("container_upload", {"file_id": NAMES})
RESULT_CONTENT = TEXTS | st.lists(TEXT | IMAGE | DOCUMENT | FOUND, min_size=1, max_size=3)
ASKED = st.lists(TEXT | IMAGE | DOCUMENT | FOUND, min_size=1, max_size=3)
ANSWERED = st.lists(TEXT | CITED | THINKING | OWN, min_size=1, max_size=3)
SCHEMAS = st.fixed_dictionaries(
    {"type": st.just("object")}, optional={"properties": INPUTS, "required": st.lists(WORDS)}
)
TOOLS = st.fixed_dictionaries(
    {"name": NAMES, "input_schema": SCHEMAS},
    optional={
        "description": WORDS,
        "strict": st.booleans(),
        "cache_control": CACHES,
        "eager_input_streaming": st.booleans(),
        "input_examples": st.lists(INPUTS, min_size=1, max_size=1),
    },
) | block("web_search_20250305", {"name": st.just("web_search")}, max_uses=st.integers(1, 9))
CHOICES = (
    block("auto", disable_parallel_tool_use=st.booleans())
    | block("any", disable_parallel_tool_use=st.booleans())
    | block("tool", {"name": NAMES}, disable_parallel_tool_use=st.booleans())
    | block("none")
)
DISPLAYS = st.sampled_from(["summarized", "omitted"])
REASONING = (
    block("enabled", {"budget_tokens": st.integers(1024, 9999)}, display=DISPLAYS)
    | block("adaptive", display=DISPLAYS)
    | block("disabled")
    | block("between_tools")
)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "effort": st.sampled_from(["low", "medium", "high", "xhigh", "max"]),
        "format": block("json_schema", {"schema": SCHEMAS}),
    },
).filter(bool)
REST: JSON = {
    "system": TEXTS | st.lists(TEXT, min_size=1, max_size=2),
    "stream": st.just(True),
    "temperature": st.floats(0, 1),
    "top_p": st.floats(0, 1),
    "top_k": st.integers(0, 99),
    "stop_sequences": st.lists(TEXTS, min_size=1, max_size=3),
    "thinking": REASONING,
    "output_config": CONFIGS,
    "metadata": st.fixed_dictionaries({"user_id": WORDS}),
    "service_tier": st.sampled_from(["auto", "standard_only"]),
    "container": NAMES,
    "inference_geo": st.just("eu"),
    "speed": st.just("fast"),
    "cache_control": CACHES,
    "context_management": st.just({"edits": [{"type": "clear_tool_uses_20250919"}]}),
    "mcp_servers": st.just([{"type": "url", "url": "https://example.com", "name": "m"}]),
}


@st.composite
def exchanges(draw: st.DrawFn) -> list[JSON]:
    """A question, the use of tools that it leads to, and the next question or answer."""
    asked = draw(TEXTS | ASKED)
    calls = draw(st.lists(st.tuples(NAMES, NAMES, INPUTS), max_size=3))
    uses = [{"type": "tool_use", "id": i, "name": n, "input": v} for i, n, v in calls]
    answered = draw(ANSWERED) if not calls else [*draw(st.just([]) | ANSWERED), *uses]
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    if calls:
        results = [draw(results_of(name)) for name, _, _ in calls]
        messages.append({"role": "user", "content": [*results, *draw(st.just([]) | ASKED)]})
        messages.append({"role": "assistant", "content": draw(TEXTS | ANSWERED)})
    return messages


def results_of(name: str) -> st.SearchStrategy[JSON]:
    """Results of the call with the id *name*."""
    needs = {"tool_use_id": st.just(name)}
    may: JSON = {"content": RESULT_CONTENT, "is_error": st.booleans(), "cache_control": CACHES}
    return block("tool_result", needs, **may)


@st.composite
def requests(draw: st.DrawFn) -> JSON:
    """Bodies of requests."""
    before = [each for part in draw(st.lists(exchanges(), max_size=2)) for each in part]
    body: JSON = {
        "model": draw(st.sampled_from(["claude-sonnet-4-5", "claude-opus-5", "glm-5"])),
        "max_tokens": draw(st.integers(1, 99999)),
        "messages": [*before, {"role": "user", "content": draw(TEXTS | ASKED)}],
    }
    body |= draw(st.fixed_dictionaries({}, optional=REST))
    if draw(st.booleans()):
        body["tools"] = draw(st.lists(TOOLS, min_size=1, max_size=3))
        body |= draw(st.fixed_dictionaries({}, optional={"tool_choice": CHOICES}))
    return body


def plainly(body: JSON) -> JSON:
    """*body* with every text that stands alone in its list in the short form."""
    body = {**body, "messages": [_plain_message(each) for each in body["messages"]]}
    return body | ({"system": _plain(body["system"])} if "system" in body else {})


def _plain_message(message: JSON) -> JSON:
    content = message["content"]
    if isinstance(content, list):
        content = [_plain_result(each) for each in content]
    return {**message, "content": _plain(content)}


def _plain_result(value: JSON) -> JSON:
    if value["type"] != "tool_result" or "content" not in value:
        return value
    return {**value, "content": _plain(value["content"])}


def _plain(content: Any) -> Any:
    alone = isinstance(content, list) and len(content) == 1 and set(content[0]) == {"type", "text"}
    return content[0]["text"] if alone else content
