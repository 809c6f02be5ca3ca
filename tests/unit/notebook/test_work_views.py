"""The view of a cell: what is displayed, when, and what stays; without kernel and cluster."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from typing import Any

import pytest
from comm import DummyComm

from nbcluster.client import progress as lines
from nbcluster.client.futures import Future
from nbcluster.client.progress import Shown
from nbcluster.core.board import Board
from nbcluster.drawing.graph import GraphShown, NodeShown
from nbcluster.drawing.picture import PARTS
from nbcluster.errors import ControllerLost
from nbcluster.notebook import workviews
from nbcluster.notebook.livewidget import LiveWidget
from nbcluster.notebook.stopping import Stop
from nbcluster.notebook.workviews import WorkViews, cluster_of
from nbcluster.protocol.feed import Bar, Scope, StopWanted, WorkTold
from nbcluster.testing.waiting import wait_until

VIEW = "application/vnd.jupyter.widget-view+json"


class Publisher:
    """What a cell displays, by display id; from the cell's thread, or by messages."""

    def __init__(self) -> None:
        self.session = self
        self.pub_socket = self.topic = None
        self.shown: list[tuple[str, bool, dict[str, Any]]] = []

    def publish(self, data: dict[str, Any], transient: dict[str, Any], update: bool) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.shown.append((transient["display_id"], update, data))

    def send(self, socket: Any, kind: str, content: dict[str, Any], parent: Any, **rest: Any) -> None:
        assert parent["header"]["msg_id"] == "cell"
        update = kind == "update_display_data"
        self.shown.append((content["transient"]["display_id"], update, content["data"]))

    def kinds(self) -> list[tuple[bool, list[str]]]:
        return [(update, sorted(data)) for _, update, data in self.shown]


class Shell:
    def __init__(self, *, is_page: bool = True) -> None:
        self.display_pub = Publisher()
        self._parent = {"header": {"msg_id": "cell"}, "content": {"allow_stdin": is_page}}

    def get_parent(self) -> dict[str, Any]:
        return self._parent


class Cluster:
    """Tells who watches what it is told to."""

    is_connected = True
    name = "one"

    def __init__(self) -> None:
        self.listeners: list[Callable[[Board], None]] = []
        self.board = Board()
        self.watched = self.begun = 0
        self.lost = False
        self.tell(0)

    def tell(self, done: int) -> None:
        self.show(Bar("fit", 9, done=done, first=99.0, last=100.0 + done))

    def show(self, bar: Bar) -> None:
        self.board = self.board.apply(WorkTold(1, bar.last, True, (bar, Scope(99.0))))
        for listener in self.listeners:
            listener(self.board)

    def watch(self, listener: Callable[[Board], None]) -> None:
        if self.lost:
            raise ControllerLost("it ended")
        self.watched += 1
        self.begun += not self.listeners
        self.listeners.append(listener)
        listener(self.board)

    def unwatch(self, listener: Callable[[Board], None]) -> Board:
        if self.lost:
            raise ControllerLost("it ended")
        self.listeners.remove(listener)
        return self.board


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workviews, "WATCH_AFTER", 0.0)
    monkeypatch.setattr(workviews, "SHOW_AFTER", 0.02)
    monkeypatch.setattr(workviews, "DRAW_EVERY", 0.005)


@pytest.fixture
def widgets(monkeypatch: pytest.MonkeyPatch) -> list[LiveWidget]:
    made: list[LiveWidget] = []

    class Kept(LiveWidget):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr("nbcluster.notebook.livewidget.LiveWidget", Kept)
    return made


SHOWN = Shown("gather", 9)


def wait_live(shell: Shell) -> None:
    wait_until(lambda: shell.display_pub.shown, 10, "the live view")


