"""
JSON whose whole numbers may have any number of digits.

Python makes no integer of more than 4,300 digits (``sys.set_int_max_str_digits``: the work
grows with their square) and raises a ``ValueError``.  JSON knows no such limit, and what we
pass on we need not count with: such a number is read as the text of its digits.  It
is looked for only when one was met, so that every other body costs nothing more.
"""

from __future__ import annotations

import json
from typing import Any


def whole_number(text: str) -> int | str:
    """The number that *text* is, or *text* itself if it is too long to be made one."""
    try:
        return int(text)
    except ValueError:
        return text


def loads(body: str | bytes) -> Any:
    """
    As ``json.loads``, with numbers of any length.

    :raises ValueError: it is not JSON.
    """
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return json.loads(body, parse_int=whole_number)


class Decoder(json.JSONDecoder):
    """A decoder that does the same, for reading one value after another."""

    def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
        """The value at *idx* of *s*, and where it ends."""
        try:
            return super().raw_decode(s, idx)
        except json.JSONDecodeError:
            raise
        except ValueError:
            patient = json.JSONDecoder(parse_int=whole_number, parse_constant=self.parse_constant)
            return patient.raw_decode(s, idx)
