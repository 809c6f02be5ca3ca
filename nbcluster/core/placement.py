"""Says which engines a cell may run on. Knows languages, resources and loads; knows no sockets."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from nbcluster.core.model import Engine, Task, has, is_up, language_of, takes_tasks
from nbcluster.errors import NoEngines, UsageError
from nbcluster.ids import EngineNumber
from nbcluster.protocol.messages import SubmitCell


def could_run(engine: Engine, task: Task) -> bool:
    """Whether the engine runs the task's language, or may turn out to once it is up, and has what it asks for."""
    return (
        takes_tasks(engine)
        and language_of(engine).casefold() in (task.language.casefold(), "")
        and has(engine, task.order.resources)
    )


def with_resources(
    engines: Mapping[EngineNumber, Engine], numbers: tuple[EngineNumber, ...], cell: SubmitCell
) -> tuple[EngineNumber, ...]:
    """Those of the meant engines that have what a cell asks for, or NoEngines."""
    able = tuple(number for number in numbers if has(engines[number], cell.resources))
    if able:
        return able
    asked = describe(cell.resources)
    there = "; ".join(
        f"engine {number} has {describe(engines[number].spec.resources) or 'none'}" for number in numbers
    )
    raise NoEngines(f"no engine that is meant has the resources {asked}: {there}")


def describe(resources: Mapping[str, float]) -> str:
    """Resources for a person."""
    return ", ".join(f"{name}={amount:g}" for name, amount in resources.items())


def check_resources(resources: Mapping[str, float]) -> None:
    """Refuse amounts that cannot be."""
    for name, amount in resources.items():
        if not 0 <= amount < inf:
            raise UsageError(f"{amount} of the resource {name!r} cannot be: it is a number, 0 or more")


def beside(engines: Mapping[EngineNumber, Engine], numbers: tuple[EngineNumber, ...]) -> EngineNumber:
    """The engine for a live cell that any may run: one that is up, with the least beside, then the lowest."""
    return min(numbers, key=lambda number: (not is_up(engines[number]), len(engines[number].beside), number))
