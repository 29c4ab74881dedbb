"""The benchmark: its figures, its accounts of processes, its tables, and what it finds wrong."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Thread
from typing import Any
from unittest import skipUnless

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bench import accounts, command, contenders, figures, machine, rounds, running, tables
from bench.contenders import Contender, Unusable
from bench.figures import METRICS, Metric
from bench.measures import MEASURES

CPU = Metric("requests.cpu", "requests", "CPU a request", "ms")
DELAY = Metric("latency.p50.1", "requests", "added latency", "ms", added=True)
CAN_BUILD = sys.platform.startswith("linux") and shutil.which("gcc") is not None


def cpu(**values: float) -> dict[str, dict[str, float]]:
    """A round in which contenders took so many milliseconds."""
    return {name.replace("_", "-"): {CPU.name: value} for name, value in values.items()}


def delay(**values: float) -> dict[str, dict[str, float]]:
    """A round in which answers took so long."""
    return {name: {DELAY.name: value} for name, value in values.items()}


class FigureTests(SynchronousTestCase):
    """Medians, spreads and ratios."""

    def test_spread(self) -> None:
        """The median comes with the smallest and the largest value."""
        self.assertEqual(figures.spread([3.0, 1.0, 8.0]), figures.Spread(3.0, 1.0, 8.0))

    @given(st.lists(st.floats(-1e9, 1e9), min_size=1))
    def test_median_lies_between(self, values: list[float]) -> None:
        """The median is never outside of what was measured."""
        found = figures.spread(values)
        self.assertTrue(found.least <= found.median <= found.most)

    def test_ratio_is_taken_round_by_round(self) -> None:
        """A round in which the machine was slow for all of them does not move the ratio."""
        measured = [cpu(nginx=1, yallmp=4), cpu(nginx=10, yallmp=40), cpu(nginx=2, yallmp=8)]
        self.assertEqual(figures.ratio(measured, "yallmp", CPU), 4.0)

    def test_ratio_needs_nginx(self) -> None:
        """Without nginx, or where it has nothing to divide by, there is no ratio."""
        self.assertIsNone(figures.ratio([cpu(yallmp=4)], "yallmp", CPU))
        self.assertIsNone(figures.ratio([cpu(nginx=0, yallmp=4)], "yallmp", CPU))

    def test_added_is_less_the_direct_way(self) -> None:
        """What a contender adds is its value less that of the direct way in the same round."""
        measured = [delay(direct=1, nginx=3, yallmp=7), delay(direct=2, nginx=4, yallmp=10)]
        found = figures.cell(measured, "yallmp", DELAY)
        self.assertEqual(found, figures.Cell(figures.Spread(7.0, 6.0, 8.0), 3.5))

    def test_direct_is_shown_as_it_is(self) -> None:
        """The direct way adds nothing: its own value is the one of interest."""
        found = figures.cell([delay(direct=1, nginx=3)], "direct", DELAY)
        self.assertEqual(found, figures.Cell(figures.Spread(1.0, 1.0, 1.0)))

    def test_nothing_is_added_without_a_base(self) -> None:
        """Where the direct way was not measured there is no figure, rather than a wrong one."""
        self.assertIsNone(figures.cell([delay(yallmp=7)], "yallmp", DELAY))

    def test_no_ratio_to_noise(self) -> None:
        """A difference far smaller than what was subtracted is nothing to divide by."""
        measured = [delay(direct=10, nginx=10.5, yallmp=30)]
        self.assertIsNone(figures.ratio(measured, "yallmp", DELAY))

    def test_metrics_have_names_of_their_own(self) -> None:
        """No two metrics share a name, and each comes from a measure that there is."""
        self.assertEqual(len({m.name for m in METRICS}), len(METRICS))
        self.assertEqual({m.measure for m in METRICS}, set(MEASURES))


STAT = "{pid} ({name}) S {parent} 1 {session} 0 -1 4194560 900 0 3 0 {user} {system} {cu} {cs} 20"


def stat(pid: int, parent: int, session: int = 1, name: str = "proxy", **ticks: int) -> str:
    """A line of ``/proc/<pid>/stat``."""
    all_ticks = {"user": 0, "system": 0, "cu": 0, "cs": 0, **ticks}
    return STAT.format(pid=pid, parent=parent, session=session, name=name, **all_ticks)


class AccountTests(SynchronousTestCase):
    """What ``/proc`` says."""

    def test_cpu_time_of_ended_children_counts(self) -> None:
        """User and system time, and that of children which have ended."""
        found = accounts.account(stat(7, 3, user=100, system=20, cu=3, cs=1))
        self.assertEqual(found, accounts.Account(7, 3, 1, 124))

    def test_a_name_may_be_anything(self) -> None:
        """Blanks and parentheses in a process's name do not shift the fields."""
        self.assertEqual(accounts.account(stat(7, 3, name="a ) b (c", user=5)).ticks, 5)

    def test_tree(self) -> None:
        """A tree is the root, its descendants, and who is still in its session."""
        lines = [stat(10, 1, 10), stat(11, 10, 10), stat(12, 11, 12), stat(13, 1, 10), stat(14, 1)]
        found = accounts.tree(10, map(accounts.account, lines))
        self.assertEqual([a.pid for a in found], [10, 11, 12, 13])

    def test_tree_of_a_torn_picture(self) -> None:
        """Parents that are missing, or go in a circle, end the search."""
        lines = [stat(20, 21), stat(21, 20), stat(22, 99)]
        self.assertEqual(accounts.tree(10, map(accounts.account, lines)), [])

    def test_pss(self) -> None:
        """The total is read, not one of its parts."""
        text = "55d0-7ffd ---p 00000000 [rollup]\nRss: 900 kB\nPss:   321 kB\nPss_Anon: 9 kB\n"
        self.assertEqual(accounts.pss_kb(text), 321)
        self.assertEqual(accounts.pss_kb(""), 0)

    def test_busy(self) -> None:
        """Work of the wanted cores counts, and what other guests took; idling does not."""
        lines = ["cpu 9 9 9 9 9 9 9 9", "cpu0 1 2 3 1000 50 7 7 4 0 0", "cpu1 10 0 0 5 0 0 0 0 0 0"]
        text = "\n".join([*lines, "cpu10 500", "intr 5"])
        self.assertEqual(accounts.busy_ticks(text, {0}), 10)
        self.assertEqual(accounts.busy_ticks(text, {0, 1}), 20)


