"""Chooses the engine for a task that may run on any. Knows loads and languages; knows no sockets."""

from __future__ import annotations

from collections.abc import Iterable

from nbcluster.core.model import Engine, EngineState, Task, language_of, takes_tasks


def could_run(engine: Engine, language: str) -> bool:
    """Whether the engine runs this language, or may turn out to once it is up."""
    return takes_tasks(engine) and language_of(engine).casefold() in (language.casefold(), "")


def choose(engines: Iterable[Engine], language: str) -> Engine | None:
    """The idle engine of this language with the least before it, then the lowest number, if there is one."""
    idle = [
        engine
        for engine in engines
        if engine.state is EngineState.IDLE and language_of(engine).casefold() == language.casefold()
    ]
    return min(idle, key=lambda engine: (len(engine.lane), engine.number), default=None)


def earlier(bound: Task | None, free: Task | None) -> Task | None:
    """Of the first task of an engine's lane and the first that any engine may take, the one that goes first.

    A startup cell's run makes the engine fit for work, so it goes before work of any age.
    """
    if bound is None or free is None:
        return bound or free
    if bound.on_start_of is not None:
        return bound
    return min(bound, free, key=lambda task: task.sequence)
