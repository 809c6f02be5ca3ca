"""Shows under a cell how the work goes that it waits for: live while it lasts, then as one picture that stays.

A cell has one display, whatever it waits for and however often. While the cell's thread waits, or computes, a thread of
the view draws what the feed tells; the picture that stays is drawn by the cell's own thread. Knows no grammar.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Protocol, runtime_checkable

from nbcluster.client.progress import Line, Shown
from nbcluster.core.board import Board
from nbcluster.drawing.graph import GraphShown
from nbcluster.drawing.picture import Picture
from nbcluster.drawing.words import Wait
from nbcluster.errors import NBClusterError
from nbcluster.notebook.leftviews import LeftView
from nbcluster.notebook.operations import Show
from nbcluster.notebook.publishers import send_show
from nbcluster.notebook.stopping import Stop, kernel_id

WATCH_AFTER = 0.25
"""Seconds of waiting after which the work is watched; what ends before is counted and not drawn."""

SHOW_AFTER = 1.0
"""Seconds of waiting after which it is shown."""

DRAW_EVERY = 0.2
"""Seconds between two drawings of a live view."""

GRAPH_BYTES = 100_000
"""Bytes a second that the drawing of a graph may cost the page; large ones are sent more seldom."""

SETTLE = 2.0
"""Seconds that the end of a cell waits at most until what was stopped is told to have ended."""

SAY_EVERY = 10.0
"""Seconds between two sentences for screen readers."""


@runtime_checkable
class Watched(Protocol):
    """The part of a cluster that views use."""

    @property
    def name(self) -> str:
        """Its name."""

    def watch(self, listener: Callable[[Board], None]) -> None:
        """Give each new board to a callback."""

    def unwatch(self, listener: Callable[[Board], None]) -> Board:
        """Give it no more; return the board as it is now."""


FindCluster = Callable[[tuple[str, str] | None], Watched | None]


class WorkViews:
    """The views of one notebook, one for each cell.

    Parameters
    ----------
    shell : InteractiveShell
        Of a notebook kernel.
    find : callable
        Gives the connected cluster of an address, or the current one.
    """

    def __init__(self, shell: Any, find: FindCluster) -> None:
        self._shell, self._find = shell, find
        self._cell: CellView | None = None
        self._waiting = False
        self._widget: Any = None

    def widget(self) -> Any:
        """The widget of this notebook's live views; None where there can be none.

        There is one, made when first needed: a page that still prepares a widget complains when that is closed.
        """
        if self._widget is None:
            try:
                from nbcluster.notebook.livewidget import LiveWidget
            except ImportError:
                return None  # the picture that stays is shown all the same
            self._widget = LiveWidget()
            self._widget.on_msg(self._heard)
        return self._widget

    def _heard(self, widget: Any, content: Any, buffers: Any) -> None:
        """A page that has no other way asks by a comm."""
        if self._cell is not None and isinstance(content, dict):
            self._cell.stop_asked({content.get("stop")})

    def close(self) -> None:
        """Show nothing any more."""
        self.cell_ended()
        if self._widget is not None:
            self._widget.close()
            self._widget = None

    def view(self, shown: Shown) -> AbstractContextManager[Line] | None:
        """What shows this work; None when it is for a line of text. Within a wait that is shown, another is not."""
        if threading.current_thread() is not threading.main_thread():
            return None
        if self._waiting:
            return unseen()
        cluster = self._find(shown.address)
        return self.wait(cluster, shown) if cluster is not None else None

    @contextmanager
    def wait(self, cluster: Watched, shown: Shown) -> Iterator[Line]:
        """Show what a cell waits for while the block runs."""
        line = ViewLine(self, cluster, shown)
        self._waiting = True
        try:
            if shown.is_wanted:
                line.tick()
            yield line
        except KeyboardInterrupt:
            line.interrupted()
            raise
        except Exception:
            line.failed()
            raise
        finally:
            self._waiting = False
            line.end()

    def cell(self, cluster: Watched) -> CellView:
        """The view of the cell that runs."""
        if self._cell is None or self._cell.cluster is not cluster:
            self.cell_ended()
            self._cell = CellView(self._shell, cluster, self.widget)
        return self._cell

    def cell_ended(self) -> None:
        """The cell has ended: what it shows stays."""
        cell, self._cell = self._cell, None
        self._waiting = False
        if cell is not None:
            cell.close()


@contextmanager
def unseen() -> Iterator[Line]:
    """A line that shows nothing."""
    yield Line()


class ViewLine(Line):
    """One wait of a cell, as its thread counts it. Costs nothing until it lasts."""

    explains = True

    def __init__(self, views: WorkViews, cluster: Watched, shown: Shown) -> None:
        super().__init__()
        self._views, self._cluster, self._shown = views, cluster, shown
        self._began = time.monotonic()
        self._cell: CellView | None = None
        self._done = self._failed = 0
        self.stop: Stop | None = None
        """From when it is watched on."""
        self._ended = ""
        self.wants_ticks = True
        self.graph: GraphShown | None = None
        """The work as a graph, as it was at the last tick that was due."""
        self._make_graph: Callable[[], GraphShown] | None = None
        self._graph_at = float("-inf")

    @property
    def is_stopped(self) -> bool:
        """Whether the work is to be stopped, and not only the wait."""
        return self.stop is not None and self.stop.is_asked

    @property
    def is_shown(self) -> bool:
        """Whether anybody sees it, or will."""
        return True

    def advance(self, count: int = 1, failed: int = 0) -> None:
        """Count some more that have ended."""
        self._done += count
        self._failed = failed or self._failed
        if self.wants_ticks:  # who computes between two results does not wait, and does not tick
            self.tick()

    def interrupted(self) -> None:
        """The work is stopped before its end."""
        self._ended = "interrupted"

    def failed(self) -> None:
        """The wait ends in an error."""
        self._ended = "failed"

    def draws(self, make: Callable[[], GraphShown]) -> None:
        """The work is a graph; it is asked for at ticks, once somebody watches."""
        self._make_graph = make

    def tick(self) -> None:
        """Begin to watch, and to show, when it is time; note how the graph is now."""
        now = time.monotonic()
        if self._cell is not None and self._make_graph is not None and now - self._graph_at >= DRAW_EVERY:
            self._graph_at = now
            self.graph = self._make_graph()
        wait = 0.0 if self._shown.is_wanted else WATCH_AFTER
        if self._cell is None and now - self._began >= wait:
            self.wants_ticks = self._make_graph is not None
            self.stop = Stop()
            self._cell = self._views.cell(self._cluster)
            self._cell.begin(self, 0.0 if self._shown.is_wanted else SHOW_AFTER)

    @property
    def wait(self) -> Wait:
        """The wait as it is drawn now."""
        seconds = time.monotonic() - self._began
        shown = self._shown
        return Wait(shown.what, self._done, shown.total, self._failed, shown.unit, seconds, self._ended)

    def end(self) -> None:
        """The wait is over."""
        if self.stop is not None:
            self.stop.end()
        self._ended = self._ended or "done"
        if self._cell is not None:
            if self._make_graph is not None:
                self.graph = self._make_graph()
            self._cell.end(self.wait, self.graph)


class CellView:
    """The one display of a cell, and the feed that it is drawn from.

    Parameters
    ----------
    shell : InteractiveShell
    cluster : Watched
    make_widget : callable
        Gives the widget of live views, or None.
    """

    def __init__(self, shell: Any, cluster: Watched, make_widget: Callable[[], Any]) -> None:
        self._shell, self.cluster, self._make_widget = shell, cluster, make_widget
        self._publish = shell.display_pub
        self._parent = shell.get_parent()
        content = self._parent.get("content", {})
        # Who cannot be asked is no page, and what captures outputs wants those that stay.
        self._is_live = content.get("allow_stdin", True) and hasattr(self._publish, "session")
        self._key = f"nbcluster-work-{self._parent.get('header', {}).get('msg_id') or id(self)}"
        self._board = Board()
        self._since = 0.0
        self._is_watched = False
        self._began = time.monotonic()
        self._news = threading.Event()
        self._lock = threading.Lock()
        self._over: threading.Event | None = None
        self._thread: threading.Thread | None = None
        self._widget: Any = None
        self._shown = ""
        """The picture that was shown last, to stay."""
        self._is_displayed = False
        """There is a display of this cell, live or not."""
        self._is_drawn_live = False
        self._stop: Stop | None = None
        self._wait: Wait | None = None
        self._graph: GraphShown | None = None
        self._left: LeftView | None = None
        """For pages that are loaded again; from when it is shown live."""

    # -- on the cell's thread -----------------------------------------------------------------

    def begin(self, line: ViewLine, show_after: float) -> None:
        """Watch, and show in a while unless it is over by then."""
        over = self._over = threading.Event()
        self._stop = line.stop
        if not self._is_watched:
            self._began = time.monotonic() - line.wait.seconds
        show_at = time.monotonic() - line.wait.seconds + show_after
        context = contextvars.copy_context()  # it draws for the cell that runs
        self._thread = threading.Thread(
            target=context.run, args=(self._serve, line, show_at, over), name="nbcluster view", daemon=True
        )
        self._thread.start()

    def end(self, wait: Wait, graph: GraphShown | None = None) -> None:
        """What the cell waited for is over: let the picture stay."""
        if self._over is not None:
            with self._lock:
                self._over.set()
            self._news.set()
        if self._thread is not None and self._is_drawn_live:
            self._thread.join(timeout=2)
        self._wait, self._graph = wait, graph
        if self._is_drawn_live or wait.seconds >= SHOW_AFTER:
            self._stay()

    def close(self) -> None:
        """The cell has ended."""
        if self._over is not None:
            self._over.set()
            self._news.set()
        if self._thread is not None:
            self._thread.join(timeout=2)
        if self._is_watched:
            self._wait_for_stopped()
            if self._is_displayed and not self._is_drawn_live:
                self._stay()  # what has ended since then belongs to it, as long as it is watched
            self._is_watched = False
            with suppress(NBClusterError, TimeoutError):
                self.cluster.unwatch(self._told)
        if self._left is not None:
            self._left.end()
        if self._widget is not None:
            self._widget.clear()
            self._widget = None

    def _wait_for_stopped(self) -> None:
        """What was stopped does not end at once, and the picture that stays is not to say that it runs."""
        if self._stop is None or not self._stop.is_asked:
            return
        until = time.monotonic() + SETTLE
        while True:
            self._news.clear()
            is_over = all(bar.ended == bar.total for bar in self._board.bars)
            if is_over or self._board.ended or not self._news.wait(until - time.monotonic()):
                return

    def _stay(self) -> None:
        """Show the picture that stays, in the place of the live one if there was one."""
        self._is_drawn_live = False
        board = self._latest()
        picture = Picture(board, self._wait, self._since_of(board), graph=self._graph)
        bundle = {"text/html": picture.html(), "text/plain": picture.text()}
        if bundle["text/html"] == self._shown:
            return
        self._shown = bundle["text/html"]
        self._publish.publish(data=bundle, transient={"display_id": self._key}, update=self._is_displayed)
        self._is_displayed = True
        if self._left is not None:
            self._left.stay(bundle)

    def _latest(self) -> Board:
        """The board as it is now; the last one told, when the controller does not answer."""
        with suppress(NBClusterError, TimeoutError):
            # A second look asks for everything, and is answered when it has come.
            self.cluster.watch(_glance)
            self._board = self.cluster.unwatch(_glance)
        return self._board

    def _since_of(self, board: Board) -> float:
        """When the cell began to wait, by the controller's clock."""
        return self._since or board.now - (time.monotonic() - self._began)

    # -- on the I/O thread --------------------------------------------------------------------

    def _told(self, board: Board) -> None:
        if not self._since:
            self._since = board.now - (time.monotonic() - self._began)
        self._board = board
        self._news.set()
        if board.stops:
            self.stop_asked(board.stops)

    def stop_asked(self, works: Collection[Any]) -> None:
        """Somebody wants waits of these names to be stopped."""
        stop = self._stop
        if stop is not None and stop.work in works:
            stop.ask()

    # -- on the thread of the view ------------------------------------------------------------

    def _serve(self, line: ViewLine, show_at: float, over: threading.Event) -> None:
        with suppress(NBClusterError, TimeoutError):
            if not self._is_watched:
                self._is_watched = True
                self.cluster.watch(self._told)
            if over.wait(max(0.0, show_at - time.monotonic())) or not self._is_live:
                return
            self._draw_live(line, over)

    def _draw_live(self, line: ViewLine, over: threading.Event) -> None:
        widget = self._widget = self._make_widget()
        said_at, said = float("-inf"), ""
        graph, graph_at = "", float("-inf")
        if widget is not None and line.stop is not None and line.stop.is_open:
            widget.stop = {
                "cluster": self.cluster.name,
                "work": line.stop.work,
                "kernel": kernel_id(self._shell),
            }
        while widget is not None and not over.is_set():
            self._news.clear()
            picture = Picture(self._board, line.wait, self._since_of(self._board), graph=line.graph)
            parts = picture.parts()
            if time.monotonic() - graph_at >= len(parts["graph"]) / GRAPH_BYTES:
                graph, graph_at = parts["graph"], time.monotonic()
            parts["graph"] = graph
            if time.monotonic() - said_at >= SAY_EVERY:
                said_at, said = time.monotonic(), picture.text().splitlines()[0]
            widget.show(parts, said)
            if not self._is_drawn_live:
                with self._lock:
                    if over.is_set():
                        return
                    self._display(widget, picture)
            if self._left is not None:
                self._left.show(parts, said, widget.stop, self._board, line.graph)
            if over.wait(DRAW_EVERY):
                return
            self._news.wait(1.0)  # the time goes on though nothing else does

    def _display(self, widget: Any, picture: Picture) -> None:
        data, metadata = widget.bundle(picture.text())
        send_show(self._publish, Show(data, metadata, self._key, self._is_displayed), self._parent)
        self._is_displayed = self._is_drawn_live = True
        self._shown = ""
        if self._left is None:
            self._left = LeftView(self._shell, self.cluster.name, self._parent, widget.model_id)
        widget.view = self._left.address


def _glance(board: Board) -> None:
    """Of a board that is asked for once."""


def cluster_of(address: tuple[str, str] | None, known: Sequence[Any]) -> Any | None:
    """The connected cluster of an address among those that are known; the one used last, when there is no address."""
    connected = [cluster for cluster in known if cluster.is_connected]
    if address is not None:
        connected = [cluster for cluster in connected if cluster.calls.address == address]
    return connected[-1] if connected else None
