"""What a pipe brings, in reads of one buffer."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from yallmp.intake import Intake


class IntakeTests(SynchronousTestCase):
    """Bytes come as they were written."""

    def setUp(self) -> None:
        self.mine, self.other = os.pipe()
        self.addCleanup(os.close, self.mine)
        self.intake = Intake(self.mine, 8)

    def test_what_was_read_stays(self) -> None:
        """A later read does not change what an earlier one brought."""
        os.write(self.other, b"first")
        first = self.intake.read(8)
        os.write(self.other, b"again")
        self.assertEqual((first, self.intake.read(8)), (b"first", b"again"))
        os.close(self.other)

    def test_no_more_than_is_wanted(self) -> None:
        """The rest comes with the next read."""
        os.write(self.other, b"0123456789")
        os.close(self.other)
        self.assertEqual([self.intake.read(size) for size in (3, 8, 8)], [b"012", b"3456789", b""])

    def test_the_end(self) -> None:
        """Nothing comes any more, again and again; the descriptor is still its owner's."""
        os.close(self.other)
        self.assertEqual((self.intake.read(8), self.intake.read(8)), (b"", b""))
        os.fstat(self.mine)
