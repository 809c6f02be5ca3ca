"""What the controller keeps of calls: the bytes of their arguments and of small values. Never looks into them.

Arguments of calls that have returned are kept as *recipes* as long as the scheduler wants, so that values which are
lost with an engine can be made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nbcluster.controller.functions import Functions
from nbcluster.controller.orders import Refusal
from nbcluster.core.tallies import Tally
from nbcluster.ids import ClientId, EngineNumber, Incarnation, TaskId
from nbcluster.protocol.calls import CallOptions, CallSpec, SubmitCalls
from nbcluster.protocol.outcomes import Rejected
from nbcluster.protocol.tasks import RunOptions
from nbcluster.transport.frames import Buffer
from nbcluster.transport.segments import client_owner

HELD_LIMIT = 512 << 20
"""Bytes of arguments that may wait before clients that submit more are made to wait."""

OVERHEAD = 512
"""What a call counts beside its arguments."""


HELD = 1 << 20
"""Bytes that a value counts at most that was put into shared memory and is held: no copy, but a descriptor."""


@dataclass(slots=True)
class KeptCall:
    """A call that may still run."""

    client: ClientId
    owner: str
    spec: CallSpec
    options: CallOptions
    run: RunOptions
    frames: Sequence[Buffer]
    submitted: float
    nbytes: int
    """Of its arguments."""
    tally: Tally | None = None
    """Where it is counted; None for one of nbcluster's own."""
    attempt: int = 0
    engine: EngineNumber | None = None
    incarnation: Incarnation | None = None
    started: float = 0.0
    progress: dict[str, Any] | None = None
    hold: object | None = None
    """What keeps its arguments in shared memory when its client does so no longer."""


class Payloads:
    """The calls that may still run, by their task, and the recipes.

    Parameters
    ----------
    functions : Functions
    hold : callable
        Keeps what an envelope means where it is, as long as the returned object lives; None when it cannot.

    Attributes
    ----------
    nbytes : int
        Bytes of the calls that may still run.
    recipe_nbytes : int
        Bytes of the recipes.
    """

    def __init__(self, functions: Functions, hold: Callable[[bytes], object | None] = lambda envelope: None):
        self._functions = functions
        self._hold = hold
        self._calls: dict[TaskId, KeptCall] = {}
        self._recipes: dict[TaskId, KeptCall] = {}
        self.nbytes = 0
        self.recipe_nbytes = 0

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, task: TaskId) -> KeptCall | None:
        """What is kept of a call; None when it will not run any more, or never was."""
        return self._calls.get(task)

    def keep(
        self,
        client: ClientId,
        owner: str,
        order: SubmitCalls,
        buffers: Sequence[Buffer],
        now: float,
        tallies: Sequence[Tally | None],
    ) -> tuple[list[CallSpec], list[tuple[TaskId, Rejected]]]:
        """Keep calls; return those that can be run, and those that cannot with the reason.

        `tallies` says where calls are counted, by the index of their options.

        Raises
        ------
        Refusal
            When the message contradicts itself: buffers that are not those announced, ids that are in use.
            Nothing is kept then.
        """
        self._check(order, buffers)
        self._functions.offer(client, order.functions)
        runs = [
            RunOptions(kind.label, kind.namespace, kind.quiet, kind.keep, kind.level)
            for kind in order.options
        ]
        taken, rejected, at = [], [], 0
        for spec in order.calls:
            frames = buffers[at : at + len(spec.sizes)] if spec.sizes else ()
            at += len(spec.sizes)
            if spec.function not in self._functions:
                rejected.append((spec.task, _unknown_function(order.options[spec.options].label)))
                continue
            nbytes = len(spec.payload) + (sum(spec.sizes) if spec.sizes else 0)
            self._calls[spec.task] = KeptCall(
                client,
                owner,
                spec,
                order.options[spec.options],
                runs[spec.options],
                frames,
                now,
                nbytes,
                tallies[spec.options],
            )
            self._functions.use(spec.function)
            self.nbytes += nbytes + OVERHEAD
            taken.append(spec)
        self._functions.trim(client)
        return taken, rejected

    def forget(self, tasks: Iterable[TaskId]) -> None:
        """These calls will not run any more, not even to make their values again."""
        for task in tasks:
            kept = self._calls.pop(task, None)
            if kept is not None:
                self.nbytes -= kept.nbytes + OVERHEAD
            else:
                kept = self._recipes.pop(task, None)
                if kept is None:
                    continue
                self.recipe_nbytes -= kept.nbytes + OVERHEAD
            self._functions.unuse(kept.spec.function)

    def cost(self, kept: KeptCall) -> tuple[int, int]:
        """Bytes of what has to be kept so that a call can run again, and of its function; -1 when that is too late.

        What lies in shared memory is held from now on. What was put there is the value itself, and takes no more.
        """
        spec = kept.spec
        if not spec.shared:
            return kept.nbytes, self._functions.size(spec.function)
        if kept.hold is None:
            kept.hold = self._hold(spec.envelope or spec.payload)
            if kept.hold is None:
                return -1, 0
        shared = min(spec.shared, HELD) if spec.envelope else spec.shared
        return kept.nbytes + shared, self._functions.size(spec.function)

    def retire(self, tasks: Iterable[TaskId]) -> None:
        """These calls have returned: from now on what is kept of them is a recipe."""
        for task in tasks:
            kept = self._calls.pop(task)
            kept.frames = [_alone(frame) for frame in kept.frames]
            self._recipes[task] = kept
            self.nbytes -= kept.nbytes + OVERHEAD
            self.recipe_nbytes += kept.nbytes + OVERHEAD

    def revive(self, tasks: Iterable[TaskId]) -> None:
        """These calls are to run again."""
        for task in tasks:
            kept = self._calls[task] = self._recipes.pop(task)
            self.recipe_nbytes -= kept.nbytes + OVERHEAD
            self.nbytes += kept.nbytes + OVERHEAD

    def sharers(self) -> set[str]:
        """The owners of the shared memory in which arguments lie of calls that may still run."""
        return {client_owner(task) for task, kept in self._calls.items() if kept.spec.shared}

    def _check(self, order: SubmitCalls, buffers: Sequence[Buffer]) -> None:
        announced = [size for spec in order.calls if spec.sizes for size in spec.sizes]
        if announced != [len(buffer) for buffer in buffers]:
            raise Refusal(
                "UsageError",
                f"{len(announced)} buffers of arguments were announced and {len(buffers)} came, or of other sizes: "
                "the message was cut off; none of its calls was taken",
            )
        if any(not 0 <= spec.options < len(order.options) for spec in order.calls):
            raise Refusal("UsageError", "a call names options that the message does not have")
        used = [spec.task for spec in order.calls if spec.task in self._calls or spec.task in self._recipes]
        if used or len({spec.task for spec in order.calls}) < len(order.calls):
            raise Refusal(
                "UsageError", f"task ids are in use or not distinct ({used[:3]}); each call needs its own"
            )


