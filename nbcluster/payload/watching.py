"""Tells whether a function would be pickled the same again: all that it reaches is known, and unchanged since.

Only what cannot change unseen is trusted: atoms, tuples of those, functions and classes whose parts are looked at
again, modules by their stamps. Anything else (a list, an array, an object) makes a function unwatchable. Knows no
pickles.
"""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Mapping
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

from nbcluster.payload.modules import MODULES
from nbcluster.payload.names import all_reads, writes_closure
from nbcluster.payload.pickling import CACHED_FUNCTION, importable, is_namespace

ATOMS = frozenset((int, float, complex, bool, str, bytes, range, type(None), type(Ellipsis)))
"""Types whose values cannot change and pickle by themselves."""

_MISSING = object()
_MOST = 500
_OF_CLASSES = frozenset(
    [
        "__dict__",
        "__weakref__",
        "__dataclass_fields__",
        "__dataclass_params__",
        "_abc_impl",
        "__annotations_cache__",
    ]
)


class Watch:
    """What a function reached when it was pickled."""

    def __init__(self) -> None:
        self._seen: dict[int, Any] = {}
        self._functions: list[tuple[FunctionType, CodeType, Any]] = []
        self._cells: list[tuple[CellType, Any]] = []
        self._names: list[tuple[Mapping[str, Any], int, list[tuple[str, Any]]]] = []
        self._modules: list[tuple[ModuleType, Any]] = []
        self.writes = False
        """Whether a function in it assigns its closure: then a call changes what the next would see."""

    def is_same(self) -> bool:
        """Whether all of it is still what it was."""
        for function, code, defaults in self._functions:
            if function.__code__ is not code or function.__defaults__ is not defaults:
                return False
        for mapping, size, items in self._names:
            if size >= 0 and len(mapping) != size:
                return False
            for name, value in items:
                if mapping.get(name, _MISSING) is not value:
                    return False
        for cell, value in self._cells:
            if _content(cell) is not value:
                return False
        return all(MODULES.stamps(module) == stamps for module, stamps in self._modules)

    def add(self, thing: Any) -> bool:
        """Watch a thing and all that it reaches; False when some of it cannot be watched."""
        kind = type(thing)
        if kind in ATOMS or thing is _MISSING:
            return True
        if id(thing) in self._seen:
            return True
        if len(self._seen) >= _MOST:
            return False
        self._seen[id(thing)] = thing
        if kind is tuple or kind is frozenset:
            return all(map(self.add, thing))
        if kind is FunctionType:
            return self._add_function(thing)
        if kind in (type, ABCMeta):
            return self._add_class(thing)
        if isinstance(thing, ModuleType):
            return self._add_module(thing)
        if kind is MethodType:
            return self.add(thing.__func__) and self.add(thing.__self__)
        if kind is CACHED_FUNCTION:
            return self._add_mapping(vars(thing)) and self.add(thing.__wrapped__)
        if kind is BuiltinFunctionType:
            return thing.__self__ is None or isinstance(thing.__self__, ModuleType)
        if (place := importable(thing)) is not None:
            return self._add_module(place[0])
        return False

    def _add_function(self, function: FunctionType) -> bool:
        if (place := importable(function)) is not None:
            return self._add_module(place[0])
        space = function.__globals__
        if not is_namespace(space.get("__name__")):
            return False
        self._functions.append((function, function.__code__, function.__defaults__))
        self.writes = self.writes or writes_closure(function.__code__)
        cells = [(cell, _content(cell)) for cell in function.__closure__ or ()]
        self._cells += cells
        names = [(name, space.get(name, _MISSING)) for name in all_reads(function.__code__)]
        if names:
            self._names.append((space, -1, names))
        return (
            all(self.add(value) for _, value in [*cells, *names])
            and self.add(function.__defaults__)
            and self._add_mapping(vars(function))
            and (not function.__kwdefaults__ or self._add_mapping(function.__kwdefaults__))
            and (not function.__annotations__ or self._add_mapping(function.__annotations__))
        )

    def _add_class(self, kind: type) -> bool:
        if (place := importable(kind)) is not None:
            return self._add_module(place[0])
        attributes = vars(kind)
        self._names.append((attributes, len(attributes), list(attributes.items())))
        for name, value in attributes.items():
            match value:
                case _ if name in _OF_CLASSES or type(value) is MemberDescriptorType:
                    known = True
                case staticmethod() | classmethod():
                    known = self.add(value.__func__)
                case property():
                    known = all(self.add(part) for part in (value.fget, value.fset, value.fdel))
                case dict() if name == "__annotations__":
                    known = self._add_mapping(value)
                case _:
                    known = self.add(value)
            if not known:
                return False
        return all(self.add(base) for base in kind.__bases__)

    def _add_module(self, module: ModuleType) -> bool:
        stamps = MODULES.stamps(module)
        if stamps:
            self._modules.append((module, stamps))
        return True

    def _add_mapping(self, mapping: Mapping[str, Any]) -> bool:
        self._names.append((mapping, len(mapping), list(mapping.items())))
        return all(self.add(value) for value in mapping.values())


def watch(thing: Any) -> Watch | None:
    """Return the watch over a function or class, None when it cannot be watched."""
    made = Watch()
    return made if made.add(thing) else None


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING
