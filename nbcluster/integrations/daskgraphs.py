"""Reads a Dask graph: what of it is needed, in what order, and what is wrong with it. Knows no cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from nbcluster.errors import CycleError, NotSupported, UnknownKey, UsageError

Key = Any
"""What Dask takes for one: a text, bytes, a number, a tuple of these."""

Nodes = dict[Key, Any]
"""Nodes of `dask._task_spec` by key: tasks, aliases of other keys, and plain values."""


@dataclass(frozen=True)
class Reading:
    """A graph as it is to be run.

    Attributes
    ----------
    nodes : dict
        What has to be run or sent, in an order in which what is needed comes first. No aliases are among them.
    targets : dict
        Under which key of `nodes` the value of each alias is.
    uses : dict
        How many nodes need a node.
    annotations : dict
        What `dask.annotate` says of keys, by key and name.
    places : dict
        In what order Dask would run the keys, aliases too.
    """

    nodes: Nodes
    targets: Mapping[Key, Key]
    uses: Mapping[Key, int]
    annotations: Mapping[Key, Mapping[str, Any]]
    places: Mapping[Key, int]

    def home_of(self, key: Key) -> Key:
        """Return the key in `nodes` whose value that of `key` is."""
        return self.targets.get(key, key)


def flat(keys: Any) -> Iterator[Key]:
    """Yield the keys in a nest of lists."""
    if isinstance(keys, list):
        for each in keys:
            yield from flat(each)
    else:
        yield keys


def nested(keys: Any, values: Mapping[Key, Any]) -> Any:
    """Return values in the place of keys; a list becomes a tuple, as with Dask's own schedulers."""
    if isinstance(keys, list):
        return tuple(nested(each, values) for each in keys)
    return values[keys]


def read(dsk: Any, wanted: Iterable[Key], on_start: Callable[[Nodes], object] | None = None) -> Reading:
    """Read what is needed of a graph for the wanted keys.

    Parameters
    ----------
    dsk : mapping, or what has `__dask_graph__`
        Of tasks as tuples, or of nodes of `dask._task_spec`.
    wanted : iterable of keys
    on_start : callable, optional
        Is shown what is needed, task by task, and may put values in the place of tasks. Without it chains of tasks
        become one.

    Raises
    ------
    UnknownKey
        For a key that is wanted, or needed by a task, and not in the graph.
    CycleError
        When tasks need each other in a circle; names them.
    UsageError
        For what is no graph.
    NotSupported
        When Dask is missing, or too old.
    """
    try:
        from dask._task_spec import Alias, convert_legacy_graph, cull, fuse_linear_task_spec
        from dask.order import order
        from dask.utils import ensure_dict
    except ImportError as error:
        raise NotSupported(
            "graphs of Dask need Dask 2025.1 or later here and on the engines: pip install 'dask>=2025.1'"
        ) from error
    annotations = annotations_of(dsk)
    if not isinstance(dsk, Mapping):
        if not hasattr(dsk, "__dask_graph__"):
            raise UsageError(
                f"{type(dsk).__name__} {dsk!r:.100} is no Dask graph: that is a dict such as "
                "{'x': 1, 'y': (inc, 'x')}, or a collection of Dask's"
            )
        dsk = dsk.__dask_graph__()
    given = ensure_dict(dsk)
    keys = list(wanted)
    for key in keys:
        if not _is_in(key, given):
            raise UnknownKey(key, f"the key {key!r} is not in the graph, which has {_some(given)}")
    keys = list(dict.fromkeys(keys))
    graph: Nodes = convert_legacy_graph(given)
    aliases_of_themselves = given.keys() - graph.keys()  # Dask drops them without a word
    graph = cull(graph, keys)
    _check(graph, keys, aliases_of_themselves)
    if on_start is not None:
        on_start(graph)
        graph = cull(graph, keys)
    else:
        apart = {need for key in annotations if key in graph for need in graph[key].dependencies}
        graph = fuse_linear_task_spec(graph, {*keys, *annotations, *apart})
    targets = {key: _end_of(key, graph) for key, node in graph.items() if isinstance(node, Alias)}
    places = order(graph)
    nodes = {
        key: graph[key] for key in sorted(graph, key=places.__getitem__) if not isinstance(graph[key], Alias)
    }
    uses: dict[Key, int] = dict.fromkeys(nodes, 0)
    for node in nodes.values():
        for key in node.dependencies:
            uses[targets.get(key, key)] += 1
    return Reading(nodes, targets, uses, annotations, places)


def annotations_of(dsk: Any) -> dict[Key, dict[str, Any]]:
    """Return what `dask.annotate` says of the keys of a graph, by key and name."""
    by_key: dict[Key, dict[str, Any]] = {}
    if hasattr(dsk, "__dask_annotations__"):
        for name, values in dsk.__dask_annotations__().items():
            for key, value in values.items():
                by_key.setdefault(key, {})[name] = value
    for layer in getattr(dsk, "layers", {}).values():
        for name, value in (getattr(layer, "annotations", None) or {}).items():
            for key in layer:
                by_key.setdefault(key, {})[name] = value(key) if callable(value) else value
    return by_key


def _is_in(key: Key, graph: Nodes) -> bool:
    try:
        return key in graph
    except TypeError:  # it cannot be hashed
        raise UsageError(f"{key!r} cannot be a key; keys are texts, numbers, and tuples of these") from None


def _end_of(key: Key, graph: Nodes) -> Key:
    from dask._task_spec import Alias

    while isinstance(node := graph[key], Alias):
        key = node.target
    return key


def _check(graph: Nodes, wanted: Iterable[Key], circular: Set[Key]) -> None:
    """Refuse cycles and keys that are not there, by a walk down from the wanted keys without recursion."""
    done: set[Key] = set()
    path: dict[Key, Iterator[Key]] = {}
    for start in wanted:
        if start in done:
            continue
        if start in circular:
            raise _cycle([start, start])
        path[start] = iter(graph[start].dependencies)
        while path:
            key, needs = next(reversed(path.items()))
            need = next(needs, _NOTHING)
            if need is _NOTHING:
                done.add(key)
                path.popitem()
            elif need in circular:
                raise _cycle([need, need])
            elif need not in graph:
                raise UnknownKey(need, f"the task {key!r} needs the key {need!r}, which is not in the graph")
            elif need in path:
                circle = list(path)
                raise _cycle([*circle[circle.index(need) :], need])
            elif need not in done:
                path[need] = iter(graph[need].dependencies)


_NOTHING: Any = object()


def _cycle(circle: list[Key]) -> CycleError:
    shown = [repr(key) for key in circle]
    if len(shown) > 10:
        shown = [*shown[:5], f"({len(shown) - 9} more)", *shown[-4:]]
    return CycleError(f"there is a cycle in the graph, which can never be run: {' needs '.join(shown)}")


def _some(graph: Nodes) -> str:
    shown = ", ".join(repr(key) for key, _ in zip(graph, range(5), strict=False))
    return f"{shown}, and {len(graph) - 5} more" if len(graph) > 5 else shown or "no keys"
