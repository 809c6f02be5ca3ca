"""The names on engines as HTML: a block for each engine, and what differs between engines side by side.

All of it is bounded, and says what is left out. Names, types and previews are escaped. Knows no engines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from nbcluster.drawing import words
from nbcluster.payload.sizes import readable
from nbcluster.protocol.tasks import NameInfo

MOST_ROWS = 400
"""Names that are listed, of all engines together."""

LEAST_ROWS = 10
"""Of each engine that is listed."""

MOST_ROWS_OF_ONE = 100

MOST_ENGINES = 40

OPEN_ENGINES = 4
"""Engines whose names are unfolded at first."""

MOST_DIFFERENCES = 100
MOST_COLUMNS = 12
"""Groups of engines that stand side by side."""

MISSING = "missing"


class Difference(NamedTuple):
    """A name that is not alike everywhere, and what each engine has."""

    name: str
    found: Mapping[int, str]


def describe(names: Mapping[int, Sequence[NameInfo]], title: str, note: str = "") -> dict[str, str]:
    """The names of each engine as parts of a panel."""
    shown = sorted(names)[:MOST_ENGINES]
    most = max(LEAST_ROWS, min(MOST_ROWS_OF_ONE, MOST_ROWS // max(1, len(shown))))
    blocks = "".join(
        f'<details data-key="{engine}" data-part="names/{engine}"{" open" if at < OPEN_ENGINES else ""}></details>'
        for at, engine in enumerate(shown)
    )
    more = len(names) - len(shown)
    after = f"and {words.counted(more, 'more engine')}" if more else ""
    parts = {"root": _root("names on engines", blocks), "head": _head(title, note), "after": _dim(after)}
    parts.update((f"names/{engine}", _engine(engine, names[engine], most)) for engine in shown)
    return parts


def differences(
    unlike: Sequence[tuple[str, Mapping[int, str]]], engines: Sequence[int], title: str, note: str = ""
) -> dict[str, str]:
    """What is not alike on all engines as parts of a panel: engines that agree throughout share a column."""
    rows = [Difference(*row) for row in unlike[:MOST_DIFFERENCES]]
    groups: dict[tuple[str, ...], list[int]] = {}
    for engine in engines:
        groups.setdefault(tuple(row.found.get(engine, MISSING) for row in rows), []).append(engine)
    columns = list(groups.items())[:MOST_COLUMNS]
    said = []
    if len(unlike) > len(rows):
        said.append(f"{words.counted(len(unlike) - len(rows), 'more name')} differ")
    if len(groups) > len(columns):
        rest = sum(len(group) for _, group in list(groups.items())[MOST_COLUMNS:])
        said.append(f"{words.counted(rest, 'more engine')} with yet other values")
    table = (
        _side_by_side(rows, columns)
        if rows
        else "<p>Every engine has the same names, alike in type, shape and size.</p>"
    )
    return {
        "root": _root("names that differ between engines", '<div data-part="table"></div>'),
        "head": _head(title, note),
        "table": table,
        "after": _dim("; ".join(said)),
    }


def _root(label: str, inner: str) -> str:
    return (
        f'<section class="nbc-panel" aria-label="{label}"><div class="nbc-head" role="status" data-part="head"></div>'
        f'{inner}<div data-part="after"></div></section>'
    )


def _head(title: str, note: str) -> str:
    return f'<b>{escape(title)}</b> <span class="nbc-dim">{escape(note)}</span>'


def _dim(text: str) -> str:
    return f'<p class="nbc-dim nbc-note">{escape(text)}</p>' if text else ""


def _engine(engine: int, names: Sequence[NameInfo], most: int) -> str:
    """The names of one engine: when there are too many the largest, by name all the same."""
    sizes = [name.nbytes for name in names if name.nbytes is not None]
    total = f", {_size(sum(sizes))}" if sizes else ""
    head = f"<summary><b>engine {engine}</b> {words.counted(len(names), 'name')}{total}</summary>"
    if not names:
        return head
    chosen = sorted(names, key=lambda name: -(name.nbytes or 0))[:most]
    rows = "".join(_row(name) for name in sorted(chosen, key=lambda name: name.name))
    left = len(names) - len(chosen)
    after = _dim(f"the {len(chosen)} largest; {left:,} more are in the list itself") if left else ""
    titles = "".join(f'<th scope="col">{title}</th>' for title in ("Name", "Type", "Shape", "Size", "Value"))
    return (
        f'{head}<div class="nbc-scroll"><table class="nbc-names"><caption class="nbc-said">names on engine {engine}'
        f"</caption><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table></div>{after}"
    )


def _row(name: NameInfo) -> str:
    called = escape(name.name)
    return (
        f'<tr data-key="{called}"><th scope="row" title="{called}">{escape(words.short(name.name))}</th>'
        f"<td>{escape(words.short(name.type))}</td>"
        f"<td>{'' if name.shape is None else shape_text(name.shape)}</td>"
        f'<td class="nbc-number">{"" if name.nbytes is None else _size(name.nbytes)}</td>'
        f'<td class="nbc-value" title="{escape(name.preview)}">{escape(words.short(name.preview))}</td></tr>'
    )


def _size(nbytes: int) -> str:
    return words.counted(nbytes, "byte") if nbytes < 1024 else readable(nbytes)


def shape_text(shape: Sequence[int]) -> str:
    """A shape as people write it."""
    return "×".join(map(str, shape)) or "()"


def _side_by_side(rows: Sequence[Difference], columns: Sequence[tuple[tuple[str, ...], list[int]]]) -> str:
    heads = "".join(f'<th scope="col">{escape(_engines(group))}</th>' for _, group in columns)
    body = ""
    for at, row in enumerate(rows):
        commonest = Counter(row.found.values()).most_common(1)[0][0]
        cells = "".join(_cell(values[at], values[at] != commonest) for values, _ in columns)
        body += f'<tr data-key="{escape(row.name)}"><th scope="row">{escape(words.short(row.name))}</th>{cells}</tr>'
    return (
        '<div class="nbc-scroll"><table class="nbc-names"><caption class="nbc-said">names that differ between engines'
        f'</caption><thead><tr><th scope="col">Name</th>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _cell(text: str, is_other: bool) -> str:
    shown = escape(words.short(text))
    if text == MISSING:
        return f'<td class="nbc-missing">— {shown}</td>'
    return (
        f'<td class="nbc-other"><span aria-hidden="true">≠</span> {shown}</td>'
        if is_other
        else f"<td>{shown}</td>"
    )


def _engines(group: Sequence[int]) -> str:
    """The numbers of engines, runs of them in one piece."""
    runs: list[list[int]] = []
    for number in sorted(group):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    text = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs[:8])
    more = " …" if len(runs) > 8 else ""
    return f"engine{'s' if len(group) > 1 else ''} {text}{more}"


def filled(parts: Mapping[str, str]) -> str:
    """A panel's parts where they belong, as one static HTML."""
    html = parts["root"]
    for name, content in parts.items():
        html = html.replace(f'data-part="{name}"></', f">{content}</", 1).replace(
            f'data-part="{name}" open></', f"open>{content}</", 1
        )
    return html
