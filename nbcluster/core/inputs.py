"""All that the scheduler can be told: facts in the past tense, orders in the imperative. Knows no decisions."""

from __future__ import annotations

from msgspec import Struct

from nbcluster.ids import ClientId, EngineNumber, Incarnation, TaskId
from nbcluster.protocol.calls import CallOptions
from nbcluster.protocol.messages import KernelSpecRef, Outcome, SubmitCell
from nbcluster.protocol.outcomes import CallOutcome
from nbcluster.protocol.tasks import CallRef


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
    """A client closed or vanished. Its tasks go on; there is no one to tell.

    One that said goodbye holds nothing any more but by its keys; one that vanished may be a person who comes back.
    """

    client: ClientId
    goodbye: bool = False


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


# -- calls ------------------------------------------------------------------------------------


class CallOrder(Struct, frozen=True, gc=False):
    """A call as the scheduler knows it: everything but its bytes."""

    task: TaskId
    options: CallOptions
    function: str
    """Digest of the function: calls of one function are expected to take alike."""
    nbytes: int = 0
    """Size of the arguments."""
    inputs: tuple[TaskId, ...] = ()
    after: tuple[TaskId, ...] = ()
    key: str = ""


class SubmitCallOrders(Struct, frozen=True, tag=True):
    """Run calls. One that cannot be ends at once with Rejected; the others are not affected."""

    client: ClientId
    calls: tuple[CallOrder, ...]


class CallsHaveBegun(Struct, frozen=True, tag=True):
    """These attempts run now."""

    engine: EngineNumber
    incarnation: Incarnation
    calls: tuple[CallRef, ...]


class CallReturn(Struct, frozen=True, gc=False):
    """What one attempt came to, for the scheduler."""

    task: TaskId
    attempt: int
    outcome: CallOutcome
    seconds: float = 0.0
    kept_here: bool = True
    """For Returned: whether the controller has the value itself, so that no engine is needed for it."""
    recipe: int = 0
    """For a value that is not kept here: bytes to keep of its arguments to make it again; -1 when they are gone."""
    function: int = 0
    """And of its function."""


class CallsAnswered(Struct, frozen=True, tag=True):
    """These attempts ended there, in this order."""

    engine: EngineNumber
    incarnation: Incarnation
    results: tuple[CallReturn, ...]


class EnginesAnswered(Struct, frozen=True, tag=True):
    """What several engines answered at one time: the consequences of all of it are drawn at once."""

    answers: tuple[CallsAnswered, ...]


class CallsGivenBack(Struct, frozen=True, tag=True):
    """These attempts had not begun there and will not."""

    engine: EngineNumber
    incarnation: Incarnation
    calls: tuple[CallRef, ...]


class EngineLends(Struct, frozen=True, tag=True):
    """What runs there waits, and calls that are nested deeper than `level` can begin; -1: it waits no more."""

    engine: EngineNumber
    incarnation: Incarnation
    level: int


class ReleaseCalls(Struct, frozen=True, tag=True):
    """A client holds these Futures no longer. A value goes when its task has ended and nobody needs it."""

    client: ClientId
    tasks: tuple[TaskId, ...]


class ReleaseKey(Struct, frozen=True, tag=True):
    """Hold the value of a key no longer."""

    key: str


Fact = (
    EngineReady
    | EngineDied
    | CellReturned
    | TimerFired
    | ClientLeft
    | CallsHaveBegun
    | CallsAnswered
    | EnginesAnswered
    | CallsGivenBack
    | EngineLends
)
Order = (
    SubmitTasks
    | Cancel
    | CancelOwned
    | Add
    | Scale
    | Remove
    | Restart
    | SubmitCallOrders
    | ReleaseCalls
    | ReleaseKey
)
Input = Fact | Order
