"""Which engines may run which calls, kept up to date as engines come and go. Knows targets and resources."""

from __future__ import annotations

from math import inf

from nbcluster.core import targets
from nbcluster.core.dispatch import has_room
from nbcluster.core.kinds import Kind, KindKey
from nbcluster.core.ledger import Ledger
from nbcluster.core.model import Call, Engine, could_call, has, language_of
from nbcluster.core.placement import check_resources, describe
from nbcluster.errors import NBClusterError, NoEngines, NotSupported, UsageError, ValueReleased
from nbcluster.ids import EngineNumber, TaskId
from nbcluster.protocol.calls import CallOptions
from nbcluster.protocol.outcomes import Rejected

LANGUAGE = "python"
"""What calls are made of: the engines that targets leave open are of this language."""

_KEPT = 64
"""Kinds that are remembered although nothing waits in them."""

_NAMED = 8
"""Engines that a message describes."""


class Place:
    """Where the calls with the same options may run: a kind, and for pinned ones the engine."""

    __slots__ = ("engine", "kind")

    def __init__(self, kind: Kind, engine: EngineNumber | None) -> None:
        self.kind = kind
        self.engine = engine


def place(ledger: Ledger, options: CallOptions) -> Place | Rejected:
    """Say where calls with these options may run, or why nowhere."""
    try:
        return _place(ledger, options)
    except NBClusterError as error:
        return Rejected(type(error).__name__, str(error))


def _place(ledger: Ledger, options: CallOptions) -> Place:
    _refuse_malformed(options)
    wanted = targets.parse(options.targets)
    alone = options.timeout is not None
    resources = frozenset(options.resources.items())
    if options.near is not None:
        engine = _engine_of_cell(ledger, options.near)
        return Place(_kind(ledger, (wanted.text, resources, alone, options.level), wanted, options), engine)
    known = ledger.kinds.get((wanted.text, resources, alone, options.level))
    by_name = not any(isinstance(part, targets.Number | targets.Span) for part in wanted.parts)
    if known is not None and known.engines and by_name:
        return Place(known, None)
    numbers = targets.resolve(wanted, ledger.engines.values(), LANGUAGE)
    if options.pinned:
        _refuse_unable(ledger, options, numbers)
    if targets.is_by_position(wanted):
        wanted = targets.parse(",".join(str(number) for number in numbers))
    kind = _kind(ledger, (wanted.text, resources, alone, options.level), wanted, options)
    return Place(kind, numbers[0] if options.pinned else None)


def _refuse_malformed(options: CallOptions) -> None:
    if options.timeout is not None and not 0 < options.timeout < inf:
        raise UsageError(f"the timeout of {options.timeout} s cannot be: it is a number of seconds above 0")
    if options.near is not None and not (options.pinned and not options.targets):
        raise UsageError("a call near a cell is pinned there, and has no other targets")
    if options.level < 0:
        raise UsageError(f"a call cannot be nested {options.level} deep")
    if options.retries < 0:
        raise UsageError(f"{options.retries} retries cannot be: the number of retries is 0 or more")
    check_resources(options.resources)


def _engine_of_cell(ledger: Ledger, name: TaskId) -> EngineNumber | None:
    """The engine of a cell's task; None while it is not chosen."""
    ended, task = ledger.ended.get(name), ledger.tasks.get(name)
    if ended is not None:
        return ended.engine
    if task is not None:
        return task.bound
    raise ValueReleased(f"nothing is known of the task {name}, on whose engine this call is to run")


def _refuse_unable(ledger: Ledger, options: CallOptions, numbers: tuple[EngineNumber, ...]) -> None:
    if len(numbers) != 1:
        raise UsageError(f"a pinned call is about one engine, and {options.targets!r} means {len(numbers)}")
    engine = ledger.engines[numbers[0]]
    if not could_call(engine):
        raise NotSupported(why_unable(engine))


