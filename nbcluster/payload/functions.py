"""Turns functions into bytes under a digest, and back into functions of a namespace. Knows no arguments and no sockets.

A function of a notebook runs with the target namespace as its globals; names that only the notebook has are captured
as they are when it is dumped (see scopes).
"""

from __future__ import annotations

import functools
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from threading import Lock
from types import FunctionType, MethodType
from typing import Any

from nbcluster.errors import NBClusterError, NotSerializable
from nbcluster.payload.culprits import not_serializable
from nbcluster.payload.loading import Loading, reading
from nbcluster.payload.modules import MODULES
from nbcluster.payload.pickling import dump_by_value
from nbcluster.payload.scopes import Scope, attach, captured_visible, keep
from nbcluster.payload.sizes import approximate_size
from nbcluster.payload.watching import Watch, watch

__all__ = [
    "DumpedFunction",
    "FunctionDumper",
    "FunctionLoader",
    "LoadedFunction",
    "captured_visible",
    "plain_call",
]

_LATEST = 256

# The first byte of a payload: whether one function may serve all calls. What could be changed in place is made
# anew for each call: a call sees captured names as they were when it was submitted, not as the last call left them.
_SHARED, _ANEW = b"s", b"a"


@dataclass(frozen=True, slots=True)
class DumpedFunction:
    """A function as bytes.

    Attributes
    ----------
    digest : str
        Of the payload: equal for equal bytes, so that they are sent once.
    payload : bytes
        Its pickle.
    label : str
        Its name.
    captured : dict of str to int
        The notebook's names that it brings, with their sizes in bytes, about.
    """

    digest: str
    payload: bytes
    label: str
    captured: dict[str, int] = field(default_factory=dict)


class FunctionDumper:
    """Dumps functions (and classes); remembers those that would be the same again.

    Thread-safe.
    """

    def __init__(self) -> None:
        self._latest: dict[int, tuple[Any, Watch, DumpedFunction]] = {}
        self._lock = Lock()

    def dump(self, function: Callable[..., Any]) -> DumpedFunction:
        """Return a function as bytes, with the notebook's names that it reads as they are now.

        Raises
        ------
        NotSerializable
            When it, or something that it captures, cannot be pickled; names it and says where it sits.
        """
        known = self._latest.get(id(function))
        if known is not None and known[0] is function and known[1].is_same():
            return known[2]
        MODULES.look()
        watched = watch(function)
        label = name_of(function)
        try:
            payload, captured = dump_by_value(function)
        except Exception as error:
            what = f"class {label}" if isinstance(function, type) else f"function {label}"
            raise not_serializable(function, what, error, dump_by_value) from error
        sizes = {name: approximate_size(value) for name, value in captured.items()}
        is_shared = isinstance(function, type) or (watched is not None and not watched.writes)
        payload = (_SHARED if is_shared else _ANEW) + payload
        digest = blake2b(payload, digest_size=16).hexdigest()
        dumped = DumpedFunction(digest, payload, label, sizes)
        with self._lock:
            self._latest.pop(id(function), None)
            if watched is not None:
                self._latest[id(function)] = (function, watched, dumped)
                if len(self._latest) > _LATEST:
                    del self._latest[next(iter(self._latest))]
        return dumped


@dataclass(frozen=True, slots=True)
class LoadedFunction:
    """A function of a namespace.

    Attributes
    ----------
    function : callable
        What to call.
    scope : Scope or None
        For `captured_visible`, in which it must be called (and a coroutine function awaited).
    """

    function: Callable[..., Any]
    scope: Scope | None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, with the names that it brought visible to inner functions that it makes."""
        with captured_visible(self.scope):
            return self.function(*args, **kwargs)


class FunctionLoader:
    """Loads functions for namespaces; keeps the latest.

    Parameters
    ----------
    size : int
        How many functions are kept, at most.
    where : str
        How messages call this process: "engine 2".
    """

    def __init__(self, size: int = 512, where: str = "this process") -> None:
        self.where = where
        self._size = size
        self._latest: OrderedDict[tuple[str, int], tuple[dict[str, Any], LoadedFunction]] = OrderedDict()
        self._lock = Lock()

    def load(self, digest: str, payload: bytes, namespace: dict[str, Any]) -> LoadedFunction:
        """Return the function of a digest, whose globals are a namespace.

        Raises
        ------
        NotSerializable
            When it cannot be made here: a module is missing, or the bytes come from another version of Python.
        """
        key = (digest, id(namespace))
        with self._lock:
            known = self._latest.get(key)
            if known is not None and known[0] is namespace:
                self._latest.move_to_end(key)
                return known[1]
        loading = Loading(namespace, self.find, digest, where=self.where)
        with reading(loading):
            try:
                function = pickle.loads(memoryview(payload)[1:])  # noqa: S301  # the sender holds this cluster's key
            except Exception as error:
                raise unreadable("the function", error, self.where) from error
        for number, scope in loading.scopes.items():
            if number:
                keep(scope)
        loaded = LoadedFunction(function, loading.scopes.get(0))
        if payload[:1] == _ANEW:
            return loaded
        with self._lock:
            self._latest[key] = (namespace, loaded)
            while len(self._latest) > self._size:
                self._latest.popitem(last=False)
        return loaded

    def find(self, digest: str, payload: bytes, namespace: dict[str, Any]) -> Any:
        """Return a function or class that came inside a value, and may be kept."""
        loaded = self.load(digest, payload, namespace)
        if loaded.scope is not None:
            attach(loaded.scope, loaded)
        return loaded.function

    def forget(self, digests: tuple[str, ...]) -> None:
        """Drop what is kept for these digests."""
        gone = set(digests)
        with self._lock:
            for key in [key for key in self._latest if key[0] in gone]:
                del self._latest[key]


def plain_call(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Return the same call without a partial or a bound method around the function.

    So the function has the same digest at each call, and what the partial or the method holds is an argument:
    Futures in it are replaced by their values.
    """
    while True:
        if type(function) is functools.partial and not vars(function):
            args, kwargs = (*function.args, *args), {**function.keywords, **kwargs}
            function = function.func
        elif type(function) is MethodType and type(function.__func__) is FunctionType:
            method: Any = function
            function, args = method.__func__, (method.__self__, *args)
        else:
            return function, args, kwargs


def name_of(function: Any) -> str:
    """Return the name of a function, or of what it is around."""
    if isinstance(function, functools.partial):
        return name_of(function.func)
    return str(getattr(function, "__name__", type(function).__name__))


def unreadable(what: str, error: Exception, where: str) -> NBClusterError:
    """Return the error that says why something could not be unpickled here, and what to do."""
    if isinstance(error, NBClusterError):
        return error
    match error:
        case ModuleNotFoundError():
            said = (
                f"needs the module {error.name!r}, which {where} does not have; "
                "install it there, or put its folder on sys.path there"
            )
        case ImportError():
            said = f"needs a module that {where} cannot import: {error}"
        case AttributeError():
            said = (
                f"needs something that {where} does not have: {error}; "
                "is another version of the module installed there?"
            )
        case RecursionError():
            said = f"is nested too deeply to be unpickled by {where}"
        case _:
            said = f"cannot be unpickled by {where}: {type(error).__name__}: {error}"
    return NotSerializable(f"{what} {said}")


FUNCTIONS = FunctionDumper()
"""That of this process, for values that go out."""

LOADER = FunctionLoader()
"""That of this process, for values that come in where no other is given."""
