"""
Reading the configuration again, beside the one in force.

Everything that can be wrong is found before anything is changed.  It is read in a thread of
its own: a large file takes its time, and a disk that hangs takes all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from threading import Thread
from typing import Any, NoReturn

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from yallmp.certificates import CertificateError, check_certificates
from yallmp.core.changes import Reload
from yallmp.core.config.findings import ConfigError
from yallmp.core.errors import BadConfiguration
from yallmp.core.families import RELOADED, RELOADS_FAILED, Family
from yallmp.core.masking import Masker
from yallmp.core.readings import Labels, Value
from yallmp.core.registry import dated
from yallmp.core.settings import Config, Notice
from yallmp.identity import IdentityError, check_identity, warnings
from yallmp.persistence import load
from yallmp.recorder import RecorderError, check_directory
from yallmp.source import Source, counted

#: What is raised where a good file names something of no use; the message says what to do.
UNUSABLE = (CertificateError, IdentityError, RecorderError)
#: How long reading may take, in seconds.
PATIENCE = 30.0
_log = Logger()


def check(config: Config) -> None:
    """
    Find out whether *config* can be in force here: what it names is there, and of use.

    :raises CertificateError: an ``ssl_ca_file`` is of no use.
    :raises IdentityError: our own certificate is.
    :raises RecorderError: records cannot be written.
    """
    check_certificates(config.backends)
    check_identity(config.server)
    check_directory(config.logging.directory)


def reading(source: Source, now: int) -> Reload:
    """
    The change that *source* is at *now*; this blocks.

    :raises BadConfiguration: it is none, with everything that is wrong.
    """
    try:
        config = dated(counted(source.load()), now)
        check(config)
        config = evolve(config, notices=(*config.notices, *notices(config, now)))
        kept = load(config.persist, config.access) if config.persist is not None else ()
    except ConfigError as error:
        raise BadConfiguration(tuple(map(str, error.problems))) from None
    except (CertificateError, IdentityError) as error:
        raise BadConfiguration((str(error),)) from None
    except RecorderError as error:
        raise BadConfiguration((str(error),), status=409) from None
    return Reload(config, kept)


def notices(config: Config, now: float) -> tuple[Notice, ...]:
    """What is to be read about what *config* names, as it is at *now*."""
    return tuple(map(Notice, warnings(config.server, now)))


def sayings(config: Config, now: float) -> list[tuple[str, str]]:
    """What its owner should read when it starts at *now*, as (level, text)."""
    return [(notice.level, notice.text) for notice in (*config.notices, *notices(config, now))]


def in_thread(work: Callable[[], None]) -> None:
    """Do *work* in a thread that does not hold up the end of the process."""
    Thread(target=work, name="configuration", daemon=True).start()


@define
class History:
    """
    What came of reading the configuration.

    :ivar read_at: when the one in force was read, POSIX seconds.
    :ivar failures: how often what was read could not be used.
    """

    read_at: float
    failures: int = 0

    def read(self) -> Iterator[tuple[Family, Mapping[Labels, Value]]]:
        """See :data:`yallmp.core.readings.Source`."""
        yield RELOADED, {(): [self.read_at]}
        yield RELOADS_FAILED, {(): [self.failures]}


@frozen
class Rereading:
    """
    Reads a source again.

    :ivar reactor: provides IReactorTime and IReactorFromThreads.
    :ivar wall: POSIX seconds.
    :ivar masker: gives what replaces known secrets in problems.
    :ivar spawn: runs a function elsewhere.
    :ivar history: what came of it so far; the first time was the start.
    """

    source: Source
    reactor: Any
    wall: Callable[[], float]
    masker: Callable[[], Masker]
    spawn: Callable[[Callable[[], None]], None] = in_thread
    history: History = field(init=False)

    @history.default
    def _begin(self) -> History:
        return History(self.wall())

    async def __call__(self) -> Reload:
        """
        The change that the source is now.

        :raises BadConfiguration: it cannot be used; this is logged.
        """
        try:
            change = await self._read()
        except BadConfiguration as error:
            self.history.failures += 1
            mask = self.masker().mask_text
            problems = tuple(mask(problem) for problem in error.problems)
            _log.error(
                "the configuration is not reloaded, and the one before stays in force: {problems}",
                problems="\n".join(problems),
            )
            raise BadConfiguration(problems, error.status) from None
        self.history.read_at = self.wall()
        return change

    def _read(self) -> Deferred[Reload]:
        come: Deferred[Reload] = Deferred(lambda _: None)
        self.spawn(partial(self._work, come, int(self.wall())))
        return come.addTimeout(PATIENCE, self.reactor, _late)

    def _work(self, come: Deferred[Reload], now: int) -> None:
        """Runs in the thread; whatever happens, whoever waits is told."""
        result: Any
        try:
            result = reading(self.source, now)
        except Exception:
            result = Failure()
        self.reactor.callFromThread(_tell, come, result)


def _tell(come: Deferred[Reload], result: Any) -> None:
    if not come.called:
        come.callback(result)


def _late(result: object, seconds: float) -> NoReturn:
    raise BadConfiguration((f"reading it takes longer than {seconds:g} s",), status=409)
