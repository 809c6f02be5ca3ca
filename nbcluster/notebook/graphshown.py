"""Says how the statements of a graph cell are, for a picture of it. Reads a run; changes and draws nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nbcluster.drawing.graph import GraphShown, NodeShown
from nbcluster.drawing.words import duration
from nbcluster.errors import DependencyFailed, TaskCancelled
from nbcluster.notebook.graphruns import Fan, GraphRun

_STATES = {"running": "running", "stopping": "running", "done": "done", "failed": "failed", "lost": "failed"}
"""Of Futures, as nodes have them; any other waits."""


def graph_shown(run: GraphRun) -> GraphShown:
    """The nodes of a run as they are now. On the thread that runs it."""
    return GraphShown(tuple(_node(run, number) for number in sorted(run.graph.nodes)))


def statements_ended(run: GraphRun) -> int:
    """How many statements have ended, however."""
    nodes = run.graph.nodes
    return sum(len(nodes[number].statements) for number in run.ended if number in nodes)


def _node(run: GraphRun, number: int) -> NodeShown:
    graph, node = run.graph, run.graph.nodes[number]
    texts = [graph.statements[statement].text for statement in node.statements]
    text = " ".join(texts[0].split()) + (f" … and {len(texts) - 1} more" if len(texts) > 1 else "")
    fan = run.fans.get(number)
    return NodeShown(
        number,
        f"{run.cell.label} {run.lines_of(number)}",
        text,
        tuple(sorted(graph.needs(number))),
        (state := _state(run, number)),
        _where(run.results.get(number)) if fan is None and state not in ("waiting", "cancelled") else "",
        tuple(_state_of(future) for future in fan.chunks) if fan is not None else (),
        _far(fan) if fan is not None else "",
    )


def _state(run: GraphRun, number: int) -> str:
    error = run.failed.get(number)
    if error is not None:
        return "cancelled" if isinstance(error, DependencyFailed | TaskCancelled) else "failed"
    if number in run.ended:
        return "done"
    fan = run.fans.get(number)
    if fan is not None:
        return "running" if _any_begun(fan.chunks) else "waiting"
    future = run.results.get(number)
    return _state_of(future) if future is not None else "waiting"


def _state_of(future: Any) -> str:
    status = future.status
    return "cancelled" if status == "cancelled" else _STATES.get(status, "waiting")


def _any_begun(futures: Iterable[Any]) -> bool:
    return any(_state_of(future) != "waiting" for future in futures)


def _far(fan: Fan) -> str:
    left = sum(size for _, size in fan.open.values())
    done = fan.sent - left
    return f"{done:,} of {fan.total:,} elements" if done < fan.total else f"{done:,} elements"


def _where(future: Any) -> str:
    if future is None or future.engine is None:
        return ""
    end = future.end
    took = f", {duration(end.seconds)}" if end is not None and end.seconds else ""
    return f"engine {future.engine}{took}"
