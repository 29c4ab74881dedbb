"""``yallmp check``: what a configuration means, without a secret in it."""

from __future__ import annotations

import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from yallmp import check
from yallmp.core.backend import Backend
from yallmp.core.meaning import report_of
from yallmp.core.settings import Access, Config, Fallbacks, Key, Notice, Server

SECRET = "sk-this-must-not-be-seen"
DEMO = "model_list:\n  - model_name: demo\n    litellm_params: {mock_response: hello}\n"
FAILING = """\
  - model_name: failing
    litellm_params: {api_base: "http://127.0.0.1:9/v1"}
router_settings: {fallbacks: [{failing: demo}], retry_statuses: 404}
"""
DANGLING = DEMO + "router_settings:\n  fallbacks: [{demo: [nobody]}]\n"

FULL = Config(
    backends=(
        Backend(
            "main",
            "gpt",
            api_base=f"https://user:{SECRET}@one.example:8443/v1?key={SECRET}",
            api_key=SECRET,
            sends="gpt-4o",
            extra_headers=(("x-key", SECRET),),
            order=1,
        ),
        Backend("spare", "gpt", api_base="http://two.example/v1", weight=2.5),
        Backend("any", "openai/*", api_base="http://three.example/v1", api_type="other"),
        Backend("demo", "demo", mock_response="hello"),
    ),
    fallbacks=Fallbacks(
        by_model=(("gpt", ("demo", "nobody")), ("virtual", ("gpt",))),
        context_window=(("gpt", ("demo",)),),
        content_policy=(("gpt", ("demo",)),),
        aliases=(("best", "gpt"),),
    ),
    access=Access(keys=(Key("alice", SECRET),), admin_key=SECRET),
    notices=(Notice("mind the gap"), Notice("left one out", "info")),
)


def text(config: Config, *, strict: bool = False) -> str:
    """The report on *config* as people read it."""
    return "\n".join(check.as_text(report_of("c.yaml", config, strict=strict)))


class TextTests(SynchronousTestCase):
    """The report for people."""

    def test_the_whole_of_it(self) -> None:
        """Backends in order, names that will be sent, fallbacks, notices; then the tables."""
        listed, _, rest = text(FULL).partition("\n\nWhen a backend fails, for ")
        self.assertEqual(
            listed,
            """\
warning: mind the gap
note: left one out
c.yaml is good: 4 models.
It listens on 127.0.0.1:8000 and writes logs to logs.
It asks clients for a key (alice).

gpt
  1. spare: http://two.example/v1, asked for "gpt", without a key
  2. main: https://one.example:8443/v1, asked for "gpt-4o", with a key
  then: demo
  if the context is too long: demo
  if a content filter refuses: demo

openai/*
  1. any: http://three.example/v1, asked for the rest of the name, without a key, speaks other

demo
  1. demo: answered here (mock_response)

virtual
  then: gpt

best is another name for gpt""",
        )
        self.assertRegex(rest, r"^gpt:\n  again once, then the next: 408, ")
        self.assertEqual(rest.count("When a backend fails, for "), 2)
        self.assertEqual(rest.count("A backend rests:\n  60 s: 401-403, 407, account\n"), 1)

    def test_a_wildcard_with_a_star_to_send(self) -> None:
        """It is asked for the rest of the name too; what stands before the star is shown."""
        stars = tuple(Backend(s, f"{s}/*", api_base="http://x", sends=s) for s in ("*", "b/*"))
        said = text(Config(stars))
        self.assertIn("1. *: http://x, asked for the rest of the name, ", said)
        self.assertIn('1. b/*: http://x, asked for "b/*", ', said)

    def test_streams(self) -> None:
        """What is said of them is shown where it is not the default."""
        base = Backend("m", "m", api_base="http://x/v1")
        self.assertNotIn("stream", text(Config((base,))).replace("upstream", ""))
        said = evolve(base, stream_rescue="off", stream_commit="complete", prefill="vllm")
        self.assertIn(
            "without a key, stream_rescue off, stream_commit complete, prefill vllm\n",
            text(Config((said,))),
        )

    def test_a_group_that_shares_the_load(self) -> None:
        """Its weights are shown; elsewhere they mean nothing."""
        group = tuple(Backend(n, "m", api_base="http://x/v1", weight=2) for n in ("a", "b"))
        self.assertIn("order 0, weight 2", text(Config(group)))

    def test_an_open_proxy_says_so(self) -> None:
        """Whom it serves without keys."""
        self.assertIn("no key, and serves this machine and private networks", text(Config()))

    def test_ipv6_and_endpoints(self) -> None:
        """Addresses are written as in a URL."""
        self.assertIn("listens on [::1]:8000", text(Config(server=Server("::1"))))
        listen = Config(server=Server(listen="systemd:domain=INET:index=0"))
        self.assertIn("listens on systemd:domain=INET:index=0", text(listen))

    def test_workers(self) -> None:
        """Their number is told where it is worth a word."""
        for workers, words in (
            (1, "listens on 127.0.0.1:8000 and writes"),
            (3, "listens on 127.0.0.1:8000 with 3 workers and writes"),
            (0, "listens on 127.0.0.1:8000 with a worker for each core and writes"),
        ):
            self.assertIn(words, text(Config(server=Server(workers=workers))))

    def test_strict(self) -> None:
        """A warning is a problem; a note is none."""
        self.assertIn("1 warning, and --strict allows none", text(FULL, strict=True))
        self.assertIn("is good", text(Config(notices=FULL.notices[1:]), strict=True))


