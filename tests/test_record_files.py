"""
Records become files, and a disk that refuses costs the record at hand and nothing else.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from yallmp import partfile
from yallmp.core.frames import (
    APPEND,
    BEGIN_ERROR,
    BEGIN_LOG,
    DISCARD,
    FINISH,
    GIVE_UP,
    WHOLE_LOG,
    Frame,
)
from yallmp.record_files import RecordFiles, make_directories


def refusing(number: int, times: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """A system call that fails so many *times*, then works."""
    left = [number] * times

    def call(*args: Any, **kwargs: Any) -> Any:
        if left:
            raise OSError(left.pop(), os.strerror(number))
        return real(*args, **kwargs)

    return call


def whole(number: int, name: bytes, data: bytes) -> list[Frame]:
    """The frames of a whole request log."""
    return [(BEGIN_LOG, number, name), (APPEND, number, data), (FINISH, number, b"")]


class RecordFilesCase(SynchronousTestCase):
    """A directory for records."""

    def setUp(self) -> None:
        """Nothing is there but the directories."""
        self.directory = os.path.abspath(self.mktemp())
        make_directories(self.directory)
        self.files = RecordFiles(self.directory)

    def send(self, *frames: Frame) -> None:
        """One batch of frames."""
        for frame in frames:
            self.files.handle(*frame)
        self.files.flush()

    def path(self, name: str) -> str:
        """A file among the request logs."""
        return os.path.join(self.directory, "requests", name)

    def names(self, folder: str = "requests") -> list[str]:
        """The files that are there."""
        return sorted(os.listdir(os.path.join(self.directory, folder)))

    def content(self, name: str) -> bytes:
        """What a request log holds."""
        with open(self.path(name), "rb") as file:
            return file.read()


class LifeTests(RecordFilesCase):
    """From the first frame to the last."""

    def test_unfinished_until_finished(self) -> None:
        """A record is visible as unfinished with what is known, then under its name."""
        self.send((BEGIN_LOG, 1, b"a"), (APPEND, 1, b"one\n"))
        self.assertEqual(self.content("a.log.part"), b"one\n")
        self.assertEqual(self.files.parts, {self.path("a.log.part")})
        self.send((APPEND, 1, b"two\n"), (FINISH, 1, b""))
        self.assertEqual(self.names(), ["a.log"])
        self.assertEqual(self.content("a.log"), b"one\ntwo\n")
        self.assertEqual((self.files.parts, self.files.written), (set(), 8))

    def test_private(self) -> None:
        """Files and directories are for their owner only."""
        self.send(*whole(1, b"a", b"x"))
        self.assertEqual(stat.S_IMODE(os.stat(self.path("a.log")).st_mode), 0o600)
        for folder in ("", "requests", "errors"):
            mode = os.stat(os.path.join(self.directory, folder)).st_mode
            self.assertEqual(stat.S_IMODE(mode), 0o700)

    def test_error_log(self) -> None:
        """Error logs have a directory and an ending of their own."""
        self.send((BEGIN_ERROR, 1, b"a"), (APPEND, 1, b"why"), (FINISH, 1, b""))
        self.assertEqual((self.names("errors"), self.names()), (["a.err"], []))

    def test_discarded(self) -> None:
        """Nothing stays of a record that is not wanted, written already or not."""
        self.send((BEGIN_LOG, 1, b"a"), (APPEND, 1, b"one\n"))
        self.send((DISCARD, 1, b""), (BEGIN_LOG, 2, b"b"), (DISCARD, 2, b""))
        self.assertEqual((self.names(), self.files.parts, self.files.lost), ([], set(), {}))

    def test_given_up(self) -> None:
        """A record that ends early says so in its last line and stays unfinished."""
        self.send((BEGIN_LOG, 1, b"a"), (APPEND, 1, b"half"), (GIVE_UP, 1, b"too slow"))
        self.assertEqual(self.content("a.log.part"), b"half\n! given up: too slow\n")
        self.send((APPEND, 1, b"more"), (FINISH, 1, b""))
        self.assertEqual(self.names(), ["a.log.part"])

    def test_given_up_between_lines(self) -> None:
        """The last line is a line of its own, without an empty one before it."""
        self.send((BEGIN_LOG, 1, b"a"), (APPEND, 1, b"one\n"), (GIVE_UP, 1, b"why"))
        self.assertEqual(self.content("a.log.part"), b"one\n! given up: why\n")

    def test_never_overwrites(self) -> None:
        """A name that is taken gets a number, finished or not."""
        for number in (1, 2, 3):
            self.send(*whole(number, b"a", b"%d" % number))
        self.assertEqual(self.names(), ["a-2.log", "a-3.log", "a.log"])
        self.assertEqual([self.content(n) for n in self.names()], [b"2", b"3", b"1"])
        self.send((BEGIN_LOG, 4, b"b"))
        self.send((BEGIN_LOG, 5, b"b"))
        self.assertEqual(self.names()[-2:], ["b-2.log.part", "b.log.part"])

    def test_without_hard_links(self) -> None:
        """A filesystem that has no hard links is written to all the same, never over a file."""
        self.patch(partfile.os, "link", refusing(errno.EPERM, 9, os.link))
        self.send(*whole(1, b"a", b"one"))
        self.send(*whole(2, b"a", b"two"))
        self.assertEqual([self.content(n) for n in self.names()], [b"two", b"one"])
        self.assertEqual(self.names(), ["a-2.log", "a.log"])

    def test_unfinished_at_the_end(self) -> None:
        """What is open when nothing more comes stays unfinished, with all that was known."""
        self.files.handle(BEGIN_LOG, 1, b"a")
        self.files.handle(APPEND, 1, b"one")
        self.files.close()
        self.assertEqual(self.content("a.log.part"), b"one")

    def test_names_stay_in_the_directory(self) -> None:
        """A name that would lead elsewhere is no record's."""
        for number, name in enumerate((b"../a", b"/tmp/a", b".a", b"", b"a\0b", b"\xff")):
            self.send(*whole(number, name, b"x"))
        self.assertEqual(self.names(), [])
        self.assertEqual(sum(self.files.lost.values()), 6)

    def test_few_descriptors(self) -> None:
        """More records than may be open are written in turn, each with all of its data."""
        self.files = RecordFiles(self.directory, most_open=3)
        before = len(os.listdir("/dev/fd"))
        for number in range(10):
            self.send((BEGIN_LOG, number, b"r%d" % number))
        for data in (b"one", b"two"):
            self.send(*((APPEND, number, data) for number in range(10)))
        self.assertEqual(len(os.listdir("/dev/fd")), before + 3)
        self.send(*((FINISH, number, b"") for number in range(10)))
        self.assertEqual({self.content(name) for name in self.names()}, {b"onetwo"})
        self.assertEqual(len(os.listdir("/dev/fd")), before)


