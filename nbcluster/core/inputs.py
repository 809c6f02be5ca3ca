"""All that the scheduler can be told: facts in the past tense, orders in the imperative. Knows no decisions."""

from __future__ import annotations

from msgspec import Struct

from nbcluster.ids import ClientId, EngineNumber, Incarnation, TaskId
from nbcluster.protocol.messages import KernelSpecRef, Outcome, SubmitCell


class EngineReady(Struct, frozen=True, tag=True):
    """An engine answered for the first time in this incarnation."""

    engine: EngineNumber
    incarnation: Incarnation
    language: str
    kernel: str
    host: str
    can_call: bool


class EngineDied(Struct, frozen=True, tag=True):
    """An engine's process ended, or never began. `at` is monotonic seconds, `cause` a phrase ("was killed by …")."""

    engine: EngineNumber
    incarnation: Incarnation
    at: float
    cause: str


class CellReturned(Struct, frozen=True, tag=True):
    """An engine answered. `attempt` tells a late answer from the present one."""

    task: TaskId
    engine: EngineNumber
    incarnation: Incarnation
    attempt: int
    outcome: Outcome


class TimerFired(Struct, frozen=True, tag=True):
    """A timer that an effect set ran out."""

    timer: str


class ClientLeft(Struct, frozen=True, tag=True):
    """A client closed or vanished. Its tasks go on; there is no one to tell."""

    client: ClientId


class SubmitTasks(Struct, frozen=True, tag=True):
    """Run a cell. `tasks` supplies ids: as many as there are engines, and at least one."""

    client: ClientId
    language: str
    order: SubmitCell
    tasks: tuple[TaskId, ...]


class Cancel(Struct, frozen=True, tag=True):
    """Withdraw or interrupt tasks. Unknown and ended ones are passed over."""

    tasks: tuple[TaskId, ...]
    reason: str
    force: bool = False


class CancelOwned(Struct, frozen=True, tag=True):
    """Withdraw or interrupt every task of a client."""

    client: ClientId
    reason: str


class Add(Struct, frozen=True, tag=True):
    """Start engines: n more, or up to n of this kernel."""

    n: int
    spec: KernelSpecRef
    up_to: bool = False


class Scale(Struct, frozen=True, tag=True):
    """Have exactly n engines."""

    n: int
    spec: KernelSpecRef


class Remove(Struct, frozen=True, tag=True):
    """Stop these engines for good."""

    engines: tuple[EngineNumber, ...]


class Restart(Struct, frozen=True, tag=True):
    """End and start these engines again under their numbers. `reason` is what the next cell says of it first."""

    engines: tuple[EngineNumber, ...]
    reason: str


Fact = EngineReady | EngineDied | CellReturned | TimerFired | ClientLeft
Order = SubmitTasks | Cancel | CancelOwned | Add | Scale | Remove | Restart
Input = Fact | Order
