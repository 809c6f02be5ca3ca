"""Pickles functions and classes of notebooks by value, with the names they need. Knows no caches and no arguments."""

from __future__ import annotations

import builtins
import copyreg
import functools
import sys
from collections.abc import Callable
from io import BytesIO
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any, cast

import cloudpickle

from nbcluster.payload import classes, making
from nbcluster.payload.modules import MODULES
from nbcluster.payload.names import all_attributes, all_reads
from nbcluster.payload.scopes import Lookup
from nbcluster.payload.sources import source_of

NAMESPACES = "nbcluster.ns."
"""Prefix of the modules that are named namespaces."""

CACHED_FUNCTION = type(functools.lru_cache(len))
"""What functools.cache and lru_cache make of a function."""

_tables: tuple[int, dict[Any, Any]] = (-1, {})


def is_namespace(name: object) -> bool:
    """Whether a module name is a namespace: what is defined there cannot be imported elsewhere."""
    return isinstance(name, str) and (name in ("__main__", "__mp_main__") or name.startswith(NAMESPACES))


def table() -> dict[Any, Any]:
    """Return cloudpickle's and copyreg's reducers as one plain dict, which the pickler reads far quicker."""
    global _tables
    size = len(copyreg.dispatch_table)
    if _tables[0] != size:
        _tables = (size, {**copyreg.dispatch_table, **dict(cloudpickle.Pickler.dispatch_table)})
        del _tables[1][CellType]
        _tables[1][CodeType] = reduce_code
    return _tables[1]


def reduce_code(code: CodeType) -> Any:
    """Pickle code with the name of its file, by which tracebacks find its lines (cloudpickle 3.1.3 leaves it out).

    Strings that the interpreter may or may not share are copied, so that the same code gives the same bytes.
    """
    return CodeType, (
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_nlocals,
        code.co_stacksize,
        code.co_flags,
        code.co_code,
        code.co_consts,
        tuple(iter(code.co_names)),
        tuple(iter(code.co_varnames)),
        sys.intern(code.co_filename),
        "".join(iter(code.co_name)),
        code.co_qualname,
        code.co_firstlineno,
        code.co_linetable,
        code.co_exceptiontable,
        tuple(iter(code.co_freevars)),
        tuple(iter(code.co_cellvars)),
    )


def importable(thing: Any) -> tuple[ModuleType, str] | None:
    """Return module and qualified name under which a function or class can be imported, None when it cannot."""
    name = getattr(thing, "__module__", None)
    path = getattr(thing, "__qualname__", None)
    if is_namespace(name) or not isinstance(name, str) or not isinstance(path, str):
        return None
    module = sys.modules.get(name)
    if not isinstance(module, ModuleType) or name in cloudpickle.list_registry_pickle_by_value():
        return None
    found: Any = module
    for part in path.split("."):
        found = getattr(found, part, None)
    return (module, path) if found is thing else None


def captured_by(function: FunctionType) -> dict[str, Any]:
    """Return the names that a function reads and its namespace has, with the values that they have now.

    What it brought from elsewhere (it stands among its builtins) comes along.
    """
    space = function.__globals__
    brought: dict[str, Any] = cast(
        "Any", function
    ).__builtins__  # since Python 3.10, and not in every typeshed
    standard = vars(builtins)
    if isinstance(brought, Lookup):
        brought = brought.names_of(function.__code__)
    captured = {}
    for name in all_reads(function.__code__):
        if name in space:
            captured[name] = space[name]
        elif brought is not standard and name in brought and brought[name] is not standard.get(name, brought):
            captured[name] = brought[name]
    return captured


def submodules_of(function: FunctionType, captured: dict[str, Any]) -> list[ModuleType]:
    """Return the imported submodules that a function reaches through the packages it names (``a.b.c``)."""
    packages = [
        value for value in captured.values() if isinstance(value, ModuleType) and hasattr(value, "__path__")
    ]
    if not packages:
        return []
    attributes = all_attributes(function.__code__)
    found = []
    for package in packages:
        prefix = f"{package.__name__}."
        for name, module in list(sys.modules.items()):
            if (
                name.startswith(prefix)
                and isinstance(module, ModuleType)
                and attributes.issuperset(name[len(prefix) :].split("."))
            ):
                found.append(module)
    return found


