"""Lets functions see names that they brought along, where the namespace that they run in lacks them.

A function that comes from elsewhere has the namespace as its globals. Python looks a global name up there and then
in the builtins, which a function keeps from the moment it is made: so the names it brought are put among its
builtins, and what the namespace has always wins. An inner function takes its builtins from ``__builtins__`` of the
namespace when it is made; that is arranged in two ways:

- while a call runs, ``__builtins__`` of its namespace is the merged dict of the call's function (captured_visible);
- for what stays (pushed objects, inner functions that were kept), `Lookup` takes the place of ``__builtins__``: it
  knows by the code that asks which names that code brought. It is slower (see its docstring), so it is there only
  while such code lives.

Knows no pickles.
"""

from __future__ import annotations

import builtins
import gc
import sys
from collections.abc import Callable
from operator import gt
from threading import RLock, local
from types import CodeType, FunctionType
from typing import Any, NamedTuple
from weakref import ref

from nbcluster.payload.names import contained, reads

_KEY = "__builtins__"
# A weak reference may die, and its callback run, at any point of the same thread: hence reentrant.
_lock = RLock()


class Lookup(dict[str, Any]):
    """The builtins, and for code that is registered here the names that it brought.

    Functions that cells make while this is a namespace's ``__builtins__`` find global names by the slow road of the
    interpreter: some 20 ns more for a global, 100 ns more for a builtin.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        super().__init__(vars(builtins))
        self._namespace = namespace
        self._codes: dict[int, tuple[ref[CodeType], dict[str, Any]]] = {}

    def __missing__(self, name: str) -> Any:
        entry = self._codes.get(id(sys._getframe(1).f_code))
        if entry is not None and name in entry[1]:
            return entry[1][name]
        return vars(builtins)[name]

    def add(self, scope: Scope) -> None:
        """Let the inner code of a scope see the scope's names."""
        for name in scope.captured.keys() & self.keys():
            del self[name]  # it hides a builtin: __missing__ tells who asks
        for code in scope.readers:
            if id(code) not in self._codes:
                self._codes[id(code)] = (ref(code, self._forget(id(code))), scope.captured)

    def names_of(self, code: CodeType) -> dict[str, Any]:
        """Return the names that code, or code inside it, brought."""
        entry = self._codes.get(id(code))
        found = {} if entry is None else dict(entry[1])
        for inner in contained(code):
            found |= self.names_of(inner)
        return found

    def _forget(self, number: int) -> Callable[[ref[CodeType]], None]:
        is_end = sys.is_finalizing

        def gone(_: ref[CodeType]) -> None:
            if is_end():
                return
            with _lock:
                self._codes.pop(number, None)
                space = _spaces.get(id(self._namespace))
                if not self._codes and space is not None and space.lookup is self:
                    space.lookup = None
                    space.settle()

        return gone