class SecretTests(SynchronousTestCase):
    """What must not be seen."""

    def test_in_text_and_json(self) -> None:
        """No key, no password of an address, no header."""
        report = report_of("c.yaml", FULL)
        self.assertNotIn(SECRET, text(FULL) + check.as_json(report))


class CommandTests(SynchronousTestCase):
    """The command: its file, its status."""

    def run_check(self, config: str, *words: str) -> tuple[object, str, str]:
        """The status, stdout and stderr for a file with the text *config*."""
        path = Path(self.mktemp())
        path.write_text(config, encoding="utf-8")
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            error = self.assertRaises(SystemExit, check.main, [str(path), *words])
        return error.code, out.getvalue(), err.getvalue()

    def test_a_good_file(self) -> None:
        """Status 0; the report goes to stdout."""
        status, out, err = self.run_check(DEMO)
        self.assertEqual((status, err), (0, ""))
        self.assertIn("answered here", out)

    def test_a_bad_file(self) -> None:
        """Status 1; every problem on stderr, then how many they are."""
        status, out, err = self.run_check("model_lst: []\ngeneral_settings: 3\n")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("model_lst", err)
        self.assertIn("general_settings", err)
        self.assertRegex(err.splitlines()[-1], r": \d problems$")

    def test_nothing_acts_on_the_terminal(self) -> None:
        """Names in the file that hold control characters are shown, in both reports."""
        bad = 'general_settings: {"a\\e[2Jb\\u202E": 1}\n'
        for text in (bad, DEMO + 'router_settings: {model_group_alias: {"a\\e[2Jb": demo}}\n'):
            for words in ((), ("--json",)):
                _, out, err = self.run_check(text, *words)
                self.assertNotIn("\x1b", out + err)
                self.assertNotIn("\u202e", out + err)

    def test_warnings(self) -> None:
        """They do not stop the daemon; --strict says that they should."""
        self.assertEqual(self.run_check(DANGLING)[0], 0)
        self.assertEqual(self.run_check(DANGLING, "--strict")[0], 1)

    def test_json(self) -> None:
        """One object, with the same keys for its reader to look at first."""
        status, out, _ = self.run_check(DEMO, "--json")
        report = json.loads(out)
        self.assertEqual((status, report["ok"], report["problems"]), (0, True, []))
        self.assertEqual(report["models"][0]["backends"][0]["name"], "demo")

    def test_tables_in_json(self) -> None:
        """The whole table of each model, with the names of those that serve."""
        _, out, _ = self.run_check(DEMO + FAILING)
        self.assertIn("When a backend fails:\n  again once, then the next: 404, unreach", out)
        _, out, _ = self.run_check(DEMO + FAILING, "--json")
        demo, failing = json.loads(out)["models"]
        self.assertEqual(demo["table"], [])
        lines = {(line["failure"], *line["statuses"]): line for line in failing["table"]}
        self.assertEqual(
            lines["unknown_there", 404],
            {
                "failure": "unknown_there",
                "statuses": [404],
                "waits": None,
                "again": 1,
                "next": ["demo"],
                "via": ["route"],
                "if_another_failed": False,
                "rests": None,
                "counts": "answered",
                "client": "as it is",
            },
        )

    def test_the_documented_table(self) -> None:
        """``docs/configuration.md`` quotes what is said with the lists of its example."""
        page = (Path(__file__).parent.parent / "docs" / "configuration.md").read_text("utf-8")
        lists, quoted = re.findall(
            r"router_settings:\n(  retry_.*?)```.*?```\n(When.*?)```", page, re.DOTALL
        )[0]
        config = DEMO + FAILING.replace("{fallbacks: [{failing: demo}], retry_statuses: 404}", "")
        _, out, _ = self.run_check(f"{config}  fallbacks: [failing: demo]\n{lists}")
        self.assertIn(f"\n\n{quoted}", out)

    def test_json_of_a_bad_file(self) -> None:
        """The problems are on stdout, where its reader reads."""
        status, out, err = self.run_check("[]", "--json")
        report = json.loads(out)
        self.assertEqual((status, report["ok"], err), (1, False, ""))
        self.assertTrue(report["problems"])

    def test_help(self) -> None:
        """With an example."""
        with redirect_stdout(io.StringIO()) as out:
            self.assertRaises(SystemExit, check.main, ["--help"])
        self.assertIn("yallmp check /etc/yallmp/config.yaml --strict", out.getvalue())
