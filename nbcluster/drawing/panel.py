"""The launcher as HTML by parts: a form, what is under way, questions, the engines. Decides nothing.

`data-do` says what a button or form asks for; the page sends it with the other `data-` values and the fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from nbcluster.drawing import enginetable, words
from nbcluster.drawing.enginetable import EngineRow

ROOT = """<section class="nbc-panel" aria-label="cluster launcher">
<div class="nbc-head" data-part="head"></div>
<div data-part="form"></div>
<div class="nbc-controls" data-part="controls"></div>
<div role="status" aria-live="polite" data-part="said"></div>
<div role="alert" data-part="trouble"></div>
<div data-part="question"></div>
<div data-part="table"></div>
<div data-part="connect"></div>
</section>"""
"""Where the parts stand."""

LONGEST_TROUBLE = 6000
"""Characters of an error: its beginning and its end."""


@dataclass(frozen=True)
class Offers:
    """What a form can offer, and what it begins with."""

    name: str = "default"
    n: int = 1
    kernels: tuple[tuple[str, str], ...] = ()
    """Names of kernels and their titles; this Python is offered anyway."""
    launchers: tuple[str, ...] = ("local",)
    running: tuple[str, ...] = ()
    """Clusters that run."""


@dataclass(frozen=True)
class Under:
    """Something that is under way: what, for how many seconds, and what it waits for."""

    what: str
    seconds: float = 0.0
    waits_for: str = ""


@dataclass(frozen=True)
class Question:
    """What is asked before something is lost, and what the answers are called."""

    text: str
    yes: str
    no: str = "Keep it"


@dataclass(frozen=True)
class PanelView:
    """All that the launcher shows."""

    offers: Offers = field(default_factory=Offers)
    cluster: str = ""
    """Name of the cluster; "" while there is none."""
    rows: tuple[EngineRow, ...] = ()
    left_out: int = 0
    """Engines that are not told of."""
    is_waiting: bool = False
    """The first word of the cluster has not come."""
    under_way: tuple[Under, ...] = ()
    is_blocked: bool = False
    """A cluster starts or ends: what would change it has to wait."""
    said: str = ""
    trouble: str = ""
    question: Question | None = None


def parts(view: PanelView) -> dict[str, str]:
    """The HTML of every part, by name."""
    found = {
        "root": ROOT,
        "head": _head(view),
        "form": "" if view.cluster or view.is_blocked else _start_form(view.offers),
        "controls": _controls(view) if view.cluster else "",
        "said": _said(view),
        "trouble": _trouble(view.trouble),
        "question": _question(view.question),
        "table": "",
        "connect": _connect(view.cluster) if view.cluster else "",
    }
    if view.cluster and view.rows:
        slots = "".join(
            f'<tbody data-key="{row.number}" data-part="row/{row.number}"></tbody>' for row in view.rows
        )
        more = (
            f'<p class="nbc-dim nbc-note">and {words.counted(view.left_out, "more engine")}</p>'
            if view.left_out
            else ""
        )
        found["table"] = enginetable.table(view.cluster, slots, has_actions=True) + more
        found.update((f"row/{row.number}", enginetable.body(row, _actions(row))) for row in view.rows)
    return found


def _head(view: PanelView) -> str:
    if not view.cluster:
        return "<b>No cluster yet.</b>" if not view.is_blocked else ""
    if view.is_waiting:
        states = "asking how it is"
    else:
        states = enginetable.counted_states(view.rows) if view.rows else "no engines yet"
    return f'<b>Cluster “{escape(view.cluster)}”</b> <span class="nbc-dim">{escape(states)}</span>'


def _start_form(offers: Offers) -> str:
    running = "".join(
        f'<button type="button" data-do="connect" data-name="{escape(name)}" data-key="connect-{escape(name)}">'
        f"Connect to “{escape(name)}”</button> "
        for name in offers.running
    )
    here = f'<p class="nbc-running"><span class="nbc-dim">Running:</span> {running}</p>' if running else ""
    return (
        '<form data-do="start" data-key="start" aria-label="start a cluster" autocomplete="off">'
        f'<label><span>Name</span><input name="name" value="{escape(offers.name)}" spellcheck="false"></label>'
        f'{_fields(offers)}<button type="submit" class="nbc-main">Start</button></form>{here}'
    )


def _fields(offers: Offers) -> str:
    kernels = "".join(
        f'<option value="{escape(name)}">{escape(words.short(title))}</option>'
        for name, title in offers.kernels
    )
    launchers = "".join(
        f'<option value="{escape(name)}">{escape(name)}</option>' for name in offers.launchers
    )
    kernels = f'<option value="">this Python</option>{kernels}'
    return (
        f"<label><span>Engines</span>{_number(offers.n)}</label>"
        f'<label><span>Kernel</span><select name="kernel">{kernels}</select></label>'
        f'<label><span>Launcher</span><select name="launcher">{launchers}</select></label>'
        '<label><span>Tags</span><input name="tags" placeholder="gpu, fast" spellcheck="false"></label>'
    )


def _number(n: int) -> str:
    return f'<input name="n" type="number" min="0" step="1" value="{n}" required>'


def _controls(view: PanelView) -> str:
    n = len(view.rows) + view.left_out
    some = ' aria-disabled="true"' if view.is_blocked else ""
    return (
        '<form data-do="scale" data-key="scale" aria-label="number of engines" autocomplete="off">'
        f"<label><span>Engines</span>{_number(n)}</label>"
        f'<button type="submit"{some}>Set</button></form>'
        '<details class="nbc-more" data-key="add"><summary>Add others</summary>'
        '<form data-do="add" aria-label="add engines" autocomplete="off">'
        f"{_fields(Offers(n=1, kernels=view.offers.kernels, launchers=view.offers.launchers))}"
        f'<button type="submit"{some}>Add</button></form></details>'
        '<span class="nbc-space"></span>'
        f'<button type="button" data-do="stop" data-key="stop"{some}>Stop cluster</button>'
    )


def _actions(row: EngineRow) -> str:
    number = row.number
    return (
        f'<button type="button" data-do="interrupt" data-engine="{number}" data-key="interrupt" '
        f'aria-label="Interrupt engine {number}">Interrupt</button>'
        f'<button type="button" data-do="restart" data-engine="{number}" data-key="restart" '
        f'aria-label="Restart engine {number}">Restart</button>'
    )


def _said(view: PanelView) -> str:
    lines = "".join(
        f'<p class="nbc-under"><span class="nbc-spin" aria-hidden="true"></span>{escape(each.what)} '
        f'<span aria-hidden="true" class="nbc-dim">{_clock(each.seconds)}</span> '
        f'<span class="nbc-dim">{escape(_waits(each))}</span></p>'
        for each in view.under_way
    )
    return lines + (f"<p>{escape(view.said)}</p>" if view.said else "")


def _waits(under: Under) -> str:
    return f"— waiting for {under.waits_for}" if under.waits_for else ""


def _clock(seconds: float) -> str:
    """Hidden from screen readers, which would read it out each second."""
    return f"{seconds:.0f} s" if seconds >= 1 else ""


def _trouble(text: str) -> str:
    if not text:
        return ""
    head, _, rest = text.strip().partition("\n")
    more = f"<pre>{escape(_middle_out(rest), quote=False)}</pre>" if rest.strip() else ""
    return (
        f'<div class="nbc-trouble"><p><span aria-hidden="true">✕</span> {escape(_middle_out(head))}</p>{more}'
        '<button type="button" data-do="dismiss" data-key="dismiss">Dismiss</button></div>'
    )


def _middle_out(text: str) -> str:
    over = len(text) - LONGEST_TROUBLE
    if over <= 0:
        return text
    half = LONGEST_TROUBLE // 2
    return f"{text[:half]}\n… {over:,} characters are left out here …\n{text[-half:]}"


def _question(question: Question | None) -> str:
    if question is None:
        return ""
    return (
        f'<div class="nbc-question" role="alertdialog" aria-label="{escape(question.text)}" '
        f'data-key="{escape(question.text)}"><p>{escape(question.text)}</p>'
        f'<button type="button" data-do="confirm" class="nbc-main" data-focus>{escape(question.yes)}</button>'
        f'<button type="button" data-do="dismiss" data-escape>{escape(question.no)}</button></div>'
    )


def _connect(name: str) -> str:
    code = connecting_code(name)
    shown = escape(code.splitlines()[-1])
    return (
        f'<p class="nbc-connect"><span class="nbc-dim">Elsewhere:</span> <code>{shown}</code>'
        f'<button type="button" data-copy="{escape(code)}" data-key="copy" '
        'aria-label="Copy the code that connects">Copy</button></p>'
    )


def connecting_code(name: str) -> str:
    """What joins a cluster from another notebook or script."""
    text = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'from nbcluster import Cluster\ncluster = Cluster.connect("{text}")'


def static(name: str, rows: Sequence[EngineRow], note: str = "") -> str:
    """The cluster in one static HTML: for pages without widgets, and for files that are looked at later."""
    table = ""
    if rows:
        bodies = "".join(f"<tbody>{enginetable.body(row)}</tbody>" for row in rows)
        table = enginetable.table(name, bodies, has_actions=False)
    states = enginetable.counted_states(rows)
    below = f'<p class="nbc-dim nbc-note">{escape(note)}</p>' if note else ""
    return (
        f'<p><b>Cluster “{escape(name)}”</b> <span class="nbc-dim">{escape(states)}</span></p>'
        f'{table}<p class="nbc-connect"><code>{escape(connecting_code(name).splitlines()[-1])}</code></p>{below}'
    )
