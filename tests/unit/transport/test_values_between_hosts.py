"""Large values from a door to who was offered them: whole, checked, resumed where a connection broke, and bounded."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nbcluster.errors import NBClusterError
from nbcluster.ids import TaskId
from nbcluster.protocol.offers import ENCRYPTION, Offer
from nbcluster.testing.waiting import wait_until
from nbcluster.transport import plainsockets, streamdoor, streamline
from nbcluster.transport.addresses import is_private
from nbcluster.transport.framing import chunks_of
from nbcluster.transport.landing import Landing, NotFetched, Unwanted
from nbcluster.transport.sealedtalk import RECORD
from nbcluster.transport.streamdoor import StreamDoor
from nbcluster.transport.valuedoor import ValueDoor
from nbcluster.transport.valuefetch import AT_ONCE, Fetcher, fetch
from tests.unit.transport.cut_connections import Relay

MIB = 1 << 20


class House:
    """Doors with values behind them, and what they complained of."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.values: dict[str, tuple[bytes, Sequence[Any]]] = {}
        self.complaints: list[str] = []
        self.fetcher = Fetcher()
        stack.callback(wait_until, lambda: not self.fetcher.is_at_work, 5, "the threads to end")
        stack.callback(self.fetcher.close)
        self.looked_up: list[str] = []

    def door(self, url: str = "tcp://127.0.0.1", *, start: bool = True) -> ValueDoor:
        door = StreamDoor(url, self._look_up, self.complaints.append)
        self._stack.callback(lambda: door.ident and door.join(5.0))
        self._stack.callback(door.close)
        if start:
            door.start()
        return door

    def offer(self, door: ValueDoor, task: str, payload: bytes, *buffers: Any) -> Offer:
        self.values[task] = payload, buffers
        return door.offer(TaskId(task), [len(payload), *map(len, buffers)])

    def relay(self, offer: Offer, *cut_after: int) -> tuple[Offer, Relay]:
        relay = Relay(int(offer.url.rpartition(":")[2]), cut_after)
        self._stack.callback(relay.close)
        return msgspec.structs.replace(offer, url=relay.url), relay

    def _look_up(self, task: str) -> tuple[bytes, Sequence[Any]] | None:
        self.looked_up.append(task)
        return self.values.get(task)


@pytest.fixture
def house() -> Iterator[House]:
    with ExitStack() as stack:
        yield House(stack)


