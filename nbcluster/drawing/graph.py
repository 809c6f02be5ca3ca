"""A graph of work as one SVG: a box for each node, in layers from above to below. Knows no boards and no cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

from nbcluster.drawing import words

MOST_NODES = 500
"""Nodes and squares of a picture; above that what belongs together is one."""

MOST_BOXES = 60
"""Nodes with their text; more of them are squares, whose text is told when one points at them."""

MOST_SQUARES = 80
"""Squares in one box; more parts are a bar."""

MOST_LINES = 800
"""Arrows of a picture."""

SIGNS = {"done": "✓", "running": "▶", "failed": "✕", "cancelled": "–", "waiting": "○"}
"""Of a node's state, beside its colour."""

MOST_GROUPS = 60
"""Nodes that stand for several, of which is told what they stand for."""

MOST_LISTED = 500
"""Nodes that are told there, in all."""

_RANK = {"failed": 0, "running": 1, "waiting": 2, "cancelled": 3, "done": 4}
"""What one wants to see first."""

WIDTH = 900
BOX, BOX_HEIGHT, GAP, BETWEEN = 216, 36, 12, 26
SQUARE, SQUARE_GAP = 14, 5
PART, PART_STEP = 7, 10

_LONGEST_TEXT = 29
"""Characters of a statement that fit into a box."""

Place = tuple[float, float, float, float]
"""Left, top, width, height."""


@dataclass(frozen=True)
class NodeShown:
    """A node: `label` is that of its tasks, `text` what it does, `where` says more of its state."""

    number: int
    label: str
    text: str
    needs: tuple[int, ...] = ()
    state: str = "waiting"
    where: str = ""
    parts: tuple[str, ...] = ()
    """The states of what it was cut into."""
    far: str = ""
    """How far its parts are, in words."""

    @property
    def lines(self) -> str:
        """The lines of its cell, where its label names them."""
        _, found, lines = self.label.partition(" line")
        return f"line{lines}" if found else ""

    @property
    def name(self) -> str:
        """Its lines and its text."""
        return ": ".join(part for part in (self.lines, self.text) if part)


Group = tuple[NodeShown, list[NodeShown]]
"""A node that stands for others, and these."""


@dataclass(frozen=True)
class GraphShown:
    """A graph; `unit` is what its nodes are."""

    nodes: tuple[NodeShown, ...]
    unit: str = "statement"


def graph(shown: GraphShown) -> str:
    """The graph, to be unfolded; "" when it has less than two nodes."""
    if len(shown.nodes) < 2:
        return ""
    nodes, notes, groups = _collapse(shown)
    said = summary(shown)
    places = placed(nodes)
    width = max(left + wide for left, _, wide, _ in places.values())
    height = max(top + high for _, top, _, high in places.values())
    lines = [(need, node.number) for node in nodes for need in node.needs if need in places]
    if len(lines) > MOST_LINES:
        notes.append(f"{len(lines) - MOST_LINES:,} of {len(lines):,} arrows are not drawn")
        lines = lines[:MOST_LINES]
    drawn = _lines(lines, places)
    has_boxes = len(nodes) <= MOST_BOXES
    drawn += "".join(
        _box(node, places[node.number]) if has_boxes else _square(node, places[node.number]) for node in nodes
    )
    if not has_boxes:
        drawn += _signs(nodes, places)
    note = f'<p class="nbc-dim nbc-note">{escape("; ".join(notes))}</p>' if notes else ""
    return (
        f'<details><summary>graph: {escape(said)}</summary><div class="nbc-scroll" tabindex="0">'
        f'<svg class="nbc-graph" role="img" aria-label="graph of {escape(said)}" '
        f'viewBox="-1 -1 {width + 2:g} {height + 2:g}" width="{width + 2:g}">{drawn}</svg></div>'
        f'<p class="nbc-dim nbc-note">{_legend(nodes)}; what needs a value stands below what makes it</p>{note}'
        f"{_members(groups)}</details>"
    )


def summary(shown: GraphShown) -> str:
    """How far all of it is, in words."""
    states = Counter(node.state for node in shown.nodes)
    far = [f"{states[state]:,} {state}" for state in SIGNS if states[state]]
    return ", ".join([words.counted(len(shown.nodes), shown.unit), *far])


def _legend(nodes: Sequence[NodeShown]) -> str:
    found = {state for node in nodes for state in (node.state, *node.parts)}
    return " · ".join(f"{sign} {state}" for state, sign in SIGNS.items() if state in found)


# -- what is summarised ---------------------------------------------------------------------------


def collapsed(shown: GraphShown) -> tuple[list[NodeShown], list[str]]:
    """At most MOST_NODES nodes and parts that stand for all, and what was summarised, in words."""
    nodes, notes, _ = _collapse(shown)
    return nodes, notes


