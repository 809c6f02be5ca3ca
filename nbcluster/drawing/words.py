"""Numbers, durations and tasks in words, for text, HTML and screen readers alike. Knows no HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nbcluster.protocol.feed import Bar, EngineLoad

LONGEST_LABEL = 60
"""Characters of a label that are shown."""

LONGEST_REASON = 400

FEW = 5
"""Tasks that must have ended before a rate is told."""


@dataclass(frozen=True)
class Wait:
    """What a cell waits for, as whoever waits counts it: `seconds` since it began; `total` None when nobody knows."""

    what: str
    done: int = 0
    total: int | None = None
    failed: int = 0
    unit: str = "call"
    seconds: float = 0.0
    ended: str = ""
    """How it ended, "" while it goes on: done, failed, interrupted."""


def short(label: str) -> str:
    """A label that fits; what is left out is told by an ellipsis."""
    line = " ".join(label.split())
    return line if len(line) <= LONGEST_LABEL else f"{line[: LONGEST_LABEL - 1]}…"


def as_it_was(why: str) -> str:
    """That what is shown is of the moment when the last of it was told, and why no more was."""
    line = " ".join(why.split())
    return f"as it was last told; {line if len(line) <= LONGEST_REASON else f'{line[: LONGEST_REASON - 1]}…'}"


def counted(number: int, unit: str) -> str:
    """A number of things."""
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}s"


def duration(seconds: float) -> str:
    """A time, as exact as it is worth."""
    if seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def rate(done: int, seconds: float) -> str:
    """How many a second, or how long each; "" when a few say nothing yet."""
    if done < FEW or seconds < 0.05:
        return ""
    each = seconds / done
    return (
        f"{done / seconds:,.0f}/s"
        if each < 0.1
        else f"{1 / each:.1f}/s"
        if each < 2
        else f"{duration(each)} each"
    )


def remaining(done: int, total: int | None, seconds: float) -> str:
    """The estimated time that is left; "" when there is nothing to say yet."""
    if total is None or not done or seconds < 0.5 or done >= total:
        return ""
    return f"about {duration((total - done) * seconds / done)} left"


def states(bar: Bar) -> list[str]:
    """What the tasks of a bar are at, without those that are done."""
    counts = (
        (bar.failed, "failed"),
        (bar.lost, "lost"),
        (bar.cancelled, "cancelled"),
        (bar.running, "running"),
        (bar.waiting, "waiting"),
    )
    return [f"{count:,} {state}" for count, state in counts if count]


def progress(bar: Bar) -> str:
    """How far the tasks of a bar are."""
    done = f"{bar.done:,} of {bar.total:,} done" if bar.total != bar.done else f"{bar.done:,} done"
    return ", ".join([done, *states(bar)])


def headline(wait: Wait) -> list[str]:
    """What is waited for, how far it is, how fast it goes and when it will end: in phrases."""
    if wait.total is None:
        far = f"{counted(wait.done, wait.unit)} done"
    else:
        far = f"{wait.done:,} of {counted(wait.total, wait.unit)}"
    what = (
        "did not succeed" if wait.ended == "interrupted" else "failed"
    )  # some were stopped, and some may have failed
    failed = f"{wait.failed:,} {what}" if wait.failed else ""
    if wait.ended:
        how = {"done": "took", "failed": "failed after", "interrupted": "interrupted after"}[wait.ended]
        time = f"{how} {duration(wait.seconds)}"
        speed = rate(wait.done, wait.seconds)
        return [phrase for phrase in (far, failed, time, speed) if phrase]
    since = f"since {duration(wait.seconds)}"
    left = remaining(wait.done, wait.total, wait.seconds)
    return [phrase for phrase in (far, failed, since, rate(wait.done, wait.seconds), left) if phrase]


def engine_text(engine: EngineLoad) -> str:
    """What an engine is at, in a sentence."""
    parts = [f"engine {engine.engine}: {engine.state}"]
    if engine.running:
        parts.append(f"runs {short(engine.running)}")
    if engine.busy:
        parts.append(f"{engine.busy[-1]} % of its time on this work")
        parts.append(f"CPU {engine.cpu[-1]} %, {engine.memory[-1]:,} MiB")
    return ", ".join(parts)


def several(bars: Sequence[Bar]) -> str:
    """Several bars in one phrase."""
    total, done = sum(bar.total for bar in bars), sum(bar.done for bar in bars)
    failed = sum(bar.failed + bar.lost for bar in bars)
    more = f", {failed:,} failed" if failed else ""
    return f"{counted(len(bars), 'more label')}: {done:,} of {total:,} done{more}"