def test_a_wait_that_lasts_is_live_and_then_one_picture_under_one_id(widgets: list[LiveWidget]) -> None:
    shell, cluster = Shell(), Cluster()
    views = WorkViews(shell, lambda _: cluster)
    with views.wait(cluster, SHOWN) as line:
        line.tick()
        assert not line.wants_ticks
        wait_live(shell)
        cluster.tell(5)
        line.advance(5)
        wait_until(lambda: "5 of 9 done" in widgets[0].bars, 10, "the widget to show it")
        wait_until(lambda: "5 of 9 calls" in widgets[0].head, 10, "the widget to count")
        cluster.tell(9)
    views.cell_ended()
    assert shell.display_pub.kinds() == [
        (False, [VIEW, "text/plain"]),
        (True, ["text/html", "text/plain"]),
    ]
    assert {key for key, _, _ in shell.display_pub.shown} == {"nbcluster-work-cell"}
    assert "9 done" in shell.display_pub.shown[-1][2]["text/plain"]
    assert cluster.listeners == []
    assert cluster.begun == 1, "a feed that begins anew knows no task stream"
    assert (widgets[0].head, widgets[0].bars) == ("", ""), "nothing of the live view is left"
    views.close()
    assert widgets[0].comm is None


def test_a_graph_is_asked_for_at_ticks_while_somebody_watches(widgets: list[LiveWidget]) -> None:
    shell, cluster = Shell(), Cluster()
    views = WorkViews(shell, lambda _: cluster)
    asked: list[threading.Thread] = []
    state = "running"

    def make() -> GraphShown:
        asked.append(threading.current_thread())
        return GraphShown((NodeShown(0, "", "a", (), state), NodeShown(1, "", "b", (0,))))

    with views.wait(cluster, SHOWN) as line:
        line.draws(make)
        assert asked == [], "what is not watched is not asked for"
        line.tick()
        assert line.wants_ticks
        wait_live(shell)
        wait_until(lambda: (line.tick(), "1 running" in widgets[0].graph)[1], 10, "the graph to be shown")
        state = "done"
        line.failed()
    views.cell_ended()
    assert set(asked) == {threading.main_thread()}
    html = shell.display_pub.shown[-1][2]["text/html"]
    assert "graph: 2 statements, 1 done, 1 waiting" in html
    assert "failed after" in html


def test_a_wait_is_stopped_by_its_name_as_by_ctrl_c_and_only_while_it_lasts(
    widgets: list[LiveWidget],
) -> None:
    shell, cluster = Shell(), Cluster()
    views = WorkViews(shell, lambda _: cluster)

    def ask(work: str) -> None:
        cluster.board = cluster.board.apply(WorkTold(9, 101.0, True, (StopWanted(work),)))
        for listener in cluster.listeners:
            listener(cluster.board)

    def be_stopped() -> workviews.ViewLine:
        try:
            with views.wait(cluster, SHOWN) as line:
                line.tick()
                wait_until(lambda: widgets and widgets[0].stop, 10, "the page to know how to stop it")
                assert widgets[0].stop == {"cluster": "one", "work": line.stop.work, "kernel": ""}
                ask("0" * 32)
                assert not line.is_stopped, "another one is meant"
                asking = threading.Thread(target=ask, args=(line.stop.work,))
                asking.start()
                wait_until(lambda: False, 10, "the interrupt")
        except KeyboardInterrupt:
            asking.join()
        return line

    line = be_stopped()
    assert line.is_stopped
    views.cell_ended()
    assert widgets[0].stop == {}
    assert "interrupted after" in shell.display_pub.shown[-1][2]["text/plain"]

    with views.wait(cluster, SHOWN) as line:
        line.tick()
    ask(line.stop.work)
    views.cell_ended()
    assert not line.is_stopped, "it was over: nothing else is interrupted in its place"


def test_what_was_stopped_is_not_said_to_run_in_the_picture_that_stays(
    monkeypatch: pytest.MonkeyPatch, widgets: list[LiveWidget]
) -> None:
    monkeypatch.setattr(workviews, "SETTLE", 10.0)
    shell, cluster = Shell(), Cluster()
    views = WorkViews(shell, lambda _: cluster)

    def be_stopped() -> None:
        with views.wait(cluster, SHOWN) as line:
            line.tick()
            wait_live(shell)
            cluster.show(Bar("fit", 9, running=2, first=99.0, last=100.0))
            threading.Thread(target=line.stop.ask).start()
            wait_until(lambda: False, 10, "the interrupt")

    with pytest.raises(KeyboardInterrupt):
        be_stopped()
    ended = Bar("fit", 9, cancelled=9, first=99.0, last=101.0)
    later = threading.Timer(0.1, cluster.show, [ended])
    later.start()
    views.cell_ended()
    later.join()
    assert "fit  0 of 9 done, 9 cancelled" in shell.display_pub.shown[-1][2]["text/plain"]


