"""Stories of large values on one host: they lie there once, arrive mapped, and no file is left whatever is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from msgspec import json, structs

from nbcluster import AsyncCluster, Cluster
from nbcluster.cli.leftovers import clean_all
from nbcluster.client.oneach import OnEach
from nbcluster.errors import ControllerLost, EngineLost, NBClusterError, UsageError, ValueReleased
from nbcluster.payload.values import dump_value
from nbcluster.testing.waiting import wait_until
from nbcluster.transport import ports, shareddirs
from nbcluster.transport.rendezvous import ConnectionFile, is_alive, read_connection_file
from nbcluster.transport.segments import SharedDirectory
from nbcluster.transport.sharedmem import Lease, Pool

DEADLINE = 20.0
ITEMS = 1 << 19
"""Of eight bytes: 4 MiB."""


def file_of(cluster: Cluster) -> ConnectionFile:
    return read_connection_file(Path(cluster._twin.calls.address[1]))


def segments(file: ConnectionFile) -> list[str]:
    return sorted(path.name for path in Path(file.shared).glob("*-*"))


def is_mapped(array: np.ndarray, file: ConnectionFile) -> bool:
    """Whether the bytes of an array are those of a segment, in this process."""
    address = array.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text().splitlines():
        begin, _, end = line.split()[0].partition("-")
        if int(begin, 16) <= address < int(end, 16):
            return file.shared in line
    return False


def where(array: np.ndarray) -> str:
    """On an engine: the file of which an array's bytes are a mapping."""
    address = array.__array_interface__["data"][0]
    with open("/proc/self/maps") as maps:
        for line in maps:
            words = line.split()
            begin, _, end = words[0].partition("-")
            if int(begin, 16) <= address < int(end, 16):
                return " ".join(words[5:])
    return ""


def ones(count: int) -> np.ndarray:
    return np.ones(count)


def write_to(array: np.ndarray) -> float:
    array += 1
    return float(array.sum())


def test_a_pushed_array_lies_on_the_host_once(shared: Cluster) -> None:
    file = file_of(shared)
    before = segments(file)
    array = np.arange(ITEMS)
    shared[:]["x"] = array
    added = set(segments(file)) - set(before)
    assert len(added) <= 1  # or a segment of an earlier test
    places = shared[:].apply(where, shared_ref("x"))
    assert len(set(places.values())) == 1
    assert places[0].startswith(f"{file.shared}/c")
    shared[0].execute("x[0] = 99", check=True)
    assert shared[:].apply(first, shared_ref("x")) == {0: 99, 1: 0}
    assert array[0] == 0


def shared_ref(name: str) -> Any:
    from nbcluster import Ref

    return Ref(name)


def first(array: np.ndarray) -> int:
    return int(array[0])


def test_later_pushes_use_the_same_files(shared: Cluster) -> None:
    file = file_of(shared)
    for value in range(6):
        shared[:]["x"] = np.full(ITEMS, value)
    mine = [name for name in segments(file) if name.startswith("c")]
    shared[:]["x"] = np.full(ITEMS, 7)
    assert [name for name in segments(file) if name.startswith("c")] == mine
    assert shared[:].apply(first, shared_ref("x")) == {0: 7, 1: 7}


def test_a_pulled_array_is_mapped_and_can_be_written_to(shared: Cluster) -> None:
    file = file_of(shared)
    shared[0].execute(f"import numpy as np; x = np.arange({ITEMS})", check=True)
    pulled = shared[0]["x"]
    assert is_mapped(pulled, file)
    pulled[0] = 5
    assert shared[0].execute("int(x[0])", check=True).value == 0
    again = shared[0]["x"]
    assert [again[0], again[-1]] == [0, ITEMS - 1]


def test_a_result_is_mapped_here_and_on_the_engine_that_uses_it(shared: Cluster) -> None:
    file = file_of(shared)
    future = shared.options(on=0).submit(ones, ITEMS)
    place = shared.options(on=1).submit(where, future).result(DEADLINE)
    assert place.startswith(f"{file.shared}/e")
    result = future.result(DEADLINE)
    assert is_mapped(result, file)
    assert shared.options(on=1).submit(write_to, future).result(DEADLINE) == 2.0 * ITEMS
    assert result.sum() == ITEMS  # each writes to its own
    assert shared.options(on=1).submit(np.sum, future).result(DEADLINE) == ITEMS


