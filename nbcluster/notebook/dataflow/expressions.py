"""Reads expressions of a statement: what they read and change, and what their values may share. Runs nothing."""

from __future__ import annotations

import ast
from collections.abc import Callable as Function

from nbcluster.notebook.dataflow import calls
from nbcluster.notebook.dataflow.calling import CallReader
from nbcluster.notebook.dataflow.effects import CannotAnalyse, Effects
from nbcluster.notebook.dataflow.families import ATOM, Family, attribute_of, is_flat
from nbcluster.notebook.dataflow.inlining import FunctionReader
from nbcluster.notebook.dataflow.scene import Scene
from nbcluster.notebook.dataflow.scopes import Scope
from nbcluster.notebook.dataflow.values import Callable, Value, either, fresh, holding


class Reader:
    """Reads expressions for one statement.

    Parameters
    ----------
    scene : Scene
    effects : Effects
        Where what is found is noted.
    """

    def __init__(self, scene: Scene, effects: Effects) -> None:
        self.scene, self.effects = scene, effects
        self.scope: Scope | None = None
        self.top: dict[str, Value] = {}
        self.started: dict[str, Value] = {}
        """What top-level names were before the statement."""
        self.bound: set[str] = set()
        """Top-level names that this statement has certainly bound so far."""
        self.conditional = 0
        self.line = effects.line
        self.execute: Function[[list[ast.stmt]], None]
        self.functions = FunctionReader(self)
        self.calls = CallReader(self)

    def name(self, node: ast.Name) -> Value:
        """Read a name."""
        holder = self.scope.holder(node.id) if self.scope is not None else None
        if holder is not None:
            return holder.values.setdefault(node.id, Value())
        return self.top_name(node.id, node.lineno)

    def top_name(self, name: str, line: int) -> Value:
        """Read a name of the top level."""
        scene, effects = self.scene, self.effects
        if (
            self.functions.kept
            and not scene.is_builtin(name)
            and name not in scene.shared
            and name not in scene.modules
        ):
            effects.frozen.add(name)
        if name in self.bound:
            return self.top[name]
        if name in scene.shared:
            effects.definitions.add(name)
            if name in scene.functions:
                return Value(function=Callable(scene.functions[name], None))
        if name in scene.known:
            raise CannotAnalyse(
                line, f"uses {name} as a value, which is not the same each time that it is defined"
            )
        if name in scene.modules:
            if name not in scene.shared:
                effects.reads.setdefault(name, line)
            return self.imported(scene.modules[name])
        if scene.is_builtin(name):
            return Value(path=f"builtins.{name}")
        effects.reads.setdefault(name, line)
        if name in scene.lazy:
            effects.writes.setdefault(name, f"it is used up: {scene.lazy[name]}")
        value = self.top.get(name)
        if value is None:
            value = self.top[name] = self.start(name)
        return value

    def start(self, name: str) -> Value:
        """Return what is known of a top-level name before the statement."""
        if name in self.started:
            return self.started[name]
        value = self.started[name] = holding((), self.scene.families.get(name))
        if not value.is_atom:
            value.share.names.add(name)
        value.lazy = self.scene.lazy.get(name, "")
        return value

    def imported(self, path: str) -> Value:
        """Use something that was imported."""
        self.effects.modules.add(path.partition(".")[0])
        state = calls.state_of(path)
        if state is not None:
            self.touch(state, f"{path} touches the state of {state}")
        return Value(path=path)

    def touch(self, state: str, reason: str) -> None:
        """Note that the state of a module is touched."""
        if self.functions.kept and state not in self.effects.states:
            raise CannotAnalyse(self.line, f"keeps a function that touches the state of {state}")
        self.effects.states.setdefault(state, f"line {self.line}: {reason}")

    def write(self, value: Value, reason: str) -> None:
        """Note that the object of a value may change."""
        if value.is_atom:
            return
        if value.path and not value.path.startswith("builtins."):
            self.touch(calls.package_state(value.path), f"{value.path} {reason}")
        for root in value.share.roots:
            if self.functions.kept:
                raise CannotAnalyse(self.line, f"keeps a function that changes {root}")
            self.effects.writes.setdefault(root, reason)

    def read(self, node: ast.expr, *, discarded: bool = False) -> Value:
        """Read an expression; return what is known of its value."""
        match node:
            case ast.Name():
                return self.name(node)
            case ast.Constant(value=value):
                return fresh(ATOM) if not isinstance(value, tuple) else fresh()
            case ast.JoinedStr(values=parts):
                for part in parts:
                    self.read(part)
                return fresh(ATOM)
            case ast.FormattedValue(value=inner, format_spec=spec):
                self.read(inner)
                if spec is not None:
                    self.read(spec)
                return fresh(ATOM)
            case ast.Attribute(value=inner, attr=attr):
                base = self.read(inner)
                if base.path and not base.path.startswith("builtins."):
                    return self.imported(f"{base.path}.{attr}")
                return self.part_of(base, attribute_of(base.family))
            case ast.Subscript(value=inner, slice=key):
                base, index = self.read(inner), self.read(key)
                if base.path and not base.path.startswith("builtins."):
                    return fresh()
                self.use_up(base, index)
                if isinstance(key, ast.Slice):
                    return self.part_of(base, base.family)
                element = base.family.element if base.family and index.family == ATOM else None
                return self.part_of(base, element or attribute_of(base.family))
            case ast.Call():
                return self.calls.call(node, discarded=discarded)
            case ast.Lambda():
                scope = self.scope
                for default in (*node.args.defaults, *(each for each in node.args.kw_defaults if each)):
                    self.functions.keep(self.read(default))
                return Value(function=Callable(node, scope), share=self.functions.closure(scope))
            case ast.NamedExpr(target=ast.Name(id=name), value=inner):
                bound = self.read(inner)
                self.bind(name, bound, skip_comprehensions=True)
                return bound
            case ast.BoolOp(values=operands):
                first, *others = operands
                values = [self.read(first)]
                self.conditional += 1
                values += [self.read(operand) for operand in others]
                self.conditional -= 1
                return either(values)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self.read(test)
                self.conditional += 1
                values = [self.read(body), self.read(orelse)]
                self.conditional -= 1
                return either(values)
            case ast.BinOp(left=left, right=right):
                return self.combined([self.read(left), self.read(right)])
            case ast.UnaryOp(op=op, operand=operand):
                single = self.read(operand)
                return fresh(ATOM) if isinstance(op, ast.Not) else self.combined([single])
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                return self._compare([left, *comparators], ops)
            case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
                values = [self.functions.keep(self.read(element)) for element in elements]
                families = {value.family for value in values}
                kind = type(node).__name__.lower()
                return holding(values, Family(kind, families.pop() if len(families) == 1 else None))
            case ast.Dict(keys=keys, values=parts):
                held = [self.functions.keep(self.read(key)) for key in keys if key is not None]
                values = [self.functions.keep(self.read(part)) for part in parts]
                return holding([*held, *values], Family("dict"))
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                return self._comprehension(node)
            case ast.Starred(value=inner):
                return self.part_of(self.read(inner), None)
            case ast.Await(value=inner):
                self.effects.awaits = True
                awaited = self.read(inner, discarded=discarded)
                return Value(share=awaited.share, family=awaited.family)
            case ast.Yield(value=yielded):
                given = self.functions.keep(self.read(yielded)) if yielded is not None else fresh()
                self.functions.result(given)
                return Value()
            case ast.YieldFrom(value=inner):
                given = self.read(inner)
                self.functions.result(given)
                return given
            case ast.Slice(lower=lower, upper=upper, step=step):
                for end in (lower, upper, step):
                    if end is not None:
                        self.read(end)
                return fresh(ATOM)
            case _:
                raise CannotAnalyse(node.lineno, f"{type(node).__name__} is not known here")

    def part_of(self, base: Value, family: Family | None) -> Value:
        """Return a value that may be a part of another."""
        if base.is_atom or family == ATOM:
            return fresh(ATOM)
        return Value(share=base.share, family=family)

    def combined(self, operands: list[Value]) -> Value:
        """Return what an operator makes of values."""
        self.use_up(*operands)
        families = {operand.family for operand in operands}
        if all(is_flat(family) for family in families):
            return fresh(
                max(
                    families,
                    key=lambda family: ("atom", "array", "frame").index(family.name if family else ""),
                )
            )
        for operand in operands:
            if operand.family is None:
                self.effects.unsettled |= operand.share.roots
        return holding(operands, families.pop() if len(families) == 1 else None)

    def use_up(self, *values: Value) -> None:
        """Note that values are read that this uses up."""
        for value in values:
            if value.lazy:
                self.write(value, f"it is used up: {value.lazy}")

    def _compare(self, operands: list[ast.expr], ops: list[ast.cmpop]) -> Value:
        values = [self.read(operand) for operand in operands]
        self.use_up(*values)
        for at, op in enumerate(ops):
            pair = operands[at], operands[at + 1]
            if isinstance(op, ast.Is | ast.IsNot) and not any(
                isinstance(each, ast.Constant) for each in pair
            ):
                for value in values:
                    self.effects.touches |= value.share.roots
        families = {value.family for value in values}
        return fresh(families.pop() if len(families) == 1 and all(map(is_flat, families)) else None)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> Value:
        targets = frozenset(
            each.id
            for generator in node.generators
            for each in ast.walk(generator.target)
            if isinstance(each, ast.Name)
        )
        inner = Scope(targets, self.scope, is_comprehension=True)
        outer = self.scope
        for at, generator in enumerate(node.generators):
            source = self.read(generator.iter)
            if at == 0:
                self.scope = inner
                self.conditional += 1
            self.assign(generator.target, self.element_of(source))
            self.effects.awaits |= bool(generator.is_async)
            for test in generator.ifs:
                self.read(test)
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        values = [self.functions.keep(self.read(part)) for part in parts]
        self.scope = outer
        self.conditional -= 1
        if isinstance(node, ast.GeneratorExp):
            made = holding([*values, *inner.values.values()], Family("generator", values[0].family))
            made.lazy = "a generator"
            made.share.join(self.functions.closure(self.scope))
            return made
        kind = {ast.ListComp: "list", ast.SetComp: "set"}.get(type(node), "dict")
        return holding(values, Family(kind, values[0].family if kind != "dict" else None))

    def element_of(self, source: Value) -> Value:
        """Return what iterating over a value gives."""
        self.use_up(source)
        family = (
            source.family.element if source.family and source.family.element else attribute_of(source.family)
        )
        return self.part_of(source, family)

    def assign(self, target: ast.expr, value: Value) -> None:
        """Give a value to a target."""
        match target:
            case ast.Name(id=name):
                self.bind(name, value)
            case ast.Starred(value=inner):
                self.assign(inner, Value(share=value.share, family=Family("list", value.family)))
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    self.assign(part, self.element_of(value))
            case ast.Attribute(value=inner, attr=attr):
                base = self.read(inner)
                self.write(base, f"line {target.lineno} sets its attribute {attr}")
                self.hold(base, value)
            case ast.Subscript(value=inner, slice=key):
                base = self.read(inner)
                self.read(key)
                self.write(base, f"line {target.lineno} sets an item of it")
                self.hold(base, value)

    def hold(self, base: Value, value: Value) -> None:
        """Note that an object may hold another from now on."""
        self.functions.keep(value)
        if not value.is_atom and not base.is_atom:
            base.share.join(value.share)
            if base.family is not None and base.family.element not in (None, value.family):
                self._forget_elements(base)

    def _forget_elements(self, base: Value) -> None:
        base.family = Family(base.family.name) if base.family else None

    def bind(self, name: str, value: Value, *, skip_comprehensions: bool = False) -> None:
        """Bind a name."""
        scope = self.scope
        while skip_comprehensions and scope is not None and scope.is_comprehension:
            scope = scope.parent
        holder = scope.holder(name) if scope is not None else None
        if holder is not None:
            holder.values[name] = value
            return
        if self.functions.kept:
            raise CannotAnalyse(self.line, f"keeps a function that binds {name}")
        self.functions.keep(value)
        effects = self.effects
        effects.binds.add(name)
        if self.conditional and name not in self.bound:
            effects.keeps.add(name)
            value = either([self.top.get(name) or self.start(name), value])
        else:
            self.bound.add(name)
        self.top[name] = value

    def function_value(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, held: list[Value]
    ) -> Value:
        """Return the value of a definition; `held` are its defaults and decorators."""
        share = holding(held).share
        share.join(self.functions.closure(self.scope))
        return Value(function=Callable(node, self.scope), share=share)

    def enter_class(self, names: frozenset[str]) -> None:
        """The body of a class begins."""
        self.scope = Scope(names, self.scope, is_class=True)

    def leave_class(self, outer: Scope | None) -> list[Value]:
        """The body of a class ends; return its values."""
        held = list(self.scope.values.values()) if self.scope is not None else []
        self.scope = outer
        return held
