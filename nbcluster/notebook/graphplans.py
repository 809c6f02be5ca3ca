"""Says in words what a graph cell would do: what runs where, what is sent, what is in order. Runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbcluster.notebook.dataflow.fanout import advice, fans_out
from nbcluster.notebook.dataflow.graph import NOTEBOOK, Graph, Statement
from nbcluster.payload.sizes import readable


def plan_text(graph: Graph, sizes: Mapping[str, int], engines: str) -> str:
    """Return the plan of a cell.

    Parameters
    ----------
    graph : Graph
    sizes : mapping of str to int
        Bytes of the notebook's values that the cell takes, about; -1 for those that are on the cluster.
    engines : str
        Where nodes may run.
    """
    lines: list[str] = []
    if graph.stuck is not None:
        line, reason = graph.stuck
        lines.append(f"The cell cannot be read as a graph: line {line} {reason}.")
        lines.append(f"It would run as one node, in its order, on one of {engines}.")
    else:
        lines.append(f"{_count(len(graph.nodes), 'node')}, each on one of {engines}:")
        lines += [f"  {_node(graph, number)}" for number in graph.nodes]
    lines += _sent(graph, sizes)
    if graph.reasons:
        lines.append("Kept in one node, and in order:")
        for one, other, reason in graph.reasons:
            lines.append(f"  {_line(graph, one)} and {_line(graph, other)}: {reason}")
    lines += _waits(graph)
    loops = [(statement, said) for statement in graph.statements if (said := advice(statement))]
    if loops:
        lines.append("These loops are one node each; written so, their elements would run apart:")
        lines += [f"  line {statement.line}: {said}" for statement, said in loops]
    return "\n".join(lines)


def _node(graph: Graph, number: int) -> str:
    node = graph.nodes[number]
    what = ", ".join(_line(graph, each) for each in node.statements)
    first = graph.statements[node.statements[0]].text.strip().split("\n")[0]
    shown = first if len(first) <= 50 else first[:49] + "…"
    needs = sorted(graph.needs(number))
    after = f", after {_listed([_line(graph, each) for each in needs])}" if needs else ""
    fan = ", one task for each element" if fans_out(graph, number) else ""
    return f"{what}: {shown}{after}{fan}"


def _sent(graph: Graph, sizes: Mapping[str, int]) -> list[str]:
    readers: dict[str, int] = {}
    for statement in graph.statements:
        for name, made in statement.inputs.items():
            if made == NOTEBOOK and statement.runs:
                readers.setdefault(name, statement.line)
    lines = []
    for name, nbytes in sorted(sizes.items(), key=lambda item: -item[1]):
        why = f", because line {readers[name]} reads it" if name in readers else ""
        how = "which is on the cluster" if nbytes < 0 else readable(nbytes)
        lines.append(f"  {name} ({how}){why}")
    total = sum(nbytes for nbytes in sizes.values() if nbytes > 0)
    return [f"Sent from the notebook, {readable(total)} in all:", *lines] if lines else ["Nothing is sent."]


def _waits(graph: Graph) -> list[str]:
    """What is in order only because a type is not known before the cell runs."""
    lines = []
    for statement in graph.statements:
        unsure = sorted(statement.effects.unsettled & statement.effects.writes.keys())
        if unsure and statement.runs:
            lines.append(
                f"  line {statement.line}: {statement.effects.writes[unsure[0]].partition(': ')[2] or 'it may change'} "
                f"({_listed(unsure)}); decided when the type is known, or say --pure"
            )
    return ["Taken to change something, as far as is known now:", *lines] if lines else []


def _line(graph: Graph, number: int) -> str:
    statement: Statement | Any = graph.statements[number]
    return (
        f"line {statement.line}"
        if statement.line == statement.last_line
        else f"lines {statement.line}-{statement.last_line}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _listed(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
