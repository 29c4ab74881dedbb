"""
What both sides saw of a cell: the wall, and the caller.

Times are seconds since the cell began.
"""

from __future__ import annotations

from attrs import field, frozen


@frozen
class Knock:
    """
    A request as the wall saw it.

    ``prefilled`` tells that its last message was the assistant's.
    """

    backend: str
    at: float
    prefilled: bool = False


@frozen
class Heard:
    """
    What a caller got of one request.

    ``text`` is all content; ``done`` tells of ``[DONE]``, ``clean`` of a body that ended as
    HTTP says it should; ``error`` is what an error body or event said, with its code;
    ``hung`` tells that the caller gave up.  ``serving`` is the backend that the answer
    names, ``usage`` whether it tells tokens.
    """

    began: float
    ended: float
    status: int = 0
    text: str = ""
    stream: bool = True
    done: bool = False
    clean: bool = False
    finish_reason: str | None = None
    model: str | None = None
    serving: str | None = None
    usage: bool = False
    error: str | None = None
    hung: bool = False
    first: float | None = None
    last: float | None = None
    body: bytes = field(default=b"", repr=False)

    @property
    def took(self) -> float:
        """From the request to the end of its answer."""
        return self.ended - self.began

    @property
    def looks_whole(self) -> bool:
        """Whether a program would take it for a whole answer."""
        if self.hung or self.error is not None or not 200 <= self.status < 300:
            return False
        return self.done or self.clean
