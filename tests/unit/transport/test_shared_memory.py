"""Segments are filled, mapped, used again when nobody maps them, and never read when they mean something else."""

from __future__ import annotations

import fcntl
import gc
import os
import pickle
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nbcluster.errors import NBClusterError, NotSerializable, UsageError, ValueReleased
from nbcluster.payload.envelopes import SegmentRef, reference_in, seal
from nbcluster.payload.values import dump_value, load_value
from nbcluster.testing.waiting import wait_until
from nbcluster.transport import filling, segments, shareddirs, sharedmem
from nbcluster.transport.segments import HEADER, NothingShared, SharedDirectory, sweep
from nbcluster.transport.sharedmem import Lease, Pool

ITEMS = 1 << 18
"""Of eight bytes: 2 MiB."""


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A directory of segments that is in use."""
    made = tmp_path / "nbcluster-1-abc"
    fd = shareddirs.make(made, "/nowhere")
    yield made
    os.close(fd)


@pytest.fixture
def pool(path: Path) -> Iterator[Pool]:
    """What one process fills there."""
    made = Pool(SharedDirectory(str(path)), "c1")
    yield made
    made.close()


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory of segments in memory, that is in use."""
    if not shareddirs.MEMORY.is_dir():
        pytest.skip("there is no file system in memory here")
    with tempfile.TemporaryDirectory(dir=shareddirs.MEMORY, prefix="nbcluster-test-") as top:
        made = Path(top) / "nbcluster-1-abc"
        fd = shareddirs.make(made, "/nowhere")
        yield made
        os.close(fd)


def share(pool: Pool, value: object) -> tuple[bytes, Lease]:
    dumped = dump_value(value)
    shared = pool.share(dumped.payload, [buffer.raw() for buffer in dumped.buffers])
    assert shared is not None
    return shared


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir() if each.name != segments.ABOUT)


def read(path: Path, envelope: bytes) -> object:
    return load_value(*SharedDirectory(str(path)).opened(envelope))


def test_an_array_arrives_without_a_copy_and_can_be_written_to(path: Path, pool: Pool) -> None:
    array = np.arange(ITEMS)
    envelope, _lease = share(pool, {"a": array, "b": array[:10]})
    assert len(envelope) < 1000
    first, second = read(path, envelope), read(path, envelope)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    first["a"][0] = 7
    assert [int(each[0]) for each in (first["a"], second["a"], array)] == [7, 0, 0]
    assert not first["a"].flags.owndata
    assert np.array_equal(second["a"], array)
    assert names(path) == ["c1-0"]
    assert (path / "c1-0").stat().st_mode & 0o777 == 0o600


def test_what_was_read_only_stays_so(path: Path, pool: Pool) -> None:
    array = np.zeros(ITEMS)
    array.flags.writeable = False
    envelope, _lease = share(pool, array)
    came = read(path, envelope)
    assert isinstance(came, np.ndarray)
    assert not came.flags.writeable


def test_a_large_pickle_without_buffers_is_shared_too(path: Path, pool: Pool) -> None:
    envelope, _lease = share(pool, b"x" * (3 << 20))
    assert len(envelope) < 1000
    assert read(path, envelope) == b"x" * (3 << 20)


def test_what_is_small_travels_as_it_is(pool: Pool, path: Path) -> None:
    dumped = dump_value(np.zeros(20_000))
    assert pool.share(dumped.payload, [buffer.raw() for buffer in dumped.buffers]) is None
    assert names(path) == []


def test_many_buffers_lie_in_one_file_in_their_order(path: Path, pool: Pool) -> None:
    arrays = [np.full(100_001 + at, at, dtype="u1") for at in range(12)]
    envelope, _lease = share(pool, arrays)
    came = read(path, envelope)
    assert isinstance(came, list)
    assert all(np.array_equal(one, other) for one, other in zip(came, arrays, strict=True))
    assert names(path) == ["c1-0"]


