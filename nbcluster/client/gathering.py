"""Joins the parts of a name that engines have; large arrays are written by the engines into one piece of memory.

Knows what is asked of engines, one after the other, and how answers are put together; who drives it does the waiting.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from nbcluster.client.futures import Future
from nbcluster.client.oneach import OnEach
from nbcluster.client.scatter import join
from nbcluster.ids import TaskId
from nbcluster.payload.envelopes import seal
from nbcluster.payload.forms import Form, joined


def gathering(
    each: OnEach, name: str, axis: int, behind: Mapping[int, Sequence[TaskId]] | None = None
) -> Generator[Future, Any, Any]:
    """Yield what is to be waited for, and take its result; return the parts of a name, joined.

    Parameters
    ----------
    each : OnEach
        The engines that have the parts, in order.
    name : str
    axis : int
        Along which arrays are joined.
    behind : mapping of int to tasks, optional
        What must have succeeded on each engine before it is asked.

    Raises
    ------
    UsageError
        When the parts do not fit together.
    """
    if each.single or axis != 0 or not each.sharing.is_on:
        parts = yield each.pull(name, behind)
        return join([parts] if each.single else list(parts.values()), axis)
    offers = yield each.offer(name, behind)
    if not any(isinstance(offer, Form) for offer in offers.values()):
        return join(list(offers.values()), axis)
    form = (
        joined(list(offers.values())) if all(isinstance(offer, Form) for offer in offers.values()) else None
    )
    reserved = None if form is None else each.sharing.reserve(form.nbytes)
    if form is not None and reserved is not None:
        place, lease = reserved
        filled = yield each.fill(name, offers, place)
        if all(filled.values()):
            lease.filled()
            _, (buffer,) = each.sharing.opened(seal(place), ())
            return _array_of(form, buffer)
    parts = yield each.pull(name)
    return join(list(parts.values()), axis)


def _array_of(form: Form, buffer: Any) -> Any:
    import numpy

    return numpy.frombuffer(buffer, form.dtype).reshape(form.shape)
