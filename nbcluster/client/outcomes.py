"""Turns how a call ended into the exception that its Future raises. Knows no Futures and no messages' ways."""

from __future__ import annotations

from typing import assert_never

from nbcluster.client.cellnames import raised_here
from nbcluster.errors import (
    BY_NAME,
    EngineLost,
    NBClusterError,
    RemoteError,
    TaskCancelled,
    TaskTimeout,
)
from nbcluster.ids import EngineNumber
from nbcluster.protocol import outcomes as o


def exception_of(outcome: o.CallOutcome, what: str, engine: EngineNumber | None) -> Exception | None:
    """Return the exception that an outcome stands for, None for a value.

    Parameters
    ----------
    outcome : CallOutcome
    what : str
        The call in a few words, for messages.
    engine : int or None
        The engine that it ended on.
    """
    match outcome:
        case o.Returned():
            return None
        case o.Threw():
            error = raised_here(outcome, engine)
            return error if isinstance(error, Exception) else RemoteError(outcome.ename, outcome.evalue)
        case o.EngineGone(reason):
            return EngineLost(reason)
        case o.Withdrawn(reason):
            return TaskCancelled(f"{what} was cancelled: {reason}")
        case o.OutOfTime(seconds, note):
            more = f"; {note}" if note else ""
            where = "" if engine is None else f" on engine {engine}"
            return TaskTimeout(f"{what} ran longer than its limit of {seconds:g} s{where}{more}")
        case o.Rejected(name, message):
            return BY_NAME.get(name, NBClusterError)(message)
        case _:
            assert_never(outcome)
