"""Makes of each node of a graph the script that an engine runs. Knows no client."""

from __future__ import annotations

from collections.abc import Mapping

from nbcluster.engine.statements import Script, Step
from nbcluster.notebook.dataflow.graph import NOTEBOOK, Graph


def script_of(
    graph: Graph,
    number: int,
    source: str,
    file: str = "<cell>",
    *,
    shows_last: bool = True,
    functions: Mapping[str, tuple[str, str]] | None = None,
) -> Script:
    """Return the script of a node.

    Parameters
    ----------
    graph : Graph
    number : int
        Of the node.
    source, file : str
        The cell, and what tracebacks call it.
    shows_last : bool
        Whether the value of the cell's last expression is shown.
    functions : mapping
        Sources and files of the notebook's own functions.
    """
    node = graph.nodes[number]
    last = len(graph.statements) - 1
    functions = functions or {}
    if graph.stuck is not None:
        steps = tuple(Step(each, shown=shows_last and each == last) for each in node.statements)
        return Script(
            source, file, steps, functions=tuple(functions.values()), everything=True, waits="await" in source
        )
    steps = tuple(
        Step(
            each,
            {
                name: made if made == NOTEBOOK else graph.node_of[made]
                for name, made in graph.statements[each].inputs.items()
                if made == NOTEBOOK or graph.node_of[made] != number
            },
            tuple(sorted(graph.statements[each].outputs)),
            shows_last and each == last,
        )
        for each in node.statements
    )
    names = sorted(functions)
    return Script(
        source,
        file,
        steps,
        tuple(each for each in node.definitions if each >= 0),
        tuple(functions[names[each + len(names)]] for each in node.definitions if each < 0),
        waits=any(graph.statements[each].effects.awaits for each in node.statements),
    )
