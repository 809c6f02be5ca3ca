"""Calls through real engines: dependencies, options, cancel, map, records, a second client."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbcluster import AsyncCluster, Cluster, as_completed, current_cluster, gather, progress, report, wait
from nbcluster.client.futures import Future
from nbcluster.client.needs import Needs
from nbcluster.client.portal import portal
from nbcluster.errors import (
    ControllerLost,
    DependencyFailed,
    EngineErrors,
    EngineLost,
    NoEngines,
    NotSerializable,
    RemoteTraceback,
    ResultTooLarge,
    TaskCancelled,
    TaskTimeout,
    UsageError,
    ValueReleased,
)

DEADLINE = 20.0


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_call_runs_and_its_future_tells_all(shared: Cluster) -> None:
    future = shared.submit(pow, 2, 10)
    assert future.result(DEADLINE) == 1024
    assert future.status == "done"
    assert future.engine in (0, 1)
    assert future.record.label == "pow"
    assert future.record.attempt == 1
    assert future.exception() is None
    assert "done on engine" in repr(future)


def test_output_is_complete_when_the_future_is_done(shared: Cluster) -> None:
    def talk() -> None:
        import sys

        print("out")
        print("err", file=sys.stderr)

    future = shared.submit(talk)
    future.result(DEADLINE)
    assert sorted(future.output.splitlines()) == ["err", "out"]


def test_what_threads_print_after_their_call_is_on_its_future(shared: Cluster, tmp_path: Path) -> None:
    def start(name: str, go: str) -> None:
        import threading
        import time
        from pathlib import Path

        def talk() -> None:
            while not Path(go).exists():
                time.sleep(0.01)
            print("late", name)

        threading.Thread(target=talk).start()
        print("early", name)

    go = tmp_path / "go"
    futures = [shared.options(on=0).submit(start, name, str(go)) for name in "ab"]
    for future in futures:
        future.result(DEADLINE)
    other = shared.options(on=0).submit(print, "another call")
    other.result(DEADLINE)
    go.touch()
    until(lambda: all("late" in future.output for future in futures))
    assert [future.output for future in futures] == [f"early {name}\nlate {name}\n" for name in "ab"]
    assert other.output == "another call\n"


def test_values_go_from_call_to_call(shared: Cluster) -> None:
    first = shared.options(on=0).submit(list, range(3))
    second = shared.options(on=1).submit(lambda here, nest: here + nest["deep"][0], first, {"deep": (first,)})
    third = shared.submit(lambda items: {"sum": sum(items)}, second)
    assert third.result(DEADLINE) == {"sum": 6}
    large = shared.options(on=0).submit(bytes, 1_000_000)
    assert shared.options(on=1).submit(len, large).result(DEADLINE) == 1_000_000
    assert large.result(DEADLINE) == bytes(1_000_000)


def test_a_failed_dependency_is_the_cause(shared: Cluster) -> None:
    first = shared.submit(lambda: 1 / 0)
    second = shared.submit(lambda x: x, first)
    third = shared.options(after=[second]).submit(int)
    for future in (second, third):
        with pytest.raises(DependencyFailed) as caught:
            future.result(DEADLINE)
        assert caught.value.__cause__ is not None
    assert isinstance(second.exception().__cause__, ZeroDivisionError)  # type: ignore[union-attr]


def cell_after(cluster: Cluster, after: Future) -> Future:
    """A cell that comes after a Future, as the notebook sends it."""
    run = portal().call(cluster._twin.send_cell("1", "0", needs=Needs(after=(after,))))
    return run.future


def test_calls_and_maps_come_after_cells(shared: Cluster, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    code = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\nopened = 1"
    cell = shared[0].execute(code, wait=False)
    later = shared.options(after=[cell], on=1)
    future = later.submit(os.path.exists, str(gate))
    items = later.map(os.path.exists, [str(gate)] * 3)
    with shared.graph() as graph:
        planned = graph.options(after=cell, on=1).submit(os.path.exists, str(gate))
    behind = shared.submit(str, planned)
    until(lambda: "os, time" in future.explain())
    assert not shared.options(on=1).submit(os.path.exists, str(gate)).result(DEADLINE), "engine 1 is free"
    assert not future.done()
    gate.touch()
    assert future.result(DEADLINE)
    assert list(items) == [True] * 3
    assert (planned.result(DEADLINE), behind.result(DEADLINE)) == (True, "True")
    cell.result(DEADLINE)
    assert later.submit(pow, 2, 3).result(DEADLINE) == 8, "what has ended is not waited for"
    assert repr(later).startswith("<Submitter on 'shared' with on='1', after=(<")


def test_a_failed_cell_ends_the_calls_after_it(shared: Cluster, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    code = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\n1 / (engine := 0)"
    cell = shared[:].execute(code, wait=False)
    unsent = shared.options(after=cell).submit(pow, 2, 3)
    needs = shared.submit(str, unsent)
    gate.touch()
    assert isinstance(cell.exception(DEADLINE), EngineErrors)
    late = shared.options(after=[cell]).submit(pow, 2, 3)
    for future in (unsent, needs, late):
        error = future.exception(DEADLINE)
        assert isinstance(error, DependencyFailed)
        assert "raised ZeroDivisionError: division by zero" in str(error)
        assert "ZeroDivisionError" in repr(error.__cause__), "the error itself is the cause"
        assert future.status == "failed"

    refused = cell_after(shared, cell)
    error = shared.options(after=refused).submit(pow, 2, 3).exception(DEADLINE)
    assert isinstance(error, DependencyFailed), "also of a cell that was not sent for want of that one"
    assert "ZeroDivisionError" in repr(error.__cause__)


def test_calls_do_not_come_after_cells_of_another_cluster(shared: Cluster) -> None:
    with Cluster.connect(shared._twin.calls.address[1]) as other:
        cell = other[0].execute("1", wait=False)
        with pytest.raises(UsageError, match="is of another cluster, and work can only come after"):
            shared.options(after=cell).submit(int)
        cell.result(DEADLINE)


def test_the_own_exception_is_raised_with_the_remote_traceback(shared: Cluster) -> None:
    class Special(Exception):
        def __init__(self, code: int) -> None:
            super().__init__(code)
            self.code = code

    def inner() -> None:
        raise Special(7)

    with pytest.raises(Special) as caught:
        shared.submit(inner).result(DEADLINE)
    assert caught.value.code == 7
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert "in inner" in str(caught.value.__cause__)


def test_a_result_that_cannot_be_pickled_is_said(shared: Cluster) -> None:
    with pytest.raises(NotSerializable, match="lock"):
        shared.submit(threading.Lock).result(DEADLINE)


def test_a_function_sees_the_names_as_they_were_when_it_was_submitted(shared: Cluster) -> None:
    factor = 2
    futures = []
    for factor in (2, 3):
        futures.append(shared.submit(lambda: factor))  # noqa: B023
    assert [future.result(DEADLINE) for future in futures] == [2, 3]


def test_retries_count_own_exceptions(shared: Cluster, tmp_path: Path) -> None:
    def flaky(path: str) -> int:
        with open(path, "a") as file:
            file.write("x")
        tried = os.path.getsize(path)
        if tried < 3:
            raise OSError(f"attempt {tried}")
        return tried

    path = str(tmp_path / "tries")
    future = shared.options(retries=2).submit(flaky, path)
    assert future.result(DEADLINE) == 3
    assert future.record.attempt == 3
    with pytest.raises(OSError, match="attempt 1"):
        shared.options(retries=0).submit(flaky, str(tmp_path / "other")).result(DEADLINE)


def test_a_call_out_of_time_is_no_timeout_of_a_wait(shared: Cluster) -> None:
    with pytest.raises(TaskTimeout, match=r"sleep ran longer than its limit of 0.2 s on engine \d") as caught:
        shared.options(timeout=0.2).submit(time.sleep, 30).result(DEADLINE)
    assert not isinstance(caught.value, TimeoutError)


def test_cancel_waits_for_the_engines_word(shared: Cluster) -> None:
    running = shared.options(on=0).submit(time.sleep, 30)
    queued = shared.options(on=0).submit(pow, 2, 3)
    until(lambda: running.status == "running")
    assert shared.explain(running).startswith("'sleep' runs on engine 0")
    assert queued.cancel() is True
    assert running.cancel() is True
    assert (running.cancelled(), queued.cancelled()) == (True, True)
    with pytest.raises(TaskCancelled):
        running.result()
    assert shared.options(on=0).submit(pow, 2, 3).result(DEADLINE) == 8


def test_cancel_of_many_is_one_message(shared: Cluster) -> None:
    mine = [shared.submit(time.sleep, 30) for _ in range(20)]
    other = shared.options(on=1).submit(pow, 3, 3)
    shared.cancel(mine)
    done, not_done = wait(mine, DEADLINE)
    assert not not_done
    assert all(future.cancelled() for future in done)
    assert other.result(DEADLINE) == 27
    rest = [shared.submit(time.sleep, 30) for _ in range(20)]
    shared.cancel()
    wait(rest, DEADLINE)
    assert all(future.cancelled() for future in rest)


def test_collections_of_futures(shared: Cluster) -> None:
    futures = [shared.submit(pow, number, 2) for number in range(20)]
    assert gather(futures) == [number**2 for number in range(20)]
    assert gather({"a": futures[2], "b": (futures[3], [futures[4]])}) == {"a": 4, "b": (9, [16])}
    assert gather(futures[5], futures[6]) == [25, 36]
    assert {future.result() for future in as_completed(futures, DEADLINE)} == {n**2 for n in range(20)}
    assert progress(futures) == futures
    broken = shared.submit(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        gather([futures[0], broken], timeout=DEADLINE)
    results = gather([futures[3], broken], return_exceptions=True)
    assert results[0] == 9
    assert isinstance(results[1], ZeroDivisionError)
    slow = shared.submit(time.sleep, 30)
    with pytest.raises(TimeoutError, match="gave up waiting for 1 of 1 Futures"):
        gather([slow], timeout=0.1)
    assert wait([slow, futures[0]], timeout=0.1).not_done == {slow}
    slow.cancel()
    with pytest.raises(UsageError, match="int 3 is no Future"):
        gather([3])


def test_a_first_error_ends_a_gather_at_once(shared: Cluster) -> None:
    slow = shared.options(on=0).submit(time.sleep, 30)
    broken = shared.options(on=1).submit(lambda: 1 / 0)
    began = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        gather([slow, broken])
    assert time.monotonic() - began < DEADLINE
    assert slow.cancel()


def test_map_over_engines(shared: Cluster) -> None:
    assert list(shared.map(lambda x: x + 1, range(2000))) == list(range(1, 2001))
    assert list(shared.map(pow, [2, 3], [5, 2])) == [32, 9]

    async def later(x: int) -> int:
        import asyncio

        await asyncio.sleep(0.001)
        return x

    assert sorted(shared.map(later, range(10), ordered=False)) == list(range(10))

    def picky(x: int) -> int:
        if x == 7:
            raise ValueError("bad item")
        return x

    with pytest.raises(ValueError, match="bad item") as caught:
        list(shared.map(picky, range(20)))
    assert "map: item 7, 7" in caught.value.__notes__
    results = list(shared.map(picky, range(9), return_exceptions=True))
    assert isinstance(results[7], ValueError)
    endless = shared.map(abs, itertools.count())
    assert list(itertools.islice(endless, 1000)) == list(range(1000))
    endless.cancel()
    with pytest.raises(TaskCancelled):
        list(endless)
    assert (
        list(shared.options(on=0, retries=1).map(lambda _: os.getpid(), range(3)))
        == [shared[0].execute("import os; os.getpid()").value] * 3
    )


def test_put_gives_a_future_for_a_value(shared: Cluster) -> None:
    table = shared.put({"a": 1}, on=1)
    assert shared.submit(lambda t: t["a"], table).result(DEADLINE) == 1
    assert table.result(DEADLINE) == {"a": 1}
    assert table.engine == 1


def test_a_dropped_future_lets_its_value_go(shared: Cluster) -> None:
    import pickle

    future = shared.submit(bytes, 100_000)
    future.result(DEADLINE)
    copy = pickle.loads(pickle.dumps(future))
    del future

    def is_released() -> bool:
        try:
            pickle.loads(pickle.dumps(copy)).result(DEADLINE)
        except ValueReleased:
            return True
        return False

    until(is_released)
    with pytest.raises(ValueReleased):
        shared.submit(len, copy).result(DEADLINE)


def test_a_future_captured_by_a_function_works_there(shared: Cluster) -> None:
    slow = shared.options(on=0).submit(lambda: time.sleep(0.3) or 7)

    def reader() -> int:
        return slow.result(10) + 1

    assert shared.options(on=1).submit(reader).result(DEADLINE) == 8


def test_inside_a_task_the_cluster_is_at_hand(shared: Cluster) -> None:
    def nested() -> tuple[str, int]:
        cluster = current_cluster()
        return cluster.name, cluster.options(on=1).submit(pow, 2, 5).result(10)

    assert shared.options(on=0).submit(nested).result(DEADLINE) == (shared.name, 32)
    assert not any("tasks on an engine" in client for client in shared.status().clients)


def test_an_engine_connects_once_for_its_tasks(shared: Cluster) -> None:
    def connection() -> int:
        return id(current_cluster())

    first, second = (shared.options(on=0).submit(connection).result(DEADLINE) for _ in range(2))
    assert first == second


def test_what_tasks_connect_does_not_keep_a_cluster() -> None:
    cluster = Cluster(1, name="alone")
    cluster.submit(lambda: current_cluster().submit(int)).result(DEADLINE)
    cluster.stop()  # refused if anybody else used it


def test_report_reaches_the_future(shared: Cluster) -> None:
    def work() -> None:
        report(0.5, loss=0.25)
        time.sleep(30)

    future = shared.submit(work)
    until(lambda: future.progress)  # type: ignore[attr-defined]
    assert future.progress == {"fraction": 0.5, "loss": 0.25}  # type: ignore[attr-defined]
    future.cancel()


def test_keys_outlive_their_futures(shared: Cluster) -> None:
    shared.options(key="train").submit(pow, 3, 3).result(DEADLINE)
    running = shared.options(key="long").submit(time.sleep, 0.5)
    found = shared.futures()
    assert set(found) == {"train", "long"}
    assert found["train"].result(DEADLINE) == 27
    assert found["long"].result(DEADLINE) is None
    assert running.key == "long"
    assert shared.submit(lambda x: x + 1, found["train"]).result(DEADLINE) == 28
    shared.options(key="train").submit(pow, 2, 2).result(DEADLINE)  # the key is used again
    assert shared.futures()["train"].result(DEADLINE) == 4
    broken = shared.options(key="broken").submit(lambda: 1 / 0)
    wait(broken, DEADLINE)
    with pytest.raises(Exception, match="division by zero"):
        shared.futures()["broken"].result(DEADLINE)
    for key in ("train", "long", "broken"):
        shared.forget(key)
    assert shared.futures() == {}
    with pytest.raises(KeyError, match="train") as caught:
        shared.forget("train")
    assert caught.value.args == ("train",)
    assert caught.value.__notes__ == ["nothing is held under this key; cluster.futures() has those that are"]


def test_a_second_client_finds_keyed_futures(
    shared: Cluster, script: Callable[..., subprocess.Popen[str]]
) -> None:
    other = script(
        """
        import sys
        from nbcluster import Cluster
        cluster = Cluster.connect(sys.argv[1])
        cluster.options(key="theirs").submit(pow, 2, 6).result(20)
        cluster.close()
        print("closed", flush=True)
        """,
        shared.calls.address[1],
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "closed\n"
    assert other.wait(DEADLINE) == 0
    assert shared.futures()["theirs"].result(DEADLINE) == 64
    shared.forget("theirs")


def test_records_of_what_runs_and_of_what_ended(shared: Cluster) -> None:
    running = shared.options(label="nap").submit(time.sleep, 30)
    until(lambda: running.status == "running")
    (record,) = shared.tasks("running")
    assert (record.label, record.kind, record.engine) == ("nap", "call", running.engine)
    assert "nap" in repr(shared.tasks())
    assert "<td>nap</td>" in shared.tasks()._repr_html_()
    running.cancel()
    labels = [record.label for record in shared.history(state="cancelled")]
    assert labels[-1] == "nap"
    many = [shared.options(label="many").submit(int) for _ in range(30)]
    gather(many)
    until(lambda: len(shared.history(label="many")) == 30)
    some = shared.history(label="many", limit=10)
    assert len(some) == 10
    assert "20 more were left out by the limit" in repr(some)


def test_resources_choose_engines(shared: Cluster) -> None:
    with pytest.raises(NoEngines, match="no engine has the resources gpu=1"):
        shared.options(resources={"gpu": 1}).submit(int)
    (number,) = shared.add(1, resources={"gpu": 2}, tags=["fast"])
    for options in ({"resources": {"gpu": 1}}, {"on": "fast"}, {"on": number}):
        future = shared.options(**options).submit(int)  # type: ignore[arg-type]
        assert future.result(DEADLINE) == 0
        assert future.engine == number


def test_higher_priority_goes_first(shared: Cluster) -> None:
    def hold() -> None:
        time.sleep(0.5)

    # One runs and one is sent ahead: what comes now waits in the controller.
    blocking = [shared.options(on=0).submit(hold) for _ in range(2)]
    futures = [shared.options(on=0, priority=priority).submit(time.time) for priority in (0, 5, 1)]
    times = {future.result(DEADLINE): at for at, future in enumerate(futures)}
    order = [times[when] for when in sorted(times)]
    assert gather(blocking) == [None, None]
    assert order == [1, 2, 0]


def test_the_future_of_a_cell_goes_along_as_its_value(shared: Cluster) -> None:
    cell = shared[0].execute("6 * 7", wait=False)
    assert cell.result(DEADLINE) == 42
    assert shared.submit(lambda x: x + 1, cell).result(DEADLINE) == 43
    waiting = shared[0].execute("import time; time.sleep(30)", wait=False)
    with pytest.raises(UsageError, match="has not ended"):
        shared.submit(abs, waiting)
    waiting.cancel()


def test_lost_engines_and_what_runs_again(shared: Cluster, tmp_path: Path) -> None:
    def die_once(path: str) -> str:
        if not os.path.exists(path):
            open(path, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return "survived"

    again = shared.submit(die_once, str(tmp_path / "a"))
    assert again.result(DEADLINE) == "survived"
    with pytest.raises(EngineLost):
        shared.options(repeatable=False).submit(die_once, str(tmp_path / "b")).result(DEADLINE)
    with pytest.raises(EngineLost):
        shared.options(on=0).submit(die_once, str(tmp_path / "c")).result(DEADLINE)


def test_ctrl_c_ends_a_wait_and_says_how_to_cancel(
    shared: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    future = shared.submit(time.sleep, 1)
    threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        future.result(DEADLINE)
    assert "stopped waiting for sleep, which goes on" in capsys.readouterr().err
    assert future.result(DEADLINE) is None


def test_ctrl_c_in_what_started_the_work_cancels_it(shared: Cluster) -> None:
    threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        shared[:].apply(time.sleep, 60)
    until(lambda: not shared.tasks())
    results = shared.map(time.sleep, [60, 60])
    threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        next(results)
    until(lambda: not shared.tasks())


def test_errors_of_several_engines_are_a_group(shared: Cluster) -> None:
    with pytest.raises(EngineErrors, match="int failed on every engine") as caught:
        shared[:].apply(int, "x")
    assert set(caught.value.errors) == {0, 1}
    with pytest.raises(ValueError, match="invalid literal"):
        shared[0].apply(int, "x")


def test_asynchronously(shared: Cluster) -> None:
    async def story() -> None:
        async with await AsyncCluster.connect(shared.calls.address[1]) as cluster:
            future = await cluster.submit(pow, 2, 10)
            assert await future == 1024
            with pytest.raises(UsageError, match="await"):
                (await cluster.submit(time.sleep, 0.2)).result()
            assert [each async for each in cluster.map(abs, [-1, 2])] == [1, 2]
            assert await cluster[:].apply(pow, 2, 2) == {0: 4, 1: 4}
            await cluster[0].push({"x": [1]})
            assert await cluster[0].pull("x") == [1]
            large = await cluster.submit(bytes, 500_000)
            assert await large == bytes(500_000)
            assert await asyncio.gather(*[await cluster.submit(abs, -n) for n in range(5)]) == list(range(5))
            slow = await cluster.submit(time.sleep, 30)
            await cluster.cancel(slow)
            with pytest.raises(TaskCancelled):
                await slow

    asyncio.run(story())


def test_a_cluster_that_ends_fails_what_is_open() -> None:
    with Cluster(1, name="ends") as cluster:
        future = cluster.submit(time.sleep, 60)
        until(lambda: future.status == "running")
    with pytest.raises(ControllerLost):
        future.result(DEADLINE)
    with pytest.raises(ControllerLost):
        cluster.submit(int)


def test_close_lets_all_go_but_what_has_a_key() -> None:
    with Cluster(1, name="let-go") as cluster:
        other = Cluster.connect("let-go")
        plain = other.submit(bytes, 10)
        other.options(key="kept").submit(bytes, 20).result(DEADLINE)
        task = plain.task  # type: ignore[attr-defined]
        plain.result(DEADLINE)
        waiting = other.submit(time.sleep, 0.2)
        other.close()
        with pytest.raises(ValueReleased, match="has left the cluster 'let-go'"):
            waiting.result(DEADLINE)
        assert plain.result() == bytes(10)  # what is here stays
        assert cluster.futures()["kept"].result(DEADLINE) == bytes(20)
        from nbcluster.client.references import Reference

        with pytest.raises(ValueReleased):
            Reference(*cluster.calls.address, task).result(DEADLINE)


def test_a_value_beyond_the_limit_stays_where_it_is(shared: Cluster) -> None:
    shared.result_limit = 100_000
    try:
        large = shared.submit(bytes, 200_000)
        with pytest.raises(ResultTooLarge, match=r"195 KiB.*97.7 KiB.*stays on engine"):
            large.result(30)
        assert shared.submit(len, large).result(30) == 200_000, "it can be used there"
        assert len(shared.submit(bytes, 50_000).result(30)) == 50_000
    finally:
        shared.result_limit = None
    assert len(large.result(30)) == 200_000


def test_a_limit_below_zero_is_refused(shared: Cluster) -> None:
    with pytest.raises(UsageError, match="cannot be"):
        shared.result_limit = -1


def test_a_graph_runs_whole_or_not_at_all(shared: Cluster) -> None:
    with shared.graph() as g:
        parts = [g.submit(lambda number: [number] * 1000, number) for number in range(8)]
        total = g.submit(lambda lists: sum(map(sum, lists)), parts)
        checked = g.options(on=1, after=[total], label="check").submit(lambda found: found > 0, total)
    assert total.result(DEADLINE) == 28_000
    assert checked.result(DEADLINE) is True
    assert checked.engine == 1
    before = len(shared.history())
    with pytest.raises(ZeroDivisionError), shared.graph() as g:
        g.submit(lambda: 1, label=1 / 0)
    assert len(shared.history()) == before


def test_a_graph_in_an_asynchronous_program(world: Any) -> None:
    async def story() -> Any:
        async with AsyncCluster(1, name="graphs") as cluster:
            async with cluster.graph() as g:
                total = g.submit(sum, [g.submit(pow, 2, number) for number in range(10)])
            return await total

    assert asyncio.run(story()) == 1023


@pytest.mark.parametrize("nbytes", [100, 5_000, 60_000, 100_000])
def test_a_value_is_there_for_who_takes_it_whatever_its_size(shared: Cluster, nbytes: int) -> None:
    # Small ones lie with the controller, middle ones ride home and stay on their engine, large ones only stay there.
    value = shared.options(on=0).submit(bytes, nbytes)
    value.result(DEADLINE)
    later = [shared.options(on=number).submit(len, value) for number in (0, 1)]
    assert gather(later, timeout=DEADLINE) == [nbytes, nbytes]
    dropped = [shared.submit(len, shared.options(on=0).submit(bytes, nbytes)) for _ in range(20)]
    assert gather(dropped, timeout=DEADLINE) == [nbytes] * 20
