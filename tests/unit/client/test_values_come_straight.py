"""A client that was offered a value fetches it, and asks the controller for what it cannot get."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nbcluster.client.straight import Straight
from nbcluster.errors import NBClusterError
from nbcluster.ids import TaskId
from nbcluster.protocol.offers import Offer
from nbcluster.transport.streamdoor import StreamDoor
from nbcluster.transport.valuedoor import ValueDoor

MIB = 1 << 20


def offered(door: ValueDoor, size: int) -> Offer:
    return door.offer(TaskId("t"), (size,))


def test_a_value_comes_or_the_controller_is_to_be_asked() -> None:
    complaints: list[str] = []

    async def story() -> list[Any]:
        straight = Straight()
        door = StreamDoor("tcp://127.0.0.1", lambda task: (b"v" * MIB, ()), complaints.append)
        door.start()
        came: list[Any] = [await straight.fetch(offered(door, MIB), lambda: True)]
        came.append(await straight.fetch(offered(door, MIB + 1), lambda: True))
        with pytest.raises(NBClusterError, match="no memory"):
            await straight.fetch(offered(door, 1 << 62), lambda: True)
        door.close()
        came.append(await straight.fetch(offered(door, MIB), lambda: True))
        straight.close()
        return came

    first, *others = asyncio.run(story())
    assert first == (b"v" * MIB, [])
    assert others == [None, None]
    assert complaints == []


def test_what_nobody_waits_for_any_more_is_given_up() -> None:
    async def story() -> Any:
        straight = Straight()
        door = StreamDoor("tcp://127.0.0.1", lambda task: None, print)  # not started: it never answers
        fetching = asyncio.create_task(straight.fetch(offered(door, MIB), lambda: False))
        came = await asyncio.wait_for(fetching, 10)
        door.close()
        straight.close()
        return came

    assert asyncio.run(story()) is None