class ContenderTests(SynchronousTestCase):
    """Who takes part, and what their files say."""

    def test_the_file_that_comes_along(self) -> None:
        """LiteLLM and Portkey are described."""
        known = contenders.read_file(contenders.KNOWN_FILE)
        self.assertEqual(list(known), ["litellm", "portkey"])
        self.assertIn("litellm.yaml", known["litellm"].files)

    def test_a_description(self) -> None:
        """All but the command may be left out; a file is a text or a list of lines."""
        files = {"a": "b", "c": ["d", "e"]}
        entry = {"command": ["x", "@PORT@"], "files": files, "note": "for people"}
        expected = Contender("other", ("x", "@PORT@"), {"a": "b", "c": "d\ne\n"})
        self.assertEqual(contenders.parse(json.dumps({"other": entry})), {"other": expected})

    def test_places_are_filled_everywhere(self) -> None:
        """Ports and folders are put into commands, files, variables and headers."""
        who = Contender("x", ("@PORT@",), {"f": "port @PORT@"}, {"P": "@PORT@"}, ("P: @PORT@",))
        self.assertEqual(
            who.filled({"PORT": "81"}),
            Contender("x", ("81",), {"f": "port 81"}, {"P": "81"}, ("P: 81",)),
        )

    def test_mistakes_are_named(self) -> None:
        """A missing command and an unknown key are told with their places."""
        for text, said in (
            ('{"a": {}}', "a: it needs a command"),
            ('{"a": {"command": ["x"], "prot": 1}}', "a.prot is not known"),
            ("[]", "a name for each contender"),
        ):
            self.assertIn(said, str(self.assertRaises(ValueError, contenders.parse, text)))

    def test_an_unreadable_file(self) -> None:
        """The file is named."""
        error = self.assertRaises(Unusable, contenders.read_file, Path("/nowhere.json"))
        self.assertIn("/nowhere.json", str(error))

    def test_direct_always_takes_part(self) -> None:
        """It is what the others are compared with; the order is the tables'."""
        found = contenders.chosen(["yallmp", "nginx"], contenders.built_in())
        self.assertEqual([who.name for who in found], ["direct", "nginx", "yallmp"])

    def test_described_ones_run_when_named_only(self) -> None:
        """A contender of a file does not run unless it is asked for."""
        known = {**contenders.built_in(), "other": Contender("other", ("x",))}
        self.assertNotIn("other", [who.name for who in contenders.chosen([], known)])
        self.assertIn("other", [who.name for who in contenders.chosen(["other"], known)])

    def test_unknown_contender(self) -> None:
        """A name that nobody has is told with those that there are."""
        error = self.assertRaises(Unusable, contenders.chosen, ["ngnix"], contenders.built_in())
        self.assertIn("known are: direct, nginx", str(error))

    def test_yallmp_is_configured_as_it_says(self) -> None:
        """The yallmps differ in one thing each, and those that log are checked for it."""
        known = contenders.built_in()
        self.assertIn('requests: "on"', known["yallmp"].files["yallmp.yaml"])
        self.assertIn('requests: "errors"', known["yallmp-errors"].files["yallmp.yaml"])
        self.assertIn('requests: "off"', known["yallmp-off"].files["yallmp.yaml"])
        self.assertEqual([bool(known[n].records) for n in ("yallmp", "yallmp-off")], [True, False])
        one, two = (known[name].files["yallmp.yaml"] for name in ("yallmp", "yallmp-2"))
        self.assertEqual(one.replace("workers: 1", "workers: 2"), two)
        self.assertNotIn("yallmp-2", [who.name for who in contenders.chosen([], known)])