def test_put_keeps_one_copy_for_all_engines(shared: Cluster) -> None:
    file = file_of(shared)
    before = set(segments(file))
    array = np.arange(ITEMS)
    held = shared.put(array)
    assert held.exception(DEADLINE) is None
    places = {shared.options(on=number).submit(where, held).result(DEADLINE) for number in (0, 1)}
    assert len(places) == 1
    assert len(set(segments(file)) - before) <= 1
    for value in range(4):  # what is held is not filled anew
        shared[:]["x"] = np.full(ITEMS, value)
    assert np.array_equal(held.result(DEADLINE), array)
    inside = shared.put([held, 1])  # Futures in it are replaced by their values
    assert np.array_equal(inside.result(DEADLINE)[0], array)


def test_arguments_arrive_mapped_and_the_controller_has_none_of_them(shared: Cluster) -> None:
    file = file_of(shared)
    before = psutil.Process(file.pid).memory_info().rss
    large = np.zeros(20 * ITEMS)
    with pytest.warns(UserWarning, match=r"large \(80 MiB\) is sent"):
        futures = [shared.options(on=number).submit(where, large) for number in (0, 1)]
    assert all(future.result(DEADLINE).startswith(f"{file.shared}/c") for future in futures)
    assert psutil.Process(file.pid).memory_info().rss - before < large.nbytes / 4
    text = "y" * (2 << 20)  # no buffers: the pickle itself is large
    assert shared.submit(len, text).result(DEADLINE) == len(text)
    assert shared.options(on=0).submit(str.upper, text).result(DEADLINE) == text.upper()
    parts = [np.full(100_000, at) for at in range(40)]
    assert list(shared.map(np.sum, parts, chunksize=20)) == [100_000 * at for at in range(40)]


def test_a_result_is_mapped_while_its_engine_cannot_answer(shared: Cluster) -> None:
    file = file_of(shared)
    future = shared.options(on=0).submit(ones, ITEMS)
    assert future.exception(DEADLINE) is None
    pid = {engine.number: engine.pid for engine in shared.engines}[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        result = future.result(DEADLINE)
        assert shared.options(on=1).submit(np.sum, future).result(DEADLINE) == ITEMS
    finally:
        os.kill(pid, signal.SIGCONT)
    assert is_mapped(result, file)


def test_a_result_that_was_moved_is_asked_for(shared: Cluster) -> None:
    future = shared.options(on=0).submit(ones, ITEMS)
    assert future.exception(DEADLINE) is None
    code = """
        import gc
        from nbcluster.engine.store import Kept, Store
        store = next(each for each in gc.get_objects() if type(each) is Store)
        sharing = __import__("nbcluster.engine.sharing", fromlist=["sharing"]).current_sharing()
        for task, kept in list(store._kept.items()):
            if kept.shared:
                payload, buffers = sharing.opened(kept.payload)
                store.keep(task, Kept(payload, tuple(bytes(each) for each in buffers)))
        del kept, buffers
    """
    shared[0].execute(textwrap.dedent(code), check=True)
    shared.options(on=0).submit(ones, ITEMS).exception(DEADLINE)  # takes the segment
    assert shared.options(on=1).submit(np.sum, future).result(DEADLINE) == ITEMS
    assert future.result(DEADLINE).sum() == ITEMS


def test_scattered_parts_come_back(shared: Cluster) -> None:
    data = np.arange(4 * ITEMS).reshape(2, -1)
    shared[:].scatter("part", data)
    assert np.array_equal(shared[:].gather("part"), data)


def test_arrays_are_gathered_into_one_piece_of_memory(shared: Cluster) -> None:
    file = file_of(shared)
    data = np.arange(4 * ITEMS + 1.0).reshape(-1, 1)
    shared[:].scatter("part", data)
    shared[1].execute("part += 1", check=True)
    data[2 * ITEMS + 1 :] += 1
    gathered = shared[:].gather("part")
    assert np.array_equal(gathered, data)
    assert is_mapped(gathered, file)
    gathered[:] = 0
    shared[:].execute("part *= 2", check=True)
    again = shared[:].gather("part")
    assert np.array_equal(again, 2 * data)
    assert not gathered.any()
    files = segments(file)
    del gathered, again
    for _ in range(3):
        assert np.array_equal(shared[:].gather("part"), 2 * data)
    assert len(segments(file)) <= len(files)


def test_an_asynchronous_client_gathers_alike(shared: Cluster) -> None:
    data = np.arange(2.0 * ITEMS)

    async def story() -> Any:
        async with await AsyncCluster.connect(shared._twin.calls.address[1]) as cluster:
            await cluster[:].scatter("part", data)
            return await cluster[:].gather("part")

    gathered = asyncio.run(story())
    assert np.array_equal(gathered, data)
    assert is_mapped(gathered, file_of(shared))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("np.zeros(600_000)", "np.ones(600_000, 'f4')"),  # of two types
        ("np.zeros(600_000)", "np.ones(3)"),  # one is small
        ("np.zeros((600, 1000))", "np.ones((1000, 600)).T"),  # one lies otherwise in memory
        ("np.zeros(600_000)", "[1.0, 2.0]"),  # one is none
        ("np.zeros(600_000, object)", "np.ones(600_000, object)"),
    ],
)
def test_what_cannot_be_written_in_one_piece_is_joined_here(shared: Cluster, first: str, second: str) -> None:
    for number, text in enumerate((first, second)):
        shared[number].execute(f"import numpy as np; odd = {text}", check=True)
    expected = np.concatenate([eval(first), eval(second)])  # the texts above
    gathered = shared[:].gather("odd")
    assert np.array_equal(gathered, expected)
    assert gathered.dtype == expected.dtype