def test_a_segment_is_used_again_only_when_its_reader_is_gone(path: Path, pool: Pool) -> None:
    envelope, lease = share(pool, np.full(ITEMS, 1))
    reader = read(path, envelope)
    del lease
    share(pool, np.full(ITEMS, 2))
    assert names(path) == ["c1-0", "c1-1"]  # the second is let go at once
    assert isinstance(reader, np.ndarray)
    assert [reader[0], reader[-1]] == [1, 1]
    view = reader[5:10]
    del reader
    share(pool, np.full(ITEMS, 3))
    assert view[0] == 1  # a view of it holds it as well
    assert names(path) == ["c1-0", "c1-1"]
    del view
    gc.collect()
    envelope, _lease = share(pool, np.full(ITEMS, 4))
    other, _lease2 = share(pool, np.full(ITEMS, 5))
    assert names(path) == ["c1-0", "c1-1"]
    assert {int(read(path, each)[0]) for each in (envelope, other)} == {4, 5}  # type: ignore[index]


def test_a_reference_to_what_was_there_before_is_refused(path: Path, pool: Pool) -> None:
    envelope, lease = share(pool, np.full(ITEMS, 1))
    del lease
    _, _lease = share(pool, np.full(ITEMS, 2))
    assert names(path) == ["c1-0"]
    with pytest.raises(ValueReleased, match="was let go"):
        read(path, envelope)


def test_what_is_being_filled_is_not_read(path: Path, pool: Pool) -> None:
    envelope, _lease = share(pool, np.zeros(ITEMS))
    with open(path / "c1-0", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ValueReleased):
            read(path, envelope)
    assert isinstance(read(path, envelope), np.ndarray)


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "/etc/passwd",
        "",
        ".",
        "..",
        "c1-0/../../secret",
        "cluster",
        "c1-0\0",
        "C1-0",
        "link-1",
        "dir-1",
    ],
)
def test_a_message_opens_nothing_but_segments(path: Path, name: str) -> None:
    secret = path.parent / "secret"
    nonce = b"n" * 16
    secret.write_bytes(nonce + bytes(HEADER + 64))
    (path / "link-1").symlink_to(secret)
    (path / "dir-1").mkdir()
    with pytest.raises(NBClusterError):
        read(path, seal(SegmentRef(name, nonce, ((0, 8),), b"")))


def test_a_pipe_with_the_name_of_a_segment_keeps_nobody(path: Path) -> None:
    os.mkfifo(path / "pipe-1")
    with pytest.raises(NBClusterError, match="no segment"):
        read(path, seal(SegmentRef("pipe-1", b"", ((0, 8),), b"")))


def test_a_reference_beyond_the_end_of_a_file_is_refused(path: Path, pool: Pool) -> None:
    envelope, _lease = share(pool, np.zeros(ITEMS))
    known = reference_in(envelope)
    assert known is not None
    with pytest.raises(ValueReleased):
        read(path, seal(SegmentRef(known.name, known.nonce, ((0, 1 << 40),), b"")))


@pytest.mark.parametrize(
    "payload",
    [
        seal(SegmentRef("c1-0", b"", ((0, 8),), b""))[:-3],
        seal(SegmentRef("c1-0", b"", ((-8, 8),), b"")),
        seal(SegmentRef("c1-0", b"", (), None)),
    ],
)
def test_a_reference_that_says_nothing_sensible_is_refused(path: Path, payload: bytes) -> None:
    with pytest.raises(NotSerializable, match="shared memory"):
        read(path, payload)


def test_where_nothing_is_shared_pickles_pass_and_references_do_not() -> None:
    assert NothingShared().opened(pickle.dumps(1)) == (pickle.dumps(1), ())
    with pytest.raises(NBClusterError, match="shares none"):
        NothingShared().opened(seal(SegmentRef("c1-0", b"", ((0, 8),), b"")))


def test_a_directory_that_others_may_enter_is_refused(path: Path) -> None:
    path.chmod(0o755)
    with pytest.raises(NBClusterError, match="can be entered by others"):
        SharedDirectory(str(path))
    path.chmod(0o700)


