"""Says in lines of plain text what clusters and engines are. Knows no cluster object and no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nbcluster.notebook.labels import ranges
from nbcluster.protocol.messages import ClusterStatus, EngineStatus


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows with their columns aligned; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def duration(seconds: float) -> str:
    """Return seconds as people say them: "40 s", "5 min", "12 h"."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds:.0f} s"


def lifetime(idle_timeout: float | None) -> str:
    """Return when a cluster ends by itself."""
    if idle_timeout is None:
        return "it runs until %cluster stop"
    return f"it ends after {duration(idle_timeout)} without a client and without work"


def engines_line(engines: Sequence[EngineStatus]) -> str:
    """Return how many engines there are, and which, in a few words."""
    if not engines:
        return "no engines"
    kinds = Counter(engine.kernel or engine.language or "python" for engine in engines)
    kind = f" ({', '.join(f'{n} {name}' for name, n in kinds.items())})" if len(kinds) > 1 else ""
    word = "engine" if len(engines) == 1 else "engines"
    return f"{len(engines)} {word}: {ranges(engine.number for engine in engines)}{kind}"


def status_text(status: ClusterStatus, now: float) -> str:
    """Return a cluster in a few lines and a table of its engines. `now` is epoch seconds."""
    clients = len(status.clients)
    head = (
        f"cluster {status.name!r}: {engines_line(status.engines)}; {status.running} running, "
        f"{status.queued} queued; {clients} client{'s' if clients != 1 else ''}; "
        f"up {duration(max(0.0, now - status.started))}; {lifetime(status.idle_timeout)}"
    )
    if not status.engines:
        return f"{head}\n%cluster add N starts engines."
    rows = [("engine", "state", "kernel", "tags", "runs", "since", "note")]
    rows += [_engine_row(engine, now) for engine in status.engines]
    kept = [column for column in range(len(rows[0])) if column < 3 or any(row[column] for row in rows[1:])]
    notes = "".join(f"\n{engine.memory_note}" for engine in status.engines if engine.memory_note)
    return f"{head}\n{table([[row[column] for column in kept] for row in rows])}{notes}"


def _engine_row(engine: EngineStatus, now: float) -> tuple[str, str, str, str, str, str, str]:
    since = "" if engine.running_since is None else duration(max(0.0, now - engine.running_since))
    note = engine.note.strip().splitlines()[-1][:60] if engine.note.strip() else ""
    kernel = engine.kernel or engine.language or "python"
    running = (engine.running or "")[:40]
    return str(engine.number), engine.state, kernel, ",".join(engine.tags), running, since, note
