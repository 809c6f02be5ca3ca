"""Reads the bodies of functions that are called or kept, with what is known of the arguments. Runs nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import TYPE_CHECKING

from nbcluster.notebook.dataflow.effects import CannotAnalyse
from nbcluster.notebook.dataflow.families import ATOM
from nbcluster.notebook.dataflow.scopes import Scope, is_generator, parameters, scope_of
from nbcluster.notebook.dataflow.values import Callable, Share, Value, either, fresh, holding

if TYPE_CHECKING:
    from nbcluster.notebook.dataflow.expressions import Reader

DEEPEST = 12
"""Calls within calls that are read; deeper ones are not."""


class _Frame:
    """A call that is being read."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.results: list[Value] = []
        self.changed = False


class FunctionReader:
    """Reads functions for one statement.

    Parameters
    ----------
    reader : Reader
        Reads their bodies.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.frames: dict[int, _Frame] = {}
        self.kept = 0
        """How many functions are being read that are kept, rather than called."""

    def apply(
        self, function: Callable, values: list[Value], named: dict[str | None, Value], *, spread: bool = False
    ) -> Value:
        """Read the body of a function for a call with these arguments.

        Parameters
        ----------
        spread : bool
            Any argument may be any parameter.
        """
        node = function.node
        everything = [*values, *named.values()]
        self.reader.use_up(*everything)
        frame = self.frames.get(id(node))
        if frame is not None:
            return self._recur(frame, everything)
        if len(self.frames) >= DEEPEST:
            raise CannotAnalyse(self.reader.line, f"calls are nested more than {DEEPEST} deep")
        outer, line = self.reader.scope, self.reader.line
        scope = scope_of(node, function.scope)
        for name, value in self._bound_arguments(node, values, named, spread=spread).items():
            scope.values[name] = value
        frame = self.frames[id(node)] = _Frame(scope)
        lazy = isinstance(node, ast.AsyncFunctionDef) or is_generator(node)
        self.reader.conditional += 1
        for _ in range(3):
            self.reader.scope, frame.changed = scope, False
            if isinstance(node, ast.Lambda):
                frame.results.append(self.reader.read(node.body))
            else:
                self.reader.execute(node.body)
            if not frame.changed:
                break
        self.reader.conditional -= 1
        self.reader.scope, self.reader.line = outer, line
        del self.frames[id(node)]
        result = either(frame.results) if frame.results else fresh(ATOM)
        if lazy:
            result = holding([result, *everything], result.family if not is_generator(node) else None)
            result.lazy = "a generator" if is_generator(node) else "a coroutine"
        return result

    def _recur(self, frame: _Frame, values: list[Value]) -> Value:
        """A call within itself: its arguments may be any of the first call's."""
        joined = holding([*values, *frame.scope.values.values()])
        for name, value in list(frame.scope.values.items()):
            if value.share.find() is not joined.share.find() or (
                value.family is not None and not value.is_atom
            ):
                frame.changed = True
                frame.scope.values[name] = Value(share=joined.share)
        return either([*frame.results, Value(share=joined.share)])

    def _bound_arguments(
        self,
        node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda,
        values: list[Value],
        named: dict[str | None, Value],
        *,
        spread: bool,
    ) -> dict[str, Value]:
        args = node.args
        found: dict[str, Value] = {}
        if spread:
            any_of = holding([*values, *named.values()])
            names = [*parameters(node), *(arg.arg for arg in args.kwonlyargs)]
            found = {name: Value(share=any_of.share) for name in names}
            rest = [any_of]
        else:
            positional = parameters(node)
            found = dict(zip(positional, values, strict=False))
            known = {*positional, *(arg.arg for arg in args.kwonlyargs)}
            found |= {name: value for name, value in named.items() if name is not None and name in known}
            rest = [*values[len(positional) :], *(v for name, v in named.items() if name not in known)]
            for name in known - set(found):
                found[name] = fresh(ATOM)  # a default that is a constant
        for star in (args.vararg, args.kwarg):
            if star is not None:
                found[star.arg] = holding(rest)
        return found

    def result(self, value: Value) -> None:
        for frame in list(self.frames.values())[-1:]:
            frame.results.append(value)

    def returned(self, value: Value) -> None:
        """Note what the function that is being read returns."""
        self.result(value)

    def run(self, values: Iterable[Value], others: Value) -> None:
        """Functions among arguments are called within the call, and not kept."""
        for value in values:
            if value.function is not None:
                self.apply(value.function, [others], {}, spread=True)

    def escape(self, values: Iterable[Value], called: Value | None) -> None:
        several = list(values)
        self.run(several, holding([v for v in several if v.function is None] + ([called] if called else [])))
        for value in several:
            self.keep(value)

    def keep(self, value: Value) -> Value:
        """Something may be kept beyond the statement: a function must then see nothing that changes later."""
        if value.function is not None and id(value.function.node) not in self.frames:
            self.kept += 1
            self.apply(value.function, [Value()], {}, spread=True)
            self.kept -= 1
        return value

    def closure(self, scope: Scope | None) -> Share:
        held: list[Value] = []
        while scope is not None:
            held += scope.values.values()
            scope = scope.parent
        return holding(held).share
