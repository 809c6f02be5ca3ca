"""Checks of orders that need no decision: what targets mean, what a cell asks of kernels. Changes nothing."""

from __future__ import annotations

import signal

from nbcluster.core.model import Engine
from nbcluster.core.scheduler import Scheduler
from nbcluster.core.targets import parse, resolve
from nbcluster.errors import NBClusterError
from nbcluster.ids import EngineNumber
from nbcluster.protocol.messages import SubmitCell


class Refusal(NBClusterError):
    """An order that is answered with Refused: the name of the error, and its message."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(error, message)
        self.error = error
        self.message = message


def split_targets(
    scheduler: Scheduler, targets: str, language: str, *, failed_too: bool = False
) -> tuple[EngineNumber, ...]:
    """The engines that targets mean now; those that failed count only where they can be helped.

    Raises
    ------
    UsageError, UnknownTarget, NoEngines
    """
    return resolve(parse(targets), scheduler.engines.values(), language, failed_too=failed_too)


def check_signal(signum: int) -> None:
    """Refuse a number that is no signal of this operating system.

    Raises
    ------
    Refusal
    """
    if signum not in signal.valid_signals():
        raise Refusal(
            "UsageError", f"{signum} is no signal; use one of the module signal, such as signal.SIGUSR1"
        )


def check_cell(order: SubmitCell, scheduler: Scheduler, language: str) -> None:
    """Refuse a cell that asks of a kernel what it cannot do.

    Raises
    ------
    Refusal
        When values are to be moved and a target's kernel does not load nbcluster.
    """
    if not order.push and not order.pull:
        return
    for number in split_targets(scheduler, order.targets, language):
        engine: Engine = scheduler.engines[number]
        if engine.language and not engine.can_call:
            raise Refusal(
                "NotSupported",
                f"engine {number} runs the kernel {engine.kernel!r} ({engine.language}), which does not load "
                "nbcluster, so values cannot be moved to or from it; use a cell in its language instead",
            )