def test_a_variable_that_changes_while_it_is_gathered_is_brought_as_it_is_then(
    shared: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared[:].scatter("part", np.arange(2.0 * ITEMS))
    fill = OnEach.fill

    def change_and_fill(each: OnEach, *args: Any) -> Any:
        shared[1].execute("part = part[:10]", check=True)
        return fill(each, *args)

    monkeypatch.setattr(OnEach, "fill", change_and_fill)
    gathered = shared[:].gather("part")
    assert np.array_equal(gathered, np.arange(ITEMS + 10.0))


def test_a_client_of_another_host_gets_bytes(shared: Cluster, tmp_path: Path) -> None:
    file = file_of(shared)
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_bytes(json.encode(structs.replace(file, host="elsewhere")))
    held = shared.options(on=0, key="far").submit(ones, ITEMS)
    assert held.exception(DEADLINE) is None
    code = f"""
        import numpy as np
        from nbcluster import Cluster
        cluster = Cluster.connect({str(elsewhere)!r})
        got = cluster.futures()["far"].result(20)
        maps = open("/proc/self/maps").read()
        print(got.sum(), cluster.submit(np.sum, np.ones({ITEMS})).result(20), maps.count({file.shared!r}))
        cluster[:]["far"] = got
        print(cluster[0]["far"].sum())
        cluster.close()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == [f"{ITEMS}.0", f"{ITEMS}.0", "0", f"{ITEMS}.0"], done.stderr
    shared.forget("far")


def test_describe_shows_what_is_held_alive_and_where(shared: Cluster) -> None:
    assert list(shared.describe()) == []
    large = shared.options(on=1, label="large").submit(ones, ITEMS)
    small = shared.options(key="small").submit(len, "abc")
    put = shared.options(label="x").submit(ones, 20_000)
    for future in (large, small, put):
        assert future.exception(DEADLINE) is None
    rows = shared.describe()
    assert [(row.key or row.label, row.engine is not None) for row in rows] == [
        ("large", True),
        ("x", True),
        ("small", False),
    ]
    assert rows[0].engine == 1
    assert 8 * ITEMS <= (rows[0].nbytes or 0) < 8 * ITEMS + 1000
    assert "4.1" in repr(rows)
    assert "engine 1" in repr(rows)
    assert "MiB in 3 values" in repr(rows)
    assert "2 smaller ones are not listed" in repr(shared.describe(limit=1))
    del large, future, put
    shared.forget("small")
    del small
    wait_until(lambda: list(shared.describe()) == [], DEADLINE, "values to be let go")


# -- what is killed ---------------------------------------------------------------------------


READER = """
    import sys
    from nbcluster.payload.values import load_value
    from nbcluster.transport.segments import SharedDirectory
    array = load_value(*SharedDirectory(sys.argv[1]).opened(bytes.fromhex(sys.argv[2])))
    print(array[-1], flush=True)
    sys.stdin.read()
"""


def test_a_reader_that_is_killed_has_let_go(tmp_path: Path, script: Callable[..., Any]) -> None:
    path = tmp_path / "nbcluster-1-abc"
    in_use = shareddirs.make(path, "/nowhere")
    pool = Pool(SharedDirectory(str(path)), "c1")

    def share(value: float) -> tuple[bytes, Lease]:
        dumped = dump_value(np.full(ITEMS, value))
        shared = pool.share(dumped.payload, [buffer.raw() for buffer in dumped.buffers])
        assert shared is not None
        return shared

    envelope, lease = share(6.0)
    reader = script(READER, str(path), envelope.hex())
    assert reader.stdout.readline() == "6.0\n"
    del lease
    _, second = share(7.0)
    assert sorted(each.name for each in path.glob("c1-*")) == ["c1-0", "c1-1"]
    reader.kill()
    reader.wait()
    _, third = share(8.0)
    assert sorted(each.name for each in path.glob("c1-*")) == ["c1-0", "c1-1"]
    del second, third
    pool.close()
    assert list(path.glob("c1-*")) == []
    os.close(in_use)


CLIENT = f"""
    import sys
    import numpy as np
    from nbcluster import Cluster
    cluster = Cluster.connect(sys.argv[1])
    cluster[:]["theirs"] = np.full({ITEMS}, 3)
    kept = cluster.options(key="kept").submit(np.full, {ITEMS}, 4)
    put = cluster.put(np.full({ITEMS}, 5))
    put.exception(20), kept.exception(20)
    slow = cluster.options(on=0).submit(lambda a: __import__("time").sleep(0.5), np.zeros({ITEMS}))
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_killed_client_leaves_its_values_and_no_file_for_long(
    shared: Cluster, script: Callable[..., Any]
) -> None:
    file = file_of(shared)
    before = set(segments(file))
    client = script(CLIENT, shared._twin.calls.address[1])
    assert client.stdout.readline() == "ready\n"
    added = [name for name in segments(file) if name.startswith("c") and name not in before]
    assert added
    client.kill()
    client.wait()
    shared[:].execute("int(theirs[0])", check=True)
    assert shared[:].apply(first, shared_ref("theirs")) == {0: 3, 1: 3}  # mapped, it lives on
    shared[:].execute("del theirs", check=True)
    shared.forget("kept")
    wait_until(lambda: not set(added) & _without_held(file, added), DEADLINE, "the client's files to be gone")


def _without_held(file: ConnectionFile, names: list[str]) -> set[str]:
    """Those that nobody holds: what was put stays until the cluster's patience with a lost client is over."""
    import fcntl

    free = set()
    for name in names:
        path = Path(file.shared) / name
        if path.exists():
            with path.open("rb") as opened:
                try:
                    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    free.add(name)
                except BlockingIOError:
                    continue
    return free


def test_a_killed_engine_leaves_no_file_and_readers_go_on(shared: Cluster) -> None:
    file = file_of(shared)
    future = shared.options(on=0).submit(ones, ITEMS)
    result = future.result(DEADLINE)
    pid = {engine.number: engine.pid for engine in shared.engines}[0]
    other = shared.options(on=0).submit(ones, ITEMS)
    assert other.exception(DEADLINE) is None
    owned = [name for name in segments(file) if name.startswith("e")]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), DEADLINE, "the engine to be gone")
    assert result.sum() == ITEMS
    shared.wait_for_engines(2, DEADLINE)
    del result, future
    mine = lambda: {name for name in segments(file) if name in owned and name.startswith(_owner(owned, file))}  # noqa: E731
    wait_until(lambda: not mine(), DEADLINE, "its files to be gone")
    with pytest.raises((ValueReleased, EngineLost)):
        other.result(DEADLINE)