def _alone(frame: Buffer) -> Buffer:
    """A frame without the rest of the message that it came in."""
    if isinstance(frame, memoryview) and frame.nbytes < memoryview(frame.obj).nbytes:
        return bytes(frame)
    return frame


def _unknown_function(label: str) -> Rejected:
    return Rejected(
        "ControllerLost",
        f"the controller does not have the function {label!r} any more; submit the call again",
    )


class Values:
    """Where the values of calls are: the small ones here, the others on an engine."""

    def __init__(self) -> None:
        self._here: dict[TaskId, bytes] = {}
        self._there: dict[TaskId, Incarnation] = {}
        self._shared: dict[TaskId, bytes] = {}
        self._lost: dict[TaskId, str] = {}
        self.nbytes = 0

    def keep(self, task: TaskId, payload: bytes) -> None:
        """Keep a value here."""
        self.forget((task,))
        self._here[task] = payload
        self.nbytes += len(payload) + OVERHEAD

    def leave(self, task: TaskId, incarnation: Incarnation, envelope: bytes | None = None) -> None:
        """Note that a value is on an engine, and perhaps what says where it is shared."""
        self.forget((task,))
        self._there[task] = incarnation
        if envelope is not None:
            self._shared[task] = envelope
            self.nbytes += len(envelope) + OVERHEAD

    def shared(self, task: TaskId) -> bytes | None:
        """What says where a value is shared; it may have been moved since, and others have to be asked then."""
        return self._shared.get(task)

    def here(self, task: TaskId) -> bytes | None:
        """The value, when it is kept here."""
        return self._here.get(task)

    def mourn(self, task: TaskId, why: str) -> None:
        """Note that a value is lost for good, and why, for who asks for it."""
        self.forget((task,))
        self._lost[task] = why

    def why_lost(self, task: TaskId) -> str:
        """Why a value was lost for good; "" when it was not."""
        return self._lost.get(task, "")

    def where(self, task: TaskId) -> Incarnation | None:
        """The incarnation that has the value, when one does."""
        return self._there.get(task)

    def forget(self, tasks: Iterable[TaskId]) -> None:
        """Nobody asks for these any more."""
        for task in tasks:
            payload = self._here.pop(task, None)
            if payload is not None:
                self.nbytes -= len(payload) + OVERHEAD
            else:
                self._remove(task)
            if self._lost:
                self._lost.pop(task, None)

    def lose(self, incarnation: Incarnation) -> None:
        """An engine has gone, and its values with it."""
        for task in [task for task, at in self._there.items() if at == incarnation]:
            self._remove(task)

    def _remove(self, task: TaskId) -> None:
        self._there.pop(task, None)
        envelope = self._shared.pop(task, None)
        if envelope is not None:
            self.nbytes -= len(envelope) + OVERHEAD
