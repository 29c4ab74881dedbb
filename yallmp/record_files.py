"""
Records as files: what the recorder process does with the frames that it is sent.

A record that comes whole appears whole (:func:`yallmp.partfile.write_whole`).  Of others
nothing is written before the end of a batch of frames (:meth:`RecordFiles.flush`) or of
the record, so a short one costs one write.  Then everything is handed to the operating
system: a finished record survives the death of every process of ours.  There is no
``fsync``; a power cut may cost the last seconds.

A disk may be full, read-only, slow or gone; none of that stops anything.  The record at
hand is given up and counted, the next is tried anew.  A directory that vanished is made
again.  Only so many files are open at a time; the one unused for longest is closed and
opened again when more comes for it.

Standard library only, and little of it: the process is to be small.
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress

from yallmp.core.frames import (
    APPEND,
    BEGIN_ERROR,
    BEGIN_LOG,
    CHECK_ERROR,
    CHECK_LOG,
    DISCARD,
    FINISH,
    GIVE_UP,
    WHOLE_LOG,
)
from yallmp.partfile import PartFile, write_whole

#: What begins a record, and where such records are and how they end.
KINDS = {BEGIN_LOG: ("requests", ".log"), BEGIN_ERROR: ("errors", ".err")}
_CHECKED = {CHECK_LOG: BEGIN_LOG, CHECK_ERROR: BEGIN_ERROR}

#: The number of a record that came whole: no other has it.
_WHOLE = 0
_SAFE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,159}")


class RecordFiles:
    """
    Writes the records of one directory.

    ``parts`` holds the path of every file being written, ``lost`` how many records were
    given up, by reason, ``written`` and ``finished`` count bytes and whole records,
    ``missing`` those that were asked for and are not there (``None`` if none was asked for),
    ``is_refused`` says whether the last one was given up.

    :param most_open: how many files may be open at a time.
    """

    def __init__(self, directory: str, most_open: int = 100) -> None:
        self.parts: set[str] = set()
        self.lost: dict[str, int] = {}
        self.written = 0
        self.finished = 0
        self.missing: int | None = None
        self.is_refused = False
        self._directory = directory
        self._folders = {
            what: (os.path.join(directory, folder, ""), suffix)
            for what, (folder, suffix) in KINDS.items()
        }
        self._most_open = most_open
        self._records: dict[int, PartFile] = {}
        self._unwritten: set[int] = set()
        self._open: dict[PartFile, None] = {}

    def handle(self, what: int, number: int, data: bytes) -> None:
        """Do what a frame says; a record that is not known is ignored."""
        if what == WHOLE_LOG:
            name, _, content = data.partition(b"\n")
            self._whole(name, content)
        elif what in KINDS:
            self._begin(what, number, data)
        elif what in _CHECKED:
            self._check(_CHECKED[what], data)
        elif number not in self._records:
            return
        elif what == APPEND:
            self._records[number].add(data)
            self._unwritten.add(number)
        else:
            self._end(what, number, data)

    def flush(self) -> None:
        """Write all that is pending."""
        unwritten, self._unwritten = self._unwritten, set()
        for number in unwritten:
            try:
                self._write(self._records[number])
            except OSError as error:
                self._lose(self._records.pop(number), error)

    def close(self) -> None:
        """Nothing more will come: what is unfinished stays so."""
        self.flush()
        self._rest_all()

    def _whole(self, name: bytes, data: bytes) -> None:
        """A whole request log, at once; if that does not work, like any other."""
        folder, suffix = self._folders[BEGIN_LOG]
        text = name.decode("ascii", "replace")
        if _SAFE_NAME.fullmatch(text) and write_whole(folder, text + suffix, data):
            self.written += len(data)
            self._count_finished()
            return
        for what, part in ((BEGIN_LOG, name), (APPEND, data), (FINISH, b"")):
            self.handle(what, _WHOLE, part)

    def _begin(self, what: int, number: int, data: bytes) -> None:
        """A record of which nothing is written yet."""
        name = data.decode("ascii", "replace")
        if not _SAFE_NAME.fullmatch(name):
            self._count(f"{name!a} is not a record's name")
            return
        folder, suffix = self._folders[what]
        self._records[number] = PartFile(folder + name, suffix)
        self._unwritten.add(number)

    def _end(self, what: int, number: int, data: bytes) -> None:
        """The last that is heard of a record."""
        record = self._records.pop(number)
        self._unwritten.discard(number)
        try:
            if what == FINISH:
                self._finish(record)
            elif what == DISCARD:
                self._discard(record)
            elif what == GIVE_UP:
                self._give_up(record, data.decode())
        except OSError as error:
            self._lose(record, error)

    def _finish(self, record: PartFile) -> None:
        """Give a whole record its name."""
        self._write(record)
        self._shut(record)
        record.publish()
        self.parts.discard(record.path)
        self._count_finished()

    def _discard(self, record: PartFile) -> None:
        """Leave nothing of a record."""
        self._shut(record)
        self.parts.discard(record.path)
        record.remove()

    def _give_up(self, record: PartFile, reason: str) -> None:
        """Close a record for good, with a last line that says why there is no more of it."""
        self._write(record)
        record.add_last_line(reason)
        self._write(record)
        self._shut(record)
        self.parts.discard(record.path)

    def _lose(self, record: PartFile, error: OSError) -> None:
        """
        Give up a record because the disk refuses it.

        It may refuse the last line too; a file that has nothing in it is removed.
        """
        reason = error.strerror or str(error)
        self._count(f"{reason}: {record.folder}")
        record.drop()
        with suppress(OSError):
            if record.size:
                self._give_up(record, reason)
        with suppress(OSError):
            self._shut(record)
        with suppress(OSError):
            if not record.size:
                record.remove()
        self.parts.discard(record.path)

    def _check(self, what: int, name: bytes) -> None:
        """Whether a record that another process was to write is there."""
        folder, suffix = self._folders[what]
        path = folder + name.decode("ascii", "replace") + suffix
        self.missing = (self.missing or 0) + (not os.path.lexists(path))

    def _count_finished(self) -> None:
        """One more record is whole."""
        self.finished += 1
        self.is_refused = False

    def _count(self, reason: str) -> None:
        """One more record is lost."""
        self.lost[reason] = self.lost.get(reason, 0) + 1
        self.is_refused = True

    def _write(self, record: PartFile) -> None:
        """Write what is pending of a record; it is now the one used last."""
        if record.is_open:
            del self._open[record]
        else:
            self._open_file(record)
        self._open[record] = None
        if len(self._open) > self._most_open:
            self._rest(next(iter(self._open)))
        self.written += record.write()

    def _open_file(self, record: PartFile) -> None:
        """Open a record's file, once more if the first refusal can be helped."""
        try:
            record.open()
        except OSError as error:
            if not self._help(error):
                raise
            record.open()
        self.parts.add(record.path)

    def _help(self, error: OSError) -> bool:
        """Do what can be done about a file that cannot be opened; false if nothing can."""
        if error.errno == errno.ENOENT:
            make_directories(self._directory)
            return True
        if error.errno in (errno.EMFILE, errno.ENFILE) and self._open:
            self._rest_all()
            return True
        return False

    def _rest_all(self) -> None:
        """Close every file for now."""
        for record in list(self._open):
            self._rest(record)

    def _rest(self, record: PartFile) -> None:
        """Close a file for now; it is opened again when more comes."""
        with suppress(OSError):
            self._shut(record)

    def _shut(self, record: PartFile) -> None:
        """Close the file of a record, if it is open."""
        self._open.pop(record, None)
        record.shut()


def make_directories(directory: str) -> None:
    """
    The directories that records are written to, for their owner only.

    :raises OSError: one is missing and cannot be made.
    """
    os.makedirs(directory, 0o700, exist_ok=True)
    for folder, _ in KINDS.values():
        os.makedirs(os.path.join(directory, folder), 0o700, exist_ok=True)
