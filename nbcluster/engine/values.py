"""Turns values into text that rides in a message's metadata, and back. Knows no kernel.

This is the first form of moving values: small ones, through the kernel's own messages.
"""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import cloudpickle
from msgspec import Struct, convert

from nbcluster.errors import NotSerializable
from nbcluster.protocol.origin import Origin

PULL_LIMIT = 64 << 20
"""Bytes of a value that was asked for by name."""

RESULT_LIMIT = 1 << 20
"""Bytes of the value of a cell's last expression, which comes without being asked for by name."""

RESULT = ""
"""The name under which the value of the last expression is sent."""


class Wishes(Struct, frozen=True):
    """What an execute_request asks for under the metadata key "nbcluster"."""

    push: dict[str, str] = {}
    pull: tuple[str, ...] = ()
    want_value: bool = False
    origin: Origin | None = None
    namespace: str = ""


class Unsent(Exception):
    """A value that is not sent; the text says why and what to do."""


class _BoundedWriter:
    """Collects bytes and gives up when there are too many."""

    def __init__(self, limit: int) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self._limit = limit

    def write(self, data: Any) -> int:
        self.size += len(data)
        if self.size > self._limit:
            raise _TooMuch
        self.parts.append(bytes(data))
        return len(data)


class _TooMuch(Exception):
    pass


def read_wishes(metadata: Mapping[str, Any] | None) -> Wishes:
    """Read what a request asks for; nothing when it says nothing."""
    return convert((metadata or {}).get("nbcluster") or {}, Wishes)


def load(name: str, text: str) -> Any:
    """Return the value that was pushed under a name.

    Raises
    ------
    NotSerializable
        When it cannot be made here; says which name and, where that is it, which module is missing.
    """
    try:
        return pickle.loads(base64.b64decode(text))  # noqa: S301  # the sender holds this cluster's key
    except ModuleNotFoundError as error:
        raise NotSerializable(
            f"the value pushed as {name!r} needs the module {error.name!r}, which this engine does not have; "
            "install it there, or push something simpler"
        ) from error
    except Exception as error:
        raise NotSerializable(
            f"the value pushed as {name!r} cannot be unpickled here: {type(error).__name__}: {error}"
        ) from error


def dump(value: Any, limit: int, advice: str) -> str:
    """Return a value as text.

    Parameters
    ----------
    value : object
        Anything.
    limit : int
        The most bytes that its pickle may have.
    advice : str
        What to do with a larger one; ends the sentence that says its size.

    Raises
    ------
    Unsent
        When it is too large or cannot be pickled.
    """
    known = _known_size(value)
    if known is not None and known > limit:
        raise Unsent(f"{_readable(known)}, more than the {_readable(limit)} that are sent; {advice}")
    writer = _BoundedWriter(limit)
    try:
        cloudpickle.dump(value, writer, protocol=5)
    except _TooMuch:
        raise Unsent(f"more than the {_readable(limit)} that are sent; {advice}") from None
    except Exception as error:
        raise Unsent(
            f"a {type(value).__name__} cannot be pickled: {type(error).__name__}: {error}"
        ) from error
    return base64.b64encode(b"".join(writer.parts)).decode("ascii")


def collect(
    wishes: Wishes, namespace: Mapping[str, Any], result: Callable[[], Any]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the values that were asked for, as text by name, and the reasons for those that are not sent."""
    values: dict[str, str] = {}
    unsent: dict[str, str] = {}
    for name in wishes.pull:
        if name not in namespace:
            unsent[name] = f"missing: this engine has no variable {name!r}"
            continue
        try:
            values[name] = dump(namespace[name], PULL_LIMIT, "pull a part of it")
        except Unsent as reason:
            unsent[name] = str(reason)
    if wishes.want_value and (value := result()) is not None:  # no value is as good as None
        try:
            values[RESULT] = dump(value, RESULT_LIMIT, "give it a name and pull it by that")
        except Unsent as reason:
            unsent[RESULT] = str(reason)
    return values, unsent


def _known_size(value: Any) -> int | None:
    """Bytes of a value, where they can be told without looking into it."""
    if isinstance(value, bytes | bytearray | str):
        return len(value)
    size = getattr(type(value), "nbytes", None)
    if size is None:
        return None
    try:
        known = value.nbytes
    except Exception:  # a foreign property may do anything: its size is unknown then
        return None
    return known if isinstance(known, int) else None


def _readable(size: int) -> str:
    if size < 1 << 20:
        return f"{size / 1024:.3g} KiB"
    return f"{size / (1 << 20):.4g} MiB"