class MachineTests(SynchronousTestCase):
    """Cores and options."""

    def test_the_proxy_has_a_core_for_itself(self) -> None:
        """Two cores: the two ends share one.  More: each has its own.  One: nobody is bound."""
        two, four = machine.share_out([0, 1]), machine.share_out([3, 5, 6, 9])
        self.assertEqual([two.proxy, two.upstream, two.load], [{1}, {0}, {0}])
        self.assertEqual([four.proxy, four.upstream, four.load], [{9}, {3}, {5}])
        self.assertEqual(machine.share_out([0]), machine.Cores())

    def test_measures_run_in_their_order(self) -> None:
        """Whatever the order in which they are named: memory comes before what allocates."""
        self.assertEqual(command.measures("big,paced"), ["paced", "big"])
        self.assertEqual(command.measures(None), list(MEASURES))

    def test_unknown_measure(self) -> None:
        """It is told with those that there are."""
        error = self.assertRaises(Unusable, command.measures, "pace")
        self.assertIn("there are: start, paced", str(error))

    def test_without_nginx(self) -> None:
        """It is left out where there is none, with a word about it; named, it stays."""
        told: list[str] = []
        self.patch(machine, "has", lambda program: False)
        self.patch(command, "_tell", told.append)
        competing = contenders.chosen(["nginx"], contenders.built_in())
        self.assertEqual([who.name for who in command.present(competing, [])], ["direct"])
        self.assertIn("apt-get install nginx-light", told[0])
        self.assertEqual(command.present(competing, ["nginx"]), competing)

    def test_without_twisted(self) -> None:
        """A Python that cannot run yallmp is told before anything is measured."""
        self.patch(machine, "has_twisted", lambda: False)
        competing = contenders.chosen(["yallmp"], contenders.built_in())
        error = self.assertRaises(Unusable, command.present, competing, [])
        self.assertIn("scripts/install.sh", str(error))

    def test_each_round_begins_with_another(self) -> None:
        """No contender always runs first."""
        who = [Contender(name) for name in "abc"]
        self.assertEqual("".join(c.name for c in rounds.turned(who, 1)), "bca")
        self.assertEqual("".join(c.name for c in rounds.turned(who, 3)), "abc")


def results() -> rounds.Results:
    """Two rounds of three contenders."""
    measured = [
        cpu(nginx=0.02, yallmp=0.24, other=0.1),
        cpu(nginx=0.022, yallmp=0.22, other=0.1),
    ]
    found = rounds.Results({"machine": "a box"}, ["direct", "nginx", "yallmp", "other"], measured)
    found.strike("other", "requests", "3 wrong answers: cut short")
    return found


class TableTests(SynchronousTestCase):
    """What a reader sees."""

    def test_numbers_have_three_digits(self) -> None:
        """As many as mean something."""
        given = [0.0213, 1.234, 12.34, 1234.5, -0.5, 0]
        self.assertEqual(
            [tables.number(n) for n in given], ["0.021", "1.23", "12.3", "1,234", "-0.500", "0.000"]
        )

    def test_text(self) -> None:
        """A line for each contender with median, least, most and ratio."""
        lines = tables.text(results()).splitlines()
        self.assertEqual(lines[0], "CPU a request, 64 connections (ms)")
        self.assertEqual(lines[3].split(), ["yallmp", "0.230", "0.220", "0.240", "×", "11.0"])

    def test_a_wrong_answer_voids_the_figure(self) -> None:
        """No value is shown, though there was one in a round, and the reason stands below."""
        text = tables.text(results())
        self.assertRegex(text, r"other +void\n")
        self.assertIn("void: other, requests: 3 wrong answers: cut short", text)

    def test_markdown(self) -> None:
        """One line for each metric, one column for each contender."""
        lines = tables.markdown(results()).splitlines()
        self.assertEqual(lines[0], "|  | direct | nginx | yallmp | other |")
        self.assertIn("| **0.230** (0.220 … 0.240), × 11.0 |", lines[2])
        self.assertIn("| – | **0.021**", lines[2])
        self.assertTrue(lines[2].endswith("| void |"))

    def test_results_can_be_kept(self) -> None:
        """What ``--json`` writes is what ``--from`` shows."""
        kept = rounds.Results(**json.loads(json.dumps(results().as_json())))
        self.assertEqual(tables.text(kept), tables.text(results()))


