"""What everyone may know of a cluster and its engines. Values only."""

from __future__ import annotations

from msgspec import Struct

from nbcluster.ids import EngineNumber, Incarnation


class KernelSpecRef(Struct, frozen=True):
    """Which kernel an engine runs and how. `kernel` "" is the interpreter that started the cluster."""

    kernel: str = ""
    tags: tuple[str, ...] = ()
    resources: dict[str, float] = {}
    env: dict[str, str] = {}
    cwd: str = ""
    path: tuple[str, ...] = ()
    """Entries that a Python engine puts before its own sys.path."""
    launcher: str = "local"
    memory_limit: int | None = None
    """Bytes of memory that an engine may use, 0 for any; None: its share of the host's."""
    siblings: int = 1
    """Engines that share the host's memory when no limit is given."""
    gpus: tuple[str, ...] = ()
    """The GPUs of an engine, as CUDA names them; in an order to start engines those among which they are handed out."""
    gpus_per_engine: int = 0
    restart: bool = True
    """Whether an engine that died is started again."""


class EngineStatus(Struct, frozen=True):
    """One engine as everyone may see it. Memory in bytes, cpu in percent of one core, times in epoch seconds."""

    number: EngineNumber
    incarnation: Incarnation
    state: str
    """starting, idle, busy, restarting, stopping, failed."""
    name: str = ""
    host: str = ""
    pid: int | None = None
    kernel: str = ""
    language: str = ""
    tags: tuple[str, ...] = ()
    resources: dict[str, float] = {}
    memory: int | None = None
    """Bytes that it holds: its own, and what it has filled of shared memory; no files, and nothing of others."""
    cpu: float | None = None
    running: str | None = None
    """What it runs now: the first line of the cell, or the label of the call."""
    running_since: float | None = None
    starts: int = 0
    started: float | None = None
    can_call: bool = False
    """Whether it loads nbcluster and so carries values and targeted interrupts."""
    connection_file: str = ""
    python: str = ""
    """Version of the Python that runs calls there; "" for an engine that takes none."""
    memory_limit: int | None = None
    """Bytes of memory that it may use; None where no limit was given, and it has its share of the host's."""
    spilled: int = 0
    """Bytes of results that it keeps on disk."""
    memory_note: str = ""
    """What it does for want of memory, and what to do about that; "" when it has enough."""
    note: str = ""
    """Why it is in this state, where that needs a sentence (the stderr of a failed start)."""

    def __repr__(self) -> str:
        tags = f", tags {', '.join(self.tags)}" if self.tags else ""
        running = f", runs {self.running!r}" if self.running is not None else ""
        note = f": {self.note.splitlines()[0]}" if self.note else ""
        note += f"; {self.memory_note}" if self.memory_note else ""
        where = f"{self.kernel} on {self.host}, process {self.pid}"
        return f"<engine {self.number}: {self.state}, {where}{tags}{running}{note}>"


class ClusterStatus(Struct, frozen=True):
    """A cluster as a whole."""

    name: str
    pid: int
    host: str
    directory: str
    version: str
    started: float
    idle_timeout: float | None
    engines: tuple[EngineStatus, ...]
    clients: tuple[str, ...]
    """The labels of the connected clients."""
    queued: int
    running: int
    pids: tuple[int, ...] = ()
    """Every process of the cluster: supervisor, controller, engines."""
    held_bytes: int = 0
    """What the controller keeps of calls: arguments that wait, small values, functions."""

    def __repr__(self) -> str:
        states = [engine.state for engine in self.engines]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "none"
        return (
            f"<cluster {self.name!r} on {self.host}: engines {counts}; {self.running} running, {self.queued} queued; "
            f"clients: {', '.join(self.clients) or 'none'}>"
        )
