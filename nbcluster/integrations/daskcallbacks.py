"""Tells callbacks of Dask (ProgressBar, Profiler, Cache) what becomes of a graph, as Dask's own schedulers do.

Knows no cluster: it is told which task has ended. Begins are inferred: a task has begun when what it needs is there and
fewer run than there are workers, and at the latest when it ends.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

Key = Any


class Watch:
    """The callbacks of one computation, and the state that they are shown: that of `dask.local`.

    Parameters
    ----------
    callbacks : iterable of tuple
        As `dask.callbacks.Callback` keeps them: start, start_state, pretask, posttask, finish, or None.
    """

    def __init__(self, callbacks: Iterable[tuple[Callable[..., Any] | None, ...]]) -> None:
        self._callbacks = list(callbacks)
        self._started: list[tuple[Callable[..., Any] | None, ...]] = []
        self._dsk: dict[Key, Any] = {}
        self._state: dict[str, Any] = {}
        self._wanted: set[Key] = set()
        self._places: Mapping[Key, int] = {}
        self._workers = 1
        self._early: dict[Key, tuple[Any, Any]] = {}

    @property
    def wants_values(self) -> bool:
        """Whether a callback is given the value of each task."""
        return any(callback[3] for callback in self._callbacks)

    def start(self, dsk: dict[Key, Any]) -> None:
        """Show the graph before it is run; a callback may put values in the place of tasks."""
        self._dsk = dsk
        for callback in self._callbacks:
            if callback[0]:
                callback[0](dsk)
            self._started.append(callback)

    def begin(self, wanted: Iterable[Key], places: Mapping[Key, int], workers: int) -> None:
        """The graph is about to be run.

        Parameters
        ----------
        wanted : iterable of keys
        places : mapping
            In what order Dask would run the keys.
        workers : int
            How many tasks run at once.
        """
        from dask.local import start_state_from_dask

        self._wanted, self._places, self._workers = set(wanted), places, workers
        self._state = start_state_from_dask(
            self._dsk, cache={}, sortkey=places.__getitem__, keys=list(self._wanted)
        )
        for callback in self._callbacks:
            if callback[1]:
                callback[1](self._dsk, self._state)
        self._go_on(self._state["ready"])

    def ended(self, key: Key, value: Any, worker: Any) -> None:
        """A task has its value."""
        self._early[key] = value, worker
        self._go_on((key,))

    def finish(self, *, failed: bool) -> None:
        """The computation is over."""
        for callback in self._started:
            if callback[4]:
                callback[4](self._dsk, self._state, failed)

    def _go_on(self, keys: Iterable[Key]) -> None:
        """Have those of these tasks end that can, and aliases of them; then let others begin."""
        state = self._state
        ready: list[Key] = state["ready"]
        agenda = list(keys)
        while agenda:
            key = agenda.pop()
            if key in state["waiting"] or key in state["finished"] or not self._has_value(key):
                continue
            if key not in state["running"]:
                ready.remove(key)
                self._begin(key)
            self._end(key, *self._take(key))
            agenda += state["dependents"][key]
        while ready and len(state["running"]) < self._workers:
            self._begin(ready.pop())

    def _has_value(self, key: Key) -> bool:
        return key in self._early or self._target_of(key) is not _NOTHING

    def _target_of(self, key: Key) -> Key:
        from dask._task_spec import Alias

        node = self._dsk[key]
        return node.target if isinstance(node, Alias) else _NOTHING

    def _take(self, key: Key) -> tuple[Any, Any]:
        if key in self._early:
            return self._early.pop(key)
        return self._state["cache"][self._target_of(key)], None

    def _begin(self, key: Key) -> None:
        self._state["running"].add(key)
        for callback in self._callbacks:
            if callback[2]:
                callback[2](key, self._dsk, self._state)

    def _end(self, key: Key, value: Any, worker: Any) -> None:
        from dask.local import finish_task

        self._state["cache"][key] = value
        finish_task(self._dsk, key, self._state, self._wanted, self._places.__getitem__)
        for callback in self._callbacks:
            if callback[3]:
                callback[3](key, value, self._dsk, self._state, worker)


_NOTHING: Any = object()


@contextmanager
def watched(given: Any = None) -> Iterator[Watch | None]:
    """Watch the computation in this block for callbacks of Dask: those given, else those that are active here.

    As with Dask's schedulers, what is computed inside of it is not told to those that are active.
    """
    module = sys.modules.get("dask.callbacks")
    if module is None:
        yield None
        return
    with module.local_callbacks(given) as callbacks:
        if not callbacks:
            yield None
            return
        watch = Watch(map(module.normalize_callback, callbacks))
        failed = True
        try:
            yield watch
            failed = False
        finally:
            watch.finish(failed=failed)
