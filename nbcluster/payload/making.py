"""What pickles call when they are read: makes functions, classes and references. Knows no bytes.

The names of these functions stand in the pickles: rename none without a new PROTOCOL_VERSION.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

from nbcluster.payload import loading, scopes
from nbcluster.payload.modules import MODULES
from nbcluster.payload.sources import show

_SLOTS = ("__name__", "__qualname__", "__doc__", "__module__", "__defaults__", "__kwdefaults__")


def empty_cell() -> CellType:
    """Make a cell of a closure that has no value yet."""
    return CellType()


def set_cell(cell: CellType, value: tuple[Any, ...]) -> None:
    """Give a cell its value; () is none."""
    if value:
        cell.cell_contents = value[0]


def function(code: CodeType, scope: int, captures: bool, closure: tuple[CellType, ...]) -> FunctionType:
    """Make a function of the namespace that is being loaded for."""
    now = loading.now()
    names = now.scope(scope).merged if captures else None
    return scopes.make(code, now.namespace, names, closure)


def function_of(module: ModuleType, code: CodeType, closure: tuple[CellType, ...]) -> FunctionType:
    """Make a function whose globals are those of a module."""
    return FunctionType(code, vars(module), None, None, closure or None)


def fill_function(made: FunctionType, state: tuple[Any, ...]) -> None:
    """Give a function all that may refer to the function itself."""
    slots, annotations, attributes, contents, type_params, scope, captured, _submodules, source = state
    for name, value in zip(_SLOTS, slots, strict=True):
        setattr(made, name, value)
    if annotations:
        made.__annotations__ = annotations
    if type_params:
        made.__type_params__ = type_params  # type: ignore[attr-defined]  # since Python 3.12
    vars(made).update(attributes)
    for cell, value in zip(made.__closure__ or (), contents, strict=True):
        set_cell(cell, value)
    if source and source[1]:
        show(*source)
    if captured:
        loading.now().scope(scope).add(made, captured)


def cached(wrapped: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """Make an empty functools.lru_cache of a function."""
    return functools.lru_cache(maxsize, typed)(wrapped)


def fill_attributes(thing: Any, attributes: dict[str, Any]) -> None:
    """Set what is in the __dict__ of a thing."""
    vars(thing).update(attributes)


def module(stamps: tuple[tuple[str, str, int, int], ...]) -> ModuleType:
    """Return a module of the user, as new as the sender's."""
    return MODULES.follow(stamps)


def attribute_of(stamps: tuple[tuple[str, str, int, int], ...], path: str) -> Any:
    """Return what stands under a name in a module of the user, as new as the sender's."""
    found: Any = MODULES.follow(stamps)
    for name in path.split("."):
        found = getattr(found, name)
    return found


def nested(digest: str, payload: bytes) -> Any:
    """Return a function that has bytes of its own inside those of a value."""
    now = loading.now()
    return now.find(digest, payload, now.namespace)


def nested_class(number: str, digest: str, payload: bytes) -> Any:
    """Return a class that has bytes of its own inside those of a value: the very class where it was made here."""
    from nbcluster.payload import classes

    born = classes.find(number)
    return nested(digest, payload) if born is None else born


def given(number: str) -> Any:
    """Return the value of a Future that is an argument."""
    return loading.now().inputs[number]


def own(name: str) -> Any:
    """Return what a namespace has under the name of a Ref."""
    now = loading.now()
    try:
        return now.namespace[name]
    except KeyError:
        space = now.namespace.get("__name__", "__main__")
        which = "" if space == "__main__" else f" in the namespace {space.rpartition('.')[2]!r}"
        raise NameError(
            f"name {name!r} is not defined{which} on {now.where}: Ref({name!r}) asked for it", name=name
        ) from None