def test_what_exceeds_the_limit_travels_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(shareddirs.LIMIT, str(5 << 20))
    made = tmp_path / "small"
    fd = shareddirs.make(made, "/nowhere")
    pool = Pool(SharedDirectory(str(made)), "e1")
    first = share(pool, np.zeros(ITEMS))
    second = share(pool, np.zeros(ITEMS))
    dumped = dump_value(np.zeros(ITEMS))
    raw = [buffer.raw() for buffer in dumped.buffers]
    assert pool.share(dumped.payload, raw) is None
    assert len(names(made)) == 2
    del first, second
    larger = dump_value(np.zeros(2 * ITEMS))  # what was let go makes room
    assert pool.share(larger.payload, [buffer.raw() for buffer in larger.buffers]) is not None
    assert len(names(made)) == 1
    pool.close()
    assert names(made) == []
    os.close(fd)


def test_a_full_file_system_leaves_no_file(path: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(sharedmem, "WARM", 0)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))  # write() fails after the first MiB
    try:
        dumped = dump_value(np.zeros(ITEMS))
        assert pool.share(dumped.payload, [buffer.raw() for buffer in dumped.buffers]) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, former)
    assert names(path) == []


def test_warm_segments_are_bounded(path: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharedmem, "WARM", 5 << 20)
    held = [share(pool, np.zeros(ITEMS)) for _ in range(4)]
    reader = read(path, held[0][0])
    held.clear()
    pool.trim()
    assert len(names(path)) == 2
    assert isinstance(reader, np.ndarray)
    assert reader[-1] == 0  # it has lost its name, not its pages
    assert pool.nbytes <= 5 << 20


def test_what_an_engine_holds_keeps_its_name(path: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharedmem, "WARM", 0)
    envelope, lease = share(pool, np.full(ITEMS, 3))
    lease.adopt()
    reference = reference_in(envelope)
    assert reference is not None
    hold = SharedDirectory(str(path)).hold(reference)
    del lease
    pool.trim()
    assert int(read(path, envelope)[0]) == 3  # type: ignore[index]
    share(pool, np.full(ITEMS, 4))
    assert int(read(path, envelope)[0]) == 3  # type: ignore[index]
    del hold
    pool.trim()
    assert names(path) == []


def test_closing_leaves_what_is_needed_and_sweeping_takes_it_later(path: Path) -> None:
    pool = Pool(SharedDirectory(str(path)), "c1")
    envelope, lease = share(pool, np.full(ITEMS, 8))
    reader = read(path, envelope)
    pool.close()
    assert pool.share(b"x" * (2 << 20), ()) is None
    assert names(path) == ["c1-0"]
    assert sweep(str(path), {"c1"}) == []  # its owner lives
    assert sweep(str(path), set()) == []  # somebody reads it
    del reader
    assert sweep(str(path), set()) == ["c1-0"]
    assert names(path) == []
    del lease


def test_a_cluster_that_was_killed_is_swept_and_a_living_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(shareddirs.PLACE, str(tmp_path))
    living, dead, fresh = (shareddirs.new_path(tmp_path) for _ in range(3))
    kept = shareddirs.make(living, "/a")
    os.close(shareddirs.make(dead, "/b"))
    fresh.mkdir()
    now = time.time()
    found = [each for each in shareddirs.find_abandoned(now) if each.parent == tmp_path]
    assert found == [dead]
    assert dead in shareddirs.remove_abandoned(now)
    assert sorted(tmp_path.iterdir()) == sorted([living, fresh])
    assert fresh in shareddirs.find_abandoned(now + 2 * shareddirs.FRESH)
    os.close(kept)


def test_a_small_or_missing_memory_file_system_is_said_and_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(shareddirs.PLACE, str(tmp_path))
    assert shareddirs.choose_place() == (tmp_path, "")
    monkeypatch.setenv(shareddirs.LIMIT, str(64 << 20))
    place, why = shareddirs.choose_place()
    assert place not in (None, tmp_path)
    assert "64 MiB" in why
    assert "--shm-size" in why
    monkeypatch.setenv(shareddirs.LIMIT, "much")
    assert "no number" in shareddirs.choose_place()[1]
    monkeypatch.setenv(shareddirs.PLACE, str(tmp_path / "missing"))
    place, why = shareddirs.choose_place()
    assert place is not None
    assert place.is_dir()
    assert "missing" in why
    monkeypatch.setenv(shareddirs.PLACE, "off")
    assert shareddirs.choose_place() == (None, "")