def test_only_waits_of_the_main_thread_can_be_stopped() -> None:
    stops: list[Stop] = []
    thread = threading.Thread(target=lambda: stops.append(Stop()))
    thread.start()
    thread.join()
    assert not stops[0].ask()


def test_gathered_futures_are_cancelled_when_they_are_to_be_stopped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(lines.Line):
        wants_ticks = is_stopped = True  # type: ignore[assignment]  # a property there

        def tick(self) -> None:
            raise KeyboardInterrupt

    class Waiting(Future):
        reason = ""

        def ask_to_stop(self, reason: str, *, force: bool = False) -> None:
            self.reason = reason

    waiting = Waiting()
    monkeypatch.setenv("NBCLUSTER_PROGRESS", "on")
    monkeypatch.setattr(lines, "viewers", [lambda shown: nullcontext(Stopped())])
    with pytest.raises(KeyboardInterrupt):
        lines.watch([waiting], what="gather")
    assert waiting.reason == "stopped in the notebook"
    assert "stopped: 1 of 1 are cancelled" in capsys.readouterr().err


def test_several_waits_of_a_cell_share_its_display(widgets: list[LiveWidget]) -> None:
    shell, cluster = Shell(), Cluster()
    views = WorkViews(shell, lambda _: cluster)
    for number in range(2):
        before = len(shell.display_pub.shown)
        with views.wait(cluster, SHOWN) as line:
            line.tick()
            wait_until(lambda before=before: len(shell.display_pub.shown) > before, 10, "the live view")
            cluster.tell(number)
    views.cell_ended()
    assert [update for update, _ in shell.display_pub.kinds()] == [False, True, True, True]
    assert len(widgets) == 1


def test_headless_there_is_only_the_picture_that_stays(widgets: list[LiveWidget]) -> None:
    shell, cluster = Shell(is_page=False), Cluster()
    views = WorkViews(shell, lambda _: cluster)
    with views.wait(cluster, SHOWN) as line:
        line.tick()
        wait_until(lambda: line.wait.seconds > 0.05, 10, "it to have lasted")
    views.cell_ended()
    assert shell.display_pub.kinds() == [(False, ["text/html", "text/plain"])]
    assert widgets == []


def test_where_there_are_no_widgets_the_picture_stays_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nbcluster.notebook.livewidget", None)
    shell, cluster = Shell(), Cluster()
    views = WorkViews(shell, lambda _: cluster)
    with views.wait(cluster, SHOWN) as line:
        line.tick()
        wait_until(lambda: cluster.watched, 10, "somebody to watch")
        cluster.tell(4)
        wait_until(lambda: line.wait.seconds > workviews.SHOW_AFTER, 10, "a wait that is worth showing")
    assert shell.display_pub.kinds() == [(False, ["text/html", "text/plain"])]
    assert "fit  4 of 9 done" in shell.display_pub.shown[0][2]["text/plain"]


def test_who_computes_between_two_results_is_shown_too(widgets: list[LiveWidget]) -> None:
    shell, cluster = Shell(), Cluster()
    views = WorkViews(shell, lambda _: cluster)
    with views.wait(cluster, SHOWN) as line:
        line.advance()  # and the thread computes on, and ticks no more
        wait_live(shell)
        cluster.tell(4)
        wait_until(lambda: "4 of 9 done" in widgets[0].bars, 10, "the bar to move")
    assert shell.display_pub.kinds()[-1] == (True, ["text/html", "text/plain"])


def test_what_is_short_shows_nothing_and_does_not_even_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workviews, "WATCH_AFTER", 60.0)
    shell, cluster = Shell(), Cluster()
    views = WorkViews(shell, lambda _: cluster)
    with views.wait(cluster, SHOWN) as line:
        line.tick()
        assert line.wants_ticks
    views.cell_ended()
    assert (shell.display_pub.shown, cluster.watched) == ([], 0)


