"""Says what to do about a NameError on an engine: who has the name, and how it gets there. Knows no display."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence

from nbcluster.errors import EngineErrors, RemoteError, RemoteTraceback
from nbcluster.notebook.labels import engines_phrase
from nbcluster.protocol.messages import EngineStatus

_MISSING = re.compile(r"(?:name|variable) '([^']+)'")


class Memory:
    """When names were last bound on the engines of each cluster, as far as this notebook did it."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._bound: dict[tuple[str, int], dict[str, float]] = {}

    def note(self, cluster: str, engines: Iterable[int], names: Iterable[str]) -> None:
        """Note that names were bound now."""
        now = self._clock()
        found = list(names)
        for engine in engines:
            self._bound.setdefault((cluster, engine), {}).update(dict.fromkeys(found, now))

    def bound_at(self, cluster: str, engine: int, name: str) -> float | None:
        """When a name was bound there last, in epoch seconds."""
        return self._bound.get((cluster, engine), {}).get(name)


def missing_name(error: BaseException) -> str | None:
    """The name that a NameError of an engine is about, of a cell or of a call."""
    if isinstance(error, RemoteError) and error.ename == "NameError":
        found = _MISSING.search(error.evalue)
    elif type(error) is NameError and isinstance(error.__cause__, RemoteTraceback):
        found = _MISSING.search(str(error))
    else:
        return None
    return found.group(1) if found else None


def has_missing_name(error: BaseException) -> bool:
    """Whether a hint may be had for it."""
    return any(map(missing_name, error.errors.values() if isinstance(error, EngineErrors) else [error]))


def add_hints(
    error: BaseException,
    cluster: str,
    engines: Sequence[EngineStatus],
    notebook: Container[str],
    memory: Memory,
) -> None:
    """Add a note to each NameError: that its engine was restarted and lost the name, or that the notebook has it.

    Parameters
    ----------
    error : BaseException
        Of one engine or of several; anything else is left alone.
    cluster : str
    engines : sequence of EngineStatus
    notebook : container of str
        The names that the notebook has.
    memory : Memory
    """
    members: Mapping[int, BaseException]
    if isinstance(error, EngineErrors):
        members = error.errors
    elif isinstance(error, RemoteError) and error.engine is not None:
        members = {error.engine: error}
    elif isinstance(error.__cause__, RemoteTraceback) and error.__cause__.engine is not None:
        members = {error.__cause__.engine: error}
    else:
        return
    states: dict[int, EngineStatus] = {engine.number: engine for engine in engines}
    lost = [
        number
        for number, member in members.items()
        if (name := missing_name(member)) is not None and _was_lost(states.get(number), cluster, name, memory)
    ]
    for number, member in members.items():
        name = missing_name(member)
        if name is None or hasattr(member, "__notes__"):
            continue
        hint = _hint(
            name,
            states.get(number) if number in lost else None,
            lost,
            in_notebook=name in notebook,
            in_cell=isinstance(member, RemoteError),
        )
        if hint:
            member.add_note(hint)


def _was_lost(engine: EngineStatus | None, cluster: str, name: str, memory: Memory) -> bool:
    if engine is None or engine.starts < 2 or engine.started is None:
        return False
    bound = memory.bound_at(cluster, engine.number, name)
    return bound is not None and bound < engine.started


def _hint(
    name: str, restarted: EngineStatus | None, lost: Sequence[int], *, in_notebook: bool, in_cell: bool
) -> str:
    sentences = []
    if restarted is not None and restarted.started is not None:
        at = time.strftime("%H:%M", time.localtime(restarted.started))
        several = engines_phrase(lost)
        was = "was" if len(lost) == 1 else "were"
        sentences.append(f"{several} {was} restarted at {at} and lost {name!r}")
    if in_notebook and not in_cell:
        sentences.append(
            f"the notebook has {name!r}: cluster[:].push({{'{name}': {name}}}) binds it on the engines; "
            "a call that is submitted now brings it along when its function reads it"
        )
    elif in_notebook:
        sentences.append(
            f"the notebook has {name!r}: %%distributed --push {name} sends it, --ship whatever is missing"
        )
    text = "; ".join(sentences)
    return text[:1].upper() + text[1:] + "." if text else ""
