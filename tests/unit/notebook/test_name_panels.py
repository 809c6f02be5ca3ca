"""A table of names that is asked for again while it is seen; without engines and page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nbcluster.client.records import Name, NameTable, name_table
from nbcluster.errors import ControllerLost, EngineLost
from nbcluster.notebook import namepanels
from nbcluster.notebook.namepanels import NamesDesk

DEADLINE = 5.0


class Engines:
    """Engines with more names each time they are asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None

    def table(self) -> NameTable:
        table = name_table([Name(f"x{at}", "int", engine=0) for at in range(self.asked)], [0], "Names")
        table.again = self.describe
        return table

    async def describe(self) -> NameTable:
        if self.error is not None:
            raise self.error
        self.asked += 1
        return self.table()


async def until(is_true: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not is_true():
            await asyncio.sleep(0.002)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namepanels, "ASK_EVERY", 0.005)


def test_it_is_asked_while_it_is_seen_and_no_longer() -> None:
    async def story() -> None:
        engines, shown = Engines(), [{}]
        table = engines.table()
        desk = NamesDesk(table, shown.append)
        desk.open()
        assert "0 names" in shown[-1]["names/0"]
        await until(lambda: "3 names" in shown[-1]["names/0"])
        assert list(table) == [], "the value of the cell is what it was"
        desk.take({"do": "see", "view": "a", "on": False})
        assert desk._asking is not None
        await until(desk._asking.done)
        before = engines.asked
        desk.take({"do": "explode"})
        assert desk._asking.done()
        desk.take({"do": "see", "view": "a", "on": True})
        await until(lambda: engines.asked > before)
        await desk.close()

    asyncio.run(story())


def test_engines_that_are_lost_leave_their_last_names_and_say_why() -> None:
    async def story() -> None:
        engines: Any = Engines()
        shown: list[dict[str, str]] = []
        desk = NamesDesk(engines.table(), shown.append)
        desk.open()
        await until(lambda: "2 names" in shown[-1]["names/0"])
        engines.error = EngineLost("engine 0 was restarted")
        await until(lambda: "as they were last; engine 0 was restarted" in shown[-1]["head"])
        engines.error = None
        await until(lambda: "live" in shown[-1]["head"])
        engines.error = ControllerLost("the <controller> ended")
        await until(lambda: "as they were last; the &lt;controller&gt; ended" in shown[-1]["head"])
        assert "names" in shown[-1]["names/0"]
        assert desk._asking is not None
        await until(desk._asking.done)
        await desk.close()

    asyncio.run(story())