def why_unable(engine: Engine) -> str:
    """Say that an engine runs no functions."""
    language = language_of(engine) or engine.spec.kernel
    return (
        f"engine {engine.number} ({language}) cannot run functions: its kernel does not load nbcluster; "
        "send it cells"
    )


def _kind(ledger: Ledger, key: KindKey, wanted: targets.Targets, options: CallOptions) -> Kind:
    kind = ledger.kinds.get(key)
    if kind is not None and kind.engines:
        return kind
    kind = Kind(key, wanted, options.resources, key[2], ledger.turns)
    kind.engines = _engines(ledger, kind)
    if not kind.engines:
        raise NoEngines(why_none(ledger, kind, options.label or "this call"))
    list_kind(ledger, kind)
    return kind


def list_kind(ledger: Ledger, kind: Kind) -> None:
    """Keep a kind up to date from now on. Nothing waits in it yet."""
    if len(ledger.kinds) >= _KEPT:
        _drop_unused(ledger)
    kind.listed = True
    ledger.kinds[kind.key] = kind
    for number in kind.engines:
        engine = ledger.engines[number]
        engine.kinds.append(kind)
        if engine.accepts and has_room(engine, kind):
            kind.offer(engine.load, number)


def _drop_unused(ledger: Ledger) -> None:
    unused = {kind for kind in ledger.kinds.values() if not kind.ready.size}
    for kind in unused:
        kind.listed = False
        del ledger.kinds[kind.key]
    for engine in ledger.engines.values():
        engine.kinds = [kind for kind in engine.kinds if kind not in unused]


def _engines(ledger: Ledger, kind: Kind) -> dict[EngineNumber, None]:
    return {number: None for number in sorted(ledger.engines) if may_run(ledger.engines[number], kind)}


def may_run(engine: Engine, kind: Kind) -> bool:
    """Whether an engine may run calls of a kind, now or once it is up."""
    return (
        could_call(engine) and has(engine, kind.resources) and targets.means(kind.targets, engine, LANGUAGE)
    )


def current(ledger: Ledger, call: Call) -> Kind:
    """The kind that a call may wait in: its own, or the one that took its place."""
    kind = call.kind
    if not kind.listed:
        present = ledger.kinds.get(kind.key)
        if present is None:
            kind.engines = _engines(ledger, kind)
            list_kind(ledger, kind)
        else:
            kind = call.kind = present
    return kind


def refresh(ledger: Ledger) -> list[Kind]:
    """Find out anew what engines may run that moved. Returns the kinds whose calls no engine is left for."""
    for number in ledger.moved:
        engine = ledger.engines.get(number)
        kinds = [] if engine is None else [kind for kind in ledger.kinds.values() if may_run(engine, kind)]
        for kind in ledger.kinds.values():
            kind.engines.pop(number, None)
        for kind in kinds:
            kind.engines[number] = None
        if engine is not None:
            engine.kinds = kinds
    return [kind for kind in ledger.kinds.values() if not kind.engines and kind.ready.size]


def why_none(ledger: Ledger, kind: Kind, label: str) -> str:
    """Say that no engine can run a call: what it asks for, and what there is."""
    engines = sorted(ledger.engines.values(), key=lambda engine: engine.number)
    there = "; ".join(_describe(engine) for engine in engines[:_NAMED])
    if len(engines) > _NAMED:
        there += f"; and {len(engines) - _NAMED} more"
    return (
        f"no engine can run {label!r}, which asks for {kind.what()}; "
        + (f"there are {there}" if there else "the cluster has no engines")
        + "; `%cluster add 1` starts one"
    )


def _describe(engine: Engine) -> str:
    parts = [language_of(engine) or engine.spec.kernel, engine.state.value, *engine.spec.tags]
    parts += [describe(engine.spec.resources)] if engine.spec.resources else []
    return f"engine {engine.number} ({', '.join(parts)})"
