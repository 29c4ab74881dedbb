"""
The catalogue.  A module is a group of items, or a part of one; its ``ITEMS`` are listed here.
"""

from __future__ import annotations

from chaos.item import Item
from chaos.items import (
    admin,
    blocking,
    body,
    client,
    connection,
    heavy,
    hostile,
    leaks,
    load,
    manners,
    mistakes,
    process,
    protocol,
    records,
    restarts,
    service,
    smuggling,
    status,
    stream,
    streams,
    uploads,
    waits,
)

ITEMS: tuple[Item, ...] = (
    *connection.ITEMS,
    *protocol.ITEMS,
    *status.ITEMS,
    *waits.ITEMS,
    *body.ITEMS,
    *heavy.ITEMS,
    *stream.ITEMS,
    *streams.ITEMS,
    *client.ITEMS,
    *manners.ITEMS,
    *uploads.ITEMS,
    *hostile.ITEMS,
    *blocking.ITEMS,
    *smuggling.ITEMS,
    *leaks.ITEMS,
    *admin.ITEMS,
    *load.ITEMS,
    *process.ITEMS,
    *restarts.ITEMS,
    *mistakes.ITEMS,
    *records.ITEMS,
    *service.ITEMS,
)
