"""Which cluster is meant, and how the command line speaks of engines. Knows no connections."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from nbcluster.cli.arguments import DEFAULT_NAME
from nbcluster.notebook.labels import ranges
from nbcluster.notebook.tables import duration, table
from nbcluster.protocol.messages import ClusterStatus, EngineStatus
from nbcluster.transport.rendezvous import list_clusters


def which(name: str | None) -> str | None:
    """The cluster that is meant: the one named; of several, the one that `nbcluster start` names by itself."""
    if name is not None:
        return name
    running = [cluster.name for cluster in list_clusters()]
    return DEFAULT_NAME if len(running) > 1 and DEFAULT_NAME in running else None


def leave_out_own_directory() -> None:
    """Take the directory of the command itself from sys.path, which engines are given: it is no place of the user's."""
    program = Path(sys.argv[0])
    if program.stem in ("nbcluster", "jupyter-nbcluster") and sys.path[:1] == [str(program.resolve().parent)]:
        del sys.path[0]


def engines_words(engines: Sequence[EngineStatus]) -> str:
    """How many engines there are, and their numbers."""
    if not engines:
        return "no engines"
    word = "engine" if len(engines) == 1 else "engines"
    return f"{len(engines)} {word}: {ranges(engine.number for engine in engines)}"


def lifetime_words(name: str, idle_timeout: float | None) -> str:
    """When a cluster ends."""
    if idle_timeout is None:
        return f"it runs until `nbcluster stop {name}`"
    return f"it ends after {duration(idle_timeout)} without a client and without work"


def status_words(status: ClusterStatus, now: float) -> str:
    """A cluster in a few lines and a table of its engines. `now` is epoch seconds."""
    lines = [
        f"cluster {status.name!r} (process {status.pid} on {status.host}, nbcluster {status.version})",
        f"  {engines_words(status.engines)}; {status.running} running, {status.queued} queued",
        f"  up {duration(max(0.0, now - status.started))}; {lifetime_words(status.name, status.idle_timeout)}",
        f"  sockets and logs: {status.directory}",
        *(f"  client: {client}" for client in status.clients),
    ]
    if status.engines:
        lines.append(engines_table(status.engines, now))
        lines += [engine.memory_note for engine in status.engines if engine.memory_note]
    return "\n".join(lines)


def engines_table(engines: Sequence[EngineStatus], now: float) -> str:
    """A table of engines; columns that nobody fills are left out."""
    rows = [("engine", "state", "kernel", "pid", "tags", "memory", "cpu", "runs", "since", "note")]
    for engine in engines:
        since = "" if engine.running_since is None else duration(max(0.0, now - engine.running_since))
        note = engine.note.strip().splitlines()[-1][:80] if engine.note.strip() else ""
        rows.append(
            (
                str(engine.number),
                engine.state,
                engine.kernel or engine.language,
                str(engine.pid or ""),
                ",".join(engine.tags),
                "" if engine.memory is None else f"{engine.memory / 2**20:.0f} MB",
                "" if engine.cpu is None else f"{engine.cpu:.0f} %",
                (engine.running or "")[:40],
                since,
                note,
            )
        )
    kept = [column for column in range(len(rows[0])) if column < 3 or any(row[column] for row in rows[1:])]
    return table([[row[column] for column in kept] for row in rows])
