"""Values that do not fit into memory go to disk and come back; what a disk refuses stays; what is dropped is gone."""

from __future__ import annotations

import errno
import gc
import os
import resource
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from nbcluster.engine.disk import Disk
from nbcluster.engine.keeper import Keeper, NoRoom, limits_from
from nbcluster.engine.meters import Meter
from nbcluster.engine.pressure import Limits
from nbcluster.engine.sharing import Sharing
from nbcluster.engine.store import Kept, Store, Where
from nbcluster.errors import ValueReleased
from nbcluster.payload.values import dump_value, load_value
from nbcluster.testing.waiting import wait_until
from nbcluster.transport import segments, shareddirs
from nbcluster.transport.segments import SharedDirectory, SpillDirectory
from nbcluster.transport.sharedmem import Pool

MIB = 1 << 20


@dataclass
class Place:
    """One engine's directories, with what it uses of memory as the system would tell it."""

    path: Path
    shares: bool
    memory: Path | None = None
    """Where memory is shared; on disk below `path` when it is None."""

    def __post_init__(self) -> None:
        self.shm, self.spill = (self.memory or self.path) / "shm", self.path / "spill"
        self.fds = [shareddirs.make(self.spill, "/x"), shareddirs.make(self.shm, "/x", str(self.spill))]
        self.beside = 0
        directory = SharedDirectory(str(self.shm)) if self.shares else None
        self.store, self.sharing = Store(), Sharing(directory, "e1")
        self.disk = Disk(SpillDirectory(str(self.spill)), "e1")
        self.sharing.look_on(self.disk.directory)

    def uses(self, nbytes: int) -> None:
        """Let the engine use memory beside its values."""
        self.beside = nbytes

    def keeper(self, limit: int, *, strict: bool = True, disk: bool = True) -> Keeper:
        meter = MeterOf(self)
        limits = Limits(limit, strict, reserve=0)
        return Keeper(self.store, self.sharing, meter, limits, self.disk if disk else None, "7")

    def on_disk(self) -> list[str]:
        return sorted(each.name for each in self.spill.iterdir() if each.name != segments.ABOUT)

    def value(self, task: str) -> object:
        kept = self.store.get(task)
        assert kept is not None
        return load_value(*self.sharing.opened(kept.payload, kept.buffers))

    def places(self) -> list[Where]:
        found = [self.store.peek(task) for task in map(str, range(len(self.store)))]
        return [kept.where for kept in found if kept is not None]