def test_a_wait_within_a_wait_is_not_shown_and_another_thread_is_left_to_a_line_of_text() -> None:
    cluster = Cluster()
    views = WorkViews(Shell(), lambda _: cluster)
    with views.wait(cluster, SHOWN):
        inner = views.view(SHOWN)
        assert inner is not None
        with inner as line:
            assert not line.is_shown
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(views.view(SHOWN)))
    thread.start()
    thread.join()
    assert found == [None]
    assert WorkViews(Shell(), lambda _: None).view(SHOWN) is None, "without a cluster nothing is shown"


@pytest.mark.parametrize(
    ("error", "how"),
    [(KeyboardInterrupt(), "interrupted after"), (ValueError("no"), "failed after"), (None, "took")],
)
def test_how_a_wait_ended_is_said(error: BaseException | None, how: str) -> None:
    shell, cluster = Shell(is_page=False), Cluster()
    views = WorkViews(shell, lambda _: cluster)
    with ExitStack() as stack:
        if error is not None:
            stack.enter_context(pytest.raises(type(error)))
        with views.wait(cluster, SHOWN) as line:
            line.tick()
            wait_until(lambda: line.wait.seconds > 0.05, 10, "it to have lasted")
            if error is not None:
                raise error
    views.cell_ended()
    assert how in shell.display_pub.shown[-1][2]["text/plain"]


def test_a_controller_that_is_lost_leaves_the_last_picture(widgets: list[LiveWidget]) -> None:
    shell, cluster = Shell(), Cluster()
    views = WorkViews(shell, lambda _: cluster)
    with views.wait(cluster, SHOWN) as line:
        line.tick()
        wait_live(shell)
        cluster.tell(4)
        cluster.lost = True
    views.cell_ended()
    assert "4 of 9 done" in shell.display_pub.shown[-1][2]["text/plain"]


def test_a_gather_is_shown_by_the_view(monkeypatch: pytest.MonkeyPatch, widgets: list[LiveWidget]) -> None:
    shell, cluster = Shell(), Cluster()
    views = WorkViews(shell, lambda _: cluster)
    monkeypatch.setattr(lines, "viewers", [views.view])
    monkeypatch.setenv(lines.VARIABLE, "on")
    late = Future()

    def end() -> None:
        wait_live(shell)
        late.set_result(7)

    thread = threading.Thread(target=end)
    thread.start()
    assert lines.progress([late])[0].result() == 7
    thread.join()
    views.cell_ended()
    assert "progress: 1 of 1 call" in shell.display_pub.shown[-1][2]["text/plain"]


def test_the_cluster_of_an_address_is_found_among_those_that_are_connected() -> None:
    class Known:
        def __init__(self, name: str, is_connected: bool) -> None:
            self.calls, self.address, self.is_connected = self, (name, "file"), is_connected

    first, second, gone = Known("a", True), Known("b", True), Known("c", False)
    known = [first, second, gone]
    assert cluster_of(("a", "file"), known) is first
    assert cluster_of(None, known) is second
    assert cluster_of(("c", "file"), known) is None


def test_the_widget_sends_a_part_only_when_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    widget = LiveWidget()
    widget.comm = DummyComm()  # ipykernel's has no kernel here, and then a widget sends nothing
    sent: list[set[str]] = []

    def send_state(self: LiveWidget, key: Any = None) -> None:
        if self is widget:  # not one that another test has left
            sent.append(set(key or ()))

    monkeypatch.setattr(LiveWidget, "send_state", send_state)
    parts = dict.fromkeys(PARTS, "")
    widget.show({**parts, "head": "a", "bars": "b"}, "")
    widget.show({**parts, "head": "c", "bars": "b"}, "")
    widget.close()
    assert sent == [{"head", "bars"}, {"head"}]


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    end = time.monotonic() + 5
    while any(thread.name == "nbcluster view" for thread in threading.enumerate()):
        assert time.monotonic() < end, "a view goes on"
        time.sleep(0.01)