def _collapse(shown: GraphShown) -> tuple[list[NodeShown], list[str], list[Group]]:
    """The same, and which of them stand for which."""
    nodes, notes, groups = list(shown.nodes), [], []
    if len(nodes) > MOST_NODES:
        groups = _by_layers(nodes, shown.unit)
        nodes = [node for node, _ in groups]
        notes.append(
            f"{len(shown.nodes):,} {shown.unit}s in {words.counted(len(nodes), 'node')}: "
            "those of one layer, or of neighbouring ones, are one"
        )
    room = MOST_NODES - len(nodes)
    cut = bars = 0
    for at, node in enumerate(nodes):
        if not node.parts:
            continue
        if len(node.parts) <= min(MOST_SQUARES, room) and len(nodes) <= MOST_BOXES:
            room -= len(node.parts)
            continue
        cut, bars = cut + len(node.parts), bars + 1
        nodes[at] = replace(node, parts=())
    if cut:
        notes.append(f"{words.counted(cut, 'part')} of {words.counted(bars, shown.unit)} told in words alone")
    return nodes, notes, groups


def _by_layers(nodes: Sequence[NodeShown], unit: str) -> list[Group]:
    """One node for each layer, or each few neighbouring ones."""
    layers = layers_of(nodes)
    span = -(-(max(layers.values()) + 1) // MOST_NODES)
    groups: dict[int, list[NodeShown]] = {}
    for node in nodes:
        groups.setdefault(layers[node.number] // span, []).append(node)
    group_of = {node.number: group for group, members in groups.items() for node in members}
    made = []
    for group, members in sorted(groups.items()):
        states = Counter(node.state for node in members)
        needs = {group_of[need] for node in members for need in node.needs if need in group_of} - {group}
        far = ", ".join(f"{states[state]:,} {state}" for state in SIGNS if states[state])
        text = words.counted(len(members), unit) if len(members) > 1 else members[0].text
        stands = NodeShown(group, members[0].label, text, tuple(sorted(needs)), _state_of(states), far)
        made.append((stands, members))
    return made


def _state_of(states: Mapping[str, int]) -> str:
    """The state of several: what failed or runs is what one wants to see."""
    if any(states.get(state) for state in ("running",)) or (states.get("waiting") and states.get("done")):
        return "running" if not states.get("failed") else "failed"
    return next(state for state in ("failed", "waiting", "cancelled", "done") if states.get(state))


def _members(groups: Sequence[Group]) -> str:
    """What each node stands for that stands for several, to be unfolded: first what has failed or runs."""
    several = [(node, members) for node, members in groups if len(members) > 1]
    if not several:
        return ""
    several.sort(key=lambda group: _RANK[group[0].state])
    told = several[:MOST_GROUPS]
    most = MOST_LISTED // len(told)
    unfolded = "".join(_group(node, members, most) for node, members in told)
    left = f"<p>and {len(several) - len(told):,} nodes more</p>" if len(several) > len(told) else ""
    return f'<details data-key="all"><summary>what each node stands for</summary>{unfolded}{left}</details>'


def _group(node: NodeShown, members: Sequence[NodeShown], most: int) -> str:
    ordered = sorted(members, key=lambda member: (_RANK[member.state], member.number))
    items = "".join(f"<li>{SIGNS[member.state]} {escape(_told(member))}</li>" for member in ordered[:most])
    if len(ordered) > most:
        left = Counter(member.state for member in ordered[most:])
        items += f"<li>and {', '.join(f'{count:,} more {state}' for state, count in left.items())}</li>"
    return (
        f'<details data-key="{node.number}"><summary>{SIGNS[node.state]} {escape(node.text)}: '
        f"{escape(node.where)}</summary><ul>{items}</ul></details>"
    )


# -- where they are -------------------------------------------------------------------------------


def layers_of(nodes: Sequence[NodeShown]) -> dict[int, int]:
    """The layer of each node: one below the lowest of those that it needs. What needs itself ends on a top layer.

    Examples
    --------
    >>> layers_of([NodeShown(0, "", "a"), NodeShown(1, "", "b"), NodeShown(2, "", "c", (0, 1))])
    {0: 0, 1: 0, 2: 1}
    """
    known = {node.number for node in nodes}
    open_needs = {node.number: {need for need in node.needs if need in known} for node in nodes}
    needed_by: dict[int, list[int]] = {}
    for number, needs in open_needs.items():
        for need in needs:
            needed_by.setdefault(need, []).append(number)
    layers = dict.fromkeys(open_needs, 0)
    ready = [number for number, needs in open_needs.items() if not needs]
    for number in ready:  # it grows
        for user in needed_by.get(number, ()):
            layers[user] = max(layers[user], layers[number] + 1)
            open_needs[user].discard(number)
            if not open_needs[user]:
                ready.append(user)
    return layers


def placed(nodes: Sequence[NodeShown]) -> dict[int, Place]:
    """Where each node is: a layer below the other, each in rows, its nodes near those that they need."""
    layers = layers_of(nodes)
    has_boxes = len(nodes) <= MOST_BOXES
    wide, gap = (BOX, GAP) if has_boxes else (SQUARE, SQUARE_GAP)
    in_row = (WIDTH + gap) // (wide + gap)
    rows_of: dict[int, list[NodeShown]] = {}
    for node in nodes:
        rows_of.setdefault(layers[node.number], []).append(node)
    widest = min(in_row, max(len(layer) for layer in rows_of.values()))
    whole = widest * (wide + gap) - gap
    places: dict[int, Place] = {}
    top = 0.0
    for _, layer in sorted(rows_of.items()):
        ordered = sorted(layer, key=lambda node: (_middle(node, places), node.number))
        for begin in range(0, len(ordered), in_row):
            row = ordered[begin : begin + in_row]
            left = (whole - len(row) * (wide + gap) + gap) / 2
            highest = 0.0
            for at, node in enumerate(row):
                high = _height(node) if has_boxes else SQUARE
                places[node.number] = (left + at * (wide + gap), top, wide, high)
                highest = max(highest, high)
            top += highest + gap
        top += BETWEEN - gap
    return places


def _middle(node: NodeShown, places: Mapping[int, Place]) -> float:
    lefts = [places[need][0] for need in node.needs if need in places]
    return sum(lefts) / len(lefts) if lefts else 0.0


def _height(node: NodeShown) -> float:
    in_row = (BOX - 20) // PART_STEP
    return BOX_HEIGHT + -(-len(node.parts) // in_row) * PART_STEP


# -- how they look --------------------------------------------------------------------------------


def _lines(lines: Sequence[tuple[int, int]], places: Mapping[int, Place]) -> str:
    if not lines:
        return ""
    curves, heads = [], []
    for source, target in lines:
        left, top, wide, high = places[source]
        to_left, to_top, to_wide, _ = places[target]
        x, y, to_x = left + wide / 2, top + high, to_left + to_wide / 2
        bend = max(6.0, (to_top - y) / 2)
        curves.append(f"M{x:g} {y:g}C{x:g} {y + bend:g} {to_x:g} {to_top - bend:g} {to_x:g} {to_top - 3:g}")
        heads.append(f"M{to_x:g} {to_top:g}l-3-5h6z")
    return f'<path class="nbc-edge" d="{"".join(curves)}"/><path class="nbc-head" d="{"".join(heads)}"/>'


def _box(node: NodeShown, place: Place) -> str:
    left, top, wide, high = place
    text = words.short(node.text)
    if len(text) > _LONGEST_TEXT:
        text = f"{text[: _LONGEST_TEXT - 1]}…"
    below = " · ".join(part for part in (node.lines, node.far or node.where) if part)
    if len(below) > 38:
        below = f"{below[:37]}…"
    squares = _parts(node, left + 10, top + BOX_HEIGHT)
    return (
        f'<g class="nbc-g-{node.state}"><title>{escape(_told(node))}</title>'
        f'<rect class="nbc-box" x="{left:g}" y="{top:g}" width="{wide:g}" height="{high:g}" rx="4"/>'
        f'<rect class="nbc-mark" x="{left:g}" y="{top:g}" width="5" height="{high:g}" rx="2"/>'
        f'<text class="nbc-code" x="{left + 11:g}" y="{top + 15:g}">{escape(text)}</text>'
        f'<text class="nbc-small" x="{left + 11:g}" y="{top + 29:g}">{SIGNS[node.state]} {escape(below)}</text>'
        f"{squares}</g>"
    )


def _parts(node: NodeShown, left: float, top: float) -> str:
    """A square for each part, joined by state."""
    in_row = (BOX - 20) // PART_STEP
    paths: dict[str, list[str]] = {}
    for at, state in enumerate(node.parts):
        x, y = left + at % in_row * PART_STEP, top + at // in_row * PART_STEP - 1
        drawn = f"M{x:g} {y:g}h{PART}v{PART}h-{PART}z"
        if state == "failed":
            drawn += f"m1 1l{PART - 2} {PART - 2}m0-{PART - 2}l-{PART - 2} {PART - 2}"
        elif state == "running":
            drawn += f"m0 {PART / 2:g}h{PART}"
        paths.setdefault(state, []).append(drawn)
    return "".join(f'<path class="nbc-part nbc-p-{state}" d="{"".join(d)}"/>' for state, d in paths.items())


def _square(node: NodeShown, place: Place) -> str:
    left, top, wide, high = place
    return (
        f'<rect class="nbc-square nbc-p-{node.state}" x="{left:g}" y="{top:g}" width="{wide:g}" height="{high:g}" '
        f'rx="2"><title>{escape(_told(node))}</title></rect>'
    )


_STROKES = {
    "running": "m5 4l5 3-5 3z",
    "done": "m3.5 7.5l2.5 3 5-7",
    "failed": "m4 4l6 6m0-6l-6 6",
    "cancelled": "m4 7h6",
    "waiting": "",
}
"""The signs as strokes from the corner of a square."""


def _signs(nodes: Sequence[NodeShown], places: Mapping[int, Place]) -> str:
    drawn = "".join(
        f"M{places[node.number][0]:g} {places[node.number][1]:g}{_STROKES[node.state]}"
        for node in nodes
        if _STROKES[node.state]
    )
    return f'<path class="nbc-sign" d="{drawn}"/>' if drawn else ""


def _told(node: NodeShown) -> str:
    more = ", ".join(part for part in (node.state, node.far, node.where) if part)
    return f"{words.short(node.name)} ({more})"
