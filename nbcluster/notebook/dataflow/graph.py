"""Joins the statements of a cell into nodes and says what each needs of the others. Runs nothing, knows no engines.

Each statement that binds or changes a name makes a *version* of it; values go from node to node as copies, so a
statement waits for the versions that it reads and for nothing else. Statements that must see one object under
several names, or the state of a module, are one node and run in the cell's order.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from nbcluster.notebook.dataflow.effects import CannotAnalyse, Effects, Surroundings
from nbcluster.notebook.dataflow.families import Family
from nbcluster.notebook.dataflow.magics import unfolded
from nbcluster.notebook.dataflow.scene import Scene, scene_of
from nbcluster.notebook.dataflow.statements import effects_of

NOTEBOOK = -1
"""The maker of what a cell takes from the notebook."""


@dataclass(frozen=True)
class Statement:
    """A top-level statement: its number in the cell, lines, and what it does. Definitions are shared and do not run."""

    number: int
    line: int
    last_line: int
    text: str
    effects: Effects
    inputs: Mapping[str, int]
    """Names that it needs, with the statement that makes their version."""
    outputs: frozenset[str]
    """Names of which it makes a version."""
    runs: bool


@dataclass(frozen=True)
class Node:
    """Statements that run in one place, in order.

    Attributes
    ----------
    inputs : mapping
        For each statement that runs elsewhere: the names whose values are taken from it.
    definitions : tuple of int
        Statements that are run first, silently: imports and functions.
    """

    number: int
    statements: tuple[int, ...]
    inputs: Mapping[int, frozenset[str]]
    definitions: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """A cell as nodes.

    Attributes
    ----------
    nodes : dict of int to Node
        By number, which is that of their first statement.
    node_of : dict of int to int
        The node that each statement runs in.
    final : dict of str to int
        Top-level names that the cell assigns, with the statement that makes their last version.
    reasons : list of tuple of (int, int, str)
        Pairs of statements that stay in one node, and why.
    stuck : tuple of (int, str) or None
        The line that cannot be analysed, and why; then there is one node.
    """

    statements: tuple[Statement, ...]
    nodes: Mapping[int, Node]
    node_of: Mapping[int, int]
    final: Mapping[str, int]
    reasons: tuple[tuple[int, int, str], ...]
    scene: Scene | None = None
    stuck: tuple[int, str] | None = None

    def needs(self, node: int) -> frozenset[int]:
        """Return the nodes whose values a node takes."""
        return frozenset(self.node_of[made] for made in self.nodes[node].inputs if made != NOTEBOOK)

    @property
    def edges(self) -> dict[tuple[int, int], frozenset[str]]:
        """For each pair of statements in different nodes: the names that the second takes from the first."""
        found: dict[tuple[int, int], set[str]] = {}
        for statement in self.statements:
            for name, made in statement.inputs.items():
                if (
                    statement.runs
                    and made != NOTEBOOK
                    and self.node_of[made] != self.node_of[statement.number]
                ):
                    found.setdefault((made, statement.number), set()).add(name)
        return {pair: frozenset(names) for pair, names in found.items()}

    @property
    def together(self) -> tuple[tuple[int, ...], ...]:
        """The statements of each node that has more than one."""
        return tuple(node.statements for node in self.nodes.values() if len(node.statements) > 1)


def graph_of(
    source: str,
    surroundings: Surroundings | None = None,
    known: Mapping[tuple[int, str], Family] | None = None,
) -> Graph:
    """Read a cell.

    Parameters
    ----------
    source : str
        After IPython's transform.
    surroundings : Surroundings, optional
        What the notebook has.
    known : mapping, optional
        Families of values that statements have made, by statement and name.

    Raises
    ------
    SyntaxError
        When it is no Python.

    Examples
    --------
    >>> graph_of("a = f(1)\\nb = f(2)\\nc = a + b").edges
    {(0, 2): frozenset({'a'}), (1, 2): frozenset({'b'})}
    """
    tree = ast.parse(source)
    around = surroundings or Surroundings()
    try:
        return _Builder(source, unfolded(tree.body), around, known or {}).build()
    except CannotAnalyse as stuck:
        return _serial(source, tree.body, stuck)


def _serial(source: str, body: list[ast.stmt], stuck: CannotAnalyse) -> Graph:
    statements = tuple(
        Statement(
            number,
            node.lineno,
            node.end_lineno or node.lineno,
            _text(source, node),
            Effects(node.lineno),
            {},
            frozenset(),
            True,
        )
        for number, node in enumerate(body)
    )
    numbers = tuple(range(len(body)))
    node = Node(0, numbers, {}, ())
    return Graph(statements, {0: node}, dict.fromkeys(numbers, 0), {}, (), None, (stuck.line, stuck.reason))


def _text(source: str, node: ast.stmt) -> str:
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
    return "\n".join(source.split("\n")[first - 1 : node.end_lineno])


@dataclass
class _Region:
    """Versions of names that may share an object, and the statements that made them share it."""

    members: set[tuple[str, int]] = field(default_factory=set)
    links: set[int] = field(default_factory=set)


class _Builder:
    """Goes through a cell in its order."""

    def __init__(
        self,
        source: str,
        body: list[ast.stmt],
        surroundings: Surroundings,
        known: Mapping[tuple[int, str], Family],
    ) -> None:
        self.source, self.body, self.known = source, body, known
        self.scene = scene_of(body, surroundings)
        self.families: dict[str, Family] = dict(surroundings.families)
        self.lazy: dict[str, str] = {}
        self.latest: dict[str, int] = dict.fromkeys(surroundings.names, NOTEBOOK)
        self.regions: dict[tuple[str, int], _Region] = {}
        self.states: dict[str, list[int]] = {}
        self.frozen: list[tuple[int, str]] = []
        self.makers: dict[str, list[int]] = {}
        """The statements that make versions of each name."""
        self.reasons: list[tuple[int, int, str]] = []
        self.group = list(range(len(body)))
        for names in surroundings.aliases:
            self._join({(name, NOTEBOOK) for name in names}, None)

    def build(self) -> Graph:
        """Return the graph."""
        scene = self.scene
        scene.families, scene.lazy = self.families, self.lazy
        statements = [self._statement(number, node) for number, node in enumerate(self.body)]
        self._check_definitions(statements)
        self._join_states(statements)
        self._check_frozen()
        statements = self._with_unused_imports(statements)
        self._settle(statements)
        return self._graph(statements)

    # -- one statement ------------------------------------------------------------------------

    def _statement(self, number: int, node: ast.stmt) -> Statement:
        effects = effects_of(node, self.scene)
        before = dict(self.latest)
        needed = {*effects.reads, *effects.keeps}
        for name in needed & self.lazy.keys():
            if before.get(name, NOTEBOOK) != NOTEBOOK:
                self._merge(
                    before[name], number, f"{name} is {self.lazy[name]}, which stays where it was made"
                )
        for name in effects.binds:
            self._new_version(name, number)
            family = _more_known(effects.families.get(name), self.known.get((number, name)))
            self._set(self.families, name, family)
            self._set(self.lazy, name, effects.lazy.get(name))
            if name in effects.keeps and name in before:
                self._join({(name, before[name]), (name, number)}, number)
        for link in effects.links:
            versions = {(name, number) for name in link.new}
            versions |= {(name, before[name]) for name in link.old if name in before}
            self._join(versions, number)
        outputs = set(effects.binds)
        for name in sorted(effects.writes):
            if name not in before:
                continue
            region = self._region((name, before[name]))
            shared = {n for n, made in before.items() if (n, made) in region.members}
            touched = shared | {n for n in effects.binds if (n, number) in region.members}
            if len(touched) > 1:
                self._stay_together(region, number, touched, effects.writes[name])
            for each in shared - effects.binds:
                self._new_version(each, number)
                self._join({(each, before[each]), (each, number)}, None)
            needed |= shared
            outputs |= shared
        for name in effects.touches & before.keys():
            region = self._region((name, before[name]))
            if len({n for n, made in self.latest.items() if (n, made) in region.members}) > 1:
                self._stay_together(region, number, {name}, f"line {effects.line} asks which object it is")
        for state in effects.states:
            self.states.setdefault(state, []).append(number)
        self.frozen += [(number, name) for name in effects.frozen]
        runs = not (
            isinstance(
                node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.Assign
            )
            and not effects.binds
            and any(self.scene.shared[name] == number for name in effects.definitions)
        ) and not self._is_shared_lambda(node, number)
        inputs = {name: before[name] for name in needed if name in before}
        return Statement(
            number,
            node.lineno,
            node.end_lineno or node.lineno,
            _text(self.source, node),
            effects,
            inputs,
            frozenset(outputs),
            runs,
        )

    def _is_shared_lambda(self, node: ast.stmt, number: int) -> bool:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda()):
                return self.scene.shared.get(name) == number
        return False

    def _new_version(self, name: str, number: int) -> None:
        self.latest[name] = number
        makers = self.makers.setdefault(name, [])
        if number not in makers:
            makers.append(number)

    def _set(self, table: dict[str, Family] | dict[str, str], name: str, value: Family | str | None) -> None:
        if value is None:
            table.pop(name, None)
        else:
            table[name] = value  # type: ignore[assignment]  # each table gets its own kind

    def _region(self, version: tuple[str, int]) -> _Region:
        region = self.regions.get(version)
        if region is None:
            region = self.regions[version] = _Region({version})
        return region

    def _join(self, versions: set[tuple[str, int]], number: int | None) -> None:
        regions = {id(region): region for region in map(self._region, versions)}
        joined = _Region()
        for region in regions.values():
            joined.members |= region.members
            joined.links |= region.links
        if number is not None and len(joined.members) > 1:
            joined.links.add(number)
        for member in joined.members:
            self.regions[member] = joined

    def _stay_together(self, region: _Region, number: int, touched: set[str], reason: str) -> None:
        names = " and ".join(sorted(touched))
        for linked in sorted(region.links):
            if linked != number:
                self._merge(linked, number, f"{names} may share an object; {reason}")
        region.links.add(number)

    # -- groups -------------------------------------------------------------------------------

    def _find(self, number: int) -> int:
        while self.group[number] != number:
            number = self.group[number]
        return number

    def _merge(self, one: int, other: int, reason: str) -> None:
        first, second = sorted((self._find(one), self._find(other)))
        if first != second:
            self.group[second] = first
            self.reasons.append((min(one, other), max(one, other), reason))

    def _join_states(self, statements: list[Statement]) -> None:
        for state, numbers in self.states.items():
            users = [
                each.number
                for each in statements
                if each.number in numbers or (state in each.effects.modules and each.runs)
            ]
            users = [number for number in users if statements[number].runs]
            for one, other in pairwise(users):
                why = statements[other].effects.states.get(state) or f"it uses {state}"
                self._merge(one, other, f"both touch the state of {state}; {why}")

    def _check_definitions(self, statements: list[Statement]) -> None:
        """A shared name that is used before it is defined is another one."""
        for statement in statements:
            for name in statement.effects.definitions:
                if statement.runs and self.scene.shared[name] > statement.number:
                    raise CannotAnalyse(statement.line, f"uses {name}, which is defined only later")

    def _check_frozen(self) -> None:
        for number, name in self.frozen:
            for maker in self.makers.get(name, ()):
                if maker > number:
                    raise CannotAnalyse(
                        self.body[number].lineno,
                        f"keeps a function that reads {name}, which line {self.body[maker].lineno} changes",
                    )

    def _with_unused_imports(self, statements: list[Statement]) -> list[Statement]:
        """Imports that nothing uses run for themselves."""
        used: set[int] = set()
        for statement in statements:
            if statement.runs:
                used.update(self._definitions(statement.effects.definitions))
        return [
            replace(statement, runs=True)
            if isinstance(self.body[statement.number], ast.Import | ast.ImportFrom)
            and statement.number not in used
            else statement
            for statement in statements
        ]

    def _definitions(self, names: Iterable[str]) -> set[int]:
        return {self.scene.shared[name] for name in names}

    def _settle(self, statements: list[Statement]) -> None:
        """Join what reads a version that its node changes later, and what would wait for itself."""
        running = [statement for statement in statements if statement.runs]
        while True:
            count = len(self.reasons)
            for statement in running:
                for name, made in statement.inputs.items():
                    if made == NOTEBOOK or self._find(made) == self._find(statement.number):
                        continue
                    if any(
                        maker > made and self._find(maker) == self._find(made) for maker in self.makers[name]
                    ):
                        why = f"{name} is changed later where line {self.body[made].lineno} runs"
                        self._merge(made, statement.number, why)
            self._join_circles(running)
            if len(self.reasons) == count:
                return

    def _join_circles(self, running: list[Statement]) -> None:
        needs: dict[int, set[int]] = {}
        for statement in running:
            group = self._find(statement.number)
            found = needs.setdefault(group, set())
            found.update(self._find(made) for made in statement.inputs.values() if made != NOTEBOOK)
            found.discard(group)
        for circle in _circles(needs):
            first, *others = sorted(circle)
            for other in others:
                self._merge(first, other, "each needs what the other makes")

    # -- the result ---------------------------------------------------------------------------

    def _graph(self, statements: list[Statement]) -> Graph:
        node_of = {each.number: self._find(each.number) for each in statements if each.runs}
        members: dict[int, list[Statement]] = {}
        for statement in statements:
            if statement.runs:
                members.setdefault(node_of[statement.number], []).append(statement)
        nodes = {}
        for number, several in members.items():
            inputs: dict[int, set[str]] = {}
            definitions: set[int] = set()
            for statement in several:
                definitions |= self._definitions(statement.effects.definitions)
                for name, made in statement.inputs.items():
                    if made == NOTEBOOK or node_of[made] != number:
                        inputs.setdefault(made, set()).add(name)
            own = {each.number for each in several}
            nodes[number] = Node(
                number,
                tuple(each.number for each in several),
                {made: frozenset(names) for made, names in sorted(inputs.items())},
                tuple(sorted(definitions - own)),
            )
        deleted = {
            name for name, made in self.latest.items() if made >= 0 and self._is_gone(statements[made], name)
        }
        final = {
            name: made
            for name, made in self.latest.items()
            if made != NOTEBOOK and not name.startswith("_") and name not in deleted
        }
        return Graph(tuple(statements), nodes, node_of, final, tuple(self.reasons), self.scene)

    def _is_gone(self, statement: Statement, name: str) -> bool:
        return name in statement.effects.deletes and name not in statement.effects.keeps


def _more_known(read: Family | None, seen: Family | None) -> Family | None:
    """What was read in the text stays, unless what was seen of the value says more: an order is only ever relaxed."""
    if read is None or (seen is not None and read.name == seen.name and read.element is None):
        return seen or read
    return read


def _circles(needs: Mapping[int, set[int]]) -> list[set[int]]:
    """Return the strongly connected parts with more than one member (Tarjan's way, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    found: list[set[int]] = []
    for start in needs:
        if start in index:
            continue
        work: list[tuple[int, list[int]]] = [(start, sorted(needs[start]))]
        index[start] = low[start] = len(index)
        stack.append(start)
        while work:
            node, rest = work[-1]
            if rest:
                following = rest.pop()
                if following not in index:
                    index[following] = low[following] = len(index)
                    stack.append(following)
                    work.append((following, sorted(needs.get(following, ()))))
                elif following in stack:
                    low[node] = min(low[node], index[following])
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[node])
            if low[node] == index[node]:
                part = set()
                while True:
                    member = stack.pop()
                    part.add(member)
                    if member == node:
                        break
                if len(part) > 1:
                    found.append(part)
    return found


def with_sent(graph: Graph, sent: Mapping[int, Node]) -> Graph:
    """Return a graph that was read again, with the nodes that were sent before as they were then.

    What becomes known only relaxes the order, so that a new node is never part of an old one and of another.
    """
    nodes, node_of = dict(graph.nodes), dict(graph.node_of)
    for node in sent.values():
        for statement in node.statements:
            nodes.pop(graph.node_of[statement], None)
            node_of[statement] = node.number
    nodes.update(sent)
    return replace(graph, nodes=nodes, node_of=node_of)
