"""
Mistakes of a user at the start: a line that says what to do, and no traceback.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaos.item import Item
from chaos.proxy import environment
from chaos.stand import Stand, now

_MODEL = {"model_name": "m", "litellm_params": {"mock_response": "Hello"}}


def _config(**general: Any) -> str:
    server = {"host": "127.0.0.1", "port": 0, **general.pop("server", {})}
    return json.dumps({"model_list": [_MODEL], "general_settings": {"server": server}, **general})


def mistaken(prepare: Callable[[Path], str | None]) -> Callable[[Stand], None]:
    """It must end at once, with a status that is not 0 and a line or two."""

    def check(stand: Stand) -> None:
        path = stand.proxy.folder / "mistake" / "config.yaml"
        path.parent.mkdir(exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            text = prepare(path)
            if text is not None:
                path.write_text(text.replace('"PORT"', port), encoding="utf-8")
            ended, seconds = _started(stand, path)
        stand.note(f"{ended.stdout.strip()[:160]} ({seconds:.1f} s)")
        stand.must(ended.returncode not in (0, -9), f"the exit status is {ended.returncode}")
        stand.must("Traceback" not in ended.stdout, f"a traceback: {ended.stdout[-400:]}")
        lines = ended.stdout.strip().splitlines()
        stand.must(1 <= len(lines) <= 4, f"{len(lines)} lines: {ended.stdout[:600]}")

    return check


def _started(stand: Stand, path: Path) -> tuple[subprocess.CompletedProcess[str], float]:
    began = now()
    words = [*stand.proxy.command, "-c", str(path)]
    ended = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=25,
        env=environment(), cwd=path.parent, check=False,
    )  # fmt: skip
    return ended, now() - began


def _logs_are_a_file(path: Path) -> str:
    (path.parent / "taken").write_bytes(b"")
    return _config(logging={"directory": "taken"})


def _is_a_folder(path: Path) -> None:
    path.mkdir()


MISTAKES: dict[str, tuple[str, Callable[[Path], str | None]]] = {
    "port-taken": ("another program listens there", lambda _: _config(server={"port": "PORT"})),
    "no-file": ("there is no configuration", lambda _: None),
    "folder": ("the configuration is a folder", _is_a_folder),
    "bad-yaml": ("the file is no YAML", lambda _: "model_list: [\n"),
    "typing-error": ("a setting is misspelt", lambda _: _config(loging={"level": "info"})),
    "no-model": ("no model is left", lambda _: json.dumps({"model_list": []})),
    "logs-are-a-file": ("the log directory is a file", _logs_are_a_file),
}

ITEMS = tuple(
    Item(
        f"process.mistake-{name}",
        f"a start where {words}",
        "a status that is not 0, and a line that says what to do",
        "a traceback, or it starts and fails later",
        mistaken(prepare),
        config={},
    )
    for name, (words, prepare) in MISTAKES.items()
)