def test_a_directory_for_values_on_disk_that_cannot_be_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(shareddirs.DISK, str(tmp_path))
    assert shareddirs.choose_disk() == tmp_path
    monkeypatch.setenv(shareddirs.DISK, "off")
    assert shareddirs.choose_disk() is None
    monkeypatch.delenv(shareddirs.DISK)
    place = shareddirs.choose_disk()
    assert place is None or not filling.is_in_memory(str(place))
    monkeypatch.setenv(shareddirs.DISK, str(tmp_path / "missing"))
    with pytest.raises(
        UsageError, match=r"NBCLUSTER_SPILL is '.*missing', which is no directory .*: make it"
    ):
        shareddirs.choose_disk()


def test_where_descriptors_are_scarce_values_are_copied_and_nothing_more_is_shared(
    path: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    array = np.arange(ITEMS)
    envelope, _lease = share(pool, array)
    mapped = read(path, envelope)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (4, 4))
    copied = read(path, envelope)
    assert isinstance(mapped, np.ndarray)
    assert isinstance(copied, np.ndarray)
    assert np.array_equal(copied, array)
    assert copied.flags.writeable
    del mapped
    gc.collect()
    with open(path / "c1-0", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the copy holds nothing
    dumped = dump_value(array)
    assert pool.share(dumped.payload, [buffer.raw() for buffer in dumped.buffers]) is None
    assert names(path) == ["c1-0"]


# -- in memory --------------------------------------------------------------------------------


@pytest.mark.parametrize("numpy_is_loaded", [True, False])
def test_what_has_its_pages_is_filled_through_a_mapping(
    memory: Path, numpy_is_loaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool(SharedDirectory(str(memory)), "c1")
    first = _noise((9 << 20) + 1)  # the end is within a page
    envelope, lease = share(pool, first)
    written: list[int] = []
    monkeypatch.setattr(sharedmem, "write_all", _noting(sharedmem.write_all, written))
    if not numpy_is_loaded:
        monkeypatch.setattr(filling, "sys", SimpleNamespace(modules={}))
    for length in (len(first), len(first) + 60, len(first) - 5):
        del lease
        noise = _noise(length)
        envelope, lease = share(pool, noise)
        assert np.array_equal(read(memory, envelope), noise)  # type: ignore[arg-type]
        gc.collect()
    assert names(memory) == ["c1-0"]
    assert set(written) == {segments.NONCE}
    del lease
    pool.close()
    assert names(memory) == []


def _noise(length: int) -> np.ndarray:
    return np.frombuffer(bytearray(os.urandom(length)), "u1")


def _noting(write: Any, written: list[int]) -> Any:
    def write_and_note(fd: int, part: memoryview, at: int) -> None:
        written.append(part.nbytes)
        write(fd, part, at)

    return write_and_note


def test_files_on_a_disk_are_never_filled_through_a_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = Path(tempfile.mkdtemp()) / "mountinfo"
    here = os.stat(shareddirs.MEMORY).st_dev
    line = f"1 1 {os.major(here)}:{os.minor(here)} / /x rw shared:1 - {{}} none rw"
    monkeypatch.setattr(filling, "_MOUNTS", mounts)
    for kind, is_memory in (("tmpfs", True), ("ext4", False)):
        mounts.write_text(line.format(kind))
        assert filling.is_in_memory(str(shareddirs.MEMORY)) is is_memory
    mounts.unlink()
    assert not filling.is_in_memory(str(shareddirs.MEMORY))


def test_a_spare_is_ready_for_the_next_value_and_goes_when_it_is_not_used(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharedmem, "SPARE_FROM", 1 << 20)
    monkeypatch.setattr(sharedmem, "SPARE_LIFE", 1e-3)
    pool = Pool(SharedDirectory(str(memory)), "c1", spares=True)
    _first = share(pool, np.full(ITEMS, 1))
    wait_until(
        lambda: names(memory) == ["c1-0"] and _made(pool) == 2, 10.0, "the spare to have come and gone"
    )
    pool.close()
    monkeypatch.setattr(sharedmem, "SPARE_LIFE", 60.0)
    pool = Pool(SharedDirectory(str(memory)), "c2", spares=True)
    first, _lease = share(pool, np.full(ITEMS, 1))
    _reader = read(memory, first)
    wait_until(lambda: len(pool.returned) == 1, 10.0, "the spare")
    assert (memory / "c2-1").stat().st_blocks * 512 >= 8 * ITEMS
    second, _lease2 = share(pool, np.full(ITEMS, 2))
    assert not pool.returned
    assert int(read(memory, second)[-1]) == 2  # type: ignore[index]
    assert [name for name in names(memory) if name.startswith("c2")] == ["c2-0", "c2-1"]
    pool.close()


def _made(pool: Pool) -> int:
    """How many segments were made so far."""
    return int(repr(pool._numbers).removeprefix("count(").removesuffix(")"))


def test_no_spare_is_made_where_one_is_free_or_there_is_no_room(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharedmem, "SPARE_FROM", 1 << 20)
    pool = Pool(SharedDirectory(str(memory)), "c1", spares=True, warm=3 << 20)
    free = share(pool, np.zeros(ITEMS))
    wait_until(lambda: len(pool.returned) == 1, 10.0, "the spare")
    _, _used = share(pool, np.zeros(ITEMS))
    del free
    assert pool._make_spare(8 * ITEMS) is None  # the first is free
    _, _again = share(pool, np.zeros(ITEMS))
    assert pool._make_spare(4 << 20) is None  # more than is kept
    spare = pool._make_spare(8 * ITEMS)
    assert spare is not None
    assert pool._make_spare(8 * ITEMS) is None
    pool.directory.limit = pool.directory.used
    pool._drop_spare(spare)
    assert pool._make_spare(16 * ITEMS) is None
    pool.close()


def test_others_fill_what_was_reserved_part_by_part(memory: Path) -> None:
    pool = Pool(SharedDirectory(str(memory)), "c1")
    engine = SharedDirectory(str(memory))
    halves = [memoryview(os.urandom(3 << 20)) for _ in range(2)]
    reserved = pool.reserve(6 << 20)
    assert reserved is not None
    place, lease = reserved
    for at, half in enumerate(halves):
        engine.fill(place, at * (3 << 20), half)
    lease.filled()
    _, (joined,) = engine.opened(seal(place))
    assert bytes(joined) == bytes(halves[0]) + bytes(halves[1])
    del lease, reserved
    del joined, _
    gc.collect()
    assert pool.reserve(6 << 20) is not None
    assert names(memory) == ["c1-0"]  # the same again
    with pytest.raises(ValueReleased):
        engine.fill(place, 0, halves[0])
    pool.close()


def test_nothing_is_written_beyond_the_end_of_what_was_reserved(memory: Path) -> None:
    pool = Pool(SharedDirectory(str(memory)), "c1")
    reserved = pool.reserve(2 << 20)
    assert reserved is not None
    for at in (-1, 1, 2 << 20):
        with pytest.raises(NBClusterError, match="beyond the end"):
            pool.directory.fill(reserved[0], at, memoryview(bytes(2 << 20)))
    pool.close()


def test_what_was_not_filled_by_all_has_holes_and_is_not_used_again(memory: Path) -> None:
    pool = Pool(SharedDirectory(str(memory)), "c1")
    reserved = pool.reserve(8 * ITEMS)
    assert reserved is not None
    pool.directory.fill(reserved[0], 0, memoryview(bytes(100)))
    del reserved
    _, _lease = share(pool, np.zeros(ITEMS))
    assert names(memory) == ["c1-1"]
    pool.close()


def test_a_child_of_the_process_fills_nothing(memory: Path) -> None:
    pool = Pool(SharedDirectory(str(memory)), "c1")
    pool._lock.acquire()  # as another thread may have it when this one forks
    pool._pid += 1
    assert pool.share(b"x" * (2 << 20), ()) is None
    assert pool.reserve(2 << 20) is None
    pool.trim()
    pool.close()
