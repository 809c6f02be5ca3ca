"""What a task says of its progress: `nbcluster.report`. Knows no sockets; the agent sends what it notes."""

from __future__ import annotations

from typing import Any

from nbcluster.engine import context
from nbcluster.engine.capture import encodable

FRACTION = "fraction"
"""The key of a number between 0 and 1 that was given without a name."""

VALUE = "value"
"""The key of anything else that was given without a name."""


def report(fraction_or_value: float | str | None = None, /, **values: Any) -> None:
    """Say how far the running task is. Outside of a task this does nothing.

    Parameters
    ----------
    fraction_or_value : float or str, optional
        A number from 0 to 1 is the part that is done; anything else is shown as it is.
    **values : str, int, float, bool, None, or lists and dicts of such
        More to be shown, by name. Scalars of numpy are taken as numbers.

    Raises
    ------
    TypeError
        When a value is of another kind. Say less: `report(loss=float(loss))`.

    Notes
    -----
    At most five reports a second are sent; the last one always is.

    Examples
    --------
    >>> for epoch in range(10):
    ...     report(epoch / 10, loss=0.3)
    """
    said = {name: _plain(name, value) for name, value in values.items()}
    if fraction_or_value is not None:
        first = _plain(VALUE, fraction_or_value)
        is_number = isinstance(first, int | float) and not isinstance(first, bool)
        said = {(FRACTION if is_number and 0 <= first <= 1 else VALUE): first, **said}
    call = context.current.get()
    if call is not None:
        call.progress = said


def _plain(name: str, value: Any) -> Any:
    match value:
        case None | bool():
            return value
        case str():
            return encodable(value)
        case int() if -(1 << 63) <= value < 1 << 64:
            return int(value)
        case int():
            return f"an integer of {value.bit_length()} bits"
        case float():
            return float(value)
        case _:
            pass
    if isinstance(value, list | tuple):
        return [_plain(name, item) for item in value]
    if isinstance(value, dict):
        return {encodable(str(key)): _plain(name, item) for key, item in value.items()}
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        return _plain(name, item())
    raise TypeError(
        f"report() cannot send {name!r}, a {type(value).__name__}: give numbers, texts, or lists and dicts of them"
    )
