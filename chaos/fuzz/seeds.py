"""Small inputs to begin with, and the words that stand in them."""

from __future__ import annotations

import gzip
import json
import struct
import zlib

#: Has what JSON, URLs and base64 write otherwise.
SECRET = 'sk-se/cr"et+0123456789abcdef'


def _cut(*inputs: bytes) -> tuple[bytes, ...]:
    """Each of them, cut at a third and at two thirds."""
    return tuple(b"\x55\xaa" + each for each in inputs)


def _request(body: bytes, *fields: bytes, start: bytes = b"POST /v1/chat/completions") -> bytes:
    lines = [start + b" HTTP/1.1", b"Host: 127.0.0.1", *fields, b"", b""]
    return b"\r\n".join(lines) + body


def _chat(**more: object) -> bytes:
    value = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **more}
    body = json.dumps(value).encode()
    return _request(body, b"Content-Length: %d" % len(body), b"Content-Type: application/json")


_GET = _request(b"", start=b"GET /v1/models")
HEADS = (
    _chat(),
    _GET,
    _request(b"", b"X-A: \t1 ", b"x-b:2", start=b"HEAD /a?b=%20"),
    _request(b"abc", b"Content-Length: 3", b"Connection: keep-alive"),
    b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
)
_ADMIN = (b"Authorization: Bearer fuzz-administrator-0123", b"Content-Type: application/json")
REQUESTS = _cut(
    *HEADS,
    _chat(stream=True),
    _chat(model="nobody"),
    _chat(stream="yes", n=2),
    _GET + _chat() + _GET,
    b"\r\n" + _GET.replace(b"1.1", b"1.0"),
    _request(b"", start=b"GET /v1/models/a%2fb"),
    _request(b"", start=b"GET /openapi.json"),
    _request(b"", b"Origin: http://a", b"Access-Control-Request-Method: POST",
             start=b"OPTIONS /v1/models"),
    _request(b"", *_ADMIN, start=b"GET /admin/models"),
    _request(b"", *_ADMIN, start=b"GET /metrics"),
    _request(b"", *_ADMIN, b"Content-Length: 0", start=b"POST /admin/reload"),
    _request(b"", *_ADMIN[1:], start=b"DELETE /admin/models/m"),
    _request(b"{}", *_ADMIN, b"Content-Length: 2", start=b"POST /admin/models"),
    _request(b"4\r\n{}  \r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
    _request(b"{}", b"Expect: 100-continue", b"Content-Length: 2"),
    _request(b"x", b"Content-Encoding: gzip", b"Content-Length: 1"),
    _request(b"{}", b"X-Yallmp-Hops: 9", b"Content-Length: 2"),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)  # fmt: skip
CHUNKS = _cut(
    b"5\r\nhello\r\n0\r\n\r\n",
    b"3;a=b\r\nabc\r\n0A\r\n0123456789\r\n000\r\nX-A: 1\r\n\r\n",
    b"2 \r\n{}\r\n0\r\nContent-Length: 3\r\n\r\n",
    b'1;a="\r\n"\r\nx\r\n0\r\n\r\n',
    b"0x2\r\n{}\r\n0\r\n\r\n",
    b"2\n{}\n0\n\n",
    b"ffffffffffffffff\r\n",
)
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ANSWERS = _cut(
    _OK + b"Content-Length: 2\r\n\r\n{}",
    _OK + b"Transfer-Encoding: chunked\r\n\r\n2;a\r\n{}\r\n0\r\nX-A: 1\r\n\r\n",
    _OK + b"\r\n{} until the end",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 204 No\r\nConnection: keep-alive\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    _OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    _OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    _OK + b"Content-Length: 2\r\n\r\n{}HTTP/1.1 101 Switching\r\nUpgrade: x\r\n"
    b"Connection: upgrade\r\n\r\n",
)
HTTP = (
    b"GET ", b"POST ", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"\r\n\r\n", b"\r\n", b"\n", b"\r",
    b"Host: ", b"Content-Length: ", b"Transfer-Encoding: chunked", b"Connection: close",
    b"Expect: 100-continue", b"Upgrade: ", b"Content-Encoding: ", b"Origin: null",
    b"Authorization: Bearer ", b"x-api-key: ", b"/v1/chat/completions", b"/admin/models",
    b"0\r\n\r\n", b"ffffffff", b";", b": ", b"\t", b"\0", b"\xff", b"%2f", b"%ff", b"//", b"?",
)  # fmt: skip


def _said(text: str = "a", **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return b"data: " + json.dumps({"choices": [{**choice, **more}]}).encode() + b"\n\n"


_ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'
_STOP = _said("", finish_reason="stop")
_DONE = b"data: [DONE]\n\n"
STREAMS = _cut(
    _ROLE + _said() + _said("b") + _STOP + _DONE,
    _said() + _said() + _said("c"),
    _ROLE + b'data: {"error":{"message":"m","code":429}}\n\n',
    _said() + b'data: {"choices":[],"usage":{"total_tokens":3}}\n\n' + _DONE,
    b": ping\n\nevent: x\nid: 1\nretry: 9\ndata: {}\ndata:{}\n\n" + _said(),
    (_said() + _said("b")).replace(b"\n", b"\r\n"),
    (_said() + _said("b")).replace(b"\n", b"\r"),
    b"\xef\xbb\xbf" + _said() + b'data: {"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}\n\n',
    _said() + b"data: {no\n\ndata: [DONE",
    b'data: {"choices":[{"index":0,\r"delta":{"content":"aaaaaaaaaaaaaaaaaaaaaaaaaaaa"}}]}\n\n',
)
EVENTS = (
    b"data: ", b"data:", b"event: ", b"id: ", b"retry: ", b": ", b"\n\n", b"\r\n\r\n", b"\r\r",
    b"\n", b"\r", b"[DONE]", b"\xef\xbb\xbf", b'{"choices":[{"delta":{"content":"', b'"}}]}',
    b'"error":', b'"finish_reason":"stop"', b'"usage":', b"}\n\ndata: {", b'"index":1',
    b'"tool_calls":', b'"type":"error"', b"\\u0065", b"\\ud83d", b"null", b"\xc3", b"{", b"}",
)  # fmt: skip
_PLAIN = b'{"choices": [{"message": {"content": "hi"}}]}' * 3
COMPRESSED = _cut(
    gzip.compress(_PLAIN, mtime=0),
    zlib.compress(_PLAIN),
    gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0) + b"\0\0",
    gzip.compress(bytes(60000), mtime=0),
    gzip.compress(_PLAIN, mtime=0)[:-3],
)
FRAMES = _cut(
    b"".join(struct.pack(">BQI", what, 7, 3) + b"abc" for what in range(3)),
    bytes(40),
    b"\x01" * 40,
)
BODIES = (
    b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": true}',
    b' {"a":1.0,"model":"m" , "b":[{"c":[[]]}],"d":"\\u00e9\\ud83d\\ude42"} \n',
    '{"é": "ü", "model": "m"}'.encode(),
    b'{"model": "m", "model": "n"}',
    b'{"mod\\u0065l": "m", "n": NaN, "x": -Infinity}',
    b'{"model": "m", "n": 1e999, "big": ' + b"9" * 60 + b"}",
    b'{"a": "\\ud800", "b": "\xed\xa0\x80"}',
    b'{"a":' + b"[" * 70 + b"]" * 70 + b"}",
    b"[1]",
    b'{"a": "[[[{{{", "previous_response_id": "x", "file_id": "y"}',
)
JSON = (
    b'"model"', b'"messages"', b'"stream"', b"true", b"false", b"null", b"NaN", b"Infinity",
    b"-0", b"1e9", b"\\u0000", b"\\ud800", b"\\ude42", b'\\"', b"\\\\", b"{", b"}", b"[", b"]",
    b":", b",", b'"', b'"choices"', b'"error"', b'"usage"', b'"finish_reason"', b'"message"',
    b'"data"', b'"results"', b'"output"', b'"status"', b'"failed"', b'"type"', b'"object"',
    b'"litellm_params"', b'"fallbacks"', b'"api_base"', b'"http://a/v1"', b'"model_name"',
    b'"detail"', b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff", b"9999999999999999999999",
)  # fmt: skip
TEXTS = (
    b"plain", "Grüße, 世界 🙂".encode(), b"\n\r\t\x1b[2J\x7f\\", b"\\x41\\n\\\\", b"\\",
    b"\xff\xed\xa0\x80", "\u2028\u202e\u2066\ufeff\x85".encode(),
)  # fmt: skip
_KEY = SECRET.encode()
MASKED = _cut(
    b"before " + _KEY + b" after",
    _KEY[:20] + _KEY + _KEY[6:],
    json.dumps({"key": SECRET}).encode(),
    b"Authorization: Bearer " + _KEY,
    b"http://u:p@h/?api_key=" + _KEY + b"&x=1",
    _KEY[:18],
)
SECRETS = (_KEY, _KEY[:9], _KEY[9:], _KEY[6:], b"****", b"api_key=", b"Authorization: ", b"://")


def _log(*sections: bytes, body: bytes = b"") -> bytes:
    framed = b"body: %d bytes\n%b\n" % (len(body), body)
    return b"yallmp-log 1 0\n\n" + sections[0] + framed + b"\n" + b"".join(sections[1:])


_BEGUN = (
    b"@0 request\ntime: 2026-11-24T12:00:00.000Z\nclient: 127.0.0.1:1\n"
    b"listener: http://127.0.0.1:8000\nmethod: POST\npath: /v1/chat/completions\n"
    b"query: a=%20&key=****\nheader: Content-Type: application/json\n"
    b"header (masked): Authorization: Bearer ****\n"
)
_COURSE = (
    b"@0 route\nmodel: m\nbackend: m\nreason: because\n\n"
    b"@0 attempt 1\nat: 0.100 ms\nbackend: m\nurl: http://a/v1\nheader: X: y\n"
    b"change-at: 1\nchange-old: a\nchange-new: b\n\n"
    b"@0 answer 1\nat: 1.000 ms\nstatus: 200\nconnection: new\nconnected: 0.500 ms\n\n"
    b"@0 read 1\nat: 2.000 ms\nbody: 2 of 9 bytes, masked\nhi\n\n"
    b"@0 ended 1\nat: 3.000 ms\nbackend: m\nstatus: 200\nfirst-content: 2.000 ms\n\n"
    b"@0 note\nat: 3.000 ms\ntext: a\\nb\n\n"
    b"@0 end\nat: 4.000 ms\noutcome: ok\nstatus: 200\nsent: 2 bytes\nbackend: m\nattempts: 1\n"
    b"usage: prompt 1, completion 2, total 3\n\n"
)
RECORDS = (
    _log(_BEGUN, _COURSE, body=b'{"model": "m"}'),
    _log(_BEGUN, body=b"\xff'\x00"),
    _log(_BEGUN, b"@0 end\nat: 1.000 ms\n\n"),
    b"yallmp-log 2 0\n\n",
    _log(_BEGUN, b"! given up\n"),
)
LOG = (
    b"@0 ", b"request", b"attempt 1", b"answer 1", b"read 1", b"ended 1", b"note", b"end",
    b"body: ", b" of ", b" bytes", b", masked", b" (masked)", b"header: ", b"query: ", b"url: ",
    b"listener: ", b"path: ", b"method: ", b"time: ", b" ms", b"\n\n", b"\\x", b"\\", b"-", b"\n!",
    b"change-at: ", b"usage: ", b"99999999999999999", b"****", b"@0 end\n",
    b"0001-01-01T00:00:00.0Z",
)  # fmt: skip
_GOOD = {"choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}
WHOLES = tuple(
    bytes([number]) + json.dumps(value).encode()
    for number, value in enumerate(
        (
            {**_GOOD, "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
            {"error": {"message": "m", "type": "t", "code": "rate_limit_exceeded"}},
            {"data": [{"embedding": [0.5, -1e-5]}], "usage": {"total_tokens": 1}},
            {"results": [{"index": 0, "relevance_score": 0.5}]},
            [{"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}}],
            {"object": "response", "status": "completed", "output": [{"type": "message"}]},
            {"detail": [{"msg": "m"}]},
            {"error": "no"},
        )
    )
)
CONFIGS = (
    (
        b"model_list:\n- model_name: m\n  litellm_params: {model: openai/x, api_base: http://a/v1,"
        b" api_key: $A}\n"
    ),
    (
        b"model_list: [{model_name: a, litellm_params: {mock_response: x}}]\n"
        b"router_settings: {fallbacks: [{a: [b]}], num_retries: 2}\n"
        b"general_settings: {api_keys: {k: sk-0123456789}, server: {listen: 'tcp:8000'}}\n"
        b"limits: {max_body_bytes: 32M}\nlogging: {max_age: 7d, directory: /tmp}\n"
    ),
    b"a: &x {b: *x}\n? [c]\n: !!int x\n<<: {d: 1}\n",
    b"A=1\nexport B='x'\nC=\"$A\\n\" # c\n",
    b"${A:-x}$B$$os.environ/A",
)
YAML = (
    b"model_list:", b"model_name:", b"litellm_params:", b"api_base:", b"api_key:", b"model:",
    b"router_settings:", b"general_settings:", b"limits:", b"logging:", b"fallbacks:", b"server:",
    b"os.environ/", b"${", b":-", b"!!", b"&a", b"*a", b"<<:", b"? ", b"---", b"...", b"[", b"]",
    b"{", b"}", b"\n- ", b"\n  ", b": ", b"#", b"|", b">", b"%", b"'", b'"', b"2026-01-01",
    b"0x1f", b"1e3", b".inf", b".nan", b"yes", b"~", b"tcp:", b"unix:", b"ssl:", b"32M", b"7d",
    b"listen:", b"workers:", b"tls:", b"extra_headers:", b"mock_response:", b"timeout:",
)  # fmt: skip
NAMES = (
    b"127.0.0.1", b"0x7f.1", b"2130706433", b"::ffff:169.254.169.254", b"[fd00:ec2::254]:80",
    b"64:ff9b::a9fe:a9fe", b"fe80::1%eth0", b"localhost.", b"LOCALHOST:8000", b"example.org",
    b"http://user:password@proxy:3128", b"https://a", b".example.org, 10.0.0.0/8,*", b"[::1]",
    b"tcp:8000:interface=127.0.0.1", b"unix:/a/b", b"ssl:443:privateKey=a", b"auto", b"3",
    b"2026-11-24/12-00-00.000_m_0123456789ab.log", b"1, 2, 9" * 3, b"0177.0.0.01", b"256.1",
)  # fmt: skip
REGISTRATIONS = (
    b'{"model_name": "x", "api_base": "http://127.0.0.1:1/v1", "fallbacks": ["m"]}',
    (
        b'{"name": "x", "litellm_params": {"model": "openai/y", "api_base": "http://[::1]/v1",'
        b' "api_key": "sk-0123456789", "timeout": 3, "extra_headers": {"a": "b"}}}'
    ),
    b'{"model_name": "x", "mock_response": "y", "fallbacks": "z"}',
    b'{"model_name": "x", "api_base": "http://169.254.169.254/", "ssl_verify": false}',
    b'{"model_name": "x", "api_base": "http://0x7f.1:99999/v1?a#b"}',
)
