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
_active: dict[int, list[Scope]] = {}


class Lookup(dict[str, Any]):
    """The builtins, and for code that is registered here the names that it brought.

    Functions that cells make while this is a namespace's ``__builtins__`` find global names by the slow road of the
    interpreter: some 20 ns more for a global, 100 ns more for a builtin.
    """

    def __init__(self, namespace: dict[str, Any], before: Any) -> None:
        super().__init__(vars(builtins))
        self._namespace = namespace
        self._before = before
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
        lock, key = _lock, _KEY  # at the end of the process the module's names go first

        def gone(_: ref[CodeType]) -> None:
            with lock:
                self._codes.pop(number, None)
                if not self._codes and self._namespace.get(key) is self:
                    self._namespace[key] = self._before

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
        now = scope.namespace.get(_KEY)
        if not isinstance(now, Lookup):
            active = _active.get(id(scope.namespace), [])
            before = vars(builtins) if active else now
            now = Lookup(scope.namespace, vars(builtins) if before is None else before)
            for other in active:
                now.add(other)
            scope.namespace[_KEY] = now
        now.add(scope)


class captured_visible:  # it reads as the verb it is: with captured_visible(scope)
    """Let inner functions that are made in this block see the names of the functions that run in it.

    Blocks of a thread end in the reverse order. Functions and classes that are loaded in the block, as arguments,
    are attached to it. Drop the result and the arguments of the call within the block: what is still held at its
    end counts as kept by the user, and makes the lookup slower (see `Lookup`).

    Parameters
    ----------
    scope : Scope or None
        Of the function that is called.
    """

    __slots__ = ("_layers", "_outer", "_scope")

    def __init__(self, scope: Scope | None) -> None:
        self._scope = scope
        self._layers: list[_Layer] = []

    def __enter__(self) -> None:
        self._outer = _blocks.now
        _blocks.now = self
        if self._scope is not None:
            self.attach(self._scope, None)

    def __exit__(self, *_: object) -> None:
        _blocks.now = self._outer
        while self._layers:
            _take_off(self._layers.pop())

    def attach(self, scope: Scope, owner: object) -> None:
        """Let inner functions of a scope see its names till the end of the block, and longer if they are kept.

        `owner` is held till then, so that only what the user holds makes a difference.
        """
        if not scope.readers or any(layer.scope is scope for layer in self._layers):
            return
        space = scope.namespace
        same = [layer.scope for layer in self._layers if layer.scope.namespace is space]
        known = {name: value for other in same for name, value in other.captured.items()}
        if any(known.get(name, value) is not value for name, value in scope.captured.items()):
            keep(scope)
            return
        with _lock:
            before = space.get(_KEY)
            _active.setdefault(id(space), []).append(scope)
            installed: dict[str, Any] | None = None
            if isinstance(before, Lookup):
                before.add(scope)
            else:
                installed = scope.merged if not same else {**vars(builtins), **known, **scope.captured}
                space[_KEY] = installed
        self._layers.append(_Layer(scope, before, installed, scope.references(), owner))


class _Layer(NamedTuple):
    """What one scope changed for a block."""

    scope: Scope
    before: Any
    installed: dict[str, Any] | None
    held: list[int]
    owner: object


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
    scope, space = layer.scope, layer.scope.namespace
    with _lock:
        active = _active[id(space)]
        active.remove(scope)
        if not active:
            del _active[id(space)]
        if layer.installed is not None and space.get(_KEY) is layer.installed:
            _put_back(space, layer.before)
    if scope.is_held_more(layer.held):
        gc.collect(1)  # a class that the call made and dropped is a cycle
        if scope.is_held_more(layer.held):
            keep(scope)


def _put_back(namespace: dict[str, Any], before: Any) -> None:
    if before is None:
        namespace.pop(_KEY, None)
    else:
        namespace[_KEY] = before
