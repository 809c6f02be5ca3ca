"""Knows classes of notebooks by ids that travel with them, so that one comes home as itself. Knows no pickles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary, WeakValueDictionary

from nbcluster.payload import loading

_ids: WeakKeyDictionary[type, str] = WeakKeyDictionary()
_born_here: WeakValueDictionary[str, type] = WeakValueDictionary()
_loaded: WeakValueDictionary[tuple[str, int], type] = WeakValueDictionary()
_state_of: WeakKeyDictionary[type, str] = WeakKeyDictionary()


def id_of(kind: type) -> str:
    """Return the id of a class; a class that has none was made here and gets one."""
    known = _ids.get(kind)
    if known is None:
        known = _ids[kind] = uuid4().hex
        _born_here[known] = kind
    return known


def find(number: str) -> type | None:
    """Return the class of an id if it was made in this process."""
    return _born_here.get(number)


def make(number: str, maker: Callable[..., type], arguments: tuple[Any, ...]) -> type:
    """Return the class of an id in the namespace that is being loaded for; make it, still empty, when there is none."""
    born = _born_here.get(number)
    if born is not None:
        return born
    now = loading.now()
    key = (number, id(now.namespace))
    kind = _loaded.get(key)
    if kind is None:
        kind = maker(*arguments)
        _ids[kind] = number
        _loaded[key] = kind
    now.scope(0).add_class(kind)
    return kind


def fill(kind: type, state: tuple[Callable[[type, Any], Any], Any]) -> None:
    """Give a class its attributes, unless it is at home here or has had these very ones."""
    if _ids.get(kind) in _born_here:
        return
    digest = loading.now().digest
    if digest and _state_of.get(kind) == digest:
        return
    setter, attributes = state
    setter(kind, attributes)
    _state_of[kind] = digest