def _owner(owned: list[str], file: ConnectionFile) -> str:
    """The killed engine's part of the names: of those there are, the one with the lower incarnation that is gone."""
    return min(owned, key=lambda name: int(name[1:].partition("-")[0])).partition("-")[0] + "-"


@pytest.mark.parametrize("who", ["controller", "supervisor"])
def test_a_killed_head_of_a_cluster_leaves_no_file(who: str, world: Any) -> None:
    cluster = Cluster(1, name=f"killed-{who}")
    file = file_of(cluster)
    cluster[:]["x"] = np.zeros(ITEMS)
    future = cluster.submit(ones, ITEMS)
    result = future.result(DEADLINE)
    assert len(segments(file)) >= 2
    assert Path(file.spill).is_dir()
    os.kill(file.pid if who == "controller" else file.supervisor, signal.SIGKILL)
    wait_until(lambda: not Path(file.shared).exists(), DEADLINE, "the shared memory to be gone")
    wait_until(lambda: not Path(file.spill).exists(), DEADLINE, "and the directory for what leaves it")
    assert result.sum() == ITEMS
    wait_until(
        lambda: not is_alive(file.pid) and not is_alive(file.supervisor), DEADLINE, "the cluster to end"
    )
    with pytest.raises((ControllerLost, NBClusterError)):
        cluster.submit(ones, 1).result(DEADLINE)
    clean_all()
    assert world.leftovers() == ""


