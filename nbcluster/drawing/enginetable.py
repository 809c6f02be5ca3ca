"""The engines of a cluster as a table: number, state, what runs there and for how long, memory, CPU, kernel, host.

All that users name or engines say is escaped. Knows no cluster, and no page but its HTML.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from nbcluster.core.board import Board
from nbcluster.drawing import words
from nbcluster.drawing.parts import SIGNS
from nbcluster.protocol.feed import EngineFacts
from nbcluster.protocol.status import EngineStatus

COLUMNS = ("Engine", "State", "Runs", "For", "Memory", "CPU", "Kernel", "Host")

LONGEST_NOTE = 3000
"""Characters of what is noted of an engine: the end, where errors stand."""


@dataclass(frozen=True)
class EngineRow:
    """One engine as it is shown; `seconds` is how long what runs there has run, memory is in MiB."""

    number: int
    state: str
    runs: str = ""
    seconds: float | None = None
    memory: int | None = None
    cpu: int | None = None
    kernel: str = ""
    host: str = ""
    pid: int = 0
    tags: tuple[str, ...] = ()
    note: str = ""


def rows_of_board(board: Board) -> list[EngineRow]:
    """The engines that a board tells of."""
    facts = board.facts
    rows = []
    for load in board.engines:
        known = facts.get(load.engine, EngineFacts(load.engine))
        seconds = max(0.0, board.now - load.since) if load.running and load.since else None
        is_measured = bool(load.memory and load.memory[-1])
        rows.append(
            EngineRow(
                load.engine,
                load.state,
                load.running,
                seconds,
                load.memory[-1] if is_measured else None,
                load.cpu[-1] if is_measured else None,
                known.kernel,
                known.host,
                known.pid,
                known.tags,
                known.note,
            )
        )
    return rows


def rows_of_status(engines: Iterable[EngineStatus], now: float) -> list[EngineRow]:
    """The engines as somebody who asked was told; `now` is epoch seconds."""
    return [
        EngineRow(
            engine.number,
            engine.state,
            engine.running or "",
            max(0.0, now - engine.running_since) if engine.running_since is not None else None,
            engine.memory >> 20 if engine.memory is not None else None,
            round(engine.cpu) if engine.cpu is not None else None,
            engine.kernel,
            engine.host,
            engine.pid or 0,
            engine.tags,
            engine.note,
        )
        for engine in engines
    ]


def counted_states(rows: Iterable[EngineRow]) -> str:
    """How many engines there are, and in which states."""
    states = [row.state for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    return f"{words.counted(len(states), 'engine')}: {counts}" if states else "no engines"


def table(name: str, bodies: str, *, has_actions: bool) -> str:
    """The table around its rows. `name` is the cluster's."""
    heads = "".join(f'<th scope="col">{title}</th>' for title in COLUMNS)
    actions = '<th scope="col"><span class="nbc-said">Actions</span></th>' if has_actions else ""
    caption = f'<caption class="nbc-said">engines of the cluster {escape(name)}</caption>'
    return (
        f'<div class="nbc-scroll"><table class="nbc-enginetable">{caption}<thead><tr>{heads}{actions}</tr></thead>'
        f"{bodies}</table></div>"
    )


def body(row: EngineRow, actions: str = "") -> str:
    """The rows of one engine: what it is at, and below that what is noted of it. `actions` is HTML."""
    sign = SIGNS.get(row.state, "◌")
    tags = "".join(f' <span class="nbc-tag">{escape(words.short(tag))}</span>' for tag in row.tags)
    process = f' title="process {row.pid}"' if row.pid else ""
    cells = (
        f'<th scope="row">{row.number}{tags}</th>',
        f'<td><span class="nbc-state nbc-{escape(row.state)}"><span aria-hidden="true">{sign}</span> '
        f"{escape(row.state)}</span></td>",
        f'<td class="nbc-runs" title="{escape(row.runs)}">{escape(words.short(row.runs))}</td>',
        f'<td class="nbc-number">{"" if row.seconds is None else words.duration(row.seconds)}</td>',
        f'<td class="nbc-number">{"" if row.memory is None else f"{row.memory:,} MiB"}</td>',
        f'<td class="nbc-number">{"" if row.cpu is None else f"{row.cpu} %"}</td>',
        f"<td>{escape(words.short(row.kernel))}</td>",
        f"<td{process}>{escape(words.short(row.host))}</td>",
        f'<td class="nbc-does">{actions}</td>' if actions else "",
    )
    return f"<tr>{''.join(cells)}</tr>{_note(row, len(cells) - (not actions))}"


def _note(row: EngineRow, columns: int) -> str:
    lines = row.note.strip().splitlines()
    if not lines:
        return ""
    first = escape(lines[0])
    if len(lines) > 1:
        text = row.note.strip()
        cut = f"… {len(text) - LONGEST_NOTE:,} characters before this\n" if len(text) > LONGEST_NOTE else ""
        told = escape(cut + text[-LONGEST_NOTE:], quote=False)
        first = f"<details><summary>{first}</summary><pre>{told}</pre></details>"
    return f'<tr class="nbc-noted"><td></td><td colspan="{columns - 1}">{first}</td></tr>'


def text(rows: Iterable[EngineRow]) -> str:
    """The same as lines of text, with columns aligned."""
    lines = [
        (
            str(row.number),
            row.state,
            words.short(row.runs),
            "" if row.seconds is None else words.duration(row.seconds),
            "" if row.memory is None else f"{row.memory:,} MiB",
            "" if row.cpu is None else f"{row.cpu} %",
            row.kernel,
            row.host,
        )
        for row in rows
    ]
    if not lines:
        return ""
    lines.insert(0, tuple(title.lower() for title in COLUMNS))  # type: ignore[arg-type]  # as many as there are columns
    widths = [max(len(line[at]) for line in lines) for at in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
