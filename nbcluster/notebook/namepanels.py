"""Shows tables of names live: the engines are asked again while somebody sees them. Draws nothing itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nbcluster.errors import ControllerLost, NBClusterError, UsageError
from nbcluster.notebook.audience import Audience
from nbcluster.notebook.panelorders import read_see

if TYPE_CHECKING:
    from nbcluster.client.records import Described

TABLE_TYPES = (("nbcluster.client.records", "NameTable"), ("nbcluster.client.records", "DifferenceTable"))

ASK_EVERY = 2.0
"""Seconds between two questions, at least."""

ASK_PART = 20
"""An answer that takes long is asked for more seldom: so many times what it took lies between two questions."""


class NamesDesk:
    """Asks for a table again and again while it is seen. On the client's I/O loop.

    Parameters
    ----------
    table : Described
    show : callable
        Called with the HTML of each part by name.
    """

    def __init__(self, table: Described[Any], show: Callable[[dict[str, str]], None]) -> None:
        self._table, self._show = table, show
        self._loop = asyncio.get_running_loop()
        self._audience = Audience()
        self._asking: asyncio.Task[None] | None = None

    def open(self) -> None:
        """It is displayed."""
        self._audience.expect(self._loop.time())
        self._show(self._table.parts("live"))
        self._go_on()

    def take(self, content: dict[str, Any]) -> None:
        """Hear whether a view is seen; nothing else can be done there."""
        see = read_see(content)
        if see is not None:
            self._audience.hear(see.view, see.on)
            self._go_on()

    def _go_on(self) -> None:
        if (self._asking is None or self._asking.done()) and self._audience.is_there(self._loop.time()):
            self._asking = self._loop.create_task(self._ask())

    async def _ask(self) -> None:
        while self._audience.is_there(self._loop.time()) and self._table.again is not None:
            began = self._loop.time()
            try:
                self._table = await self._table.again()
            except (NBClusterError, TimeoutError) as error:
                self._show(self._table.parts(f"as they were last; {error}"))
                if isinstance(error, ControllerLost | UsageError):
                    return  # the cluster is gone, or was left
                await asyncio.sleep(ASK_EVERY)  # an engine may only be restarted
                continue
            took = self._loop.time() - began
            self._show(self._table.parts("live" if took < 1 else f"live, every {took * ASK_PART:.0f} s"))
            await asyncio.sleep(max(ASK_EVERY, took * ASK_PART))

    async def close(self) -> None:
        """Ask no more."""
        self._audience.leave()
        if self._asking is not None:
            self._asking.cancel()


def names_desk(table: Described[Any], show: Callable[[dict[str, str]], None]) -> NamesDesk | None:
    """The desk of a table that can be asked for again."""
    return NamesDesk(table, show) if table.again is not None else None
