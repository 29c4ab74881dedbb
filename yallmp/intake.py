"""
What comes through a pipe, read into one buffer that stays.

A new buffer for each read, as large as what may come and then mostly kept for a few
kilobytes, leaves the heap in pieces: within an hour a process takes three times as much
memory as it needs.

Standard library only: the recorder process uses this, and is to be small.
"""

from __future__ import annotations

from io import FileIO


class Intake:
    """
    The reading end of a pipe.

    :param number: its descriptor, which stays open.
    :param most: how many bytes one read may bring.
    """

    def __init__(self, number: int, most: int) -> None:
        self._file = FileIO(number, closefd=False)
        self._buffer = memoryview(bytearray(most))

    def read(self, size: int) -> bytes:
        """What is there, *size* bytes at most, once there is something; nothing at the end."""
        return bytes(self._buffer[: self._file.readinto(self._buffer[:size])])
