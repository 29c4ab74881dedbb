"""
The catalogue.  A module is a group of items, or a part of one; its ``ITEMS`` are listed here.
"""

from __future__ import annotations

from chaos.item import Item
from chaos.items import admin, body, client, connection, leaks, service, smuggling, status, stream

ITEMS: tuple[Item, ...] = (
    *connection.ITEMS,
    *status.ITEMS,
    *body.ITEMS,
    *stream.ITEMS,
    *client.ITEMS,
    *smuggling.ITEMS,
    *leaks.ITEMS,
    *admin.ITEMS,
    *service.ITEMS,
)