def chunk(text: str) -> str:
    """A chunk of a body."""
    return f"{len(text):x}\r\n{text}\r\n"


def event(number: int, text: str = "0123456789abcdefghijklmnopqrstuvwxyz01") -> str:
    """An event as the backend sends it."""
    delta = {"content": f"{number:06} {0:016x} {text}"}
    return f"data: {json.dumps({'choices': [{'delta': delta, 'finish_reason': None}]})}\n\n"


STOP = 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = "data: [DONE]\n\n"
STREAM = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def stream(*parts: str) -> str:
    """An answer of two events that begins with these."""
    return STREAM + "".join(map(chunk, parts)) + "0\r\n\r\n"


def whole(text: str, status: int = 200) -> str:
    """An answer that is no stream."""
    body = json.dumps({"choices": [{"message": {"content": text}}]})
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}"


def answer_once(listener: socket.socket, answer: str) -> None:
    """Answer one request with *answer*, and close."""
    peer, _ = listener.accept()
    with peer:
        while b'"}]}' not in peer.recv(65536):
            pass
        peer.sendall(answer.encode())


@skipUnless(CAN_BUILD, "needs Linux and gcc")
class LoadTests(SynchronousTestCase):
    """The program of the two ends finds what is wrong with an answer."""

    def setUp(self) -> None:
        """The program, made quickly rather than made quick."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        self.rig = machine.build(folder, "-O0")

    def load(self, port: int, **options: int) -> Any:
        """What the load reports."""
        options = {"port": port, "requests": 1, "seconds": 5, **options}
        words = [word for name, n in options.items() for word in (f"--{name}", str(n))]
        done = subprocess.run(
            [str(self.rig), "load", *words], capture_output=True, text=True, check=True, timeout=30
        )
        return json.loads(done.stdout.splitlines()[-1])

    def heard(self, said: str, /, **options: int) -> Any:
        """What the load says of one answer."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = Thread(target=answer_once, args=(listener, said), daemon=True)
            server.start()
            report = self.load(listener.getsockname()[1], **options)
            server.join(10)
        return report

    def test_right_answers(self) -> None:
        """They count, also when a proxy wrote the JSON anew, with blanks in it."""
        for answer, options in (
            (whole("0123"), {"answer": 4}),
            (stream(event(0), event(1), STOP, DONE), {"events": 2}),
            (stream(event(0) + event(1)[:50], event(1)[50:] + STOP + DONE), {"events": 2}),
        ):
            report = self.heard(answer, **options)
            self.assertEqual((report["requests"], report["errors"]), (1, 0), report)

    def test_wrong_answers(self) -> None:
        """A status, a length, a byte: each is seen."""
        for answer, said in (
            (whole("0123", status=500), "not 200"),
            (whole(""), "too short"),
            (whole("012"), "not what was sent"),
            (whole("01234"), "not what was sent"),
            (whole("0132"), "not what was sent"),
            (whole("0123")[:-1], "broke before the end"),
        ):
            report = self.heard(answer, answer=4)
            self.assertEqual((report["requests"], report["errors"]), (0, 1), answer)
            self.assertIn(said, report["trouble"])

    def test_wrong_streams(self) -> None:
        """An event that is missing, doubled or changed, and an end that is none: each is seen."""
        for answer, said in (
            (stream(event(0), STOP, DONE), "too short"),
            (stream(event(1), event(0), STOP, DONE), "out of order"),
            (stream(event(0), event(0), STOP, DONE), "out of order"),
            (stream(event(0), event(1, "0" * 38), STOP, DONE), "not what was sent"),
            (stream(event(0), event(1), DONE), "no finish_reason"),
            (stream(event(0), event(1), STOP), "no [DONE]"),
            (stream(event(0), event(1), STOP, DONE)[:-5], "broke before the end"),
            (stream(event(0), event(1), STOP, DONE).replace("\r\ne\r", "\r\nd\r"), "broke before"),
        ):
            report = self.heard(answer, events=2)
            self.assertEqual((report["requests"], report["errors"]), (0, 1), answer)
            self.assertIn(said, report["trouble"])

    def test_both_ends(self) -> None:
        """The backend answers as it is asked to, and the load is content with it."""
        with running.upstream(self.rig, machine.Cores()) as port:
            for options in ({}, {"answer": 100_000}, {"pad": 100_000}, {"events": 50}):
                report = self.load(port, connections=3, **{**options, "requests": 20})
                self.assertEqual((report["requests"], report["errors"]), (20, 0), report)

    def test_paced_streams_take_their_time(self) -> None:
        """Twenty events, 5 ms apart."""
        with running.upstream(self.rig, machine.Cores()) as port:
            report = self.load(port, events=20, every=5000)
        self.assertEqual(report["events"], 20)
        self.assertGreaterEqual(report["latency"]["p50"], 95)
