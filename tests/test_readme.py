"""
What README.md and docs/ say is so: examples, commands, links, and tables against the code.
"""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import yallmp
from tests.fakes import ProxyCase
from yallmp import check, files
from yallmp.core import errors
from yallmp.core.meaning import report_of
from yallmp.core.problems import Reason
from yallmp.core.verdicts import TABLE, Row

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text(encoding="utf-8")

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def page(name: str) -> str:
    """The text of a page of docs/."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    """The fenced blocks of *text* in *language*."""
    return [body for name, body in FENCE.findall(text) if name == language]


def block_with(phrase: str) -> str:
    """The first fenced block of the README that has *phrase* in it."""
    return next(body for _, body in FENCE.findall(README) if phrase in body)


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text))
    return {heading.replace(" ", "-") for heading in plain}


class ConfigurationTests(SynchronousTestCase):
    """The example configuration is one, and means what the README says."""

    def written(self) -> str:
        path = Path(self.mktemp())
        path.mkdir()
        (path / "config.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
        return str(path.absolute() / "config.yaml")

    def test_check_says_what_is_quoted(self) -> None:
        """``yallmp check`` says of the example what the README says it does, above the table."""
        path = self.written()
        report = report_of(path, files.load(path, {"MY_KEY": "sk-of-my-own"}))
        said = "\n".join(check.as_text(report)).partition("\n\nWhen a backend")[0] + "\n"
        quoted = said.replace(path, "config.yaml").replace(str(Path(path).parent), "/etc/yallmp")
        self.assertIn(quoted, [body for _, body in FENCE.findall(README)])

    def test_the_fallback_dangles(self) -> None:
        """The example's fallback has no entry: one warning, and nothing else, says so."""
        config = files.load(self.written(), {"MY_KEY": "sk-of-my-own"})
        self.assertEqual(len(config.notices), 1)
        self.assertIn("the fallback fallback-model is skipped", config.notices[0].text)

    def test_the_keys_of_the_shipped_file(self) -> None:
        """The README names every variable that the shipped configuration looks for."""
        shipped = (ROOT / "config.yaml").read_text(encoding="utf-8")
        looked_for = set(re.findall(r"^ *api_key: \$\{(\w+)\}", shipped, re.MULTILINE))
        named = set(re.findall(r"`(\w+_API_KEY)`", README))
        self.assertEqual(named, looked_for)


class DemoTests(ProxyCase):
    """The shipped configuration answers as the README quotes it."""

    def setUp(self) -> None:
        super().setUp()
        config = files.load(str(ROOT / "config.yaml"), {})
        self.serve(*config.backends, fallbacks=config.fallbacks, router=config.router)

    def asked(self, command: str) -> dict[str, object]:
        """The body of the curl command that begins with *command* and asks for chat."""
        found = re.search(r"-d '(\{.*\})'", block_with(command))
        assert found is not None
        body: dict[str, object] = json.loads(found[1])
        return body

    def test_curl(self) -> None:
        """The answer to the first curl command is the one that is quoted."""
        got = self.ask(self.asked("curl -s http://127.0.0.1:8000/v1/chat"))
        self.net.until(lambda: got.over)
        quoted = json.loads(next(b for b in blocks("json") if "chat.completion" in b))
        self.assertEqual({**got.json, "created": 0}, {**quoted, "created": 0})

    def test_python(self) -> None:
        """The stream that the example in Python prints has the text that is quoted."""
        got = self.ask({"model": "demo", "messages": [{}], "stream": True})
        self.net.until(lambda: got.over)
        self.assertIn(f"\n{got.text}\n", "\n".join(["", *blocks("")]))

    def test_failover(self) -> None:
        """``failover-demo`` answers with the headers that are quoted, here and in failover.md."""
        got = self.ask(self.asked("curl -si"))
        self.net.until(lambda: got.over)
        for name in ("X-Yallmp-Backend", "X-Yallmp-Attempts", "X-Yallmp-Route"):
            line = f"{name}: {got.header(name)}\n"
            self.assertIn(line, block_with("HTTP/1.1 200 OK"))
            self.assertIn(line, page("failover.md"))
        self.assertIn(f"Content-Length: {len(got.body)}\n", block_with("HTTP/1.1 200 OK"))


