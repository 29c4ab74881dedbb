"""
Twisted's parser of requests, without its leniency.

What it lets pass and another reader could read differently is refused with 400 and the end
of the connection (:mod:`yallmp.core.framing`).  None of it concerns a head that leaves no
doubt and is read at once (:mod:`yallmp.core.requesthead`).
"""

from __future__ import annotations

from typing import Any

from yallmp.core.framing import are_plain, is_chunked, is_folded, is_for_us
from yallmp.punctual import PunctualChannel


class StrictChannel(PunctualChannel):
    """One connection of a client, on which nothing doubtful is read."""

    def lineReceived(self, line: bytes) -> Any:
        """Take a line of the head, which stands for itself."""
        if is_folded(line):
            self._respondToBadRequestAndDisconnect()
            return True
        return super().lineReceived(line)

    def _maybeChooseTransferDecoder(self, header: bytes, data: bytes) -> bool:  # noqa: N802
        """Take note of a field that tells where the body ends."""
        if header == b"Transfer-Encoding" and not is_chunked(data, self._version):
            return bool(self._failChooseTransferDecoder())
        return bool(super()._maybeChooseTransferDecoder(header, data))

    def rawDataReceived(self, data: bytes) -> None:
        """Take a part of a body; a chunk that is too large is not waited for."""
        super().rawDataReceived(data)
        decoder: Any = self._transferDecoder
        if getattr(decoder, "state", None) == "BODY":
            self.requests[-1].foresee(decoder.length)

    def allHeadersReceived(self) -> None:
        hosts = self.requests[-1].requestHeaders.getRawHeaders(b"host", [])
        if is_for_us(self._command, self._path, hosts):
            super().allHeadersReceived()
        else:
            self._respondToBadRequestAndDisconnect()

    def _finishRequestBody(self, data: bytes) -> None:  # noqa: N802
        """The body is whole, with what stood behind its last chunk."""
        trailers = getattr(self._transferDecoder, "_trailerHeaders", ())
        if are_plain(map(bytes, trailers)):
            super()._finishRequestBody(data)
        else:
            self._respondToBadRequestAndDisconnect()