class ByValue(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle is not typed
    """Pickles what a notebook defined by value; anything else as cloudpickle does.

    Attributes
    ----------
    captured : dict
        All names that the functions in it brought, with their values.
    """

    def __init__(self, file: Any, buffer_callback: Callable[[Any], Any] | None = None) -> None:
        self.dispatch_table = table()  # before: the pickler reads it when it is made, and never again
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)
        self.captured: dict[str, Any] = {}
        self._scopes: dict[int, int] = {}
        self._cells: set[int] = set()
        self._sources: dict[str, str] = {}

    def reducer_override(self, thing: Any) -> Any:
        """Choose how to pickle a thing; called for all but the builtin containers and atoms."""
        kind = type(thing)
        if kind is FunctionType:
            return self.reduce_function(thing)
        if issubclass(kind, type):
            return self.reduce_class(thing)
        if kind is CellType:
            return self._reduce_cell(thing)
        if kind is ModuleType or issubclass(kind, ModuleType):
            stamps = MODULES.stamps(thing) if thing.__name__ in sys.modules else ()
            return (making.module, (plain(stamps),)) if stamps else NotImplemented
        if kind is CACHED_FUNCTION and importable(thing) is None:
            options = thing.cache_parameters()
            arguments = (thing.__wrapped__, options["maxsize"], options["typed"])
            state = {name: value for name, value in vars(thing).items() if name != "__wrapped__"}
            return making.cached, arguments, state, None, None, making.fill_attributes
        if issubclass(kind, BaseException):
            # As it wants itself: Dask has tblib pickle exceptions in every process that imports it, with their chains
            # and tracebacks, and some without what they say.
            return thing.__reduce_ex__(5)
        return NotImplemented

    def reduce_function(self, function: FunctionType) -> Any:
        """Pickle a function: by reference, by value for a namespace, or by value with the globals of its module."""
        if (place := importable(function)) is not None:
            return _by_reference(*place)
        space = function.__globals__
        name = space.get("__name__")
        code, closure = function.__code__, function.__closure__ or ()
        if is_namespace(name):
            captured = captured_by(function)
            self.captured.update(captured)
            scope = self._scopes.setdefault(id(space), len(self._scopes))
            made: tuple[Any, ...] = (making.function, (code, scope, bool(captured), closure))
        elif isinstance(name, str) and vars(sys.modules.get(name, making)) is space:
            captured, scope = {}, 0
            made = (making.function_of, (sys.modules[name], code, closure))
        else:
            return super().reducer_override(function)
        self._cells.update(map(id, closure))
        slots = tuple(getattr(function, slot) for slot in making._SLOTS)
        state = (
            slots,
            function.__annotations__,
            vars(function),
            tuple(_contents(cell) for cell in closure),
            getattr(function, "__type_params__", ()),
            scope,
            captured,
            submodules_of(function, captured),
            (sys.intern(code.co_filename), self._source(code.co_filename)) if is_namespace(name) else (),
        )
        return *made, state, None, None, making.fill_function

    def reduce_class(self, kind: type) -> Any:
        """Pickle a class: by reference, or by value with an id."""
        if (place := importable(kind)) is not None:
            return _by_reference(*place)
        if is_namespace(kind.__module__) and kind.__module__ in sys.modules and kind.__module__ != "__main__":
            cloudpickle.register_pickle_by_value(sys.modules[kind.__module__])
        reduced = super().reducer_override(kind)
        if reduced is NotImplemented or len(reduced) < 6:
            return reduced
        maker, arguments, state, _, _, setter = reduced
        # Where cloudpickle puts an id of its own, which knows nothing of namespaces.
        arguments = (*arguments[:-2], None, arguments[-1])
        return (
            classes.make,
            (classes.id_of(kind), maker, arguments),
            (setter, state),
            None,
            None,
            classes.fill,
        )

    def _source(self, file: str) -> str:
        if file not in self._sources:  # the very same string each time: a pickle holds it once
            self._sources[file] = source_of(file)
        return self._sources[file]

    def _reduce_cell(self, cell: CellType) -> Any:
        if id(cell) in self._cells:  # the function sets it, when it is there to be referred to
            return making.empty_cell, ()
        return making.empty_cell, (), _contents(cell), None, None, making.set_cell


def dump_by_value(thing: Any) -> tuple[bytes, dict[str, Any]]:
    """Return the bytes of a function or class, and the names that it brings."""
    with BytesIO() as file:
        pickler = ByValue(file)
        pickler.dump(thing)
        return file.getvalue(), pickler.captured


def plain(stamps: tuple[Any, ...]) -> tuple[tuple[Any, ...], ...]:
    """Return stamps as tuples, so that reading them needs no class."""
    return tuple(tuple(stamp) for stamp in stamps)


def _by_reference(module: ModuleType, path: str) -> Any:
    stamps = MODULES.stamps(module)
    return (making.attribute_of, (plain(stamps), path)) if stamps else NotImplemented


def _contents(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()
