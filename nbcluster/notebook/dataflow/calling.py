"""Reads calls: of methods, of builtins, of what was imported, of the cell's own classes. Runs nothing."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from nbcluster.notebook.dataflow import calls
from nbcluster.notebook.dataflow.effects import CannotAnalyse
from nbcluster.notebook.dataflow.families import ARRAY, ATOM, RNG, Family, is_flat, method_of, words
from nbcluster.notebook.dataflow.values import Callable, Value, fresh, holding

if TYPE_CHECKING:
    from nbcluster.notebook.dataflow.expressions import Reader

_HOLDERS = words("append appendleft extend insert add update setdefault remove discard")


class CallReader:
    """Reads the calls of one statement.

    Parameters
    ----------
    reader : Reader
        Reads what is called, and the arguments.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def call(self, node: ast.Call, *, discarded: bool) -> Value:
        """Read a call."""
        self.reader.line = node.lineno
        func = node.func
        if isinstance(func, ast.Attribute):
            if isinstance(func.value, ast.Call) and _is_ipython(func.value.func):
                return self._line_of_ipython(func.attr, node)
            base = self.reader.read(func.value)
            values, named = self._arguments(node)
            if base.path and not base.path.startswith("builtins."):
                return self._imported_call(
                    self.reader.imported(f"{base.path}.{func.attr}").path, values, named, discarded
                )
            return self._method_call(base, func.attr, values, named, discarded)
        if isinstance(func, ast.Name) and func.id in self.reader.scene.known and self._is_top(func.id):
            return self._call_known(func.id, node)
        called = self.reader.read(func)
        values, named = self._arguments(node)
        if called.function is not None:
            spread = any(isinstance(arg, ast.Starred) for arg in node.args) or None in named
            return self.reader.functions.apply(called.function, values, named, spread=spread)
        if called.path.startswith("builtins."):
            return self._builtin_call(called.path[9:], values, named, discarded)
        if called.path:
            return self._imported_call(called.path, values, named, discarded)
        everything = [*values, *named.values()]
        if isinstance(func, ast.Name) and func.id in self.reader.scene.classes:
            return self._make(func.id, everything)
        self.reader.functions.escape(everything, called)
        name = func.id if isinstance(func, ast.Name) else ""
        if name not in self.reader.scene.surroundings.pure:
            for value in (called, *everything):
                self.reader.write(value, f"line {node.lineno} gives it to a function that is not known here")
                if value.family is None:
                    self.reader.effects.unsettled |= value.share.roots
        return holding([called, *everything])

    def _line_of_ipython(self, kind: str, node: ast.Call) -> Value:
        """Read a line of IPython's: commands of the shell are known, magics are not."""
        texts = [str(each.value) for each in node.args if isinstance(each, ast.Constant)]
        if kind == "run_line_magic" and texts and _sets_up_figures(*texts):
            self.reader.touch(calls.package_state("matplotlib.pyplot"), f"%{texts[0]} sets up figures")
            return fresh()
        if kind not in ("system", "getoutput") or len(texts) != 1:
            what = f"%{texts[0]}" if texts and kind.startswith("run_") else f"get_ipython().{kind}"
            raise CannotAnalyse(node.lineno, f"{what} may read and write every name")
        self.reader.touch("the shell", "it runs a command")
        for with_dollar, in_braces in re.findall(r"\$(\w+)|\{([A-Za-z_]\w*)", texts[0]):
            name = with_dollar or in_braces
            if name in self.reader.scene.bound or name in self.reader.scene.surroundings.names:
                self.reader.top_name(name, node.lineno)
        return fresh()

    def _is_top(self, name: str) -> bool:
        return self.reader.scope is None or self.reader.scope.holder(name) is None

    def _call_known(self, name: str, node: ast.Call) -> Value:
        """Call a function that runs where it was defined."""
        self.reader.effects.reads.setdefault(name, node.lineno)
        values, named = self._arguments(node)
        everything = [*values, *named.values()]
        self.reader.functions.escape(everything, None)
        for value in everything:
            self.reader.write(value, f"line {node.lineno} gives it to {name}")
        self.reader.write(self.reader.start(name), f"line {node.lineno} calls it")
        result = self.reader.functions.apply(
            Callable(self.reader.scene.known[name], None),
            [holding([self.reader.start(name), *values])],
            named,
            spread=True,
        )
        return Value(share=holding([result, self.reader.start(name), *everything]).share)

    def _arguments(self, node: ast.Call) -> tuple[list[Value], dict[str | None, Value]]:
        values = [self.reader.read(argument) for argument in node.args]
        named: dict[str | None, Value] = {}
        for keyword in node.keywords:
            value = self.reader.read(keyword.value)
            if keyword.arg in ("out", "where") and keyword.arg == "out":
                for each in [value]:
                    self.reader.write(each, f"line {node.lineno} writes into it (out=)")
            if (
                keyword.arg == "inplace"
                and isinstance(keyword.value, ast.Constant)
                and not keyword.value.value
            ):
                value.path = "builtins.False"
            named[keyword.arg] = value
        return values, named

    def _method_call(
        self, base: Value, name: str, values: list[Value], named: dict[str | None, Value], discarded: bool
    ) -> Value:
        everything = [*values, *named.values()]
        self.reader.functions.run(everything, holding([base, *values]))
        self.reader.use_up(base, *everything)
        in_place = "inplace" in named and named["inplace"].path != "builtins.False"
        if name in self.reader.scene.surroundings.pure:
            return holding([base, *everything])
        known = method_of(base.family, name)
        if known.harmless and not in_place:
            if known.fresh:
                return fresh(known.family)
            return holding([base, *everything], known.family)
        if base.family is None:
            self.reader.effects.unsettled |= base.share.roots
            for method in self.reader.scene.methods.get(name, ()):
                self.reader.functions.apply(Callable(method, None), [base, *values], named, spread=True)
        reason = "changes it in place" if in_place else f"its method {name} may change it"
        self.reader.write(base, f"line {self.reader.line}: {reason}")
        if discarded and name not in _HOLDERS:
            for value in everything:
                self.reader.write(
                    value, f"line {self.reader.line} gives it to {name}, whose value is thrown away"
                )
        if base.family == RNG:
            return fresh(known.family) if known.fresh else holding(everything, ARRAY)
        for value in everything:
            self.reader.hold(base, value)
        return holding([base, *everything])

    def _builtin_call(
        self, name: str, values: list[Value], named: dict[str | None, Value], discarded: bool
    ) -> Value:
        everything = [*values, *named.values()]
        if name in calls.OPAQUE and not (name == "vars" and values):
            raise CannotAnalyse(self.reader.line, f"{name}() {calls.OPAQUE[name]}")
        self.reader.functions.run(everything, holding(values))
        if name not in calls.LAZY:
            self.reader.use_up(*everything)
        if name in calls.CHANGING and values:
            self.reader.write(values[0], f"line {self.reader.line}: {name}() changes it")
            for value in everything[1:]:
                self.reader.hold(values[0], value)
        elif discarded and name not in calls.HARMLESS:
            for value in everything:
                self.reader.write(
                    value, f"line {self.reader.line} gives it to {name}, whose value is thrown away"
                )
        self.reader.effects.prints |= name == "print"
        if name == "id":
            for value in values:
                self.reader.effects.touches |= value.share.roots
        if name == "range":
            return fresh(Family("range", ATOM))
        if name in ("abs", "round") and values and is_flat(values[0].family):
            return fresh(values[0].family)
        if name in calls.ATOMS:
            return fresh(ATOM)
        element = values[0].family.element if values and values[0].family else None
        if name in ("list", "tuple", "set", "sorted", "frozenset"):
            return holding(values, Family({"sorted": "list"}.get(name, name), element))
        if name == "super":
            return holding(self.reader.scope.values.values() if self.reader.scope else ())
        result = holding(everything)
        if name in ("sum", "min", "max", "next") and element == ATOM:
            return fresh(ATOM)
        if name in calls.LAZY or name == "open":
            result.lazy = "an open file" if name == "open" else f"a {name} object"
        return result

    def _imported_call(
        self, path: str, values: list[Value], named: dict[str | None, Value], discarded: bool
    ) -> Value:
        everything = [*values, *named.values()]
        last = path.rpartition(".")[2]
        self.reader.functions.escape(everything, None)
        self.reader.use_up(*everything)
        if last in self.reader.scene.surroundings.pure:
            return holding(everything)
        if "inplace" in named and named["inplace"].path != "builtins.False":
            for value in everything:
                self.reader.write(value, f"line {self.reader.line}: {last} changes it in place")
        if path in _CHANGES_FIRST and values:
            self.reader.write(values[0], f"line {self.reader.line}: {path} changes it")
            for value in values[1:]:
                self.reader.hold(values[0], value)
            return holding(everything)
        if discarded and path not in calls.STATELESS:
            self.reader.touch(calls.package_state(path), f"{path} is called and its value is thrown away")
            for value in everything:
                self.reader.write(
                    value, f"line {self.reader.line} gives it to {last}, whose value is thrown away"
                )
        in_pieces = named.keys() & {"chunksize", "iterator"}
        family = None if in_pieces else calls.result_of(path)
        shares = last in calls.VIEWING or last[:1].isupper() or path.startswith("itertools.")
        if shares and not (
            path.startswith(("pandas.", "numpy.")) and all(is_flat(v.family) for v in everything)
        ):
            result = holding(everything, family)
        else:
            result = fresh(family)
        if path.startswith("itertools."):
            result.lazy = f"an object of {path}"
        if last in ("gather", "create_task", "sleep") and path.startswith("asyncio."):
            result = holding(everything)
            result.lazy = "a coroutine"
        return result

    def _make(self, name: str, values: list[Value]) -> Value:
        """Make an object of a class of the cell."""
        made = holding(values)
        pending, seen = [name], set()
        while pending:
            current = pending.pop()
            if current in seen or current not in self.reader.scene.classes:
                continue
            seen.add(current)
            kind = self.reader.scene.classes[current]
            pending += [base.id for base in kind.bases if isinstance(base, ast.Name)]
            for each in kind.body:
                if isinstance(each, ast.FunctionDef) and each.name in (
                    "__init__",
                    "__post_init__",
                    "__new__",
                ):
                    self.reader.functions.apply(Callable(each, None), [made, *values], {}, spread=True)
        return Value(share=made.share)


def _is_ipython(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "get_ipython"


_CHANGES_FIRST = words(
    "random.shuffle numpy.random.shuffle heapq.heappush heapq.heappop heapq.heapify heapq.heapreplace "
    "heapq.heappushpop bisect.insort bisect.insort_left bisect.insort_right operator.setitem "
    "operator.delitem operator.iadd operator.iconcat"
)


def _sets_up_figures(magic: str, line: str = "") -> bool:
    return magic == "matplotlib" or (magic == "config" and line.startswith("InlineBackend."))
