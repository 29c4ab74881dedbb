"""
Our own endpoints under schemathesis: a process as a user starts it, and its own description.

The description is made a little stricter for the run: this proxy has keys, so that none of
them is optional, and where a model is named it is mostly one that is there.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from chaos import secrets
from chaos.proxy import OURS, Proxy, environment

MODEL = "fuzzed"
#: A description says what good data is, not that all of it is accepted: a model may be unknown.
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance", "negative_data_rejection",
    "unsupported_method", "allow_header_conformance", "ignored_auth",
)  # fmt: skip
CONFIG: dict[str, Any] = {
    "model_list": [{"model_name": MODEL, "litellm_params": {"mock_response": "hello"}}],
    "general_settings": {
        "server": {"host": "127.0.0.1", "port": 0},
        "api_keys": {"fuzz": secrets.CLIENT},
        "admin_key": secrets.ADMIN,
        "enable_responses_endpoint": True,
    },
    "logging": {"directory": "logs"},
}


def strict(description: dict[str, Any]) -> dict[str, Any]:
    """*description* as it is for a proxy that has keys."""
    made: dict[str, Any] = json.loads(json.dumps(description))
    for item in made["paths"].values():
        for operation in item.values():
            if "security" in operation:
                operation["security"] = [each for each in operation["security"] if each]
    for name in ("Chat", "Prompt", "Input"):
        model = made["components"]["schemas"][name]["properties"]["model"]
        model.update(anyOf=[{"const": MODEL}, {"minLength": 1}], examples=[MODEL])
    return made


def run(examples: int, seed: int) -> list[str]:
    """What was found, for people; *examples* requests for each operation, chosen by *seed*."""
    proxy = Proxy(OURS, CONFIG)
    try:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            found = _tried(proxy, Path(folder), [str(examples), str(seed)])
        return found + _traces(proxy)
    finally:
        proxy.remove()


def _tried(proxy: Proxy, folder: Path, numbers: list[str]) -> list[str]:
    address = f"http://127.0.0.1:{proxy.port}"
    with urlopen(f"{address}/openapi.json", timeout=10) as answer:
        description = strict(json.load(answer))
    (folder / "openapi.json").write_text(json.dumps(description), encoding="utf-8")
    (folder / "schemathesis.toml").write_text(_settings(), encoding="utf-8")
    said = subprocess.run(
        _words(address, numbers), cwd=folder, env=environment(), capture_output=True, check=False
    )
    text = said.stdout.decode("utf-8", "replace")
    print(_summary(text), flush=True)
    return [text[-20_000:], said.stderr.decode("utf-8", "replace")] if said.returncode else []


def _settings() -> str:
    """Which key is for which scheme."""
    return "\n".join(
        [
            f"[auth.openapi.bearer]\nbearer = {json.dumps(secrets.CLIENT)}",
            f"[auth.openapi.key]\napi_key = {json.dumps(secrets.CLIENT)}",
            f"[auth.openapi.admin]\nbearer = {json.dumps(secrets.ADMIN)}",
        ]
    )


def _words(address: str, numbers: list[str]) -> list[str]:
    examples, seed = numbers
    return [
        sys.executable, "-c", "from schemathesis.cli import schemathesis as s; s()",
        "--config-file", "schemathesis.toml", "run", "openapi.json", "--url", address,
        "--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing",
        "--max-examples", examples, "--seed", seed, "--request-timeout", "20",
        "--generation-database", "none", "--continue-on-failure", "--no-color",
        "--suppress-health-check", "all", "--no-shrink", "--warnings", "off",
    ]  # fmt: skip


def _summary(said: str) -> str:
    """How much was tried, in its own words."""
    start = said.find(" SUMMARY ")
    return re.sub(r"\n{2,}", "\n", said[start:].partition("\n")[2]).strip()[:2500]


def _traces(proxy: Proxy) -> list[str]:
    """What the proxy's log has that it should not have."""
    proxy.end()
    return ["the proxy's log has a traceback:\n" + proxy.said[-4000:]] * ("Traceback" in proxy.said)
