"""Says in words what a cell that is no graph would do: where it would run, after what, with what sent. Runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nbcluster.notebook.cellgraph import Prepared
from nbcluster.notebook.cellledger import ANYWHERE, Entry
from nbcluster.notebook.clusters import ClusterLike
from nbcluster.notebook.grammar import CellOptions
from nbcluster.notebook.labels import engines_phrase
from nbcluster.payload.sizes import readable


def cell_plan(
    cluster: ClusterLike, options: CellOptions, prepared: Prepared, sizes: Mapping[str, int]
) -> str:
    """Return the plan of a cell.

    Parameters
    ----------
    cluster : ClusterLike
    options : CellOptions
    prepared : Prepared
    sizes : mapping of str to int
        Bytes of what `--push` and `--scatter` send, about; -1 for what is on the cluster.
    """
    edges = prepared.edges
    lines = [f"It would run on {_where(cluster, prepared)}."]
    lines += [
        f"  after {name}, by --after ({future.what}, {future.status})"
        for name, future in zip(options.after, prepared.explicit, strict=True)
    ]
    lines += [
        f"  after {entry.title}, which writes {_listed(names)}" for entry, names in _in_order(edges.after)
    ]
    lines += [
        f"  when {entry.title} has ended, whatever comes of it: both touch {_listed(names)}"
        for entry, names in _in_order(edges.behind)
    ]
    lines += [f"  {name} is sent there from {_place_of(entry)}" for name, entry in edges.sent.items()]
    known = {name for name, writer in edges.uses.items() if writer in edges.after}
    there = [
        f"  {name} is as {entry.title} left it" for name, entry in edges.uses.items() if name not in known
    ]
    lines += there
    for name, nbytes in sorted(sizes.items(), key=lambda item: -item[1]):
        lines.append(f"  {name} is sent: {'it is on the cluster' if nbytes < 0 else readable(nbytes)}")
    if prepared.cell.names.unknown:
        lines.append(f"  which names it touches is not known: {prepared.cell.names.unknown}")
    return "\n".join(lines)


def _where(cluster: ClusterLike, prepared: Prepared) -> str:
    edges = prepared.edges
    if edges.near is not None:
        return f"the engine of {edges.near.title}, where its names are"
    if edges.engine is not None:
        return f"engine {edges.engine}, where its names are"
    if prepared.cell.place.engines is ANYWHERE:
        able = sum(1 for engine in cluster.engines if engine.can_call)
        return f"one of {able} engines" if able != 1 else "the one engine"
    return engines_phrase(prepared.cell.place.engines)


def _place_of(entry: Entry) -> str:
    return engines_phrase(entry.engines) if entry.engines else f"the engine of {entry.title}"


def _in_order(edges: Mapping[Entry, set[str]]) -> list[tuple[Entry, set[str]]]:
    return sorted(edges.items(), key=lambda item: item[0].number)


def _listed(names: Iterable[str]) -> str:
    *first, last = sorted(names)
    return f"{', '.join(first)} and {last}" if first else last
