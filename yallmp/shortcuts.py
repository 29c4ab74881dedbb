"""
Klein's tree as one look-up, for the paths that carry the traffic.

Klein names and serves the endpoints.  Its match and its rendering of whatever a handler
may return cost more than all the rest of a small request; ours return coroutines that
answer by themselves, so that the exact paths of the tree can be looked up at start and
their endpoints executed at once.  Everything else (names in paths, other methods, unknown
paths) is Klein's own.
"""

from __future__ import annotations

from functools import partial

from klein import Klein
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.python.failure import Failure

from yallmp.inbound import ProxyRequest


class Shortcuts:
    """
    The exact paths of *app* that take ``POST``.

    :param app: a Klein app that is bound to its instance, all of whose ``POST`` handlers
        finish the request themselves.
    """

    def __init__(self, app: Klein) -> None:
        self._app = app
        self._endpoints = {
            rule.rule.encode(): rule.endpoint
            for rule in app.url_map.iter_rules()
            if "<" not in rule.rule and rule.methods == {"POST"}
        }

    def serve(self, request: ProxyRequest) -> bool:
        """Serve *request*, if it is one for a shortcut; whether it was."""
        endpoint = self._endpoints.get(request.path)
        if endpoint is None or request.method != b"POST":
            return False
        handled: Deferred[object] = maybeDeferred(self._app.execute_endpoint, endpoint, request)
        if not handled.called:
            request.when_over(partial(_left, handled))
        handled.addErrback(_failed, request)
        return True


def _left(handled: Deferred[object], gone: bool) -> None:
    """The request is over; if its client left, so is what serves it."""
    if gone:
        handled.cancel()


def _failed(failure: Failure, request: ProxyRequest) -> None:
    """A client that leaves is no failure; everything else should not be."""
    if not failure.check(CancelledError):
        request.processingFailed(failure)
