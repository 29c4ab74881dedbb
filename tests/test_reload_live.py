"""
Reloads of a proxy as a process, alone and with workers: nothing is lost, and a bad file
changes nothing.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from tests.live_admin import AdminCase, children
from tests.live_proxy import entry, eventually


class ReloadCase(AdminCase):
    """A proxy of its own for each test."""

    workers = 1

    def setUp(self) -> None:
        super().setUp()
        self.start(self.workers)

    def write(self) -> None:
        """The file is what ``value`` is now."""
        (self.proxy.folder / "config.yaml").write_text(json.dumps(self.value))

    def hang_up(self) -> None:
        """Ask for a reload, and do not wait for it."""
        self.proxy.process.send_signal(signal.SIGHUP)

    def add(self, name: str) -> None:
        """The file has one more model."""
        self.value["model_list"].append(entry(name, self.backend.api_base, target_model="chat"))
        self.write()

    def says(self, what: str, times: int = 1) -> None:
        """Wait until its log has it so many times."""
        eventually(lambda: self.proxy.said.count(what) >= times, f"a log with {what!r}")


class AloneTests(ReloadCase):
    """One process."""

    def test_requests_during_reloads(self) -> None:
        """All are answered, and what the file says last is in force."""
        statuses = []
        for number in range(5):
            self.add(f"extra-{number}")
            self.hang_up()
            statuses += [self.chat() for _ in range(10)]
        self.assertEqual(statuses, [200] * 50)
        self.says("extra-4")
        self.assertEqual([self.chat("extra-4") for _ in range(8)], [200] * 8)

    def test_streams_over_a_reload(self) -> None:
        """Those that are open end whole, also where their model is gone by then."""
        streams = self.streams(8)
        models = self.value["model_list"]
        models[:] = [each for each in models if each["model_name"] != "gated"]
        self.value["general_settings"]["api_keys"].pop("narrow")
        self.write()
        status, answer = self.ask("POST", "/admin/reload")
        self.assertEqual((status, answer["backends"]["removed"]), (200, ["gated"]))
        self.assertEqual([self.chat("gated") for _ in range(8)], [404] * 8)
        self.backend.release(self.tag)
        streams.follow(streams.all_over)
        self.assertTrue(all(each.whole for each in streams.streams))

    def test_a_storm(self) -> None:
        """Twenty at once are a few; the last one counts, and requests go on."""
        for number in range(20):
            self.value["general_settings"]["drain_timeout"] = number + 1
            self.write()
            self.hang_up()
        self.add("last")
        self.hang_up()
        self.assertEqual([self.chat() for _ in range(10)], [200] * 10)
        self.says("backends added: last")
        self.assertEqual(self.chat("last"), 200)

    def test_bad_files(self) -> None:
        """Each is refused with what is wrong, what was in force stays, and a good one helps."""
        path = self.proxy.folder / "config.yaml"
        good = json.dumps(self.value)
        for text in (good[: len(good) // 2], "", "model_list: []", '{"modle_list": []}'):
            path.write_text(text)
            status, answer = self.ask("POST", "/admin/reload")
            self.assertEqual((status, answer["error"]["code"]), (400, "invalid_configuration"))
            self.assertIn("config.yaml", answer["error"]["problems"][0])
            self.assertEqual(self.chat(), 200)
        path.unlink()
        self.assertEqual(self.ask("POST", "/admin/reload")[0], 400)
        self.hang_up()
        self.says("the one before stays in force", 6)
        self.assertEqual(self.chat(), 200)
        path.write_text(good)
        self.assertEqual(self.ask("POST", "/admin/reload")[0], 200)

    def test_keys(self) -> None:
        """A key that is taken out opens nothing from the next request on."""
        self.value["general_settings"]["api_keys"] = {"other": "sk-another-one-4711"}
        self.write()
        self.assertEqual(self.ask("POST", "/admin/reload")[0], 200)
        self.assertEqual([self.chat() for _ in range(8)], [401] * 8)


class WorkersTests(AloneTests):
    """Two workers: all of that holds for both."""

    workers = 2
    skip = None if sys.platform.startswith("linux") else "several workers need Linux"

    def test_a_worker_that_starts_later(self) -> None:
        """It begins with the newest, whatever the file says by then."""
        self.add("newer")
        self.assertEqual(self.ask("POST", "/admin/reload")[0], 200)
        (self.proxy.folder / "config.yaml").unlink()
        os.kill(min(children(self.proxy.process.pid)), signal.SIGKILL)
        self.serving(3)
        self.assertEqual([self.chat("newer") for _ in range(16)], [200] * 16)
