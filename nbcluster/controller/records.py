"""Puts what became of a task into the record that people see and that the history keeps. Decides nothing."""

from __future__ import annotations

from nbcluster.controller.history import Row
from nbcluster.controller.payloads import KeptCall
from nbcluster.core.effects import CallEnd
from nbcluster.protocol import messages as m
from nbcluster.protocol import outcomes as o
from nbcluster.protocol.calls import TaskRecord
from nbcluster.protocol.tasks import CallResult

LONGEST_ERROR = 4000
"""Characters of an error that a record keeps."""


def state_of(outcome: o.CallOutcome | m.Outcome) -> str:
    """The state that a task ended in."""
    match outcome:
        case o.Returned() | m.Succeeded():
            return "done"
        case o.Threw() | o.OutOfTime() | o.Rejected() | m.Raised() | m.TimedOut() | m.Unmet():
            return "failed"
        case o.EngineGone() | m.Lost():
            return "lost"
        case o.Withdrawn() | m.Cancelled():
            return "cancelled"


def error_of(outcome: o.CallOutcome | m.Outcome) -> str:
    """What went wrong, in a line or some; "" when nothing did."""
    match outcome:
        case o.Returned() | m.Succeeded():
            return ""
        case o.Threw(ename, evalue) | m.Raised(ename, evalue):
            error = f"{ename}: {evalue}"
        case o.OutOfTime(seconds, note) | m.TimedOut(seconds, _, note):
            error = f"TaskTimeout: it ran longer than {seconds:g} s{'; ' if note else ''}{note}"
        case o.Rejected(name, message):
            error = f"{name}: {message}"
        case m.Unmet(reason):
            error = f"DependencyFailed: {reason}"
        case o.EngineGone(reason) | m.Lost(reason):
            error = f"EngineLost: {reason}"
        case o.Withdrawn(reason) | m.Cancelled(reason):
            error = f"TaskCancelled: {reason}"
    if len(error) > LONGEST_ERROR:
        return f"{error[:LONGEST_ERROR]}… ({len(error) - LONGEST_ERROR} more characters)"
    return error


def call_row(end: CallEnd, kept: KeptCall, result: CallResult | None, now: float) -> Row:
    """A call that ended, as the history keeps it."""
    outcome = end.outcome
    return (
        end.task,
        kept.spec.key,
        kept.options.label,
        "call",
        state_of(outcome),
        kept.owner,
        end.engine,
        end.attempt,
        kept.submitted,
        (result.started if result is not None else kept.started) or None,
        now,
        result.seconds if result is not None else None,
        outcome.nbytes if type(outcome) is o.Returned else None,
        error_of(outcome),
    )


def record_of(row: Row) -> TaskRecord:
    """A row of the history as a record."""
    return TaskRecord(*row)
