"""Runs a cell in this process: serially, and as a graph in a random order with every value pickled on its way."""

from __future__ import annotations

import ast
import asyncio
import builtins
import contextlib
import io
import random

from nbcluster.engine.statements import run_script, run_script_async
from nbcluster.notebook.dataflow.effects import Surroundings
from nbcluster.notebook.dataflow.families import family_of
from nbcluster.notebook.dataflow.graph import NOTEBOOK, graph_of
from nbcluster.notebook.dataflow.scripts import script_of
from nbcluster.payload.values import dump_value, load_value


def copied(value):
    """What arrives elsewhere."""
    dumped = dump_value(value)
    return load_value(
        dumped.payload, [bytes(buffer.raw()) for buffer in dumped.buffers], {"__name__": "__main__"}
    )


def serially(source, names=None):
    """Return the names and the output of a cell that runs as Python runs it, and its error."""
    space = {"__name__": "__main__", "__builtins__": builtins, **(names or {})}
    printed = io.StringIO()
    error = None
    with contextlib.redirect_stdout(printed):
        try:
            for node in ast.parse(source).body:
                code = compile(ast.Module([node], []), "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                value = eval(code, space)
                if asyncio.iscoroutine(value):
                    asyncio.run(value)
        except Exception as raised:
            error = raised
    return space, printed.getvalue(), error


def as_graph(source, names=None, seed=0, surroundings=None, gradually=True):
    """Return the graph, the values of its names, and the output in the cell's order.

    With `gradually` the graph is read again whenever a node has ended, as a notebook does when types are known.
    """
    names = dict(names or {})
    around = surroundings or Surroundings(names=frozenset(names))
    chosen = random.Random(seed)
    known, results, printed, done = {}, {}, {}, set()
    graph = graph_of(source, around)
    frozen = {}
    while True:
        ready = [
            number
            for number in graph.nodes
            if graph.nodes[number].statements[0] not in done
            and all(
                made == NOTEBOOK or (graph.node_of[made] in results and made in done)
                for made in graph.nodes[number].inputs
            )
        ]
        if not ready:
            break
        number = chosen.choice(ready)
        script = script_of(graph, number, source, shows_last=False)
        given = {}
        for step in script.steps:
            for name, maker in step.inputs.items():
                origin = names if maker == NOTEBOOK else results[maker]
                given.setdefault(maker, {})
                if name in origin:
                    given[maker][name] = origin[name]
        given = {maker: copied(values) for maker, values in given.items()}
        current = []

        out = io.StringIO()

        def mark(step, types=None, current=current, number=number, graph=graph, out=out):
            if current:
                printed[current[0]] = out.getvalue()
                out.seek(0)
                out.truncate()
            current[:] = [] if step is None else [step]
            for name, text in (types or {}).items():
                if (family := family_of(text)) is not None:
                    maker = (
                        max(s for s in graph.nodes[number].statements if name in graph.statements[s].outputs)
                        if graph.stuck is None
                        else 0
                    )
                    known[maker, name] = family

        with contextlib.redirect_stdout(out):
            if script.waits:
                made = asyncio.run(run_script_async(script, given, mark))
            else:
                made = run_script(script, given, mark)
        results[number] = copied(made)
        done.update(graph.nodes[number].statements)
        frozen[number] = graph.nodes[number].statements
        if gradually and graph.stuck is None:
            again = graph_of(source, around, known)
            assert again.stuck is None
            for statements in frozen.values():
                assert all(
                    not (set(node.statements) & set(statements)) or set(node.statements) <= set(statements)
                    for node in again.nodes.values()
                ), "what is known later must not join what has run"
            graph = _with_frozen(again, frozen)
    assert len(done) == sum(statement.runs for statement in graph.statements), "every node ran"
    if graph.stuck is not None:
        values = results[0]
    else:
        values = {
            name: results[graph.node_of[made]][name]
            for name, made in graph.final.items()
            if name in results[graph.node_of[made]]
        }
    return graph, values, "".join(printed[number] for number in sorted(printed))


def _with_frozen(graph, frozen):
    """The new graph, with the nodes that have run as they were."""
    from dataclasses import replace

    node_of, nodes = dict(graph.node_of), dict(graph.nodes)
    for old, statements in frozen.items():
        for each in statements:
            nodes.pop(node_of[each], None)
        for each in statements:
            node_of[each] = old
    for old, statements in frozen.items():
        nodes[old] = replace(
            graph.nodes.get(old, next(iter(graph.nodes.values()))), number=old, statements=statements
        )
    return replace(graph, nodes=nodes, node_of=node_of)