class CommandTests(SynchronousTestCase):
    """What is to be typed exists."""

    def test_scripts(self) -> None:
        """Every script that a page names is there."""
        for path in PAGES:
            for name in re.findall(
                r"(?:\./|\b)(scripts[/\\]\w+\.\w+)", path.read_text(encoding="utf-8")
            ):
                self.assertTrue((ROOT / name.replace("\\", "/")).is_file(), f"{path.name}: {name}")

    def test_commands(self) -> None:
        """Every ``yallmp COMMAND`` that a page names is one."""
        commands = set(importlib.import_module("yallmp.__main__").COMMANDS)
        for path in PAGES:
            text = path.read_text(encoding="utf-8")
            named = set(re.findall(r"(?:`|bin/|run\.sh )yallmp ([a-z]+)", text))
            self.assertLessEqual(named, commands, path.name)

    def test_the_continuous_integration_runs_the_same(self) -> None:
        """CI runs the README's test command as it stands there."""
        last = (ROOT / ".ci" / "run").read_text(encoding="utf-8").strip().splitlines()[-1]
        self.assertIn(last.removeprefix("exec "), blocks("sh")[1])

    def test_the_tests_that_are_named(self) -> None:
        """Every test file in an example is there."""
        for name in re.findall(r"\btests\.(test_\w+)", README):
            self.assertTrue((ROOT / "tests" / f"{name}.py").is_file(), name)


class LinkTests(SynchronousTestCase):
    """Links lead somewhere."""

    def test_links(self) -> None:
        """Every link inside the project leads to a file, and its anchor to a heading there."""
        for path in PAGES:
            for link in LINK.findall(FENCE.sub("", path.read_text(encoding="utf-8"))):
                if "://" not in link:
                    self.check_link(path, link)

    def check_link(self, path: Path, link: str) -> None:
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        self.assertTrue(target.exists(), f"{path.name}: {link}")
        if anchor:
            self.assertIn(anchor, anchors(target), f"{path.name}: {link}")

    def test_every_page_is_in_the_index(self) -> None:
        """docs/README.md leads to all other pages."""
        index = set(LINK.findall(page("README.md")))
        for path in (ROOT / "docs").glob("*.md"):
            if path.name != "README.md":
                self.assertIn(path.name, index)


class TableTests(SynchronousTestCase):
    """Tables say what the code does."""

    def told(self) -> dict[Reason, tuple[str, str, str]]:
        """The decision table of failover.md, by the reason; S, N and the last word."""
        section = page("failover.md").split("## What is tried next")[1].split("\n## ")[0]
        found = {}
        for line in section.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            for word in re.findall(r"`(\w+)`", cells[1]) if len(cells) == 5 else ():
                found[Reason(word)] = (cells[2], cells[3], cells[4])
        return found

    def test_every_reason_is_told(self) -> None:
        """Every row of the code's table has one in the documentation."""
        self.assertEqual(set(self.told()), set(TABLE))

    def test_rows(self) -> None:
        """S, N, the last word, and whether a client should try again are as they are built."""
        for reason, (same, following, last) in self.told().items():
            row = TABLE[reason]
            self.assertEqual(same.startswith("yes"), row.same, reason)
            self.assertEqual(bool(following), row.next or reason is Reason.CONTENT_FILTER, reason)
            self.assertEqual("†" in last, not row.retry, reason)
            self.assertTrue(self.says(last, row), f"{reason}: {last}")

    def says(self, last: str, row: Row) -> bool:
        if row.status is None:
            return last.startswith("as it is")
        return f"{row.status} `{row.code}`" in last

    def test_codes(self) -> None:
        """api.md has every code that an error of ours may have."""
        kinds = [value for value in vars(errors).values() if isinstance(value, type)]
        codes = {k.code for k in kinds if issubclass(k, errors.ProxyError)}
        codes |= {row.code for row in TABLE.values()} | {"model_not_allowed", "proxy_shutdown"}
        self.assertEqual({code for code in codes if f"`{code}`" not in page("api.md")}, set())

    def test_dependencies(self) -> None:
        """dependencies.md has every package that setup.py asks for, and no other."""
        asked: set[str] = set()
        for node in ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.List):
                texts = [e.value for e in node.value.elts if isinstance(e, ast.Constant)]
                asked |= {re.split(r"[\[ ]", str(text))[0] for text in texts}
        named = set(re.findall(r"pypi\.org/project/([\w.-]+)/", page("dependencies.md")))
        self.assertEqual(named, asked)

    def test_the_map_of_the_modules(self) -> None:
        """The package's docstring names every module, and no other."""
        found = (m.name for m in pkgutil.walk_packages(yallmp.__path__))
        below = {
            f"{package}.{m.name}"
            for package in ("core", "api_types")
            for m in pkgutil.iter_modules([str(Path(yallmp.__path__[0]) / package)])
        }
        modules = {name for name in found if "." not in name} | below
        named = set(re.findall(r":mod:`yallmp\.([\w.]+)`", yallmp.__doc__ or ""))
        self.assertEqual(named | {"__main__", "core"}, modules)