class WholeTests(RecordFilesCase):
    """Request logs that come whole."""

    def one(self, name: bytes, data: bytes) -> Frame:
        """The frame of one."""
        return (WHOLE_LOG, 0, name + b"\n" + data)

    def test_appears_whole(self) -> None:
        """It is there under its name, for its owner only, and never was unfinished."""
        self.send(self.one(b"a", b"one\ntwo"), self.one(b"b", b""))
        self.assertEqual((self.content("a.log"), self.content("b.log")), (b"one\ntwo", b""))
        self.assertEqual(stat.S_IMODE(os.stat(self.path("a.log")).st_mode), 0o600)
        self.assertEqual((self.files.written, self.files.finished), (7, 2))
        self.assertEqual((self.files.parts, self.files.lost), (set(), {}))

    def test_never_overwrites(self) -> None:
        """A name that is taken gets a number; a link is not followed."""
        os.symlink(self.path("target"), self.path("b.log"))
        self.send(*[self.one(name, b"%d" % n) for n, name in enumerate((b"a", b"a", b"b"))])
        self.assertEqual(self.names(), ["a-2.log", "a.log", "b-2.log", "b.log"])
        self.assertEqual([self.content(n) for n in self.names()[:3]], [b"1", b"0", b"2"])

    def test_without_files_without_names(self) -> None:
        """Where the system or the filesystem has none, it is written like others."""
        for number in (0, getattr(os, "O_TMPFILE", 0)):
            self.patch(partfile, "_UNNAMED", number)
            refuse = refusing(errno.EOPNOTSUPP, 1 if number else 0, os.open)
            self.patch(partfile.os, "open", refuse)
            self.send(self.one(b"a", b"one"))
        self.assertEqual(self.names(), ["a-2.log", "a.log"])
        self.assertEqual([self.content(n) for n in self.names()], [b"one", b"one"])

    def test_a_full_disk(self) -> None:
        """Nothing of it stays, it is counted, and the next one is written."""
        self.patch(partfile.os, "write", refusing(errno.ENOSPC, 2, os.write))
        before = len(os.listdir("/dev/fd"))
        self.send(self.one(b"a", b"one"), self.one(b"b", b"two"))
        self.assertEqual((self.names(), sum(self.files.lost.values())), (["b.log"], 1))
        self.assertEqual(len(os.listdir("/dev/fd")), before)

    def test_short_writes(self) -> None:
        """A disk that takes a part at a time gets all of it."""
        real = os.write
        self.patch(partfile.os, "write", lambda fd, data: real(fd, bytes(data)[:2]))
        self.send(self.one(b"a", b"12345"))
        self.assertEqual((self.names(), self.content("a.log")), (["a.log"], b"12345"))

    def test_directory_gone(self) -> None:
        """A directory that vanished is made again."""
        os.rmdir(self.path(""))
        self.send(self.one(b"a", b"x"))
        self.assertEqual((self.content("a.log"), self.files.lost), (b"x", {}))

    def test_names_stay_in_the_directory(self) -> None:
        """A name that would lead elsewhere is no record's."""
        self.send(*(self.one(name, b"x") for name in (b"../a", b"/tmp/a", b".a", b"", b"\xff")))
        self.assertEqual((self.names(), sum(self.files.lost.values())), ([], 5))


