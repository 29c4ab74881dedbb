"""
Several workers as processes: they share the load, change together, are replaced, and end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.live_admin import AdminCase, children
from tests.live_proxy import PATIENCE, entry, eventually

STREAMS = 24
#: Enough for each worker to be asked: a connection goes to either of them by chance.
ASKED = 16


def lives(pid: int) -> bool:
    """Whether there is such a process; one that is dead and not yet waited for is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class WorkersCase(AdminCase):
    """A proxy of two workers for each test."""

    skip = None if sys.platform.startswith("linux") else "several workers need Linux"

    def setUp(self) -> None:
        super().setUp()
        self.pids: set[int] = set()
        self.start(2, admin={"persist": "models.json"})
        self.pids = children(self.proxy.process.pid)
        self.assertEqual(len(self.pids), 2)

    def gone(self) -> None:
        """Wait until no worker is left."""
        eventually(lambda: not any(map(lives, self.pids)), "workers that are gone")


class LoadTests(WorkersCase):
    """Both serve; one that dies is replaced."""

    def test_one_is_killed(self) -> None:
        """Only its own streams break; nobody is refused meanwhile, and another comes."""
        streams = self.streams(STREAMS)
        os.kill(min(self.pids), signal.SIGKILL)
        self.assertEqual([self.chat("chat") for _ in range(ASKED)], [200] * ASKED)
        self.backend.release(self.tag)
        streams.follow(streams.all_over)
        whole = sum(each.whole for each in streams.streams)
        self.assertTrue(0 < whole < STREAMS, f"{whole} of {STREAMS} streams are whole")
        self.serving(3)
        self.assertIn("worker 1 was ended by signal 9; it is started again in 1 s", self.proxy.said)
        self.assertEqual(len(children(self.proxy.process.pid)), 2)
        for part in self.proxy.files("requests/*.part"):
            part.unlink()  # what the killed one had under way stays unfinished


class ChangeTests(WorkersCase):
    """What one is told, all do."""

    def test_a_model_comes_and_goes(self) -> None:
        """It is known to all when the answer is there, and unknown likewise; it is kept once."""
        for round_ in range(3):
            model = f"new-{round_}"
            body = {**entry(model, self.backend.api_base, target_model="chat"), "fallbacks": []}
            self.assertEqual(self.ask("POST", "/admin/models", body)[0], 200)
            self.assertEqual([self.chat(model) for _ in range(ASKED)], [200] * ASKED)
        self.assertEqual(self.ask("DELETE", "/admin/models/new-1")[0], 200)
        self.assertEqual([self.chat("new-1") for _ in range(ASKED)], [404] * ASKED)
        self.assertEqual(self.ask("DELETE", "/admin/models/new-1")[0], 404)
        kept = json.loads((self.proxy.folder / "models.json").read_text())
        names = [model["source"]["model_name"] for model in kept["models"]]
        self.assertEqual(names, ["new-0", "new-2"])
        (self.proxy.folder / "models.json").unlink()  # it has a key in it, as it must


class MetricsTests(WorkersCase):
    """What all counted."""

    def counted(self) -> dict[str, float]:
        """Requests that went well, and workers, of the whole service."""
        text = self.read("GET", "/metrics")[1].decode()
        samples = [s for each in text_string_to_metric_families(text) for s in each.samples]
        chats = [s.value for s in samples if s.labels.get("endpoint") == "chat"
                 and s.name == "yallmp_requests_total"]  # fmt: skip
        told = {s.name: s.value for s in samples if s.name.startswith("yallmp_worker")}
        return {"chats": sum(chats), **told}

    def test_one_is_killed(self) -> None:
        """Any of them tells of all; the counts of one that dies stay."""
        self.assertEqual([self.chat("chat") for _ in range(ASKED)], [200] * ASKED)
        told = {"chats": ASKED, "yallmp_workers": 2, "yallmp_workers_reporting": 2}
        for _ in range(4):
            self.assertEqual(self.counted(), {**told, "yallmp_worker_restarts_total": 0})
        os.kill(min(self.pids), signal.SIGKILL)
        self.serving(3)
        self.assertEqual(self.counted(), {**told, "yallmp_worker_restarts_total": 1})


class EndTests(WorkersCase):
    """The end of all."""

    def test_streams_may_finish(self) -> None:
        """SIGTERM to all of them, as systemd does it: what is under way ends whole; status 0."""
        streams = self.streams(4)
        for pid in (self.proxy.process.pid, *self.pids):
            os.kill(pid, signal.SIGTERM)
        eventually(self.refused, "a port that is closed")
        self.backend.release(self.tag)
        streams.follow(streams.all_over)
        self.assertEqual([each.whole for each in streams.streams], [True] * 4)
        self.assertEqual(self.proxy.process.wait(PATIENCE), 0)
        self.gone()
        self.assertNotIn("#error", self.proxy.said)

    def refused(self) -> bool:
        """Whether nobody can connect."""
        try:
            self.chat("chat")
        except OSError:
            return True
        return False

    def test_the_supervisor_is_killed(self) -> None:
        """Its workers end by themselves, after what they have under way."""
        streams = self.streams(4)
        self.proxy.end(signal.SIGKILL)
        eventually(self.refused, "a port that is closed")
        self.backend.release(self.tag)
        streams.follow(streams.all_over)
        self.assertEqual([each.whole for each in streams.streams], [True] * 4)
        self.gone()
