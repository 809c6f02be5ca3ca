"""What a cell defines for all of its statements: functions, classes, imports. Knows syntax, no order of running."""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from nbcluster.notebook.dataflow.calls import DECORATORS
from nbcluster.notebook.dataflow.effects import CannotAnalyse, Surroundings
from nbcluster.notebook.dataflow.families import Family
from nbcluster.notebook.dataflow.scopes import bound_in, global_names

BUILTINS = frozenset(dir(builtins))


@dataclass
class Scene:
    """What is the same for all statements of a cell.

    Attributes
    ----------
    shared : dict of str to int
        Functions and imports that each node that uses them runs for itself: name and number of the statement;
        negative numbers are functions of the notebook.
    functions : dict of str to node
        Of those, the functions.
    modules : dict of str to str
        Names of modules and of what was imported from them, with the dotted path.
    classes : dict of str to ast.ClassDef
        Classes of the cell.
    methods : dict of str to list of node
        Methods of the cell's classes by name.
    """

    surroundings: Surroundings
    bound: frozenset[str]
    shared: dict[str, int] = field(default_factory=dict)
    functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    methods: dict[str, list[ast.FunctionDef | ast.AsyncFunctionDef]] = field(default_factory=dict)
    known: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = field(default_factory=dict)
    """Functions that must run where they were defined."""
    families: Mapping[str, Family] = field(default_factory=dict)
    lazy: Mapping[str, str] = field(default_factory=dict)

    def is_builtin(self, name: str) -> bool:
        """Whether a name means Python's own."""
        return name in BUILTINS and name not in self.bound and name not in self.surroundings.names


def scene_of(body: list[ast.stmt], surroundings: Surroundings) -> Scene:
    """Read what a cell defines.

    Raises
    ------
    CannotAnalyse
        For a star import.
    """
    tree = ast.Module(body, [])
    times = Counter(name for name, _ in bound_in(list(body)))
    times.update(global_names(tree))
    scene = Scene(surroundings, frozenset(times))
    for name, path in surroundings.modules.items():
        if name not in times:
            scene.modules[name] = path
    changed = _changed_as_objects(tree)
    for number, statement in enumerate(body):
        match statement:
            case ast.Import() | ast.ImportFrom():
                paths = imported(statement)
                if all(times[name] == 1 or _same_import(body, name, statement) for name in paths):
                    scene.modules.update(paths)
                    scene.shared.update(dict.fromkeys(paths, number))
            case ast.ClassDef(name=name):
                scene.classes[name] = statement
                for each in statement.body:
                    if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                        scene.methods.setdefault(each.name, []).append(each)
    sources = sorted(surroundings.functions.items())
    for number, (name, source) in enumerate(sources):
        [node] = ast.parse(source).body
        if name in times or name in changed or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if is_simple(node, scene):
            scene.functions[name] = node
            scene.shared[name] = number - len(sources)
    for number, statement in enumerate(body):
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda = statement
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda() as function):
                pass
            case _:
                continue
        if times[name] == 1 and name not in changed and is_simple(function, scene):
            scene.functions[name] = function
            scene.shared[name] = number
        elif not isinstance(function, ast.Lambda):
            if times[name] > 1:
                raise CannotAnalyse(statement.lineno, f"{name} is a function and is bound elsewhere too")
            scene.known[name] = function
    return scene


def imported(statement: ast.Import | ast.ImportFrom) -> dict[str, str]:
    """Return the names that an import binds, with their dotted paths.

    Raises
    ------
    CannotAnalyse
        For a star import.
    """
    if isinstance(statement, ast.Import):
        return {
            alias.asname or alias.name.partition(".")[0]: alias.name
            if alias.asname
            else alias.name.partition(".")[0]
            for alias in statement.names
        }
    if any(alias.name == "*" for alias in statement.names):
        raise CannotAnalyse(
            statement.lineno, f"from {statement.module} import * binds names that are not in the cell"
        )
    return {alias.asname or alias.name: f"{statement.module}.{alias.name}" for alias in statement.names}


def _same_import(body: list[ast.stmt], name: str, statement: ast.Import | ast.ImportFrom) -> bool:
    """Whether all that binds a name are imports of the same."""
    path = imported(statement)[name]
    for each in body:
        for found, _ in bound_in([each]):
            if found != name:
                continue
            if not isinstance(each, ast.Import | ast.ImportFrom) or imported(each)[name] != path:
                return False
    return True


def is_simple(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scene: Scene) -> bool:
    """Whether defining a function again on each engine gives the same function."""
    args = node.args
    defaults = [*args.defaults, *(each for each in args.kw_defaults if each is not None)]
    if not all(_is_constant(each) for each in defaults):
        return False
    if isinstance(node, ast.Lambda):
        return True
    if not all(_path_of(each, scene) in DECORATORS for each in node.decorator_list):
        return False
    annotations = [
        each.annotation
        for each in (*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg)
        if each is not None and each.annotation is not None
    ]
    if node.returns is not None:
        annotations.append(node.returns)
    names = {each.id for note in annotations for each in ast.walk(note) if isinstance(each, ast.Name)}
    return all(scene.is_builtin(name) or name in scene.modules for name in names)


def _path_of(node: ast.expr, scene: Scene) -> str:
    match node:
        case ast.Call(func=func):
            return _path_of(func, scene)
        case ast.Attribute(value=value, attr=attr):
            return f"{_path_of(value, scene)}.{attr}"
        case ast.Name(id=name):
            return scene.modules.get(name, name)
        case _:
            return ""


def _is_constant(node: ast.expr) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.UnaryOp(operand=operand):
            return _is_constant(operand)
        case ast.Tuple(elts=elts):
            return all(map(_is_constant, elts))
        case _:
            return False


_STATEFUL = ("cache_clear", "cache_info", "register")


def _changed_as_objects(tree: ast.AST) -> set[str]:
    """Names whose attributes or items something in the cell sets: a function with state is no mere definition."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            base: ast.expr = node
            while isinstance(base, ast.Attribute | ast.Subscript):
                base = base.value
            if isinstance(base, ast.Name):
                found.add(base.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in _STATEFUL:
            found.add(node.value.id)
    return found
