"""The parts of a view as HTML: headline, bars, engines, curves, errors. All that users name or say is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from nbcluster.core.board import Board
from nbcluster.drawing import words
from nbcluster.drawing.words import Wait
from nbcluster.protocol.feed import Bar, Curve, EngineLoad, Failure

MOST_BARS = 12
"""Bars of a view; the rest is one line."""

MOST_ENGINES = 64

LONGEST_ERROR = 9_000
"""Bytes of one error as HTML: five of them and the picture stay under 200 kB."""

SIGNS = {"busy": "●", "idle": "○", "failed": "✕"}
"""Of an engine's state, beside its colour; any other state is on its way to one of these."""


def head(wait: Wait) -> str:
    """The line above the bars."""
    phrases = " · ".join(escape(phrase) for phrase in words.headline(wait))
    return f"<p><b>{escape(words.short(wait.what))}</b> <span>{phrases}</span></p>"


def ended(why: str) -> str:
    """That nothing more is told, where that is so: what is drawn below is as it was then."""
    return f"<p>✕ {escape(words.as_it_was(why))}</p>" if why else ""


def chosen(bars: Sequence[Bar]) -> tuple[list[Bar], list[Bar]]:
    """The bars to be drawn, in their order, and the rest: what runs, failed or waits goes before what is done."""
    if len(bars) <= MOST_BARS:
        return list(bars), []
    ranked = sorted(bars, key=lambda bar: (not bar.running, not bar.failed, not bar.waiting, -bar.last))
    drawn = {bar.label for bar in ranked[:MOST_BARS]}
    return [bar for bar in bars if bar.label in drawn], [bar for bar in bars if bar.label not in drawn]


def bars(shown: Sequence[Bar], left_out: int = 0, names: Mapping[str, str] | None = None) -> str:
    """A table of labels: a bar, and the same in numbers. `names` are what is shown in place of some labels."""
    if not shown:
        return ""
    drawn, rest = chosen(shown)
    names = names or {}
    rows = "".join(
        f'<tr><th scope="row">{escape(words.short(names.get(bar.label, bar.label)))}</th>'
        f'<td class="nbc-bar">{_track(bar)}</td><td>{_numbers(bar)}</td></tr>'
        for bar in drawn
    )
    notes = [words.several(rest)] if rest else []
    if left_out:
        notes.append(f"{words.counted(left_out, 'label')} that rested longest are not told of")
    below = f'<p class="nbc-dim nbc-note">{escape("; ".join(notes))}</p>' if notes else ""
    return f"<table><tbody>{rows}</tbody></table>{below}"


def _track(bar: Bar) -> str:
    total = max(1, bar.total)
    parts = (
        ("done", bar.done),
        ("failed", bar.failed + bar.lost),
        ("cancelled", bar.cancelled),
        ("running", bar.running),
    )
    pieces = "".join(
        f'<i class="nbc-{state}" style="width:{100 * count / total:.2f}%"></i>'
        for state, count in parts
        if count
    )
    told = escape(f"{words.short(bar.label)}: {words.progress(bar)}")
    return f'<div class="nbc-track" role="img" aria-label="{told}">{pieces}</div>'


def _numbers(bar: Bar) -> str:
    more = f", {words.duration(bar.seconds / bar.ended)} each" if bar.ended and bar.seconds else ""
    return escape(f"{words.progress(bar)}{more}")


def engines(shown: Sequence[EngineLoad], left_out: int = 0) -> str:
    """A small bar for each engine: how much of its time it spends on the work."""
    if not shown:
        return ""
    drawn = shown[:MOST_ENGINES]
    more = left_out + len(shown) - len(drawn)
    items = "".join(_engine(engine) for engine in drawn)
    note = f'<li class="nbc-engine nbc-dim">and {words.counted(more, "more engine")}</li>' if more else ""
    return f'<ul class="nbc-engines" aria-label="engines">{items}{note}</ul>'


def _engine(engine: EngineLoad) -> str:
    told = escape(words.engine_text(engine))
    busy = engine.busy[-1] if engine.busy else 0
    sign = SIGNS.get(engine.state, "…")
    return (
        f'<li class="nbc-engine" title="{told}"><span aria-hidden="true">{sign}</span><span>{engine.engine}</span>'
        f'<span class="nbc-load" role="img" aria-label="{told}"><i style="width:{busy}%"></i></span>'
        f'<span class="nbc-dim">{busy} %</span></li>'
    )


def curves(shown: Sequence[Curve], left_out: int = 0) -> str:
    """What tasks report: small lines, each with its last value."""
    if not shown:
        return ""
    figures = "".join(_curve(curve) for curve in shown)
    note = (
        f'<p class="nbc-dim nbc-note">{left_out:,} numbers of further reports are not shown</p>'
        if left_out
        else ""
    )
    return f'<div class="nbc-curves">{figures}</div>{note}'


def _curve(curve: Curve) -> str:
    name = f"{words.short(curve.label)} on engine {curve.engine}: {words.short(curve.name)}"
    first, last = curve.times[0], curve.times[-1]
    low, high = min(curve.values), max(curve.values)
    wide, tall = max(1e-9, last - first), max(1e-12, high - low)
    points = " ".join(
        f"{2 + 156 * (time - first) / wide:.0f},{30 - 28 * (value - low) / tall:.1f}"
        for time, value in zip(curve.times, curve.values, strict=True)
    )
    told = escape(f"{name} is {curve.values[-1]:.4g}, between {low:.4g} and {high:.4g}")
    return (
        f"<figure><figcaption>{escape(name)} <b>{curve.values[-1]:.4g}</b></figcaption>"
        f'<svg role="img" aria-label="{told}" width="160" height="32" viewBox="0 0 160 32">'
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg></figure>'
    )


def errors(board: Board) -> str:
    """The last errors, in full, to be unfolded."""
    failures = board.failures
    if not failures:
        return ""
    total = board.scope.failures
    some = (
        f"the last {len(failures)} of {total:,} errors"
        if total > len(failures)
        else words.counted(total, "error")
    )
    texts = "".join(_failure(failure) for failure in reversed(failures))
    return f"<details><summary>✕ {some}</summary>{texts}</details>"


def _failure(failure: Failure) -> str:
    where = f" on engine {failure.engine}" if failure.engine is not None else ""
    text = escape(failure.error, quote=False)
    encoded = text.encode()
    if len(encoded) > LONGEST_ERROR:
        kept = encoded[:LONGEST_ERROR].decode(errors="ignore").rpartition("&")
        # Within an entity it must not be cut.
        whole = kept[0] if len(kept[2]) < 6 else "".join(kept)
        text = f"{whole}… (cut: it has {len(failure.error):,} characters)"
    return f"<div>{escape(words.short(failure.label))}{where}</div><pre>{text}</pre>"