@pytest.fixture(params=["plain", "sealed"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How values travel."""
    monkeypatch.setenv(ENCRYPTION, "always" if request.param == "sealed" else "")
    return str(request.param)


SHAPES = [
    (1,),
    (MIB - 1,),
    (MIB,),
    (MIB + 1,),
    (10, 3 * MIB),
    (10, 0, 1, MIB // 2, 5 * MIB + 17, 0),
    (3 * MIB + 5, 70_000, 70_000),
    (RECORD,),
    (RECORD + 1, 5),
    (100, 40 * MIB + 1),
    (100, *[1000] * 3000),
]


@pytest.mark.parametrize("way", ["tcp", "sealed", "ipc"])
@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_a_value_comes_as_it_was_and_belongs_to_who_fetched_it(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str, sizes: Any
) -> None:
    if way == "sealed":
        monkeypatch.setenv(ENCRYPTION, "always")
    door = house.door(f"ipc://{tmp_path}/d" if way == "ipc" else "tcp://127.0.0.1")
    payload, *buffers = (os.urandom(size) for size in sizes)
    offer = house.offer(door, "t", payload, *buffers)
    assert offer.is_sealed is (way == "sealed")
    came, parts = fetch(offer)
    assert came == payload
    assert [bytes(part) for part in parts] == buffers
    assert not any(memoryview(part).readonly for part in parts)
    assert house.complaints == []


def test_only_addresses_of_this_host_go_unencrypted() -> None:
    assert is_private("tcp://127.0.0.3:0")
    assert is_private("tcp://[::1]:0")
    assert is_private("ipc:///run/e1-1")
    assert not is_private("tcp://10.0.0.1:0")
    assert not is_private("tcp://localhost.example.org:0")


def test_a_door_that_other_hosts_can_reach_is_encrypted(house: House) -> None:
    offer = house.offer(house.door("tcp://0.0.0.0"), "t", bytes(2 * MIB))
    assert offer.is_sealed
    url = offer.url.replace("0.0.0.0", "127.0.0.1")
    assert fetch(msgspec.structs.replace(offer, url=url))[0] == bytes(2 * MIB)


def test_who_holds_no_ticket_is_told_nothing(house: House, way: str) -> None:
    door, other = house.door(), house.door()
    offer = house.offer(door, "t", bytes(5 * MIB))
    house.offer(door, "u", bytes(5 * MIB))
    for ticket in (b"", bytes(32), other.offer(TaskId("t"), offer.sizes).ticket):
        with pytest.raises(NotFetched, match="refused the ticket"):
            fetch(msgspec.structs.replace(offer, ticket=ticket))
    with pytest.raises(NotFetched, match="refused the ticket"):
        fetch(msgspec.structs.replace(offer, task="u"))
    assert "not signed" in house.complaints[0]
    assert house.looked_up == []
    assert fetch(offer)[0] == bytes(5 * MIB)


def test_what_comes_from_who_holds_no_ticket_is_not_believed(house: House, way: str) -> None:
    offer = house.offer(house.door(), "t", bytes(2 * MIB))
    lie = [b"<IDS|MSG>", b"0" * 64, b"{}", b"{}", b"{}", b"x"]

    def lie_in(listening: socket.socket) -> None:
        connected, _ = listening.accept()
        with connected:
            connected.sendall(chunks_of(lie)[0])
            with suppress(OSError):  # who does not believe it hangs up
                connected.sendall(bytes(2 * MIB))

    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listening.getsockname()[1]
        thread = threading.Thread(target=lie_in, args=(listening,))
        thread.start()
        with pytest.raises(NotFetched, match="does not hold the ticket"):
            fetch(msgspec.structs.replace(offer, url=f"tcp://127.0.0.1:{port}"))
        thread.join(5)
        assert not thread.is_alive()


@pytest.mark.parametrize("encryption", ["", "always"])
def test_a_door_talks_in_its_own_way_alone(
    house: House, monkeypatch: pytest.MonkeyPatch, encryption: str
) -> None:
    monkeypatch.setenv(ENCRYPTION, encryption)
    offer = house.offer(house.door(), "t", bytes(2 * MIB))
    with pytest.raises(NotFetched, match="refused the ticket"):
        fetch(msgspec.structs.replace(offer, is_sealed=not offer.is_sealed))
    assert ("came unencrypted" if encryption else "out of place") in house.complaints[0]
    assert house.looked_up == []


def test_nobody_on_the_way_can_read_a_value(house: House, way: str) -> None:
    offer, relay = house.relay(house.offer(house.door(), "t", b"secret " * MIB))
    assert fetch(offer)[0] == b"secret " * MIB
    assert (b"secret " in relay.told) is (way == "plain")
    house.values.clear()
    with pytest.raises(NotFetched, match="not kept there any more"):
        fetch(offer)
    assert (b"not kept there" in relay.told) is (way == "plain")


@pytest.mark.parametrize("place", [600, MIB, RECORD + 3000])
def test_what_was_changed_on_its_way_is_not_taken(
    house: House, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    monkeypatch.setenv(ENCRYPTION, "always")
    value = os.urandom(RECORD + MIB)
    offer, relay = house.relay(house.offer(house.door(), "t", value))
    relay.spoil_at = place
    assert fetch(offer)[0] == value
    assert relay.spoil_at is None
    assert relay.connections == 2


def test_another_key_that_is_put_in_on_the_way_is_not_believed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENCRYPTION, "always")
    offer, relay = house.relay(house.offer(house.door(), "t", bytes(2 * MIB)))
    fetch(offer)
    relay.spoil_at = relay.brought + relay.told.rindex(b"SealedUp") + 40  # within the key
    with pytest.raises(NotFetched, match="does not hold the ticket"):
        fetch(offer)


def test_an_answer_that_was_recorded_is_not_believed_again(house: House, way: str) -> None:
    offer, relay = house.relay(house.offer(house.door(), "t", b"old" * MIB))
    fetch(offer)

    def answer(listening: socket.socket) -> None:
        connected, _ = listening.accept()
        with connected, suppress(OSError):  # who does not believe it hangs up
            connected.sendall(relay.told)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,))
        thread.start()
        with pytest.raises(NotFetched, match="answers to another connection"):
            fetch(msgspec.structs.replace(offer, url=f"tcp://127.0.0.1:{listening.getsockname()[1]}"))
        thread.join(5)


def test_a_request_that_was_recorded_opens_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENCRYPTION, "always")
    door = house.door()
    offer, relay = house.relay(house.offer(door, "t", b"secret " * MIB))
    fetch(offer)
    assert house.looked_up == ["t"]
    with socket.create_connection(("127.0.0.1", int(door.url.rpartition(":")[2])), timeout=5) as connected:
        connected.sendall(relay.asked)
        told = b""
        with suppress(ConnectionResetError):
            while piece := connected.recv(MIB):
                told += piece
    assert b"secret " not in told
    assert len(told) < 2000
    assert house.looked_up == ["t"]
    assert "not what was sent" in house.complaints[0]


def test_a_transfer_goes_on_where_it_was_cut(house: House, way: str) -> None:
    door = house.door()
    data = os.urandom(64 * MIB)
    offer, relay = house.relay(house.offer(door, "t", b"head", data), 20 * MIB + 7, 1000, 100, 30 * MIB)
    payload, (part,) = fetch(offer)
    assert payload == b"head"
    assert bytes(part) == data
    assert relay.connections == 5
    # What is lost with a connection is what was on its way, and nothing else: what it had brought is not sent again.
    assert relay.brought < 64 * MIB + 3 * (RECORD if way == "sealed" else MIB)
    assert house.complaints == []


def test_a_source_that_ends_in_the_midst_ends_the_fetch(house: House, way: str) -> None:
    offer, relay = house.relay(house.offer(house.door(), "t", bytes(64 * MIB)), 20 * MIB)
    relay.connections_left = 1
    begun = time.monotonic()
    with pytest.raises(NotFetched, match=r"cannot be reached, \d.* of 64.* have come"):
        fetch(offer)
    assert relay.connections == 1
    assert time.monotonic() - begun < 20


def test_a_value_that_is_gone_is_said_to_be(house: House, way: str) -> None:
    offer = house.offer(house.door(), "t", bytes(2 * MIB))
    house.values.clear()
    with pytest.raises(NotFetched, match="the value of t is not kept there any more"):
        fetch(offer)


def test_a_value_whose_bytes_cannot_be_had_says_why(house: House, way: str) -> None:
    door = house.door(start=False)
    offer = house.offer(door, "t", bytes(2 * MIB))

    def look_up(task: str) -> Any:
        raise NBClusterError("the disk is full")

    door._lookup = look_up
    door.start()
    with pytest.raises(NotFetched, match="the disk is full"):
        fetch(offer)


@pytest.mark.parametrize("sizes", [(3 * MIB,), (MIB + 1,), (2 * MIB - 1,)], ids=str)
def test_sizes_that_were_not_offered_are_refused(house: House, way: str, sizes: tuple[int, ...]) -> None:
    offer = house.offer(house.door(), "t", bytes(2 * MIB))
    with pytest.raises(NotFetched, match=r"was due|were due|were asked for"):
        fetch(msgspec.structs.replace(offer, sizes=sizes))


def test_more_than_fits_in_memory_is_an_error(house: House) -> None:
    offer = house.offer(house.door(), "t", bytes(2 * MIB))
    with pytest.raises(NBClusterError, match="there is no memory here for a value of"):
        fetch(msgspec.structs.replace(offer, sizes=(1 << 62,)))


def test_what_is_not_wanted_any_more_is_not_fetched(house: House, way: str) -> None:
    offer = house.offer(house.door(start=False), "t", bytes(2 * MIB))
    with pytest.raises(Unwanted):
        fetch(offer, lambda: False)


class Outcomes:
    """What a fetcher told."""

    def __init__(self) -> None:
        self.came: dict[str, Any] = {}
        self.looked_after: set[str] = set()

    def wanted(self, task: str) -> Callable[[], bool]:
        def is_wanted() -> bool:
            self.looked_after.add(task)
            return True

        return is_wanted

    def then(self, task: str) -> Callable[[Any], None]:
        return lambda outcome: self.came.__setitem__(task, outcome)


def test_a_few_are_fetched_at_once_and_the_others_wait(house: House) -> None:
    door, fetcher, outcomes = house.door(start=False), house.fetcher, Outcomes()
    names = [f"t{index}" for index in range(3 * AT_ONCE)]
    for name in names:
        offer = house.offer(door, name, name.encode() * MIB)
        fetcher.fetch(offer, outcomes.wanted(name), outcomes.then(name))
    wait_until(lambda: len(outcomes.looked_after) == AT_ONCE, 10, "as many as may be under way")
    again = set(outcomes.looked_after)
    outcomes.looked_after.clear()
    wait_until(lambda: len(outcomes.looked_after) == AT_ONCE, 10, "these to be looked after again")
    assert outcomes.looked_after == again
    door.start()
    wait_until(lambda: len(outcomes.came) == len(names), 10, "all to come")
    assert {name: value[0] for name, value in outcomes.came.items()} == {
        name: name.encode() * MIB for name in names
    }


def test_an_address_that_cannot_be_reached_is_not_tried_again_and_again(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"tcp://127.0.0.1:{gone.getsockname()[1]}"
    fetcher, outcomes = house.fetcher, Outcomes()
    offer = Offer(TaskId("t"), url, bytes(32), (2 * MIB,))
    fetcher.fetch(offer, lambda: True, outcomes.then("first"))
    wait_until(lambda: "first" in outcomes.came, 10, "the fetch to fail")
    assert outcomes.came["first"].is_unreachable
    fetcher.fetch(offer, lambda: True, outcomes.then("second"))
    wait_until(lambda: "second" in outcomes.came, 10, "the fetch to fail")
    assert "a moment ago" in str(outcomes.came["second"])


def test_a_closed_door_listens_no_more(house: House, way: str) -> None:
    door = house.door()
    port = int(door.url.rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port)).close()
    door.close()
    door.join(5)
    assert not door.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


NOISE = ([b""], [b"\xff"], [b"t", b"x"], [b"t"] * 9, [os.urandom(100) for _ in range(7)])


def test_noise_does_not_end_a_door(house: House, way: str) -> None:
    offer = house.offer(house.door(), "t", bytes(2 * MIB))
    address = "127.0.0.1", int(offer.url.rpartition(":")[2])
    pieces = [chunks_of(noise)[0] for noise in NOISE]
    pieces += [b"\xff" * 4, b"\x01\0\0\0" + b"\xff" * 8, b"GET / HTTP/1.1\r\n\r\n"]
    for piece in pieces:
        with socket.create_connection(address, timeout=5) as connected:
            connected.sendall(piece)
            assert connected.recv(100) == chunks_of([b""])[0]
            with suppress(ConnectionResetError):  # where not all of the noise was read
                assert connected.recv(100) == b""
    assert fetch(offer)[0] == bytes(2 * MIB)
    assert len(house.complaints) == 4  # of the first, the second, the fourth and the eighth


def test_who_says_nothing_is_not_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamdoor, "ASKING", 0.2)
    monkeypatch.setattr(streamdoor, "AT_ONCE", 2)
    offer = house.offer(house.door(), "t", bytes(2 * MIB))
    address = "127.0.0.1", int(offer.url.rpartition(":")[2])
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(socket.create_connection(address, timeout=5))
        with socket.create_connection(address, timeout=5) as third:
            assert third.recv(1) == b""
        wait_until(lambda: can_fetch(offer), 10, "the silent ones to be sent away")


def can_fetch(offer: Offer) -> bool:
    try:
        return fetch(offer)[0] == bytes(2 * MIB)
    except NotFetched:
        return False


def test_a_source_that_falls_silent_is_not_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(streamline, "SEALED_SILENCE" if way == "sealed" else "SILENCE", 0.1)
    monkeypatch.setattr(streamline, "LOOK", 0.05)
    offer = house.offer(house.door(start=False), "t", bytes(2 * MIB))
    with pytest.raises(NotFetched, match=r"0 bytes of .* have come: nothing has come for 0.1 s"):
        fetch(offer)


def test_the_bytes_from_beyond_the_end_are_refused(house: House) -> None:
    offer = house.offer(house.door(), "t", bytes(2 * MIB))
    line = streamline.StreamLine(offer, lambda: True)
    landing = Landing((4 * MIB,))
    landing.took(3 * MIB)
    with pytest.raises(NotFetched, match="the bytes from 3145728 on were asked for, of 2097152"):
        line.bring(landing)
    line.close()


def test_a_message_may_come_in_pieces_while_somebody_waits_for_it() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        plainsockets.limit_waits(ours, receive=0.01, send=1.0)
        pieces = iter([b"in", b" pie", b"ces"])
        assert plainsockets.receive(ours, 9, lambda: theirs.sendall(next(pieces)) or None) == b"in pieces"
        assert list(pieces) == []
        theirs.sendall(b"in")
        with pytest.raises(ConnectionError, match="in the midst"):
            plainsockets.receive(ours, 9, None)


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="other systems name it otherwise")
def test_an_end_that_the_network_took_away_is_noticed_by_the_system() -> None:
    with socket.socket() as connected:
        plainsockets.watch_for_cuts(connected)
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == plainsockets.BEAT
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == plainsockets.SILENCES