class MeterOf(Meter):
    """Measures what a place says of its process, in the place of the system."""

    def __init__(self, place: Place) -> None:
        super().__init__(place.path, place.path / "none")
        self._place = place

    def own(self) -> int:
        return self._place.beside + self._place.store.bytes_in(Where.HERE)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory."""
    if not shareddirs.MEMORY.is_dir():
        pytest.skip("no POSIX shared memory here")
    with tempfile.TemporaryDirectory(prefix="nbcluster-test-", dir=shareddirs.MEMORY) as path:
        yield Path(path)


@pytest.fixture(params=[True, False], ids=["shared memory", "no shared memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path, memory: Path) -> Iterator[Place]:
    made = Place(tmp_path, request.param, memory)
    yield made
    for fd in made.fds:
        os.close(fd)


def array(number: int) -> np.ndarray:
    return np.full(MIB, number, np.float64)  # 8 MiB


@contextmanager
def files_of_at_most(nbytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_memory_without_a_value_in_it_goes_before_values_do(place: Place) -> None:
    keeper = place.keeper(100 * MIB)
    keeper.keep("0", dump_value(array(0)))
    asked = []

    def give_back() -> None:
        asked.append(place.on_disk())
        place.uses(0)

    keeper.on_want = give_back
    place.uses(80 * MIB)
    assert keeper.relieve() == 0
    assert asked == [[]]
    assert place.on_disk() == []


def test_the_least_recently_used_go_to_disk_and_come_back(place: Place) -> None:
    keeper = place.keeper(100 * MIB)
    for number in range(8):  # 64 MiB, less than the level
        keeper.keep(str(number), dump_value(array(number)))
    assert keeper.relieve() == 0
    assert place.on_disk() == []

    assert np.array_equal(place.value("0"), array(0)), "it was used now"
    place.uses(19 * MIB)
    assert place.store.bytes_in(Where.DISK) == 0
    assert keeper.relieve() == 3, "19 and 64 less 60 is 23, and each has 8"
    here = Where.SEGMENT if place.shares else Where.HERE
    assert place.places() == [here, *[Where.DISK] * 3, *[here] * 4]
    assert len(place.on_disk()) == 3

    for number in range(8):
        assert np.array_equal(place.value(str(number)), array(number))
    assert keeper.relieve() == 0, "to be used, nothing had to come back into memory"


def test_a_value_on_disk_can_be_written_to_and_stays_as_it_was(place: Place) -> None:
    place.keeper(100 * MIB).keep("0", dump_value(array(1)))
    keeper = place.keeper(MIB)
    assert keeper.relieve() == 1
    mine = place.value("0")
    assert isinstance(mine, np.ndarray)
    mine[:] = 5

    assert np.array_equal(place.value("0"), array(1))
    place.store.drop(["0"])
    assert place.on_disk() == []
    assert mine.sum() == 5 * MIB, "who has it goes on with it"


@pytest.mark.parametrize(
    "value",
    [b"x" * 5000, "text" * 5000, list(range(3000)), [np.arange(700), "and", np.arange(90_000), np.empty(0)]],
    ids=["bytes", "text", "a pickle alone", "several buffers"],
)
def test_small_values_go_too(place: Place, value: object) -> None:
    place.keeper(100 * MIB).keep("0", dump_value(value))
    assert place.keeper(1000).relieve() == 1

    assert place.places() == [Where.DISK]
    assert repr(place.value("0")) == repr(value)


def test_files_are_for_nobody_else(place: Place) -> None:
    place.keeper(MIB).keep("0", dump_value(array(1)))

    assert place.places() == [Where.DISK], "it had no room in memory at any time"
    assert (
        place.spill.stat().st_mode & 0o777,
        *(each.stat().st_mode & 0o777 for each in place.spill.iterdir()),
    ) == (
        0o700,
        0o600,
        0o600,
    )


def test_files_go_with_their_values(place: Place) -> None:
    keeper = place.keeper(20 * MIB)
    for number in range(6):
        keeper.keep(str(number), dump_value(array(number)))
    keeper.relieve()
    assert place.on_disk()
    keeper.keep("3", dump_value("a later attempt's" * 1000))
    place.store.drop(map(str, range(6)))

    assert place.on_disk() == []
    assert place.store.nbytes == 0
    assert place.sharing.nbytes <= 20 * MIB


def test_an_envelope_that_was_sent_before_means_the_same_afterwards(tmp_path: Path, memory: Path) -> None:
    place = Place(tmp_path, True, memory)
    envelope = place.keeper(100 * MIB).keep("0", dump_value(array(3))).payload
    reader = SharedDirectory(str(place.shm))
    assert place.keeper(MIB).relieve() == 1
    place.keeper(100 * MIB).keep("1", dump_value(array(4)))  # may fill the same segment

    assert np.array_equal(load_value(*reader.opened(envelope)), array(3))
    assert np.array_equal(place.value("1"), array(4))
    place.store.drop("01")
    with pytest.raises(ValueReleased):
        reader.opened(envelope)


def test_what_a_client_has_filled_goes_to_disk_and_its_segment_can_be_filled_again(
    tmp_path: Path, memory: Path
) -> None:
    place = Place(tmp_path, True, memory)
    pool = Pool(SharedDirectory(str(place.shm)), "c9")
    dumped = dump_value(array(2))
    shared = pool.share(dumped.payload, [buffer.raw() for buffer in dumped.buffers])
    assert shared is not None
    envelope, lease = shared
    lease.adopt()
    place.keeper(100 * MIB).adopt("0", envelope)
    del lease, shared
    other = Place.__new__(Place)  # another engine of the host, which was given the same value
    other.path, other.store, other.sharing = tmp_path, Store(), Sharing(SharedDirectory(str(place.shm)), "e2")
    other.disk, other.beside = Disk(SpillDirectory(str(place.spill)), "e2"), 0
    other.keeper(100 * MIB).adopt("0", envelope)
    place.uses(3 * MIB)
    assert place.keeper(MIB).relieve() == 1
    assert segments.sweep(str(place.spill), {"e1", "e2"}) == [], "the lock says that it is needed"
    assert other.keeper(MIB).relieve() == 1
    assert len(place.on_disk()) == 1, "one file for both"
    shared = pool.share(b"", [memoryview(bytes(8 * MIB))])
    assert shared is not None
    assert len(list(place.shm.iterdir())) == 2, "the segment was filled again"

    assert segments.sweep(str(place.spill), {"e1", "e2"}) == []
    place.store.drop(["0"])
    assert np.array_equal(load_value(*other.sharing.opened(envelope)), array(2)), "the other still has it"
    other.store.drop(["0"])
    segments.sweep(str(place.spill), {"e1", "e2"})
    assert place.on_disk() == []


def test_what_a_full_disk_refuses_stays_in_memory_and_is_said(place: Place) -> None:
    keeper = place.keeper(100 * MIB)
    for number in range(8):
        keeper.keep(str(number), dump_value(array(number)))
    place.uses(20 * MIB)
    with files_of_at_most(4 * MIB):
        assert keeper.relieve() == 0
    assert place.on_disk() == [], "nothing is left of the attempt"
    assert all(np.array_equal(place.value(str(number)), array(number)) for number in range(8))

    held = keeper.look()
    assert (held.kept >> 20, held.spilled, held.paused) == (64, 0, False)
    assert "engine 7 uses 84" in held.note
    assert os.strerror(errno.EFBIG) in held.note
    assert "memory_limit=" in held.note
    assert held.note in keeper.word(0.0)
    assert keeper.word(10.0) == "", "once is enough for a while"


def test_a_disk_that_is_nearly_full_is_left_to_others(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = place.keeper(100 * MIB)
    keeper.keep("0", dump_value(array(1)))
    place.uses(90 * MIB)
    fields = list(os.statvfs(place.spill))
    fields[4] = int(fields[2] * 0.049)  # blocks that are available, of all
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(fields))

    assert keeper.relieve() == 0
    assert (Where.DISK in place.places(), place.on_disk()) == (False, [])
    assert os.strerror(errno.ENOSPC) in keeper.look().note


def test_a_result_that_fits_nowhere_is_an_error_and_the_rest_is_kept(place: Place) -> None:
    keeper = place.keeper(20 * MIB)
    keeper.keep("0", dump_value(array(0)))
    keeper.keep("1", dump_value(array(1)))
    large = dump_value(array(2))
    place.uses(19 * MIB)
    refused = r"result has 8 MiB, and engine 7 can keep it neither in memory .* nor on disk \(.*memory_limit="
    with files_of_at_most(4 * MIB), pytest.raises(NoRoom, match=refused):
        keeper.keep("2", large)
    assert len(place.store) == 2
    for number in range(2):
        assert np.array_equal(place.value(str(number)), array(number))

    place.uses(0)
    keeper.keep("9", dump_value(array(9)))
    assert np.array_equal(place.value("9"), array(9)), "with room on disk it goes on"


def test_a_share_that_nobody_asked_for_does_not_refuse_while_the_host_has_memory(place: Place) -> None:
    keeper = place.keeper(20 * MIB, strict=False, disk=False)
    for number in range(5):
        keeper.keep(str(number), dump_value(array(number)))

    assert all(np.array_equal(place.value(str(number)), array(number)) for number in range(5))
    assert "NBCLUSTER_SPILL names one" in keeper.word(0.0)


def test_memory_is_freed_on_a_thread_of_its_own(place: Place) -> None:
    keeper = place.keeper(100 * MIB)
    freed = threading.Event()
    keeper.on_relief = freed.set
    for number in range(8):
        keeper.keep(str(number), dump_value(array(number)))
    place.uses(19 * MIB)
    assert keeper.look().note
    assert freed.wait(10)
    held = keeper.look()

    assert held.used <= 60 * MIB
    assert held.spilled >> 20 == 24
    assert held.note == "", "there is nothing to warn of any more"


def test_values_that_are_dropped_while_they_go_to_disk_leave_nothing(place: Place) -> None:
    keeper = place.keeper(100 * MIB)
    for number in range(8):
        keeper.keep(str(number), dump_value(array(number)))
    place.uses(100 * MIB)
    dropping = threading.Thread(target=lambda: [place.store.drop([str(number)]) for number in range(8)])
    dropping.start()
    keeper.relieve()
    dropping.join()
    gc.collect()

    wait_until(lambda: not place.on_disk(), 5, "no file")
    assert place.store.nbytes == 0


def test_values_shared_through_files_take_no_memory(tmp_path: Path) -> None:
    place = Place(tmp_path, shares=True)
    for number in range(3):
        place.keeper(100 * MIB).keep(str(number), dump_value(array(number)))

    assert place.places() == [Where.FILE] * 3
    assert place.keeper(MIB).look().used == 0
    assert place.keeper(MIB).relieve() == 0, "they are on a disk already"
    assert place.on_disk() == []


def test_no_call_waits_for_memory_that_nobody_uses(tmp_path: Path, memory: Path) -> None:
    place = Place(tmp_path, True, memory)
    place.keeper(100 * MIB).keep("0", dump_value(array(0)))
    place.store.drop(["0"])
    assert place.sharing.nbytes == 8 * MIB, "it is kept to be filled again"

    held = place.keeper(MIB).look()
    assert (held.used, held.paused, held.note) == (0, False, "")


def test_children_that_were_forked_leave_the_files_alone(place: Place) -> None:
    place.keeper(MIB).keep("0", dump_value(array(1)))
    files = place.on_disk()
    child = os.fork()
    if not child:
        place.store.drop(["0"])
        os._exit(len(place.store))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert place.on_disk() == files
    assert np.array_equal(place.value("0"), array(1))


@pytest.mark.parametrize(
    ("text", "limit", "strict"),
    [("", 0, False), ("0", 0, False), ("2000000000", 2_000_000_000, True), ("/4", 234 * MIB, False)],
)
def test_limits_are_read_as_engines_are_told_them(text: str, limit: int, strict: bool) -> None:
    assert limits_from(text, 1000 * MIB) == Limits(limit, strict, reserve=64 * MIB)


def test_what_was_dropped_meanwhile_does_not_come_back() -> None:
    store, before, after = Store(), Kept(b"before"), Kept(b"after")
    store.keep("a", before)
    store.drop(["a"])
    assert not store.replace("a", before, after)
    store.keep("a", Kept(b"a later attempt's"))
    assert not store.replace("a", before, after)
    assert store.nbytes == len(b"a later attempt's")


def test_what_is_kept_small_and_unused_stays(place: Place) -> None:
    place.store.keep("0", Kept(b"tiny"))

    assert place.keeper(100).relieve() == 0
    assert place.on_disk() == []
