"""What a user may ask of calls, checked at once against what the cluster has. Knows no functions and no messages."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from keyword import iskeyword
from math import inf
from typing import Any, NoReturn

from nbcluster.client.callfutures import CallFuture, ManyFuture
from nbcluster.client.cellfutures import CellFuture
from nbcluster.client.fleet import Fleet, is_ready
from nbcluster.client.futures import Future
from nbcluster.client.outbox import Kind
from nbcluster.client.specs import check_amounts
from nbcluster.core.model import Engine, EngineState
from nbcluster.core.targets import Number, Targets, from_python, parse, resolve
from nbcluster.engine.lending import level_here
from nbcluster.errors import NoEngines, NotSupported, UsageError, VersionMismatch
from nbcluster.ids import EngineNumber, TaskId
from nbcluster.payload.pickling import importable
from nbcluster.payload.versions import check_python
from nbcluster.protocol import calls as c
from nbcluster.protocol import messages as m

LANGUAGE = "python"
"""Of the engines that run calls."""

KEPT_KINDS = 256
"""Functions whose sort of call is remembered with its options."""


@dataclass(frozen=True)
class Options:
    """What the calls of one `cluster.options(...)` have in common; checked as far as no engine is needed for it.

    Attributes
    ----------
    targets : str
        In the grammar of TARGETS; "" is any engine that can call.
    after : tuple of Future
        What must have succeeded first.
    """

    targets: str = ""
    after: tuple[Future, ...] = ()
    retries: int = 0
    timeout: float | None = None
    priority: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)
    key: str = ""
    label: str = ""
    namespace: str = ""
    repeatable: bool | None = None
    quiet: bool = False
    keep: bool = False


def make_options(
    on: Any = None,
    after: Iterable[Future] | Future = (),
    retries: int = 0,
    timeout: float | None = None,
    priority: int = 0,
    resources: Mapping[str, float] | None = None,
    key: str | None = None,
    label: str | None = None,
    namespace: str | None = None,
    repeatable: bool | None = None,
) -> Options:
    """Check options by themselves.

    Raises
    ------
    UsageError
        For a value that cannot be; the message says what can.
    """
    needed = (after,) if isinstance(after, Future) else tuple(after)
    for each in needed:
        if not isinstance(each, CallFuture | ManyFuture | CellFuture):
            raise UsageError(f"after= takes Futures of calls and cells, not {type(each).__name__} {each!r}")
    return Options(
        targets="" if on is None or on == "any" else from_python(on),
        after=needed,
        retries=_count(retries, "retries"),
        timeout=_seconds(timeout),
        priority=_integer(priority, "priority"),
        resources=check_amounts(resources or {}),
        key=_text(key, "key"),
        label=_text(label, "label"),
        namespace=namespace_name(namespace),
        repeatable=repeatable,
    )


def namespace_name(name: str | None) -> str:
    """Return a namespace's name, "" for the kernel's own; refuse what cannot be one."""
    if name is None or name == "":
        return ""
    if not isinstance(name, str) or not name.isidentifier() or iskeyword(name):
        raise UsageError(
            f"{name!r} cannot be the name of a namespace: it must be an identifier, such as 'exp1'"
        )
    return name


def _integer(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{what}={value!r} cannot be: it is a whole number")
    return value


def _count(value: Any, what: str) -> int:
    if _integer(value, what) < 0:
        raise UsageError(f"{what}={value!r} cannot be: it is 0 or more")
    return int(value)


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < inf:
        raise UsageError(f"timeout={value!r} cannot be: it is a number of seconds above 0")
    return float(value)


def _text(value: Any, what: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or not value:
        raise UsageError(f"{what}={value!r} cannot be: it is a text")
    return value


def tasks_of(futures: Sequence[Future]) -> tuple[TaskId, ...]:
    """The tasks behind Futures of calls."""
    tasks: list[TaskId] = []
    for future in futures:
        if isinstance(future, CallFuture):
            tasks.append(future.task)
        elif isinstance(future, ManyFuture):
            tasks += tasks_of(tuple(future.parts.values()))
    return tuple(tasks)


class Placement:
    """Options, matched with the engines that there are: asked again only when those have changed."""

    def __init__(self, options: Options, fleet: Fleet) -> None:
        self.options = options
        self._fleet = fleet
        self._version = -1
        self._strangers: list[m.EngineStatus] = []
        """Engines that run another Python, to which functions cannot be sent by value."""
        self._targets = ""
        self._friends = ""
        self._pinned = False
        self._kinds: dict[tuple[str, str, bool, int], Kind] = {}

    def kind(self, label: str, function: Callable[..., Any] = len) -> Kind:
        """Return the sort of a call of a function.

        Raises
        ------
        UnknownTarget, NoEngines, EngineLost, NotSupported, VersionMismatch
            When no engine could run it.
        """
        if self._version != self._fleet.version:
            version = self._fleet.version
            self._targets, self._pinned, able = place(self.options, self._fleet.engines)
            self._strangers = [engine for engine in able if not speaks_our_python(engine)]
            self._friends = ",".join(str(engine.number) for engine in able if speaks_our_python(engine))
            self._version = version
        targets = self._targets
        if self._strangers and importable(function) is None:
            if not self._friends:
                refuse_python(self._strangers[0])
            targets = f"{self._friends},"
        return self.kind_at(targets, label, pinned=self._pinned)

    def kind_at(self, targets: str, label: str, *, pinned: bool) -> Kind:
        """Return the sort of a call of a function on given targets."""
        level = level_here()
        key = (targets, label, pinned, level)
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= KEPT_KINDS:
                self._kinds.clear()
            options = self.options
            repeatable = options.repeatable
            kind = self._kinds[key] = Kind(
                c.CallOptions(
                    targets,
                    options.label or label,
                    options.retries,
                    options.timeout,
                    options.priority,
                    dict(options.resources),
                    options.namespace,
                    (not pinned and not options.namespace) if repeatable is None else repeatable,
                    pinned,
                    options.quiet,
                    options.keep,
                    level,
                )
            )
        return kind


def speaks_our_python(engine: m.EngineStatus) -> bool:
    """Whether functions can be sent to an engine by value; one that starts is given the benefit of the doubt."""
    return not engine.python or check_python(platform.python_version(), engine.python) is None


def refuse_python(engine: m.EngineStatus) -> NoReturn:
    """Say that an engine runs another Python."""
    why = check_python(platform.python_version(), engine.python, f"engine {engine.number}")
    raise VersionMismatch(str(why))


def place(options: Options, engines: Sequence[m.EngineStatus]) -> tuple[str, bool, list[m.EngineStatus]]:
    """Say where calls with these options go: their targets, whether they are about that one engine, and who is able.

    Raises
    ------
    UnknownTarget, NoEngines, EngineLost, NotSupported
        When no engine could run them.
    """
    targets = parse(options.targets)
    able = able_engines(targets, engines, every=False)
    if options.resources:
        _check_resources(options.resources, able)
    if targets.single and isinstance(targets.parts[0], Number):
        return str(able[0].number), True, able
    return targets.text, False, able


def able_engines(targets: Targets, engines: Sequence[m.EngineStatus], *, every: bool) -> list[m.EngineStatus]:
    """Return the engines that targets mean now and that run calls, or will when they are up.

    Parameters
    ----------
    every : bool
        Whether all that are meant must be able to.

    Raises
    ------
    UnknownTarget, NoEngines, EngineLost, NotSupported
    """
    by_number = {engine.number: engine for engine in engines}
    meant = [by_number[number] for number in resolve(targets, map(as_engine, engines), LANGUAGE)]
    unable = [engine for engine in meant if is_ready(engine) and not engine.can_call]
    if unable and (every or len(unable) == len(meant)):
        engine = unable[0]
        raise NotSupported(
            f"engine {engine.number} runs the kernel {engine.kernel!r} ({engine.language}), which does not load "
            "nbcluster: functions and variables of Python cannot be sent there; use a cell in its language "
            "(%%distributed, view.execute), or start an engine of this Python with cluster.add(1)"
        )
    return [engine for engine in meant if engine not in unable]


def check_namespaces(targets: Targets, engines: Sequence[m.EngineStatus]) -> None:
    """Refuse a named namespace on engines that have none.

    Raises
    ------
    UnknownTarget, NoEngines, EngineLost, NotSupported
    """
    by_number = {engine.number: engine for engine in engines}
    for number in resolve(targets, map(as_engine, engines), LANGUAGE):
        engine = by_number[number]
        if is_ready(engine) and not engine.can_call:
            raise NotSupported(
                f"engine {engine.number} runs the kernel {engine.kernel!r} ({engine.language}), which has one "
                "namespace alone; leave the namespace out there, or name engines of this Python as targets"
            )


def _check_resources(wanted: Mapping[str, float], engines: Sequence[m.EngineStatus]) -> None:
    if any(
        all(engine.resources.get(name, 0) >= amount for name, amount in wanted.items()) for engine in engines
    ):
        return
    asked = ", ".join(f"{name}={amount:g}" for name, amount in wanted.items())
    have = "; ".join(
        f"engine {engine.number} has "
        + (", ".join(f"{name}={amount:g}" for name, amount in engine.resources.items()) or "none")
        for engine in engines
    )
    raise NoEngines(
        f"no engine has the resources {asked}: {have}. Start one with cluster.add(1, resources=...)"
    )


def as_engine(status: m.EngineStatus) -> Engine:
    """An engine as the grammar of targets knows it."""
    spec = m.KernelSpecRef(kernel=status.kernel, tags=status.tags, resources=status.resources)
    return Engine(
        EngineNumber(status.number),
        status.incarnation,
        spec,
        state=EngineState(status.state),
        language=status.language,
        kernel=status.kernel,
        host=status.host,
        can_call=status.can_call,
        note=status.note,
    )