class RefusedTests(RecordFilesCase):
    """What a disk can do to records."""

    def test_full_at_once(self) -> None:
        """A record of which nothing could be written leaves no file; the next one is tried."""
        self.patch(partfile.os, "write", refusing(errno.ENOSPC, 1, os.write))
        self.send(*whole(1, b"a", b"x"))
        self.send(*whole(2, b"b", b"y"))
        self.assertEqual(self.names(), ["b.log"])
        (reason,) = self.files.lost
        self.assertEqual(reason, f"No space left on device: {self.directory}/requests")

    def test_full_in_the_middle(self) -> None:
        """A record that was begun keeps what was written, and says why there is no more."""
        self.send((BEGIN_LOG, 1, b"a"), (APPEND, 1, b"one\n"))
        self.patch(partfile.os, "write", refusing(errno.ENOSPC, 1, os.write))
        self.send((APPEND, 1, b"two\n"))
        self.send((APPEND, 1, b"three\n"), (FINISH, 1, b""))
        self.assertEqual(self.content("a.log.part"), b"one\n! given up: No space left on device\n")
        self.assertEqual((sum(self.files.lost.values()), self.files.parts), (1, set()))

    def test_short_writes(self) -> None:
        """A disk that takes a part at a time gets the rest until it refuses."""
        real = os.write
        self.patch(partfile.os, "write", lambda fd, data: real(fd, bytes(data)[:2]))
        self.send(*whole(1, b"a", b"12345"))
        self.assertEqual(self.content("a.log"), b"12345")

    def test_refused_for_long(self) -> None:
        """Every record is given up while it lasts, and none is open afterwards."""
        self.patch(partfile.os, "open", refusing(errno.EROFS, 5, os.open))
        for number in range(5):
            self.send(*whole(number, b"a%d" % number, b"x"))
        self.send(*whole(9, b"b", b"y"))
        self.assertEqual((self.names(), sum(self.files.lost.values())), (["b.log"], 5))

    def test_directory_gone(self) -> None:
        """A directory that vanished is made again, for its owner only."""
        os.rmdir(self.path(""))
        os.rmdir(os.path.join(self.directory, "errors"))
        os.rmdir(self.directory)
        self.send(*whole(1, b"a", b"x"))
        self.assertEqual((self.content("a.log"), self.files.lost), (b"x", {}))
        self.assertEqual(stat.S_IMODE(os.stat(self.directory).st_mode), 0o700)

    def test_directory_gone_with_an_open_record(self) -> None:
        """What was open in it is lost and counted; what comes next is written."""
        self.send((BEGIN_LOG, 1, b"a"), (APPEND, 1, b"one"))
        os.unlink(self.path("a.log.part"))
        os.rmdir(self.path(""))
        self.send((FINISH, 1, b""), *whole(2, b"b", b"x"))
        self.assertEqual((self.names(), sum(self.files.lost.values())), (["b.log"], 1))

    def test_a_file_in_place_of_the_directory(self) -> None:
        """Records are given up while a file is in the way, and written when it is gone."""
        os.rmdir(self.path(""))
        in_the_way = os.path.join(self.directory, "requests")
        with open(in_the_way, "w"):
            pass
        self.send(*whole(1, b"a", b"x"))
        self.assertEqual(sum(self.files.lost.values()), 1)
        os.unlink(in_the_way)
        self.send(*whole(2, b"b", b"x"))
        self.assertEqual(self.names(), ["b.log"])

    def test_no_descriptors_left(self) -> None:
        """If the system gives no descriptor, ours are given back and it is tried again."""
        self.send((BEGIN_LOG, 1, b"a"), (APPEND, 1, b"one"))
        self.patch(partfile.os, "open", refusing(errno.EMFILE, 1, os.open))
        self.send(*whole(2, b"b", b"x"))
        self.send((APPEND, 1, b"two"), (FINISH, 1, b""))
        self.assertEqual((self.content("a.log"), self.content("b.log")), (b"onetwo", b"x"))
        self.assertEqual(self.files.lost, {})

    def test_a_link_in_place_of_the_file(self) -> None:
        """A symbolic link is never followed."""
        target = os.path.join(self.directory, "target")
        os.symlink(target, self.path("a.log.part"))
        self.send(*whole(1, b"a", b"x"))
        self.assertFalse(os.path.exists(target))
        self.assertEqual(self.content("a.log"), b"x")