@pytest.mark.parametrize("by", ["clean", "start"])
def test_what_is_left_when_both_heads_are_killed_is_swept(by: str, world: Any) -> None:
    cluster = Cluster(1, name="dead")
    file = file_of(cluster)
    engine = cluster.engines[0].pid
    cluster[:]["x"] = np.zeros(ITEMS)
    for pid in (file.supervisor, file.pid):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, (file.pid, engine))), DEADLINE, "the processes to be gone")
    assert Path(file.shared).is_dir()  # the client, which lives, may have unlinked its own segments
    if by == "clean":
        removed = clean_all()
        assert f"removed the shared memory {file.shared}" in removed
        assert f"removed the values on disk {file.spill}" in removed
    else:
        with Cluster(1, name="next") as following:
            assert file_of(following).shared != file.shared
            assert not Path(file.shared).exists()
        clean_all()
    assert not Path(file.shared).exists()
    assert not Path(file.spill).exists()
    assert world.leftovers() == ""


def test_a_stopped_cluster_leaves_nothing(world: Any) -> None:
    with Cluster(1, name="stopped") as cluster:
        shared = Path(file_of(cluster).shared)
        assert shared.parent == world.shared
        assert shared.stat().st_mode & 0o777 == 0o700
        cluster[:]["x"] = np.zeros(ITEMS)
    assert not shared.exists()


# -- without memory to share ------------------------------------------------------------------


def use_each_way(cluster: Cluster) -> None:
    cluster[:]["x"] = np.full(ITEMS, 2)
    assert cluster[0]["x"].sum() == 2 * ITEMS
    future = cluster.submit(ones, ITEMS)
    assert cluster.submit(np.sum, future).result(DEADLINE) == ITEMS
    assert future.result(DEADLINE).sum() == ITEMS
    assert cluster.put(np.full(ITEMS, 3)).result(DEADLINE).sum() == 3 * ITEMS


def test_a_small_memory_file_system_is_warned_of_and_files_take_its_place(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = world.top / "t"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv(shareddirs.LIMIT, str(64 << 20))
    with pytest.warns(UserWarning, match=r"has 64 MiB, less than 256: values are shared through files"):
        cluster = Cluster(2, name="small")
    with cluster:
        file = file_of(cluster)
        assert Path(file.shared).parent == temporary
        use_each_way(cluster)
        assert segments(file)
        cluster.stop()
    assert list(temporary.iterdir()) == []


def test_files_can_be_asked_for(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = world.top / "t"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv(shareddirs.PLACE, "file")
    with Cluster(1, name="files") as cluster:
        assert Path(file_of(cluster).shared).parent == temporary
        use_each_way(cluster)
    assert list(temporary.iterdir()) == []


def test_a_full_memory_file_system_lets_values_travel_as_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(shareddirs.LIMIT, str(256 << 20))
    with Cluster(1, name="full") as cluster:
        file = file_of(cluster)
        (Path(file.shared) / "other").write_bytes(bytes(256 << 20))
        use_each_way(cluster)
        assert segments(file) == []


def test_sharing_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(shareddirs.PLACE, "off")
    with Cluster(1, name="off") as cluster:
        assert file_of(cluster).shared == ""
        use_each_way(cluster)


def test_more_than_a_message_holds_is_refused_where_there_is_no_shared_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(shareddirs.PLACE, "off")
    with Cluster(1, name="large") as cluster:
        monkeypatch.setattr(ports, "MAX_VALUE", 1 << 20)
        for send in (
            lambda: cluster[0].push({"x": np.zeros(ITEMS)}),
            lambda: cluster.submit(np.sum, np.zeros(ITEMS)),
            lambda: cluster.put(np.zeros(ITEMS)),
        ):
            with pytest.raises(UsageError, match=r"arguments have 4.* at most 1.* nothing was sent: send"):
                send()
        cluster[0].execute("from nbcluster.transport import ports; ports.MAX_VALUE = 1 << 19", check=True)
        with pytest.raises(NBClusterError, match=r"has 7.* at most 5.* can be sent at once"):
            cluster.submit(np.zeros, 90_000).result(DEADLINE)
        assert cluster.submit(np.zeros, ITEMS).result(DEADLINE).nbytes == 8 * ITEMS, (
            "it comes straight, in chunks"
        )
        assert cluster.submit(np.zeros, 1000).result(DEADLINE).nbytes == 8000


def test_tcp_and_exec_share_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBCLUSTER_TRANSPORT", "tcp")
    monkeypatch.setenv("NBCLUSTER_START_METHOD", "exec")
    with Cluster(1, name="portable") as cluster:
        use_each_way(cluster)
        assert segments(file_of(cluster))