class Scope:
    """The names that the functions of one pickle brought, for one namespace.

    Attributes
    ----------
    captured : dict
        The names and their values.
    merged : dict
        The builtins and those names: what the functions have as builtins.
    readers : list of code
        Code inside the functions that reads such names.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.captured: dict[str, Any] = {}
        self.merged: dict[str, Any] = dict(vars(builtins))
        self.readers: list[CodeType] = []
        self._keepsakes: list[Any] = []

    def add(self, function: FunctionType, captured: dict[str, Any]) -> None:
        """Take in the names that a function of this scope brought."""
        self.captured.update(captured)
        self.merged.update(captured)
        if self._find_readers(function.__code__, frozenset(captured)):
            self._keepsakes.append(function)

    def add_class(self, kind: type) -> None:
        """Watch a class of this scope: its instances may be kept."""
        self._keepsakes.append(kind)

    def _find_readers(self, code: CodeType, names: frozenset[str]) -> bool:
        found = False
        for inner in contained(code):
            if self._find_readers(inner, names):
                self._keepsakes.append(inner)
                found = True
            if reads(inner) & names:
                self.readers.append(inner)
                found = True
        return found

    def references(self) -> list[int]:
        """Count the references to all that makes readers."""
        return [sys.getrefcount(item) for item in self._keepsakes]

    def is_held_more(self, before: list[int]) -> bool:
        """Whether there are more references than before: then something that makes readers was kept."""
        now = self.references()
        return len(now) > len(before) or any(map(gt, now, before))


def make(
    code: CodeType, namespace: dict[str, Any], names: dict[str, Any] | None, closure: tuple[Any, ...]
) -> FunctionType:
    """Make a function whose globals are a namespace and whose builtins are `names` (None: the builtins)."""
    with _lock:
        before = namespace.get(_KEY)
        namespace[_KEY] = vars(builtins) if names is None else names
        try:
            return FunctionType(code, namespace, None, None, closure or None)
        finally:
            _put_back(namespace, before)


def keep(scope: Scope) -> None:
    """Let inner functions of a scope see its names from now on, whoever makes them and whenever."""
    if not scope.readers:
        return
    with _lock:
        space = _space(scope.namespace)
        if space.lookup is None:
            space.lookup = Lookup(scope.namespace)
            for layer in space.layers:
                space.lookup.add(layer.scope)
        space.lookup.add(scope)
        space.settle()


class captured_visible:  # it reads as the verb it is: with captured_visible(scope)
    """Let inner functions that are made in this block see the names of the functions that run in it.

    Enter it before the arguments are loaded: the functions and classes in them are attached to it. Drop the result
    and the arguments of the call within it: what is still held at its end counts as kept by the user, and makes the
    lookup slower (see `Lookup`).

    Parameters
    ----------
    scope : Scope or None
        Of the function that is called.
    """

    __slots__ = ("_is_over", "_layers", "_outer", "_scope")

    def __init__(self, scope: Scope | None) -> None:
        self._scope = scope
        self._layers: list[_Layer] = []
        self._is_over = False

    def __enter__(self) -> None:
        self._outer = _blocks.now
        _blocks.now = self
        if self._scope is not None:
            self.attach(self._scope, None)

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        while _blocks.now is not None and _blocks.now._is_over:
            _blocks.now = _blocks.now._outer
        while self._layers:
            _take_off(self._layers.pop())

    def attach(self, scope: Scope, owner: object) -> None:
        """Let inner functions of a scope see its names till the end of the block, and longer if they are kept.

        `owner` is held till then, so that only what the user holds makes a difference.
        """
        if not scope.readers or any(layer.scope is scope for layer in self._layers):
            return
        same = [layer.scope for layer in self._layers if layer.scope.namespace is scope.namespace]
        known = {name: value for other in same for name, value in other.captured.items()}
        if any(known.get(name, value) is not value for name, value in scope.captured.items()):
            keep(scope)
            return
        names = {**vars(builtins), **known, **scope.captured} if same else scope.merged
        layer = _Layer(scope, names, scope.references(), owner)
        with _lock:
            space = _space(scope.namespace)
            space.layers.append(layer)
            if space.lookup is not None:
                space.lookup.add(scope)
            space.settle()
        self._layers.append(layer)


class _Layer(NamedTuple):
    """What one scope adds to a namespace for a block: the builtins, and its names and those of the block before it."""

    scope: Scope
    names: dict[str, Any]
    held: list[int]
    owner: object


class _Space:
    """What stands in for the builtins of a namespace: a lookup, or the latest layer, or else what was there."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.original = namespace.get(_KEY)
        self.layers: list[_Layer] = []
        self.lookup: Lookup | None = None

    def settle(self) -> None:
        """Put in what is due."""
        if self.lookup is not None:
            self.namespace[_KEY] = self.lookup
        elif self.layers:
            self.namespace[_KEY] = self.layers[-1].names
        else:
            _put_back(self.namespace, self.original)
            del _spaces[id(self.namespace)]


_spaces: dict[int, _Space] = {}


def _space(namespace: dict[str, Any]) -> _Space:
    if id(namespace) not in _spaces:
        _spaces[id(namespace)] = _Space(namespace)
    return _spaces[id(namespace)]


class _Blocks(local):
    now: captured_visible | None = None


_blocks = _Blocks()


def attach(scope: Scope, owner: object) -> None:
    """Let inner functions of a scope see its names as long as they may be made, in a block or outside of any."""
    if _blocks.now is None:
        keep(scope)
    else:
        _blocks.now.attach(scope, owner)


def _take_off(layer: _Layer) -> None:
    scope = layer.scope
    with _lock:
        space = _space(scope.namespace)
        space.layers = [other for other in space.layers if other is not layer]
        space.settle()
    if scope.is_held_more(layer.held):
        gc.collect(1)  # a class that the call made and dropped is a cycle
        if scope.is_held_more(layer.held):
            keep(scope)


def _put_back(namespace: dict[str, Any], before: Any) -> None:
    if before is None:
        namespace.pop(_KEY, None)
    else:
        namespace[_KEY] = before
